//! Credentials for registries out of Secrets of the types
//! `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`.

use super::reference;
use crate::cri::AuthConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct ConfigJson {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// `username:password` in base64.
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

/// A login and where it is for: `host[/path]`, whose host may have wildcards.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Credential {
    scope: String,
    auth: AuthConfig,
}

/// All logins of a Secret; none if it isn't of a fitting type or broken.
pub(super) fn of_secret(secret: &Secret) -> Vec<Credential> {
    let data = secret.data.as_ref();
    let bytes = |key: &str| data.and_then(|d| d.get(key)).map(|b| b.0.as_slice());
    let auths = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => bytes(".dockerconfigjson")
            .and_then(|b| serde_json::from_slice::<ConfigJson>(b).ok())
            .map(|config| config.auths),
        Some("kubernetes.io/dockercfg") => {
            bytes(".dockercfg").and_then(|b| serde_json::from_slice(b).ok())
        }
        _ => None,
    };
    let auths = auths.unwrap_or_default().into_iter();
    auths
        .map(|(scope, login)| credential(&scope, login))
        .collect()
}

fn credential(scope: &str, login: Login) -> Credential {
    let decoded = STANDARD.decode(login.auth.trim()).unwrap_or_default();
    let decoded = String::from_utf8(decoded).unwrap_or_default();
    let (username, password) = match decoded.split_once(':') {
        Some((user, password)) if login.username.is_empty() => (user.into(), password.into()),
        _ => (login.username, login.password),
    };
    Credential {
        scope: normalize(scope),
        auth: AuthConfig {
            username,
            password,
            identity_token: login.identitytoken,
            ..Default::default()
        },
    }
}

/// Docker writes its own registry as `https://index.docker.io/v1/`.
fn normalize(scope: &str) -> String {
    let scope = scope
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let scope = scope.trim_end_matches('/');
    let scope = scope
        .strip_suffix("/v1")
        .or(scope.strip_suffix("/v2"))
        .unwrap_or(scope);
    match scope.split_once('/').unwrap_or((scope, "")) {
        ("index.docker.io" | "registry-1.docker.io", "") => "docker.io".into(),
        _ => scope.to_owned(),
    }
}

/// Logins that fit the image, the most specific first.
pub(super) fn fitting(keyring: &[Credential], image: &str) -> Vec<AuthConfig> {
    let Some(repository) = reference::repository(image) else {
        return Vec::new();
    };
    let mut found: Vec<&Credential> = keyring
        .iter()
        .filter(|c| matches(&c.scope, &repository))
        .collect();
    found.sort_by(|a, b| b.scope.cmp(&a.scope));
    found.into_iter().map(|c| c.auth.clone()).collect()
}

fn matches(scope: &str, repository: &str) -> bool {
    let (host, path) = scope.split_once('/').unwrap_or((scope, ""));
    let (image_host, image_path) = repository.split_once('/').unwrap_or((repository, ""));
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let (image_name, image_port) = image_host.split_once(':').unwrap_or((image_host, ""));
    let (labels, image_labels) = (name.split('.'), image_name.split('.'));
    port == image_port
        && labels.clone().count() == image_labels.clone().count()
        && labels
            .zip(image_labels)
            .all(|(glob, label)| glob_matches(glob, label))
        && image_path.starts_with(path)
}

/// Whether a label matches a pattern with `*`.
fn glob_matches(glob: &str, label: &str) -> bool {
    match glob.split_once('*') {
        None => glob == label,
        Some((head, tail)) => label.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| glob_matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keyring(auths: serde_json::Value) -> Vec<Credential> {
        let config = json!({"auths": auths}).to_string();
        of_secret(
            &serde_json::from_value(json!({
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": STANDARD.encode(config)},
            }))
            .unwrap(),
        )
    }

    fn users(auths: serde_json::Value, image: &str) -> Vec<String> {
        let fitting = fitting(&keyring(auths), image).into_iter();
        fitting
            .map(|a| format!("{}:{}", a.username, a.password))
            .collect()
    }

    #[test]
    fn logins_are_found_by_registry_and_path() {
        let auths = json!({
            "https://index.docker.io/v1/": {"auth": STANDARD.encode("hub:pw")},
            "r.example.com:5000": {"username": "all", "password": "x"},
            "r.example.com:5000/team": {"username": "team", "password": "y"},
            "*.wild.io": {"username": "wild", "password": "z"},
        });
        assert_eq!(users(auths.clone(), "busybox"), ["hub:pw"]);
        assert_eq!(users(auths.clone(), "r.example.com:5000/a"), ["all:x"]);
        assert_eq!(
            users(auths.clone(), "r.example.com:5000/team/a:1"),
            ["team:y", "all:x"]
        );
        assert_eq!(users(auths.clone(), "a.wild.io/x"), ["wild:z"]);
        assert!(users(auths.clone(), "wild.io/x").is_empty());
        assert!(users(auths, "r.example.com/a").is_empty());
    }

    #[test]
    fn other_secrets_have_none() {
        assert!(of_secret(&Secret::default()).is_empty());
        let broken = json!({
            "type": "kubernetes.io/dockercfg", "data": {".dockercfg": STANDARD.encode("{")},
        });
        assert!(of_secret(&serde_json::from_value(broken).unwrap()).is_empty());
    }
}
