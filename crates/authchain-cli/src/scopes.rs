//! `authchain scopes`: the scope registry for people and programs.

use authchain::{
    core::Scopes as ScopeSet,
    google::{GoogleScopes, GroupEdition, ScopeError, ScopeInfo, Sensitivity},
};
use authchain_server::config::Sources;
use serde_json::{Value, json};

use crate::{
    args::{Edition, ListScopes, Rating, Scopes, ScopesCommon},
    failure::Failure,
    output::{Output, table},
};

pub(crate) fn run(sources: &Sources, command: Scopes, output: &Output) -> Result<(), Failure> {
    match command {
        Scopes::List(list) => {
            let registry = registry(sources, &list.common)?;
            if list.groups { list_groups(&registry, &list, output) } else { list_scopes(&registry, &list, output) }
        }
        Scopes::Explain { name, common } => explain(&registry(sources, &common)?, &name, output),
        Scopes::Resolve { names, common } => resolve(&registry(sources, &common)?, &names, output),
    }
}

/// The edition that was asked for, or else the configured one.
fn registry(sources: &Sources, common: &ScopesCommon) -> Result<GoogleScopes, Failure> {
    Ok(match common.edition {
        Some(Edition::Original) => GoogleScopes::new(GroupEdition::Original),
        Some(Edition::Later) => GoogleScopes::new(GroupEdition::Later),
        None => sources.load()?.google.registry(),
    })
}

fn list_scopes(registry: &GoogleScopes, list: &ListScopes, output: &Output) -> Result<(), Failure> {
    if let Some(service) = &list.service
        && !registry.all().iter().any(|scope| scope.service() == service)
    {
        let services = registry.all().iter().map(ScopeInfo::service);
        let nearest = authchain::google::nearest_name(service, services);
        let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let message = format!("no scope is of a service {service:?}{hint}");
        return Err(Failure::not_found(message, "See all: authchain scopes list"));
    }
    let wanted = |scope: &&ScopeInfo| {
        list.service.as_ref().is_none_or(|service| scope.service() == service)
            && list.sensitivity.is_none_or(|wanted| scope.sensitivity == sensitivity(wanted))
            && (!list.readonly || scope.readonly)
            && list.search.as_ref().is_none_or(|text| found(text, &[scope.alias, scope.url, scope.description]))
    };
    let scopes: Vec<_> = registry.all().iter().filter(wanted).collect();
    let rows: Vec<_> = scopes
        .iter()
        .map(|scope| {
            let what = match scope.retired {
                Some(day) => format!("retired on {day}"),
                None => scope.description.to_owned(),
            };
            [scope.alias.to_owned(), word(scope.sensitivity).to_owned(), scope.short_name().to_owned(), what]
        })
        .collect();
    let answer: Vec<_> = scopes.iter().map(|scope| described(scope)).collect();
    output.answer(&json!({ "scopes": answer }), table(["NAME", "SENSITIVITY", "SCOPE", "ALLOWS"], &rows));
    output.say(format!("{} scopes", rows.len()));
    Ok(())
}

fn list_groups(registry: &GoogleScopes, list: &ListScopes, output: &Output) -> Result<(), Failure> {
    let groups: Vec<_> = registry
        .groups()
        .filter(|name| list.search.as_ref().is_none_or(|text| found(text, &[name])))
        .map(|name| (name, members(registry, name)))
        .collect();
    let rows: Vec<_> = groups.iter().map(|(name, members)| [(*name).to_owned(), members.join(", ")]).collect();
    let answer: Vec<_> = groups.iter().map(|(name, members)| json!({ "name": name, "members": members })).collect();
    output.answer(&json!({ "groups": answer }), table(["GROUP", "SCOPES"], &rows));
    Ok(())
}

