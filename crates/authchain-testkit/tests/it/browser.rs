//! The pages of the stand-in, walked by a browser-less person, and that person's manners.

use authchain_core::Scopes;
use authchain_testkit::{Browser, BrowserError, CallbackListener, Choice};

use crate::support::*;

#[tokio::test]
async fn a_person_chooses_an_account_and_unticks_a_scope() {
    let google = asking().await;
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    let url = authorize_url(&google, &format!("openid email {DRIVE} {GMAIL}"), &[]);
    let chooser = browser.open(&url).await.unwrap();
    assert!(chooser.title().starts_with("Choose an account"));
    let consent = browser.press(&chooser, "bob@example.com", &[]).await.unwrap();
    assert!(consent.text().contains("Signed in as bob@example.com"));
    assert!(consent.text().contains("See and download all your Drive files"));
    let back = browser.press(&consent, "Allow", &[(GMAIL, "")]).await.unwrap();
    let answer = exchange(&google, &back.query("code").unwrap(), &[]).await.1;
    let email = "https://www.googleapis.com/auth/userinfo.email";
    assert_eq!(Scopes::from(text(&answer, "scope")), Scopes::from(&*format!("openid {email} {DRIVE}")));
}

#[tokio::test]
async fn every_page_says_that_it_is_no_google_and_needs_no_script() {
    let google = asking().await;
    let browser = Browser::new().unwrap();
    let chooser = browser.open(authorize_url(&google, DRIVE, &[])).await.unwrap();
    let consent = browser.press(&chooser, "ann@example.com", &[]).await.unwrap();
    let error = browser.open(authorize_url(&google, DRIVE, &[("client_id", "stale")])).await.unwrap();
    let front = browser.open(google.url()).await.unwrap();
    for page in [chooser, consent, error, front] {
        assert!(page.text().contains("This is a stand-in, not Google."), "{page:?}");
        assert!(!page.body.contains("<script") && page.body.contains("name=\"viewport\""), "{page:?}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{page:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    }
}

#[tokio::test]
async fn every_field_of_the_consent_screen_has_a_label() {
    let google = asking().await;
    let browser = Browser::new().unwrap();
    let page = browser
        .open(authorize_url(&google, &format!("openid {DRIVE}"), &[("login_hint", "ann@example.com")]))
        .await
        .unwrap();
    let forms = page.forms();
    let visible: Vec<_> = forms[0].fields.iter().filter(|field| field.kind != "hidden").collect();
    assert_eq!(visible.len(), 1);
    assert!(visible.iter().all(|field| !field.label.is_empty()));
}

#[tokio::test]
async fn the_hint_skips_the_chooser_and_what_is_granted_is_not_asked_again() {
    let google = asking().await;
    let hint = ("login_hint", "ann@example.com");
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    let consent = browser.open(authorize_url(&google, DRIVE, &[hint])).await.unwrap();
    assert!(consent.title().starts_with("Consent"));
    assert!(browser.press(&consent, "Allow", &[]).await.unwrap().query("code").is_some());
    let back = browser.open(authorize_url(&google, DRIVE, &[hint])).await.unwrap();
    assert!(back.query("code").is_some(), "no page at all");
    let chooser = browser.open(authorize_url(&google, DRIVE, &[hint, ("prompt", "select_account")])).await.unwrap();
    assert!(chooser.title().starts_with("Choose"));
    let consent = browser.open(authorize_url(&google, DRIVE, &[hint, ("prompt", "consent")])).await.unwrap();
    assert!(consent.title().starts_with("Consent"));
}

#[tokio::test]
async fn a_person_says_no_and_the_client_hears_it() {
    let google = asking().await;
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    let back = browser.walk(authorize_url(&google, DRIVE, &[]), &Choice::deny("ann@example.com")).await.unwrap();
    assert_eq!(back.query("error").as_deref(), Some("access_denied"));
    assert_eq!(back.query("state").as_deref(), Some("a state & more"));
    let nothing = browser.open(authorize_url(&google, DRIVE, &[])).await.unwrap();
    let nothing = browser.press(&nothing, "ann@example.com", &[]).await.unwrap();
    let back = browser.press(&nothing, "Allow", &[(DRIVE, "")]).await.unwrap();
    assert_eq!(back.query("error").as_deref(), Some("access_denied"), "allowing nothing is a no");
}

#[tokio::test]
async fn a_sign_in_page_works_once() {
    let google = asking().await;
    let browser = Browser::new().unwrap().stop_at(CALLBACK);
    let chooser = browser.open(authorize_url(&google, DRIVE, &[])).await.unwrap();
    let consent = browser.press(&chooser, "ann@example.com", &[]).await.unwrap();
    browser.press(&consent, "Allow", &[]).await.unwrap();
    let late = browser.press(&consent, "Allow", &[]).await.unwrap();
    assert_eq!((late.stopped, late.status), (false, 400));
}

#[tokio::test]
async fn a_callback_listener_hears_what_comes_back() {
    let google = eager().await;
    let mut callback = CallbackListener::start().await.unwrap();
    let browser = Browser::new().unwrap();
    let url = authorize_url(&google, "openid", &[("redirect_uri", callback.url().as_str())]);
    let page = browser.open(url).await.unwrap();
    assert!(page.text().contains("close this window"));
    let arrived = callback.next().await.unwrap();
    assert_eq!(arrived.get("state"), Some("a state & more"));
    assert!(arrived.get("code").is_some());
    assert!(!format!("{arrived:?}").contains(arrived.get("code").unwrap()));
}

#[tokio::test]
async fn what_is_not_on_a_page_is_named() {
    let google = asking().await;
    let browser = Browser::new().unwrap();
    let page = browser.open(authorize_url(&google, DRIVE, &[])).await.unwrap();
    let missing = browser.press(&page, "Buy now", &[]).await.unwrap_err();
    assert!(missing.to_string().contains("Buy now") && missing.to_string().contains("Choose an account"));
    assert!(!missing.to_string().contains("visit="), "no query in an error");
    assert!(matches!(browser.follow(&page, "Help").await, Err(BrowserError::NotThere { .. })));
    assert!(matches!(
        browser.press(&page, "bob@example.com", &[("no", "x")]).await,
        Err(BrowserError::NotThere { .. })
    ));
    assert!(matches!(browser.open("no url").await, Err(BrowserError::Url(_))));
}
