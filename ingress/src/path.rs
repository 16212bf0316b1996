//! Paths, and which of them a rule's path means.

use percent_encoding::percent_decode_str;

/// How a rule's path is compared. What is `ImplementationSpecific` in the API is a prefix here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathType {
    /// The same path, letter by letter.
    Exact,
    /// The path's elements, as whole ones, are the first of those asked for.
    Prefix,
}

/// A rule's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RulePath {
    /// How it is compared.
    pub kind: PathType,
    /// The path; that of a prefix without slashes at its end, so that `/` is empty.
    path: String,
}

impl RulePath {
    /// A path of this type.
    pub fn new(kind: PathType, path: &str) -> Self {
        let path = match kind {
            PathType::Exact => path,
            PathType::Prefix => path.trim_end_matches('/'),
        };
        Self {
            kind,
            path: path.to_owned(),
        }
    }

    /// Whether it means a path, which is one of [`asked`].
    pub fn matches(&self, asked: &str) -> bool {
        match self.kind {
            PathType::Exact => asked == self.path,
            PathType::Prefix => asked
                .strip_prefix(&self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Which of several that match goes first, the smallest: the longest path, and of two of a
    /// length the exact one.
    pub fn precedence(&self) -> (usize, PathType) {
        (usize::MAX - self.path.len(), self.kind)
    }
}

/// The path that is asked for, as rules are compared with it: decoded, and without `.` and
/// `..`, so that nobody gets past a rule by another spelling. The backend is sent what was
/// asked for.
pub fn asked(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if !decoded.contains("/.") {
        return decoded.into_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut elements = decoded.split('/').skip(1).peekable();
    while let Some(element) = elements.next() {
        let is_last = elements.peek().is_none();
        match element {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table "Examples" of Kubernetes' documentation of Ingress, where one path is given.
    #[test]
    fn paths_match_as_documented() {
        use PathType::{Exact, Prefix};
        for (kind, path, asked, expected) in [
            (Prefix, "/", "/anything/at/all", true),
            (Exact, "/foo", "/foo", true),
            (Exact, "/foo", "/bar", false),
            (Exact, "/foo", "/foo/", false),
            (Exact, "/foo/", "/foo", false),
            (Prefix, "/foo", "/foo", true),
            (Prefix, "/foo", "/foo/", true),
            (Prefix, "/foo/", "/foo", true),
            (Prefix, "/foo/", "/foo/", true),
            (Prefix, "/aaa/bb", "/aaa/bbb", false),
            (Prefix, "/aaa/bbb", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb/", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true),
            (Prefix, "/aaa/bbb", "/aaa/bbbxyz", false),
            (Prefix, "/aaa", "/ccc", false),
        ] {
            let rule = RulePath::new(kind, path);
            assert_eq!(rule.matches(asked), expected, "{kind:?} {path}: {asked}");
        }
    }

    #[test]
    fn other_spellings_are_the_same_path() {
        for (path, expected) in [
            ("/", "/"),
            ("/a%20b", "/a b"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2e/admin", "/admin"),
            ("/a/./b/", "/a/b/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/../../a", "/a"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a//b", "/a//b"),
        ] {
            assert_eq!(asked(path), expected, "{path}");
        }
    }
}
