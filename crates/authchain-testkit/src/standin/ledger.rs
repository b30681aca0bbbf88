//! What was granted to whom: codes, grants, access and refresh tokens, and Google's rules for their lives. No HTTP here.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use authchain_core::{Email, Scopes, Secret, Timestamp};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::oauth_error::OAuthError;

/// Live refresh tokens per account and client; one more and the oldest dies without a word.
const REFRESH_TOKENS: usize = 100;
/// How long a code can be exchanged.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// How long a refresh token of an app in testing mode lives.
pub(crate) const SEVEN_DAYS: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Default)]
pub(crate) struct Ledger {
    codes: HashMap<String, Code>,
    grants: HashMap<Holder, Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    dead: HashSet<String>,
    issued: Vec<Secret>,
}

/// An account, as seen by one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) email: Email,
    pub(crate) client: String,
}

#[derive(Default)]
struct Grant {
    scopes: Scopes,
    /// Oldest first.
    refresh_tokens: VecDeque<String>,
}

/// What a person said yes to.
#[derive(Clone, Debug)]
pub(crate) struct Consent {
    pub(crate) holder: Holder,
    pub(crate) scopes: Scopes,
    /// `access_type=offline`, and a consent screen was shown: only then is there a refresh token.
    pub(crate) offline: bool,
    /// `include_granted_scopes=true`
    pub(crate) include_granted: bool,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
}

struct Code {
    consent: Consent,
    expires_at: Timestamp,
}

/// A live access token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) holder: Holder,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Timestamp,
}

struct Refresh {
    holder: Holder,
    scopes: Scopes,
    issued_at: Timestamp,
}

/// Tokens on their way to a client.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) holder: Holder,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) nonce: Option<String>,
}

/// How tokens are made at this moment.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) now: Timestamp,
    pub(crate) access_token_life: Duration,
    pub(crate) omit_refresh_token: bool,
    pub(crate) rotate: bool,
    pub(crate) seven_day_death: bool,
}

impl Ledger {
    /// What this client may already do.
    pub(crate) fn granted(&self, holder: &Holder) -> Scopes {
        self.grants.get(holder).map(|grant| grant.scopes.clone()).unwrap_or_default()
    }

    /// Notes a consent and makes the code for it.
    pub(crate) fn consent(&mut self, consent: Consent, now: Timestamp) -> String {
        let grant = self.grants.entry(consent.holder.clone()).or_default();
        grant.scopes = grant.scopes.union(&consent.scopes);
        let code = self.note(format!("4/standin-{}", random()));
        self.codes.insert(code.clone(), Code { consent, expires_at: now + CODE_LIFE });
        code
    }

    /// Exchanges a code, once (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
    pub(crate) fn redeem(
        &mut self,
        code: &str,
        client: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        terms: Terms,
    ) -> Result<Issued, OAuthError> {
        if let Some(verifier) = verifier {
            self.note(verifier.to_owned());
        }
        let Some(Code { consent, expires_at }) = self.codes.remove(code) else {
            return Err(OAuthError::invalid_grant("Malformed auth code."));
        };
        if expires_at <= terms.now || consent.holder.client != client {
            return Err(OAuthError::invalid_grant("Bad Request"));
        }
        if consent.redirect_uri != redirect_uri {
            return Err(OAuthError::new(400, "redirect_uri_mismatch", "Bad Request"));
        }
        match (&consent.challenge, verifier) {
            (Some(_), None) => return Err(OAuthError::invalid_grant("Missing code verifier.")),
            (Some(challenge), Some(verifier)) if *challenge != s256(verifier) => {
                return Err(OAuthError::invalid_grant("Invalid code verifier."));
            }
            _ => {}
        }
        let Some(grant) = self.grants.get(&consent.holder) else {
            return Err(OAuthError::revoked());
        };
        let scopes = if consent.include_granted { grant.scopes.clone() } else { consent.scopes };
        let refresh_token = (consent.offline && !terms.omit_refresh_token)
            .then(|| self.new_refresh_token(&consent.holder, &scopes, terms.now));
        let access_token = self.new_access_token(&consent.holder, &scopes, terms);
        Ok(Issued { holder: consent.holder, access_token, refresh_token, scopes, nonce: consent.nonce })
    }

