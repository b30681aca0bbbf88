//! Forms: finding them on a page, filling them in, and what is sent.

use url::{Url, form_urlencoded};

use super::html::{Piece, pieces};

/// A form on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent; a button may say otherwise.
    pub action: Url,
    /// Whether it is sent as a POST.
    pub post: bool,
    /// Its fields, in order.
    pub fields: Vec<Field>,
    /// Its buttons, in order.
    pub buttons: Vec<Button>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value; of a check box, what is sent when it is ticked.
    pub value: String,
    /// `text`, `hidden`, `checkbox`, `radio`, `email`, `textarea`, `select`, ...
    pub kind: String,
    /// Whether a check box or radio button is ticked; `true` for every other field.
    pub on: bool,
    /// The text of its label.
    pub label: String,
    id: String,
}

/// A button of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// Its text.
    pub text: String,
    /// Its name; empty when it sends none.
    pub name: String,
    /// Its value.
    pub value: String,
    action: Option<Url>,
}

/// What pressing a button sends.
pub(crate) struct Submission {
    pub(crate) url: Url,
    pub(crate) form: Option<String>,
}

impl Form {
    /// Fills in a field: by its name, its label, its id, or, for a check box, its value. A check box is ticked by its value
    /// or `on` and unticked by an empty text. `false` when there is no such field.
    pub fn fill(&mut self, field: &str, value: &str) -> bool {
        let mut found = false;
        for known in &mut self.fields {
            let tickable = matches!(known.kind.as_str(), "checkbox" | "radio");
            let named = known.name == field;
            if !(named || known.label == field || known.id == field || (tickable && known.value == field)) {
                continue;
            }
            if !tickable {
                known.value = value.to_owned();
            } else if value.is_empty() {
                known.on = false;
            } else if !named || value == "on" || value == known.value {
                known.on = true;
            } else if known.kind == "radio" {
                known.on = false;
                continue;
            } else {
                continue;
            }
            found = true;
        }
        found
    }

    /// The button with this text, value or name, in this order; letter case does not matter.
    pub fn button(&self, wanted: &str) -> Option<&Button> {
        let is = |text: &str| !text.is_empty() && text.eq_ignore_ascii_case(wanted);
        let mut buttons = self.buttons.iter();
        let by = |f: fn(&Button) -> &str| self.buttons.iter().find(|button| is(f(button)));
        by(|b| &b.text)
            .or_else(|| by(|b| &b.value))
            .or_else(|| by(|b| &b.name))
            .or_else(|| buttons.find(|button| button.text.to_lowercase().contains(&wanted.to_lowercase())))
    }

    pub(crate) fn press(&self, button: &Button) -> Submission {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        for field in self.fields.iter().filter(|field| field.on && !field.name.is_empty()) {
            encoded.append_pair(&field.name, &field.value);
        }
        if !button.name.is_empty() {
            encoded.append_pair(&button.name, &button.value);
        }
        let (mut url, encoded) = (button.action.as_ref().unwrap_or(&self.action).clone(), encoded.finish());
        if self.post {
            return Submission { url, form: Some(encoded) };
        }
        url.set_query(Some(&encoded));
        Submission { url, form: None }
    }
}

/// All forms of a page.
pub(crate) fn forms(html: &str, page: &Url) -> Vec<Form> {
    let pieces = pieces(html);
    let mut forms: Vec<Form> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    for (i, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Open { name, .. } if name == "form" => {
                open = Some(forms.len());
                ids.push(piece.attribute("id").unwrap_or_default().to_owned());
                let action = piece.attribute("action").filter(|a| !a.is_empty()).and_then(|a| page.join(a).ok());
                let post = piece.attribute("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
                forms.push(Form {
                    action: action.unwrap_or_else(|| page.clone()),
                    post,
                    fields: vec![],
                    buttons: vec![],
                });
            }
            Piece::Close(name) if name == "form" => open = None,
            Piece::Open { .. } => {
                let owner = match piece.attribute("form") {
                    Some(id) => ids.iter().position(|known| known == id),
                    None => open,
                };
                if let Some(form) = owner.and_then(|index| forms.get_mut(index)) {
                    control(&pieces, i, form, page);
                }
            }
            _ => {}
        }
    }
    forms
}

