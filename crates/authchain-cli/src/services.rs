//! `authchain services`: the catalogue of Google's APIs for people and programs.

use std::collections::BTreeSet;

use authchain::google::{Selected, Service, catalogue, nearest_name};
use serde_json::{Value, json};

use crate::{
    args::ListServices,
    failure::Failure,
    output::{Output, table},
};

pub(crate) fn list(list: &ListServices, output: &Output) -> Result<(), Failure> {
    let catalogue = catalogue();
    if let Some(category) = &list.category {
        let known: BTreeSet<_> = catalogue.all().iter().map(|service| service.category).collect();
        if !known.contains(category.as_str()) {
            let nearest = nearest_name(category, known.iter().copied());
            let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let known: Vec<_> = known.into_iter().collect();
            let message = format!("there is no category {category:?}{hint}");
            return Err(Failure::not_found(message, format!("Choose one of {}.", known.join(", "))));
        }
    }
    let named: Vec<Selected> = if list.names.is_empty() {
        catalogue.all().iter().filter_map(|service| catalogue.get(service.key).ok()).collect()
    } else {
        let found: Result<_, _> = list.names.iter().map(|name| catalogue.get(name)).collect();
        found.map_err(|error| Failure::not_found(error, "See all: authchain services list"))?
    };
    let wanted = |selected: &&Selected| {
        let service = selected.service;
        list.category.as_ref().is_none_or(|category| service.category == category)
            && list.search.as_ref().is_none_or(|text| mentions(service, text))
    };
    let services: Vec<_> = named.iter().filter(wanted).collect();
    let rows: Vec<_> = services.iter().map(|selected| row(selected)).collect();
    let answer: Vec<_> = services.iter().map(|selected| described(selected)).collect();
    let headings = ["SERVICE", "API", "VERSIONS", "CATEGORY", "SCOPES A TOOL NEEDS", "NAME", "ALIASES"];
    output.answer(&json!({ "services": answer }), table(headings, &rows));
    output.say(format!("{} services", rows.len()));
    Ok(())
}

fn mentions(service: &Service, text: &str) -> bool {
    let text = text.to_lowercase();
    let mut names =
        [service.key, service.api, service.title, service.name()].into_iter().chain(service.aliases.iter().copied());
    names.any(|name| name.to_lowercase().contains(&text))
}

fn row(selected: &Selected) -> [String; 7] {
    let service = selected.service;
    let versions: Vec<_> = service.versions().map(|version| version.name).collect();
    let scopes = service.default_scopes();
    let scopes: Vec<_> = scopes.iter().map(|url| url.rsplit_once("/auth/").map_or(url, |(_, end)| end)).collect();
    [
        service.key.into(),
        service.api.into(),
        versions.join(","),
        service.category.into(),
        scopes.join(","),
        service.name().into(),
        service.aliases.join(","),
    ]
}

fn described(selected: &Selected) -> Value {
    let service = selected.service;
    let versions: Vec<_> = service.versions().map(|v| json!({ "version": v.name, "base_url": v.base_url })).collect();
    json!({
        "service": service.key,
        "name": service.name(),
        "title": service.title,
        "api": service.api,
        "version": selected.version.name,
        "base_url": selected.version.base_url,
        "versions": versions,
        "category": service.category,
        "aliases": service.aliases,
        "scopes": {
            "minimal": service.minimal(),
            "default": service.default_scopes(),
            "full": service.full(),
        },
        "token_group": service.token_group().as_str(),
        "documentation": service.documentation,
        "enable_url": service.enable_url(),
        "discovery_url": service.discovery_url(),
        "note": service.note,
    })
}
