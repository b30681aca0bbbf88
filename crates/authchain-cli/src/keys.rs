//! `authchain keys`: the keys that seal what is stored, changed while servers run.

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use authchain::{
    core::{CredentialKey, ErrorCode, KeyFilter, SystemClock},
    store::{
        SealedRecords,
        rotation::{Resealed, reseal},
        seal::KeyId,
    },
};
use authchain_server::{KeysInUse, RetireError, Storage, config::Sources};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::{
    args::Keys,
    failure::Failure,
    output::{Output, table},
};

/// How many records are sealed at once: they share their syncs.
const AT_ONCE: usize = 64;

/// How often a person is told how far it has come, on a terminal and elsewhere.
const TELL_EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What nobody can count, for it is kept by those who use it and nowhere else.
const ALSO_ENDS: &str = "Client ids that were made with it are unknown then: most clients register again by themselves, and \
                         one that a person registered by hand needs a new id. Whoever is in the middle of a sign-in starts \
                         again.";

pub(crate) async fn run(mut sources: Sources, command: Keys, output: &Output) -> Result<(), Failure> {
    let common = command.common();
    if let Some(data) = &common.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    let config = sources.load()?;
    crate::logging::start(&config.log);
    let storage = Storage::open(&config.storage, Arc::new(SystemClock)).await?;
    let dry_run = common.dry_run;
    match &command {
        Keys::List(_) => list(&storage, output).await,
        Keys::Rotate(_) => rotate(&storage, dry_run, output),
        Keys::Reencrypt(_) => reencrypt(&storage, dry_run, output).await,
        Keys::Retire { id, .. } => retire(&storage, *id, dry_run, output).await,
    }
}

/// What a key is for.
fn role(position: usize) -> &'static str {
    if position == 0 { "primary" } else { "retired" }
}

async fn list(storage: &Storage, output: &Output) -> Result<(), Failure> {
    let (ids, in_use) = (storage.keyring.ids(), storage.keys_in_use().await?);
    let count = |id: &KeyId| in_use.credentials.records.get(id).copied().unwrap_or(0);
    let sign_ins = |id: &KeyId| in_use.sign_ins.get(&id.to_string()).copied().unwrap_or(0);
    let needed = |position: usize, id: &KeyId| position > 0 && in_use.needed_by(*id).is_some();
    let keys: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(position, id)| {
            json!({
                "id": id.to_string(),
                "role": role(position),
                "credentials": count(id),
                "signing_keys": in_use.signing.contains(id),
                "sign_ins": sign_ins(id),
                "can_be_retired": position > 0 && !needed(position, id),
            })
        })
        .collect();
    let rows: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(position, id)| {
            let signing = if in_use.signing.contains(id) { "yes" } else { "" };
            let use_of = if position == 0 {
                "seals"
            } else if needed(position, id) {
                "opens"
            } else {
                "not needed"
            };
            [
                id.to_string(),
                role(position).into(),
                count(id).to_string(),
                signing.into(),
                sign_ins(id).to_string(),
                use_of.into(),
            ]
        })
        .collect();
    let missing = missing(&ids, &in_use);
    let answer = json!({ "keys": keys, "missing": missing, "unreadable": in_use.credentials.unknown.len() });
    output.answer(&answer, table(["KEY", "ROLE", "CREDENTIALS", "SIGNING KEYS", "SIGN-INS", "USE"], &rows));
    for (name, why) in &in_use.credentials.unknown {
        output.say(format!("cannot be read: {name}: {why}"));
    }
    if !missing.is_empty() {
        let message = format!("records are sealed with keys that are not at hand: {}", missing.join(", "));
        return Err(Failure::of(ErrorCode::Unreadable, message));
    }
    Ok(())
}

/// Keys that records need and that are nowhere.
fn missing(ids: &[KeyId], in_use: &KeysInUse) -> Vec<String> {
    let wanted = in_use.credentials.only.keys().chain(&in_use.signing);
    let mut missing: Vec<_> = wanted.filter(|id| !ids.contains(id)).map(ToString::to_string).collect();
    missing.sort();
    missing.dedup();
    missing
}

fn rotate(storage: &Storage, dry_run: bool, output: &Output) -> Result<(), Failure> {
    let before = storage.keyring.ids();
    if dry_run {
        let primary = before.first().map(ToString::to_string);
        let text = "A new key would be made and put in front of the others. Nothing was changed.";
        output.answer(&json!({ "status": "planned", "primary": primary }), text);
        return Ok(());
    }
    let made = storage.keyring.rotate().map_err(unchangeable)?;
    let retired: Vec<_> = before.iter().map(ToString::to_string).collect();
    let answer = json!({ "status": "rotated", "primary": made.to_string(), "retired": retired });
    output.answer(&answer, format!("The new primary key is {made}. Everything still opens; new records use it."));
    output.say("Next: authchain keys reencrypt");
    Ok(())
}

