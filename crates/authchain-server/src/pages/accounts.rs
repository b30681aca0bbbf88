//! The pages about a person's accounts: the list, the question before an account is unlinked, and what became of it.

use authchain::{
    accounts::{Account, AccountStatus, CredentialState, SetUp, Unlinked},
    core::{Email, TokenGroup},
    provider::Revocation,
};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::{Language, consent::provider_name, layout, local::date, scopes, words::Words};
use crate::server::{Shared, path};

/// All accounts of a person. `linked`: the one that was linked just now.
pub(crate) fn accounts(
    server: &Shared,
    language: Language,
    list: &[AccountStatus],
    linked: Option<&Email>,
    csrf: &str,
) -> Response {
    let words = language.words();
    let accounts = &words.accounts;
    let owner = list.iter().find(|account| account.primary).map(name).unwrap_or_default();
    let content = html! {
        @if let Some(linked) = linked { p.hint role="status" { ((accounts.linked)(linked.as_str(), owner)) } }
        p { (accounts.text) }
        @for account in list { (section(server, words, account, csrf)) }
        div.row { a.button.main href=(server.urls.link(path::LINK)) { (accounts.link) } }
        p { a.line href=(server.urls.link(path::LOCAL)) { (words.sessions.back) } }
    };
    layout::page(server, language, StatusCode::OK, accounts.title, &content)
}

fn section(server: &Shared, words: &Words, account: &AccountStatus, csrf: &str) -> Markup {
    let accounts = &words.accounts;
    html! {
        h2 {
            (name(account)) " "
            span.mark {
                "(" (if account.primary { accounts.primary } else { accounts.secondary })
                @if account.active { ", " (accounts.active) } ")"
            }
        }
        @if account.credentials.is_empty() { p { (accounts.nothing_stored) } }
        @for credential in &account.credentials {
            @if credential.group != TokenGroup::default() { h3 { (credential.group.as_str()) } }
            p { (state(words, credential)) }
            (scopes::list(&credential.scopes, server.parts.describe, words))
        }
        div.row {
            @if !account.works() {
                a.button href=(again(server, account)) { (accounts.sign_in_again) }
            }
            @if !account.active {
                form method="post" action=(server.urls.link(path::ACTIVE_ACCOUNT)) {
                    input type="hidden" name="csrf" value=(csrf);
                    input type="hidden" name="account" value=(account.account.user);
                    button type="submit" aria-label=((accounts.switch_named)(name(account))) { (accounts.switch) }
                }
            }
            @if !account.primary {
                a.button href=(unlink_path(server, &account.account)) aria-label=((accounts.unlink_named)(name(account))) {
                    (accounts.unlink)
                }
            }
        }
    }
}

fn state(words: &Words, credential: &CredentialState) -> String {
    let accounts = &words.accounts;
    let until = credential.valid_until.map(|t| date(t.0)).unwrap_or_default();
    match credential.status {
        SetUp::Valid => (accounts.valid)(&until),
        SetUp::ValidForNow => (accounts.valid_for_now)(&until),
        SetUp::NeedsSignIn => (accounts.needs_sign_in)(credential.why.as_deref().unwrap_or_default()),
    }
}

/// The question before an account is unlinked.
pub(crate) fn ask_to_unlink(
    server: &Shared,
    language: Language,
    account: &Account,
    owner: &Email,
    csrf: &str,
) -> Response {
    let accounts = &language.words().accounts;
    let content = html! {
        dl {
            dt { (accounts.account) } dd { (account.user) }
            dt { (accounts.linked_to) } dd { (owner) }
        }
        p { (accounts.unlink_text) }
        form method="post" action=(unlink_path(server, account)) {
            input type="hidden" name="csrf" value=(csrf);
            div.row {
                button.main type="submit" { (accounts.unlink) }
                a.button href=(server.urls.link(path::ACCOUNTS)) { (accounts.keep) }
            }
        }
    };
    layout::page(server, language, StatusCode::OK, &(accounts.unlink_named)(account.user.as_str()), &content)
}

/// What became of an account that was unlinked.
pub(crate) fn unlinked(server: &Shared, language: Language, account: &str, unlinked: &Unlinked) -> Response {
    let words = language.words();
    let accounts = &words.accounts;
    let provider = provider_name(server);
    let sentence = match unlinked {
        Unlinked::Kept => accounts.kept.to_owned(),
        Unlinked::Removed(revocations) if revocations.iter().all(Revocation::is_ended) => (accounts.revoked)(&provider),
        Unlinked::Removed(_) => (accounts.not_revoked)(&provider),
    };
    let content = html! {
        dl { dt { (accounts.account) } dd { (account) } }
        p { (sentence) }
        p { a.line href=(server.urls.link(path::ACCOUNTS)) { (words.sessions.back) } }
    };
    layout::page(server, language, StatusCode::OK, accounts.unlinked, &content)
}

fn name(account: &AccountStatus) -> &str {
    account.email.as_ref().map_or_else(|| account.account.user.as_str(), Email::as_str)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn unlink_path(server: &Shared, account: &Account) -> String {
    server.urls.link(&format!("{}/{}/unlink", path::ACCOUNTS, encoded(account.user.as_str())))
}

/// Where the account signs in again.
fn again(server: &Shared, account: &AccountStatus) -> String {
    format!("{}?account={}", server.urls.link(path::LOCAL), encoded(account.account.user.as_str()))
}
