//! The ConfigMap `extension-apiserver-authentication` in `kube-system`: by which CA the
//! cluster's clients are known. Servers beside this one that leave it to the apiserver
//! who may do what read it at their start, Kubernetes' controller manager and scheduler
//! among them, and will not serve without.

use crate::bootstrap::ensure_as;
use crate::pipeline::Pipeline;
use hardway_client::notify::Watch;
use hardway_proto::Status;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use x509_parser::prelude::ASN1Time;

/// Where the CA stands in the ConfigMap. The keys for a proxy in front
/// (`requestheader-…`) are left out, as Kubernetes does without one.
const KEY: &str = "client-ca-file";
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps the ConfigMap as it should be, for ever: when `--client-ca-file` changes, and
/// when somebody changes or deletes it.
pub async fn run(pipeline: &Pipeline, file: &Path) {
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let watch = Watch::new(folder.unwrap_or(Path::new(".")));
    let Some(maps) = pipeline.cache.of("", "configmaps") else {
        return;
    };
    let mut changes = maps.changes();
    loop {
        if let Err(status) = publish(pipeline, file).await {
            tracing::warn!(%status, "the ConfigMap extension-apiserver-authentication, retrying");
            tokio::time::sleep(RETRY).await;
            continue;
        }
        tokio::select! {
            () = watch.changed() => {}
            changed = changes.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

async fn publish(pipeline: &Pipeline, file: &Path) -> Result<(), Status> {
    let own = std::fs::read_to_string(file).map_err(|error| {
        Status::internal(format!("--client-ca-file {}: {error}", file.display()))
    })?;
    let wanted = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {KEY: bundle("", &own, ASN1Time::now())},
    });
    let maps = pipeline.cache.of("", "configmaps");
    let found = maps.and_then(|of| of.get("kube-system/extension-apiserver-authentication"));
    let change = |found: &mut Value, _: &Value| {
        let text = found["data"][KEY].as_str().unwrap_or_default();
        found["data"][KEY] = bundle(text, &own, ASN1Time::now()).into();
    };
    if let Some(entry) = found {
        let now = entry.value();
        let mut next = now.clone();
        change(&mut next, &wanted);
        if next == now {
            return Ok(());
        }
    }
    ensure_as(pipeline, wanted, change).await
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
