//! `import`: credentials of other programs into the store. First it says what it found, then it writes.

mod elsewhere;
mod whose;

use std::path::Path;

use authchain::{
    core::{Clock, CredentialKey, ProviderId, Secret, SystemClock, UserId},
    store::{
        import::{self, Finding, Found, Means, Verdict},
        migrate::Place,
        transfer::{self, Arrival, TransferError},
    },
};
use authchain_server::config::Config;
use serde_json::{Value, json};

use super::{
    args::Import,
    confirm::confirm,
    migrate::{arrival_in_words, problem},
    place::{self, IfMissing, unreadable},
    words,
};
use crate::{
    failure::Failure,
    output::{Output, table},
};

pub(super) async fn run(config: &Config, args: &Import, output: &Output) -> Result<(), Failure> {
    let means = means(args)?;
    let mut paths = args.paths.clone();
    if args.discover {
        paths.extend(elsewhere::usual_places(&config.storage.directory, output));
    }
    let (looked_for, known) = (paths.clone(), means.clone());
    let mut findings = place::blocking(move || import::look(&looked_for, &known)).await?;
    if args.gateway {
        findings.extend(elsewhere::in_gateway(&means, &config.trust).await?);
    }
    whose::settle(config, args, &mut findings).await;
    say_findings(&findings, output);

    // A folder without a credential makes no store.
    let takes = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Credential(_)));
    if args.writing.replace && !args.writing.dry_run {
        confirm("Other credentials that are stored for these accounts are written over.", args.writing.yes)?;
    } else if args.discover && takes && !args.writing.dry_run {
        confirm("The credentials that were found are taken; the files stay as they are.", args.writing.yes)?;
    }
    let place = place::configured(config, if takes { args.writing.if_missing() } else { IfMissing::Empty }).await?;
    let mut results = Vec::with_capacity(findings.len());
    for finding in &findings {
        results.push(match &finding.verdict {
            Verdict::Credential(found) => Some(bring(&place, found, args).await),
            Verdict::Refused { .. } | Verdict::PassedOver { .. } => None,
        });
    }
    answer(&findings, &results, &place, args, output);
    if args.writing.replace && !args.writing.dry_run {
        output.say_when_servers_notice(&config.refresh);
    }
    verdict(&findings, &results)
}

type Brought = Result<Arrival, TransferError>;

fn means(args: &Import) -> Result<Means, Failure> {
    let mut means = Means::none(SystemClock.now());
    means.user = args.user.clone();
    means.client = args.client_secrets.as_deref().map(import::client_secrets).transpose()?;
    if let Some(file) = &args.key_file {
        let keys = read_secret(file)?;
        let lines = keys.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        means.keys = lines.map(Secret::from).collect();
    }
    if let Some(file) = &args.passphrase_file {
        means.add_passphrase(&read_secret(file)?);
    }
    means.fastmcp = args.signing_key_file.as_deref().map(read_secret).transpose()?;
    Ok(means)
}

/// A secret from a file, without the line feed that editors end it with.
fn read_secret(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// The key to file a credential under; `whose::settle` has refused those without an owner.
fn key_of(found: &Found) -> Option<CredentialKey> {
    let user = UserId::from(found.owner.as_ref()?);
    Some(CredentialKey { provider: ProviderId::google(), user, group: found.group.clone() })
}

async fn bring(place: &Place, found: &Found, args: &Import) -> Brought {
    // A credential whose owner is asked for at the real run only, or none: nothing can be said of the store.
    let Some(key) = key_of(found) else { return Ok(Arrival::Written) };
    let collision = args.writing.collision();
    if args.writing.dry_run {
        transfer::foresee(place.store(), &key, &found.credential, collision).await
    } else {
        transfer::bring(place.store(), &key, &found.credential, collision).await
    }
}

fn say_findings(findings: &[Finding], output: &Output) {
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let (whose, what) = match &finding.verdict {
                Verdict::Credential(found) => {
                    let whose = found.owner.as_ref().map_or("is asked at the provider".into(), ToString::to_string);
                    (whose, words::state_in_words(&found.credential, SystemClock.now()))
                }
                Verdict::Refused { why, .. } => ("-".into(), format!("REFUSED: {why}")),
                Verdict::PassedOver { why } => ("-".into(), why.clone()),
            };
            [finding.to_string(), finding.format.to_owned(), whose, what]
        })
        .collect();
    output.say(table(["FOUND", "FORMAT", "WHOSE", "STATE"], &rows));
    for finding in findings {
        match &finding.verdict {
            Verdict::Credential(found) => {
                found.notes.iter().for_each(|note| output.say(format!("note: {finding}: {note}")));
            }
            Verdict::Refused { fix, .. } => output.say(format!("what to do: {finding}: {fix}")),
            Verdict::PassedOver { .. } => {}
        }
    }
}

