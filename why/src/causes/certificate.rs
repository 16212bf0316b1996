//! Certificates that end soon or have ended, and requests for some that nobody answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::diagnosis::{Diagnosis, Evidence, Remedy, Severity, Source, Subject};
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::snapshot::Snapshot;
use crate::validity::of_pem;
use crate::words::span;

pub(super) const CAUSE: Cause = Cause {
    name: "certificate",
    about: "a certificate that ends or has ended, or a request for one that nobody answers",
    kinds: &["Secret", "CertificateSigningRequest"],
    reads: &["Ingress"],
    find,
};

/// From here on it is told: what renews itself does so long before.
const SOON: i64 = 7 * 86_400;
/// A request is answered at once by a controller; after this somebody has to.
const UNANSWERED: i64 = 60;

fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Finding> {
    let found = match object.kind {
        "Secret" => secret(cluster, object),
        _ => request(cluster, object),
    };
    found.into_iter().collect()
}

/// How bad an end at this time is, and in which words; nothing if it is far.
fn ending(now: Timestamp, end: Timestamp, lifetime: Option<i64>) -> Option<(Severity, String)> {
    let left = end.as_second() - now.as_second();
    // What lives for minutes is renewed in time, or was renewed too late.
    let soon = lifetime.map_or(SOON, |lifetime| SOON.min(lifetime / 5));
    match left {
        ..=0 => Some((Severity::Error, format!("ended {} ago", span(-left)))),
        _ if left < soon => Some((Severity::Warning, format!("ends in {}", span(left)))),
        _ => None,
    }
}

fn secret<'a>(cluster: &Cluster<'a>, secret: &Object<'a>) -> Option<Finding> {
    if secret.value.text("/type") != Some("kubernetes.io/tls") {
        return None;
    }
    let data = secret.value.text("/data/tls.crt")?;
    let pem = STANDARD.decode(data).ok()?;
    let Some((start, end)) = of_pem(&pem) else {
        let finding = Finding::error("has no certificate that can be read under tls.crt")
            .says([secret.field("/data/tls.crt", "not a certificate in PEM")]);
        return Some(finding);
    };
    let lifetime = end.as_second() - start.as_second();
    let (severity, when) = ending(cluster.now, end, Some(lifetime))?;
    let summary = format!("its certificate {when} ({end})");
    let finding = match severity {
        Severity::Error => Finding::error(summary),
        _ => Finding::warning(summary),
    };
    let users = cluster.within("Ingress", secret.namespace()).iter();
    let users = users.filter(|ingress| {
        let mut tls = ingress.value.list("/spec/tls").iter();
        tls.any(|it| it.text("/secretName") == Some(secret.name()))
    });
    let uses =
        users.map(|it| it.field("/spec/tls", format!("served from secret/{}", secret.name())));
    let replace = format!(
        "kubectl create secret tls {}{} --cert=FILE --key=FILE --dry-run=client -o yaml | kubectl apply -f -",
        secret.name(),
        secret.flag()
    );
    let finding = finding
        .since((severity == Severity::Error).then_some(end))
        .says([secret.field("/data/tls.crt", format!("not after {end}"))])
        .says(uses)
        .run("put a new certificate in its place", replace);
    Some(finding)
}

