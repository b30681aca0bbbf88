//! `migrate`: every credential from one store to another.

use std::path::Path;

use authchain::{
    core::{CredentialKey, ErrorCode},
    store::{
        StorageMode,
        migrate::{self, Options, Outcome, Place, Plan, Report, Step},
        transfer::{self, Arrival, TransferError},
    },
};
use authchain_server::config::{Config, StorageSection};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    args::Migrate,
    confirm::confirm,
    place::{self, IfMissing, unconfigured},
    progress::Progress,
    words,
};
use crate::{
    failure::{Failure, with_causes},
    output::Output,
};

pub(super) async fn run(config: &Config, args: &Migrate, output: &Output) -> Result<(), Failure> {
    let folder = &config.storage.directory;
    let target = args.to_data.as_ref().unwrap_or(folder);
    if args.from == args.to && target == folder {
        return Err(unconfigured(format!("--from and --to are both {}: there is nothing to move", args.from)));
    }
    refuse_memory(args)?;
    let section =
        |mode, directory: &Path| StorageSection { mode, directory: directory.to_owned(), ..config.storage.clone() };
    let from = place::open(&section(args.from, folder), IfMissing::Empty).await?;
    let to = place::open(&section(args.to, target), args.writing.if_missing()).await?;
    if from.is_same_as(&to) {
        let answer = json!({ "status": "same_files", "from": from.to_string(), "to": to.to_string() });
        output
            .answer(&answer, format!("{from} and {to} are the same files: set storage.mode = {:?}.", args.to.as_str()));
        return Ok(());
    }
    let plan = migrate::plan(&from, &to).await?;
    say_plan(&plan, &from, &to, args, output);
    if args.writing.dry_run {
        return dry_run(&plan, &from, &to, args, output).await;
    }
    if args.writing.replace && plan.in_target > 0 {
        confirm(&format!("Up to {} credentials in {to} may be written over.", plan.in_target), args.writing.yes)?;
    }
    let options = Options { delete_source: args.delete_source, collision: args.writing.collision() };
    let copied = Progress::new("copied", plan.keys.len(), output);
    let removed = Progress::new("removed", plan.keys.len(), output);
    let progress = |step| match step {
        Step::Copied(done) => copied.at(done),
        Step::Removed(done) => removed.at(done),
    };
    let report = tokio::select! {
        report = migrate::run(&plan, &from, &to, options, progress) => report,
        _ = tokio::signal::ctrl_c() => {
            let message = "interrupted; what was copied is in both places, and nothing is lost".into();
            return Err(Failure { code: "interrupted", message, fix: "Run it again: it finishes.".into(), exit: 130 });
        }
    };
    answer(&plan, &report, &from, &to, output);
    verdict(&plan, &report)
}

/// What is in the memory of a server no other process reaches, and what this process would keep there ends with it: a
/// migration would find nothing, or lose everything.
fn refuse_memory(args: &Migrate) -> Result<(), Failure> {
    let memory = StorageMode::MemoryOnly;
    let (why, fix) = if args.from == memory {
        (
            "what a server keeps with memory_only is in its own memory, which no other process can read",
            "Set storage.mode to one that keeps credentials (file_encrypted) and start the server again: each person signs \
             in once more, and from then on it is kept. memory_with_backup reads from memory and keeps a sealed file as well.",
        )
    } else if args.to == memory {
        (
            "what is moved to memory_only would be gone when this command ends",
            "Nothing has to be moved: set storage.mode = \"memory_only\", and people sign in again. What is stored stays as \
             it is; to keep a copy, `authchain credentials backup`, and to remove it, `authchain credentials delete`.",
        )
    } else {
        return Ok(());
    };
    Err(Failure::of(ErrorCode::Configuration, why).fix(fix))
}

fn say_plan(plan: &Plan, from: &Place, to: &Place, args: &Migrate, output: &Output) {
    output.say(format!("from  {from}: {} credentials", plan.keys.len()));
    output.say(format!("to    {to}: {} of them are there already and are compared", plan.in_target));
    for error in &plan.unreadable {
        output.say(format!("      cannot be read: {error}"));
    }
    output.say(match (args.delete_source, plan.unreadable.is_empty()) {
        (true, true) => "      the source is removed once all of them are verified in the target",
        (true, false) => "      the source stays, because of the records that cannot be read",
        (false, _) => "      the source stays",
    });
    if args.delete_source {
        output
            .say("      stop the servers that use the source: what they refresh after its removal began would be lost");
    }
    if args.to == StorageMode::FilePlaintext {
        output.say("      note: whoever can read the folder can read the plain files");
    }
}

