//! What happens to requests before they are answered: they are counted, logged, held, delayed, and some meet a fault.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::{Endpoint, Fault, LoggedRequest};

/// How many requests the log keeps.
const LOG: usize = 10_000;

pub(crate) struct Traffic {
    ledger: Mutex<Ledger>,
    /// Changes at each arrival, so that it can be waited for.
    arrivals: watch::Sender<u64>,
    /// How many holds there are on each endpoint.
    holds: watch::Sender<BTreeMap<Endpoint, usize>>,
}

#[derive(Default)]
struct Ledger {
    requests: BTreeMap<Endpoint, u64>,
    log: VecDeque<LoggedRequest>,
    /// The number of the first request in the log.
    first: u64,
    delays: BTreeMap<Endpoint, Duration>,
    faults: Vec<(Endpoint, Fault, u64)>,
}

/// The number of a request in the log.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl Traffic {
    pub(crate) fn new() -> Self {
        Self { ledger: Mutex::default(), arrivals: watch::Sender::new(0), holds: watch::Sender::new(BTreeMap::new()) }
    }

    /// Counts and logs a request.
    pub(crate) fn arrive(&self, endpoint: Endpoint, method: &str, path: &str) -> Ticket {
        let ticket = {
            let mut ledger = self.lock();
            for counted in Endpoint::ALL.iter().filter(|other| endpoint.is_part_of(**other)) {
                *ledger.requests.entry(*counted).or_default() += 1;
            }
            if ledger.log.len() == LOG {
                ledger.log.pop_front();
                ledger.first += 1;
            }
            let request = LoggedRequest { endpoint, method: method.to_owned(), path: path.to_owned(), status: 0 };
            ledger.log.push_back(request);
            Ticket(ledger.first + ledger.log.len() as u64 - 1)
        };
        self.arrivals.send_modify(|n| *n += 1);
        ticket
    }

    /// Waits for holds and delays, and takes the fault that this request is to meet.
    pub(crate) async fn pass(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut holds = self.holds.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = holds.wait_for(|held| !held.iter().any(|(other, n)| *n > 0 && endpoint.is_part_of(*other))).await;
        let delay = self.delay_of(endpoint);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.take_fault(endpoint)
    }

    /// Notes how a request was answered.
    pub(crate) fn answered(&self, ticket: Ticket, status: u16) {
        let mut ledger = self.lock();
        let index = ticket.0.checked_sub(ledger.first).and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| ledger.log.get_mut(index)) {
            request.status = status;
        }
    }

    pub(crate) fn delay(&self, endpoint: Endpoint, by: Duration) {
        self.lock().delays.insert(endpoint, by);
    }

    pub(crate) fn inject(&self, endpoint: Endpoint, fault: Fault, times: u64) {
        self.lock().faults.push((endpoint, fault, times));
    }

    pub(crate) fn hold(&self, endpoint: Endpoint) {
        self.holds.send_modify(|held| *held.entry(endpoint).or_default() += 1);
    }

    pub(crate) fn let_go(&self, endpoint: Endpoint) {
        self.holds.send_modify(|held| {
            if let Some(n) = held.get_mut(&endpoint) {
                *n = n.saturating_sub(1);
            }
        });
    }

    /// No more delays and faults.
    pub(crate) fn heal(&self) {
        let mut ledger = self.lock();
        ledger.delays.clear();
        ledger.faults.clear();
    }

    pub(crate) fn requests(&self, endpoint: Endpoint) -> u64 {
        self.lock().requests.get(&endpoint).copied().unwrap_or(0)
    }

    pub(crate) async fn arrived(&self, endpoint: Endpoint, requests: u64) {
        let mut arrivals = self.arrivals.subscribe();
        let _ = arrivals.wait_for(|_| self.requests(endpoint) >= requests).await;
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        self.lock().log.iter().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        let mut ledger = self.lock();
        ledger.first += ledger.log.len() as u64;
        ledger.log.clear();
        ledger.requests.clear();
    }

    fn delay_of(&self, endpoint: Endpoint) -> Duration {
        let ledger = self.lock();
        let all = ledger.delays.iter().filter(|(other, _)| endpoint.is_part_of(**other));
        all.map(|(_, delay)| *delay).max().unwrap_or_default()
    }

    fn take_fault(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut ledger = self.lock();
        let (_, fault, times) =
            ledger.faults.iter_mut().find(|(other, _, times)| *times > 0 && endpoint.is_part_of(*other))?;
        if *times < u64::MAX {
            *times -= 1;
        }
        Some(fault.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_strikes_as_often_as_it_was_told_to() {
        let traffic = Traffic::new();
        traffic.inject(Endpoint::Token, Fault::Garbage, 2);
        assert_eq!(traffic.pass(Endpoint::Drive).await, None);
        assert_eq!(traffic.pass(Endpoint::Refresh).await, Some(Fault::Garbage));
        assert_eq!(traffic.pass(Endpoint::Code).await, Some(Fault::Garbage));
        assert_eq!(traffic.pass(Endpoint::Refresh).await, None);
    }

    #[test]
    fn the_log_forgets_the_oldest_and_still_finds_the_rest() {
        let traffic = Traffic::new();
        let first = traffic.arrive(Endpoint::Drive, "GET", "/drive/v3/files");
        for _ in 0..LOG {
            traffic.arrive(Endpoint::Gmail, "GET", "/gmail/v1/users/me/profile");
        }
        let last = traffic.arrive(Endpoint::Drive, "GET", "/drive/v3/files");
        traffic.answered(first, 500);
        traffic.answered(last, 200);
        assert_eq!(traffic.log().len(), LOG);
        assert_eq!(traffic.log().last().unwrap().status, 200);
        assert_eq!(traffic.requests(Endpoint::Any), LOG as u64 + 2);
    }
}
