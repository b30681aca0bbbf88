//! Messages in RFC 2822 form, taken apart as far as Gmail's API shows them: headers, parts, decoded bodies.

use base64::{Engine, engine::general_purpose::STANDARD};

/// One part of a message; the whole message is one, too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// In order, unfolded.
    pub(crate) headers: Vec<(String, String)>,
    /// In lower case, without parameters.
    pub(crate) mime_type: String,
    /// Of an attachment; else empty.
    pub(crate) filename: String,
    /// Decoded; empty when there are parts.
    pub(crate) body: Vec<u8>,
    /// Of a `multipart/*`.
    pub(crate) parts: Vec<Self>,
}

impl Part {
    /// Takes a message apart. What is no message becomes a body without headers.
    pub(crate) fn parse(raw: &[u8]) -> Self {
        Self::parse_nested(raw, 0)
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The text of the first `text/plain` part, else of the first part with text.
    pub(crate) fn text(&self) -> String {
        let leaves = self.leaves();
        let plain = leaves.iter().find(|part| part.mime_type == "text/plain").or(leaves.first());
        plain.map(|part| String::from_utf8_lossy(&part.body).into_owned()).unwrap_or_default()
    }

    fn leaves(&self) -> Vec<&Self> {
        if self.parts.is_empty() { vec![self] } else { self.parts.iter().flat_map(Self::leaves).collect() }
    }

    fn parse_nested(raw: &[u8], depth: u8) -> Self {
        let (head, body) = split_head(raw);
        let headers = headers(&String::from_utf8_lossy(head));
        let header = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let content_type = header("Content-Type").unwrap_or("text/plain");
        let mime_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let filename = header("Content-Disposition").and_then(|value| parameter(value, "filename"));
        let parts: Vec<Self> = match parameter(content_type, "boundary") {
            Some(boundary) if mime_type.starts_with("multipart/") && depth < 8 => {
                sections(body, &boundary).iter().map(|part| Self::parse_nested(part, depth + 1)).collect()
            }
            _ => Vec::new(),
        };
        let body = if parts.is_empty() {
            decoded(body, header("Content-Transfer-Encoding").unwrap_or_default())
        } else {
            Vec::new()
        };
        Self { mime_type, filename: filename.unwrap_or_default(), body, parts, headers }
    }
}

/// The bodies between the boundaries of a multipart (RFC 2046, section 5.1.1). Also used for Google's uploads.
pub(crate) fn sections<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    for (start, end) in lines(body) {
        let line = body.get(start..end).unwrap_or_default().trim_ascii_end();
        let Some(rest) = line.strip_prefix(delimiter.as_bytes()) else { continue };
        if !matches!(rest, b"" | b"--") {
            continue;
        }
        if let Some(from) = open {
            let part = body.get(from..start).unwrap_or_default();
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            found.push(part.strip_suffix(b"\r").unwrap_or(part));
        }
        open = (rest != b"--").then_some(end);
    }
    found
}

/// A parameter of a header such as `Content-Type` (RFC 2045, section 5.1), with its quotes removed.
pub(crate) fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The head and the body of a message or part.
pub(crate) fn split_head(raw: &[u8]) -> (&[u8], &[u8]) {
    for (start, end) in lines(raw) {
        if raw.get(start..end).unwrap_or_default().trim_ascii().is_empty() {
            return (raw.get(..start).unwrap_or_default(), raw.get(end..).unwrap_or_default());
        }
    }
    (raw, &[])
}

/// Where each line begins, and where the next one does.
fn lines(raw: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    raw.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, *at))
    })
}

fn headers(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

fn decoded(body: &[u8], encoding: &str) -> Vec<u8> {
    if encoding.trim().eq_ignore_ascii_case("base64") {
        let compact: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(compact).unwrap_or_else(|_| body.to_vec())
    } else if encoding.trim().eq_ignore_ascii_case("quoted-printable") {
        quoted_printable(body)
    } else {
        body.to_vec()
    }
}

/// RFC 2045, section 6.7.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'=' {
            out.push(byte);
        } else if let Some(after) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
            rest = after;
        } else if let Some((hex, after)) = rest.split_at_checked(2)
            && let Some(byte) = std::str::from_utf8(hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_message_has_headers_and_a_body() {
        let part = Part::parse(b"Subject: long\r\n line\r\nTo: bob@example.com\r\n\r\nHello\r\n");
        assert_eq!(part.header("subject"), Some("long line"));
        assert_eq!((part.mime_type.as_str(), part.text().as_str()), ("text/plain", "Hello\r\n"));
    }

    #[test]
    fn nested_parts_and_encodings_are_taken_apart() {
        let raw = b"Content-Type: multipart/mixed; boundary=outer\r\n\r\npreamble\r\n--outer\r\n\
            Content-Type: multipart/alternative; boundary=\"in ner\"\r\n\r\n--in ner\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=\r\n=C3=9Fe\r\n--in ner--\r\n\
            --outer\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"a.csv\"\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nYSxi\r\n--outer--\r\n";
        let part = Part::parse(raw);
        assert_eq!(part.text(), "Grüße");
        assert_eq!((part.parts[1].filename.as_str(), &*part.parts[1].body), ("a.csv", &b"a,b"[..]));
    }

    #[test]
    fn what_is_no_message_does_no_harm() {
        for raw in [&b""[..], b"\n", b"=", b":\n\n", b"Content-Type: multipart/mixed; boundary=\n\n--\n--\n"] {
            Part::parse(raw);
        }
    }
}
