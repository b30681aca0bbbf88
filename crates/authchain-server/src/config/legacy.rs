//! Names that other programs use for the same thing: the system that authchain replaces, its neighbours, and Google.
//!
//! Ours win. What an older name sets is said once, with the key of today, so that an environment that has grown can be
//! tidied up line by line; with `compat.old_names` off the older names stop the start instead.

use std::ffi::OsStr;

use authchain::trust::Trust;
use url::Url;

use super::{ConfigError, settings::Settings, validate::is_loopback};

/// An older name and what it means here.
struct Old {
    name: &'static str,
    /// The key that it is today; empty where nothing corresponds.
    key: &'static str,
    means: fn(&str, &Settings) -> Result<Meaning, String>,
}

/// What a value of an older name asks for.
enum Meaning {
    /// This value of the key.
    Set(String),
    /// What is so already.
    AsItIs,
    /// Nothing that could be switched here, and why.
    Nothing(&'static str),
    /// It is about something else in this environment.
    Ignored,
}

const fn old(name: &'static str, key: &'static str, means: fn(&str, &Settings) -> Result<Meaning, String>) -> Old {
    Old { name, key, means }
}

/// Of several names for one key the first that is set counts.
const OLD: &[Old] = &[
    old("GOOGLE_CLIENT_ID", "providers.google.client_id", same),
    old("GOOGLE_OAUTH_CLIENT_ID", "providers.google.client_id", same),
    old("FASTMCP_SERVER_AUTH_GOOGLE_CLIENT_ID", "providers.google.client_id", same),
    old("GOOGLE_WORKSPACE_CLI_CLIENT_ID", "providers.google.client_id", same),
    old("GOOGLE_CLIENT_SECRET", "providers.google.client_secret", same),
    old("GOOGLE_OAUTH_CLIENT_SECRET", "providers.google.client_secret", same),
    old("FASTMCP_SERVER_AUTH_GOOGLE_CLIENT_SECRET", "providers.google.client_secret", same),
    old("GOOGLE_WORKSPACE_CLI_CLIENT_SECRET", "providers.google.client_secret", same),
    old("GOOGLE_CLIENT_SECRETS_FILE", "providers.google.client_secrets_file", same),
    old("GOOGLE_CLIENT_SECRET_PATH", "providers.google.client_secrets_file", same),
    old("GOOGLE_CLIENT_SECRETS", "providers.google.client_secrets_file", same),
    old("SERVER_HOST", "server.host", host),
    old("WORKSPACE_MCP_HOST", "server.host", host),
    old("SERVER_PORT", "server.port", same),
    old("WORKSPACE_MCP_PORT", "server.port", same),
    old("WORKSPACE_EXTERNAL_URL", "server.public_url", same),
    old("FASTMCP_SERVER_AUTH_GOOGLE_BASE_URL", "server.public_url", same),
    old(REDIRECT, "server.public_url", redirect),
    old("ENABLE_HTTPS", "tls.enabled", |text, _| Ok(Meaning::Set(truth(text)?.to_string()))),
    old("SSL_CERT_FILE", "tls.certificate_file", if_https),
    old("SSL_KEY_FILE", "tls.key_file", if_https),
    old("CREDENTIALS_DIR", "storage.directory", same),
    old("CREDENTIAL_STORAGE_MODE", "storage.mode", |text, _| Ok(Meaning::Set(text.to_ascii_lowercase()))),
    old("SESSION_TIMEOUT_MINUTES", "session.idle", minutes),
    old("DWD_ALLOWED_DOMAINS", "google.allowed_domains", same),
    old("ENABLE_UNIFIED_AUTH", "chain.tiers", unified),
    old("SERVICE_CACHING", "services.cache_capacity", |text, _| {
        Ok(if truth(text)? { Meaning::AsItIs } else { Meaning::Set("0".into()) })
    }),
    old("ENHANCED_LOGGING", "log.level", |text, _| {
        Ok(if truth(text)? { Meaning::Set("info,authchain=debug".into()) } else { Meaning::AsItIs })
    }),
    old("FASTMCP_SERVER_AUTH", "", provider),
    old("CREDENTIAL_MIGRATION", "", |text, _| {
        truth(text).map(|_| Meaning::Nothing("both ways to sign in share one store, so nothing has to be copied"))
    }),
];

const REDIRECT: &str = "OAUTH_REDIRECT_URI";

/// Google's own names, honoured as they are.
const GOOGLES: &[(&str, &str)] = &[
    ("GOOGLE_APPLICATION_CREDENTIALS", "google.application_credentials"),
    ("CLOUDSDK_CONFIG", "google.gcloud_directory"),
    ("GOOGLE_WORKSPACE_CLI_TOKEN", "google.access_token"),
];

/// Switches that would weaken the program. It has none of them.
const NEVER: &[&str] = &["OAUTHLIB_INSECURE_TRANSPORT", "OAUTHLIB_RELAX_TOKEN_SCOPE"];

/// The switch of old, in the environment.
const SWITCH: &str = "LEGACY_COMPAT_MODE";
const SWITCH_KEY: &str = "compat.old_names";

/// Takes over what other programs' names say. What the operator should know of it is the answer.
pub(super) fn apply(settings: &mut Settings, variables: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
    let value = |wanted: &str| {
        let found = variables.iter().rev().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    for (name, key) in GOOGLES {
        if let Some(text) = value(name) {
            settings.set(key, text.into(), from(name))?;
        }
    }
    if settings.is_default("google.gcloud_directory") {
        let windows = value("APPDATA").map(|data| ("APPDATA", format!("{data}\\gcloud")));
        let folder = windows.or_else(|| value("HOME").map(|home| ("HOME", format!("{home}/.config/gcloud"))));
        if let Some((name, folder)) = folder {
            settings.set("google.gcloud_directory", folder.as_str().into(), from(name))?;
        }
    }
    let mut notices: Vec<String> = NEVER
        .iter()
        .filter(|name| value(name).is_some())
        .map(|name| format!("{name} has no effect: this program cannot be weakened in that way"))
        .collect();
    if let Some(text) = value(SWITCH) {
        let on = truth(text).map_err(|why| wrong(SWITCH_KEY, SWITCH, why))?;
        settings.set(SWITCH_KEY, on.to_string().as_str().into(), from(SWITCH))?;
        notices.push(hint(SWITCH, SWITCH_KEY));
    }
    let switch = value(&variable(SWITCH_KEY)).map_or_else(|| settings.text(SWITCH_KEY), ToOwned::to_owned);
    if truth(&switch).is_ok_and(|on| !on) {
        refuse_all(settings, &value)?;
        return Ok(notices);
    }
    let mut given: Vec<&str> = Vec::new();
    for Old { name, key, means } in OLD {
        let Some(text) = value(name) else { continue };
        let meaning = means(text, settings).map_err(|why| wrong(key, name, why))?;
        let ours = !key.is_empty() && (value(&variable(key)).is_some() || given.contains(key));
        match meaning {
            Meaning::Ignored => {}
            Meaning::Nothing(why) => notices.push(format!("{name} has no effect: {why}")),
            _ if ours => {}
            Meaning::AsItIs => notices.push(hint(name, key)),
            Meaning::Set(text) => {
                settings.set(key, text.as_str().into(), from(name))?;
                given.push(key);
                notices.push(hint(name, key));
            }
        }
    }
    if is_our_certificate(settings) {
        notices.push(match trust(settings, variables) {
            Trust::Only(_) => "SSL_CERT_FILE is the certificate that this server shows, so it does not say whom this server \
                               trusts: that is SSL_CERT_DIR where it is set, else the system"
                .into(),
            Trust::AsTheEnvironmentSays => {
                "SSL_CERT_FILE also tells TLS libraries whose certificates to trust: while it is set, Google's may not be \
                 trusted. Use AUTHCHAIN__TLS__CERTIFICATE_FILE, or set SSL_CERT_DIR to a folder of certificates to trust"
                    .into()
            }
        });
    }
    Ok(notices)
}

/// Whose certificates outgoing connections trust. `SSL_CERT_FILE` says it, unless it is the certificate of our own.
pub(super) fn trust(settings: &Settings, variables: &[(String, String)]) -> Trust {
    if !is_our_certificate(settings) {
        return Trust::AsTheEnvironmentSays;
    }
    let folders = variables.iter().rev().find(|(name, _)| name == "SSL_CERT_DIR");
    Trust::without_the_file(folders.map(|(_, list)| OsStr::new(list))).unwrap_or_default()
}

fn is_our_certificate(settings: &Settings) -> bool {
    settings.origin("tls.certificate_file") == from("SSL_CERT_FILE")
}

/// Refuses a redirect URI that people would be sent to in vain. Asked when all of the environment has been read.
pub(super) fn contradictions(settings: &Settings, variables: &[(String, String)]) -> Result<(), ConfigError> {
    let Some((_, text)) = variables.iter().rev().find(|(name, value)| name == REDIRECT && !value.is_empty()) else {
        return Ok(());
    };
    let uri = Url::parse(text).map_err(|error| wrong("server.public_url", REDIRECT, error.to_string()))?;
    let refuse = |why: String| Err(wrong("server.public_url", REDIRECT, why));
    let public = settings.text("server.public_url");
    if Url::parse(&public).is_ok_and(|public| public.origin() != uri.origin()) {
        let origin = settings.origin("server.public_url");
        return refuse(format!("it contradicts `server.public_url`, which is {public} (from {origin})"));
    }
    let local = settings.text("server.host").parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback());
    let port = settings.text("server.port");
    if local && is_loopback(&uri) && uri.port_or_known_default().map(|port| port.to_string()) != Some(port.clone()) {
        let origin = settings.origin("server.port");
        return refuse(format!("it contradicts `server.port`, which is {port} (from {origin})"));
    }
    Ok(())
}

/// With the switch off every older name is an error, all in one sentence: nobody wants to find them one by one.
fn refuse_all<'a>(settings: &Settings, value: &impl Fn(&str) -> Option<&'a str>) -> Result<(), ConfigError> {
    let https = value("ENABLE_HTTPS").is_some_and(|text| truth(text).unwrap_or(true));
    let about_something_else = |name: &str| name.starts_with("SSL_") && !https;
    let found: Vec<_> = OLD.iter().filter(|old| value(old.name).is_some() && !about_something_else(old.name)).collect();
    let Some(first) = found.first() else { return Ok(()) };
    let sentence = |old: &&Old| match old.key {
        "" => format!("remove {}", old.name),
        key => format!("instead of {} set `{key}` or {}", old.name, variable(key)),
    };
    let sentences: Vec<_> = found.iter().map(sentence).collect();
    Err(ConfigError {
        key: Some(if first.key.is_empty() { SWITCH_KEY } else { first.key }.into()),
        origin: Some(from(first.name)),
        why: format!("older names are not read ({} is off): {}", settings.origin(SWITCH_KEY), sentences.join("; ")),
    })
}

