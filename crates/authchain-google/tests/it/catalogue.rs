//! Every entry of the catalogue against what Google's discovery documents say.

use std::collections::BTreeMap;

use authchain_google::{CatalogueError, GoogleScopes, catalogue, registry};
use serde::Deserialize;

#[derive(Deserialize)]
struct Api {
    base_url: String,
    scopes: Vec<String>,
}

fn discovery() -> BTreeMap<String, Api> {
    serde_json::from_str(include_str!("../data/discovery.json")).unwrap()
}

#[test]
fn there_are_116_services() {
    assert_eq!(catalogue().all().len(), 116);
}

#[test]
fn every_entry_agrees_with_its_discovery_document() {
    let discovery = discovery();
    for service in catalogue().all() {
        let id = format!("{}:{}", service.api, service.version);
        let Some(api) = discovery.get(&id) else {
            assert!(service.undocumented, "{} is not in discovery", service.key);
            continue;
        };
        assert!(!service.undocumented, "{}", service.key);
        assert_eq!(service.base_url, api.base_url, "{}", service.key);
        for scope in service.minimal().union(&service.default_scopes()).union(&service.full()).iter() {
            assert!(api.scopes.iter().any(|known| known == scope), "{}: {scope}", service.key);
        }
    }
}

#[test]
fn every_version_agrees_with_its_discovery_document() {
    let discovery = discovery();
    for service in catalogue().all() {
        for version in &service.other_versions {
            let api = &discovery[&format!("{}:{}", service.api, version.name)];
            assert_eq!(version.base_url, api.base_url, "{} {}", service.key, version.name);
        }
    }
}

#[test]
fn every_scope_of_an_entry_is_in_the_registry_and_can_be_asked_for() {
    for service in catalogue().all() {
        for (level, scopes) in
            [("minimal", service.minimal()), ("default", service.default_scopes()), ("full", service.full())]
        {
            assert!(!scopes.is_empty(), "{} {level}", service.key);
            for scope in scopes.iter() {
                let info = registry().describe(scope).unwrap_or_else(|| panic!("{} {scope}", service.key));
                assert!(info.retired.is_none(), "{} {scope}", service.key);
            }
            let token_groups: Vec<_> = registry().split(&scopes).into_iter().map(|(group, _)| group).collect();
            assert_eq!(token_groups, [service.token_group()], "{} {level}", service.key);
        }
    }
}

#[test]
fn an_entry_is_found_by_key_by_alias_and_by_version() {
    for service in catalogue().all() {
        let names = std::iter::once(service.key).chain(service.aliases.iter().copied());
        for name in names {
            let selected = catalogue().get(name).unwrap();
            assert_eq!((selected.service.key, selected.version.name), (service.key, service.version), "{name}");
        }
        for version in service.versions() {
            let selected = catalogue().get(&format!("{}_{}", service.key, version.name)).unwrap();
            assert_eq!((selected.service.api, selected.version), (service.api, version), "{}", service.key);
        }
    }
}

#[test]
fn every_address_is_https_and_ends_with_a_slash() {
    for version in catalogue().all().iter().flat_map(|service| service.versions()) {
        assert!(version.base_url.starts_with("https://") && version.base_url.ends_with('/'), "{version:?}");
    }
}

#[test]
fn the_original_service_types_still_mean_what_they_meant() {
    #[derive(Deserialize)]
    struct Pair {
        api: String,
        version: String,
    }
    let original: BTreeMap<String, Pair> =
        serde_json::from_str(include_str!("../data/original_services.json")).unwrap();
    assert_eq!(original.len(), 36);
    for (name, pair) in original {
        match catalogue().get(&name) {
            Ok(selected) => {
                assert_eq!((selected.service.api, selected.version.name), (&*pair.api, &*pair.version), "{name}");
                assert!(selected.service.original, "{name}");
            }
            Err(error) => assert!(matches!(error, CatalogueError::Closed { .. }) && name == "plus", "{error}"),
        }
    }
}

#[test]
fn a_closed_service_says_that_it_is_closed() {
    for name in ["plus", "plus_v1"] {
        let error = catalogue().get(name).unwrap_err();
        assert!(error.to_string().contains("closed on 2019-03-07"), "{error}");
    }
}

#[test]
fn an_unknown_version_is_refused_with_the_known_ones() {
    let error = catalogue().get("drive_v9").unwrap_err().to_string();
    assert_eq!(error, "drive has no version \"v9\"; it has v3, v2");
}

#[test]
fn an_unknown_service_is_refused_with_the_nearest() {
    let error = catalogue().get("calender").unwrap_err();
    assert_eq!(error, CatalogueError::Unknown { name: "calender".into(), nearest: Some("calendar") });
    assert!(catalogue().get("").is_err());
    assert!(catalogue().get("_v3").is_err());
    assert!(catalogue().get("nothing of the kind").unwrap_err().to_string().ends_with("kind\""));
}

#[test]
fn the_ten_services_with_pages_have_them_and_a_group_that_exists() {
    let with_pages: Vec<_> = catalogue().all().iter().filter(|service| service.group.is_some()).collect();
    assert_eq!(with_pages.len(), 10);
    for service in with_pages {
        assert!(service.documentation.unwrap().starts_with("https://developers.google.com/"), "{}", service.key);
        assert!(GoogleScopes::default().group(service.group.unwrap()).is_some(), "{}", service.key);
        assert!(!service.features.is_empty() && service.name() != service.title || service.key == "gmail");
    }
}

#[test]
fn addresses_for_people_are_made_from_the_facts() {
    let drive = catalogue().find("drive").unwrap();
    assert_eq!(drive.enable_url().unwrap(), "https://console.cloud.google.com/apis/library/drive.googleapis.com");
    assert_eq!(drive.discovery_url(), "https://www.googleapis.com/discovery/v1/apis/drive/v3/rest");
    let photos = catalogue().find("photos").unwrap();
    assert_eq!(photos.discovery_url(), "https://photoslibrary.googleapis.com/$discovery/rest?version=v1");
}
