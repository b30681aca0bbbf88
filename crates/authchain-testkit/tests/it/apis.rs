//! Google's own client libraries against the stand-in.

use authchain_core::{Email, Scopes};
use authchain_testkit::StandIn;
use google_calendar3::{CalendarHub, api::Event};
use google_drive3::{DriveHub, common};
use google_gmail1::Gmail;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::support::*;

fn hyper() -> common::Client<HttpConnector> {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new())
}

fn drive(google: &StandIn, email: &Email) -> DriveHub<HttpConnector> {
    let mut hub = DriveHub::new(hyper(), access_token(google, email, "https://www.googleapis.com/auth/drive"));
    hub.base_url(format!("{}drive/v3/", google.url()));
    hub
}

fn gmail(google: &StandIn, email: &Email) -> Gmail<HttpConnector> {
    let mut hub = Gmail::new(hyper(), access_token(google, email, "https://mail.google.com/"));
    hub.base_url(google.url().to_string());
    hub.root_url(google.url().to_string());
    hub
}

fn calendar(google: &StandIn, email: &Email) -> CalendarHub<HttpConnector> {
    let mut hub = CalendarHub::new(hyper(), access_token(google, email, "https://www.googleapis.com/auth/calendar"));
    hub.base_url(format!("{}calendar/v3/", google.url()));
    hub
}

async fn body(response: common::Response) -> String {
    let bytes = common::to_bytes(response.into_body()).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn drive_lists_searches_and_pages() {
    let google = eager().await;
    let hub = drive(&google, &ann());
    let names = |list: google_drive3::api::FileList| -> Vec<String> {
        list.files.unwrap().into_iter().map(|file| file.name.unwrap()).collect()
    };
    let found = hub.files().list().q("fullText contains 'apple trees' and trashed = false").doit().await.unwrap().1;
    assert_eq!(names(found), ["Quarterly plan"]);
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut call = hub.files().list().page_size(3);
        if let Some(token) = &token {
            call = call.page_token(token);
        }
        let list = call.doit().await.unwrap().1;
        token = list.next_page_token.clone();
        all.extend(names(list));
        if token.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 8);
    assert!(
        names(drive(&google, &bob()).files().list().doit().await.unwrap().1).iter().all(|name| !all.contains(name))
    );
}

#[tokio::test]
async fn drive_gives_metadata_content_and_exports() {
    let google = eager().await;
    let hub = drive(&google, &ann());
    let list = hub
        .files()
        .list()
        .q("name = 'Trip to Lisbon.txt'")
        .param("fields", "files(id,size,modifiedTime)")
        .doit()
        .await
        .unwrap()
        .1;
    let file = list.files.unwrap().remove(0);
    assert!(file.size.unwrap() > 0 && file.modified_time.is_some() && file.name.is_none());
    let id = file.id.unwrap();
    let (_, metadata) = hub.files().get(&id).doit().await.unwrap();
    assert_eq!(metadata.mime_type.as_deref(), Some("text/plain"));
    let (content, _) = hub.files().get(&id).param("alt", "media").doit().await.unwrap();
    assert!(body(content).await.starts_with("Night train to Lisbon"));
    let doc =
        hub.files().list().q("name contains 'Quarterly'").doit().await.unwrap().1.files.unwrap().remove(0).id.unwrap();
    let exported = hub.files().export(&doc, "text/plain").doit().await.unwrap();
    assert!(body(exported).await.contains("Hire a gardener"));
}

#[tokio::test]
async fn gmail_lists_and_reads() {
    let google = eager().await;
    let hub = gmail(&google, &ann());
    let (_, list) = hub.users().messages_list("me").q("from:bob fence is:unread").doit().await.unwrap();
    let id = list.messages.unwrap().remove(0).id.unwrap();
    let (_, message) = hub.users().messages_get("me", &id).format("full").doit().await.unwrap();
    let payload = message.payload.unwrap();
    let subject =
        payload.headers.unwrap().into_iter().find(|header| header.name.as_deref() == Some("Subject")).unwrap();
    assert_eq!(subject.value.as_deref(), Some("Fence on the north side"));
    let plain = payload.parts.unwrap().remove(0).body.unwrap().data.unwrap();
    assert!(String::from_utf8(plain).unwrap().contains("mend the fence on Saturday"));
    let (_, metadata) =
        hub.users().messages_get("me", &id).format("metadata").add_metadata_headers("From").doit().await.unwrap();
    assert_eq!(metadata.payload.unwrap().headers.unwrap().len(), 1);
    let (_, nothing) = hub.users().messages_list("me").q("unicorn").doit().await.unwrap();
    assert_eq!((nothing.messages.map(|m| m.len()), nothing.result_size_estimate), (None, Some(0)));
    let (_, profile) = hub.users().get_profile("me").doit().await.unwrap();
    assert_eq!(profile.email_address.as_deref(), Some("ann@example.com"));
    let (_, labels) = hub.users().labels_list("me").doit().await.unwrap();
    assert!(labels.labels.unwrap().iter().any(|label| label.id.as_deref() == Some("INBOX")));
}

