//! Moving every credential from one store to another: planned, copied many at a time, each read back and compared, and
//! only when all of them have arrived, and only if asked, removed from where they were.
//!
//! There is no journal to keep or to lose: what is in the target already is recognized. So a migration that was killed at
//! any moment is finished by running it again, and no credential is ever in neither place.

mod place;

use std::collections::BTreeSet;

use authchain_core::{Cause, CredentialKey, Expect, KeyFilter, StoreError};
use futures_util::{FutureExt, StreamExt, future, stream};

pub use self::place::{Place, PlaceError};
use crate::transfer::{self, Arrival, Collision, TransferError};

/// How many credentials are on their way at once. Twice what the file stores commit together, so that the next group is
/// ready when one is done.
const AT_ONCE: usize = 512;

/// How often a credential is compared again before its removal where somebody changes it at the same moment.
const TRIES: usize = 8;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// What there is in the source, in the order of the keys.
    pub keys: Vec<CredentialKey>,
    /// How many of them have a record in the target already, which is compared and not written over.
    pub in_target: usize,
    /// Records of the source that do not even say whose they are. With one of them nothing is removed from the source.
    pub unreadable: Vec<StoreError>,
}

/// How to do it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Removes each credential from the source once all of them are in the target.
    pub delete_source: bool,
    /// What to do where the target holds another credential for the same account.
    pub collision: Collision,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many credentials of the plan were dealt with.
    Copied(usize),
    /// So many credentials were removed from the source.
    Removed(usize),
}

/// What became of one credential.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the target; so it was read there.
    Arrived(Arrival),
    /// Somebody removed it from the source after the plan was made.
    Gone,
    /// It is in the source only.
    Failed(TransferError),
}

/// What a migration did.
#[derive(Debug)]
pub struct Report {
    /// What became of each credential of the plan, in its order.
    pub outcomes: Vec<(CredentialKey, Outcome)>,
    /// How many were removed from the source.
    pub removed: usize,
    /// Those that could not be removed from the source, and are in both places.
    pub not_removed: Vec<(CredentialKey, TransferError)>,
}

impl Report {
    /// Whether every credential of the plan is in the target, and in the target only if that was asked.
    pub fn is_complete(&self) -> bool {
        self.failures().next().is_none() && self.not_removed.is_empty()
    }

    /// Whether it says what became of every credential of the plan: it was not stopped before.
    pub fn is_of(&self, plan: &Plan) -> bool {
        self.outcomes.len() == plan.keys.len()
    }

    /// What did not arrive.
    pub fn failures(&self) -> impl Iterator<Item = (&CredentialKey, &TransferError)> {
        self.outcomes.iter().filter_map(|(key, outcome)| match outcome {
            Outcome::Failed(error) => Some((key, error)),
            Outcome::Arrived(_) | Outcome::Gone => None,
        })
    }
}

/// Looks at both places and says what there is to do.
///
/// # Errors
/// [`StoreError`] when one of them cannot be listed at all.
pub async fn plan(from: &Place, to: &Place) -> Result<Plan, StoreError> {
    let (mut keys, mut unreadable) = (BTreeSet::new(), Vec::new());
    let mut listed = from.store().list(&KeyFilter::default());
    while let Some(key) = listed.next().await {
        match key {
            Ok(key) => drop(keys.insert(key)),
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            Err(error) => unreadable.push(error),
        }
    }
    let mut in_target = 0;
    let mut listed = to.store().list(&KeyFilter::default());
    while let Some(key) = listed.next().await {
        match key {
            Ok(key) => in_target += usize::from(keys.contains(&key)),
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            // A broken record of the target is no business of this migration, unless its own record meets it.
            Err(_) => {}
        }
    }
    Ok(Plan { keys: keys.into_iter().collect(), in_target, unreadable })
}

