//! Bootstrap tokens, with which nodes join: Secrets of Kubernetes' own form
//! (`bootstrap.kubernetes.io/token` in kube-system).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::shared_keys::CertificateKey;
use crate::encryption;
use crate::failure::{Failure, OrFail, Result};
use crate::pki;

/// The group of those who join, besides `system:bootstrappers`: kubeadm's.
pub const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
/// Where the Secrets are.
pub const PATH: &str = "/api/v1/namespaces/kube-system/secrets";

/// A token: `ID.SECRET`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Six characters that may be known.
    pub id: String,
    /// Sixteen that may not.
    pub secret: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}.…)", self.id)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.id, self.secret)
    }
}

impl std::str::FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('.');
        match parts {
            Some((id, secret)) if is_part(id, 6) && is_part(secret, 16) => Ok(Self {
                id: id.to_owned(),
                secret: secret.to_owned(),
            }),
            _ => Err("a token is six characters, a dot, and sixteen more, of a-z and 0-9".into()),
        }
    }
}

fn is_part(text: &str, length: usize) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() == length && text.chars().all(fits)
}

/// The ID in a token or an ID.
///
/// # Errors
/// If it is neither.
pub fn id(text: &str) -> std::result::Result<String, String> {
    if is_part(text, 6) {
        return Ok(text.to_owned());
    }
    text.parse::<Token>().map(|token| token.id)
}

impl Token {
    /// A new one, at random.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self> {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::new();
        while text.len() < 22 {
            // Bytes past the last multiple of 36 would favour some characters.
            for byte in encryption::random()?.into_iter().filter(|byte| *byte < 252) {
                text.push(char::from(ALPHABET[usize::from(byte % 36)]));
            }
        }
        Ok(Self {
            id: text[..6].to_owned(),
            secret: text[6..22].to_owned(),
        })
    }

    /// The Secret that makes the apiserver and the signer of cluster-info know it.
    pub fn secret(&self, now: Timestamp, life: Option<Duration>, description: &str) -> Value {
        let mut data = json!({
            "token-id": self.id,
            "token-secret": self.secret,
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": GROUP,
        });
        if let Some(life) = life {
            let end = SignedDuration::try_from(life)
                .ok()
                .and_then(|life| now.checked_add(life).ok())
                .unwrap_or(Timestamp::MAX);
            let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
            data["expiration"] = json!(end.to_string());
        }
        if !description.is_empty() {
            data["description"] = json!(description);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("bootstrap-token-{}", self.id), "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": data,
        })
    }
}

/// A token as a list shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The token.
    pub token: String,
    /// How long it is good.
    pub left: String,
    /// Until when.
    pub expires: String,
    /// What it is for.
    pub usages: String,
    /// What somebody said of it.
    pub description: String,
}

/// Secrets that are tokens.
fn tokens(secrets: &Value) -> impl Iterator<Item = &Value> {
    let items = secrets["items"].as_array().into_iter().flatten();
    items.filter(|secret| secret["type"] == "bootstrap.kubernetes.io/token")
}

/// A field of a token's Secret.
pub fn field(secret: &Value, name: &str) -> String {
    let bytes = secret["data"][name]
        .as_str()
        .and_then(|it| BASE64_STANDARD.decode(it).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// What a token may be used for.
fn usages(secret: &Value) -> Vec<&'static str> {
    let granted = |usage: &&str| field(secret, &format!("usage-bootstrap-{usage}")) == "true";
    ["authentication", "signing"]
        .into_iter()
        .filter(granted)
        .collect()
}

/// Among Secrets the token with this description that a node can join with for at least
/// so long; of several the one that lasts longest.
pub fn usable(
    secrets: &Value,
    description: &str,
    now: Timestamp,
    least: Duration,
) -> Option<Token> {
    let joins = |secret: &&Value| {
        field(secret, "description") == description
            && usages(secret).len() == 2
            && field(secret, "auth-extra-groups")
                .split(',')
                .any(|group| group == GROUP)
    };
    let lasts = |secret: &Value| {
        let end = match field(secret, "expiration") {
            never if never.is_empty() => Timestamp::MAX,
            end => end.parse().ok()?,
        };
        let left = end.duration_since(now).as_secs();
        (left >= i64::try_from(least.as_secs()).unwrap_or(i64::MAX)).then_some(left)
    };
    let (_, token) = tokens(secrets)
        .filter(joins)
        .filter_map(|secret| {
            let text = format!(
                "{}.{}",
                field(secret, "token-id"),
                field(secret, "token-secret")
            );
            Some((lasts(secret)?, text.parse().ok()?))
        })
        .max_by_key(|(left, _)| *left)?;
    Some(token)
}

/// The tokens among Secrets.
pub fn rows(secrets: &Value, now: Timestamp) -> Vec<Row> {
    let mut rows: Vec<Row> = tokens(secrets).map(|secret| row(secret, now)).collect();
    rows.sort_by(|a, b| a.token.cmp(&b.token));
    rows
}

fn row(secret: &Value, now: Timestamp) -> Row {
    let field = |name: &str| field(secret, name);
    let expiration = field("expiration");
    let left = match expiration.parse::<Timestamp>() {
        Ok(end) if end <= now => "over".to_owned(),
        Ok(end) => {
            crate::progress::age(u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0))
        }
        Err(_) => "forever".to_owned(),
    };
    Row {
        token: format!("{}.{}", field("token-id"), field("token-secret")),
        left,
        expires: match expiration.is_empty() {
            true => "never".to_owned(),
            false => expiration,
        },
        usages: usages(secret).join(","),
        description: field("description"),
    }
}

