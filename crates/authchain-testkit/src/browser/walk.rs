//! Walking through the pages of any sign-in the way a person does: reading the buttons.

use super::{Browser, BrowserError, Button, Form, Page};

/// Nobody presses more buttons than this to sign in.
const STEPS: usize = 20;
/// Words that buttons for yes begin with.
const YES: [&str; 12] = [
    "allow",
    "approve",
    "accept",
    "authorize",
    "authorise",
    "grant",
    "agree",
    "yes",
    "continue",
    "confirm",
    "connect",
    "sign in",
];
/// Words that buttons for no begin with.
const NO: [&str; 6] = ["deny", "cancel", "decline", "reject", "refuse", "no"];

/// What a person wants on the pages of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The account to choose.
    pub account: String,
    /// Whether to say yes.
    pub approve: bool,
}

impl Choice {
    /// Signs in with this account and says yes.
    pub fn approve(account: impl Into<String>) -> Self {
        Self { account: account.into(), approve: true }
    }

    /// Says no at the first page that lets one.
    pub fn deny(account: impl Into<String>) -> Self {
        Self { account: account.into(), approve: false }
    }

    /// The button that this person presses on these forms.
    fn button<'a>(&self, forms: &'a [Form]) -> Option<&'a Button> {
        let buttons = || forms.iter().flat_map(|form| &form.buttons);
        let begins = |words: &[&str]| {
            buttons().find(|button| words.iter().any(|word| is_word(&button.text.to_lowercase(), word)))
        };
        if !self.approve
            && let Some(no) = begins(&NO)
        {
            return Some(no);
        }
        buttons().find(|button| button.value.eq_ignore_ascii_case(&self.account)).or_else(|| begins(&YES))
    }
}

impl Browser {
    /// Walks the pages of a sign-in from this address: chooses the account where accounts are offered, fills it in where an
    /// email address is asked for, says yes or no where asked, until it is stopped ([`Browser::stop_at`]) or a page offers
    /// nothing more to press.
    ///
    /// # Errors
    /// As [`Browser::open`].
    pub async fn walk(&self, url: impl AsRef<str>, choice: &Choice) -> Result<Page, BrowserError> {
        let mut page = self.open(url).await?;
        for _ in 0..STEPS {
            if page.stopped {
                break;
            }
            let forms = page.forms();
            let Some(button) = choice.button(&forms) else { break };
            let asked = forms.iter().find(|form| form.buttons.contains(button));
            let email =
                asked.and_then(|form| form.fields.iter().find(|field| field.kind == "email" && field.value.is_empty()));
            let fields: Vec<(&str, &str)> =
                email.map(|field| (field.name.as_str(), choice.account.as_str())).into_iter().collect();
            let name = if button.text.is_empty() { &button.value } else { &button.text };
            page = self.press(&page, name, &fields).await?;
        }
        Ok(page)
    }
}

/// Whether a text is this word or begins with it.
fn is_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{super::form::forms, *};

    #[test]
    fn a_person_reads_the_buttons() {
        let page = |html: &str| forms(html, &Url::parse("http://h/").unwrap());
        let consent = page("<form><button>Cancel</button><button>Allow access</button>");
        let text = |choice: &Choice, forms: &[Form]| choice.button(forms).map(|button| button.text.clone());
        assert_eq!(text(&Choice::approve("ann"), &consent).as_deref(), Some("Allow access"));
        assert_eq!(text(&Choice::deny("ann"), &consent).as_deref(), Some("Cancel"));
        let chooser = page("<form><button value=bob>Bob</button><button value=ann>Ann</button>");
        assert_eq!(text(&Choice::deny("ann"), &chooser).as_deref(), Some("Ann"));
        let other = page("<form><button>Notify me</button><button>Yesterday</button>");
        assert_eq!(text(&Choice::approve("ann"), &other), None);
        assert_eq!(text(&Choice::deny("ann"), &other), None);
    }
}
