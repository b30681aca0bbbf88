//! One thread that works for everyone: what arrives while it works is done together next. Of writers many share the cost of
//! one sync so (group commit), of readers that of waking a thread.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError, TryRecvError},
    thread,
    time::Duration,
};

use authchain_core::{Cause, StoreError};
use tokio::sync::oneshot;

/// How many jobs are written together at most.
const LARGEST_BATCH: usize = 256;

/// After a batch of several, how long the next one waits for those who were just answered to come back.
const LINGER: Duration = Duration::from_micros(60);

/// A hand to the writing thread. The thread ends when the last hand is gone and everything given to it is written.
#[derive(Debug)]
pub(crate) struct Writer<J> {
    jobs: mpsc::Sender<J>,
}

impl<J: Send + 'static> Writer<J> {
    /// Starts the thread. `write` gets one to 256 jobs at a time, in the order they came, and answers each.
    pub(crate) fn start(name: &str, write: impl FnMut(Vec<J>) + Send + 'static) -> Result<Self, StoreError> {
        Self::lingering(name, LINGER, write)
    }

    /// The same for jobs that cost so little that nobody should wait for others.
    pub(crate) fn prompt(name: &str, work: impl FnMut(Vec<J>) + Send + 'static) -> Result<Self, StoreError> {
        Self::lingering(name, Duration::ZERO, work)
    }

    fn lingering(
        name: &str,
        linger: Duration,
        mut write: impl FnMut(Vec<J>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::channel();
        let run = move || {
            let mut alone = true;
            while let Ok(first) = inbox.recv() {
                let mut batch = vec![first];
                while batch.len() < LARGEST_BATCH {
                    match inbox.try_recv() {
                        Ok(job) => batch.push(job),
                        Err(TryRecvError::Disconnected) => break,
                        Err(TryRecvError::Empty) if alone || linger.is_zero() => break,
                        Err(TryRecvError::Empty) => match inbox.recv_timeout(linger) {
                            Ok(job) => batch.push(job),
                            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                        },
                    }
                }
                alone = batch.len() == 1;
                write(batch);
            }
        };
        let started = thread::Builder::new().name(name.to_owned()).spawn(run);
        started.map_err(|e: io::Error| StoreError::unavailable("start the writing thread", e))?;
        Ok(Self { jobs })
    }

    /// Gives a job to the thread and waits for its answer. The job is done even if nobody waits any more.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(Reply(reply))).map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Reply<T>(oneshot::Sender<Result<T, StoreError>>);

impl<T> Reply<T> {
    /// Answers; whoever has gone away does not hear it.
    pub(crate) fn send(self, answer: Result<T, StoreError>) {
        let _ = self.0.send(answer);
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { what: "write".into(), cause: Cause::text("the writing thread has stopped") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_arrives_during_a_write_is_written_together_and_in_order() {
        let (go, gate) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel::<Vec<u32>>();
        let writer = Writer::start("test", move |batch: Vec<(u32, Reply<u32>)>| {
            gate.recv().unwrap();
            tell.send(batch.iter().map(|job| job.0).collect()).unwrap();
            for (n, reply) in batch {
                reply.send(Ok(n * 10));
            }
        })
        .unwrap();
        let asks = (0..20).map(|n| writer.ask(move |reply| (n, reply)));
        let open = async {
            // By now all twenty have been given to the thread, which still waits at the gate with the first.
            go.send(()).unwrap();
            go.send(()).unwrap();
            go.send(()).unwrap();
        };
        let (answers, ()) = tokio::join!(futures_util::future::try_join_all(asks), open);
        assert_eq!(answers.unwrap(), (0..20).map(|n| n * 10).collect::<Vec<_>>());
        let batches: Vec<Vec<u32>> = told.try_iter().collect();
        assert!(batches.len() <= 3, "{batches:?}");
        assert_eq!(batches.concat(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn when_the_thread_has_died_an_error_says_so() {
        let writer = Writer::start("test", |_: Vec<Reply<()>>| panic!("a bug")).unwrap();
        assert!(matches!(writer.ask(|reply| reply).await, Err(StoreError::Unavailable { .. })));
        assert!(matches!(writer.ask(|reply| reply).await, Err(StoreError::Unavailable { .. })));
    }
}
