//! `backup` and `restore`.

use std::path::Path;

use authchain::{
    core::{AuthError, Clock, CredentialKey, StoreError, SystemClock},
    store::{
        archive::{self, About},
        transfer::{self, Arrival, TransferError},
    },
};
use authchain_server::config::Config;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    args::Writing,
    confirm::confirm,
    export::exists,
    migrate::problem,
    place::{self, IfMissing},
    progress::Progress,
    words,
};
use crate::{failure::Failure, output::Output};

pub(super) async fn backup(config: &Config, file: &Path, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    // Also of plain records a backup is sealed.
    let keyring = place::sealing_keys(&config.storage).await?;
    let written = archive::write(&place, &keyring, file, SystemClock.now()).await.map_err(|e| exists(e, file))?;
    let broken: Vec<_> = written.broken.iter().map(ToString::to_string).collect();
    let answer = json!({
        "file": file,
        "id": written.about.id,
        "created_at": words::moment(written.about.created_at),
        "credentials": written.about.records,
        "store": place.to_string(),
        "broken": broken,
    });
    let records = written.about.records;
    output.answer(
        &answer,
        format!("{records} credentials of {place} are in {}; it was read again and is whole.", file.display()),
    );
    output.say("It is sealed with the keys of the store: keep a copy of its .auth_encryption_key somewhere else.");
    for error in &broken {
        output.say(format!("not in it: {error}"));
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure {
        code: "partly_done",
        message: format!("{} broken records are not in the backup", broken.len()),
        fix: "Look at them: authchain credentials verify".into(),
        exit: 9,
    })
}

pub(super) async fn restore(config: &Config, file: &Path, options: Writing, output: &Output) -> Result<(), Failure> {
    if !file.is_file() {
        return Err(Failure::not_found(
            format!("there is no file {}", file.display()),
            "Name a file that `backup` wrote.",
        ));
    }
    // The keys first: a store that has lost them must not get new ones from an attempt to restore.
    if !place::has_keys(&config.storage) {
        let key_file = place::key_file(&config.storage);
        let what = format!("{} is missing, and the backup is sealed with the keys in it", key_file.display());
        let error =
            StoreError::WrongKey { what, wanted: "that of the store it was made from".into(), at_hand: "none".into() };
        return Err(Failure::from(error).fix(format!("Bring the key file back to {} first.", key_file.display())));
    }
    let keyring = place::sealing_keys(&config.storage).await?;
    let path = file.to_owned();
    let opened = place::blocking(move || {
        let mut records = Vec::new();
        // To its end before anything is written.
        let about = archive::read(&path, &keyring, |key, credential| {
            records.push((key, credential));
            Ok(())
        })?;
        Ok::<_, StoreError>((about, records))
    });
    let (about, records) = opened.await??;
    output.say(format!(
        "{}: whole, made {}, {} credentials",
        file.display(),
        words::moment(about.created_at),
        about.records
    ));
    if options.replace && !options.dry_run {
        confirm("Other credentials that are stored for these accounts are written over.", options.yes)?;
    }
    let place = place::configured(config, options.if_missing()).await?;
    let collision = options.collision();
    let (store, progress) = (place.store(), Progress::new("restored", records.len(), output));
    let bring = |(key, credential)| async move {
        let brought = match options.dry_run {
            true => transfer::foresee(store, &key, &credential, collision).await,
            false => transfer::bring(store, &key, &credential, collision).await,
        };
        (key, brought)
    };
    let mut brought = stream::iter(records.into_iter().map(bring)).buffer_unordered(512);
    let mut results = Vec::new();
    while let Some(result) = brought.next().await {
        results.push(result);
        progress.at(results.len());
    }
    results.sort_by(|a, b| a.0.cmp(&b.0));
    if options.replace && !options.dry_run {
        output.say_when_servers_notice(&config.refresh);
    }
    answer(&about, &results, &place.to_string(), options, output)
}

fn answer(
    about: &About,
    results: &[(CredentialKey, Result<Arrival, TransferError>)],
    place: &str,
    options: Writing,
    output: &Output,
) -> Result<(), Failure> {
    let row = |(key, result): &(CredentialKey, Result<Arrival, TransferError>)| {
        let mut fields = words::identity(key);
        fields.insert("result".into(), json!(result.as_ref().map_or("failed", |arrival| arrival.as_str())));
        fields.insert("why".into(), json!(result.as_ref().err().map(problem)));
        Value::Object(fields)
    };
    let failed: Vec<_> = results.iter().filter_map(|(key, result)| Some((key, result.as_ref().err()?))).collect();
    let value = json!({
        "dry_run": options.dry_run,
        "id": about.id,
        "created_at": words::moment(about.created_at),
        "credentials": about.records,
        "store": place,
        "results": results.iter().map(row).collect::<Vec<_>>(),
    });
    let mut lines: Vec<String> = failed.iter().map(|(key, error)| format!("{key}: {}", problem(error))).collect();
    let verb = if options.dry_run { "would be in" } else { "are in" };
    lines.push(format!("{} credentials {verb} {place}, {} are not.", results.len() - failed.len(), failed.len()));
    output.answer(&value, lines.join("\n"));
    match failed.first() {
        None => Ok(()),
        Some(_) if options.dry_run => Ok(()),
        Some((_, TransferError::Store(error))) if failed.len() == results.len() => {
            Err(AuthError::from(error.clone()).into())
        }
        Some(_) => Err(Failure {
            code: "partly_done",
            message: format!("{} credentials were not restored", failed.len()),
            fix: "Mend what the list names, and run it again: what is restored already stays.".into(),
            exit: 9,
        }),
    }
}