/// Adds the field or button that begins here to its form.
fn control(pieces: &[Piece], at: usize, form: &mut Form, page: &Url) {
    let Some(piece) = pieces.get(at) else { return };
    if piece.attribute("disabled").is_some() {
        return;
    }
    let attribute = |name: &str| piece.attribute(name).unwrap_or_default().to_owned();
    let kind = attribute("type").to_ascii_lowercase();
    let action = || piece.attribute("formaction").and_then(|a| page.join(a).ok());
    match piece.opens() {
        Some("button") if kind != "button" && kind != "reset" => {
            let text = text_until(pieces, at, "button");
            form.buttons.push(Button { text, name: attribute("name"), value: attribute("value"), action: action() });
        }
        Some("input") if matches!(kind.as_str(), "submit" | "image") => {
            let text = attribute("value");
            form.buttons.push(Button { text, name: attribute("name"), value: attribute("value"), action: action() });
        }
        Some("input") if kind != "button" && kind != "reset" => {
            let tickable = matches!(kind.as_str(), "checkbox" | "radio");
            let value = piece.attribute("value").unwrap_or(if tickable { "on" } else { "" }).to_owned();
            let kind = if kind.is_empty() { "text".to_owned() } else { kind };
            let on = !tickable || piece.attribute("checked").is_some();
            let (id, name) = (attribute("id"), attribute("name"));
            form.fields.push(Field { label: label(pieces, at, &id), name, value, kind, on, id });
        }
        Some("textarea") => {
            let (id, value) = (attribute("id"), raw_until(pieces, at, "textarea"));
            let label = label(pieces, at, &id);
            form.fields.push(Field { label, name: attribute("name"), value, kind: "textarea".into(), on: true, id });
        }
        Some("select") => {
            let id = attribute("id");
            let label = label(pieces, at, &id);
            let value = selected(pieces, at);
            form.fields.push(Field { label, name: attribute("name"), value, kind: "select".into(), on: true, id });
        }
        _ => {}
    }
}

/// The value of the selected option, else of the first.
fn selected(pieces: &[Piece], at: usize) -> String {
    let inside = pieces.iter().enumerate().skip(at).take_while(|(_, piece)| **piece != Piece::Close("select".into()));
    let options: Vec<(usize, &Piece)> = inside.filter(|(_, piece)| piece.opens() == Some("option")).collect();
    let chosen = options.iter().find(|(_, option)| option.attribute("selected").is_some()).or(options.first());
    chosen.map_or_else(String::new, |(i, option)| match option.attribute("value") {
        Some(value) => value.to_owned(),
        None => text_until(pieces, *i, "option"),
    })
}

/// The text of the label of a field: `<label for=id>`, or the label around it.
fn label(pieces: &[Piece], at: usize, id: &str) -> String {
    let is_label = |piece: &Piece| piece.opens() == Some("label");
    let by_id = pieces.iter().position(|piece| is_label(piece) && !id.is_empty() && piece.attribute("for") == Some(id));
    let around = || {
        let before = pieces.get(..at)?;
        let opened = before.iter().rposition(is_label)?;
        let closed = before.iter().rposition(|piece| *piece == Piece::Close("label".into()));
        closed.is_none_or(|closed| closed < opened).then_some(opened)
    };
    by_id.or_else(around).map(|i| text_until(pieces, i, "label")).unwrap_or_default()
}

/// The text from here to the end tag, white space folded.
fn text_until(pieces: &[Piece], at: usize, end: &str) -> String {
    raw_until(pieces, at, end).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn raw_until(pieces: &[Piece], at: usize, end: &str) -> String {
    let inside = pieces.iter().skip(at + 1).take_while(|piece| !matches!(piece, Piece::Close(name) if name == end));
    let texts = inside.filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
        <form action="/go?old=1" method="POST" id="main">
          <input type=hidden name=t value="a&amp;b">
          <label><input type="checkbox" name="scope" value="one" checked> First thing</label>
          <input type="checkbox" name="scope" value="two" id="s2"><label for="s2">Second <b>thing</b></label>
          <input name="who"><input name="off" disabled value="x">
          <select name="lang"><option value="en">English<option value="de" selected>Deutsch</select>
          <button name="decision" value="allow">Allow <i>it</i></button>
          <button type="button">Nothing</button>
        </form>
        <button form="main" name="decision" value="deny" formaction="/no">Cancel</button>"#;

    fn form() -> Form {
        forms(PAGE, &Url::parse("http://127.0.0.1:1/page").unwrap()).remove(0)
    }

    fn sent(form: &Form, button: &str) -> (String, String) {
        let submission = form.press(form.button(button).unwrap());
        (submission.url.path().to_owned(), submission.form.unwrap())
    }

    #[test]
    fn a_form_sends_what_a_browser_would_send() {
        let body = "t=a%26b&scope=one&who=&lang=de&decision=allow";
        assert_eq!(sent(&form(), "Allow it"), ("/go".into(), body.into()));
        assert_eq!(sent(&form(), "cancel").0, "/no", "the button's own action");
    }

    #[test]
    fn fields_are_filled_by_name_label_or_value() {
        let mut form = form();
        assert!(form.fill("who", "ann") && form.fill("First thing", "") && form.fill("scope", "two"));
        assert_eq!(sent(&form, "allow").1, "t=a%26b&scope=two&who=ann&lang=de&decision=allow");
        assert!(form.fill("two", ""), "by its value");
        assert!(form.fill("scope", "on"), "all of that name");
        assert_eq!(form.fields.iter().filter(|field| field.name == "scope" && field.on).count(), 2);
        assert!(!form.fill("nobody", "x") && !form.fill("scope", "three"));
    }

    #[test]
    fn a_get_form_replaces_the_query() {
        let forms =
            forms("<form action='/s?x=1'><input name=q value='a b'><button>Go", &Url::parse("http://h/").unwrap());
        let submission = forms[0].press(&forms[0].buttons[0]);
        assert_eq!((submission.url.as_str(), submission.form), ("http://h/s?q=a+b", None));
    }
}
