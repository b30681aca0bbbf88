//! One call: put together, sent, repeated where that does no harm.

use authchain_core::AccessToken;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use url::Url;

use super::{Body, RestClient, RestError, address::address};
use crate::{
    Explained, Problem,
    explain::{Answer, chain_of, retry_after},
};

/// A JSON answer is held in memory whole; a longer one is a mistake or a download.
const LONGEST_JSON: usize = 64 << 20;
/// Errors are short; what is longer is not one of the API's.
const LONGEST_ERROR: usize = 1 << 20;
/// Which project a call counts for (<https://cloud.google.com/apis/docs/system-parameters>).
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// A call that has not been sent. Nothing happens until one of the methods that end it.
#[derive(Clone, Debug)]
#[must_use = "a call is made by `send` or another method that ends it"]
pub struct Call {
    pub(super) client: RestClient,
    method: Method,
    template: String,
    values: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    repeatable: bool,
}

impl Call {
    pub(super) fn new(client: RestClient, method: Method, template: &str) -> Self {
        let repeatable = method.is_idempotent();
        Self {
            client,
            method,
            template: template.to_owned(),
            values: Vec::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            repeatable,
        }
    }

    /// The value of a placeholder in the path. It is encoded: no value leads elsewhere.
    pub fn path(mut self, name: &str, value: &str) -> Self {
        self.values.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A parameter; the same name may come several times.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A header beyond the usual ones: `developer-token`, `x-goog-user-project`, `if-match`.
    ///
    /// # Errors
    /// [`RestError::Invalid`] for what is not a header, and for `Authorization`, which is the client's.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, RestError> {
        let invalid = || RestError::Invalid(format!("{name:?} is not a header that can be set"));
        let header: HeaderName = name.parse().map_err(|_| invalid())?;
        if header == AUTHORIZATION {
            return Err(invalid());
        }
        self.headers.insert(header, HeaderValue::from_str(value).map_err(|_| invalid())?);
        Ok(self)
    }

    /// The body.
    ///
    /// # Errors
    /// [`RestError::Invalid`] for what cannot be JSON.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, RestError> {
        let body = serde_json::to_vec(body).map_err(|error| RestError::Invalid(error.to_string()))?;
        self.body = Some(body.into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Says that the call may be repeated after a failure although its method is not idempotent.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Sends it and reads the answer as JSON.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, RestError> {
        let response = self.attempt().await?;
        read_json(response, self.client.0.timeout).await
    }

    /// Sends it and looks at nothing but the status: for deletions, whose answer is empty.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn send_empty(self) -> Result<(), RestError> {
        self.attempt().await.map(|_| ())
    }

    /// Sends it until it succeeds or patience ends. The answer is a success.
    pub(super) async fn attempt(&self) -> Result<Response<Incoming>, RestError> {
        let url = self.url()?;
        let mut attempt = 1;
        loop {
            let body = match &self.body {
                Some(body) => Full::new(body.clone()).map_err(|never| match never {}).boxed_unsync(),
                None => empty(),
            };
            let failure = match self.once(&url, self.headers.clone(), body).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let wait = failure.problem().and_then(|p| self.client.0.retry.wait(attempt, p, self.repeatable));
            sleep(wait.ok_or(failure)?).await;
            attempt += 1;
        }
    }

    pub(super) fn url(&self) -> Result<Url, RestError> {
        address(&self.client.0.at, &self.template, &self.values, &self.query)
    }

    /// One attempt, with a token that is valid now.
    pub(super) async fn once(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, RestError> {
        let token = self.client.0.token.token().await?;
        headers.insert(AUTHORIZATION, authorization(&token)?);
        // A call that names one itself knows better.
        if let (Some(project), false) = (token.quota_project(), headers.contains_key(USER_PROJECT)) {
            let project = HeaderValue::from_str(project)
                .map_err(|_| RestError::Nonsense("a quota project that does not fit into a header"))?;
            headers.insert(USER_PROJECT, project);
        }
        self.client.exchange(self.method.clone(), url, headers, body).await
    }
}

impl RestClient {
    /// One exchange. An answer that is not a success is read and explained.
    pub(super) async fn exchange(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, RestError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() =
            url.as_str().parse().map_err(|_| RestError::Invalid(format!("{url} is not an address")))?;
        *request.headers_mut() = headers;
        let unavailable = || Explained::of(Problem::Unavailable { retry_after: None });
        let response = match timeout(self.0.timeout, self.0.http.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(unavailable().saying(&chain_of(&error)).into()),
            Err(_) => return Err(unavailable().saying("no answer in time").into()),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.explain(response).await.into())
    }

    async fn explain(&self, response: Response<Incoming>) -> Explained {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let body = timeout(self.0.timeout, Limited::new(body, LONGEST_ERROR).collect()).await;
        let json: Option<Value> = match body {
            Ok(Ok(body)) => serde_json::from_slice(&body.to_bytes()).ok(),
            _ => None,
        };
        let answer = match json {
            Some(json) => Answer::of_json(Some(status), &json),
            None => Answer::of_status(status),
        };
        answer.explain(retry_after(&head.headers))
    }
}

pub(super) async fn read_json<T: DeserializeOwned>(
    response: Response<Incoming>,
    limit: std::time::Duration,
) -> Result<T, RestError> {
    let broken =
        |message: &str| RestError::from(Explained::of(Problem::Unavailable { retry_after: None }).saying(message));
    let too_long = RestError::Nonsense("a JSON answer of more than 64 MiB");
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LONGEST_JSON) {
        return Err(too_long);
    }
    let body = timeout(limit, Limited::new(response.into_body(), LONGEST_JSON).collect())
        .await
        .map_err(|_| broken("the answer broke off"))?
        .map_err(
            |error| if error.is::<http_body_util::LengthLimitError>() { too_long } else { broken(&error.to_string()) },
        )?
        .to_bytes();
    // Deletions and some updates answer 204 without a body; as JSON that is null.
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(text).map_err(|error| RestError::Decode(error.into()))
}

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn authorization(token: &AccessToken) -> Result<HeaderValue, RestError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.secret().expose()))
        .map_err(|_| RestError::Nonsense("an access token that does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}
