//! How a client proves itself: not at all for public clients, else by a secret (RFC 6749, section 2.3) or by a signature
//! (RFC 7523).
//!
//! A client secret of ours is an HMAC of the client id. Nothing is stored, so nothing can be stolen or lost with the
//! database.

use authchain::core::{ClientId, Secret, constant_time_eq};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use url::form_urlencoded;

use super::{
    Client, ClientProof, NoClient,
    assertion::{self, Unproven},
};
use crate::{
    audit::{Event, What},
    errors::OAuthError,
    keys::{SubKeys, base64url, from_base64url},
    limits::Caller,
    params::Params,
    server::Shared,
};

/// The secret of a confidential client.
pub(super) fn secret_of(keys: &SubKeys, id: &ClientId) -> Secret {
    Secret::new(base64url(keys.tag(&[id.as_str().as_bytes()])))
}

/// Whether this is the client's secret, also one from before a change of keys.
fn is_secret_of(keys: &SubKeys, id: &ClientId, presented: &str) -> bool {
    from_base64url(presented).is_some_and(|tag| tag.len() == 32 && keys.recognises(&[id.as_str().as_bytes()], &tag))
}

/// Whether this is the client's secret: the configured one, or the one that we derive.
fn has_secret(server: &Shared, client: &Client, presented: &str) -> bool {
    match client.configured().map(|configured| &configured.proof) {
        Some(ClientProof::Secret(secret)) => constant_time_eq(secret.expose().as_bytes(), presented.as_bytes()),
        Some(_) => false,
        None => is_secret_of(&server.keys.client_secrets, &client.id, presented),
    }
}

/// What a request shows of a client.
struct Shown {
    id: String,
    proof: Proof,
    basic: bool,
}

/// By what it proves itself.
enum Proof {
    Nothing,
    Secret(Secret),
    Assertion(Secret),
}

/// Finds out which client asks, and whether it is the one.
///
/// # Errors
/// `invalid_client` (401) for an unknown client, a wrong or missing proof, or a proof where there should be none: clients
/// forget their registration then and register anew. `invalid_request` for two ways of proving at once that differ. 503
/// where that cannot be told now, 429 where a client asks too often.
pub(crate) async fn authenticate(
    server: &Shared,
    caller: Caller,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Client, OAuthError> {
    let shown = shown(headers, params)?;
    let refuse = |client: Option<&Client>, why: &str| {
        let event = Event::new(What::ClientAuthentication);
        match client {
            Some(client) => event.client(client).refused(why),
            None => event.refused(why),
        }
        OAuthError::invalid_client(why.to_owned(), shown.basic)
    };
    let client = match Client::find(server, &shown.id).await {
        Ok(client) => client,
        Err(NoClient::Unknown) => return Err(refuse(None, "the client is not known here: register again")),
        Err(NoClient::BadDocument(rule)) => {
            return Err(refuse(None, &format!("the client's metadata document cannot be used: {rule}")));
        }
        Err(NoClient::Failed(error)) => return Err(error.into()),
    };
    let why = match (&shown.proof, &client.metadata) {
        (Proof::Nothing, metadata) if metadata.is_public() => {
            server.limits.count_public_client(client.id.as_str(), caller)?;
            return Ok(client);
        }
        (_, metadata) if metadata.is_public() => "a public client has no secret and no key",
        (Proof::Nothing, metadata) if metadata.has_secret() => "the client secret is missing",
        (Proof::Secret(secret), metadata) if metadata.has_secret() => {
            if has_secret(server, &client, secret.expose()) {
                server.limits.count_client(client.id.as_str())?;
                return Ok(client);
            }
            "the client secret is wrong"
        }
        (Proof::Assertion(_), metadata) if metadata.has_secret() => "the client has a secret and does not sign",
        (Proof::Assertion(assertion), _) => match assertion::verify(server, &client, assertion.expose()).await {
            Ok(()) => {
                server.limits.count_client(client.id.as_str())?;
                return Ok(client);
            }
            Err(Unproven::Wrong(why)) => why,
            Err(Unproven::Failed(error)) => return Err(error),
        },
        (_, _) => "client_assertion is missing: the client signs",
    };
    Err(refuse(Some(&client), why))
}

fn shown(headers: &HeaderMap, params: &Params) -> Result<Shown, OAuthError> {
    let id = params.one("client_id")?;
    let secret = params.one("client_secret")?;
    let basic = basic(headers)?;
    if let Some(assertion) = params.one("client_assertion")? {
        if params.one("client_assertion_type")? != Some(assertion::TYPE) {
            return Err(OAuthError::invalid_request("client_assertion_type is missing or none that is known here"));
        }
        if secret.is_some() || basic.is_some() {
            return Err(OAuthError::invalid_request("the client proves itself in two ways at once"));
        }
        let claimed = assertion::claimed_client(assertion);
        let id = id.map(str::to_owned).or(claimed);
        let id = id.ok_or_else(|| OAuthError::invalid_client("the assertion names no client", false))?;
        return Ok(Shown { id, proof: Proof::Assertion(Secret::new(assertion)), basic: false });
    }
    let proof = |secret: Option<Secret>| secret.map_or(Proof::Nothing, Proof::Secret);
    let Some((basic_id, basic_secret)) = basic else {
        let id = id.ok_or_else(|| OAuthError::invalid_client("client_id is missing", false))?;
        return Ok(Shown { id: id.into(), proof: proof(secret.map(Secret::new)), basic: false });
    };
    // Some clients send both; that is allowed if both say the same.
    let same = id.is_none_or(|id| id == basic_id)
        && secret.is_none_or(|s| constant_time_eq(s.as_bytes(), basic_secret.expose().as_bytes()));
    if !same {
        return Err(OAuthError::invalid_request("the Authorization header and the body name different clients"));
    }
    let secret = if basic_secret.is_empty() { None } else { Some(basic_secret) };
    Ok(Shown { id: basic_id, proof: proof(secret), basic: true })
}

/// RFC 6749, section 2.3.1: both halves are form-encoded before they are joined.
fn basic(headers: &HeaderMap) -> Result<Option<(String, Secret)>, OAuthError> {
    let unreadable = || OAuthError::invalid_client("the Authorization header cannot be read", true);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(OAuthError::invalid_request("more than one Authorization header"));
    }
    let value = value.to_str().map_err(|_| unreadable())?;
    let Some((scheme, rest)) = value.split_once(' ') else { return Err(unreadable()) };
    if !scheme.eq_ignore_ascii_case("basic") {
        // A bearer token here proves nothing about a client; some send theirs along by habit.
        return Ok(None);
    }
    let bytes = STANDARD.decode(rest.trim()).map_err(|_| unreadable())?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
    let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
    Ok(Some((decoded(id), Secret::new(decoded(secret)))))
}

