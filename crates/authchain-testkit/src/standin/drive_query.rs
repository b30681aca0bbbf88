//! Drive's search language, as far as people use it: `name contains 'plan' and (mimeType = '...' or not trashed = true)`.

use super::people::File;

/// A parsed query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Query {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Term { field: String, operator: Operator, value: String },
    InParents(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Contains,
    Is,
    IsNot,
    Before,
    After,
}

/// How deep parentheses may nest.
const DEPTH: u8 = 16;

impl Query {
    /// Takes a query apart; `Err` for what Drive would answer with 400.
    pub(crate) fn parse(text: &str) -> Result<Self, ()> {
        let mut words = Words(words(text)?.into_iter().peekable());
        let query = words.any(DEPTH)?;
        if words.0.next().is_none() { Ok(query) } else { Err(()) }
    }

    /// Whether a file is found; `root` is what the alias `root` means.
    pub(crate) fn matches(&self, file: &File, root: &str) -> bool {
        match self {
            Self::And(a, b) => a.matches(file, root) && b.matches(file, root),
            Self::Or(a, b) => a.matches(file, root) || b.matches(file, root),
            Self::Not(a) => !a.matches(file, root),
            Self::InParents(parent) => file.parent == if parent == "root" { root } else { parent },
            Self::Term { field, operator, value } => {
                let (ours, theirs) = match field.as_str() {
                    "name" => (file.name.to_lowercase(), value.to_lowercase()),
                    "fullText" => {
                        let all = format!("{}\n{}", file.name, file.content).to_lowercase();
                        return value.to_lowercase().split_whitespace().all(|word| all.contains(word));
                    }
                    "mimeType" => (file.mime_type.to_owned(), value.clone()),
                    "modifiedTime" => (super::people::rfc3339(file.modified), value.clone()),
                    "trashed" => (file.trashed.to_string(), value.clone()),
                    // `starred` and `sharedWithMe`: nothing here is either.
                    _ => ("false".to_owned(), value.clone()),
                };
                match operator {
                    Operator::Contains => ours.contains(&theirs),
                    Operator::Is => ours == theirs,
                    Operator::IsNot => ours != theirs,
                    Operator::Before => ours < theirs,
                    Operator::After => ours > theirs,
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
    Open,
    Close,
}

struct Words(std::iter::Peekable<std::vec::IntoIter<Word>>);

impl Words {
    fn any(&mut self, depth: u8) -> Result<Query, ()> {
        let mut query = self.all(depth)?;
        while self.skip("or") {
            query = Query::Or(Box::new(query), Box::new(self.all(depth)?));
        }
        Ok(query)
    }

    fn all(&mut self, depth: u8) -> Result<Query, ()> {
        let mut query = self.one(depth)?;
        while self.skip("and") {
            query = Query::And(Box::new(query), Box::new(self.one(depth)?));
        }
        Ok(query)
    }

    fn one(&mut self, depth: u8) -> Result<Query, ()> {
        let depth = depth.checked_sub(1).ok_or(())?;
        if self.skip("not") {
            return Ok(Query::Not(Box::new(self.one(depth)?)));
        }
        match self.0.next() {
            Some(Word::Open) => {
                let inner = self.any(depth)?;
                if self.0.next() == Some(Word::Close) { Ok(inner) } else { Err(()) }
            }
            Some(Word::Quoted(parent)) => {
                let in_parents = self.skip("in") && self.skip("parents");
                if in_parents { Ok(Query::InParents(parent)) } else { Err(()) }
            }
            Some(Word::Bare(field)) => self.term(field),
            _ => Err(()),
        }
    }

    fn term(&mut self, field: String) -> Result<Query, ()> {
        const FIELDS: [&str; 7] =
            ["name", "fullText", "mimeType", "modifiedTime", "trashed", "starred", "sharedWithMe"];
        if !FIELDS.contains(&field.as_str()) {
            return Err(());
        }
        if field == "sharedWithMe" && !matches!(self.0.peek(), Some(Word::Bare(word)) if word == "=") {
            // It may stand alone.
            return Ok(Query::Term { field, operator: Operator::Is, value: "true".to_owned() });
        }
        let Some(Word::Bare(operator)) = self.0.next() else { return Err(()) };
        let operator = match operator.as_str() {
            "contains" => Operator::Contains,
            "=" => Operator::Is,
            "!=" => Operator::IsNot,
            "<" | "<=" => Operator::Before,
            ">" | ">=" => Operator::After,
            _ => return Err(()),
        };
        match self.0.next() {
            Some(Word::Bare(value) | Word::Quoted(value)) => Ok(Query::Term { field, operator, value }),
            _ => Err(()),
        }
    }

    /// Passes this word if it is next.
    fn skip(&mut self, word: &str) -> bool {
        self.0.next_if(|next| matches!(next, Word::Bare(bare) if bare == word)).is_some()
    }
}

/// Splits a query into words; a quoted text escapes `'` and `\` with a backslash.
fn words(text: &str) -> Result<Vec<Word>, ()> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => words.push(Word::Open),
            ')' => words.push(Word::Close),
            '\'' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some('\\') => quoted.push(chars.next().ok_or(())?),
                        Some('\'') => break,
                        Some(c) => quoted.push(c),
                        None => return Err(()),
                    }
                }
                words.push(Word::Quoted(quoted));
            }
            c => {
                let symbol = |c: char| matches!(c, '=' | '!' | '<' | '>');
                let mut bare = String::from(c);
                while let Some(next) = chars.next_if(|next| {
                    !next.is_whitespace() && !matches!(next, '(' | ')' | '\'') && symbol(*next) == symbol(c)
                }) {
                    bare.push(next);
                }
                words.push(Word::Bare(bare));
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use authchain_core::Timestamp;

    use super::*;

    fn file() -> File {
        File {
            id: "1".into(),
            name: "Quarterly plan",
            mime_type: "application/vnd.google-apps.document",
            content: "Plant forty apple trees, don't wait.",
            parent: "ann-root".into(),
            modified: Timestamp(1_795_246_020),
            trashed: false,
        }
    }

    #[test]
    fn queries_find_what_drive_would_find() {
        for (query, found) in [
            ("name contains 'PLAN'", true),
            ("name = 'plan'", false),
            ("fullText contains 'apple trees'", true),
            (r"fullText contains 'don\'t'", true),
            ("mimeType='application/vnd.google-apps.document' and trashed=false", true),
            ("mimeType != 'application/vnd.google-apps.document'", false),
            ("not name contains 'budget' and 'root' in parents", true),
            ("(name contains 'budget' or name contains 'plan') and 'other' in parents", false),
            ("modifiedTime > '2026-01-01T00:00:00'", true),
            ("sharedWithMe and trashed = false", false),
        ] {
            assert_eq!(Query::parse(query).unwrap().matches(&file(), "ann-root"), found, "{query}");
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        let deep = "(".repeat(1000);
        for bad in [
            "",
            "name",
            "name contains",
            "name contains 'x",
            "colour = 'red'",
            "(name = 'x'",
            "name = 'x' name = 'y'",
            &deep,
        ] {
            assert_eq!(Query::parse(bad), Err(()), "{bad}");
        }
    }
}