fn answer(findings: &[Finding], results: &[Option<Brought>], place: &Place, args: &Import, output: &Output) {
    let now = SystemClock.now();
    let row = |(finding, result): (&Finding, &Option<Brought>)| -> Value {
        let mut row = json!({ "path": finding.path, "part": finding.part, "format": finding.format });
        let more = match (&finding.verdict, result) {
            (Verdict::Credential(found), Some(result)) => json!({
                "result": result.as_ref().map_or("failed", |arrival| arrival.as_str()),
                "why": result.as_ref().err().map(problem),
                "account": found.owner,
                "account_from": found.owner_from,
                "group": found.group,
                "status": words::state(&found.credential, now),
                "expires_at": found.credential.expires_at.map(words::moment),
                "has_refresh_token": found.credential.refresh_token.is_some(),
                "scopes": found.credential.scopes.iter().collect::<Vec<_>>(),
                "notes": found.notes,
            }),
            (Verdict::Refused { why, fix }, _) => json!({ "result": "refused", "why": why, "fix": fix }),
            (Verdict::PassedOver { why }, _) => json!({ "result": "passed_over", "why": why }),
            (Verdict::Credential(_), None) => json!({}),
        };
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        row
    };
    let files: Vec<Value> = findings.iter().zip(results).map(row).collect();
    let (taken, failed) = counts(findings, results);
    let value = json!({
        "dry_run": args.writing.dry_run,
        "store": place.to_string(),
        "imported": taken,
        "not_imported": failed,
        "files": files,
    });
    let mut lines = Vec::new();
    for (finding, result) in findings.iter().zip(results) {
        let Verdict::Credential(found) = &finding.verdict else { continue };
        let key = key_of(found).map_or("an account that is asked for".into(), |key| key.to_string());
        match result {
            Some(Ok(arrival)) if args.writing.dry_run => {
                lines.push(format!("{finding}: {key}: would be {}", arrival.as_str()))
            }
            Some(Ok(arrival)) => lines.push(format!("{finding}: {key}: {}", arrival_in_words(*arrival))),
            Some(Err(error)) => lines.push(format!("{finding}: {key}: FAILED: {}", problem(error))),
            None => {}
        }
    }
    let verb = if args.writing.dry_run { "would be imported into" } else { "are in" };
    lines.push(format!("{taken} credentials {verb} {place}, {failed} are not."));
    output.answer(&value, lines.join("\n"));
}

/// How many credentials were taken, and how many that should have been were not.
fn counts(findings: &[Finding], results: &[Option<Brought>]) -> (usize, usize) {
    let taken = results.iter().filter(|result| matches!(result, Some(Ok(_)))).count();
    let failed = results.iter().filter(|result| matches!(result, Some(Err(_)))).count();
    let refused = findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Refused { .. })).count();
    (taken, failed + refused)
}

fn verdict(findings: &[Finding], results: &[Option<Brought>]) -> Result<(), Failure> {
    let first = findings.iter().find_map(|finding| match &finding.verdict {
        Verdict::Refused { why, fix } => Some((format!("{finding}: {why}"), fix.clone())),
        _ => None,
    });
    match counts(findings, results) {
        (0, 0) => Err(Failure::not_found(
            "there is no credential in what was named",
            "Name a credential file, or a folder that has some.",
        )),
        (_, 0) => Ok(()),
        (0, 1) if first.is_some() => {
            let (message, fix) = first.unwrap_or_default();
            Err(Failure { code: "not_imported", ..Failure::new(message, fix) })
        }
        (taken, failed) => Err(Failure {
            code: if taken == 0 { "not_imported" } else { "partly_done" },
            message: format!("{failed} could not be imported; the list says why of each"),
            fix: "Mend what the list names, and run it again: what is imported already stays as it is.".into(),
            exit: if taken == 0 { 1 } else { 9 },
        }),
    }
}
