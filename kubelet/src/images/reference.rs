//! References to images: `[host[:port]/]path[:tag][@digest]`.

const INVALID: &str = "invalid reference format";

/// Adds `:latest` if the reference has neither tag nor digest.
pub(super) fn with_default_tag(image: &str) -> Result<String, String> {
    let parts =
        parse(image).map_err(|why| format!("couldn't parse image name {image:?}: {why}"))?;
    Ok(if parts.is_pinned {
        image.to_owned()
    } else {
        format!("{image}:latest")
    })
}

/// The registry and repository of a reference, e.g. `docker.io/library/busybox`.
pub(super) fn repository(image: &str) -> Option<String> {
    let parts = parse(image).ok()?;
    Some(match parts.host {
        Some(host) => format!("{host}/{}", parts.path),
        None if parts.path.contains('/') => format!("docker.io/{}", parts.path),
        None => format!("docker.io/library/{}", parts.path),
    })
}

struct Parts<'a> {
    host: Option<&'a str>,
    path: &'a str,
    is_pinned: bool,
}

fn parse(image: &str) -> Result<Parts<'_>, String> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    // A colon before a slash belongs to a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (Some(host), path),
        _ => (None, name),
    };
    // Told apart from other mistakes because it is the most common one.
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        let shown = if host.is_none() && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        return Err(format!(
            "{INVALID}: repository name ({shown}) must be lowercase"
        ));
    }
    let valid = path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    if !valid {
        return Err(INVALID.into());
    }
    Ok(Parts {
        host,
        path,
        is_pinned: tag.is_some() || digest.is_some(),
    })
}

/// Whether the first part of a name is a registry and no path.
fn is_host(text: &str) -> bool {
    let has_mark = text.contains(['.', ':']) || text == "localhost";
    let valid = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    has_mark && valid
}

/// Letters and digits, with single `.`, `_`, `__` or dashes between.
fn is_path_component(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(inner) && text.bytes().last().is_some_and(inner);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let mut separators = separators.filter(|s| !s.is_empty());
    ends && separators.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    !algorithm.is_empty()
        && algorithm
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+.-_".contains(&b))
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unpinned_references_get_a_tag() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (image, expected) in [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("host:5000/a/b", "host:5000/a/b:latest"),
            ("a--b/c__d.e_f", "a--b/c__d.e_f:latest"),
            (&digest, &digest),
        ] {
            assert_eq!(with_default_tag(image).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_reference_is_told() {
        for image in [
            "",
            "a b",
            "-a",
            "a:",
            "a:b c",
            "a//b",
            "a@sha256:12",
            "a..b",
        ] {
            let expected = format!("couldn't parse image name {image:?}: {INVALID}");
            assert_eq!(with_default_tag(image), Err(expected));
        }
        assert_eq!(
            with_default_tag("Busybox").unwrap_err(),
            "couldn't parse image name \"Busybox\": invalid reference format: repository name (library/Busybox) must be lowercase"
        );
    }

    #[test]
    fn repositories_are_complete() {
        for (image, expected) in [
            ("busybox:1", "docker.io/library/busybox"),
            ("me/app", "docker.io/me/app"),
            ("localhost/app", "localhost/app"),
            ("r.example.com:5000/x/y:1", "r.example.com:5000/x/y"),
        ] {
            assert_eq!(repository(image).as_deref(), Some(expected));
        }
    }
}
