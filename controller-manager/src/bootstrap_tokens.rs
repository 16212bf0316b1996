//! Bootstrap tokens: Secrets of kube-system of a type of their own, with which
//! nodes join. What is good about one is decided here for the two controllers:
//! [`crate::bootstrap_signer`] and [`crate::token_cleaner`].

use hardway_proto::Kind;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

/// Type of the Secrets.
pub const TYPE: &str = "bootstrap.kubernetes.io/token";
/// Where they are.
pub const NAMESPACE: &str = "kube-system";

/// A value of a Secret, as text; nothing if it is none.
fn value<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
        .unwrap_or_default()
}

/// When a token ends; `None`: never. One whose time can't be read has ended,
/// as in Kubernetes.
pub fn expiration(secret: &Secret) -> Option<Timestamp> {
    match value(secret, "expiration") {
        "" => None,
        text => Some(text.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
    }
}

/// ID and secret of a token that may sign now.
pub fn signing(secret: &Secret, now: Timestamp) -> Option<(&str, &str)> {
    let (id, key) = (value(secret, "token-id"), value(secret, "token-secret"));
    let is_good = secret.type_.as_deref() == Some(TYPE)
        && secret.metadata.deletion_timestamp.is_none()
        && is_plain(id, 6)
        && is_plain(key, 16)
        && secret.name() == format!("bootstrap-token-{id}")
        && value(secret, "usage-bootstrap-signing") == "true"
        && expiration(secret).is_none_or(|at| at > now);
    is_good.then_some((id, key))
}

fn is_plain(part: &str, length: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    part.len() == length && part.bytes().all(plain)
}

/// A token `ID.0123456789abcdef` with these values beside.
#[cfg(test)]
pub fn sample(id: &str, more: &[(&str, &str)]) -> serde_json::Value {
    let mut data = serde_json::Map::new();
    let least = [("token-id", id), ("token-secret", "0123456789abcdef")];
    for (key, value) in least.iter().chain(more) {
        let bytes = k8s_openapi::ByteString(value.as_bytes().to_vec());
        data.insert((*key).to_owned(), serde_json::to_value(bytes).unwrap());
    }
    let name = format!("bootstrap-token-{id}");
    serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE, "data": data,
        "metadata": {"name": name, "namespace": NAMESPACE}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_while_it_is_good_and_meant_to() {
        let now: Timestamp = "2029-01-01T00:00:00Z".parse().unwrap();
        let secret = |more: &[(&str, &str)]| -> Secret {
            serde_json::from_value(sample("abcdef", more)).unwrap()
        };
        let may = ("usage-bootstrap-signing", "true");
        let good = secret(&[may, ("expiration", "2029-01-01T00:00:01Z")]);
        assert_eq!(signing(&good, now), Some(("abcdef", "0123456789abcdef")));
        let expired = secret(&[may, ("expiration", "2029-01-01T00:00:00Z")]);
        assert_eq!(signing(&expired, now), None);
        assert_eq!(signing(&secret(&[]), now), None);
        assert_eq!(signing(&secret(&[may, ("expiration", "soon")]), now), None);
        let mut other = secret(&[may]);
        assert!(signing(&other, now).is_some());
        other.metadata.name = Some("bootstrap-token-aaaaaa".into());
        assert_eq!(signing(&other, now), None);
    }
}
