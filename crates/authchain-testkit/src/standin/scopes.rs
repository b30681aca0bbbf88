//! What the stand-in knows of scopes: how they are written in answers, which words the consent screen uses, which ones
//! Google refuses. Kept apart from `authchain-google` on purpose: a test kit that shared its tables would share its errors.

use authchain_core::Scopes;

pub(crate) const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
pub(crate) const PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";
const PREFIX: &str = "https://www.googleapis.com/auth/";

/// Scopes that only an app or a service account can hold: on a consent page they fail the whole request.
const APP_ONLY: &[&str] = &["chat.bot", "chat.app.", "chat.import", "keep", "apps.alerts"];

/// The words of the consent screen.
const WORDS: &[(&str, &str)] = &[
    ("openid", "Associate you with your personal info"),
    (EMAIL, "See your primary email address"),
    (PROFILE, "See your personal info, including any you have made public"),
    ("https://mail.google.com/", "Read, compose, send, and permanently delete all your email"),
    ("https://www.googleapis.com/auth/drive", "See, edit, create, and delete all of your Drive files"),
    ("https://www.googleapis.com/auth/drive.readonly", "See and download all your Drive files"),
    (
        "https://www.googleapis.com/auth/drive.file",
        "See, edit, create, and delete only the Drive files you use with this app",
    ),
    ("https://www.googleapis.com/auth/drive.metadata.readonly", "See information about your Drive files"),
    ("https://www.googleapis.com/auth/gmail.readonly", "View your email messages and settings"),
    (
        "https://www.googleapis.com/auth/gmail.metadata",
        "View your email message metadata such as labels and headers, but not the email body",
    ),
    ("https://www.googleapis.com/auth/gmail.send", "Send email on your behalf"),
    ("https://www.googleapis.com/auth/gmail.compose", "Manage drafts and send emails"),
    ("https://www.googleapis.com/auth/gmail.modify", "Read, compose, and send emails from your account"),
    ("https://www.googleapis.com/auth/gmail.labels", "See and edit your email labels"),
    (
        "https://www.googleapis.com/auth/calendar",
        "See, edit, share, and permanently delete all the calendars you can access",
    ),
    ("https://www.googleapis.com/auth/calendar.readonly", "See and download any calendar you can access"),
    ("https://www.googleapis.com/auth/calendar.events", "View and edit events on all your calendars"),
    ("https://www.googleapis.com/auth/calendar.events.readonly", "View events on all your calendars"),
];

/// Scopes as answers write them: `email` and `profile` come back as URLs, and bring `openid` with them.
pub(crate) fn normalised(scopes: &Scopes) -> Scopes {
    let urls: Scopes = scopes.iter().map(canonical).collect();
    if urls.contains(EMAIL) || urls.contains(PROFILE) { urls.union(&"openid".into()) } else { urls }
}

fn canonical(scope: &str) -> &str {
    match scope {
        "email" => EMAIL,
        "profile" => PROFILE,
        other => other,
    }
}

/// What a scope lets an app do, in the words of the consent screen; a scope without words is shown as it is.
pub(crate) fn words(scope: &str) -> &str {
    WORDS.iter().find(|(known, _)| *known == scope).map_or(scope, |(_, words)| words)
}

/// Scopes that are part of signing in and cannot be unticked.
pub(crate) fn is_sign_in(scope: &str) -> bool {
    matches!(scope, "openid" | EMAIL | PROFILE)
}

/// Why Google would not show a consent screen for these scopes: the offending ones.
pub(crate) fn refused(scopes: &Scopes) -> Scopes {
    let photos = scopes.iter().any(is_photos);
    let drive =
        scopes.iter().any(|scope| short(scope).is_some_and(|name| name == "drive" || name.starts_with("drive.")));
    scopes
        .iter()
        .filter(|scope| !is_known(scope) || is_app_only(scope) || (photos && drive && is_photos(scope)))
        .collect()
}

fn is_known(scope: &str) -> bool {
    matches!(scope, "openid" | "https://mail.google.com/") || short(scope).is_some_and(|name| !name.is_empty())
}

fn is_app_only(scope: &str) -> bool {
    short(scope).is_some_and(|name| APP_ONLY.iter().any(|bad| name.starts_with(bad)))
}

fn is_photos(scope: &str) -> bool {
    short(scope).is_some_and(|name| name.starts_with("photos"))
}

fn short(scope: &str) -> Option<&str> {
    scope.strip_prefix(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_and_profile_come_back_as_urls_with_openid() {
        assert_eq!(normalised(&Scopes::from("email")), Scopes::from(&*format!("openid {EMAIL}")));
        assert_eq!(
            normalised(&Scopes::from("openid email profile")),
            Scopes::from(&*format!("openid {EMAIL} {PROFILE}"))
        );
    }

    #[test]
    fn what_google_refuses_is_refused() {
        let bad = |text: &str| !refused(&Scopes::from(text)).is_empty();
        assert!(bad("offline_access"), "unknown");
        assert!(bad("https://www.googleapis.com/auth/chat.bot"), "app only");
        assert!(
            bad("https://www.googleapis.com/auth/drive https://www.googleapis.com/auth/photoslibrary.appendonly"),
            "photos beside drive"
        );
        assert!(!bad(&format!("openid {EMAIL} https://www.googleapis.com/auth/drive.readonly")));
    }
}
