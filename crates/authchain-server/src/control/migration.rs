//! An order to move credentials, carried out: the plan, the word to go, every credential, and what became of each.

use std::{io, path::absolute, pin::pin, sync::Arc, time::Duration};

use authchain::{
    accounts::Accounts,
    core::{CredentialKey, ErrorCode, with_causes},
    provider::CredentialManager,
    store::{
        StorageMode,
        migrate::{self, Options, Place, Plan, Report, Step},
        transfer::{self, Arrival, Collision, TransferError},
    },
};
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Mutex, watch},
    time::timeout,
};
use tracing::warn;

use super::{
    place::{IfMissing, open_place},
    wire::{Hearing, MigrationOrder, Ordered, Outcome, Planned, Refusal, Row, Said, Saying, wire},
};
use crate::config::StorageSection;

/// How long an order may take to be said.
const ORDER: Duration = Duration::from_secs(5);

/// How long a person may look at a plan. Nobody else can migrate meanwhile.
const THOUGHT: Duration = Duration::from_secs(10 * 60);

/// How many credentials a dry run looks at together.
const AT_ONCE: usize = 64;

/// What a server has in its own memory.
pub(crate) struct Memory {
    pub(crate) place: Place,
    pub(crate) manager: Arc<CredentialManager>,
    pub(crate) accounts: Arc<Accounts>,
}

/// Carries out orders, one after the other, between the stores of one configuration.
pub(crate) struct Migrations {
    storage: StorageSection,
    /// With `memory_only`.
    memory: Option<Memory>,
    one_at_a_time: Mutex<()>,
}

/// What an order came to: for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) credentials: usize,
    pub(crate) arrived: usize,
    pub(crate) removed: usize,
}

/// Why a conversation ended early.
enum Ended {
    /// The other end is told.
    Refused(Refusal),
    /// The other end is gone.
    Gone,
}

impl<E: Into<Refusal>> From<E> for Ended {
    fn from(refusal: E) -> Self {
        Self::Refused(refusal.into())
    }
}

/// The two ends of a migration.
struct Ends {
    from: Place,
    to: Place,
}

impl Migrations {
    /// Between the stores of a configuration.
    pub(crate) fn new(storage: StorageSection, memory: Option<Memory>) -> Self {
        Self { storage, memory, one_at_a_time: Mutex::new(()) }
    }

