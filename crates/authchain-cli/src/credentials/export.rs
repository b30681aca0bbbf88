//! `export`: a credential as another program reads it.

use authchain::store::export as forms;
use authchain_server::config::Config;
use serde_json::json;

use super::{
    args::{Export, Format},
    confirm::confirm,
    list::stored,
    place::{self, IfMissing, unconfigured},
    words,
};
use crate::{failure::Failure, output::Output};

pub(super) async fn run(config: &Config, args: &Export, output: &Output) -> Result<(), Failure> {
    let place = place::configured(config, IfMissing::Empty).await?;
    let key = args.which.key().ok_or_else(|| unconfigured("no account is named"))?;
    let credential = stored(place.store(), &key).await?;
    let target = args.output.as_ref().map_or("standard output".to_owned(), |path| path.display().to_string());
    let (content, whose) = match args.format {
        Format::AuthorizedUser => {
            (forms::authorized_user(&key, &credential)?.to_vec(), "whoever reads it has the account")
        }
        Format::Fernet => {
            let keyring = place::sealing_keys(&config.storage).await?;
            (forms::fernet(&key, &credential, &keyring)?, "whoever has the key file as well has the account")
        }
    };
    confirm(&format!("{key} leaves the store for {target}: {whose}."), args.yes)?;
    let text = String::from_utf8_lossy(&content).into_owned();
    let Some(path) = &args.output else {
        // The person asked for the secret itself: this is the answer.
        let format = match args.format {
            Format::AuthorizedUser => serde_json::from_str(&text).unwrap_or_default(),
            Format::Fernet => json!({ "fernet": text }),
        };
        output.answer(&format, text);
        return Ok(());
    };
    let file = path.clone();
    place::blocking(move || forms::write_new(&file, &content)).await?.map_err(|error| exists(error, path))?;
    let mut answer = words::identity(&key);
    answer.insert("file".into(), json!(path));
    output.answer(&answer.into(), format!("{key} is written to {}, for its owner only.", path.display()));
    Ok(())
}

/// A new file is never written over an old one.
pub(super) fn exists(error: authchain::core::StoreError, path: &std::path::Path) -> Failure {
    match error {
        authchain::core::StoreError::Conflict { .. } => {
            Failure::in_use(format!("{} is there already", path.display()), "Choose another name, or remove the file.")
        }
        other => other.into(),
    }
}
