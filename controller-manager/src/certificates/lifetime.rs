//! How long requests are kept, as Kubernetes keeps them.

use super::signer::not_after;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use std::time::Duration;

/// After it was decided, and while nobody decides.
const DECIDED: Duration = Duration::from_secs(3600);
const PENDING: Duration = Duration::from_secs(24 * 3600);

/// How long until a request is cleared away. One that is signed goes with its
/// certificate at the latest.
pub fn time_left(request: &CertificateSigningRequest, now: Timestamp) -> Duration {
    let until = |since: Timestamp, keep: Duration| {
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        keep.saturating_sub(age)
    };
    let created = request.metadata.creation_timestamp.as_ref();
    let created = created.map_or(now, |time| time.0);
    let status = request.status.as_ref();
    let certificate = status.and_then(|status| status.certificate.as_ref());
    let certificate = certificate.filter(|certificate| !certificate.0.is_empty());
    let decided = status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .filter(|condition| match condition.type_.as_str() {
            "Denied" | "Failed" => true,
            "Approved" => certificate.is_some(),
            _ => false,
        })
        .map(|condition| condition.last_update_time.as_ref().map_or(created, |t| t.0))
        .min();
    let left = match decided {
        Some(at) => until(at, DECIDED),
        // Approved ones that nobody signs, too.
        None => until(created, PENDING),
    };
    let end = certificate.and_then(|certificate| not_after(&certificate.0));
    let end = end.and_then(|second| Timestamp::from_second(second).ok());
    left.min(end.map_or(Duration::MAX, |end| {
        Duration::try_from(end.duration_since(now)).unwrap_or_default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn left(status: Value, minutes: i64) -> u64 {
        let created: Timestamp = "2029-01-01T00:00:00Z".parse().unwrap();
        let request = json!({"metadata": {"name": "c", "creationTimestamp": created.to_string()},
            "spec": {"request": "", "signerName": "x"}, "status": status});
        let request = serde_json::from_value(request).unwrap();
        let now = created + jiff::SignedDuration::from_mins(minutes);
        time_left(&request, now).as_secs() / 60
    }

    #[test]
    fn a_day_while_pending_an_hour_once_decided() {
        assert_eq!(left(json!({}), 60), 23 * 60);
        assert_eq!(left(json!({}), 25 * 60), 0);
        let decided = |r#type: &str| {
            json!({"conditions": [{"type": r#type, "status": "True",
                "lastUpdateTime": "2029-01-01T05:00:00Z"}]})
        };
        for r#type in ["Denied", "Failed"] {
            assert_eq!(left(decided(r#type), 5 * 60 + 20), 40, "{type}");
        }
        assert_eq!(left(decided("Approved"), 5 * 60 + 20), 24 * 60 - 320);
        let mut signed = decided("Approved");
        signed["certificate"] = json!("eA==");
        assert_eq!(left(signed, 5 * 60 + 20), 40);
    }

    #[test]
    fn gone_when_its_certificate_ends() {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2029, 1, 1) + Duration::from_secs(1800);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let certificate = serde_json::to_value(k8s_openapi::ByteString(pem.into_bytes())).unwrap();
        let status = json!({"certificate": certificate, "conditions": [
            {"type": "Approved", "status": "True", "lastUpdateTime": "2029-01-01T00:00:00Z"}]});
        assert_eq!(left(status.clone(), 10), 20);
        assert_eq!(left(status, 31), 0);
    }
}
