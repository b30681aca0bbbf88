//! Which servers this one vouches for people to: what the operator wrote down, and what a client asks for of it.

use std::collections::HashSet;

use authchain::core::{AuthError, ClientId, Scopes};
use http::StatusCode;
use url::Url;

use super::super::unauthorized;
use crate::{
    clients::{ClientProof, RegisteredClient},
    errors::OAuthError,
    options::is_loopback,
    params::Params,
    resource, scopes,
};

/// A server that takes the identity assertions of this one. It has to name this server among the issuers that it trusts.
#[derive(Clone, Debug)]
pub struct ExchangeAudience {
    /// Its issuer (RFC 8414, section 2): `aud` of the assertions.
    pub issuer: String,
    /// The MCP endpoints that it gives access to.
    pub resources: Vec<Url>,
    /// What may be asked for there, besides who the person is. Never empty: an assertion without scopes would mean all that
    /// the other server has.
    pub scopes: Scopes,
    /// Who may ask.
    pub clients: Vec<ExchangeClient>,
}

/// A client that may ask for assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeClient {
    /// Its id here.
    pub id: ClientId,
    /// Its id at the other server (draft-ietf-oauth-identity-assertion-authz-grant, section 5). A client whose id is the
    /// address of a document has the same one everywhere.
    pub id_there: ClientId,
}

/// What a client asks for, as the operator allows it.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) issuer: &'a str,
    pub(super) resource: String,
    pub(super) client: &'a ClientId,
    pub(super) scopes: Scopes,
}

/// Reads `audience`, `resource` and `scope` of a request (RFC 8693, section 2.1).
///
/// A client that names no scope gets all that the operator listed; one that names a scope which is not listed gets nothing.
/// `resource` may be left out where the audience has only one.
///
/// # Errors
/// `unauthorized_client` for a client that may ask for no audience at all, `invalid_target` for an audience that is not
/// listed for it and for a resource that is none of the audience's (RFC 8693, section 2.2.2), `invalid_scope`, and
/// `invalid_request` for a parameter that is missing or doubled.
pub(super) fn order<'a>(
    audiences: &'a [ExchangeAudience],
    client: &ClientId,
    params: &Params,
) -> Result<Order<'a>, OAuthError> {
    let of = |audience: &'a ExchangeAudience| audience.clients.iter().find(|listed| listed.id == *client);
    let mut open = audiences.iter().filter_map(|audience| Some((audience, of(audience)?))).peekable();
    if open.peek().is_none() {
        return Err(unauthorized("the operator has not allowed this client to exchange tokens"));
    }
    let asked = params.one("audience")?.ok_or_else(|| OAuthError::invalid_request("audience is missing"))?;
    let (audience, client) = open
        .find(|(audience, _)| bare(&audience.issuer) == bare(asked))
        .ok_or_else(|| invalid_target("the operator has not listed this audience for this client"))?;
    let resource = match (params.one("resource")?, audience.resources.as_slice()) {
        (Some(asked), resources) => resources.iter().find(|listed| resource::names(listed, asked)),
        (None, [only]) => Some(only),
        (None, _) => return Err(OAuthError::invalid_request("resource is missing: this audience has several")),
    };
    let resource =
        resource.ok_or_else(|| invalid_target("the operator has not listed this resource of the audience"))?;
    Ok(Order {
        issuer: &audience.issuer,
        resource: resource::written(resource),
        client: &client.id_there,
        scopes: scopes_of(audience, params)?,
    })
}

fn scopes_of(audience: &ExchangeAudience, params: &Params) -> Result<Scopes, OAuthError> {
    let asked = Scopes::from(params.one("scope")?.unwrap_or_default());
    if asked.is_empty() {
        return Ok(audience.scopes.clone());
    }
    if asked.iter().all(|scope| scopes::is_identity(scope) || audience.scopes.contains(scope)) {
        return Ok(asked);
    }
    let why = "the operator has not listed all of these scopes for the audience";
    Err(OAuthError::new(StatusCode::BAD_REQUEST, "invalid_scope", why))
}

