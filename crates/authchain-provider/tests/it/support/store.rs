//! A store in memory that fails on command, counts what is asked of it, and lets a rival write first.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use authchain_core::{
    BoxStream, Cause, Credential, CredentialKey, CredentialStore, Expect, KeyFilter, StoreError, Version, Versioned,
};
use tokio::sync::watch;

type Rival = Box<dyn FnOnce(&TestStore) + Send>;

#[derive(Default)]
pub(crate) struct TestStore {
    records: Mutex<HashMap<CredentialKey, Versioned<Credential>>>,
    versions: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    failing_reads: AtomicBool,
    failing_writes: AtomicBool,
    hanging_writes: AtomicBool,
    /// Closed, answers to reads are on their way until it is opened.
    reading_gate: watch::Sender<bool>,
    failing_deletes: AtomicBool,
    rival: Mutex<Option<Rival>>,
}

impl TestStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What is stored now, read beside the counters.
    pub(crate) fn stored(&self, key: &CredentialKey) -> Option<Credential> {
        self.records.lock().unwrap().get(key).map(|record| record.value.clone())
    }

    /// Writes as another process would.
    pub(crate) fn set(&self, key: &CredentialKey, value: Credential) {
        let version = Version(self.versions.fetch_add(1, Ordering::SeqCst));
        self.records.lock().unwrap().insert(key.clone(), Versioned { value, version });
    }

    /// Removes as another process would.
    pub(crate) fn remove(&self, key: &CredentialKey) {
        self.records.lock().unwrap().remove(key);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_reads(&self, fail: bool) {
        self.failing_reads.store(fail, Ordering::SeqCst);
    }

    /// What is read from now on is what is stored at that moment, and arrives when the gate is opened.
    pub(crate) fn hold_reads(&self, hold: bool) {
        self.reading_gate.send_replace(hold);
    }

    pub(crate) fn fail_writes(&self, fail: bool) {
        self.failing_writes.store(fail, Ordering::SeqCst);
    }

    /// Writes neither succeed nor fail.
    pub(crate) fn hang_writes(&self, hang: bool) {
        self.hanging_writes.store(hang, Ordering::SeqCst);
    }

    pub(crate) fn fail_deletes(&self, fail: bool) {
        self.failing_deletes.store(fail, Ordering::SeqCst);
    }

    /// Just before the next write, somebody else does this.
    pub(crate) fn before_next_write(&self, rival: impl FnOnce(&Self) + Send + 'static) {
        *self.rival.lock().unwrap() = Some(Box::new(rival));
    }

    fn fail(flag: &AtomicBool, what: &str) -> Result<(), StoreError> {
        if flag.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { what: what.into(), cause: Cause::text("the disk is full") });
        }
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for TestStore {
    async fn get(&self, key: &CredentialKey) -> Result<Option<Versioned<Credential>>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Self::fail(&self.failing_reads, "reading")?;
        let read = self.records.lock().unwrap().get(key).cloned();
        self.reading_gate.subscribe().wait_for(|held| !held).await.unwrap();
        Ok(read)
    }

    async fn put(&self, key: &CredentialKey, value: &Credential, expect: Expect) -> Result<Version, StoreError> {
        Self::fail(&self.failing_writes, "writing")?;
        if self.hanging_writes.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let rival = self.rival.lock().unwrap().take();
        if let Some(rival) = rival {
            rival(self);
        }
        let mut records = self.records.lock().unwrap();
        if !expect.allows(records.get(key).map(|record| record.version)) {
            return Err(StoreError::Conflict { what: key.to_string() });
        }
        let version = Version(self.versions.fetch_add(1, Ordering::SeqCst));
        records.insert(key.clone(), Versioned { value: value.clone(), version });
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(version)
    }

    async fn delete(&self, key: &CredentialKey, expect: Expect) -> Result<bool, StoreError> {
        Self::fail(&self.failing_deletes, "deleting")?;
        let mut records = self.records.lock().unwrap();
        let Some(record) = records.get(key) else { return Ok(false) };
        if !expect.allows(Some(record.version)) {
            return Err(StoreError::Conflict { what: key.to_string() });
        }
        Ok(records.remove(key).is_some())
    }

    fn list(&self, filter: &KeyFilter) -> BoxStream<'_, Result<CredentialKey, StoreError>> {
        let records = self.records.lock().unwrap();
        let keys: Vec<_> = records.keys().filter(|key| filter.matches(key)).cloned().map(Ok).collect();
        Box::pin(futures_util::stream::iter(keys))
    }
}