fn same(text: &str, _: &Settings) -> Result<Meaning, String> {
    Ok(Meaning::Set(text.into()))
}

fn host(text: &str, _: &Settings) -> Result<Meaning, String> {
    Ok(Meaning::Set(if text == "localhost" { "127.0.0.1" } else { text }.into()))
}

fn minutes(text: &str, _: &Settings) -> Result<Meaning, String> {
    match text.trim().parse::<u32>() {
        Ok(minutes) if minutes > 0 => Ok(Meaning::Set(format!("{minutes}m"))),
        _ => Err("it is a number of minutes, such as 60".into()),
    }
}

/// The callback that is entered at Google: our public URL is the part before the path.
fn redirect(text: &str, settings: &Settings) -> Result<Meaning, String> {
    let uri = Url::parse(text).map_err(|error| error.to_string())?;
    let ours = settings.text("paths.callback");
    let ours = ours.as_str();
    if uri.path() != ours || uri.query().is_some() {
        return Err(format!(
            "the provider sends people back to {ours} here: enter {}{ours} at Google, or set paths.callback",
            origin(&uri)
        ));
    }
    // What a file says is not replaced but compared, when all has been read.
    if settings.text("server.public_url").is_empty() { Ok(Meaning::Set(origin(&uri))) } else { Ok(Meaning::Ignored) }
}