    /// Hears one order and carries it out. When `stop` is ready, or the other end is gone, what is on its way arrives and
    /// the rest stays where it is. What was done, if anything was.
    pub(crate) async fn attend<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        stop: impl Future<Output = ()>,
    ) -> Option<Carried> {
        let (mut hearing, mut saying) = wire(stream);
        let mut carried = None;
        let last = match self.converse(&mut hearing, &mut saying, stop, &mut carried).await {
            Ok(last) => last,
            Err(Ended::Refused(refusal)) => Said::Refused(refusal),
            Err(Ended::Gone) => return carried,
        };
        // Nobody has to be there to hear it.
        if saying.note(&last).is_ok() {
            let _ = saying.flush_to_a_listener(ORDER).await;
        }
        carried
    }

    async fn converse<S: AsyncRead + AsyncWrite>(
        &self,
        hearing: &mut Hearing<S>,
        saying: &mut Saying<S>,
        stop: impl Future<Output = ()>,
        carried: &mut Option<Carried>,
    ) -> Result<Said, Ended> {
        let Ordered::Migrate(order) = hear(hearing, ORDER).await? else {
            return Err(not_understood("no plan yet").into());
        };
        let Ok(turn) = self.one_at_a_time.try_lock() else { return Err(busy().into()) };
        let ends = self.open(&order).await?;
        let (from, to) = (ends.from.to_string(), ends.to.to_string());
        if ends.from.is_same_as(&ends.to) {
            return Ok(Said::SameFiles { from, to });
        }
        let plan = migrate::plan(&ends.from, &ends.to).await?;
        let planned = Planned {
            from: from.clone(),
            to: to.clone(),
            credentials: plan.keys.len(),
            in_target: plan.in_target,
            unreadable: plan.unreadable.iter().map(ToString::to_string).collect(),
        };
        tell(saying, &Said::Plan(planned)).await?;
        let collision = if order.replace { Collision::Replace } else { Collision::Refuse };
        if order.dry_run {
            for row in foresee(&plan, &ends, collision).await {
                note(saying, &Said::Result(row))?;
            }
            return Ok(Said::Done { removed: 0 });
        }
        let Ordered::Go = hear(hearing, THOUGHT).await? else { return Err(not_understood("there is a plan").into()) };

        let options = Options { delete_source: order.delete_source, collision };
        let report = run(&plan, &ends, options, hearing, saying, stop).await;
        self.remember(&order, &report).await;
        drop(turn);
        let arrived = report.outcomes.len() - report.failures().count();
        *carried = Some(Carried { from, to, credentials: plan.keys.len(), arrived, removed: report.removed });
        for (key, outcome) in &report.outcomes {
            note(saying, &Said::Result(Row { key: key.clone(), outcome: outcome.into() }))?;
        }
        for (key, error) in &report.not_removed {
            note(saying, &Said::NotRemoved(Row { key: key.clone(), outcome: Outcome::Failed(with_causes(error)) }))?;
        }
        Ok(if is_whole(&plan, &report, options) {
            Said::Done { removed: report.removed }
        } else {
            Said::Refused(stopped())
        })
    }

    /// Opens both ends.
    async fn open(&self, order: &MigrationOrder) -> Result<Ends, Refusal> {
        let folder = order.folder.as_ref().unwrap_or(&self.storage.directory);
        let missing = if order.dry_run { IfMissing::Empty } else { IfMissing::Create };
        let from = self.end(order.from, folder, IfMissing::Empty).await?;
        let to = self.end(order.to, order.to_folder.as_ref().unwrap_or(folder), missing).await?;
        Ok(Ends { from, to })
    }

    async fn end(&self, mode: StorageMode, folder: &std::path::Path, missing: IfMissing) -> Result<Place, Refusal> {
        if mode == StorageMode::MemoryOnly {
            let Some(memory) = &self.memory else { return Err(other_mode(self.storage.mode)) };
            // What the store did not take would be left behind.
            memory.manager.flush().await?;
            return Ok(memory.place.clone());
        }
        let directory = absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Ok(open_place(&StorageSection { mode, directory, ..self.storage.clone() }, missing).await?)
    }

    /// What the server holds of credentials that came or went is looked at anew, and who linked which account is known
    /// before somebody asks.
    async fn remember(&self, order: &MigrationOrder, report: &Report) {
        let Some(memory) = &self.memory else { return };
        let of_memory = |mode| mode == StorageMode::MemoryOnly;
        let changed = of_memory(order.to) || (of_memory(order.from) && order.delete_source);
        if !changed {
            return;
        }
        for (key, _) in &report.outcomes {
            memory.manager.changed_elsewhere(Some(key));
        }
        if of_memory(order.to)
            && let Err(error) = memory.accounts.recover_again().await
        {
            warn!(%error, "linked accounts could not be looked for beside the credentials that were moved here");
        }
    }
}

/// Carries out the plan, and says how far it is to whoever listens. Nobody who listens slowly slows it down.
async fn run<S: AsyncRead + AsyncWrite>(
    plan: &Plan,
    ends: &Ends,
    options: Options,
    hearing: &mut Hearing<S>,
    saying: &mut Saying<S>,
    stop: impl Future<Output = ()>,
) -> Report {
    let (progress, mut changed) = watch::channel((0, 0));
    let step = |step| {
        progress.send_modify(|(copied, removed)| match step {
            Step::Copied(done) => *copied = done,
            Step::Removed(done) => *removed = done,
        });
    };
    let over = async {
        tokio::select! {
            () = hearing.gone() => {}
            () = stop => {}
        }
    };
    let mut running = pin!(migrate::run_until(plan, &ends.from, &ends.to, options, step, over));
    let report = loop {
        let told = async {
            // The sender lives as long as the migration.
            let _ = changed.changed().await;
            let (copied, removed) = *changed.borrow_and_update();
            // Whoever is gone is noticed by `hearing`.
            let _ = saying.say(&Said::Progress { copied, removed }).await;
        };
        tokio::select! {
            report = &mut running => break report,
            () = told => {}
        }
    };
    let (copied, removed) = *progress.borrow();
    let _ = saying.note(&Said::Progress { copied, removed });
    report
}

