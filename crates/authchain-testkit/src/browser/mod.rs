//! A person with a browser, without a browser: what the pages of a sign-in need and no more.

mod callback;
mod cookies;
mod fetch;
mod form;
mod html;
mod page;
mod walk;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authchain_core::{Clock, SystemClock};
use http::{HeaderMap, Method, header};
use reqwest::redirect::Policy;
use url::Url;

pub use self::{
    callback::{Callback, CallbackListener},
    form::{Button, Field, Form},
    page::Page,
    walk::Choice,
};
use self::{
    cookies::{Jar, Visit},
    fetch::{Initiator, Navigation},
};

/// After so many redirects a browser gives up.
const REDIRECTS: usize = 20;

/// What can go wrong on the way through pages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// A page could not be fetched.
    #[error("{url} could not be opened")]
    Request {
        /// The page, without its query.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An address is no URL.
    #[error("not a URL: {0}")]
    Url(String),
    /// More than 20 redirects.
    #[error("too many redirects, the last from {0}")]
    TooManyRedirects(String),
    /// A form, a button or a link that is not on the page.
    #[error("no {what} on the page {title:?} at {url}")]
    NotThere {
        /// What was looked for.
        what: String,
        /// The page's title.
        title: String,
        /// The page's address, without its query.
        url: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

/// A person at a browser: cookies, redirects, forms, `Sec-Fetch-*`, `Origin` and `Referer` headers; no JavaScript.
pub struct Browser {
    http: reqwest::Client,
    jar: Mutex<Jar>,
    clock: Arc<dyn Clock>,
    stops: Vec<String>,
}

impl Browser {
    /// A browser without cookies.
    ///
    /// # Errors
    /// [`BrowserError::Client`].
    pub fn new() -> Result<Self, BrowserError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .user_agent("Mozilla/5.0 (authchain test kit)")
            .build()
            .map_err(BrowserError::Client)?;
        Ok(Self { http, jar: Mutex::default(), clock: Arc::new(SystemClock), stops: Vec::new() })
    }

    /// Cookies expire by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Does not go to an address that starts with this, but returns it: a client's callback.
    #[must_use]
    pub fn stop_at(mut self, prefix: impl Into<String>) -> Self {
        self.stops.push(prefix.into());
        self
    }

    /// Types an address.
    ///
    /// # Errors
    /// [`BrowserError::Url`], [`BrowserError::Request`], [`BrowserError::TooManyRedirects`].
    pub async fn open(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        let url = Url::parse(url.as_ref()).map_err(|_| BrowserError::Url(url.as_ref().to_owned()))?;
        self.go(Navigation::new(url, None, None)).await
    }

    /// Follows the link with this text or address on a page.
    ///
    /// # Errors
    /// [`BrowserError::NotThere`], or as [`Browser::open`].
    pub async fn follow(&self, page: &Page, link: &str) -> Result<Page, BrowserError> {
        let url = page.link(link).ok_or_else(|| not_there(page, format!("link {link:?}")))?;
        self.go(Navigation::new(url, None, Some(Initiator::of(page)))).await
    }

    /// Presses the button with this text, value or name, after filling in these fields of its form as [`Form::fill`] does.
    ///
    /// # Errors
    /// [`BrowserError::NotThere`], or as [`Browser::open`].
    pub async fn press(&self, page: &Page, button: &str, fields: &[(&str, &str)]) -> Result<Page, BrowserError> {
        let mut forms = page.forms();
        let form = forms.iter_mut().find(|form| form.button(button).is_some());
        let form = form.ok_or_else(|| not_there(page, format!("button {button:?}")))?;
        for (field, value) in fields {
            if !form.fill(field, value) {
                return Err(not_there(page, format!("field {field:?}")));
            }
        }
        let pressed = form.button(button).ok_or_else(|| not_there(page, format!("button {button:?}")))?;
        let submission = form.press(pressed);
        self.go(Navigation::new(submission.url, submission.form, Some(Initiator::of(page)))).await
    }

    /// The value of a cookie that would be sent to this address if it were typed.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<String> {
        self.jar().value(Visit { to: url, from: None, safe: true, now: self.clock.now() }, name)
    }

    /// Forgets all cookies: another browser.
    pub fn forget(&self) {
        self.jar().clear();
    }

    /// Goes somewhere and follows redirects, as far as it is to.
    async fn go(&self, mut navigation: Navigation) -> Result<Page, BrowserError> {
        for _ in 0..=REDIRECTS {
            let url = navigation.url.clone();
            if self.stops.iter().any(|stop| url.as_str().starts_with(stop)) || !matches!(url.scheme(), "http" | "https")
            {
                return Ok(Page { url, status: 0, headers: HeaderMap::new(), body: String::new(), stopped: true });
            }
            let page = self.fetch(&navigation).await?;
            let location = page.header("location").and_then(|location| url.join(location).ok());
            match location {
                Some(mut next) if matches!(page.status, 301 | 302 | 303 | 307 | 308) => {
                    if next.fragment().is_none() {
                        next.set_fragment(url.fragment());
                    }
                    navigation = navigation.redirected(page.status, next);
                }
                _ => return Ok(page),
            }
        }
        let mut last = navigation.url;
        last.set_query(None);
        Err(BrowserError::TooManyRedirects(last.into()))
    }

    async fn fetch(&self, navigation: &Navigation) -> Result<Page, BrowserError> {
        let url = &navigation.url;
        let failed = |source: reqwest::Error| {
            let mut place = url.clone();
            place.set_query(None);
            BrowserError::Request { url: place.into(), source: source.without_url() }
        };
        let method = if navigation.form.is_some() { Method::POST } else { Method::GET };
        let from = navigation.initiator.as_ref().map(|from| &from.url);
        let visit = Visit { to: url, from, safe: method == Method::GET, now: self.clock.now() };
        let cookies = self.jar().header(visit);
        let mut request = self
            .http
            .request(method, url.clone())
            .header(header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
            .header(header::ACCEPT_LANGUAGE, "en-US,en;q=0.5")
            .header(header::UPGRADE_INSECURE_REQUESTS, "1")
            .headers(navigation.headers());
        if let Some(cookies) = cookies {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(form) = &navigation.form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
        }
        let response = request.send().await.map_err(failed)?;
        let now = self.clock.now();
        for cookie in response.headers().get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            self.jar().set(cookie, url, now);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(failed)?;
        Ok(Page { url: url.clone(), status, headers, body, stopped: false })
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("stops", &self.stops).finish_non_exhaustive()
    }
}

fn not_there(page: &Page, what: String) -> BrowserError {
    BrowserError::NotThere { what, title: page.title(), url: page.place() }
}