/// Elsewhere the name means the certificates that a TLS library trusts.
fn if_https(text: &str, settings: &Settings) -> Result<Meaning, String> {
    let https = settings.origin("tls.enabled").contains("ENABLE_HTTPS") && truth(&settings.text("tls.enabled"))?;
    Ok(if https { Meaning::Set(text.into()) } else { Meaning::Ignored })
}

/// Without unified authentication the tokens of our own server were not asked about.
fn unified(text: &str, settings: &Settings) -> Result<Meaning, String> {
    if truth(text)? {
        return Ok(Meaning::AsItIs);
    }
    let tiers: Vec<_> = settings.words("chain.tiers").into_iter().filter(|tier| tier != "provider_session").collect();
    Ok(Meaning::Set(tiers.join(",")))
}

fn provider(text: &str, _: &Settings) -> Result<Meaning, String> {
    let named = text.rsplit('.').next().unwrap_or(text);
    if named.eq_ignore_ascii_case("google") || named == "GoogleProvider" {
        return Ok(Meaning::Nothing("people sign in through Google in any case"));
    }
    Err(format!("{text:?} is not a provider that this program has: only GOOGLE is"))
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn hint(name: &str, key: &str) -> String {
    format!("{name} is an older name: it is `{key}` today, in the environment {}", variable(key))
}

/// The variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{}{}", super::load::PREFIX, key.to_ascii_uppercase().replace('.', "__"))
}

fn from(name: &str) -> String {
    format!("the environment variable {name}")
}

fn wrong(key: &str, name: &str, why: String) -> ConfigError {
    ConfigError { key: (!key.is_empty()).then(|| key.into()), origin: Some(from(name)), why }
}

#[cfg(test)]
mod tests;
