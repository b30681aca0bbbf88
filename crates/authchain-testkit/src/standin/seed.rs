//! What Ann, Bob and Eve have in Drive, Gmail and Calendar when a stand-in starts. Dates lie around that moment, so that
//! "today" and "this week" always find something.

use std::time::Duration;

use authchain_core::{Email, Timestamp};
use serde_json::json;

use super::{
    calendar,
    people::{Calendar, File, Mail, Person},
};

const DOC: &str = "application/vnd.google-apps.document";
const SHEET: &str = "application/vnd.google-apps.spreadsheet";
const FOLDER: &str = "application/vnd.google-apps.folder";
const TEXT: &str = "text/plain";
const MARKDOWN: &str = "text/markdown";
const HOUR: u64 = 3600;

/// Name, type, content.
type FileSeed = (&'static str, &'static str, &'static str);
/// From, subject, body, unread.
type MailSeed = (&'static str, &'static str, &'static str, bool);
/// Summary, description, place, hours from now, length in hours.
type EventSeed = (&'static str, &'static str, &'static str, i64, u64);

pub(crate) fn people(now: Timestamp) -> Vec<Person> {
    vec![
        person(now, "Ann", "Archer", "110000000000000000011", ANN_FILES, ANN_MAIL, ANN_EVENTS),
        person(now, "Bob", "Baker", "110000000000000000022", BOB_FILES, BOB_MAIL, BOB_EVENTS),
        person(now, "Eve", "Evans", "110000000000000000033", EVE_FILES, EVE_MAIL, EVE_EVENTS),
    ]
}

/// The accounts that Ann and Bob use at work.
pub(crate) fn second_accounts(now: Timestamp) -> Vec<Person> {
    vec![
        person(now, "Ann.Work", "Archer", "110000000000000000111", ANN_WORK_FILES, ANN_WORK_MAIL, ANN_WORK_EVENTS),
        person(now, "Bob.Work", "Baker", "110000000000000000222", BOB_WORK_FILES, BOB_WORK_MAIL, BOB_WORK_EVENTS),
    ]
}

const ANN_WORK_FILES: &[FileSeed] = &[("Salary list", SHEET, "name,euros\nArcher,5200\n")];
const ANN_WORK_MAIL: &[MailSeed] = &[("Payroll <payroll@office.example>", "Payslip", "It is attached.\n", true)];
const ANN_WORK_EVENTS: &[EventSeed] = &[("Budget round", "", "Room 4", 4, 1)];
const BOB_WORK_FILES: &[FileSeed] = &[("Bakery rota", SHEET, "day,who\nMonday,Baker\n")];
const BOB_WORK_MAIL: &[MailSeed] = &[("Mill <sales@mill.example>", "Flour delivery", "Tuesday at six.\n", true)];
const BOB_WORK_EVENTS: &[EventSeed] = &[("Flour delivery", "", "Bakery", 20, 1)];

const ANN_FILES: &[FileSeed] = &[
    ("Projects", FOLDER, ""),
    (
        "Quarterly plan",
        DOC,
        "Quarterly plan\n\n1. Move the orchard website.\n2. Hire a gardener.\n3. Plant forty apple trees.\n",
    ),
    ("Budget 2026", SHEET, "item,euros\nTrees,4200\nTools,850\nWebsite,1200\n"),
    ("Trip to Lisbon.txt", TEXT, "Night train to Lisbon on Friday. Hotel near the Alfama. Bring the blue notebook.\n"),
    ("Apple varieties.md", MARKDOWN, "# Apple varieties\n\n- Cox's Orange Pippin\n- Topaz\n- Boskoop\n"),
    (
        "Meeting notes, orchard",
        DOC,
        "Present: Ann, Bob.\nThe fence on the north side needs mending before the winter.\n",
    ),
    ("Letter to the council", DOC, "Dear council,\nwe ask for permission to plant trees along the river.\n"),
    ("Old price list.txt", TEXT, "Apples 2.10, pears 2.60, quinces 3.40\n"),
];

const ANN_MAIL: &[MailSeed] = &[
    (
        "Bob Baker <bob@example.com>",
        "Fence on the north side",
        "Hi Ann,\n\nI can mend the fence on Saturday. Do you have the posts?\n\nBob\n",
        true,
    ),
    (
        "Night Trains <service@trains.example>",
        "Your ticket to Lisbon",
        "Your booking is confirmed. Coach 12, seat 4, Friday 21:15.\n",
        false,
    ),
    (
        "City Council <office@council.example>",
        "Your letter of last week",
        "Dear Ms Archer,\nyour request to plant trees along the river has been received.\n",
        true,
    ),
    (
        "Tree Nursery <orders@nursery.example>",
        "Invoice 4711",
        "Forty apple trees, 4200 euros, payable within thirty days.\n",
        false,
    ),
];

const ANN_EVENTS: &[EventSeed] = &[
    ("Orchard meeting", "Fence, trees, website", "Barn", 2, 1),
    ("Night train to Lisbon", "Coach 12, seat 4", "Central station", 50, 12),
    ("Dentist", "", "12 Mill Lane", 98, 1),
    ("Apple pressing", "Bring clean bottles", "Barn", -70, 3),
];

const BOB_FILES: &[FileSeed] = &[
    ("Bread recipes", DOC, "Sourdough: 500 g flour, 350 g water, 100 g starter, 10 g salt.\n"),
    ("Oven repair quotes", SHEET, "company,euros\nHotworks,640\nStovefix,580\n"),
    ("Shopping list.txt", TEXT, "flour, salt, seeds, fence posts\n"),
];

const BOB_MAIL: &[MailSeed] = &[
    (
        "Ann Archer <ann@example.com>",
        "Posts are in the barn",
        "Hi Bob,\n\nthe fence posts are in the barn. See you on Saturday.\n\nAnn\n",
        true,
    ),
    ("Hotworks <quotes@hotworks.example>", "Quote for your oven", "We can repair the oven for 640 euros.\n", false),
];

const BOB_EVENTS: &[EventSeed] =
    &[("Mend the fence", "At Ann's orchard", "Orchard, north side", 30, 4), ("Oven repair", "", "Bakery", 75, 2)];

const EVE_FILES: &[FileSeed] = &[
    ("Chess openings.md", MARKDOWN, "# Chess openings\n\nCaro-Kann, Grünfeld, Reti.\n"),
    ("Thesis draft", DOC, "On listening quietly.\n\nChapter one: who hears what.\n"),
];

const EVE_MAIL: &[MailSeed] = &[(
    "Chess Club <board@chess.example>",
    "Tournament on Sunday",
    "Round one starts at ten. Bring your own clock.\n",
    true,
)];

const EVE_EVENTS: &[EventSeed] = &[("Chess tournament", "Seven rounds", "Town hall", 26, 8)];

fn person(
    now: Timestamp,
    given_name: &'static str,
    family_name: &'static str,
    subject: &'static str,
    files: &[FileSeed],
    mail: &[MailSeed],
    events: &[EventSeed],
) -> Person {
    let short = given_name.to_lowercase();
    let address = format!("{short}@example.com");
    let email = Email::new(&address).expect("the seeded addresses are well formed");
    let mut person = Person { email, given_name, family_name, subject, files: vec![], mail: vec![], calendars: vec![] };
    let root = person.root();
    let age = |hours: usize| now - Duration::from_secs(HOUR * (1 + hours as u64));
    person.files = files
        .iter()
        .enumerate()
        .map(|(i, (name, mime_type, content))| File {
            id: format!("{short}-file-{:02}", i + 1),
            name,
            mime_type,
            content,
            parent: root.clone(),
            modified: age(5 * i),
            trashed: name.starts_with("Old "),
        })
        .collect();
    person.mail = mail.iter().enumerate().map(|(i, seed)| letter(&short, &address, i, seed, age(3 * i))).collect();
    person.calendars = vec![
        Calendar { id: address.clone(), summary: address.clone(), primary: true, events: vec![] },
        Calendar { id: format!("{short}-birthdays"), summary: "Birthdays".into(), primary: false, events: vec![] },
    ];
    for (i, (summary, description, place, hours, length)) in events.iter().enumerate() {
        let start = Timestamp((now.0 - now.0.rem_euclid(3600)).saturating_add(hours * 3600));
        let resource = json!({
            "summary": summary, "description": description, "location": place,
            "start": {"dateTime": super::people::rfc3339(start), "timeZone": "UTC"},
            "end": {"dateTime": super::people::rfc3339(start + Duration::from_secs(length * HOUR)), "timeZone": "UTC"},
        });
        let id = format!("{short}event{:02}", i + 1);
        let event = calendar::new_event(&person.email, id, resource, age(24));
        if let (Ok(event), Some(primary)) = (event, person.calendars.first_mut()) {
            primary.events.push(event);
        }
    }
    person
}

/// A message with a plain and an HTML part, as most mail has.
fn letter(short: &str, to: &str, i: usize, (from, subject, body, unread): &MailSeed, received: Timestamp) -> Mail {
    let id = format!("{short}mail{:02}", i + 1);
    let date = jiff::Timestamp::from_second(received.0)
        .ok()
        .and_then(|at| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_string(&at).ok())
        .unwrap_or_default();
    let body = body.replace('\n', "\r\n");
    let raw = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: <{id}@standin.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"leaf\"\r\n\r\n\
         --leaf\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\n\r\n{body}\r\n\
         --leaf\r\nContent-Type: text/html; charset=\"UTF-8\"\r\n\r\n<p>{}</p>\r\n--leaf--\r\n",
        body.trim_end().replace("\r\n", "<br>")
    );
    let mut labels = vec!["INBOX".to_owned(), "IMPORTANT".to_owned()];
    if *unread {
        labels.push("UNREAD".to_owned());
    }
    Mail { thread: id.clone(), id, labels, received, raw: raw.into_bytes() }
}
