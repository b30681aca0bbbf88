//! The words of the pages, one file per language, and one per subject that came later. A language is a value of [`Words`], so that none can leave a sentence out.

mod apps;
mod de;
mod device;
mod en;
mod new_client;

use http::{HeaderMap, header::ACCEPT_LANGUAGE};

/// A language that the pages speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
}

impl Language {
    /// What the browser likes best of what we speak (RFC 9110, section 12.5.4); English otherwise.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (Self::English, 0.0_f32);
        for entry in accepted.split(',') {
            let (tag, weight) = entry.split_once(';').unwrap_or((entry, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            let language = match tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "de" => Self::German,
                "en" => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// Its words.
    pub(crate) fn words(self) -> &'static Words {
        match self {
            Self::English => &en::WORDS,
            Self::German => &de::WORDS,
        }
    }
}

/// A title and a text.
pub(crate) struct Sentence {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
}

/// All words of one language.
pub(crate) struct Words {
    /// The value of `lang`.
    pub(crate) lang: &'static str,
    pub(crate) consent: Consent,
    pub(crate) sign_in: SignIn,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) apps: apps::Apps,
    pub(crate) device: device::Device,
    pub(crate) new_client: new_client::NewClient,
    pub(crate) problems: Problems,
    /// A scope in words, where this language has them.
    pub(crate) scope: fn(&str) -> Option<&'static str>,
}

/// The consent page.
pub(crate) struct Consent {
    pub(crate) title: fn(client: &str, provider: &str) -> String,
    pub(crate) unverified: &'static str,
    pub(crate) described_at: &'static str,
    pub(crate) only_this_computer: &'static str,
    pub(crate) returns_to: &'static str,
    pub(crate) this_computer: fn(host: &str) -> String,
    pub(crate) app: fn(scheme: &str) -> String,
    pub(crate) this_computer_note: &'static str,
    pub(crate) account: &'static str,
    pub(crate) account_chosen_next: fn(provider: &str) -> String,
    pub(crate) wants: &'static str,
    pub(crate) identity: &'static str,
    pub(crate) other: &'static str,
    pub(crate) reads: &'static str,
    pub(crate) changes: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) never: fn(provider: &str) -> String,
    pub(crate) allow: &'static str,
    pub(crate) deny: &'static str,
    pub(crate) next: fn(provider: &str) -> String,
    pub(crate) choose: &'static str,
    pub(crate) nothing_chosen: &'static str,
    pub(crate) keeps: &'static str,
    pub(crate) keeps_if_any: &'static str,
    pub(crate) remembered: fn(days: u64) -> String,
}

/// The pages for people without a client.
pub(crate) struct SignIn {
    pub(crate) title: fn(server: &str) -> String,
    pub(crate) text: fn(provider: &str) -> String,
    pub(crate) expected: &'static str,
    pub(crate) button: fn(provider: &str) -> String,
    pub(crate) done: Sentence,
    pub(crate) already: Sentence,
    pub(crate) account: &'static str,
    pub(crate) stored: &'static str,
    pub(crate) take_back: fn(provider: &str) -> String,
    pub(crate) another: &'static str,
    pub(crate) sign_out: &'static str,
    pub(crate) signed_out: Sentence,
}

/// A person's accounts.
pub(crate) struct Accounts {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) manage: &'static str,
    pub(crate) link: &'static str,
    pub(crate) link_title: &'static str,
    pub(crate) link_text: fn(provider: &str) -> String,
    pub(crate) link_hint: fn(owner: &str) -> String,
    pub(crate) linked: fn(account: &str, owner: &str) -> String,
    pub(crate) chosen_next: fn(provider: &str) -> String,
    pub(crate) account: &'static str,
    pub(crate) linked_to: &'static str,
    pub(crate) more: &'static str,
    pub(crate) more_for: fn(client: &str) -> String,
    pub(crate) rest_stays: &'static str,
    pub(crate) primary: &'static str,
    pub(crate) secondary: &'static str,
    pub(crate) active: &'static str,
    pub(crate) nothing_stored: &'static str,
    pub(crate) valid: fn(until: &str) -> String,
    pub(crate) valid_for_now: fn(until: &str) -> String,
    pub(crate) needs_sign_in: fn(why: &str) -> String,
    pub(crate) sign_in_again: &'static str,
    pub(crate) switch: &'static str,
    pub(crate) switch_named: fn(account: &str) -> String,
    pub(crate) unlink: &'static str,
    pub(crate) unlink_named: fn(account: &str) -> String,
    pub(crate) unlink_text: &'static str,
    pub(crate) keep: &'static str,
    pub(crate) unlinked: &'static str,
    pub(crate) kept: &'static str,
    pub(crate) revoked: fn(provider: &str) -> String,
    pub(crate) not_revoked: fn(provider: &str) -> String,
}

/// Session tokens.
pub(crate) struct Sessions {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) label: &'static str,
    pub(crate) open: &'static str,
    pub(crate) none: &'static str,
    pub(crate) unnamed: &'static str,
    pub(crate) last_used: &'static str,
    pub(crate) end: &'static str,
    pub(crate) end_named: fn(label: &str) -> String,
    pub(crate) opened: Sentence,
    pub(crate) use_it: &'static str,
    pub(crate) back: &'static str,
}

/// What can go wrong.
pub(crate) struct Problems {
    pub(crate) reference: &'static str,
    pub(crate) reconnect: &'static str,
    /// Client, and what to click there.
    pub(crate) reconnect_steps: [(&'static str, &'static str); 6],
    pub(crate) return_to: fn(client: &str) -> String,
    pub(crate) unknown_client: Sentence,
    pub(crate) bad_redirect: Sentence,
    pub(crate) client_document: Sentence,
    pub(crate) bad_request: Sentence,
    pub(crate) unknown_state: Sentence,
    pub(crate) other_browser: Sentence,
    pub(crate) expired: Sentence,
    pub(crate) foreign: Sentence,
    pub(crate) already_done: Sentence,
    pub(crate) denied: Sentence,
    pub(crate) no_sign_in: Sentence,
    pub(crate) no_such_page: Sentence,
    pub(crate) provider: Sentence,
    pub(crate) provider_down: Sentence,
    pub(crate) code_refused: Sentence,
    pub(crate) wrong_account: Sentence,
    pub(crate) expected_account: &'static str,
    pub(crate) got_account: &'static str,
    pub(crate) ours: Sentence,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(accept: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
        Language::of(&headers)
    }

    #[test]
    fn the_browser_gets_the_language_that_it_likes_best() {
        assert_eq!(language("de"), Language::German);
        assert_eq!(language("de-AT,en;q=0.5"), Language::German);
        assert_eq!(language("fr, en;q=0.8, de;q=0.3"), Language::English);
        assert_eq!(language("en;q=0.3, de;q=0.8"), Language::German);
        assert_eq!(language("fr, de;q=0.1"), Language::German);
    }

    #[test]
    fn whoever_speaks_neither_gets_english() {
        for accept in ["fr", "", "*", "de;q=0", "q=;;,,"] {
            assert_eq!(language(accept), Language::English, "{accept}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
    }
}