/// What would become of each, without writing anything.
async fn dry_run(plan: &Plan, from: &Place, to: &Place, args: &Migrate, output: &Output) -> Result<(), Failure> {
    let foresee = |key: &CredentialKey| {
        let key = key.clone();
        async move {
            let foreseen = match from.store().get(&key).await {
                Ok(Some(found)) => transfer::foresee(to.store(), &key, &found.value, args.writing.collision()).await,
                Ok(None) => Ok(Arrival::AlreadyThere),
                Err(error) => Err(error.into()),
            };
            (key, foreseen)
        }
    };
    let foreseen: Vec<_> = stream::iter(plan.keys.iter().map(foresee)).buffered(64).collect().await;
    let results: Vec<_> = foreseen.iter().map(|(key, result)| row(key, result.as_ref().map(|a| a.as_str()))).collect();
    let failed = foreseen.iter().filter(|(_, result)| result.is_err()).count();
    let value = json!({
        "dry_run": true,
        "from": from.to_string(),
        "to": to.to_string(),
        "credentials": plan.keys.len(),
        "in_target": plan.in_target,
        "unreadable": plan.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "delete_source": args.delete_source,
        "results": results,
    });
    let mut lines: Vec<_> = foreseen
        .iter()
        .filter_map(|(key, result)| result.as_ref().err().map(|error| format!("{key}: {}", problem(error))))
        .collect();
    lines.push(format!("{} would be moved, {failed} could not. Nothing was written.", plan.keys.len() - failed));
    output.answer(&value, lines.join("\n"));
    Ok(())
}

fn row(key: &CredentialKey, result: Result<&str, &TransferError>) -> Value {
    let mut fields = words::identity(key);
    fields.insert("result".into(), json!(result.unwrap_or("failed")));
    if let Err(error) = result {
        fields.insert("why".into(), json!(problem(error)));
    }
    Value::Object(fields)
}

/// What went wrong with one credential, and what to do.
pub(super) fn problem(error: &TransferError) -> String {
    match error {
        TransferError::Occupied(_) => format!("{error}; it stays, unless --replace says otherwise"),
        other => with_causes(other),
    }
}

fn answer(plan: &Plan, report: &Report, from: &Place, to: &Place, output: &Output) {
    let result = |(key, outcome): &(CredentialKey, Outcome)| match outcome {
        Outcome::Arrived(arrival) => row(key, Ok(arrival.as_str())),
        Outcome::Gone => row(key, Ok("gone")),
        Outcome::Failed(error) => row(key, Err(error)),
    };
    let not_removed: Vec<_> = report.not_removed.iter().map(|(key, error)| row(key, Err(error))).collect();
    let value = json!({
        "status": if is_complete(plan, report) { "done" } else { "partly_done" },
        "from": from.to_string(),
        "to": to.to_string(),
        "credentials": plan.keys.len(),
        "unreadable": plan.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "removed_from_source": report.removed,
        "not_removed": not_removed,
        "results": report.outcomes.iter().map(result).collect::<Vec<_>>(),
    });
    let mut lines = Vec::new();
    for (key, outcome) in &report.outcomes {
        match outcome {
            Outcome::Arrived(arrival) => lines.push(format!("{key}: {}", arrival_in_words(*arrival))),
            Outcome::Gone => lines.push(format!("{key}: somebody removed it from the source meanwhile")),
            Outcome::Failed(error) => lines.push(format!("{key}: FAILED: {}", problem(error))),
        }
    }
    lines.extend(
        report.not_removed.iter().map(|(key, error)| format!("{key}: still in the source: {}", with_causes(error))),
    );
    let failed = report.failures().count();
    let arrived = report.outcomes.len() - failed;
    let removed = report.removed;
    lines.push(format!("{arrived} are verified in {to}, {failed} failed, {removed} were removed from the source."));
    output.answer(&value, lines.join("\n"));
}

/// How a credential came to be where it is, for people.
pub(super) fn arrival_in_words(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Written => "written and verified",
        Arrival::AlreadyThere => "there already",
        Arrival::Updated => "brought up to date and verified",
        Arrival::NewerThere => "there already, at least as new",
        Arrival::Replaced => "written over another and verified",
    }
}

fn is_complete(plan: &Plan, report: &Report) -> bool {
    report.is_complete() && plan.unreadable.is_empty()
}

fn verdict(plan: &Plan, report: &Report) -> Result<(), Failure> {
    if is_complete(plan, report) {
        return Ok(());
    }
    let failed = report.failures().count() + plan.unreadable.len();
    let message = match failed {
        0 => format!("{} credentials are in both places: they could not be removed", report.not_removed.len()),
        _ => format!("{failed} credentials could not be moved; they are where they were, and nothing was removed"),
    };
    Err(Failure {
        code: "partly_done",
        message,
        fix: "Mend what the list names, and run it again: it goes on where it stopped.".into(),
        exit: 9,
    })
}
