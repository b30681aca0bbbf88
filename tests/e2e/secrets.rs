//! No secret leaves its place: not in logs at their most talkative, not in pages, errors or files.

use authchain_testkit::{Browser, StandIn, StandInOptions};
use serde_json::json;

use crate::{
    journey::{ANN, CALLBACK, Client, ann_says, call, rpc},
    program::{Server, files},
};

/// What was said where.
struct Heard {
    place: String,
    words: Vec<u8>,
}

/// A whole life of a sign-in with everything that can go wrong on the way, at the most talkative.
#[tokio::test]
async fn n22_no_secret_is_in_any_log_page_error_or_file() {
    let google = StandIn::start(StandInOptions::default()).await.unwrap();
    // As JSON, because only that names where each line comes from.
    let server = Server::start(&google, &[("RUST_LOG", "trace"), ("AUTHCHAIN__LOG__FORMAT", "json")]).await;
    let mcp_url = server.mcp_url();
    let mut heard = Vec::new();
    let mut hear = |place: &str, words: String| heard.push(Heard { place: place.into(), words: words.into_bytes() });
    let mut secrets = Vec::new();

    // A sign-in, page by page.
    let client = Client::register(&mcp_url, "talkative").await;
    let person = Browser::new().unwrap().stop_at(CALLBACK);
    let consent = person.open(client.authorize_url()).await.unwrap();
    hear("the consent page", consent.body.clone());
    let chooser = person.press(&consent, "Allow", &[]).await.unwrap();
    let question = person.press(&chooser, ANN, &[]).await.unwrap();
    let back = person.press(&question, "Allow", &[]).await.unwrap();
    let code = back.query("code").unwrap();
    let tokens = client.redeem(&code).await;
    secrets.extend([code.clone(), tokens.access.clone(), tokens.refresh.clone()]);

    // Work.
    for (tool, arguments) in [
        ("whoami", json!({})),
        ("drive_list", json!({})),
        ("gmail_search", json!({ "query": "" })),
        ("calendar_list", json!({})),
        ("gmail_send", json!({ "to": "bob@example.com", "subject": "Hello", "body": "Hello Bob" })),
    ] {
        hear(tool, call(&mcp_url, &tokens.access, tool, arguments).await);
    }

    // Google refuses the token in the middle of the work, and goes away.
    google.control().expire_access_tokens();
    let answer =
        rpc(&mcp_url, Some(&tokens.access), "tools/call", json!({ "name": "drive_list", "arguments": {} })).await;
    hear("a call with an access token that Google does not know any more", answer.text().await.unwrap());
    google.control().fail(authchain_testkit::Endpoint::Any, 503, 50);
    let answer =
        rpc(&mcp_url, Some(&tokens.access), "tools/call", json!({ "name": "drive_list", "arguments": {} })).await;
    hear("a call while Google is away", answer.text().await.unwrap());
    google.control().heal();

    // Refreshes, good ones and bad ones.
    let newer = client.refresh(&tokens.refresh).await;
    secrets.extend([newer.access.clone(), newer.refresh.clone()]);
    let mangled = format!("{}x", newer.refresh);
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", mangled.as_str()), ("client_id", client.id.as_str())];
    hear("a refresh with a mangled token", client.asks_for_tokens(&form).await.text().await.unwrap());

    // Tokens where they do not belong, and bad ones.
    let in_query = client.http.get(format!("{mcp_url}?access_token={}", newer.access)).send().await.unwrap();
    assert_eq!(in_query.status(), 400, "a token in the address is refused");
    hear("a token in the address", in_query.text().await.unwrap());
    let mangled = format!("{}AAAA", &newer.access[..newer.access.len() - 4]);
    hear("a mangled access token", rpc(&mcp_url, Some(&mangled), "tools/list", json!({})).await.text().await.unwrap());

    // A session token of the page.
    let local = person.walk(format!("{}/auth", server.issuer()), &ann_says(true)).await.unwrap();
    hear("the success page", local.body.clone());
    let page = person.open(format!("{}/auth/sessions", server.issuer())).await.unwrap();
    let made = person.press(&page, "Make a session token", &[("label", "laptop")]).await.unwrap();
    let session = made.text().split_whitespace().find(|word| word.starts_with("acs_")).unwrap().to_owned();
    assert!(call(&mcp_url, &session, "whoami", json!({})).await.contains(ANN));
    let list = person.open(format!("{}/auth/sessions", server.issuer())).await.unwrap();
    hear("the list of sessions", list.body.clone());
    let pages = server.issuer().parse().unwrap();
    secrets.extend([session, person.cookie(&pages, "authchain-browser").expect("the browser is signed in")]);

    // A code that comes twice, of another sign-in.
    let twice = client.person_consents().await.query("code").unwrap();
    let stolen = client.redeem(&twice).await;
    secrets.extend([twice.clone(), stolen.access, stolen.refresh]);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", twice.as_str()),
        ("redirect_uri", CALLBACK),
        ("client_id", client.id.as_str()),
        ("code_verifier", "another-verifier-that-does-not-fit-the-challenge"),
    ];
    hear("a code for the second time", client.asks_for_tokens(&form).await.text().await.unwrap());

    // The end.
    assert_eq!(client.revoke(&newer.refresh).await.status(), 200);
    let answer = rpc(&mcp_url, Some(&newer.access), "tools/list", json!({})).await;
    hear("a revoked token", answer.text().await.unwrap());
    let unknown = person.open(format!("{}/oauth2callback?state=x&code={code}", server.issuer())).await.unwrap();
    hear("a callback that nobody waits for", unknown.body.clone());

    hear("the log", server.log());
    for file in files(&server.data()).unwrap() {
        heard.push(Heard { place: file.display().to_string(), words: std::fs::read(&file).unwrap() });
    }
    for talkative in ["TRACE", "hyper_util", "rmcp", "authchain::chain", "token_revoked", "a code came twice"] {
        assert!(server.log().contains(talkative), "the log is at its most talkative: no {talkative}");
    }
    secrets.extend(google.control().issued_secrets().iter().map(|secret| secret.expose().to_owned()));
    assert!(secrets.len() > 12, "there is something to look for");
    for secret in &secrets {
        for Heard { place, words } in &heard {
            let found = words.windows(secret.len()).position(|window| window == secret.as_bytes());
            if let Some(at) = found {
                let around = words[at.saturating_sub(200)..at].iter().copied();
                panic!(
                    "{}… is in {place} after …{}",
                    &secret[..8],
                    String::from_utf8_lossy(&around.collect::<Vec<_>>())
                );
            }
        }
    }
}
