//! The documents themselves, and which path names which.

use authchain::jwt::Algorithm;
use serde_json::{Value, json};

use super::path_of;
use crate::{clients::AuthMethod, scopes, server::Shared, token};

/// The document behind what follows `/.well-known/`: one of three names, alone or with the path of the issuer or of the MCP
/// endpoint inserted after it (RFC 8414, section 3.1; RFC 9728, section 3.1).
pub(super) fn find(server: &Shared, document: &str) -> Option<Value> {
    let document = document.trim_end_matches('/');
    let (name, suffix) = match document.split_once('/') {
        Some((name, suffix)) => (name, format!("/{suffix}")),
        None => (document, String::new()),
    };
    if !suffix.is_empty() && suffix != path_of(&server.urls.resource) && suffix != server.urls.base {
        return None;
    }
    match name {
        "oauth-protected-resource" => Some(protected_resource(server)),
        "oauth-authorization-server" => Some(authorization_server(server)),
        "openid-configuration" => Some(openid_configuration(server)),
        _ => None,
    }
}

/// RFC 9728, section 2. `scopes_supported` is what a client should ask for to begin with; `offline_access` is the
/// authorization server's business.
fn protected_resource(server: &Shared) -> Value {
    let options = &server.options;
    let scopes: Vec<&str> = scopes::announced(&options.default_scopes, &options.default_scopes)
        .into_iter()
        .filter(|scope| *scope != "offline_access")
        .collect();
    let mut document = json!({
        "resource": server.urls.resource,
        "resource_name": options.name,
        "authorization_servers": [server.urls.issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    });
    if let Some(fields) = document.as_object_mut() {
        if server.dpop.is_some() {
            fields.insert("dpop_signing_alg_values_supported".into(), json!(algorithms()));
        }
        // Tokens for this resource come from elsewhere then.
        if token::grant_types(server).is_empty() {
            fields.remove("authorization_servers");
        }
    }
    document
}

fn algorithms() -> Vec<&'static str> {
    Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect()
}

/// RFC 8414, section 2.
fn authorization_server(server: &Shared) -> Value {
    let (options, at) = (&server.options, |path: &str| server.urls.at(path));
    let methods = [AuthMethod::None, AuthMethod::Post, AuthMethod::Basic, AuthMethod::PrivateKeyJwt];
    let methods = methods.map(AuthMethod::word);
    let signed_with = algorithms();
    let mut document = json!({
        "issuer": server.urls.issuer,
        "authorization_endpoint": at(&server.options.paths.authorize),
        "token_endpoint": at(&server.options.paths.token),
        "registration_endpoint": at(&server.options.paths.register),
        "revocation_endpoint": at(&server.options.paths.revoke),
        "introspection_endpoint": at(&server.options.paths.introspect),
        "jwks_uri": at(&server.options.paths.jwks),
        "scopes_supported": scopes::announced(&options.scopes_supported, &options.default_scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": token::grant_types(server),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signed_with,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signed_with,
        "introspection_endpoint_auth_methods_supported": methods.iter().filter(|m| **m != "none").collect::<Vec<_>>(),
        "introspection_endpoint_auth_signing_alg_values_supported": signed_with,
        "client_id_metadata_document_supported": options.documents.accept,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "protected_resources": [server.urls.resource],
        "ui_locales_supported": ["en", "de"],
    });
    if let Some(fields) = document.as_object_mut() {
        if !options.sign_in {
            for name in ["authorization_endpoint", "registration_endpoint", "response_modes_supported"] {
                fields.remove(name);
            }
            // RFC 8414 wants the list in any case.
            fields.insert("response_types_supported".into(), json!([]));
            fields.insert("client_id_metadata_document_supported".into(), false.into());
        } else if options.grants.device_code {
            fields
                .insert("device_authorization_endpoint".into(), at(&server.options.paths.device_authorization).into());
        }
        if server.dpop.is_some() {
            fields.insert("dpop_signing_alg_values_supported".into(), json!(signed_with));
        }
        if token::issues_assertions(server) {
            // draft-ietf-oauth-identity-chaining, section 3.
            fields.insert("identity_chaining_requested_token_types_supported".into(), json!([token::ID_JAG]));
        }
        if !options.grants.enterprise.is_empty() {
            let profiles = json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
            fields.insert("authorization_grant_profiles_supported".into(), profiles);
        }
    }
    document
}

/// OpenID Connect Discovery 1.0, section 3: the same, and what an id token is like. Clients that look here must find the
/// same endpoints.
fn openid_configuration(server: &Shared) -> Value {
    let mut document = authorization_server(server);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("subject_types_supported".into(), json!(["public"]));
        fields
            .insert("id_token_signing_alg_values_supported".into(), json!([server.parts.signing.algorithm().as_str()]));
        fields.insert("claims_supported".into(), json!(["sub", "email", "email_verified"]));
    }
    document
}
