//! What a command and a server say to each other: lines of JSON, with a greatest length.

use std::{io, path::PathBuf, time::Duration};

use authchain::{
    core::{AuthError, CredentialKey, ErrorCode, StoreError, with_causes},
    store::{StorageMode, transfer::Arrival},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::timeout,
};

use crate::StartError;

/// The longest line. A plan with ten thousand records that cannot be read fits.
const LONGEST: usize = 4 << 20;

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ordered {
    /// To move credentials. The answer is a plan.
    Migrate(MigrationOrder),
    /// To carry out the plan.
    Go,
}

/// From where to where credentials are to be moved, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationOrder {
    /// The mode of the store that they are in.
    pub from: StorageMode,
    /// The mode of the store that they are to be in.
    pub to: StorageMode,
    /// The folder of both, as an absolute path; without it the one of the configuration.
    pub folder: Option<PathBuf>,
    /// The folder to move them to, if it is another one, as an absolute path.
    pub to_folder: Option<PathBuf>,
    /// Removes them from the source once all of them are verified in the target.
    pub delete_source: bool,
    /// Writes over other credentials of the same accounts.
    pub replace: bool,
    /// Ends after the plan, with what would become of each.
    pub dry_run: bool,
}

/// What a server answers, in this order: the plan; how far it is, any number of times; what became of each; the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// Both ends are the same records: there is nothing to do, and this is the end.
    SameFiles {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// What there is to do. Nothing happens before the command says so.
    Plan(Planned),
    /// So many credentials were dealt with.
    Progress {
        /// Copied and verified, or failed.
        copied: usize,
        /// Removed from the source.
        removed: usize,
    },
    /// What became of one credential, or would.
    Result(Row),
    /// A credential that arrived and could not be removed from the source.
    NotRemoved(Row),
    /// The end.
    Done {
        /// How many were removed from the source.
        removed: usize,
    },
    /// The end, before there was a plan or before all of it was done.
    Refused(Refusal),
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The source, for people.
    pub from: String,
    /// The target, for people.
    pub to: String,
    /// How many credentials are in the source.
    pub credentials: usize,
    /// How many of them are in the target already.
    pub in_target: usize,
    /// Why some cannot be read.
    pub unreadable: Vec<String>,
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which.
    pub key: CredentialKey,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the target.
    Arrived(Arrival),
    /// Somebody removed it from the source meanwhile.
    Gone,
    /// It is in the source only, and why.
    Failed(String),
}

/// Why an order is not carried out, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// A code of the table of codes, or a word of the command's own.
    pub code: String,
    /// Why.
    pub message: String,
    /// What to do.
    pub fix: String,
}

impl Refusal {
    /// With a row of the table of codes.
    pub(super) fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: code.as_str().into(), message: message.into(), fix: code.what_to_do().into() }
    }

    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self::of(error.code(), with_causes(&error))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        AuthError::from(error).into()
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Auth(error) => error.into(),
            other => Self::of(ErrorCode::Configuration, other.to_string()),
        }
    }
}

/// One end of the line that reads. Reading is never torn by being given up.
pub(super) struct Hearing<S> {
    read: ReadHalf<S>,
    begun: Vec<u8>,
}

/// One end of the line that writes. What was begun to be said is said before anything else, also when it was given up.
pub(super) struct Saying<S> {
    write: WriteHalf<S>,
    waiting: Vec<u8>,
    /// How much of it is written.
    written: usize,
}

/// Both halves of one end.
pub(super) fn wire<S: AsyncRead + AsyncWrite>(stream: S) -> (Hearing<S>, Saying<S>) {
    let (read, write) = split(stream);
    (Hearing { read, begun: Vec::new() }, Saying { write, waiting: Vec::new(), written: 0 })
}

impl<S: AsyncRead> Hearing<S> {
    /// The next line. `None` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for a line that means nothing here, or is too long; otherwise what reading gives.
    pub(super) async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.begun.iter().skip(searched).position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=searched + at).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|e| invalid(e.to_string()));
            }
            searched = self.begun.len();
            if searched > LONGEST {
                return Err(invalid("a line is too long"));
            }
            if self.read.read_buf(&mut self.begun).await? == 0 {
                return if searched == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Ready when the other end has gone, or says something where nothing is to be said.
    pub(super) async fn gone(&mut self) {
        if self.begun.is_empty() {
            let _ = self.read.read_buf(&mut self.begun).await;
        }
    }
}

