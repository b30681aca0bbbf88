//! `authchain token mint`: a JWT of the development key.

use authchain::{
    core::{AuthError, ErrorCode},
    jwt::dev::DevKeys,
};
use authchain_server::config::Sources;
use serde_json::json;

use crate::{args::Mint, failure::Failure, output::Output};

pub(crate) async fn mint(mut sources: Sources, args: Mint, output: &Output) -> Result<(), Failure> {
    if let Some(data) = &args.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    let config = sources.load()?;
    let scopes = if args.scopes.is_empty() { &config.providers.google.scopes } else { &args.scopes };
    let registry = config.google.registry();
    let scopes = registry.resolve_all(scopes.iter().map(String::as_str)).map_err(|error| {
        Failure::of(ErrorCode::Configuration, error).fix("Look for it: authchain scopes list --search TEXT")
    })?;
    let audience = match args.audience {
        Some(audience) => audience,
        None => config.resource()?.to_string(),
    };
    let folder = config.storage.directory.clone();
    let minted = tokio::task::spawn_blocking(move || {
        DevKeys::open_or_create(&folder).and_then(|keys| keys.mint(&args.email, &scopes, &audience, args.ttl))
    });
    let token = minted
        .await
        .map_err(|error| Failure::new(error, "Try again."))?
        .map_err(|error| AuthError::Configuration(format!("the dev key cannot be used: {error}")))?;
    let answer = json!({ "token": token.expose(), "expires_in": args.ttl.as_secs() });
    output.answer(&answer, token.expose());
    output.say("# accepted by a server on a loopback address with dev.accept_dev_keys = true and the same data folder");
    Ok(())
}
