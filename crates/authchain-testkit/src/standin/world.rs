//! Everything that a stand-in knows, behind locks that nobody holds across an await.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use authchain_core::{Clock, Email, OAuthClient, Timestamp};
use url::Url;

use super::{
    authorize::Visit,
    gmail_send::Upload,
    keys::Keys,
    ledger::{Ledger, Terms},
    people::People,
};
use crate::{
    StandInOptions,
    control::{Mood, Traffic},
};

pub(crate) struct World {
    pub(crate) base: Url,
    pub(crate) issuer: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clients: Vec<OAuthClient>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) traffic: Traffic,
    keys: Mutex<Keys>,
    mood: Mutex<Mood>,
    ledger: Mutex<Ledger>,
    people: Mutex<People>,
    visits: Mutex<HashMap<String, Visit>>,
    uploads: Mutex<HashMap<String, Upload>>,
}

impl World {
    pub(crate) fn new(base: Url, clients: Vec<OAuthClient>, options: StandInOptions) -> io::Result<Self> {
        let mut ledger = Ledger::default();
        for secret in clients.iter().filter_map(|client| client.secret.as_ref()) {
            ledger.note(secret.expose().to_owned());
        }
        let now = options.clock.now();
        let mut people = People::seeded(now);
        if options.second_accounts {
            people = people.with_second_accounts(now);
        }
        Ok(Self {
            issuer: base.as_str().trim_end_matches('/').to_owned(),
            base,
            clients,
            redirect_uris: options.redirect_uris,
            traffic: Traffic::new(),
            keys: Mutex::new(Keys::generate()?),
            mood: Mutex::new(Mood::new(options.auto_approve, options.access_token_life)),
            ledger: Mutex::new(ledger),
            people: Mutex::new(people),
            visits: Mutex::default(),
            uploads: Mutex::default(),
            clock: options.clock,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        lock(&self.keys)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(crate) fn people(&self) -> MutexGuard<'_, People> {
        lock(&self.people)
    }

    /// Sign-ins whose pages are open.
    pub(crate) fn visits(&self) -> MutexGuard<'_, HashMap<String, Visit>> {
        lock(&self.visits)
    }

    /// Uploads that come in pieces.
    pub(crate) fn uploads(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        lock(&self.uploads)
    }

    /// The switches as they are now.
    pub(crate) fn mood(&self) -> Mood {
        lock(&self.mood).clone()
    }

    pub(crate) fn change_mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut lock(&self.mood));
    }

    pub(crate) fn terms(&self) -> Terms {
        let mood = self.mood();
        Terms {
            now: self.now(),
            access_token_life: mood.access_token_life,
            omit_refresh_token: mood.omit_refresh_token,
            rotate: mood.rotate_refresh_tokens,
            seven_day_death: mood.seven_day_death,
        }
    }

    pub(crate) fn client(&self, id: &str) -> Option<&OAuthClient> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Who signs in when nobody is asked.
    pub(crate) fn who(&self, login_hint: Option<&str>) -> Option<Email> {
        let wanted = self.mood().sign_in_as.or_else(|| login_hint.and_then(|hint| Email::new(hint).ok()));
        let people = self.people();
        let found = wanted.filter(|email| people.by_email(email).is_some());
        found.or_else(|| people.all().next().map(|person| person.email.clone()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