fn explain(registry: &GoogleScopes, name: &str, output: &Output) -> Result<(), Failure> {
    // A name that is both is taken as `resolve` takes it.
    let is_alias = registry.all().iter().any(|scope| scope.alias == name);
    if !is_alias && registry.group(name).is_some() {
        let (members, asked) = (members(registry, name), registry.resolve_group(name).unwrap_or_default());
        let answer = json!({ "group": name, "members": members, "scopes": urls(&asked) });
        let text = format!("{name}: a group of {} scopes\n  {}", members.len(), members.join("\n  "));
        output.answer(&answer, text);
        return Ok(());
    }
    let Some(scope) = registry.describe(name) else {
        // A level of a service has no description of its own, but it stands for scopes.
        let asked = registry.resolve(name).map_err(|error| unknown(&error))?;
        let answer = json!({ "name": name, "scopes": urls(&asked) });
        output.answer(&answer, format!("{name}: stands for\n  {}", urls(&asked).join("\n  ")));
        return Ok(());
    };
    let covers = |wide: &ScopeInfo, narrow: &ScopeInfo| wide.url != narrow.url && registry.covers(wide.url, narrow.url);
    let names = |wanted: &dyn Fn(&ScopeInfo) -> bool| -> Vec<&str> {
        registry.all().iter().filter(|other| wanted(other)).map(|other| other.alias).collect()
    };
    let (covered_by, includes) = (names(&|other| covers(other, scope)), names(&|other| covers(scope, other)));
    let legacy = |old: &&str| registry.legacy(old).is_some_and(|meant| meant.url == scope.url);
    let legacy: Vec<_> = registry.legacy_names().into_iter().filter(legacy).collect();
    let groups: Vec<_> = registry.groups().filter(|group| members(registry, group).contains(&scope.alias)).collect();
    let refusal = registry.resolve(scope.url).err();

    let mut answer = described(scope);
    if let Value::Object(fields) = &mut answer {
        fields.insert("covered_by".into(), json!(covered_by));
        fields.insert("includes".into(), json!(includes));
        fields.insert("legacy_names".into(), json!(legacy));
        fields.insert("groups".into(), json!(groups));
        fields.insert("replacement".into(), json!(refusal.as_ref().and_then(ScopeError::replacement).map(urls)));
    }
    let mut lines = vec![format!("{}  {}", scope.alias, scope.url)];
    let mut line = |heading: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {heading:<12} {text}"));
        }
    };
    line("allows", scope.description.to_owned());
    line("sensitivity", word(scope.sensitivity).to_owned());
    line("", if scope.readonly { "allows reading and nothing else".into() } else { String::new() });
    line("", if scope.admin_only { "of use to a Workspace administrator only".into() } else { String::new() });
    line("service acct", scope.app_only.unwrap_or_default().to_owned());
    line("token group", scope.token_group.unwrap_or_default().to_owned());
    line("note", scope.note.unwrap_or_default().to_owned());
    line("refused", refusal.map(|error| error.to_string()).unwrap_or_default());
    line("covered by", covered_by.join(", "));
    line("includes", includes.join(", "));
    line("in groups", groups.join(", "));
    line("once called", legacy.join(", "));
    output.answer(&answer, lines.join("\n"));
    Ok(())
}

fn resolve(registry: &GoogleScopes, names: &[String], output: &Output) -> Result<(), Failure> {
    let scopes = registry.resolve_all(names.iter().map(String::as_str)).map_err(|error| unknown(&error))?;
    let report = registry.check(&scopes);
    let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    let parts: Vec<_> = report
        .parts
        .iter()
        .map(|(group, scopes, why)| json!({ "token_group": group.as_str(), "scopes": urls(scopes), "why": why }))
        .collect();
    let answer = json!({
        "scopes": urls(&scopes),
        "minimal": urls(&registry.minimal(&scopes)),
        "one_consent_page": report.is_valid(),
        "parts": parts,
        "service_accounts_only": urls(&report.app_only),
        "warnings": warnings,
    });
    output.answer(&answer, urls(&scopes).join("\n"));
    for warning in warnings {
        output.say(format!("note: {warning}"));
    }
    if parts.len() > 1 {
        output.say(format!("note: these need {} sign-ins, because Google refuses to combine them", parts.len()));
    }
    for scope in report.app_only.iter() {
        output.say(format!("note: {scope} can be held by a service account only"));
    }
    Ok(())
}

fn unknown(error: &ScopeError) -> Failure {
    let message = error.to_string();
    Failure::not_found(message, "Look for it: authchain scopes list --search TEXT, or authchain scopes list --groups")
}

fn described(scope: &ScopeInfo) -> Value {
    json!({
        "name": scope.alias,
        "url": scope.url,
        "service": scope.service(),
        "description": scope.description,
        "sensitivity": word(scope.sensitivity),
        "readonly": scope.readonly,
        "admin_only": scope.admin_only,
        "service_accounts_only": scope.app_only,
        "token_group": scope.token_group,
        "device_flow": scope.device_flow,
        "note": scope.note,
        "retired": scope.retired,
    })
}

fn members(registry: &GoogleScopes, group: &str) -> Vec<&'static str> {
    registry.group(group).unwrap_or_default().into_iter().map(|scope| scope.alias).collect()
}

fn urls(scopes: &ScopeSet) -> Vec<&str> {
    scopes.iter().collect()
}

fn found(text: &str, places: &[&str]) -> bool {
    let text = text.to_lowercase();
    places.iter().any(|place| place.to_lowercase().contains(&text))
}

fn sensitivity(wanted: Rating) -> Sensitivity {
    match wanted {
        Rating::NonSensitive => Sensitivity::NonSensitive,
        Rating::Unknown => Sensitivity::Unknown,
        Rating::Sensitive => Sensitivity::Sensitive,
        Rating::Restricted => Sensitivity::Restricted,
    }
}

fn word(sensitivity: Sensitivity) -> &'static str {
    match sensitivity {
        Sensitivity::NonSensitive => "non-sensitive",
        Sensitivity::Unknown => "unknown",
        Sensitivity::Sensitive => "sensitive",
        Sensitivity::Restricted => "restricted",
    }
}