async fn reencrypt(storage: &Storage, dry_run: bool, output: &Output) -> Result<(), Failure> {
    let Some(primary) = storage.keyring.ids().first().copied() else {
        return Err(Failure::new(
            "the keyring holds no key",
            "Look at storage.key_file, storage.keys, storage.key_command and storage.desktop_keyring.",
        ));
    };
    // Where credentials are not sealed, the server's signing keys still are.
    let keys: Vec<CredentialKey> = match &storage.sealed {
        Some(sealed) => sealed.list(&KeyFilter::default()).try_collect().await?,
        None => Vec::new(),
    };
    if dry_run {
        let mut needed = 0_usize;
        for (sealed, key) in storage.sealed.iter().flat_map(|sealed| keys.iter().map(move |key| (sealed, key))) {
            let ids = sealed.sealed_with(key).await?;
            needed += usize::from(ids.is_some_and(|ids| ids != [primary]));
        }
        let answer =
            json!({ "status": "planned", "primary": primary.to_string(), "records": keys.len(), "to_do": needed });
        output.answer(&answer, format!("{needed} of {} records would be sealed with {primary}.", keys.len()));
        return Ok(());
    }
    let done = match &storage.sealed {
        Some(sealed) => all(sealed, &keys, primary, output).await,
        None => Done::default(),
    };
    let signing = storage.reseal_signing_keys().await?;
    let failed: Vec<Value> =
        done.failed.iter().map(|(key, why)| json!({ "key": key.to_string(), "error": why.message })).collect();
    let status = if failed.is_empty() { "done" } else { "partly_done" };
    let answer = json!({
        "status": status,
        "primary": primary.to_string(),
        "sealed": done.sealed,
        "already": done.already,
        "signing_keys": signing,
        "failed": failed,
    });
    let text = format!("{} records are sealed with {primary} now, {} were already.", done.sealed, done.already);
    output.answer(&answer, text);
    match done.failed.first() {
        None => {
            if storage.keyring.ids().len() > 1 {
                output.say("Older keys can be retired once nothing needs them: authchain keys list");
            }
            Ok(())
        }
        Some((key, why)) => Err(Failure {
            code: "partly_done",
            message: format!(
                "{} records could not be sealed anew, {key} among them: {}",
                done.failed.len(),
                why.message
            ),
            fix: format!("{} Then run it again.", why.fix),
            exit: 9,
        }),
    }
}

/// How far it has come.
#[derive(Default)]
struct Done {
    sealed: usize,
    already: usize,
    failed: Vec<(CredentialKey, Failure)>,
}

async fn all(sealed: &Arc<dyn SealedRecords>, keys: &[CredentialKey], primary: KeyId, output: &Output) -> Done {
    let mut results = futures_util::stream::iter(keys)
        .map(|key| async move { (key, reseal(&**sealed, key, primary).await) })
        .buffer_unordered(AT_ONCE);
    let mut done = Done::default();
    let every = if std::io::stderr().is_terminal() { TELL_EVERY.0 } else { TELL_EVERY.1 };
    let (started, mut told, mut count) = (Instant::now(), Instant::now(), 0_usize);
    while let Some((key, result)) = results.next().await {
        count += 1;
        match result {
            Ok(Resealed::Done) => done.sealed += 1,
            Ok(Resealed::Already | Resealed::Gone) => done.already += 1,
            Err(error) => done.failed.push((key.clone(), error.into())),
        }
        if told.elapsed() >= every {
            told = Instant::now();
            let rate = usize::try_from(started.elapsed().as_millis().max(1)).map_or(0, |ms| count * 1000 / ms);
            output.say(format!("{count} of {} records, {rate} a second", keys.len()));
        }
    }
    done
}

async fn retire(storage: &Storage, id: KeyId, dry_run: bool, output: &Output) -> Result<(), Failure> {
    let ids = storage.keyring.ids();
    if !ids.contains(&id) {
        let known: Vec<_> = ids.iter().map(ToString::to_string).collect();
        return Err(Failure::not_found(format!("there is no key {id}"), format!("There are: {}", known.join(", "))));
    }
    if ids.first() == Some(&id) {
        let message = format!("{id} is the primary key: it seals what is written now");
        return Err(Failure::in_use(message, "Make a new one first: authchain keys rotate"));
    }
    if dry_run {
        return match storage.keys_in_use().await?.needed_by(id) {
            Some(by) => Err(needed(&RetireError::Needed { id, by })),
            None => {
                let answer = json!({ "status": "planned", "retire": id.to_string(), "also_ends": ALSO_ENDS });
                output.answer(&answer, format!("{id} can be retired. {ALSO_ENDS}"));
                Ok(())
            }
        };
    }
    storage.retire(id).await.map_err(|error| match error {
        RetireError::Store(error) => unchangeable(error),
        other => needed(&other),
    })?;
    let answer = json!({ "status": "retired", "id": id.to_string(), "also_ends": ALSO_ENDS });
    output.answer(&answer, format!("{id} is retired and gone. {ALSO_ENDS}"));
    Ok(())
}

fn needed(error: &RetireError) -> Failure {
    Failure::in_use(error, "Seal the records anew first: authchain keys reencrypt")
}

/// Keys that come from the environment or a command are not ours to change.
fn unchangeable(error: authchain::core::StoreError) -> Failure {
    match &error {
        authchain::core::StoreError::Unsupported(why) => {
            Failure::new(why, "Change the keys where storage.keys or storage.key_command takes them from.")
        }
        _ => error.into(),
    }
}
