//! `migrate`: every credential from one store to another. With `memory_only` at either end the running server does it, because
//! nobody else reaches its memory; otherwise this process, in the same steps.

use authchain::{
    core::{CredentialKey, ErrorCode},
    store::{StorageMode, transfer::Arrival},
};
pub(super) use authchain_server::control::problem;
use authchain_server::{
    config::Config,
    control::{AskError, Asked, MigrationOrder, Outcome, Planned, Refusal, Row, Said},
};
use serde_json::{Value, json};

use super::{
    args::Migrate,
    confirm::confirm,
    place::{unconfigured, unreadable},
    progress::Progress,
    words,
};
use crate::{failure::Failure, output::Output};

pub(super) async fn run(config: &Config, args: &Migrate, output: &Output) -> Result<(), Failure> {
    let order = order(config, args)?;
    let mut asked = if in_memory(args.from) || in_memory(args.to) {
        Asked::of_server(config, order).await?
    } else {
        Asked::of_myself(config, order).await?
    };
    let plan = match asked.next().await? {
        Said::Plan(plan) => plan,
        Said::SameFiles { from, to } => {
            let answer = json!({ "status": "same_files", "from": from, "to": to });
            let text = format!("{from} and {to} are the same files: set storage.mode = {:?}.", args.to.as_str());
            output.answer(&answer, text);
            return Ok(());
        }
        Said::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(AskError::Ended.into()),
    };
    say_plan(&plan, args, output);
    if args.writing.dry_run {
        return dry_run(&plan, asked, args, output).await;
    }
    if args.writing.replace && plan.in_target > 0 {
        confirm(
            &format!("Up to {} credentials in {} may be written over.", plan.in_target, plan.to),
            args.writing.yes,
        )?;
    }
    let report = tokio::select! {
        report = carry_out(&plan, asked, output) => report?,
        _ = tokio::signal::ctrl_c() => {
            let message = "interrupted; what was copied is in both places, and nothing is lost".into();
            return Err(Failure { code: "interrupted", message, fix: "Run it again: it finishes.".into(), exit: 130 });
        }
    };
    answer(&plan, &report, output);
    verdict(&plan, &report)
}

fn in_memory(mode: StorageMode) -> bool {
    mode == StorageMode::MemoryOnly
}

/// The order, with paths that mean the same to another process. What the command does not name is as that process has it.
fn order(config: &Config, args: &Migrate) -> Result<MigrationOrder, Failure> {
    let other_folder = args.to_data.as_ref().is_some_and(|folder| *folder != config.storage.directory);
    if args.from == args.to && (in_memory(args.from) || !other_folder) {
        return Err(unconfigured(format!("--from and --to are both {}: there is nothing to move", args.from)));
    }
    if in_memory(args.to) && args.to_data.is_some() {
        return Err(unconfigured("memory_only has no folder: leave --to-data out, or name another mode with --to"));
    }
    let absolute = |folder: &std::path::PathBuf| std::path::absolute(folder).map_err(|e| unreadable(folder, &e));
    Ok(MigrationOrder {
        from: args.from,
        to: args.to,
        folder: args.common.data.as_ref().map(absolute).transpose()?,
        to_folder: args.to_data.as_ref().map(absolute).transpose()?,
        delete_source: args.delete_source,
        replace: args.writing.replace,
        dry_run: args.writing.dry_run,
    })
}

fn say_plan(plan: &Planned, args: &Migrate, output: &Output) {
    output.say(format!("from  {}: {} credentials", plan.from, plan.credentials));
    output.say(format!("to    {}: {} of them are there already and are compared", plan.to, plan.in_target));
    for error in &plan.unreadable {
        output.say(format!("      cannot be read: {error}"));
    }
    output.say(match (args.delete_source, plan.unreadable.is_empty()) {
        (true, true) => "      the source is removed once all of them are verified in the target",
        (true, false) => "      the source stays, because of the records that cannot be read",
        (false, _) => "      the source stays",
    });
    if args.delete_source && in_memory(args.from) {
        output.say(
            "      the server has none of them then: whoever uses it until it has another storage.mode signs in again",
        );
    } else if args.delete_source {
        output
            .say("      stop the servers that use the source: what they refresh after its removal began would be lost");
    } else if in_memory(args.from) {
        output.say(
            "      what people grant after this is in the server's memory only: run it again right before you stop it",
        );
    }
    if args.delete_source && in_memory(args.to) {
        output.say("      note: they are in the server's memory only then, and gone when it stops");
    }
    if args.to == StorageMode::FilePlaintext {
        output.say("      note: whoever can read the folder can read the plain files");
    }
}

/// What became of each credential.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
    not_removed: Vec<Row>,
    removed: usize,
    /// Why it ended before its end.
    refused: Option<Refusal>,
}

impl Report {
    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count()
    }

    fn is_complete(&self, plan: &Planned) -> bool {
        self.failed() == 0 && self.not_removed.is_empty() && plan.unreadable.is_empty() && self.refused.is_none()
    }
}

/// Says that the plan is good, and hears all that follows.
async fn carry_out(plan: &Planned, mut asked: Asked, output: &Output) -> Result<Report, Failure> {
    asked.go().await?;
    let bars = [Progress::new("copied", plan.credentials, output), Progress::new("removed", plan.credentials, output)];
    let mut before = [0, 0];
    let progress = |copied, removed| {
        let now = [copied, removed];
        for ((bar, before), now) in bars.iter().zip(&mut before).zip(now) {
            if *before != now {
                *before = now;
                bar.at(now);
            }
        }
    };
    hear(&mut asked, progress).await
}

