//! What is refused before an endpoint sees it: a path that there is not, a method that is not for this path, a body that is
//! too long. It gets a body like every other error here: JSON for programs, a page for people.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::{
    errors::OAuthError,
    pages::{ErrorPage, Language, Problem},
    server::Shared,
};

/// Around all endpoints: theirs are answers of ours with a type of their own, and pass as they are.
pub(crate) async fn explain(State(server): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let response = next.run(request).await;
    match why(response.status()) {
        Some(why) if is_bare(&response) => asked.answer(&server, response, why),
        _ => response,
    }
}

/// What has to be known of a request that is gone.
struct Asked {
    by_a_person: bool,
    head: bool,
    language: Language,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            by_a_person: wants_a_page(request.headers()),
            head: request.method() == Method::HEAD,
            language: Language::of(request.headers()),
        }
    }

    fn answer(&self, server: &Shared, bare: Response, why: &'static str) -> Response {
        let status = bare.status();
        let explained = if self.by_a_person {
            let problem = match status {
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Problem::NoSuchPage,
                _ => Problem::BadRequest(why.into()),
            };
            ErrorPage::new(server, self.language).plain(status, &problem)
        } else {
            let word = if status == StatusCode::NOT_FOUND { "not_found" } else { "invalid_request" };
            OAuthError::new(status, word, why).into_response()
        };
        let (mut parts, body) = explained.into_parts();
        // `Allow`, and what lets a browser's script read the answer.
        for (name, value) in bare.headers() {
            if name != CONTENT_TYPE && name != CONTENT_LENGTH {
                parts.headers.insert(name, value.clone());
            }
        }
        Response::from_parts(parts, if self.head { Body::empty() } else { body })
    }
}

/// The sentence for programs.
fn why(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method: the header Allow says which it takes",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too long",
        StatusCode::BAD_REQUEST => "the request cannot be read",
        _ => return None,
    })
}

/// Without a body, or with the framework's own words.
fn is_bare(response: &Response) -> bool {
    let plain = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/plain");
    response.headers().get(CONTENT_TYPE).map_or_else(|| response.body().is_end_stream(), plain)
}

/// A browser that goes to an address asks for HTML by name.
fn wants_a_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}
