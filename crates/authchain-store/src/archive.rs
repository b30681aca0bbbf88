//! A backup of a whole store in one sealed file.
//!
//! The file is one line of text, `authchain-backup 1 {"id":...,"created_at":...,"records":...}`, then chunks: the length in
//! four bytes, big-endian, and an envelope of `docs/sealed-format.md`. What is sealed in a chunk is one plaintext record
//! (the JSON that a plaintext store keeps in a file) a line. An envelope is bound to `authchain/backup/1`, the first line,
//! the number of the chunk from 0 in eight bytes, and one byte that is 1 for the last chunk; so a file that was cut short, put
//! together from two, or changed in any place does not open.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use authchain_core::{Credential, CredentialKey, CredentialStore, StoreError, Timestamp};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{authorized_user, export, migrate::Place, private, seal::Keyring};

const FIRST_WORDS: &str = "authchain-backup 1 ";

/// How many records are sealed together.
const CHUNK: usize = 256;

/// No chunk comes near this size.
const LARGEST_CHUNK: u32 = 1 << 30;

/// The first line is not longer than this.
const LONGEST_LINE: u64 = 4096;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Random: no two backups are mixed up.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many credentials are in it.
    pub records: usize,
}

/// What writing a backup did.
#[derive(Debug)]
pub struct Written {
    /// What the file says of itself; it was read again and is whole.
    pub about: About,
    /// Records of the store that cannot be read, and are not in it.
    pub broken: Vec<StoreError>,
}

/// Writes all that a store holds into a new file, and opens the file again to see that it is whole.
///
/// # Errors
/// [`StoreError::Conflict`] when there is such a file already; [`StoreError::Unavailable`] when the store cannot be listed
/// or the file not written.
pub async fn write(from: &Place, keyring: &Keyring, path: &Path, now: Timestamp) -> Result<Written, StoreError> {
    if path.symlink_metadata().is_ok() {
        return Err(StoreError::Conflict { what: path.display().to_string() });
    }
    let (records, broken) = read_all(from.store()).await?;
    let (keyring, path) = (keyring.clone(), path.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let about = About { id: format!("{:016x}", crate::fresh_version().0), created_at: now, records: records.len() };
        seal_into(&path, &keyring, &about, &records)?;
        let read = read(&path, &keyring, |_, _| Ok(()))?;
        if read == about { Ok(about) } else { Err(private::corrupt(&path, "it is not what was written")) }
    });
    let about = written.await.map_err(|e| StoreError::unavailable("write the backup", e))??;
    Ok(Written { about, broken })
}

type Records = Vec<(CredentialKey, Credential)>;

async fn read_all(store: &dyn CredentialStore) -> Result<(Records, Vec<StoreError>), StoreError> {
    let keys: Vec<_> = store.list(&authchain_core::KeyFilter::default()).collect().await;
    let get = |key: Result<CredentialKey, StoreError>| async move {
        let key = key?;
        Ok(store.get(&key).await?.map(|stored| (key, stored.value)))
    };
    let mut reads = stream::iter(keys.into_iter().map(get)).buffer_unordered(64);
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    while let Some(read) = reads.next().await {
        match read {
            Ok(record) => records.extend(record),
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            Err(error) => broken.push(error),
        }
    }
    records.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((records, broken))
}

fn seal_into(
    path: &Path,
    keyring: &Keyring,
    about: &About,
    records: &[(CredentialKey, Credential)],
) -> Result<(), StoreError> {
    let unavailable = |e| private::unavailable("write", path, e);
    let json = serde_json::to_string(about).map_err(|e| StoreError::Unsupported(e.to_string()))?;
    let line = format!("{FIRST_WORDS}{json}\n");
    let temporary = private::write_beside(path, line.as_bytes())?;
    let mut out = BufWriter::new(temporary.as_file());
    // A backup of nothing has one chunk, too: the last.
    let chunks: Vec<_> = if records.is_empty() { vec![records] } else { records.chunks(CHUNK).collect() };
    for (number, chunk) in chunks.iter().enumerate() {
        let mut lines = Zeroizing::new(Vec::with_capacity(chunk.len() * 2048));
        for (key, credential) in *chunk {
            lines.extend_from_slice(&authorized_user::write(key, credential)?);
            lines.push(b'\n');
        }
        let sealed = keyring.seal(&associated(&line, number, number + 1 == chunks.len()), &lines)?;
        let length = u32::try_from(sealed.len()).ok().filter(|length| *length <= LARGEST_CHUNK);
        let length = length.ok_or_else(|| StoreError::Unsupported("records of that size in a backup".into()))?;
        out.write_all(&length.to_be_bytes()).and_then(|()| out.write_all(&sealed)).map_err(unavailable)?;
    }
    out.flush().map_err(unavailable)?;
    drop(out);
    export::publish(temporary, path)
}