/// Carries out a plan. A credential that fails does not keep the others from arriving; it keeps all of them in the source.
///
/// Nobody should write in the source meanwhile: what a server refreshes there after its credential was copied is brought
/// along before the removal, which takes nothing that has not arrived; what it writes after that stays there.
pub async fn run(plan: &Plan, from: &Place, to: &Place, options: Options, progress: impl Fn(Step)) -> Report {
    run_until(plan, from, to, options, progress, future::pending()).await
}

/// As [`run`]; once `stop` is ready, the credentials that are on their way arrive and no others set out. What is left of
/// the plan has no outcome in the report then ([`Report::is_of`]), and where not all have arrived nothing is removed.
pub async fn run_until(
    plan: &Plan,
    from: &Place,
    to: &Place,
    options: Options,
    progress: impl Fn(Step),
    stop: impl Future<Output = ()>,
) -> Report {
    let stop = stop.shared();
    let mut done = 0;
    let copy = |key: CredentialKey| async move {
        let outcome = copy(&key, from, to, options.collision).await;
        (key, outcome)
    };
    let setting_out = stream::iter(plan.keys.iter().cloned()).take_until(stop.clone());
    let mut copies = setting_out.map(copy).buffer_unordered(AT_ONCE);
    let mut outcomes = Vec::with_capacity(plan.keys.len());
    while let Some(outcome) = copies.next().await {
        outcomes.push(outcome);
        done += 1;
        progress(Step::Copied(done));
    }
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut report = Report { outcomes, removed: 0, not_removed: Vec::new() };
    let all_arrived = plan.unreadable.is_empty() && report.is_of(plan) && report.failures().next().is_none();
    if options.delete_source && all_arrived {
        remove(&mut report, from, to, options.collision, progress, stop).await;
    }
    report
}

async fn copy(key: &CredentialKey, from: &Place, to: &Place, collision: Collision) -> Outcome {
    match from.store().get(key).await {
        Ok(Some(found)) => match transfer::bring(to.store(), key, &found.value, collision).await {
            Ok(arrival) => Outcome::Arrived(arrival),
            Err(error) => Outcome::Failed(error),
        },
        Ok(None) => Outcome::Gone,
        Err(error) => Outcome::Failed(error.into()),
    }
}

/// Removes from the source what has arrived; each is compared once more before.
async fn remove(
    report: &mut Report,
    from: &Place,
    to: &Place,
    collision: Collision,
    progress: impl Fn(Step),
    stop: impl Future<Output = ()> + Unpin,
) {
    let arrived = report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Arrived(_)));
    let keys: Vec<CredentialKey> = arrived.map(|(key, _)| key.clone()).collect();
    let remove = |key: CredentialKey| async move {
        let removed = remove_one(&key, from, to, collision).await;
        (key, removed)
    };
    let mut removals = stream::iter(keys).take_until(stop).map(remove).buffer_unordered(AT_ONCE);
    while let Some((key, removed)) = removals.next().await {
        match removed {
            Ok(()) => {
                report.removed += 1;
                progress(Step::Removed(report.removed));
            }
            Err(error) => report.not_removed.push((key, error)),
        }
    }
}

/// Removes the version that has arrived and no other. A server that goes on working may write in between: then the newer
/// one is brought along first.
async fn remove_one(key: &CredentialKey, from: &Place, to: &Place, collision: Collision) -> Result<(), TransferError> {
    for _ in 0..TRIES {
        let Some(found) = from.store().get(key).await? else { return Ok(()) };
        transfer::bring(to.store(), key, &found.value, collision).await?;
        match from.store().delete(key, Expect::Version(found.version)).await {
            Err(StoreError::Conflict { .. }) => {}
            // Already gone is as good: what was last there has arrived.
            removed => return Ok(removed.map(drop)?),
        }
    }
    let cause = Cause::text("somebody changes it all the time");
    Err(StoreError::Unavailable { what: format!("remove {key}"), cause }.into())
}