/// What would become of each, without writing anything.
async fn foresee(plan: &Plan, ends: &Ends, collision: Collision) -> Vec<Row> {
    let foresee = |key: CredentialKey| async move {
        let foreseen = match ends.from.store().get(&key).await {
            Ok(Some(found)) => transfer::foresee(ends.to.store(), &key, &found.value, collision).await,
            Ok(None) => Ok(Arrival::AlreadyThere),
            Err(error) => Err(error.into()),
        };
        let outcome = foreseen.map_or_else(|error| Outcome::Failed(problem(&error)), Outcome::Arrived);
        Row { key, outcome }
    };
    stream::iter(plan.keys.iter().cloned()).map(foresee).buffered(AT_ONCE).collect().await
}

impl From<&migrate::Outcome> for Outcome {
    fn from(outcome: &migrate::Outcome) -> Self {
        match outcome {
            migrate::Outcome::Arrived(arrival) => Self::Arrived(*arrival),
            migrate::Outcome::Gone => Self::Gone,
            migrate::Outcome::Failed(error) => Self::Failed(problem(error)),
        }
    }
}

/// What went wrong with one credential, and what to do.
pub fn problem(error: &TransferError) -> String {
    match error {
        TransferError::Occupied(_) => format!("{error}; it stays, unless --replace says otherwise"),
        other => with_causes(other),
    }
}

/// Whether nothing of the plan was left out because somebody stopped it.
fn is_whole(plan: &Plan, report: &Report, options: Options) -> bool {
    let arrived =
        || report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, migrate::Outcome::Arrived(_))).count();
    let removing = options.delete_source && plan.unreadable.is_empty() && report.failures().next().is_none();
    report.is_of(plan) && (!removing || report.removed + report.not_removed.len() == arrived())
}

async fn hear<S: AsyncRead>(hearing: &mut Hearing<S>, patience: Duration) -> Result<Ordered, Ended> {
    match timeout(patience, hearing.hear()).await {
        Ok(Ok(Some(ordered))) => Ok(ordered),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(not_understood(&error.to_string()).into()),
        Ok(Ok(None) | Err(_)) => Err(Ended::Gone),
        Err(_) => Err(too_slow().into()),
    }
}

async fn tell<S: AsyncWrite>(saying: &mut Saying<S>, what: &Said) -> Result<(), Ended> {
    saying.say(what).await.map_err(|_| Ended::Gone)
}

fn note<S: AsyncWrite>(saying: &mut Saying<S>, what: &Said) -> Result<(), Ended> {
    saying.note(what).map_err(|_| Ended::Gone)
}

fn busy() -> Refusal {
    Refusal {
        code: "in_use".into(),
        message: "the server is moving credentials already, for another command".into(),
        fix: "Wait until that one ends, and run it again: it finishes.".into(),
    }
}

fn stopped() -> Refusal {
    Refusal {
        code: "interrupted".into(),
        message: "the server was stopped meanwhile; what was copied is verified in the target".into(),
        fix: "Start it and run it again: it finishes. What a server kept with memory_only only is gone when it stops."
            .into(),
    }
}

fn too_slow() -> Refusal {
    Refusal {
        code: "interrupted".into(),
        message: "nobody said in time whether the plan is good; nothing was moved".into(),
        fix: "Run it again.".into(),
    }
}

fn not_understood(why: &str) -> Refusal {
    Refusal::of(ErrorCode::Configuration, format!("the server does not understand the order: {why}"))
        .fix("Server and command have to be of one version: start the server again with this program.")
}

fn other_mode(mode: StorageMode) -> Refusal {
    let (why, fix) = match mode {
        StorageMode::MemoryWithBackup => (
            "what it has in memory is the same as its sealed files",
            "Say memory_with_backup instead of memory_only: that needs no server.",
        ),
        _ => ("it keeps nothing in memory only", "Name the mode that it has; --host and --port name another server."),
    };
    let why = format!("the server that runs there has storage.mode = \"{mode}\": {why}");
    Refusal::of(ErrorCode::Configuration, why).fix(fix)
}
