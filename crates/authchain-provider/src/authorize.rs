//! The authorization request (RFC 6749, section 4.1.1; RFC 7636, section 4.3; OpenID Connect Core 1.0, section
//! 3.1.2.1).

use authchain_core::{Email, Scopes, Secret};
use url::Url;

use crate::{PkceChallenge, Provider};

/// What a sign-in at the provider starts with.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Where the person comes back to; must be registered at the provider, to the byte.
    pub redirect_uri: String,
    /// Binds the answer to the browser that asked. Random, used once.
    pub state: Secret,
    /// The challenge of the verifier that the exchange will show.
    pub challenge: PkceChallenge,
    /// Binds the id token to this request. Random, used once.
    pub nonce: String,
    /// What is asked for; the provider's identity scopes are added.
    pub scopes: Scopes,
    /// The account that is expected, so that the person need not choose.
    pub login_hint: Option<Email>,
    /// Whether the consent page must be shown even if all was granted before. Ask for it only when a refresh token is
    /// needed and none is stored: at Google each consent makes a new refresh token, and the hundredth kills the first.
    pub consent: bool,
    /// Whether the person must be offered all their accounts, even where only one is signed in at the provider.
    pub choose_account: bool,
}

impl Provider {
    /// The address that a person's browser is sent to. It carries `state`, so it is shown to that person only.
    pub fn authorization_url(&self, request: &AuthorizationRequest) -> Url {
        let scopes = request.scopes.union(&self.identity_scopes);
        let mut url = self.authorize_url.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", &request.redirect_uri)
            .append_pair("scope", &scopes.to_string())
            .append_pair("state", request.state.expose())
            .append_pair("nonce", &request.nonce)
            .append_pair("code_challenge", request.challenge.as_str())
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(self.params_for(&scopes));
        query.extend_pairs(self.pages_to_show(request));
        if let Some(hint) = &request.login_hint {
            query.append_pair("login_hint", hint.as_str());
        }
        drop(query);
        url
    }

    /// The parameters that make pages appear. Both may be words of one parameter (`prompt`, OpenID Connect Core 1.0,
    /// section 3.1.2.1), which then has them in a list.
    fn pages_to_show(&self, request: &AuthorizationRequest) -> Vec<(&str, String)> {
        let choose = self.choose_params.iter().filter(|_| request.choose_account);
        let consent = self.consent_params.iter().filter(|_| request.consent);
        let mut shown: Vec<(&str, String)> = Vec::new();
        for (name, value) in choose.chain(consent) {
            match shown.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => {
                    values.push(' ');
                    values.push_str(value);
                }
                None => shown.push((name, value.clone())),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use authchain_core::OAuthClient;

    use super::*;
    use crate::Pkce;

    fn request(scopes: &str) -> AuthorizationRequest {
        AuthorizationRequest {
            redirect_uri: "http://127.0.0.1:8002/auth/callback".into(),
            state: Secret::new("st/a+te="),
            challenge: Pkce::generate().challenge,
            nonce: "n".into(),
            scopes: scopes.into(),
            login_hint: None,
            consent: false,
            choose_account: false,
        }
    }

    fn query(request: &AuthorizationRequest) -> BTreeMap<String, String> {
        let google = Provider::google(OAuthClient { id: "client".into(), secret: Some(Secret::new("hush")) });
        let url = google.authorization_url(request);
        assert!(!url.as_str().contains("hush"), "the client's secret is never in an address");
        url.query_pairs().into_owned().collect()
    }

    #[test]
    fn google_is_asked_for_offline_access_and_pkce() {
        let request = request("https://www.googleapis.com/auth/drive.readonly");
        let query = query(&request);
        assert_eq!(query["access_type"], "offline");
        assert_eq!(query["include_granted_scopes"], "true");
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["code_challenge"], request.challenge.as_str());
        assert_eq!(query["state"], "st/a+te=");
        assert_eq!(query["scope"], "email https://www.googleapis.com/auth/drive.readonly openid");
        assert!(!query.contains_key("prompt") && !query.contains_key("login_hint"));
    }

    #[test]
    fn consent_is_asked_for_only_when_wanted() {
        let query = query(&AuthorizationRequest {
            consent: true,
            login_hint: Some(Email::new("ann@example.com").unwrap()),
            ..request("")
        });
        assert_eq!(query["prompt"], "consent");
        assert_eq!(query["login_hint"], "ann@example.com");
    }

    #[test]
    fn all_accounts_are_offered_when_another_one_is_wanted() {
        let choosing = AuthorizationRequest { choose_account: true, ..request("") };
        assert_eq!(query(&choosing)["prompt"], "select_account");
        assert_eq!(query(&AuthorizationRequest { consent: true, ..choosing })["prompt"], "select_account consent");
    }

    #[test]
    fn photos_do_not_bring_earlier_grants_back_in() {
        let query = query(&request("https://www.googleapis.com/auth/photoslibrary.appendonly"));
        assert!(!query.contains_key("include_granted_scopes"));
        assert_eq!(query["access_type"], "offline");
    }

    #[test]
    fn a12_a13_a_provider_that_wants_a_parameter_gets_it_and_none_gets_a_clients_resource() {
        let mut auth0 = Provider::google(OAuthClient { id: "client".into(), secret: None });
        auth0.authorize_params = crate::provider::params(&[("audience", "https://api.example.com")]);
        let query: BTreeMap<_, _> = auth0.authorization_url(&request("openid")).query_pairs().into_owned().collect();
        assert_eq!(query["audience"], "https://api.example.com");
        assert!(!query.contains_key("resource") && !query.contains_key("access_type"));
    }
}