/// How long something lasts: `24h`, `30m`, `90s`, or 0 for ever.
///
/// # Errors
/// If it is none of these.
pub fn life(text: &str) -> std::result::Result<Duration, String> {
    let complaint = || format!("{text:?} is no time such as 24h, 30m or 90s; 0 is for ever");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(complaint()),
    };
    let number: u64 = number.parse().map_err(|_| complaint())?;
    let life = number.checked_mul(seconds).ok_or_else(complaint)?;
    Ok(Duration::from_secs(life))
}

/// The hash of a CA's public key, as kubeadm prints and takes it.
///
/// # Errors
/// If the PEM has no certificate.
pub fn ca_hash(pem: &str) -> Result<String> {
    hash(&pki::der_of(pem)?)
}

/// The hashes of all certificates in a PEM text.
///
/// # Errors
/// If the PEM has no certificate.
pub fn ca_hashes(pem: &str) -> Result<Vec<String>> {
    pki::all_of(pem)?.iter().map(|der| hash(der)).collect()
}

fn hash(der: &[u8]) -> Result<String> {
    let (_, certificate) =
        X509Certificate::from_der(der).or_fail(|| "read the CA's certificate")?;
    let hash = Sha256::digest(certificate.public_key().raw);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

/// A hash as [`ca_hash`] makes it.
///
/// # Errors
/// If it is anything else.
pub fn parse_hash(text: &str) -> std::result::Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    match hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("it must be sha256: and 64 hexadecimal digits".into()),
    }
}

/// What to type on a host that is to join: with the hashes of all CAs, of which there are two
/// while one is replaced.
///
/// # Errors
/// If the CA can't be read.
pub fn join_command(server: &str, token: &Token, ca: &str) -> Result<String> {
    let address = server
        .strip_prefix("https://")
        .ok_or_else(|| Failure::new("name the apiserver", format!("{server} is no https URL")))?;
    let mut line = format!("hardway join {address} --token {token}");
    let mut seen = BTreeSet::new();
    for hash in ca_hashes(ca)? {
        // A CA that was made anew with its old key has the same one.
        if seen.insert(hash.clone()) {
            line.push_str(&format!(" --ca-cert-hash {hash}"));
        }
    }
    Ok(line)
}

