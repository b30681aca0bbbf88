//! Every name, every group, every row of the table of coverage.

use std::collections::BTreeMap;

use authchain_core::{ScopeRules, Scopes, TokenGroup};
use authchain_google::{
    GoogleScopes, GroupEdition, Level, Operation, ScopeError, Sensitivity, Warning, catalogue, registry,
};
use serde::Deserialize;

const AUTH: &str = "https://www.googleapis.com/auth/";
const LATER: GoogleScopes = GoogleScopes::new(GroupEdition::Later);

/// The checked-in names, read apart from the crate's own reading.
#[derive(Deserialize)]
struct Names {
    groups: BTreeMap<String, Vec<String>>,
    groups_later: BTreeMap<String, Vec<String>>,
    legacy: BTreeMap<String, String>,
    legacy_later: BTreeMap<String, String>,
    legacy_defaults: BTreeMap<String, Vec<String>>,
    covers: BTreeMap<String, Vec<String>>,
}

fn names() -> Names {
    serde_json::from_str(include_str!("../../src/data/names.json")).unwrap()
}

fn url(alias: &str) -> &'static str {
    registry().describe(alias).unwrap_or_else(|| panic!("{alias}")).url
}

fn urls<'a>(aliases: impl IntoIterator<Item = &'a str>) -> Scopes {
    aliases.into_iter().map(url).collect()
}

#[test]
fn there_are_536_scopes_and_no_name_twice() {
    let all = registry().all();
    assert_eq!(all.len(), 536);
    assert_eq!(all.iter().filter(|scope| !scope.undocumented).count(), 525);
    assert!(all.windows(2).all(|pair| pair[0].url < pair[1].url));
    let aliases: std::collections::BTreeSet<_> = all.iter().map(|scope| scope.alias).collect();
    assert_eq!(aliases.len(), 536);
    assert!(all.iter().all(|scope| scope.undocumented || !scope.description.is_empty()));
}

#[test]
fn every_scope_is_found_by_alias_by_url_and_by_the_end_of_its_url() {
    for scope in registry().all() {
        for name in [scope.alias, scope.url] {
            assert_eq!(registry().describe(name), Some(scope), "{name}");
        }
        assert_eq!(registry().describe(scope.short_name()).unwrap().url, scope.url, "{}", scope.short_name());
    }
}

