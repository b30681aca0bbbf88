//! `authchain doctor` against servers as they are found: a good one, one behind a proxy that spoils things, and none.

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse, routing::any};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::program::{Demo, run_authchain};

/// The findings: what was looked at, and how it was graded.
async fn doctor(url: &str) -> (Option<i32>, Vec<Value>, String) {
    let output = run_authchain(&["doctor", "--url", url, "--json"]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let findings = answer["findings"].as_array().cloned().unwrap_or_default();
    (output.status.code(), findings, String::from_utf8(output.stderr).unwrap())
}

fn bad(findings: &[Value]) -> Vec<&str> {
    let bad = findings.iter().filter(|finding| finding["grade"] == "bad");
    bad.map(|finding| finding["what"].as_str().unwrap()).collect()
}

/// A reverse proxy with a fault: `Ok` is the path to ask for behind it, `Err` the answer that the fault gives.
async fn proxy(behind: &str, fault: fn(&str) -> Result<String, StatusCode>) -> String {
    let origin = behind.trim_end_matches("/mcp").to_owned();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let pass = move |request: Request| async move {
        let path = match fault(request.uri().path()) {
            Ok(path) => path,
            Err(status) => return (status, [("location", "/mcp")]).into_response(),
        };
        let mut asked = http.request(request.method().clone(), format!("{origin}{path}"));
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != "host") {
            asked = asked.header(name, value);
        }
        let answer = asked.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = (status, answer.bytes().await.unwrap()).into_response();
        for (name, value) in &headers {
            if name != "content-length" && name != "transfer-encoding" {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(pass))).await });
    url
}

#[tokio::test]
async fn a_good_server_has_nothing_bad() {
    let demo = Demo::start(&[]).await;
    let (code, findings, errors) = doctor(demo.mcp_url()).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{findings:?}");
    assert!(findings.len() > 12 && findings.iter().all(|finding| finding["grade"] == "good"), "{findings:#?}");
}

#[tokio::test]
async fn d10_metadata_with_an_inner_address_is_named_with_the_byte_that_differs() {
    let demo = Demo::start(&[]).await;
    let outside = proxy(demo.mcp_url(), |path| Ok(path.to_owned())).await;
    let (code, findings, errors) = doctor(&outside).await;
    assert_eq!(code, Some(1), "{errors}");
    let of_resource = findings.iter().find(|f| f["what"] == "/.well-known/oauth-protected-resource/mcp").unwrap();
    let found = of_resource["found"].as_str().unwrap();
    assert!(found.contains(demo.mcp_url()) && found.contains("they differ from byte "), "{found}");
    assert!(of_resource["fix"].as_str().unwrap().contains("server.public_url"));
}

#[tokio::test]
async fn d11_a_proxy_that_knows_only_one_spelling_of_the_path_is_noticed() {
    let demo = Demo::start(&[]).await;
    let no_bare = |path: &str| if path == "/mcp" { Err(StatusCode::NOT_FOUND) } else { Ok(path.to_owned()) };
    let (_, findings, _) = doctor(&proxy(demo.mcp_url(), no_bare).await).await;
    let bare: Vec<_> = bad(&findings).into_iter().filter(|what| what.starts_with("POST /mcp without")).collect();
    assert_eq!(bare.len(), 1, "{findings:#?}");
    let redirects =
        |path: &str| if path == "/mcp/" { Err(StatusCode::TEMPORARY_REDIRECT) } else { Ok(path.to_owned()) };
    let (_, findings, _) = doctor(&proxy(demo.mcp_url(), redirects).await).await;
    let slash = findings.iter().find(|f| f["what"] == "POST /mcp/ without a token").unwrap();
    assert_eq!(slash["found"], "307 Temporary Redirect to /mcp");
}

#[tokio::test]
async fn the_address_of_the_server_instead_of_the_endpoint_is_noticed() {
    let demo = Demo::start(&[]).await;
    let (code, findings, errors) = doctor(demo.text("issuer")).await;
    assert_eq!(code, Some(1), "{errors}");
    let of =
        |what: &str| findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{findings:#?}"));
    for what in ["POST / without a token", "GET / without a token"] {
        assert!(of(what)["fix"].as_str().unwrap().contains("/mcp"), "{findings:#?}");
    }
    assert_eq!(findings.iter().filter(|finding| finding["what"] == "POST / without a token").count(), 1);
}

#[tokio::test]
async fn where_nobody_answers_that_is_said_once() {
    let (code, findings, errors) = doctor("http://127.0.0.1:9/mcp").await;
    assert_eq!((code, findings.len()), (Some(6), 0), "{errors}");
    assert!(errors.contains("cannot be reached"), "{errors}");
}
