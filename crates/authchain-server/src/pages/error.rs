//! Errors for people: what happened, what to click, and a number by which the operator finds the event.

use authchain::core::{AuthError, Email, ErrorCode};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use maud::{Markup, html};

use super::{
    Language, layout,
    words::{Problems, Sentence, Words},
};
use crate::{keys, server::Shared, ticket::BadTicket};

/// What went wrong, from the person's side.
#[derive(Debug)]
pub(crate) enum Problem {
    UnknownClient,
    BadRedirect,
    /// The rule that the client's metadata document breaks.
    ClientDocument(String),
    BadRequest(String),
    UnknownState,
    OtherBrowser,
    Expired,
    Foreign,
    AlreadyDone,
    /// The code of a device was answered before, or its time is over.
    DeviceOver,
    DeniedAtProvider,
    /// Nobody can sign in at this server.
    NoSignIn,
    /// There is nothing at an address that a person opened.
    NoSuchPage,
    /// The provider's error word.
    Provider(String),
    ProviderDown,
    /// The provider did not accept the code that it had sent.
    CodeRefused,
    WrongAccount {
        expected: Email,
        got: Email,
    },
    /// Ours.
    Ours(ErrorCode),
}

impl Problem {
    /// What is wrong with a ticket.
    pub(crate) fn of(bad: BadTicket) -> Self {
        match bad {
            BadTicket::Foreign => Self::Foreign,
            BadTicket::Expired => Self::Expired,
            BadTicket::OtherBrowser => Self::OtherBrowser,
        }
    }

    /// Whether connecting anew in the client helps. Where the person or the provider said no, it does not.
    fn is_mended_by_the_client(&self) -> bool {
        !matches!(
            self,
            Self::DeniedAtProvider
                | Self::NoSignIn
                | Self::NoSuchPage
                | Self::ProviderDown
                | Self::WrongAccount { .. }
                | Self::AlreadyDone
                | Self::DeviceOver
        )
    }

    fn sentence(&self, all: &'static Words) -> &'static Sentence {
        let words = &all.problems;
        match self {
            Self::DeviceOver => &all.device.over,
            Self::UnknownClient => &words.unknown_client,
            Self::BadRedirect => &words.bad_redirect,
            Self::ClientDocument(_) => &words.client_document,
            Self::BadRequest(_) => &words.bad_request,
            Self::UnknownState => &words.unknown_state,
            Self::OtherBrowser => &words.other_browser,
            Self::Expired => &words.expired,
            Self::Foreign => &words.foreign,
            Self::AlreadyDone => &words.already_done,
            Self::DeniedAtProvider => &words.denied,
            Self::NoSignIn => &words.no_sign_in,
            Self::NoSuchPage => &words.no_such_page,
            Self::Provider(_) => &words.provider,
            Self::ProviderDown => &words.provider_down,
            Self::CodeRefused => &words.code_refused,
            Self::WrongAccount { .. } => &words.wrong_account,
            Self::Ours(_) => &words.ours,
        }
    }

    /// The technical word for whoever is asked for help.
    fn detail(&self) -> Option<&str> {
        match self {
            Self::BadRequest(why) | Self::ClientDocument(why) => Some(why),
            Self::Provider(word) => Some(word),
            Self::Ours(code) => Some(code.as_str()),
            _ => None,
        }
    }
}

/// Makes error pages for one request.
pub(crate) struct ErrorPage<'a> {
    server: &'a Shared,
    language: Language,
    way_back: Option<(String, String)>,
}

impl<'a> ErrorPage<'a> {
    pub(crate) fn new(server: &'a Shared, language: Language) -> Self {
        Self { server, language, way_back: None }
    }

    /// Adds a link that returns to the client: its name and the address.
    pub(crate) fn with_way_back(self, way_back: Option<(String, String)>) -> Self {
        Self { way_back, ..self }
    }

    /// The page for a problem that has been written down under `reference`.
    pub(crate) fn show(&self, status: StatusCode, problem: &Problem, reference: &str) -> Response {
        self.page(status, problem, Some(reference))
    }

    /// The page for something that is no fault and has no number.
    pub(crate) fn plain(&self, status: StatusCode, problem: &Problem) -> Response {
        self.page(status, problem, None)
    }

    /// The page for a form that cannot be accepted.
    pub(crate) fn bad_ticket(&self, bad: BadTicket) -> Response {
        let reference = keys::reference();
        crate::audit::Event::new(crate::audit::What::Consent).reference(&reference).refused(match bad {
            BadTicket::Foreign => "a form that is not ours",
            BadTicket::Expired => "the page was open for too long",
            BadTicket::OtherBrowser => "another browser",
        });
        self.show(StatusCode::FORBIDDEN, &Problem::of(bad), &reference)
    }

    /// The page for a failure of ours or of the provider.
    pub(crate) fn failure(&self, failure: &AuthError) -> Response {
        self.failure_as(failure, &keys::reference())
    }

    /// The same, under a number that is known already.
    pub(crate) fn failure_as(&self, failure: &AuthError, reference: &str) -> Response {
        let code = failure.code();
        tracing::error!(target: "authchain::audit", what = "failure", code = %code, error = %failure, reference);
        let problem = match code {
            ErrorCode::UpstreamUnavailable => Problem::ProviderDown,
            ErrorCode::CodeRefused => Problem::CodeRefused,
            ErrorCode::UpstreamRefused | ErrorCode::SignInNeeded | ErrorCode::SessionControl => {
                Problem::Provider(code.as_str().into())
            }
            _ => Problem::Ours(code),
        };
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = self.page(status, &problem, Some(reference));
        if let Some(after) = failure.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }

    fn page(&self, status: StatusCode, problem: &Problem, reference: Option<&str>) -> Response {
        let all = self.language.words();
        let (words, sentence) = (&all.problems, problem.sentence(all));
        let content = html! {
            p { (sentence.text) }
            @if let Problem::WrongAccount { expected, got } = problem {
                dl {
                    dt { (words.expected_account) } dd { (expected) }
                    dt { (words.got_account) } dd { (got) }
                }
            }
            @if let Some(detail) = problem.detail() { p.soft { (detail) } }
            @if let Some((client, address)) = &self.way_back {
                p { a.button.main href=(address) { ((words.return_to)(client)) } }
            }
            @if let Some(reference) = reference {
                @if problem.is_mended_by_the_client() { (reconnect(words)) }
                dl { dt { (words.reference) } dd { (reference) } }
            }
        };
        layout::page(self.server, self.language, status, sentence.title, &content)
    }
}

fn reconnect(words: &Problems) -> Markup {
    html! {
        h2 { (words.reconnect) }
        @for (client, steps) in words.reconnect_steps {
            h3 { (client) }
            p { (steps) }
        }
    }
}