/// Opens a backup from its beginning to its end and gives each credential to `visit`. Give it one that does nothing to see
/// whether the file is whole before anything is done with it. It blocks.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is no backup, was changed or cut short; [`StoreError::WrongKey`] when it is sealed with a
/// key that is not at hand; [`StoreError::Unavailable`]; and what `visit` says.
pub fn read(
    path: &Path,
    keyring: &Keyring,
    visit: impl FnMut(CredentialKey, Credential) -> Result<(), StoreError>,
) -> Result<About, StoreError> {
    let file = File::open(path).map_err(|e| private::unavailable("read", path, e))?;
    open(BufReader::new(file), path, keyring, visit)
}

/// As [`read`], from wherever the bytes come; `path` is named in errors.
pub(crate) fn open(
    mut file: impl BufRead,
    path: &Path,
    keyring: &Keyring,
    mut visit: impl FnMut(CredentialKey, Credential) -> Result<(), StoreError>,
) -> Result<About, StoreError> {
    let unavailable = |e| private::unavailable("read", path, e);
    let corrupt = |why: &str| private::corrupt(path, why);
    let mut line = String::new();
    let read = (&mut file).take(LONGEST_LINE).read_line(&mut line);
    read.map_err(|e| {
        if e.kind() == std::io::ErrorKind::InvalidData { corrupt("it is no backup") } else { unavailable(e) }
    })?;
    let json = line.strip_prefix(FIRST_WORDS).ok_or_else(|| {
        let newer = line.starts_with("authchain-backup ");
        corrupt(if newer { "it is of a newer version than this program knows" } else { "it is no backup" })
    })?;
    let about: About = serde_json::from_str(json).map_err(|_| corrupt("its first line is broken"))?;

    let (mut number, mut records) = (0, 0);
    let mut next = chunk(&mut file, path)?;
    while let Some(sealed) = next {
        next = chunk(&mut file, path)?;
        let what = path.display().to_string();
        let lines = keyring.open(&associated(&line, number, next.is_none()), &sealed, &what)?;
        for record in lines.split(|byte| *byte == b'\n').filter(|record| !record.is_empty()) {
            let record = authorized_user::read(record, path)?;
            visit(record.key.ok_or_else(|| corrupt("a record does not say whose it is"))?, record.credential)?;
            records += 1;
        }
        number += 1;
    }
    if number == 0 || records != about.records {
        return Err(corrupt("it is cut short"));
    }
    Ok(about)
}

/// The next chunk, if there is one.
fn chunk(file: &mut impl Read, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let unavailable = |e| private::unavailable("read", path, e);
    let mut head = Vec::with_capacity(4);
    file.take(4).read_to_end(&mut head).map_err(unavailable)?;
    let length = match <[u8; 4]>::try_from(head.as_slice()) {
        Ok(length) => u32::from_be_bytes(length),
        Err(_) if head.is_empty() => return Ok(None),
        Err(_) => return Err(private::corrupt(path, "it is cut short")),
    };
    let mut sealed = Vec::new();
    file.take(u64::from(length.min(LARGEST_CHUNK))).read_to_end(&mut sealed).map_err(unavailable)?;
    if u32::try_from(sealed.len()) == Ok(length) {
        Ok(Some(sealed))
    } else {
        Err(private::corrupt(path, "it is cut short"))
    }
}

fn associated(line: &str, number: usize, last: bool) -> Vec<u8> {
    let mut bytes = b"authchain/backup/1".to_vec();
    bytes.extend(line.as_bytes());
    bytes.extend(u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    bytes.push(u8::from(last));
    bytes
}

/// A backup of one chunk with this content, which says that there is one record in it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn of_content(keyring: &Keyring, content: &[u8]) -> Result<Vec<u8>, StoreError> {
    let line = format!("{FIRST_WORDS}{{\"id\":\"it\",\"created_at\":0,\"records\":1}}\n");
    let sealed = keyring.seal(&associated(&line, 0, true), content)?;
    let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
    Ok([line.as_bytes(), &length.to_be_bytes(), &sealed].concat())
}
