//! A page as a person sees it: title, text, links, forms.

use std::fmt;

use http::HeaderMap;
use url::Url;

use super::{
    form::{Form, forms},
    html::{Piece, pieces},
};

/// A page as it came. When [`Page::stopped`], it is the address of a redirect that was not followed, and has no text.
#[derive(Clone)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// The HTTP status; 0 when stopped.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// Whether this is the address of a redirect that was not followed.
    pub stopped: bool,
}

impl Page {
    /// The title.
    pub fn title(&self) -> String {
        let mut inside = false;
        for piece in pieces(&self.body) {
            match piece {
                Piece::Open { name, .. } if name == "title" => inside = true,
                Piece::Text(text) if inside => return fold(&text),
                _ => {}
            }
        }
        String::new()
    }

    /// The text that a person reads, white space folded; the words on buttons, too.
    pub fn text(&self) -> String {
        let mut hidden = false;
        let mut text = String::new();
        for piece in pieces(&self.body) {
            match &piece {
                Piece::Open { name, .. } if matches!(name.as_str(), "script" | "style" | "title") => hidden = true,
                Piece::Close(name) if matches!(name.as_str(), "script" | "style" | "title") => hidden = false,
                Piece::Open { name, .. } if name == "input" => {
                    if matches!(piece.attribute("type"), Some("submit" | "button")) {
                        text.push_str(piece.attribute("value").unwrap_or_default());
                    }
                    text.push(' ');
                }
                Piece::Open { name, .. } | Piece::Close(name) => {
                    if !is_inline(name) {
                        text.push(' ');
                    }
                }
                Piece::Text(words) if !hidden => text.push_str(words),
                Piece::Text(_) => {}
            }
        }
        fold(&text)
    }

    /// The forms.
    pub fn forms(&self) -> Vec<Form> {
        forms(&self.body, &self.url)
    }

    /// The address that a link with this text or address leads to.
    pub fn link(&self, wanted: &str) -> Option<Url> {
        let pieces = pieces(&self.body);
        let mut links = pieces.iter().enumerate().filter(|(_, piece)| piece.opens() == Some("a"));
        links.find_map(|(i, piece)| {
            let href = piece.attribute("href")?;
            let inside = pieces.iter().skip(i).take_while(|piece| **piece != Piece::Close("a".into()));
            let text: String = inside
                .filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
                .collect();
            let url = self.url.join(href).ok()?;
            (href == wanted || url.as_str() == wanted || fold(&text).eq_ignore_ascii_case(wanted)).then_some(url)
        })
    }

    /// A parameter of the address's query.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// A header of the answer, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content of `<meta name=...>`.
    pub(crate) fn meta(&self, name: &str) -> Option<String> {
        let pieces = pieces(&self.body);
        let meta = pieces.iter().find(|piece| {
            piece.opens() == Some("meta")
                && piece.attribute("name").is_some_and(|other| other.eq_ignore_ascii_case(name))
        });
        meta.and_then(|piece| piece.attribute("content")).map(str::to_owned)
    }

    /// The address without its query, which may hold a code.
    pub(crate) fn place(&self) -> String {
        let mut place = self.url.clone();
        place.set_query(None);
        place.into()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("url", &self.place())
            .field("status", &self.status)
            .field("title", &self.title())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

fn is_inline(name: &str) -> bool {
    matches!(name, "a" | "b" | "strong" | "i" | "em" | "code" | "span" | "small" | "abbr" | "bdi" | "kbd")
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_the_words_and_not_the_markup() {
        let body = "<title> A  page </title><style>p{}</style><p>Hello,<br><b>A</b>nn &amp; co</p><input type=submit value=Go><a href='/x'>On <i>we</i> go</a>";
        let page = Page {
            url: Url::parse("http://h/a").unwrap(),
            status: 200,
            headers: HeaderMap::new(),
            body: body.into(),
            stopped: false,
        };
        assert_eq!(page.title(), "A page");
        assert_eq!(page.text(), "Hello, Ann & co Go On we go");
        assert_eq!(page.link("On we go").unwrap().as_str(), "http://h/x");
        assert_eq!(page.link("/x"), page.link("http://h/x"));
    }
}
