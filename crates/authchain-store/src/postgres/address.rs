//! What the URL of a database says: where it is, who asks, and how TLS is spoken to it.
//!
//! It is libpq's, as every provider of databases hands it out, so what libpq knows and the client library does not is
//! understood here: `sslmode=verify-ca` and `verify-full`, and `sslrootcert`.

use std::{borrow::Cow, path::PathBuf};

use authchain_core::{Secret, StoreError};
use tokio_postgres::{Config, Error, config::Host};
use zeroize::Zeroizing;

/// A URL, read.
pub(super) struct Address {
    pub(super) config: Config,
    /// The file of those whose certificates are trusted at this database, instead of everybody who is trusted elsewhere.
    pub(super) roots: Option<PathBuf>,
}

impl Address {
    /// # Errors
    /// [`StoreError::Unsupported`] for a URL that is none. It quotes nothing of it: what looks like an option may be the
    /// end of a password.
    pub(super) fn read(url: &Secret) -> Result<Self, StoreError> {
        let bad = |_: Error| {
            let like =
                "the URL of the database is not like postgresql://user:password@host/database?sslmode=verify-full";
            let hint = "or has an option that is not known; in a password, @ is written %40, / %2F, ? %3F and % %25";
            StoreError::Unsupported(format!("{like}, {hint}"))
        };
        let (mut known, mut roots) = (Zeroizing::new(String::with_capacity(url.expose().len())), None);
        match url.expose().rsplit_once('?').filter(|(before, _)| before.contains("://")) {
            None => known.push_str(url.expose()),
            Some((before, options)) => {
                known.push_str(before);
                let mut mark = '?';
                for option in options.split('&') {
                    let option = match option.split_once('=') {
                        Some(("sslrootcert", file)) => {
                            roots = Some(decoded(file).map_err(bad)?);
                            continue;
                        }
                        // Whoever speaks TLS is always asked for a certificate of that name that somebody trusted signed.
                        Some(("sslmode", "verify-ca" | "verify-full")) => "sslmode=require",
                        _ => option,
                    };
                    known.push(mark);
                    known.push_str(option);
                    mark = '&';
                }
            }
        }
        let config = known.parse().map_err(bad)?;
        Ok(Self { config, roots: roots.filter(|file| file != "system").map(PathBuf::from) })
    }

    /// What the database is called in errors.
    pub(super) fn name(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => Cow::from(name),
            Host::Unix(path) => path.to_string_lossy(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        format!("the database {} at {hosts}", self.config.get_dbname().unwrap_or("of the user"))
    }
}

/// What stands for these characters in a URL; by the library, so that one URL is read in one way.
fn decoded(value: &str) -> Result<String, Error> {
    let config: Config = format!("postgresql://?application_name={value}").parse()?;
    Ok(config.get_application_name().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn read(url: &str) -> Address {
        Address::read(&Secret::new(url)).unwrap()
    }

    #[test]
    fn tls_is_asked_for_in_the_words_of_libpq() {
        for (options, mode) in [
            ("", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?sslmode=require&connect_timeout=3", SslMode::Require),
            ("?sslmode=verify-ca", SslMode::Require),
            ("?connect_timeout=3&sslmode=verify-full&channel_binding=require", SslMode::Require),
        ] {
            let address = read(&format!("postgresql://ann:a?b=c@db.example/x{options}"));
            assert_eq!(address.config.get_ssl_mode(), mode, "{options}");
            assert_eq!(address.config.get_password(), Some(&b"a?b=c"[..]), "{options}");
            assert_eq!((address.name().as_str(), address.roots), ("the database x at db.example", None), "{options}");
        }
    }

    #[test]
    fn the_file_of_those_to_trust_is_taken_out_wherever_it_stands() {
        for options in
            ["sslrootcert=/a%20b/ca.pem", "sslrootcert=/a%20b/ca.pem&sslmode=require", "user=x&sslrootcert=/a b/ca.pem"]
        {
            let address = read(&format!("postgresql://db.example/x?{options}"));
            assert_eq!(address.roots, Some(PathBuf::from("/a b/ca.pem")), "{options}");
        }
        assert_eq!(read("postgresql://db.example/x?sslrootcert=system").roots, None, "who is trusted elsewhere");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_quoted() {
        for url in ["hush", "postgresql://ann:pa@ss?hush=1@db/x", "postgresql://ann:hush@db/x?sslmode=hush"] {
            let Err(error) = Address::read(&Secret::new(url)) else { panic!("{url} is read") };
            assert!(matches!(&error, StoreError::Unsupported(why) if !why.contains("hush")), "{error}");
        }
    }
}
