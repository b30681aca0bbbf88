//! The people of the stand-in and what is theirs.

use authchain_core::{Email, Timestamp};
use serde_json::{Map, Value};

use super::seed;

pub(crate) struct People(Vec<Person>);

/// One account.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) email: Email,
    pub(crate) given_name: &'static str,
    pub(crate) family_name: &'static str,
    /// Google's unchanging id: 21 digits.
    pub(crate) subject: &'static str,
    pub(crate) files: Vec<File>,
    pub(crate) mail: Vec<Mail>,
    pub(crate) calendars: Vec<Calendar>,
}

/// A file in Drive.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) mime_type: &'static str,
    pub(crate) content: &'static str,
    pub(crate) parent: String,
    pub(crate) modified: Timestamp,
    pub(crate) trashed: bool,
}

/// A message in Gmail.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) thread: String,
    pub(crate) labels: Vec<String>,
    pub(crate) received: Timestamp,
    /// The message in RFC 2822 form.
    pub(crate) raw: Vec<u8>,
}

/// A calendar.
#[derive(Clone)]
pub(crate) struct Calendar {
    pub(crate) id: String,
    pub(crate) summary: String,
    pub(crate) primary: bool,
    pub(crate) events: Vec<Event>,
}

/// An event: the resource as the API shows it, and when it is.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) resource: Map<String, Value>,
}

impl People {
    /// Ann, Bob and Eve, with mail and events around this moment.
    pub(crate) fn seeded(now: Timestamp) -> Self {
        Self(seed::people(now))
    }

    /// Adds the accounts that Ann and Bob use at work.
    pub(crate) fn with_second_accounts(mut self, now: Timestamp) -> Self {
        self.0.extend(seed::second_accounts(now));
        self
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Person> {
        self.0.iter()
    }

    pub(crate) fn by_email(&self, email: &Email) -> Option<&Person> {
        self.0.iter().find(|person| person.email == *email)
    }

    pub(crate) fn by_email_mut(&mut self, email: &Email) -> Option<&mut Person> {
        self.0.iter_mut().find(|person| person.email == *email)
    }
}

impl Person {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    /// The id of the folder that holds everything, which the API also calls `root`.
    pub(crate) fn root(&self) -> String {
        format!("{}-root", self.given_name.to_lowercase())
    }
}

/// A moment as Google's APIs write it: RFC 3339, UTC, with milliseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.0).map(|at| format!("{at:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_google_writes_them() {
        assert_eq!(rfc3339(Timestamp(1_795_246_020)), "2026-11-21T07:27:00.000Z");
    }

    #[test]
    fn everybody_has_an_id_of_21_digits_and_things_of_their_own() {
        let now = Timestamp(1_795_246_020);
        let people = People::seeded(now).with_second_accounts(now);
        let ids: std::collections::BTreeSet<_> =
            people.all().flat_map(|p| p.files.iter().map(|f| f.id.clone())).collect();
        assert_eq!(ids.len(), people.all().map(|p| p.files.len()).sum::<usize>(), "no file has two owners");
        for person in people.all() {
            assert!(person.subject.len() == 21 && person.subject.bytes().all(|b| b.is_ascii_digit()));
            assert!(!person.files.is_empty() && !person.mail.is_empty() && !person.calendars[0].events.is_empty());
        }
    }
}
