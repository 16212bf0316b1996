//! Bootstrap tokens: short-lived secrets with which nodes join.

use crate::{Objects, User, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

const GROUP: &str = "system:bootstrappers";

/// The user of a bootstrap token (`ID.SECRET`), if it is one and valid.
pub fn user(objects: &dyn Objects, token: &str, now: Timestamp) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    if !is_plain(id, 6) || !is_plain(secret, 16) {
        return None;
    }
    let stored = objects.read(
        "",
        "secrets",
        "kube-system",
        &format!("bootstrap-token-{id}"),
    )?;
    let valid = text(&stored, "/type") == "bootstrap.kubernetes.io/token"
        && text(&stored, "/metadata/deletionTimestamp").is_empty()
        && data(&stored, "token-id") == id
        && same(&data(&stored, "token-secret"), secret)
        && data(&stored, "usage-bootstrap-authentication") == "true"
        && !is_over(&data(&stored, "expiration"), now);
    if !valid {
        return None;
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in data(&stored, "auth-extra-groups").split(',') {
        match group.trim() {
            "" => {}
            group if is_bootstrap_group(group) => groups.push(group.to_owned()),
            _ => return None,
        }
    }
    Some(User::new(format!("system:bootstrap:{id}"), groups))
}

fn is_plain(part: &str, length: usize) -> bool {
    part.len() == length
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_bootstrap_group(group: &str) -> bool {
    group
        .strip_prefix("system:bootstrappers:")
        .is_some_and(|rest| {
            rest.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b':' || b == b'-')
                && rest.ends_with(|c: char| c.is_ascii_alphanumeric())
        })
}

fn data(secret: &Value, key: &str) -> String {
    let decoded = STANDARD.decode(text(secret, &format!("/data/{key}")));
    String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default()
}

/// Compares digests, so that the time taken tells nothing of the secret.
fn same(a: &str, b: &str) -> bool {
    let digest = |s: &str| ring::digest::digest(&ring::digest::SHA256, s.as_bytes());
    digest(a).as_ref() == digest(b).as_ref()
}

fn is_over(expiration: &str, now: Timestamp) -> bool {
    !expiration.is_empty() && expiration.parse::<Timestamp>().map_or(true, |at| at <= now)
}

/// Stores the token `abcdef.0123456789abcdef`, good until 2100.
#[cfg(test)]
pub fn put_sample(fake: &crate::objects::fake::Fake) {
    let encode = |s: &str| STANDARD.encode(s);
    let secret = serde_json::json!({
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
            "usage-bootstrap-authentication": encode("true"),
            "expiration": encode("2100-01-01T00:00:00Z"),
            "auth-extra-groups": encode("system:bootstrappers:workers"),
        },
    });
    fake.put("", "secrets", secret);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;

    #[test]
    fn valid_until_it_expires() {
        let fake = Fake::default();
        put_sample(&fake);
        let at = |time: &str, token| user(&fake, token, time.parse().unwrap());
        let joined = at("2029-01-01T00:00:00Z", "abcdef.0123456789abcdef").unwrap();
        assert_eq!(joined.name, "system:bootstrap:abcdef");
        assert!(
            joined.is_in("system:bootstrappers") && joined.is_in("system:bootstrappers:workers")
        );
        assert_eq!(at("2100-01-01T00:00:00Z", "abcdef.0123456789abcdef"), None);
        assert_eq!(at("2029-01-01T00:00:00Z", "abcdef.0123456789abcdee"), None);
        assert_eq!(at("2029-01-01T00:00:00Z", "abcdeg.0123456789abcdef"), None);
    }
}