    /// Makes a new access token from a refresh token (RFC 6749, section 6); `narrower` asks for a part of its scopes.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        client: &str,
        narrower: Option<&Scopes>,
        terms: Terms,
    ) -> Result<Issued, OAuthError> {
        let Some(refresh) = self.refresh.get(token) else {
            return Err(if self.dead.contains(token) {
                OAuthError::revoked()
            } else {
                OAuthError::invalid_grant("Bad Request")
            });
        };
        if refresh.holder.client != client {
            return Err(OAuthError::new(401, "unauthorized_client", "Unauthorized"));
        }
        if terms.seven_day_death && terms.now >= refresh.issued_at + SEVEN_DAYS {
            return Err(OAuthError::revoked());
        }
        let (holder, all) = (refresh.holder.clone(), refresh.scopes.clone());
        let scopes = match narrower {
            Some(part) if !part.is_subset(&all) => {
                return Err(OAuthError::new(400, "invalid_scope", "Bad Request"));
            }
            Some(part) => part.clone(),
            None => all.clone(),
        };
        let refresh_token = terms.rotate.then(|| {
            self.bury(token);
            self.new_refresh_token(&holder, &all, terms.now)
        });
        let access_token = self.new_access_token(&holder, &scopes, terms);
        Ok(Issued { holder, access_token, refresh_token, scopes, nonce: None })
    }

    /// Ends the whole grant that this token, of either kind, belongs to. `false` for a token that is not alive.
    pub(crate) fn revoke(&mut self, token: &str, now: Timestamp) -> bool {
        let live = self.access(token, now).map(|access| access.holder.clone());
        let Some(holder) = live.or_else(|| self.refresh.get(token).map(|refresh| refresh.holder.clone())) else {
            return false;
        };
        if let Some(grant) = self.grants.remove(&holder) {
            for token in grant.refresh_tokens {
                self.refresh.remove(&token);
                self.dead.insert(token);
            }
        }
        self.access.retain(|_, access| access.holder != holder);
        self.codes.retain(|_, code| code.consent.holder != holder);
        true
    }

    /// What an access token may do, if it is alive.
    pub(crate) fn access(&self, token: &str, now: Timestamp) -> Option<&Access> {
        self.access.get(token).filter(|access| access.expires_at > now)
    }

    /// Ends every access token.
    pub(crate) fn expire_access_tokens(&mut self, now: Timestamp) {
        for access in self.access.values_mut() {
            access.expires_at = access.expires_at.min(now);
        }
    }

    /// Makes everything this much older.
    pub(crate) fn age(&mut self, by: Duration) {
        for access in self.access.values_mut() {
            access.expires_at = access.expires_at - by;
        }
        for refresh in self.refresh.values_mut() {
            refresh.issued_at = refresh.issued_at - by;
        }
        for code in self.codes.values_mut() {
            code.expires_at = code.expires_at - by;
        }
    }

    /// How many refresh tokens of an account are alive, of all clients.
    pub(crate) fn live_refresh_tokens(&self, email: &Email) -> usize {
        self.refresh.values().filter(|refresh| refresh.holder.email == *email).count()
    }

    /// How many grants there are.
    pub(crate) fn grants(&self) -> usize {
        self.grants.len()
    }

    /// Remembers a secret for the tests that search for it.
    pub(crate) fn note(&mut self, secret: String) -> String {
        self.issued.push(Secret::new(secret.clone()));
        secret
    }

    /// Every secret so far.
    pub(crate) fn issued(&self) -> Vec<Secret> {
        self.issued.clone()
    }

    fn new_access_token(&mut self, holder: &Holder, scopes: &Scopes, terms: Terms) -> String {
        let token = self.note(format!("standin-at-{}", random()));
        let expires_at = terms.now + terms.access_token_life;
        let access = Access { holder: holder.clone(), scopes: scopes.clone(), expires_at };
        self.access.insert(token.clone(), access);
        token
    }

    fn new_refresh_token(&mut self, holder: &Holder, scopes: &Scopes, now: Timestamp) -> String {
        let token = self.note(format!("standin-rt-{}", random()));
        let refresh = Refresh { holder: holder.clone(), scopes: scopes.clone(), issued_at: now };
        self.refresh.insert(token.clone(), refresh);
        let grant = self.grants.entry(holder.clone()).or_default();
        grant.refresh_tokens.push_back(token.clone());
        if grant.refresh_tokens.len() > REFRESH_TOKENS
            && let Some(oldest) = grant.refresh_tokens.pop_front()
        {
            self.refresh.remove(&oldest);
            self.dead.insert(oldest);
        }
        token
    }

    fn bury(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.remove(token)
            && let Some(grant) = self.grants.get_mut(&refresh.holder)
        {
            grant.refresh_tokens.retain(|other| other != token);
        }
        self.dead.insert(token.to_owned());
    }
}

