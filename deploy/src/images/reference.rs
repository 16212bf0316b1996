//! Names of images, as people write them and as nodes know them.

use crate::failure::{Failure, Result};

/// The full name: with the registry's host, and with a tag unless there is a digest. `nginx`
/// is `docker.io/library/nginx:latest`, as for Docker and Kubernetes.
///
/// # Errors
/// If it is no name of an image.
pub fn full(name: &str) -> Result<String> {
    let bad = |why: &str| Failure::new(format!("read the image name {name:?}"), why);
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(bad("what follows the @ is no digest (sha256:…)"));
    }
    // A colon before the last slash is that of a port.
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(bad(
            "a tag has up to 128 letters, digits, underscores, dots and hyphens",
        ));
    }
    let (host, path) = match path.split_once('/') {
        Some((host, path)) if is_host(host) => (host, path.to_owned()),
        Some(_) => ("docker.io", path.to_owned()),
        None => ("docker.io", format!("library/{path}")),
    };
    let host = match host {
        "index.docker.io" => "docker.io",
        other => other,
    };
    if !path.split('/').all(is_component) {
        return Err(bad(
            "its parts have small letters, digits, and single separators (. _ __ -) between them",
        ));
    }
    let tag = match (tag, digest) {
        (None, None) => ":latest".to_owned(),
        (Some(tag), _) => format!(":{tag}"),
        (None, Some(_)) => String::new(),
    };
    let digest = digest.map_or_else(String::new, |digest| format!("@{digest}"));
    Ok(format!("{host}/{path}{tag}{digest}"))
}

/// Whether a text names an image: neither a digest alone, nor an identifier.
pub fn has_tag(full: &str) -> bool {
    !full.contains('@') && !full.starts_with("sha256:")
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

/// As the distribution specification has it.
fn is_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_plain).filter(|it| !it.is_empty());
    let good = |it: &str| it == "." || it == "_" || it == "__" || it.chars().all(|c| c == '-');
    text.starts_with(is_plain) && text.ends_with(is_plain) && separators.all(good)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

/// Whether a text is the digest of a blob.
pub fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:");
    hex.is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_does_it() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("me/app", "docker.io/me/app:latest"),
            ("index.docker.io/me/app:1", "docker.io/me/app:1"),
            ("localhost/app:1", "localhost/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f:latest"),
        ] {
            assert_eq!(full(name).unwrap(), expected);
        }
        let with_digest = full(&format!("nginx@{digest}")).unwrap();
        assert_eq!(with_digest, format!("docker.io/library/nginx@{digest}"));
        assert!(!has_tag(&with_digest) && has_tag("docker.io/library/nginx:1"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            "Nginx",
            "a//b",
            "a:",
            "a:b c",
            "a@sha256:1",
            "-a",
            "a_-b",
            "a...b",
            "a___b",
            "<none>:<none>",
            "/a",
        ] {
            assert!(full(name).is_err(), "{name:?}");
        }
    }
}
