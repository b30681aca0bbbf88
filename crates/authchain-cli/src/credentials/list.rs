//! `list`, `show`, `verify`.

use authchain::core::{
    AuthError, Clock, Credential, CredentialKey, CredentialStore, ErrorCode, KeyFilter, StoreError, SystemClock,
    with_causes,
};
use authchain_server::config::Config;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    args::Which,
    place::{self, IfMissing, unconfigured},
    words,
};
use crate::{
    failure::Failure,
    output::{Output, table},
};

/// What was read, and what cannot be.
struct Content {
    credentials: Vec<(CredentialKey, Credential)>,
    broken: Vec<(Option<CredentialKey>, StoreError)>,
}

async fn read(store: &dyn CredentialStore) -> Result<Content, StoreError> {
    let keys: Vec<_> = store.list(&KeyFilter::default()).collect().await;
    let get = |key: Result<CredentialKey, StoreError>| async move {
        let key = key.map_err(|error| (None, error))?;
        match store.get(&key).await {
            Ok(stored) => Ok(stored.map(|stored| (key, stored.value))),
            Err(error) => Err((Some(key), error)),
        }
    };
    let mut reads = stream::iter(keys.into_iter().map(get)).buffer_unordered(64);
    let mut content = Content { credentials: Vec::new(), broken: Vec::new() };
    while let Some(read) = reads.next().await {
        match read {
            Ok(stored) => content.credentials.extend(stored),
            // The store as a whole is out of reach: nothing can be said of its records.
            Err((_, error @ StoreError::Unavailable { .. })) => return Err(error),
            Err(broken) => content.broken.push(broken),
        }
    }
    content.credentials.sort_by(|a, b| a.0.cmp(&b.0));
    content.broken.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(content)
}

impl Content {
    fn broken_json(&self) -> Vec<Value> {
        let describe = |(key, error): &(Option<CredentialKey>, StoreError)| {
            let mut fields = key.as_ref().map(words::identity).unwrap_or_default();
            fields.insert("code".into(), json!(AuthError::from(error.clone()).code().as_str()));
            fields.insert("why".into(), json!(with_causes(error)));
            Value::Object(fields)
        };
        self.broken.iter().map(describe).collect()
    }

    /// The error to end with if a record is broken.
    fn verdict(&self) -> Result<(), Failure> {
        let Some((_, error)) = self.broken.first() else { return Ok(()) };
        let count = self.broken.len();
        let message = if count == 1 { with_causes(error) } else { format!("{count} records cannot be read") };
        // Every record is wanted: whatever keeps one from opening, the integrity of the store is not given.
        Err(Failure::of(ErrorCode::Unreadable, message))
    }
}

pub(super) async fn list(config: &Config, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let (content, now) = (read(place.store()).await?, SystemClock.now());
    let described = content.credentials.iter().map(|(key, c)| words::described(key, c, now)).collect::<Vec<_>>();
    let answer = json!({ "store": place.to_string(), "credentials": described, "broken": content.broken_json() });
    let rows: Vec<_> = content
        .credentials
        .iter()
        .map(|(key, credential)| {
            let group = format!("{}/{}", key.provider, key.group.as_str());
            let scopes = credential.scopes.len().to_string();
            [key.user.to_string(), group, scopes, words::state_in_words(credential, now)]
        })
        .collect();
    output.answer(&answer, table(["ACCOUNT", "PROVIDER/GROUP", "SCOPES", "STATE"], &rows));
    output.say(format!("{} credentials, {place}", rows.len()));
    for (_, error) in &content.broken {
        output.say(format!("broken: {error}"));
    }
    content.verdict()
}

pub(super) async fn show(config: &Config, which: &Which, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let key = which.key().ok_or_else(|| unconfigured("no account is named"))?;
    let credential = stored(place.store(), &key).await?;
    let now = SystemClock.now();
    let mut lines = vec![key.to_string()];
    let mut line = |heading: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {heading:<14} {text}"));
        }
    };
    let yes = |it: bool, words: &str| format!("{}{words}", if it { "" } else { "no " });
    line("state", words::state_in_words(&credential, now));
    line("address", credential.email.as_ref().map(ToString::to_string).unwrap_or_default());
    line("subject", credential.subject.clone().unwrap_or_default());
    line("tokens", {
        let access = yes(credential.access_token.is_some(), "access token");
        format!("{access}, {}", yes(credential.refresh_token.is_some(), "refresh token"))
    });
    line("client", credential.client.id.clone());
    line("stored as", place.to_string());
    line("other fields", credential.extra.keys().cloned().collect::<Vec<_>>().join(", "));
    for scope in credential.scopes.iter() {
        line("scope", scope.to_owned());
    }
    let mut answer = words::described(&key, &credential, now);
    if let Value::Object(fields) = &mut answer {
        fields.insert("store".into(), json!(place.to_string()));
    }
    output.answer(&answer, lines.join("\n"));
    Ok(())
}

/// The stored credential of a key.
pub(super) async fn stored(store: &dyn CredentialStore, key: &CredentialKey) -> Result<Credential, Failure> {
    match store.get(key).await? {
        Some(stored) => Ok(stored.value),
        None => Err(Failure::not_found(format!("nothing is stored for {key}"), "See all: authchain credentials list")),
    }
}

pub(super) async fn verify(config: &Config, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let content = read(place.store()).await?;
    let good = content.credentials.len();
    let answer = json!({
        "store": place.to_string(),
        "checked": good + content.broken.len(),
        "good": good,
        "broken": content.broken_json(),
    });
    let mut lines: Vec<String> = content.broken.iter().map(|(_, error)| format!("broken: {error}")).collect();
    lines.push(format!("{good} records open, {} are broken: {place}", content.broken.len()));
    output.answer(&answer, lines.join("\n"));
    content.verdict()
}
