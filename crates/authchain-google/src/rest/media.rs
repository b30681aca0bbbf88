//! Uploads and downloads as streams: the content is never held in memory whole.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use authchain_core::BoxStream;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::de::DeserializeOwned;
use url::Url;

use super::{Body, Call, RestError, call::empty, call::read_json};
use crate::{Explained, Problem};

const UPLOAD_TYPE: HeaderName = HeaderName::from_static("x-upload-content-type");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("x-upload-content-length");

/// What is uploaded.
pub struct Content {
    content_type: String,
    length: Option<u64>,
    stream: BoxStream<'static, io::Result<Bytes>>,
}

impl Content {
    /// A stream, with its length in bytes where that is known.
    pub fn stream(
        content_type: &str,
        length: Option<u64>,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self { content_type: content_type.to_owned(), length, stream: Box::pin(stream) }
    }

    /// Bytes that are in memory already.
    pub fn bytes(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = u64::try_from(bytes.len()).ok();
        Self::stream(content_type, length, futures_util::stream::iter([Ok(bytes)]))
    }

    fn into_body(self) -> Body {
        StreamBody::new(self.stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync()
    }

    fn type_header(&self) -> Result<HeaderValue, RestError> {
        HeaderValue::from_str(&self.content_type)
            .map_err(|_| RestError::Invalid(format!("{:?} is not a content type", self.content_type)))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// What is downloaded: a stream of bytes. One that breaks off ends with an error, never silently.
pub struct Download {
    /// What it is.
    pub content_type: Option<String>,
    /// How many bytes it has, where the API says so.
    pub length: Option<u64>,
    stream: BoxStream<'static, Result<Bytes, RestError>>,
}

impl Stream for Download {
    type Item = Result<Bytes, RestError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Fetches the content itself (`alt=media`).
    ///
    /// # Errors
    /// [`RestError`]; once the content has begun, the stream's own items are the errors.
    pub async fn download(self) -> Result<Download, RestError> {
        let response = self.query("alt", "media").attempt().await?;
        let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = text(CONTENT_TYPE).map(str::to_owned);
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let stream = response.into_body().into_data_stream().map_err(|error| {
            Explained::of(Problem::Unavailable { retry_after: None }).saying(&error.to_string()).into()
        });
        Ok(Download { content_type, length, stream: Box::pin(stream) })
    }

    /// Sends the content alone (`uploadType=media`). It is not repeated: a stream can be read once.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn upload<T: DeserializeOwned>(mut self, content: Content) -> Result<T, RestError> {
        self = self.query("uploadType", "media");
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, content.type_header()?);
        if let Some(length) = content.length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let url = self.url()?;
        let response = self.once(&url, headers, content.into_body()).await?;
        read_json(response, self.client.0.timeout).await
    }

    /// Announces the content together with the JSON body, its metadata, and then sends it (`uploadType=resumable`).
    /// The announcement is repeated like any call, the content is not.
    ///
    /// # Errors
    /// [`RestError`]; [`RestError::Nonsense`] when the API wants the content on another host.
    pub async fn upload_with_metadata<T: DeserializeOwned>(mut self, content: Content) -> Result<T, RestError> {
        self = self.query("uploadType", "resumable");
        self.headers.insert(UPLOAD_TYPE, content.type_header()?);
        if let Some(length) = content.length {
            self.headers.insert(UPLOAD_LENGTH, length.into());
        }
        let announced = self.attempt().await?;
        let session = announced.headers().get(LOCATION).and_then(|value| Url::parse(value.to_str().ok()?).ok());
        let session = session.ok_or(RestError::Nonsense("no address to upload to"))?;
        if session.origin() != self.url()?.origin() {
            return Err(RestError::Nonsense("an upload on another host"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content.type_header()?);
        let length = content.length;
        let body = match length {
            Some(0) => empty(),
            _ => content.into_body(),
        };
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        // The session's address is the authorization: no token is sent along.
        let response = self.client.exchange(Method::PUT, &session, headers, body).await?;
        read_json(response, self.client.0.timeout).await
    }
}
