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
    /// A path of this type, spelled in whichever way.
    pub fn new(kind: PathType, path: &str) -> Self {
        let mut path = asked(path).unwrap_or_else(|| path.to_owned());
        if kind == PathType::Prefix {
            path.truncate(path.trim_end_matches('/').len());
        }
        Self { kind, path }
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

/// The path that is asked for, as rules are compared with it: decoded, with one slash where
/// there are several, and without `.` and `..`, so that nobody gets past a rule by another
/// spelling. The backend is sent what was asked for.
///
/// None where a backend might well read another path than this: with a `..` beside an encoded
/// slash or several slashes, which not all take for one; with parameters at a `.` or `..`
/// (`..;x`), which some drop; and with a zero byte, at which some end.
pub fn asked(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    if decoded.contains('\0') {
        return None;
    }
    let Some(elements) = decoded.strip_prefix('/') else {
        // The `*` of OPTIONS.
        return Some(decoded.into_owned());
    };
    let encoded = decoded.matches('/').count() > path.matches('/').count();
    let is_plain = !encoded && !decoded.contains("//");
    let mut kept: Vec<&str> = Vec::new();
    let mut elements = elements.split('/').peekable();
    while let Some(element) = elements.next() {
        match element {
            "" | "." => {}
            ".." if is_plain => {
                kept.pop();
            }
            ".." => return None,
            other if other.starts_with(".;") || other.starts_with("..;") => return None,
            other => {
                kept.push(other);
                continue;
            }
        }
        if elements.peek().is_none() {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
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
            ("/a//b", "/a/b"),
            ("//admin//", "/admin/"),
            ("/a%2Fb", "/a/b"),
            ("/a%252Fb", "/a%2Fb"),
            ("/..a/b;c", "/..a/b;c"),
            ("*", "*"),
        ] {
            assert_eq!(asked(path).as_deref(), Some(expected), "{path}");
        }
        let rule = RulePath::new(PathType::Prefix, "/a%20b/");
        assert!(rule.matches("/a b/c"));
    }

    /// Whether they are `/admin` or `/public` depends on who reads them.
    #[test]
    fn what_can_be_read_in_several_ways_is_nobodys() {
        for path in [
            "/admin/x%2F..%2F..%2Fpublic",
            "/public%2f..%2fadmin",
            "/public/x//../../admin",
            "/public/..;/admin",
            "/public/%2e%2e;x=1/admin",
            "/.;/admin",
            "/admin%00",
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
    }
}
