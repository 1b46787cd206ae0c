//! The bare words of SQL text.

/// Whether the SQL text has `word` (upper case) as a keyword that is no function's name: outside
/// of quotes and comments, and not before a parenthesis.
pub(crate) fn has_keyword(sql: &str, word: &str) -> bool {
    let mut words = Words::new(sql);
    while let Some(found) = words.next() {
        if found.eq_ignore_ascii_case(word) && !words.before_parenthesis() {
            return true;
        }
    }
    false
}

/// Whether there is a dot outside of quotes, comments and numbers.
pub(crate) fn has_dot(sql: &str) -> bool {
    let mut words = Words::new(sql);
    words.stops = true;
    words.any(|word| word == ".")
}

/// The bare words of SQL text: quoted names, texts and comments are passed over.
pub(crate) struct Words<'a> {
    text: &'a str,
    at: usize,
    /// Dots are words too.
    stops: bool,
}

impl<'a> Words<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, stops: false }
    }

    fn before_parenthesis(&self) -> bool {
        self.text[self.at..].trim_start().starts_with('(')
    }

    /// Passes over everything up to behind the next `end`.
    fn skip_past(&mut self, end: &str) {
        self.at =
            self.text[self.at..].find(end).map_or(self.text.len(), |i| self.at + i + end.len());
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            let start = self.at;
            self.at += 1;
            match b {
                // A doubled quote inside reads as two texts, which comes to the same here.
                b'\'' => self.skip_past("'"),
                b'"' => self.skip_past("\""),
                b'`' => self.skip_past("`"),
                b'[' => self.skip_past("]"),
                b'-' if bytes.get(self.at) == Some(&b'-') => self.skip_past("\n"),
                b'/' if bytes.get(self.at) == Some(&b'*') => {
                    self.at += 1;
                    self.skip_past("*/");
                }
                _ if b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80 => {
                    let is_word = |b: &u8| {
                        b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$' || *b >= 0x80
                    };
                    while bytes.get(self.at).is_some_and(is_word) {
                        self.at += 1;
                    }
                    return Some(&self.text[start..self.at]);
                }
                b'.' if self.stops => return Some("."),
                _ => {}
            }
        }
        None
    }
}
