//! Whose credential reaches Google's APIs: people's own, a service account's, gcloud's, or a token from the environment. A
//! tool does not notice; who the caller is has been found out before, and each source serves its own accounts only.

use std::{path::Path, sync::Arc};

use authchain::{
    core::{Clock, Email, Scopes, Secret, TokenSource},
    google::{
        AccessTokenFromEnvironment, AdcFile, AuthorizedUser, DelegatedServiceAccount, Delegation, Endpoints,
        GcloudCredentials, ServiceAccountKey, Upstream, default_file,
    },
    provider::CredentialManager,
};
use tracing::{info, warn};

use crate::config::{Config, ConfigError, CredentialKind};

const FILE: &str = "google.application_credentials";

/// What the configuration names, read and checked.
#[derive(Debug)]
pub(super) enum GoogleCredentials {
    Users,
    ServiceAccount(ServiceAccountKey),
    Gcloud(AuthorizedUser, Email),
    Environment(Secret, Email),
}

impl GoogleCredentials {
    /// Reads what the configuration names. It blocks on a small file.
    pub(super) fn read(config: &Config) -> Result<Self, ConfigError> {
        let google = &config.google;
        let owner = || google.account.clone().or_else(|| config.local.user.clone());
        match google.credentials {
            CredentialKind::Users => Ok(Self::Users),
            CredentialKind::Environment => match (&google.access_token, owner()) {
                (Some(token), Some(owner)) => Ok(Self::Environment(token.clone(), owner)),
                _ => Err(wrong("google.access_token", None, "it and google.account are needed".into())),
            },
            CredentialKind::ServiceAccount => match &google.application_credentials {
                Some(file) => match read(file)? {
                    AdcFile::ServiceAccount(key) => Ok(Self::ServiceAccount(key)),
                    AdcFile::AuthorizedUser(_) => {
                        let why = "it is a person's credential, not a service account's key: google.credentials = \"adc\" takes it";
                        Err(wrong(FILE, Some(file), why.into()))
                    }
                },
                None => Err(wrong(FILE, None, "it is needed with a service account".into())),
            },
            CredentialKind::Adc => {
                let file = match (&google.application_credentials, &google.gcloud_directory) {
                    (Some(file), _) => file.clone(),
                    (None, Some(folder)) => default_file(folder),
                    (None, None) => {
                        return Err(wrong(FILE, None, "it is not known where gcloud's folder is".into()));
                    }
                };
                match read(&file)? {
                    AdcFile::ServiceAccount(_) if google.allowed_domains.is_empty() => {
                        let why = "it is needed with a service account: the domains in which it may act for people";
                        Err(wrong("google.allowed_domains", None, why.into()))
                    }
                    AdcFile::ServiceAccount(key) => Ok(Self::ServiceAccount(key)),
                    AdcFile::AuthorizedUser(user) => match owner().or_else(|| user.account.clone()) {
                        Some(owner) => Ok(Self::Gcloud(user, owner)),
                        None => {
                            let why =
                                "it is needed, because gcloud's file does not say whose it is; nobody else gets it";
                            Err(wrong("google.account", None, why.into()))
                        }
                    },
                }
            }
        }
    }

    /// The source that the tools are given.
    pub(super) fn source(
        self,
        config: &Config,
        people: &Arc<CredentialManager>,
        usual: &Scopes,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Arc<dyn TokenSource> {
        let endpoints = Endpoints { base: config.providers.google.base_url.clone(), trust: config.trust.clone() };
        let upstream = Upstream { endpoints, clock, ..Upstream::new(http) };
        match self {
            Self::Users => people.clone(),
            Self::ServiceAccount(key) => {
                let domains = config.google.allowed_domains.clone();
                info!(service_account = key.client_email, domains = domains.join(" "), "tools act by delegation");
                // An administrator allows scopes one by one; who the person is need not be asked for.
                let usual_scopes = usual.difference(&config.google.registry().identity());
                Arc::new(DelegatedServiceAccount::new(key, Delegation { domains, usual_scopes }, upstream))
            }
            Self::Gcloud(user, owner) => {
                info!(account = %owner, "tools use gcloud's application default credentials");
                if user.is_gclouds_own() {
                    warn!(
                        "gcloud's own OAuth client cannot be granted Workspace scopes: sign in with \
                         `gcloud auth application-default login --client-id-file=FILE --scopes=SCOPES`"
                    );
                }
                Arc::new(GcloudCredentials::new(user, owner, upstream))
            }
            Self::Environment(token, owner) => {
                info!(account = %owner, "tools use the access token of the environment; it ends after an hour at most");
                Arc::new(AccessTokenFromEnvironment::new(token, owner, upstream))
            }
        }
    }
}

fn read(file: &Path) -> Result<AdcFile, ConfigError> {
    AdcFile::read(file).map_err(|error| wrong(FILE, Some(file), error.to_string()))
}

fn wrong(key: &str, file: Option<&Path>, why: String) -> ConfigError {
    ConfigError { key: Some(key.into()), origin: file.map(|file| file.display().to_string()), why }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Sources;

    fn configured(folder: &Path, settings: &[(&str, &str)]) -> Config {
        let sources = Sources::new().set("google.gcloud_directory", folder.display(), "--test");
        settings.iter().fold(sources, |sources, (key, value)| sources.set(key, value, "--test")).load().unwrap()
    }

    fn refused(folder: &Path, settings: &[(&str, &str)]) -> ConfigError {
        GoogleCredentials::read(&configured(folder, settings)).unwrap_err()
    }

    #[test]
    fn gclouds_file_is_found_in_its_folder_and_belongs_to_one_person() {
        let folder = tempfile::tempdir().unwrap();
        let adc = ("google.credentials", "adc");
        let missing = refused(folder.path(), &[adc]);
        assert!(missing.origin.unwrap().ends_with("application_default_credentials.json"));

        let file = json!({ "type": "authorized_user", "client_id": "a", "refresh_token": "b", "account": "" });
        std::fs::write(default_file(folder.path()), file.to_string()).unwrap();
        assert_eq!(refused(folder.path(), &[adc]).key.as_deref(), Some("google.account"));
        let owned = configured(folder.path(), &[adc, ("google.account", "ann@example.com")]);
        let Ok(GoogleCredentials::Gcloud(_, owner)) = GoogleCredentials::read(&owned) else { panic!() };
        assert_eq!(owner.as_str(), "ann@example.com");
    }

    #[test]
    fn a_file_of_another_kind_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.json");
        let path = file.to_str().unwrap().to_owned();
        let adc = [("google.credentials", "adc"), (FILE, path.as_str())];
        std::fs::write(&file, json!({ "type": "external_account" }).to_string()).unwrap();
        assert!(refused(folder.path(), &adc).why.contains("external_account"));

        let person = json!({ "type": "authorized_user", "client_id": "a", "refresh_token": "b" });
        std::fs::write(&file, person.to_string()).unwrap();
        let key =
            [("google.credentials", "service_account"), (FILE, path.as_str()), ("google.allowed_domains", "a.com")];
        assert!(refused(folder.path(), &key).why.contains("adc"));
    }
}