fn decoded(text: &str) -> String {
    // One name without a value: exactly the decoding of a form, applied to a single text.
    form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use authchain::store::seal::Keyring;

    use super::*;
    use crate::keys::Keys;

    fn with_basic(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap());
        headers
    }

    fn params(query: &str) -> Params {
        Params::query(Some(query))
    }

    #[test]
    fn the_header_and_the_body_are_read_alike() {
        for (headers, query) in [
            (with_basic("ac_x:s%2Bt"), ""),
            (HeaderMap::new(), "client_id=ac_x&client_secret=s%2Bt"),
            (with_basic("ac_x:s%2Bt"), "client_id=ac_x&client_secret=s%2Bt"),
            (with_basic("ac_x:s%2Bt"), "client_id=ac_x"),
        ] {
            let shown = shown(&headers, &params(query)).unwrap();
            assert_eq!(shown.id, "ac_x");
            assert!(matches!(shown.proof, Proof::Secret(secret) if secret.expose() == "s+t"));
        }
    }

    #[test]
    fn an_empty_secret_is_no_secret() {
        for shown in
            [shown(&HeaderMap::new(), &params("client_id=a&client_secret=")), shown(&with_basic("a:"), &params(""))]
        {
            assert!(matches!(shown.unwrap().proof, Proof::Nothing));
        }
    }

    #[test]
    fn two_proofs_that_differ_are_refused() {
        assert_eq!(shown(&with_basic("a:s"), &params("client_id=b")).err().unwrap().error(), "invalid_request");
        assert_eq!(shown(&with_basic("a:s"), &params("client_secret=t")).err().unwrap().error(), "invalid_request");
    }

    #[test]
    fn a_request_that_names_no_client_is_invalid_client() {
        assert_eq!(shown(&HeaderMap::new(), &params("")).err().unwrap().error(), "invalid_client");
    }

    #[test]
    fn a_secret_belongs_to_one_id() {
        let keys = Keys::derive(&Keyring::ephemeral()).unwrap().client_secrets;
        let (a, b) = (ClientId::new("a").unwrap(), ClientId::new("b").unwrap());
        let secret = secret_of(&keys, &a);
        assert!(is_secret_of(&keys, &a, secret.expose()));
        assert!(!is_secret_of(&keys, &b, secret.expose()));
        assert!(!is_secret_of(&keys, &a, secret.expose().split_at(30).0));
    }
}
