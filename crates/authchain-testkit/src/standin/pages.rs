//! The pages of the stand-in: account chooser, consent screen, error page. No JavaScript, nothing from elsewhere, readable
//! on a phone and in the dark; a banner on each says that this is no Google.

use std::sync::Arc;

use authchain_core::{Email, Scopes};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use url::Url;

use super::{
    authorize::{DeadEnd, Visit},
    scopes::{is_sign_in, words},
    world::World,
};

const STYLE: &str = include_str!("style.css");

/// `GET /`: what this is.
pub(crate) async fn front(State(world): State<Arc<World>>) -> Response {
    let body = html! {
        h1 { "Stand-in for Google" }
        p { "It serves OpenID Connect, OAuth, and a little of Drive, Gmail and Calendar, for tests and demonstrations." }
        dl {
            dt { "Issuer" } dd { code { (world.issuer) } }
            dt { "People" }
            @for person in world.people().all() { dd { (person.name()) ", " (person.email) } }
        }
    };
    document(StatusCode::OK, "Stand-in for Google", &body)
}

/// `GET /standin/style.css`
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE)
        .into_response()
}

/// Who is it?
pub(crate) fn chooser(world: &World, id: &str, visit: &Visit) -> Response {
    let body = html! {
        h1 { "Choose an account" }
        p { "to continue to " strong { (destination(visit)) } }
        form method="post" action="/o/oauth2/v2/auth/account" {
            input type="hidden" name="visit" value=(id);
            ul.accounts {
                @for person in world.people().all() {
                    li {
                        button type="submit" name="account" value=(person.email) {
                            span.avatar aria-hidden="true" { (person.given_name.get(..1).unwrap_or_default()) }
                            span.who { strong { (person.name()) } span { (person.email) } }
                        }
                    }
                }
            }
        }
    };
    document(StatusCode::OK, "Choose an account", &body)
}

/// May this app do that?
pub(crate) fn consent(id: &str, visit: &Visit, email: &Email, granted: &Scopes) -> Response {
    let optional: Vec<&str> = visit.scopes.iter().filter(|s| !is_sign_in(s) && !granted.contains(s)).collect();
    let fixed: Vec<&str> = visit.scopes.iter().filter(|s| is_sign_in(s) || granted.contains(s)).collect();
    let body = html! {
        h1 { "Allow access to your account?" }
        p { "Asked by " strong { (destination(visit)) } }
        p.account { "Signed in as " strong { (email) } }
        form method="post" action="/o/oauth2/v2/auth/consent" {
            input type="hidden" name="visit" value=(id);
            @if !optional.is_empty() {
                fieldset {
                    legend { "Select what this app can access" }
                    @for (i, scope) in optional.iter().enumerate() {
                        div.choice {
                            input type="checkbox" id={ "scope-" (i) } name="scope" value=(scope) checked;
                            label for={ "scope-" (i) } { (words(scope)) span.scope { (scope) } }
                        }
                    }
                }
            }
            @if !fixed.is_empty() {
                h2 { "Already allowed, or part of signing in" }
                ul.fixed { @for scope in &fixed { li { (words(scope)) } } }
            }
            div.decision {
                button type="submit" name="decision" value="deny" { "Cancel" }
                button.primary type="submit" name="decision" value="allow" { "Allow" }
            }
        }
    };
    document(StatusCode::OK, "Consent", &body)
}

/// The end of the way: Google tells the person, and never the client.
pub(crate) fn dead_end(end: &DeadEnd) -> Response {
    let status = StatusCode::from_u16(end.status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = html! {
        h1 { "Access blocked" }
        p { (end.words) }
        p { code { "Error " (end.status) ": " (end.error) } }
    };
    document(status, "Access blocked", &body)
}

/// On to another page. Never cached, since a code may be in the address.
pub(crate) fn redirect(to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else { return StatusCode::BAD_REQUEST.into_response() };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Where the app lives, as far as the redirect URI tells.
fn destination(visit: &Visit) -> String {
    let host = Url::parse(&visit.redirect_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
    match host.as_deref() {
        Some("localhost" | "127.0.0.1" | "[::1]") | None => "an app on this computer".to_owned(),
        Some(host) => host.to_owned(),
    }
}

fn document(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · stand-in for Google" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/standin/style.css";
            }
            body {
                header {
                    p { strong { "This is a stand-in, not Google." } " Nobody's real account or data is here, and no password is asked for." }
                }
                main { (body) }
            }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // No form-action: browsers apply it to the redirect back to the client, too.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
        ),
    ];
    (status, headers, page.into_string()).into_response()
}