/// What of an issuer is compared: URL libraries add a slash to a bare host; nothing else may differ.
fn bare(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

fn invalid_target(why: &'static str) -> OAuthError {
    OAuthError::new(StatusCode::BAD_REQUEST, "invalid_target", why)
}

/// Refuses what would not be safe or could not work.
pub(crate) fn check(
    audiences: &[ExchangeAudience],
    own_issuer: &str,
    registered: &[RegisteredClient],
    allow_public_http: bool,
) -> Result<(), AuthError> {
    let mut issuers = HashSet::new();
    for audience in audiences {
        let issuer = audience.issuer.as_str();
        let refuse = |why: String| {
            Err(AuthError::Configuration(format!("grants.exchange_audiences, issuer = {issuer:?}: {why}")))
        };
        let is_safe = |url: &Url| url.scheme() == "https" || allow_public_http || is_loopback(url);
        if !Url::parse(issuer).is_ok_and(|url| is_safe(&url) && url.query().is_none() && url.fragment().is_none()) {
            return refuse("an issuer is an https address without query and fragment".into());
        }
        // The draft, "Cross-Domain Use": nobody gives tokens for what it vouched for itself.
        if bare(issuer) == bare(own_issuer) {
            return refuse("it is this server itself".into());
        }
        if !issuers.insert(bare(issuer)) {
            return refuse("it is there twice".into());
        }
        if audience.resources.is_empty() || !audience.resources.iter().all(is_safe) {
            return refuse("it needs resources, the https addresses of its MCP endpoints".into());
        }
        if audience.scopes.is_empty() {
            return refuse(
                "it needs scopes: an assertion without them would mean all that the other server has".into(),
            );
        }
        if audience.clients.is_empty() {
            return refuse("it needs clients: nobody could ask".into());
        }
        for client in &audience.clients {
            let (id, known) = (client.id.as_str(), registered.iter().find(|known| known.id == client.id));
            match known {
                Some(known) if matches!(known.proof, ClientProof::Nothing) => {
                    return refuse(format!(
                        "the client {id} has no secret and no keys, so it cannot prove that it asks"
                    ));
                }
                // Ids that we issued and addresses of documents are looked up when they are presented.
                None if !id.starts_with("ac_") && !id.contains("://") => {
                    return refuse(format!("the client {id} is not registered"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use authchain::core::Secret;

    use super::*;

    const FILES: &str = "https://files.example";

    fn audience() -> ExchangeAudience {
        ExchangeAudience {
            issuer: FILES.into(),
            resources: vec!["https://files.example/mcp".parse().unwrap()],
            scopes: Scopes::from("read write"),
            clients: vec![client("desk", "desk-there")],
        }
    }

    fn client(id: &str, there: &str) -> ExchangeClient {
        ExchangeClient { id: ClientId::new(id).unwrap(), id_there: ClientId::new(there).unwrap() }
    }

    fn registered(id: &str, proof: ClientProof) -> RegisteredClient {
        RegisteredClient { proof, ..RegisteredClient::new(ClientId::new(id).unwrap(), id, Vec::new()) }
    }

    fn ask(id: &str, query: &str) -> Result<(String, String, String, String), &'static str> {
        let audiences = [
            audience(),
            ExchangeAudience {
                issuer: "https://mail.example/".into(),
                resources: ["https://mail.example", "https://mail.example/other"].map(|u| u.parse().unwrap()).into(),
                scopes: Scopes::from("send"),
                clients: vec![client("app", "app"), client("desk", "desk")],
            },
            ExchangeAudience { issuer: "https://hr.example".into(), clients: vec![client("app", "app")], ..audience() },
        ];
        order(&audiences, &ClientId::new(id).unwrap(), &Params::query(Some(query)))
            .map(|o| (o.issuer.into(), o.resource, o.client.to_string(), o.scopes.to_string()))
            .map_err(|error| error.error())
    }

    #[test]
    fn n19_an_order_names_the_audience_as_the_operator_wrote_it() {
        let files = |scopes: &str| (FILES.into(), format!("{FILES}/mcp"), "desk-there".into(), scopes.into());
        let query = "audience=https://files.example&resource=https://files.example/mcp";
        assert_eq!(ask("desk", &format!("{query}&scope=read")), Ok(files("read")));
        assert_eq!(ask("desk", &format!("{query}/&scope=read+openid+email")), Ok(files("email openid read")));
        assert_eq!(ask("desk", query), Ok(files("read write")), "all that is listed");
        assert_eq!(ask("desk", "audience=https://files.example/&scope="), Ok(files("read write")));
        let mail = ("https://mail.example/".into(), "https://mail.example".into(), "app".into(), "send".into());
        assert_eq!(ask("app", "audience=https://mail.example&resource=https://mail.example/"), Ok(mail));
    }

    #[test]
    fn n19_what_the_operator_has_not_listed_is_refused() {
        let resource = "resource=https://files.example/mcp";
        for (case, id, query, error) in [
            ("a client that is nowhere", "eve", "audience=https://files.example", "unauthorized_client"),
            ("no audience", "desk", resource, "invalid_request"),
            (
                "two audiences",
                "desk",
                "audience=https://files.example&audience=https://mail.example",
                "invalid_request",
            ),
            ("an unknown audience", "desk", "audience=https://other.example", "invalid_target"),
            ("another client's audience", "desk", "audience=https://hr.example", "invalid_target"),
            ("an audience of another case", "desk", "audience=https://files.example/MCP", "invalid_target"),
            ("an audience with a query", "desk", "audience=https://files.example/?x=1", "invalid_target"),
            (
                "another audience's resource",
                "desk",
                "audience=https://files.example&resource=https://mail.example",
                "invalid_target",
            ),
            ("no address", "desk", "audience=https://files.example&resource=mcp", "invalid_target"),
            ("one of several resources", "desk", "audience=https://mail.example", "invalid_request"),
            (
                "two resources",
                "desk",
                "audience=https://files.example&resource=https://files.example/mcp&resource=https://files.example/mcp",
                "invalid_request",
            ),
            ("an unknown scope", "desk", "audience=https://files.example&scope=read+admin", "invalid_scope"),
            ("another audience's scope", "desk", "audience=https://files.example&scope=send", "invalid_scope"),
            (
                "two scopes parameters",
                "desk",
                "audience=https://files.example&scope=read&scope=read",
                "invalid_request",
            ),
        ] {
            assert_eq!(ask(id, query), Err(error), "{case}");
        }
    }

    #[test]
    fn n19_an_audience_that_would_not_be_safe_stops_the_start() {
        let clients = [
            registered("desk", ClientProof::Secret(Secret::new("a secret of twenty characters"))),
            registered("public", ClientProof::Nothing),
        ];
        let own = "https://own.example";
        let refused = |change: fn(&mut ExchangeAudience)| {
            let mut changed = audience();
            change(&mut changed);
            check(&[changed], own, &clients, false).is_err()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|audience| audience.issuer = "https://own.example/".into()));
        assert!(refused(|audience| audience.issuer = "http://files.example".into()));
        assert!(refused(|audience| audience.issuer = "files".into()));
        assert!(refused(|audience| audience.issuer.push_str("?x")));
        assert!(refused(|audience| audience.resources.clear()));
        assert!(refused(|audience| audience.resources = vec!["http://files.example/mcp".parse().unwrap()]));
        assert!(refused(|audience| audience.scopes = Scopes::none()));
        assert!(refused(|audience| audience.clients.clear()));
        assert!(refused(|audience| audience.clients = vec![client("public", "x")]), "it cannot prove itself");
        assert!(refused(|audience| audience.clients = vec![client("dekk", "x")]), "a slip of the pen");
        assert!(!refused(|audience| audience.clients.push(client("https://app.example/client.json", "x"))));
        assert!(!refused(|audience| audience.issuer = "http://127.0.0.1:8002".into()));
        assert!(check(&[audience(), audience()], own, &clients, false).is_err(), "twice");
        let plain = ExchangeAudience { issuer: "http://files.example".into(), ..audience() };
        assert!(check(&[plain], own, &clients, true).is_ok(), "on a test network");
    }
}
