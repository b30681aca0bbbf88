//! The switches of a stand-in that change what it answers, as opposed to whether and when.

use std::time::Duration;

use authchain_core::{Email, Scopes};

/// All switches. The default is Google on a good day.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    pub(crate) auto_approve: bool,
    pub(crate) access_token_life: Duration,
    pub(crate) refuse_refresh: Option<String>,
    pub(crate) omit_refresh_token: bool,
    pub(crate) rotate_refresh_tokens: bool,
    pub(crate) seven_day_death: bool,
    pub(crate) wrong_audience: bool,
    pub(crate) wrong_email: Option<Email>,
    pub(crate) id_token_skew: i64,
    pub(crate) grant_only: Option<Scopes>,
    pub(crate) sign_in_as: Option<Email>,
    pub(crate) refuse_authorize: Option<String>,
    pub(crate) dead_end: Option<String>,
}

impl Mood {
    pub(crate) fn new(auto_approve: bool, access_token_life: Duration) -> Self {
        Self {
            auto_approve,
            access_token_life,
            refuse_refresh: None,
            omit_refresh_token: false,
            rotate_refresh_tokens: false,
            seven_day_death: false,
            wrong_audience: false,
            wrong_email: None,
            id_token_skew: 0,
            grant_only: None,
            sign_in_as: None,
            refuse_authorize: None,
            dead_end: None,
        }
    }

    /// Behaves again; how it was set up stays.
    pub(crate) fn heal(&mut self) {
        *self = Self::new(self.auto_approve, self.access_token_life);
    }
}