/// The S256 challenge of a verifier (RFC 7636, section 4.2).
pub(crate) fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// 256 random bits as text.
pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        now: Timestamp(1_000_000),
        access_token_life: Duration::from_secs(3599),
        omit_refresh_token: false,
        rotate: false,
        seven_day_death: false,
    };

    fn ann() -> Holder {
        Holder { email: Email::new("ann@example.com").unwrap(), client: "client".into() }
    }

    fn consent(scopes: &str) -> Consent {
        Consent {
            holder: ann(),
            scopes: scopes.into(),
            offline: true,
            include_granted: false,
            redirect_uri: "http://127.0.0.1:1/cb".into(),
            challenge: Some(s256("verifier")),
            nonce: None,
        }
    }

    fn sign_in(ledger: &mut Ledger, scopes: &str) -> Issued {
        let code = ledger.consent(consent(scopes), TERMS.now);
        ledger.redeem(&code, "client", "http://127.0.0.1:1/cb", Some("verifier"), TERMS).unwrap()
    }

    #[test]
    fn a_code_is_exchanged_once_by_its_client_with_its_verifier_and_redirect_uri() {
        let mut ledger = Ledger::default();
        let tries = [
            ("client", "http://127.0.0.1:1/cb", Some("other"), "Invalid code verifier."),
            ("client", "http://127.0.0.1:1/cb", None, "Missing code verifier."),
            ("client", "http://127.0.0.1:2/cb", Some("verifier"), "Bad Request"),
            ("other", "http://127.0.0.1:1/cb", Some("verifier"), "Bad Request"),
        ];
        for (client, redirect_uri, verifier, words) in tries {
            let code = ledger.consent(consent("a"), TERMS.now);
            let error = ledger.redeem(&code, client, redirect_uri, verifier, TERMS).unwrap_err();
            assert_eq!(error.description, words);
        }
        let code = ledger.consent(consent("a"), TERMS.now);
        assert!(ledger.redeem(&code, "client", "http://127.0.0.1:1/cb", Some("verifier"), TERMS).is_ok());
        assert!(ledger.redeem(&code, "client", "http://127.0.0.1:1/cb", Some("verifier"), TERMS).is_err(), "used");
        let code = ledger.consent(consent("a"), TERMS.now);
        let late = Terms { now: TERMS.now + CODE_LIFE, ..TERMS };
        assert!(ledger.redeem(&code, "client", "http://127.0.0.1:1/cb", Some("verifier"), late).is_err(), "late");
    }

    #[test]
    fn the_hundred_and_first_refresh_token_kills_the_first() {
        let mut ledger = Ledger::default();
        let tokens: Vec<String> = (0..101).map(|_| sign_in(&mut ledger, "a").refresh_token.unwrap()).collect();
        assert!(ledger.refresh(&tokens[0], "client", None, TERMS).is_err());
        assert!(ledger.refresh(&tokens[1], "client", None, TERMS).is_ok());
        assert_eq!(ledger.live_refresh_tokens(&ann().email), 100);
    }

    #[test]
    fn revoking_either_token_ends_every_token_of_the_grant() {
        for revoke_access in [true, false] {
            let mut ledger = Ledger::default();
            let first = sign_in(&mut ledger, "a");
            let second = sign_in(&mut ledger, "b");
            let token = if revoke_access { first.access_token } else { first.refresh_token.unwrap() };
            assert!(ledger.revoke(&token, TERMS.now));
            assert!(ledger.access(&second.access_token, TERMS.now).is_none());
            let error = ledger.refresh(&second.refresh_token.unwrap(), "client", None, TERMS).unwrap_err();
            assert_eq!(error.description, "Token has been expired or revoked.");
            assert!(!ledger.revoke(&token, TERMS.now), "it is gone");
        }
    }

    #[test]
    fn a_rotated_refresh_token_works_once() {
        let mut ledger = Ledger::default();
        let token = sign_in(&mut ledger, "a").refresh_token.unwrap();
        let rotating = Terms { rotate: true, ..TERMS };
        let next = ledger.refresh(&token, "client", None, rotating).unwrap().refresh_token.unwrap();
        assert!(ledger.refresh(&token, "client", None, rotating).is_err());
        assert!(ledger.refresh(&next, "client", None, rotating).is_ok());
        assert_eq!(ledger.live_refresh_tokens(&ann().email), 1);
    }

    #[test]
    fn a_testing_mode_refresh_token_dies_on_the_seventh_day() {
        let mut ledger = Ledger::default();
        let token = sign_in(&mut ledger, "a").refresh_token.unwrap();
        let testing = Terms { seven_day_death: true, ..TERMS };
        assert!(ledger.refresh(&token, "client", None, testing).is_ok());
        ledger.age(SEVEN_DAYS);
        assert!(ledger.refresh(&token, "client", None, testing).is_err());
        assert!(ledger.refresh(&token, "client", None, TERMS).is_ok(), "not in production");
    }

    #[test]
    fn a_refresh_may_ask_for_less_and_not_for_more() {
        let mut ledger = Ledger::default();
        let token = sign_in(&mut ledger, "a b").refresh_token.unwrap();
        assert_eq!(ledger.refresh(&token, "client", Some(&"a".into()), TERMS).unwrap().scopes, "a".into());
        assert_eq!(ledger.refresh(&token, "client", Some(&"c".into()), TERMS).unwrap_err().error, "invalid_scope");
    }

    #[test]
    fn earlier_grants_are_included_when_asked_for() {
        let mut ledger = Ledger::default();
        sign_in(&mut ledger, "a");
        let code = ledger.consent(Consent { include_granted: true, ..consent("b") }, TERMS.now);
        let issued = ledger.redeem(&code, "client", "http://127.0.0.1:1/cb", Some("verifier"), TERMS).unwrap();
        assert_eq!(issued.scopes, "a b".into());
        assert_eq!(sign_in(&mut ledger, "c").scopes, "c".into());
    }
}
