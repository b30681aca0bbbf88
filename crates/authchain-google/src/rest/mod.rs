//! A client for any API of the catalogue: JSON in and out, with the account's token on every request.
//!
//! Paths are written as in Google's reference, relative to the API's base address, with `{name}` for one segment and
//! `{+name}` for several. A path that begins with `/` is relative to the host, as those of uploads are.
//!
//! ```no_run
//! # async fn example(photos: authchain_google::RestClient) -> Result<(), authchain_google::RestError> {
//! use futures_util::TryStreamExt;
//! use serde_json::{Value, json};
//!
//! let album: Value = photos.post("v1/albums").json(&json!({"album": {"title": "Summer"}}))?.send().await?;
//! let id = album["id"].as_str().unwrap_or_default();
//! let again: Value = photos.get("v1/albums/{albumId}").path("albumId", id).send().await?;
//! let mut albums = std::pin::pin!(photos.get("v1/albums").query("pageSize", "50").items("albums"));
//! while let Some(album) = albums.try_next().await? {
//!     assert!(album["id"].is_string());
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod call;
mod error;
mod media;
mod paging;
mod retry;

use std::{fmt, sync::Arc, time::Duration};

use authchain_core::{CredentialKey, Scopes};
use bytes::Bytes;
use http::Method;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy::Client;

use crate::{Connector, Selected, TokenBridge};

pub(crate) use address::Addresses;
pub use call::Call;
pub use error::RestError;
pub use media::{Content, Download};
pub use retry::RetryPolicy;

/// The body of a request; an upload's stream may fail with any error.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
pub(crate) type RestHttp = Client<Connector, Body>;

/// An authorized client of one API. Cheap to clone.
#[derive(Clone)]
pub struct RestClient(Arc<Inner>);

struct Inner {
    http: RestHttp,
    service: Selected,
    at: Addresses,
    token: TokenBridge,
    retry: RetryPolicy,
    timeout: Duration,
}

impl RestClient {
    pub(crate) fn new(http: RestHttp, service: Selected, at: Addresses, token: TokenBridge) -> Self {
        let (retry, timeout) = (RetryPolicy::default(), Duration::from_secs(60));
        Self(Arc::new(Inner { http, service, at, token, retry, timeout }))
    }

    /// The same client with other retries.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        self.with(|inner| inner.retry = retry)
    }

    /// The same client with another limit for the time of one attempt; 60 seconds unless told. The content of an upload or
    /// a download may take longer.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.with(|inner| inner.timeout = timeout)
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { http, service, at, token, retry, timeout } = &*self.0;
        let mut inner = Inner {
            http: http.clone(),
            service: *service,
            at: at.clone(),
            token: token.clone(),
            retry: *retry,
            timeout: *timeout,
        };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Which API at which version.
    pub fn service(&self) -> Selected {
        self.0.service
    }

    /// Whose credential it uses.
    pub fn key(&self) -> &CredentialKey {
        self.0.token.key()
    }

    /// The scopes that each token has to cover.
    pub fn scopes(&self) -> &Scopes {
        self.0.token.scopes()
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// A `POST`.
    pub fn post(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    /// A `PUT`.
    pub fn put(&self, path: &str) -> Call {
        self.request(Method::PUT, path)
    }

    /// A `PATCH`.
    pub fn patch(&self, path: &str) -> Call {
        self.request(Method::PATCH, path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }

    /// A call with any method.
    pub fn request(&self, method: Method, path: &str) -> Call {
        Call::new(self.clone(), method, path)
    }
}

impl fmt::Debug for RestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestClient")
            .field("service", &self.0.service.service.key)
            .field("base", &self.0.at.base.as_str())
            .field("token", &self.0.token)
            .finish_non_exhaustive()
    }
}
