//! `authchain config`: every key with its value and origin, and whether a server can start with it.

use authchain_server::{App, config::Sources};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    output::{Output, table},
};

/// Prints the keys that begin with `prefix`. It works where a server would not start: that is when people ask.
pub(crate) fn show(sources: &Sources, prefix: Option<&str>, origin: bool, output: &Output) -> Result<(), Failure> {
    let below = |key: &str| prefix.is_none_or(|prefix| key == prefix || key.starts_with(&format!("{prefix}.")));
    let settings: Vec<_> = sources.settings()?.into_iter().filter(|setting| below(&setting.key)).collect();
    if let (Some(prefix), true) = (prefix, settings.is_empty()) {
        return Err(Failure::not_found(format!("no key begins with {prefix}"), "See all: authchain config show"));
    }
    let answer: Vec<Value> = settings
        .iter()
        .map(|setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin }))
        .collect();
    let text = if origin {
        let rows: Vec<_> = settings.iter().map(|s| [s.key.clone(), s.value.clone(), s.origin.clone()]).collect();
        table(["KEY", "VALUE", "FROM"], &rows)
    } else {
        settings.iter().map(|s| format!("{} = {}", s.key, s.value)).collect::<Vec<_>>().join("\n")
    };
    output.answer(&json!({ "settings": answer }), text);
    Ok(())
}

/// Reads all that the configuration names: files, scopes, certificates. Asks nobody on the network.
pub(crate) async fn check(sources: &Sources, output: &Output) -> Result<(), Failure> {
    let config = sources.load()?;
    for notice in &config.notices {
        output.say(format!("note: {notice}"));
    }
    App::check(&config).await?;
    let (resource, storage) = (config.resource()?, config.storage.directory.display());
    let answer = json!({
        "status": "ok",
        "mcp_url": resource,
        "storage": { "mode": config.storage.mode.to_string(), "directory": config.storage.directory },
        "notices": config.notices,
    });
    let mode = config.storage.mode;
    output.answer(&answer, format!("The configuration is good: {resource}, credentials in {storage} ({mode})."));
    Ok(())
}
