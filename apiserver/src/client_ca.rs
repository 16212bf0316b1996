//! The ConfigMap `extension-apiserver-authentication` in `kube-system`: by which CA the
//! cluster's clients are known. Servers beside this one that leave it to the apiserver
//! who may do what read it at their start, Kubernetes' controller manager and scheduler
//! among them, and will not serve without.

use crate::bootstrap::ensure_as;
use crate::cache::Entry;
use crate::pipeline::Pipeline;
use hardway_client::notify::Watch;
use hardway_proto::Status;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::ASN1Time;

/// Where the CA stands in the ConfigMap. The keys for a proxy in front
/// (`requestheader-…`) are left out, as Kubernetes does without one.
const KEY: &str = "client-ca-file";
/// The ConfigMap's key in the cache.
const MAP: &str = "kube-system/extension-apiserver-authentication";
/// How long to wait after a failure, first and at most: it may be one that stays, as of a
/// ConfigMap that somebody has made immutable.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Keeps the ConfigMap as it should be, for ever: when `--client-ca-file` changes, and
/// when somebody changes or deletes it.
pub async fn run(pipeline: &Pipeline, file: &Path) {
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let watch = Watch::new(folder.unwrap_or(Path::new(".")));
    let Some(maps) = pipeline.cache.of("", "configmaps") else {
        return;
    };
    let mut changes = maps.changes();
    let mut pause = RETRY;
    // The one in which nothing was to be changed.
    let mut good: Option<Arc<Entry>> = None;
    loop {
        let found = maps.get(MAP);
        if !is_same(good.as_ref(), found.as_ref()) {
            match publish(pipeline, file, found.as_deref()).await {
                Ok(outcome) => good = found.filter(|_| outcome == Outcome::Unchanged),
                Err(status) => {
                    tracing::warn!(%status, ?pause, "the ConfigMap extension-apiserver-authentication, retrying");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_RETRY);
                    continue;
                }
            }
        }
        pause = RETRY;
        tokio::select! {
            () = watch.changed() => good = None,
            changed = changes.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// Whether there is an object, and it is the same version of it.
fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Unchanged,
    Written,
}

async fn publish(
    pipeline: &Pipeline,
    file: &Path,
    found: Option<&Entry>,
) -> Result<Outcome, Status> {
    let own = tokio::fs::read_to_string(file).await.map_err(|error| {
        Status::internal(format!("--client-ca-file {}: {error}", file.display()))
    })?;
    let wanted = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {KEY: bundle("", &own, ASN1Time::now())},
    });
    let change = |found: &mut Value, _: &Value| {
        let text = found["data"][KEY].as_str().unwrap_or_default();
        found["data"][KEY] = bundle(text, &own, ASN1Time::now()).into();
    };
    if let Some(entry) = found {
        let now = entry.value();
        let mut next = now.clone();
        change(&mut next, &wanted);
        if next == now {
            return Ok(Outcome::Unchanged);
        }
    }
    ensure_as(pipeline, wanted, change).await?;
    Ok(Outcome::Written)
}

/// The certificates of two bundles, each once: those of other apiservers, whose CA may be
/// another, stay. What has expired doesn't.
fn bundle(there: &str, own: &str, now: ASN1Time) -> String {
    let mut known: Vec<CertificateDer> = Vec::new();
    for text in [there, own] {
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()).flatten() {
            let is_valid = x509_parser::parse_x509_certificate(&certificate)
                .is_ok_and(|(_, parsed)| parsed.validity().not_after > now);
            if is_valid && !known.contains(&certificate) {
                known.push(certificate);
            }
        }
    }
    known.iter().map(|certificate| pem(certificate)).collect()
}

fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn until(year: i32) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn bundles_are_joined() {
        let now = ASN1Time::now();
        let (one, other, expired) = (until(2100), until(2101), until(2001));
        let lines = |text: &str| text.replace("\r\n", "\n");
        assert_eq!(bundle("", &one, now), lines(&one));
        assert_eq!(bundle(&one, &one, now), lines(&one));
        let both = format!("{one}{other}");
        assert_eq!(bundle(&one, &other, now), lines(&both));
        assert_eq!(bundle(&expired, &one, now), lines(&one));
        assert_eq!(bundle("what's that?", &one, now), lines(&one));
    }
}
