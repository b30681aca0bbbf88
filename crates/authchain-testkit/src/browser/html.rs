//! HTML, as far as a person without a screen needs it: tags with their attributes, and text. Tolerant of anything.

/// A piece of a page, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `<name attr="value">`; name and attribute names in lower case, values decoded.
    Open { name: String, attributes: Vec<(String, String)> },
    /// `</name>`
    Close(String),
    /// Text, decoded.
    Text(String),
}

/// Elements whose content is text up to their end tag (HTML, section 13.1.2).
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];

impl Piece {
    /// An attribute of an opening tag.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        match self {
            Self::Open { attributes, .. } => attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()),
            _ => None,
        }
    }

    /// The name, if this is an opening tag.
    pub(crate) fn opens(&self) -> Option<&str> {
        match self {
            Self::Open { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Takes a page apart.
pub(crate) fn pieces(html: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = html;
    while !rest.is_empty() {
        let (text, tag) = rest.split_at(tag_start(rest));
        if !text.is_empty() {
            pieces.push(Piece::Text(decode(text)));
        }
        rest = if tag.is_empty() { tag } else { take_tag(tag, &mut pieces) };
        if let Some(Piece::Open { name, .. }) = pieces.last()
            && RAW.contains(&name.as_str())
        {
            let name = name.clone();
            let (raw, after) = rest.split_at(end_of(rest, &name));
            let text = if matches!(name.as_str(), "script" | "style") { raw.to_owned() } else { decode(raw) };
            pieces.push(Piece::Text(text));
            rest = after;
        }
    }
    pieces
}

/// Where the next thing begins that is a tag, a comment or a declaration, and no stray `<`.
fn tag_start(text: &str) -> usize {
    let is_tag = |at: usize| {
        text.get(at + 1..)
            .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')))
    };
    text.match_indices('<').map(|(at, _)| at).find(|at| is_tag(*at)).unwrap_or(text.len())
}

/// Takes one tag from the front, and returns what follows.
fn take_tag<'a>(text: &'a str, pieces: &mut Vec<Piece>) -> &'a str {
    let after = |end: &str| text.split_once(end).map_or("", |(_, after)| after);
    if text.starts_with("<!--") {
        return after("-->");
    }
    if text.starts_with("<!") || text.starts_with("<?") {
        return after(">");
    }
    let inside = text.strip_prefix('<').unwrap_or(text);
    if let Some(name) = inside.strip_prefix('/') {
        let name = name.split('>').next().unwrap_or_default();
        pieces.push(Piece::Close(name.trim().to_ascii_lowercase()));
        return after(">");
    }
    let (name, mut rest) = inside
        .split_at(inside.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')).unwrap_or(inside.len()));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            break;
        }
        if let Some(after) = rest.strip_prefix('>') {
            rest = after;
            break;
        }
        let (attribute, after) = take_attribute(rest);
        attributes.push(attribute);
        rest = after;
    }
    pieces.push(Piece::Open { name: name.to_ascii_lowercase(), attributes });
    rest
}

/// Takes one attribute from the front; never nothing, so that a scan always ends.
fn take_attribute(text: &str) -> ((String, String), &str) {
    let ends_name = |(i, c): (usize, char)| i > 0 && (c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'));
    let end = text.char_indices().find(|at| ends_name(*at)).map_or(text.len(), |(i, _)| i);
    let (name, rest) = text.split_at(end);
    let name = name.to_ascii_lowercase();
    let Some(value) = rest.trim_start().strip_prefix('=') else { return ((name, String::new()), rest) };
    let value = value.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            let (inside, after) = quoted.split_once(quote).unwrap_or((quoted, ""));
            return ((name, decode(inside)), after);
        }
    }
    let (bare, after) =
        value.split_at(value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len()));
    ((name, decode(bare)), after)
}

/// Where the end tag of this raw text element begins.
fn end_of(text: &str, name: &str) -> usize {
    let closes = |at: usize| {
        let found = text.get(at + 2..at + 2 + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    text.match_indices("</").map(|(at, _)| at).find(|at| closes(*at)).unwrap_or(text.len())
}

/// Replaces character references: numbers, and the named ones that pages escape with.
pub(crate) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let reference = after
            .split_once(';')
            .filter(|(name, _)| name.len() <= 10)
            .and_then(|(name, after)| Some((character(name)?, after)));
        match reference {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "middot" => '·',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "copy" => '©',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str, attributes: &[(&str, &str)]) -> Piece {
        let attributes = attributes.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Piece::Open { name: name.to_owned(), attributes }
    }

    #[test]
    fn tags_attributes_and_text_are_told_apart() {
        let html = "<!DOCTYPE html><!-- <b> --><A href='x?a=1&amp;b=2' disabled data-x=y/z>1 < 2 &#x27;&lt;</A><br/>";
        assert_eq!(
            pieces(html),
            [
                open("a", &[("href", "x?a=1&b=2"), ("disabled", ""), ("data-x", "y/z")]),
                Piece::Text("1 < 2 '<".into()),
                Piece::Close("a".into()),
                open("br", &[]),
            ]
        );
    }

    #[test]
    fn scripts_and_text_areas_hold_text_only() {
        let html = "<script>if (a<b) '<form>'</script><textarea><p>&amp;</textarea>";
        let text: Vec<_> = pieces(html).into_iter().filter(|p| matches!(p, Piece::Text(_))).collect();
        assert_eq!(text, [Piece::Text("if (a<b) '<form>'".into()), Piece::Text("<p>&".into())]);
    }

    #[test]
    fn broken_pages_do_no_harm() {
        for html in [
            "<",
            "</",
            "<a",
            "<a b",
            "<a b=",
            "<a b='",
            "<!--",
            "<textarea>x",
            "&;",
            "&#;",
            "&#x110000;",
            "<a =>",
            "a<ü>",
        ] {
            pieces(html);
        }
    }
}
