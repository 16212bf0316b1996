//! Links of HTML pages that are seen through a proxy: those that lead to the
//! page's own server are changed to lead through the proxy.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// The longest tag that is looked at; a longer one passes as it is.
const LONGEST: usize = 64 << 10;

/// Elements and their attributes that hold an address.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Gives an address its new form, if it needs one.
pub type Moved = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Rewrites a page as it streams by. No more than one tag is kept.
pub struct Rewriter {
    moved: Moved,
    /// What has come and is not complete.
    rest: BytesMut,
    /// What ends the part that is passed without a look: a comment, a script.
    until: &'static [u8],
}

impl Rewriter {
    /// Changes links as `moved` says.
    pub fn new(moved: Moved) -> Self {
        Self {
            moved,
            rest: BytesMut::new(),
            until: b"",
        }
    }

    /// Takes a piece of the page, gives what is ready of it.
    pub fn piece(&mut self, piece: &[u8]) -> Bytes {
        self.rest.extend_from_slice(piece);
        let mut out = BytesMut::with_capacity(self.rest.len());
        while self.step(&mut out) {}
        out.freeze()
    }

    /// The page has ended: what is left.
    pub fn end(&mut self) -> Bytes {
        self.rest.split().freeze()
    }

    /// Moves on; whether there may be more to do.
    fn step(&mut self, out: &mut BytesMut) -> bool {
        if !self.until.is_empty() {
            return self.skip(out);
        }
        let Some(start) = self.rest.iter().position(|byte| *byte == b'<') else {
            out.extend_from_slice(&self.rest.split());
            return false;
        };
        out.extend_from_slice(&self.rest.split_to(start));
        if self.rest.starts_with(b"<!--") {
            self.until = b"-->";
            return true;
        }
        // It may still become a comment.
        if b"<!--".starts_with(&self.rest) {
            return false;
        }
        let Some(length) = tag_length(&self.rest) else {
            if self.rest.len() > LONGEST {
                out.extend_from_slice(&self.rest.split());
            }
            return false;
        };
        let tag = self.rest.split_to(length);
        self.until = match name(&tag).as_str() {
            "script" => b"</script",
            "style" => b"</style",
            _ => b"",
        };
        self.rewrite(&tag, out);
        true
    }

    /// Passes what leads to the end of a comment or script.
    fn skip(&mut self, out: &mut BytesMut) -> bool {
        let wanted = self.until;
        let found = self
            .rest
            .windows(wanted.len())
            .position(|window| window.eq_ignore_ascii_case(wanted));
        let passed = match found {
            Some(at) => {
                self.until = b"";
                // A closing tag is a tag again, the end of a comment is none.
                if wanted == b"-->" { at + 3 } else { at }
            }
            None => self.rest.len().saturating_sub(wanted.len() - 1),
        };
        out.extend_from_slice(&self.rest.split_to(passed));
        found.is_some()
    }

    fn rewrite(&self, tag: &[u8], out: &mut BytesMut) {
        let name = name(tag);
        let links = LINKS.iter().find(|(element, _)| *element == name);
        let mut written = 0;
        for attribute in attributes(tag) {
            let of = |range: std::ops::Range<usize>| tag.get(range).unwrap_or_default();
            let key = String::from_utf8_lossy(of(attribute.key)).to_ascii_lowercase();
            let known = links.is_some_and(|(_, known)| known.contains(&key.as_str()));
            let value = std::str::from_utf8(of(attribute.value.clone())).unwrap_or_default();
            if let Some(moved) = known.then(|| (self.moved)(value)).flatten() {
                out.extend_from_slice(of(written..attribute.value.start));
                out.extend_from_slice(moved.as_bytes());
                written = attribute.value.end;
            }
        }
        out.extend_from_slice(tag.get(written..).unwrap_or_default());
    }
}

/// How long the tag is that the text begins with; `None` if its end has not come.
fn tag_length(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The element's name, in lower case; empty for closing tags.
fn name(tag: &[u8]) -> String {
    let name = tag
        .iter()
        .skip(1)
        .take_while(|byte| byte.is_ascii_alphanumeric());
    name.map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

struct Attribute {
    key: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
}

/// Where keys and values of a tag's attributes are; those without value are
/// left out.
fn attributes(tag: &[u8]) -> Vec<Attribute> {
    let byte = |at: usize| tag.get(at).copied().unwrap_or(b'>');
    let skip = |mut at: usize, wanted: &dyn Fn(u8) -> bool| {
        while at < tag.len() && wanted(byte(at)) {
            at += 1;
        }
        at
    };
    let space = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let mut found = Vec::new();
    let mut at = skip(1, &|b| !b.is_ascii_whitespace() && b != b'>');
    loop {
        at = skip(at, &space);
        let start = at;
        at = skip(at, &|b| !space(b) && b != b'=' && b != b'>');
        let key = start..at;
        at = skip(at, &|b| b.is_ascii_whitespace());
        if byte(at) == b'=' {
            at = skip(at + 1, &|b| b.is_ascii_whitespace());
            let quote = byte(at);
            let value = if matches!(quote, b'"' | b'\'') {
                let end = skip(at + 1, &|b| b != quote);
                at + 1..end
            } else {
                at..skip(at, &|b| !b.is_ascii_whitespace() && b != b'>')
            };
            at = value.end + usize::from(matches!(quote, b'"' | b'\''));
            found.push(Attribute { key, value });
        }
        if at >= tag.len() || byte(at) == b'>' {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(page: &str, size: usize) -> String {
        let moved: Moved = Arc::new(|url| url.starts_with('/').then(|| format!("/proxy{url}")));
        let mut rewriter = Rewriter::new(moved);
        let mut out = Vec::new();
        for piece in page.as_bytes().chunks(size) {
            out.extend_from_slice(&rewriter.piece(piece));
        }
        out.extend_from_slice(&rewriter.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn links_lead_through_the_proxy() {
        let page = r#"<!DOCTYPE html><p title="/x">1 < 2 <!-- <a href="/c"> --></p>
<A class=b HREF='/a?b=c&amp;d'>x</A><a href="relative">y</a><img alt="a>b" src=/i.png /><br/>
<script src="/s.js">if (a<b) { c = '<a href="/d">' }</script><a hidden href="/e">z</a><form action="/f"></form>"#;
        let wanted = r#"<!DOCTYPE html><p title="/x">1 < 2 <!-- <a href="/c"> --></p>
<A class=b HREF='/proxy/a?b=c&amp;d'>x</A><a href="relative">y</a><img alt="a>b" src=/proxy/i.png /><br/>
<script src="/proxy/s.js">if (a<b) { c = '<a href="/d">' }</script><a hidden href="/proxy/e">z</a><form action="/proxy/f"></form>"#;
        for size in [1, 2, 3, 7, 64, page.len()] {
            assert_eq!(rewritten(page, size), wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn pages_of_any_kind_pass() {
        for page in [
            "",
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href='/x",
            "<!-",
            "<!-- x",
            "<script>",
            "< = >",
            "<a =b =>",
        ] {
            assert_eq!(rewritten(page, 1), page, "{page}");
        }
        let endless = format!("<a {}", "x".repeat(3 * LONGEST));
        assert_eq!(rewritten(&endless, 4096), endless);
    }
}
