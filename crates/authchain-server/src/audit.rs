//! One event per decision: what was decided, about whom, for which client, with which outcome, under which reference number.
//!
//! Events are `tracing` events of the target `authchain::audit` at level INFO; a subscriber puts them where an operator
//! wants them. No event carries a token, a code, a secret or a full client id.

use crate::{clients::Client, control::Carried, keys};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Registered,
    RegistrationUpdated,
    RegistrationDeleted,
    Authorization,
    Consent,
    SignIn,
    CodeRedeemed,
    Refreshed,
    Revoked,
    Introspected,
    ClientCredentials,
    Assertion,
    Exchanged,
    DeviceAsked,
    DeviceCodeEntered,
    DeviceRedeemed,
    Limited,
    ClientAuthentication,
    SessionOpened,
    SessionEnded,
    SignedOut,
    AccountLinked,
    AccountUnlinked,
    AccountSwitched,
    GrantWidened,
    /// A remembered consent let a request pass without a page.
    ConsentRemembered,
    AppRevoked,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Registered => "client_registered",
            Self::RegistrationUpdated => "client_updated",
            Self::RegistrationDeleted => "client_deleted",
            Self::Authorization => "authorization_requested",
            Self::Consent => "consent",
            Self::SignIn => "sign_in",
            Self::CodeRedeemed => "code_redeemed",
            Self::Refreshed => "token_refreshed",
            Self::Revoked => "token_revoked",
            Self::Introspected => "token_introspected",
            Self::ClientCredentials => "client_credentials",
            Self::Assertion => "assertion_redeemed",
            Self::Exchanged => "token_exchanged",
            Self::DeviceAsked => "device_authorization_requested",
            Self::DeviceCodeEntered => "device_code_entered",
            Self::DeviceRedeemed => "device_code_redeemed",
            Self::Limited => "rate_limited",
            Self::ClientAuthentication => "client_authentication",
            Self::SessionOpened => "session_opened",
            Self::SessionEnded => "session_ended",
            Self::SignedOut => "signed_out",
            Self::AccountLinked => "account_linked",
            Self::AccountUnlinked => "account_unlinked",
            Self::AccountSwitched => "account_switched",
            Self::GrantWidened => "grant_widened",
            Self::ConsentRemembered => "consent_remembered",
            Self::AppRevoked => "app_revoked",
        }
    }
}

/// One decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    what: What,
    who: &'a str,
    account: &'a str,
    client_name: &'a str,
    client: Option<&'a Client>,
    reference: &'a str,
}

impl<'a> Event<'a> {
    pub(crate) fn new(what: What) -> Self {
        Self { what, who: "", account: "", client_name: "", client: None, reference: "" }
    }

    /// The person.
    pub(crate) fn who(self, who: &'a str) -> Self {
        Self { who, ..self }
    }

    /// The account that it is about, where it is not the person's own.
    pub(crate) fn account(self, account: &'a str) -> Self {
        Self { account, ..self }
    }

    /// The client.
    pub(crate) fn client(self, client: &'a Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// A client that is known by its name only.
    pub(crate) fn named(self, client_name: &'a str) -> Self {
        Self { client_name, ..self }
    }

    /// The number on the page that the person sees.
    pub(crate) fn reference(self, reference: &'a str) -> Self {
        Self { reference, ..self }
    }

    /// It was allowed.
    pub(crate) fn allowed(self) {
        self.record("allowed", "");
    }

    /// It was refused, and why.
    pub(crate) fn refused(self, why: &str) {
        self.record("refused", why);
    }

    fn record(self, outcome: &str, why: &str) {
        let client = self.client.map(|client| fingerprint(client.id.as_str())).unwrap_or_default();
        tracing::info!(
            target: "authchain::audit",
            what = self.what.word(),
            who = self.who,
            account = self.account,
            client,
            client_name = self.client.map_or(self.client_name, |client| client.metadata.name()),
            outcome,
            why,
            reference = self.reference,
        );
    }
}

/// Somebody on this machine had credentials moved into or out of the server's memory. The uid is the operating system's word.
pub(crate) fn migrated(uid: u32, carried: &Carried) {
    let Carried { from, to, credentials, arrived, removed } = carried;
    tracing::info!(
        target: "authchain::audit",
        what = "credentials_migrated",
        uid,
        from,
        to,
        credentials,
        arrived,
        removed,
        outcome = "allowed",
    );
}

/// A client id shortened to what a person can compare: the ids themselves are long.
pub(crate) fn fingerprint(client_id: &str) -> String {
    keys::hashed(client_id).chars().take(12).collect()
}
