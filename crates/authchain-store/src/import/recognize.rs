//! From a file's name and bytes to what it is.

use std::path::Path;

use serde_json::Value;

use super::{
    Finding, Flaw, Found, Means, Verdict, draft::Draft, fastmcp, fields, fields::Fields, flat, gws, kinds, rclone,
    sealed, yup,
};

/// What the bytes of a file are. `named` is whether a person named this very file, and so says that it is a credential.
pub(crate) fn recognize(path: &Path, bytes: &[u8], named: bool, means: &Means) -> Vec<Finding> {
    let file = File { path, named, means };
    if let Some((format, flaw)) = kinds::refused_by_name(path) {
        return file.one(format, flaw.into());
    }
    if let Some((format, why)) = path.file_name().and_then(|n| n.to_str()).and_then(kinds::passed_by_name) {
        return file.one(format, file.no_credential(why));
    }
    file.by_content(bytes)
}

/// A file on its way to its findings.
struct File<'a> {
    path: &'a Path,
    named: bool,
    means: &'a Means,
}

impl File<'_> {
    fn one(&self, format: &'static str, verdict: Verdict) -> Vec<Finding> {
        vec![self.part(None, format, verdict)]
    }

    fn part(&self, part: Option<String>, format: &'static str, verdict: Verdict) -> Finding {
        Finding { path: self.path.to_owned(), part, format, verdict }
    }

    /// In a folder, what is no credential is passed over; a file that somebody named is refused.
    fn no_credential(&self, why: &str) -> Verdict {
        if self.named {
            Flaw::new(why, "Name a file that holds a credential; the documentation lists the formats").into()
        } else {
            Verdict::PassedOver { why: why.to_owned() }
        }
    }

    fn taken(&self, found: Result<Found, Flaw>) -> Verdict {
        match found {
            Ok(found) => Verdict::Credential(Box::new(found)),
            Err(flaw) => flaw.into(),
        }
    }

    fn drafted(&self, draft: Result<Draft, Flaw>) -> Verdict {
        self.taken(draft.and_then(|draft| draft.finish(self.path, self.means)))
    }

    fn by_content(&self, bytes: &[u8]) -> Vec<Finding> {
        let extension = self.path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if bytes.starts_with(b"authchain-credential ") {
            return self.one("authchain_sealed", self.taken(sealed::open_own(self.path, bytes, self.means)));
        }
        if bytes.starts_with(b"authchain-backup ") {
            let flaw = Flaw::new("a backup of authchain", "Bring it back: authchain credentials restore FILE");
            return self.one("authchain_backup", flaw.into());
        }
        if bytes.starts_with(b"SQLite format 3\0") {
            return self.one("database", self.no_credential("an SQLite database of another program"));
        }
        if matches!(bytes, [0x80, 2..=5, ..]) {
            return self.one("pickle", kinds::pickle(self.path).into());
        }
        if sealed::is_earlier(bytes) {
            let opened = sealed::open_earlier(self.path, bytes, self.means);
            return self.one("earlier_sealed_1", self.opened(opened.as_ref().map(|bytes| bytes.as_slice())));
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            let beside = self.path.with_file_name(gws::KEY_FILE).exists();
            if extension == "enc" && (beside || self.path.ends_with("credentials.enc")) {
                let opened = gws::open(self.path, bytes);
                return self.one("gws_sealed", self.opened(opened.as_ref().map(|bytes| bytes.as_slice())));
            }
            return self.one("unknown", self.unknown(extension));
        };
        match text.trim_start().as_bytes().first() {
            Some(b'{' | b'[') if extension != "conf" => match fields::json(bytes) {
                Ok(Value::Object(map)) => self.object(Fields::new(map), bytes),
                Ok(Value::Array(list)) => self.list(list),
                Ok(_) => self.one("unknown", self.unknown(extension)),
                // `[section]` is no JSON, and neither is half a file.
                Err(flaw) => self.rclone(text).unwrap_or_else(|| {
                    let broken = extension == "json" || extension == "enc" || self.named;
                    self.one("unknown", if broken { flaw.into() } else { self.unknown(extension) })
                }),
            },
            _ => self.rclone(text).unwrap_or_else(|| self.one("unknown", self.unknown(extension))),
        }
    }

    /// What was inside a sealed file.
    fn opened(&self, opened: Result<&[u8], &Flaw>) -> Verdict {
        let bytes = match opened {
            Ok(bytes) => bytes,
            Err(flaw) => return Flaw::new(flaw.why.clone(), flaw.fix.clone()).into(),
        };
        let fields = match fields::object(bytes) {
            Ok(fields) if fields.has("authchain") => return self.taken(sealed::read_own(self.path, bytes)),
            other => other,
        };
        let draft = fields.and_then(|fields| match flat::recognizes(&fields) {
            true => flat::read(fields, self.path).map(|(_, draft)| draft).map_err(|(_, flaw)| flaw),
            false => Err(Flaw::broken("what is sealed in it is no credential")),
        });
        self.drafted(draft)
    }

    fn unknown(&self, extension: &str) -> Verdict {
        match extension {
            "enc" => Flaw::broken("it is no sealed file of any known kind, or only a part of one").into(),
            _ => self.no_credential("none of the formats that are known here"),
        }
    }

    fn object(&self, fields: Fields, bytes: &[u8]) -> Vec<Finding> {
        if fields.has("recipients") && fields.has("data") {
            let opened = sealed::open_earlier(self.path, bytes, self.means);
            return self.one("earlier_sealed_2", self.opened(opened.as_ref().map(|bytes| bytes.as_slice())));
        }
        if let Some(encrypted) = fastmcp::encrypted_value(&fields.map) {
            return self.one("fastmcp_store", self.fastmcp(encrypted));
        }
        if let Some((format, known)) = kinds::other_object(&fields) {
            let verdict = match known {
                Ok(why) => self.no_credential(why),
                Err(flaw) => flaw.into(),
            };
            return self.one(format, verdict);
        }
        if fields.has("authchain") {
            return self.one("authchain", self.taken(sealed::read_own(self.path, bytes)));
        }
        if flat::recognizes(&fields) {
            let (format, draft) = match flat::read(fields, self.path) {
                Ok((format, draft)) => (format, Ok(draft)),
                Err((format, flaw)) => (format, Err(flaw)),
            };
            return self.one(format, self.drafted(draft));
        }
        if let Some(remotes) = rclone::read_dump(&fields.map) {
            return self.remotes(remotes);
        }
        self.one("unknown", self.no_credential("JSON without the fields of a credential"))
    }

    fn fastmcp(&self, encrypted: &str) -> Verdict {
        let folder = self.path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        if folder.starts_with("S_") && !folder.starts_with("S_mcp_upstream_tokens") {
            return self.no_credential("FastMCP's own state (its clients, codes, sessions): no credential of Google");
        }
        let secret = self.means.fastmcp.as_ref();
        let secret = secret.or_else(|| self.means.client.as_ref().and_then(|client| client.secret.as_ref()));
        match fastmcp::read(encrypted, secret) {
            Ok(Some(draft)) => self.drafted(Ok(draft)),
            Ok(None) => self.no_credential("FastMCP's own state: no credential of Google"),
            Err(flaw) => flaw.into(),
        }
    }

    fn list(&self, list: Vec<Value>) -> Vec<Finding> {
        if !yup::recognizes(&list) {
            return self.one("unknown", self.no_credential("a JSON list that is no token cache"));
        }
        let many = list.len() > 1;
        let entries = yup::read(list).into_iter().enumerate();
        let finding =
            |(n, draft)| self.part(many.then(|| format!("entry {}", n + 1)), "yup_oauth2", self.drafted(draft));
        entries.map(finding).collect()
    }

    fn rclone(&self, text: &str) -> Option<Vec<Finding>> {
        if rclone::is_encrypted(text) {
            let flaw = Flaw::new(
                "the configuration of rclone is encrypted with its password",
                "Import what `rclone config dump` prints: rclone config dump > dump.json",
            );
            return Some(self.one("rclone", flaw.into()));
        }
        rclone::read(text).map(|remotes| self.remotes(remotes))
    }

    fn remotes(&self, remotes: Vec<rclone::Remote>) -> Vec<Finding> {
        let finding = |remote: rclone::Remote| {
            let verdict = match remote.draft {
                Some(draft) => self.drafted(draft),
                None => Verdict::PassedOver { why: "storage of somebody else than Google".into() },
            };
            self.part(Some(remote.name), "rclone", verdict)
        };
        remotes.into_iter().map(finding).collect()
    }
}