fn request<'a>(cluster: &Cluster<'a>, request: &Object<'a>) -> Option<Finding> {
    let name = request.name();
    let signer = request.value.text("/spec/signerName").unwrap_or_default();
    let user = request.value.text("/spec/username").unwrap_or_default();
    let who = request.field("/spec", format!("{user} asks {signer}"));
    if let Some(failed) = request.condition("Failed").filter(|it| it.status == "True") {
        let finding = Finding::error("the signer could not sign it")
            .since(failed.since)
            .says([who, request.told_by(&failed)])
            .run(
                "ask anew after mending the request",
                format!("kubectl delete csr {name}"),
            );
        return Some(finding);
    }
    // Somebody said no: that is an answer.
    if request.condition("Denied").is_some() || request.value.text("/status/certificate").is_some()
    {
        return None;
    }
    let since = request.created();
    if !super::lasts(cluster, since, UNANSWERED) {
        return None;
    }
    let approved = request.condition("Approved");
    let finding = match approved {
        None => Finding::warning(format!("waits for somebody to approve it ({user}, {signer})"))
            .says([who, request.field("/status/conditions", "neither Approved nor Denied")])
            .run("approve it, if it is who it says", format!("kubectl certificate approve {name}"))
            .run("or refuse it", format!("kubectl certificate deny {name}")),
        Some(approved) => Finding::error(format!("is approved, but {signer} has signed nothing"))
            .says([who, request.told_by(&approved)])
            .advise(match signer.starts_with("kubernetes.io/") {
                true => "the controller manager signs these: see that it runs and has --cluster-signing-cert-file",
                false => "see that the controller of this signer runs",
            }),
    };
    Some(finding.since(since).key(name))
}

/// Certificates that are in no object: the user's own, and the API server's.
pub(crate) fn of_certificates(snapshot: &Snapshot) -> Vec<Diagnosis> {
    let told = |it: &crate::Certificate| {
        let (severity, when) = ending(snapshot.now, it.not_after, None)?;
        let subject = Subject::new("Certificate", None, &it.owner);
        Some(Diagnosis {
            cause: CAUSE.name.to_owned(),
            severity,
            summary: format!("{when} ({})", it.not_after),
            since: (severity == Severity::Error).then_some(it.not_after),
            evidence: vec![Evidence {
                object: subject.clone(),
                source: Source::Comparison,
                says: format!("not after {}", it.not_after),
                since: None,
            }],
            remedies: vec![Remedy {
                advice: it.way_out.clone(),
                command: None,
            }],
            affected: Vec::new(),
            subject,
        })
    };
    snapshot.certificates.iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, found, one, says};
    use serde_json::json;

    #[test]
    fn ends_are_told_when_they_are_near() {
        let now: Timestamp = NOW.parse().unwrap();
        let end = |seconds| Timestamp::from_second(now.as_second() + seconds).unwrap();
        assert_eq!(ending(now, end(30 * 86_400), None), None);
        assert_eq!(
            ending(now, end(3 * 86_400), None),
            Some((Severity::Warning, "ends in 3d".into()))
        );
        assert_eq!(
            ending(now, end(-300), None),
            Some((Severity::Error, "ended 5m ago".into()))
        );
        // One of a day is not near its end for its whole life.
        assert_eq!(ending(now, end(43_200), Some(86_400)), None);
        let mut snapshot = Snapshot::new(now);
        snapshot.put_certificate(crate::Certificate {
            owner: "the client certificate of admin".into(),
            not_after: end(-60),
            way_out: "get a new kubeconfig".into(),
        });
        let told = &crate::problems(&snapshot, None)[0];
        assert_eq!(told.cause, "certificate");
        assert!(
            told.summary.starts_with("ended 60s ago"),
            "{}",
            told.summary
        );
    }

    #[test]
    fn a_request_waits_for_approval() {
        let request = |conditions, created| {
            json!({"metadata": {"name": "csr-1", "creationTimestamp": created},
                "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:a"},
                "status": {"conditions": conditions}})
        };
        let kind = "CertificateSigningRequest";
        let told = one(&[(kind, request(json!([]), "2025-01-01T00:00:00Z"))]);
        assert!(
            told.summary.contains("waits for somebody to approve it"),
            "{}",
            told.summary
        );
        assert_eq!(
            told.remedies[0].command.as_deref(),
            Some("kubectl certificate approve csr-1")
        );
        assert_eq!(found(&[(kind, request(json!([]), NOW))]), []);
        let denied = json!([{"type": "Denied", "status": "True"}]);
        assert_eq!(
            found(&[(kind, request(denied, "2025-01-01T00:00:00Z"))]),
            []
        );
        let approved = json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove",
            "message": "This CSR was approved by kubectl certificate approve."}]);
        let told = one(&[(kind, request(approved, "2025-01-01T00:00:00Z"))]);
        says(&told, "KubectlApprove");
    }
}