#[tokio::test]
async fn a_sent_message_is_in_both_mailboxes_however_it_is_uploaded() {
    let google = eager().await;
    let (ann_mail, bob_mail) = (gmail(&google, &ann()), gmail(&google, &bob()));
    let message = |subject: &str| {
        std::io::Cursor::new(
            format!("To: Bob <bob@example.com>\r\nSubject: {subject}\r\n\r\nHello Bob,\r\nbye.\r\n").into_bytes(),
        )
    };
    let mime = || "message/rfc822".parse().unwrap();
    let send = || ann_mail.users().messages_send(Default::default(), "me");
    let (_, simple) = send().upload(message("By upload"), mime()).await.unwrap();
    assert_eq!(simple.label_ids, Some(vec!["SENT".to_owned()]));
    send().upload_resumable(message("In pieces"), mime()).await.unwrap();
    for subject in ["By upload", "In pieces"] {
        let q = format!("subject:\"{subject}\"");
        assert_eq!(ann_mail.users().messages_list("me").q(&q).doit().await.unwrap().1.result_size_estimate, Some(1));
        let (_, inbox) =
            bob_mail.users().messages_list("me").q(&format!("{q} in:inbox from:ann")).doit().await.unwrap();
        let id = inbox.messages.unwrap().remove(0).id.unwrap();
        let (_, read) = bob_mail.users().messages_get("me", &id).format("full").doit().await.unwrap();
        assert_eq!(read.payload.unwrap().body.unwrap().data.unwrap(), b"Hello Bob,\r\nbye.\r\n");
    }
}

#[tokio::test]
async fn a_message_is_sent_as_json_and_needs_a_recipient() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let google = eager().await;
    let token = access_token(&google, &ann(), "https://www.googleapis.com/auth/gmail.send");
    let url = google.url().join("gmail/v1/users/me/messages/send").unwrap();
    for (raw, status) in [("To: eve@example.com\r\nSubject: Hi\r\n\r\nHello", 200), ("Subject: Hi\r\n\r\nHello", 400)] {
        let body = serde_json::json!({"raw": URL_SAFE_NO_PAD.encode(raw)});
        let response = crate::support::http().post(url.clone()).bearer_auth(&token).json(&body).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    assert_eq!(get(&google, "gmail/v1/users/me/messages", &token).await.0, 403, "sending is not reading");
}

#[tokio::test]
async fn calendar_lists_creates_and_finds() {
    let google = eager().await;
    let hub = calendar(&google, &ann());
    let (_, calendars) = hub.calendar_list().list().doit().await.unwrap();
    assert_eq!(calendars.items.unwrap()[0].primary, Some(true));
    let (_, all) = hub.events().list("primary").doit().await.unwrap();
    let all = all.items.unwrap();
    let orchard = all.iter().find(|event| event.summary.as_deref() == Some("Orchard meeting")).unwrap();
    let start = orchard.start.as_ref().unwrap().date_time.unwrap();
    let (_, later) = hub
        .events()
        .list("primary")
        .time_min(start)
        .time_max(start + std::time::Duration::from_secs(60))
        .doit()
        .await
        .unwrap();
    assert_eq!(later.items.unwrap().len(), 1);

    let event = Event {
        summary: Some("Plant trees".into()),
        start: orchard.start.clone(),
        end: orchard.end.clone(),
        ..Event::default()
    };
    let (_, created) = hub.events().insert(event, "primary").doit().await.unwrap();
    let id = created.id.unwrap();
    assert_eq!(created.status.as_deref(), Some("confirmed"));
    let (_, found) = hub.events().list("ann@example.com").q("plant").doit().await.unwrap();
    assert_eq!(found.items.unwrap()[0].id.as_ref(), Some(&id));
    assert_eq!(hub.events().get("primary", &id).doit().await.unwrap().1.summary.as_deref(), Some("Plant trees"));
    assert!(hub.events().insert(Event::default(), "primary").doit().await.is_err(), "an event has a time");
    assert!(calendar(&google, &bob()).events().get("primary", &id).doit().await.is_err(), "it is Ann's");
}

#[tokio::test]
async fn a_library_sees_googles_error_body() {
    let google = eager().await;
    let granted = google.control().credential(&ann(), &Scopes::from(GMAIL)).unwrap();
    let mut hub = DriveHub::new(hyper(), granted.access_token.unwrap().expose().to_owned());
    hub.base_url(format!("{}drive/v3/", google.url()));
    match hub.files().list().doit().await {
        Err(common::Error::BadRequest(body)) => {
            assert_eq!(body["error"]["errors"][0]["reason"], "insufficientPermissions");
        }
        other => panic!("{:?}", other.map(|_| "files")),
    }
}