/// What to type on a host that is to join as a control plane.
///
/// # Errors
/// If the CA can't be read.
pub fn control_plane_join_command(
    server: &str,
    token: &Token,
    ca: &str,
    key: &CertificateKey,
) -> Result<String> {
    let as_node = join_command(server, token, ca)?;
    Ok(format!("{as_node} --control-plane --certificate-key {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kubernetes_own() {
        let token = Token::random().unwrap();
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        assert_ne!(Token::random().unwrap(), token);
        assert!(!format!("{token:?}").contains(&token.secret));
        for bad in [
            "",
            "abcdef",
            "abcdef.0123",
            "ABCDEF.0123456789abcdef",
            "abcdef.0123456789abcdef0",
        ] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
        assert_eq!(id("abcdef").unwrap(), "abcdef");
        assert_eq!(id("abcdef.0123456789abcdef").unwrap(), "abcdef");
        assert!(id("../x").is_err());
    }

    #[test]
    fn a_secret_has_what_kubernetes_reads_of_it() {
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let secret = token.secret(now, Some(Duration::from_secs(86400)), "");
        assert_eq!(secret["metadata"]["name"], "bootstrap-token-abcdef");
        let data = &secret["stringData"];
        assert_eq!(data["expiration"], "2026-01-02T00:00:00Z");
        assert_eq!(data["usage-bootstrap-signing"], "true");
        assert!(data.get("description").is_none());
        let for_ever = token.secret(now, None, "mine");
        assert!(for_ever["stringData"].get("expiration").is_none());
        assert_eq!(for_ever["stringData"]["description"], "mine");
    }

    #[test]
    fn a_list_shows_what_is_left() {
        let encode = |text: &str| json!(BASE64_STANDARD.encode(text));
        let secrets = json!({"items": [
            {"type": "Opaque", "data": {}},
            {"type": "bootstrap.kubernetes.io/token", "data": {
                "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
                "expiration": encode("2026-01-01T05:00:00Z"),
                "usage-bootstrap-authentication": encode("true"), "description": encode("x")}},
        ]});
        let at = |text: &str| rows(&secrets, text.parse().unwrap()).remove(0);
        let row = at("2026-01-01T00:00:00Z");
        assert_eq!(row.token, "abcdef.0123456789abcdef");
        assert_eq!(
            (row.left.as_str(), row.usages.as_str()),
            ("5h0m", "authentication")
        );
        assert_eq!(at("2026-01-01T06:00:00Z").left, "over");
    }

    /// A token as the apiserver shows it: texts have become data.
    fn stored(token: &str, description: &str, end: Option<&str>) -> Value {
        let now: Timestamp = end.unwrap_or("2026-01-01T00:00:00Z").parse().unwrap();
        let life = end.map(|_| Duration::ZERO);
        let mut secret = token
            .parse::<Token>()
            .unwrap()
            .secret(now, life, description);
        for (name, text) in secret["stringData"].take().as_object().unwrap() {
            secret["data"][name] = json!(BASE64_STANDARD.encode(text.as_str().unwrap()));
        }
        secret
    }

    #[test]
    fn a_token_is_used_again_while_a_node_can_join_with_it_for_long_enough() {
        use std::slice::from_ref;
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let find = |secrets: &[Value], hours: u64| {
            let least = Duration::from_secs(hours * 3600);
            let token = usable(&json!({"items": secrets}), "init", now, least)?;
            Some(token.id)
        };
        let eight = stored(
            "eight0.0123456789abcdef",
            "init",
            Some("2026-01-01T08:00:00Z"),
        );
        let nine = stored(
            "nine00.0123456789abcdef",
            "init",
            Some("2026-01-01T09:00:00Z"),
        );
        let all = [eight.clone(), nine.clone(), eight.clone()];
        assert_eq!(find(&all, 1).unwrap(), "nine00");
        assert_eq!(find(from_ref(&eight), 8).unwrap(), "eight0");
        assert_eq!(find(from_ref(&eight), 9), None);
        assert_eq!(find(&[], 0), None);
        let for_ever = stored("ever00.0123456789abcdef", "init", None);
        assert_eq!(find(&[nine.clone(), for_ever], 9).unwrap(), "ever00");

        // Somebody's own, one that is worth less, and one that can't be read.
        assert_eq!(
            find(&[stored("mine00.0123456789abcdef", "mine", None)], 0),
            None
        );
        for (field, text) in [
            ("usage-bootstrap-authentication", "false"),
            ("usage-bootstrap-signing", ""),
            ("auth-extra-groups", "system:bootstrappers:others"),
            ("expiration", "tomorrow"),
            ("token-secret", "short"),
        ] {
            let mut worse = nine.clone();
            worse["data"][field] = json!(BASE64_STANDARD.encode(text));
            assert_eq!(find(&[worse], 0), None, "{field}");
        }
        let mut other = nine;
        other["type"] = json!("Opaque");
        assert_eq!(find(&[other], 0), None);
    }

    #[test]
    fn times_are_whole_hours_minutes_or_seconds() {
        assert_eq!(life("24h").unwrap().as_secs(), 86400);
        assert_eq!(life("90s").unwrap().as_secs(), 90);
        assert_eq!(life("0").unwrap(), Duration::ZERO);
        for bad in [
            "",
            "h",
            "1",
            "-1h",
            "1d",
            "99999999999999999999h",
            "9999999999999999999h",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_of_the_public_key() {
        // openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256
        let folder = tempfile::tempdir().unwrap();
        let pki = pki::Pki::new(folder.path());
        pki.ensure(&[], std::time::SystemTime::now()).unwrap();
        let path = pki.certificate(pki::CLUSTER_CA);
        let hash = ca_hash(&crate::shell::read_text(&path).unwrap()).unwrap();
        let script = format!(
            "openssl x509 -pubkey -noout -in {} | openssl pkey -pubin -outform der | sha256sum",
            path.display()
        );
        let theirs = crate::shell::run("sh", &["-c", &script]).unwrap();
        assert_eq!(
            hash,
            format!("sha256:{}", theirs.split(' ').next().unwrap())
        );
        assert_eq!(parse_hash(&hash).unwrap(), hash);
        assert!(parse_hash("sha256:12").is_err());
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        let ca = crate::shell::read_text(&path).unwrap();
        let command = join_command("https://10.0.0.1:6443", &token, &ca).unwrap();
        assert!(command.starts_with(
            "hardway join 10.0.0.1:6443 --token abcdef.0123456789abcdef --ca-cert-hash sha256:"
        ));
        let other = pki::Pki::new(&folder.path().join("other"));
        other.ensure(&[], std::time::SystemTime::now()).unwrap();
        let next = crate::shell::read_text(&other.certificate(pki::CLUSTER_CA)).unwrap();
        let both = format!("{ca}{next}{ca}");
        assert_eq!(
            join_command("https://10.0.0.1:6443", &token, &both).unwrap(),
            format!("{command} --ca-cert-hash {}", ca_hash(&next).unwrap())
        );
        let key = CertificateKey::random().unwrap();
        let whole = control_plane_join_command("https://10.0.0.1:6443", &token, &ca, &key).unwrap();
        assert_eq!(
            whole,
            format!("{command} --control-plane --certificate-key {key}")
        );
    }
}