async fn hear(asked: &mut Asked, mut progress: impl FnMut(usize, usize)) -> Result<Report, Failure> {
    let mut report = Report::default();
    loop {
        match asked.next().await? {
            Said::Progress { copied, removed } => progress(copied, removed),
            Said::Result(row) => report.rows.push(row),
            Said::NotRemoved(row) => report.not_removed.push(row),
            Said::Done { removed } => return Ok(Report { removed, ..report }),
            Said::Refused(refusal) if report.rows.is_empty() => return Err(refusal.into()),
            Said::Refused(refusal) => return Ok(Report { refused: Some(refusal), ..report }),
            Said::Plan(_) | Said::SameFiles { .. } => return Err(AskError::Ended.into()),
        }
    }
}

/// What would become of each, without writing anything.
async fn dry_run(plan: &Planned, mut asked: Asked, args: &Migrate, output: &Output) -> Result<(), Failure> {
    let foreseen = hear(&mut asked, |_, _| {}).await?;
    let value = json!({
        "dry_run": true,
        "from": plan.from,
        "to": plan.to,
        "credentials": plan.credentials,
        "in_target": plan.in_target,
        "unreadable": plan.unreadable,
        "delete_source": args.delete_source,
        "results": foreseen.rows.iter().map(described).collect::<Vec<_>>(),
    });
    let mut lines: Vec<_> = foreseen
        .rows
        .iter()
        .filter_map(|row| match &row.outcome {
            Outcome::Failed(why) => Some(format!("{}: {why}", row.key)),
            Outcome::Arrived(_) | Outcome::Gone => None,
        })
        .collect();
    let failed = foreseen.failed();
    lines.push(format!("{} would be moved, {failed} could not. Nothing was written.", foreseen.rows.len() - failed));
    output.answer(&value, lines.join("\n"));
    Ok(())
}

fn described(Row { key, outcome }: &Row) -> Value {
    let mut fields = words::identity(key);
    let result = match outcome {
        Outcome::Arrived(arrival) => arrival.as_str(),
        Outcome::Gone => "gone",
        Outcome::Failed(_) => "failed",
    };
    fields.insert("result".into(), json!(result));
    if let Outcome::Failed(why) = outcome {
        fields.insert("why".into(), json!(why));
    }
    Value::Object(fields)
}

fn answer(plan: &Planned, report: &Report, output: &Output) {
    let Planned { from, to, credentials, unreadable, .. } = plan;
    let value = json!({
        "status": if report.is_complete(plan) { "done" } else { "partly_done" },
        "from": from,
        "to": to,
        "credentials": credentials,
        "unreadable": unreadable,
        "removed_from_source": report.removed,
        "not_removed": report.not_removed.iter().map(described).collect::<Vec<_>>(),
        "results": report.rows.iter().map(described).collect::<Vec<_>>(),
    });
    let mut lines: Vec<_> = report.rows.iter().map(|row| format!("{}: {}", row.key, in_words(&row.outcome))).collect();
    let still = |key: &CredentialKey, why: &str| format!("{key}: still in the source: {why}");
    lines.extend(report.not_removed.iter().filter_map(|row| match &row.outcome {
        Outcome::Failed(why) => Some(still(&row.key, why)),
        Outcome::Arrived(_) | Outcome::Gone => None,
    }));
    let failed = report.failed();
    let (arrived, removed) = (report.rows.len() - failed, report.removed);
    lines.push(format!("{arrived} are verified in {to}, {failed} failed, {removed} were removed from the source."));
    output.answer(&value, lines.join("\n"));
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Arrived(arrival) => arrival_in_words(*arrival).into(),
        Outcome::Gone => "somebody removed it from the source meanwhile".into(),
        Outcome::Failed(why) => format!("FAILED: {why}"),
    }
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

fn verdict(plan: &Planned, report: &Report) -> Result<(), Failure> {
    if report.is_complete(plan) {
        return Ok(());
    }
    if let Some(refusal) = &report.refused {
        return Err(refusal.clone().into());
    }
    let failed = report.failed() + plan.unreadable.len();
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

impl From<Refusal> for Failure {
    fn from(Refusal { code, message, fix }: Refusal) -> Self {
        match (code.as_str(), ErrorCode::ALL.iter().find(|known| known.as_str() == code)) {
            (_, Some(known)) => Self::of(*known, message).fix(fix),
            ("in_use", None) => Self::in_use(message, fix),
            ("interrupted", None) => Self { code: "interrupted", message, fix, exit: 9 },
            _ => Self::new(message, fix),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let said = error.to_string();
        match error {
            AskError::NoServer { looked_at, others, .. } => {
                let sockets: Vec<_> = looked_at.iter().map(|path| path.display().to_string()).collect();
                let message = format!(
                    "{said}: memory_only is in the memory of a server, and only a running one has it (looked for {})",
                    sockets.join(", ")
                );
                let others: Vec<_> = others.iter().map(ToString::to_string).collect();
                let running = match others.as_slice() {
                    [] => String::new(),
                    others => format!(" Running here: {}.", others.join(", ")),
                };
                let fix = format!(
                    "Start it with storage.mode = \"memory_only\" (authchain serve), or name the one that you mean with --host and \
                     --port. Run the command as the server's user, on its machine.{running}"
                );
                Self::not_found(message, fix)
            }
            AskError::Ended => Self::new(
                said,
                "Look whether it runs, and run it again: it finishes. What was copied is in the target.",
            ),
            AskError::Socket(_) | _ => Self::of(ErrorCode::Configuration, said)
                .fix("Run the command as the server's user; server.control_directory is a folder for that user alone."),
        }
    }
}