#[test]
fn every_scope_that_google_takes_resolves_to_itself() {
    for scope in registry().all() {
        for name in [scope.alias, scope.url] {
            match registry().resolve(name) {
                Ok(scopes) => assert_eq!(scopes, Scopes::from(scope.url), "{name}"),
                Err(ScopeError::Retired { .. }) => assert_eq!(scope.retired, Some("2025-03-31"), "{name}"),
                Err(ScopeError::NeverExisted { .. }) => {
                    assert!(["cloud.functions", "cloud.iam"].contains(&scope.alias), "{name}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn every_legacy_name_means_what_it_meant() {
    let names = names();
    assert_eq!(names.legacy.len(), 84);
    assert_eq!(registry().legacy_names().len(), 84);
    for (old, alias) in &names.legacy {
        let scope = registry().legacy(old).unwrap();
        assert_eq!(scope.alias, alias, "{old}");
        match registry().resolve(old) {
            // The four legacy names that are groups too get the identity scopes beside.
            Ok(scopes) if names.groups.contains_key(old) => {
                assert_eq!(scopes, registry().identity().union(&Scopes::from(scope.url)), "{old}");
            }
            Ok(scopes) => assert_eq!(scopes, Scopes::from(scope.url), "{old}"),
            Err(error) => {
                assert!(error.replacement().is_some(), "{error}");
                assert!(
                    ["photos_read", "photos_readonly", "photoslibrary_read", "cloud_functions", "cloud_iam"]
                        .contains(&old.as_str()),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn the_later_legacy_names_differ_where_the_facts_say_so() {
    for (old, alias) in &names().legacy_later {
        assert_eq!(LATER.legacy(old).unwrap().alias, alias, "{old}");
    }
    assert_eq!(LATER.legacy("drive_read"), registry().legacy("drive_read"));
    assert_eq!(LATER.legacy_names().len(), 87);
    assert!(registry().legacy("people_contacts").is_none());
}

#[test]
fn every_group_has_the_members_that_were_written_down() {
    let names = names();
    assert_eq!((names.groups.len(), names.groups_later.len()), (19, 22));
    for (scopes, groups) in [(registry(), &names.groups), (&LATER, &names.groups_later)] {
        assert_eq!(scopes.groups().collect::<Vec<_>>(), groups.keys().collect::<Vec<_>>());
        for (group, members) in groups {
            let found: Vec<_> = scopes.group(group).unwrap().iter().map(|scope| scope.alias).collect();
            assert_eq!(&found, members, "{group}");
            let resolved = scopes.resolve(group).unwrap();
            let expected: Scopes = members.iter().filter(|alias| *alias != "photos.readonly").map(|a| url(a)).collect();
            if members.iter().any(|alias| alias == "photos.readonly") {
                assert_eq!(resolved, expected.union(&urls(["photos.readonly_appcreated"])), "{group}");
            } else {
                assert_eq!(resolved, expected, "{group}");
            }
        }
    }
}

#[test]
fn the_original_groups_are_the_default() {
    assert_eq!(registry().edition(), GroupEdition::Original);
    assert_eq!(
        registry().resolve("drive_basic").unwrap(),
        urls(["base.userinfo_email", "base.openid", "drive.file", "drive.readonly"])
    );
    assert_eq!(LATER.resolve("drive_basic").unwrap(), urls(["base.userinfo_email", "base.openid", "drive.full"]));
}

#[test]
fn the_legacy_defaults_are_names_that_resolve() {
    let names = names();
    assert_eq!(names.legacy_defaults.len(), 11);
    for (service, defaults) in &names.legacy_defaults {
        assert_eq!(registry().legacy_defaults(service), defaults, "{service}");
        assert!(defaults.iter().all(|name| registry().legacy(name).is_some()), "{service}");
    }
    assert_eq!(registry().legacy_defaults("gmail").len(), 5);
    assert_eq!(LATER.legacy_defaults("gmail").len(), 7);
    assert_eq!(registry().legacy_defaults("meet"), [""; 0]);
    assert_eq!(registry().legacy_registration().len(), 12);
    assert_eq!(registry().legacy_chat_app().len(), 4);
}

#[test]
fn every_row_of_the_table_of_coverage_holds() {
    for (wide, narrower) in &names().covers {
        for narrow in narrower {
            let missing = registry().missing(&urls([narrow.as_str()]), &urls([wide.as_str()]));
            assert!(missing.is_empty(), "{wide} covers {narrow}");
        }
    }
}

#[test]
fn coverage_goes_down_and_never_up() {
    for (wide, narrower) in &names().covers {
        for narrow in narrower {
            assert!(!registry().covers(url(narrow), url(wide)), "{narrow} does not cover {wide}");
        }
    }
    assert!(registry().covers(url("calendar.full"), url("calendar.freebusy")), "by way of calendar.readonly");
    assert!(registry().covers(url("gmail.full"), url("gmail.send")));
    assert!(!registry().covers(url("drive.full"), url("gmail.send")));
}

#[test]
fn the_difference_names_what_is_missing() {
    let needed = urls(["drive.readonly", "gmail.send"]);
    let granted = urls(["drive.full", "base.openid"]);
    assert_eq!(registry().missing(&needed, &granted), urls(["gmail.send"]));
    assert_eq!(registry().missing(&needed, &Scopes::none()), needed);
    assert!(registry().missing(&Scopes::none(), &Scopes::none()).is_empty());
    assert_eq!(registry().missing(&"https://x/new".into(), &granted), "https://x/new".into());
}

#[test]
fn email_and_profile_are_the_same_as_their_urls() {
    let urls = urls(["base.userinfo_email", "base.userinfo_profile"]);
    assert!(registry().missing(&"email profile".into(), &urls).is_empty());
    assert!(registry().missing(&urls, &"email profile".into()).is_empty());
    assert_eq!(registry().canonical(&"email profile".into()), urls);
}

#[test]
fn the_minimal_set_keeps_the_rights_and_drops_the_rest() {
    let wide = urls(["drive.full", "drive.readonly", "docs.full", "gmail.send", "gmail.readonly", "gmail.metadata"]);
    let minimal = registry().minimal(&wide);
    assert_eq!(minimal, urls(["drive.full", "gmail.send", "gmail.readonly"]));
    assert!(registry().missing(&wide, &minimal).is_empty());
    assert_eq!(registry().minimal(&"email openid".into()), registry().identity());
}

#[test]
fn a_retired_scope_is_refused_with_its_replacement() {
    for name in ["photos.readonly", "photoslibrary.readonly", "photos_read"] {
        let error = registry().resolve(name).unwrap_err();
        assert_eq!(error.replacement(), Some(&urls(["photos.readonly_appcreated"])), "{name}");
    }
    let error = registry().resolve(&format!("{AUTH}photoslibrary.sharing")).unwrap_err();
    assert!(matches!(error, ScopeError::Retired { since: "2025-03-31", .. }) && error.replacement().is_none());
    assert!(registry().resolve("plus.login").unwrap_err().to_string().contains("userinfo.profile"));
}

#[test]
fn a_scope_that_never_existed_is_refused() {
    for name in ["chat.apps", "cloud.iam", "iam", "cloud_functions", "gmail", "docs"] {
        let error = registry().resolve(name).unwrap_err();
        assert!(matches!(error, ScopeError::NeverExisted { .. }), "{name}: {error}");
        assert!(error.replacement().is_some(), "{name}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let nearest = |name: &str| registry().resolve(name).unwrap_err().nearest().map(str::to_owned);
    assert_eq!(nearest("drive.readnly").as_deref(), Some("drive.readonly"));
    assert_eq!(nearest("Drive-Read-Only").as_deref(), Some("drive.readonly"));
    assert_eq!(nearest("https://mail.google.com").as_deref(), Some("https://mail.google.com/"));
    assert_eq!(nearest("ofice_suite").as_deref(), Some("office_suite"));
    assert_eq!(nearest("qwertyuiop"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(nearest(&"x".repeat(100_000)), None);
}

#[test]
fn no_name_resolves_by_being_part_of_another() {
    for name in ["drive", "read", "full", "readonly", "mail", "auth"] {
        if let Ok(scopes) = registry().resolve(name) {
            let found = registry().describe(name).unwrap();
            assert!(found.short_name() == name && scopes.contains(found.url), "{name}");
        }
    }
}

#[test]
fn several_names_are_resolved_together() {
    let scopes = registry().resolve_all(["gmail.send", "openid", "drive_read"]).unwrap();
    assert_eq!(scopes, urls(["gmail.send", "base.openid", "drive.readonly"]));
    assert!(registry().resolve_all(["gmail.send", "nonsense"]).is_err());
}

#[test]
fn every_service_has_every_level() {
    for service in catalogue().all() {
        for (level, word) in Level::ALL {
            let scopes = registry().level(service.key, level).unwrap();
            assert!(
                registry().identity().is_subset(&scopes) && scopes.len() > 2 || service.key == "oauth2",
                "{}",
                service.key
            );
            let name = format!("{}_{word}", service.key);
            if registry().legacy(&name).is_none() {
                assert_eq!(registry().resolve(&name).unwrap(), scopes, "{name}");
            }
        }
    }
    assert_eq!(registry().level("drive", Level::Basic), registry().resolve_group("drive_basic"));
    assert_eq!(
        registry().level("drive", Level::Readonly).unwrap(),
        registry().identity().union(&urls(["drive.readonly"]))
    );
    assert!(registry().level("nothing", Level::Basic).is_none());
}

#[test]
fn recommendations_follow_the_operation() {
    let recommend = |service, word| registry().recommend(service, Operation::named(word).unwrap()).unwrap();
    assert_eq!(recommend("gmail", "read"), urls(["gmail.readonly"]));
    assert_eq!(recommend("calendar", "create"), urls(["calendar.events"]));
    assert_eq!(recommend("people", "write"), catalogue().find("people").unwrap().full());
    assert!(registry().recommend("nothing", Operation::Read).is_none());
    assert!(Operation::named("dance").is_none());
}

#[test]
fn writing_is_recommended_with_a_scope_that_can_write() {
    for service in catalogue().all() {
        for operation in [Operation::Create, Operation::Update, Operation::Delete] {
            let scopes = registry().recommend(service.key, operation).unwrap();
            assert!(!scopes.is_empty(), "{}", service.key);
        }
    }
}

#[test]
fn photos_go_into_a_token_group_of_their_own() {
    let asked = registry().resolve_all(["drive_basic", "photos.appendonly"]).unwrap();
    let parts = registry().split(&asked);
    let photos = TokenGroup::new("photos").unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0], (TokenGroup::default(), registry().resolve("drive_basic").unwrap()));
    assert_eq!(parts[1], (photos.clone(), registry().identity().union(&urls(["photos.appendonly"]))));
    assert_eq!(registry().token_group(url("photospicker.mediaitems_readonly")), photos);
    assert_eq!(registry().token_group(&format!("{AUTH}photoslibrary.new")), photos);
    assert_eq!(registry().token_group(url("drive.full")), TokenGroup::default());
}

#[test]
fn a_split_of_little_is_little() {
    assert!(registry().split(&Scopes::none()).is_empty());
    assert_eq!(registry().split(&"openid email".into()), [(TokenGroup::default(), "openid email".into())]);
    let only_photos = registry().split(&urls(["photos.appendonly", "base.openid"]));
    assert_eq!(only_photos.len(), 1);
}

#[test]
fn a_good_combination_is_valid() {
    let report = registry().check(&registry().resolve("drive_basic").unwrap());
    assert!(report.is_valid() && report.missing.is_empty() && report.warnings.is_empty(), "{report:?}");
}

#[test]
fn what_google_refuses_is_found_before_google_is_asked() {
    let check = |names: &str| registry().check(&names.into());
    let mixed = registry().check(&urls(["drive.file", "photos.appendonly"]));
    assert!(!mixed.is_valid() && mixed.parts.len() == 2 && !mixed.parts[1].2.is_empty());
    let bot = registry().check(&urls(["chat.bot", "base.openid"]));
    assert!(!bot.is_valid() && bot.app_only == urls(["chat.bot"]));
    let retired = check(&format!("{AUTH}photoslibrary.readonly"));
    assert!(!retired.is_valid() && matches!(retired.refused[..], [ScopeError::Retired { .. }]));
    let unknown = check(&format!("{AUTH}drive.readnly"));
    assert_eq!(unknown.refused[0].nearest(), Some(url("drive.readonly")));
}

#[test]
fn odd_combinations_are_warned_about() {
    let warnings = |aliases: &[&str]| registry().check(&urls(aliases.iter().copied())).warnings;
    assert_eq!(warnings(&["drive.file"]).len(), 2, "who signs in is not known");
    assert!(warnings(&["gmail.metadata", "gmail.readonly"]).contains(&Warning::MetadataLimits));
    assert!(warnings(&["drive.full", "docs.full"]).iter().any(|w| matches!(w, Warning::Redundant { .. })));
    assert!(
        warnings(&["cloud.platform"]).iter().any(|w| matches!(w, Warning::Watched { pattern: "cloud-platform", .. }))
    );
    assert!(warnings(&["gmail.settings_sharing"]).iter().any(|w| matches!(w, Warning::Note { .. })));
    let many: Scopes = registry().all().iter().take(40).map(|scope| scope.url).collect();
    assert!(registry().check(&many).warnings.contains(&Warning::Many(40)));
    assert!(warnings(&["drive.full", "docs.full"]).iter().all(|warning| !warning.to_string().is_empty()));
}

#[test]
fn the_device_flow_takes_nine_scopes() {
    let all: Scopes = registry().all().iter().map(|scope| scope.url).collect();
    assert_eq!(all.len() - registry().check(&all).not_for_devices.len(), 9);
}

#[test]
fn sensitivity_is_ordered_and_the_unknown_is_treated_as_sensitive() {
    assert!(Sensitivity::NonSensitive < Sensitivity::Unknown && Sensitivity::Sensitive < Sensitivity::Restricted);
    assert_eq!(registry().describe("drive.full").unwrap().sensitivity, Sensitivity::Restricted);
    assert_eq!(registry().describe("drive.file").unwrap().sensitivity, Sensitivity::NonSensitive);
}

#[test]
fn sixteen_scopes_are_for_apps_only() {
    assert_eq!(registry().all().iter().filter(|scope| scope.app_only.is_some()).count(), 16);
}