impl<S: AsyncWrite> Saying<S> {
    /// Says something, and all that was begun before.
    ///
    /// # Errors
    /// What writing gives.
    pub(super) async fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        self.note(what)?;
        self.flush().await
    }

    /// Says it together with what comes next.
    pub(super) fn note(&mut self, what: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.waiting, what)?;
        self.waiting.push(b'\n');
        Ok(())
    }

    /// Says all that was begun.
    async fn flush(&mut self) -> io::Result<()> {
        while self.write_some().await? {}
        self.write.flush().await
    }

    /// Says all that was begun, to somebody who goes on listening: nothing at all for so long counts as gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`], and what writing gives.
    pub(super) async fn flush_to_a_listener(&mut self, patience: Duration) -> io::Result<()> {
        while timeout(patience, self.write_some()).await?? {}
        timeout(patience, self.write.flush()).await?
    }

    /// Whether there was something to write. Where it is given up, nothing was written.
    async fn write_some(&mut self) -> io::Result<bool> {
        let rest = self.waiting.get(self.written..).unwrap_or_default();
        if rest.is_empty() {
            self.waiting.clear();
            self.written = 0;
            return Ok(false);
        }
        let written = self.write.write(rest).await?;
        self.written += written;
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(true) }
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests {
    use authchain::core::{ProviderId, UserId};
    use tokio::io::duplex;

    use super::*;

    fn order() -> MigrationOrder {
        MigrationOrder {
            from: StorageMode::MemoryOnly,
            to: StorageMode::FileEncrypted,
            folder: None,
            to_folder: Some("/srv/keys".into()),
            delete_source: false,
            replace: false,
            dry_run: true,
        }
    }

    #[test]
    fn the_words_on_the_wire_stay_what_they_are() {
        let migrate = serde_json::to_string(&Ordered::Migrate(order())).unwrap();
        assert_eq!(
            migrate,
            r#"{"migrate":{"from":"memory_only","to":"file_encrypted","folder":null,"to_folder":"/srv/keys","delete_source":false,"replace":false,"dry_run":true}}"#
        );
        assert_eq!(serde_json::to_string(&Ordered::Go).unwrap(), r#""go""#);
        let key = CredentialKey::new(ProviderId::google(), UserId::new("ann@example.com").unwrap());
        let row = |outcome| serde_json::to_string(&Said::Result(Row { key: key.clone(), outcome })).unwrap();
        let about = r#"{"result":{"key":{"provider":"google","user":"ann@example.com","group":"default"},"outcome":"#;
        assert_eq!(
            row(Outcome::Arrived(Arrival::AlreadyThere)),
            format!(r#"{about}{{"arrived":"already_there"}}}}}}"#)
        );
        assert_eq!(row(Outcome::Gone), format!(r#"{about}"gone"}}}}"#));
        assert_eq!(row(Outcome::Failed("why".into())), format!(r#"{about}{{"failed":"why"}}}}}}"#));
    }

    #[tokio::test]
    async fn lines_are_heard_whole_however_they_are_torn() {
        let (near, far) = duplex(7);
        let ((_, mut saying), (mut hearing, _)) = (wire(near), wire(far));
        let said = tokio::spawn(async move {
            saying.note(&Ordered::Go).unwrap();
            saying.say(&Ordered::Migrate(order())).await.unwrap();
        });
        assert_eq!(hearing.hear().await.unwrap(), Some(Ordered::Go));
        assert_eq!(hearing.hear().await.unwrap(), Some(Ordered::Migrate(order())));
        said.await.unwrap();
        assert_eq!(hearing.hear::<Ordered>().await.unwrap(), None, "the other end is gone");
    }

    #[tokio::test]
    async fn somebody_who_listens_slowly_hears_all_and_somebody_who_does_not_is_given_up() {
        const SHORT: Duration = Duration::from_millis(20);
        const LONG: Duration = Duration::from_secs(20);
        let (near, far) = duplex(7);
        let ((_, mut saying), (mut hearing, _)) = (wire(near), wire(far));
        saying.note(&order()).unwrap();
        saying.note(&Ordered::Go).unwrap();
        let half = timeout(SHORT, saying.flush()).await;
        assert!(half.is_err(), "nobody listens");
        let refused = saying.flush_to_a_listener(SHORT).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        let saying = tokio::spawn(async move { saying.flush_to_a_listener(LONG).await });
        assert_eq!(hearing.hear().await.unwrap(), Some(order()), "whatever was given up in between");
        assert_eq!(hearing.hear().await.unwrap(), Some(Ordered::Go));
        saying.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_means_nothing_is_refused_and_so_is_half_a_line_or_one_without_an_end() {
        for line in ["{\"migrate\":{}}\n", "{\"erase\":{}}\n", "\u{0}\n", "\"go\" \"go\"\n", "\n"] {
            let (mut near, far) = duplex(64);
            near.write_all(line.as_bytes()).await.unwrap();
            let refused = wire(far).0.hear::<Ordered>().await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{line:?}");
        }
        let (mut near, far) = duplex(64);
        near.write_all(b"\"go").await.unwrap();
        drop(near);
        assert_eq!(wire(far).0.hear::<Ordered>().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

        let (mut near, far) = duplex(1 << 16);
        let flood = tokio::spawn(async move { while near.write_all(&[b'a'; 1 << 16]).await.is_ok() {} });
        assert_eq!(wire(far).0.hear::<Ordered>().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        flood.await.unwrap();
    }
}
