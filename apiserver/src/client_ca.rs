//! The ConfigMap `extension-apiserver-authentication` in `kube-system`: by which CA the
//! cluster's clients are known, and by which the server that passes their requests on.
//! Servers beside this one that leave it to the apiserver
//! who may do what read it at their start, Kubernetes' controller manager and scheduler
//! among them, and will not serve without.

use crate::aggregation::identity;
use crate::bootstrap::ensure_as;
use crate::cache::Entry;
use crate::pipeline::Pipeline;
use hardway_client::notify::Watch;
use hardway_proto::Status;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::ASN1Time;

/// Where the CA of clients stands in the ConfigMap.
const CLIENTS: &str = "client-ca-file";
/// Where that of the front proxy stands.
const FRONT_PROXY: &str = "requestheader-client-ca-file";
/// The ConfigMap's key in the cache.
const MAP: &str = "kube-system/extension-apiserver-authentication";
/// How long to wait after a failure, first and at most: it may be one that stays, as of a
/// ConfigMap that somebody has made immutable.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What is published.
pub struct Published {
    /// CA of the cluster's clients.
    pub clients: PathBuf,
    /// CA of the front proxy: of the certificate that this server shows to others.
    pub front_proxy: Option<PathBuf>,
    /// Whom of that CA's they may believe; all, if there is none.
    pub allowed_names: Vec<String>,
    /// The header from which they may take the UID of who asks, if any.
    pub uid_header: Option<String>,
}

/// Keeps the ConfigMap as it should be, for ever: when `--client-ca-file` changes, and
/// when somebody changes or deletes it. The CA of the front proxy is looked at along with it.
pub async fn run(pipeline: &Pipeline, published: &Published) {
    let folder = published.clients.parent();
    let folder = folder.filter(|dir| !dir.as_os_str().is_empty());
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
            match publish(pipeline, published, found.as_deref()).await {
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
    published: &Published,
    found: Option<&Entry>,
) -> Result<Outcome, Status> {
    let mut own = vec![(CLIENTS, read("client-ca-file", &published.clients).await?)];
    if let Some(file) = &published.front_proxy {
        own.push((FRONT_PROXY, read(FRONT_PROXY, file).await?));
    }
    let headers = headers(published);
    let change = |found: &mut Value, _: &Value| {
        for (key, own) in &own {
            let text = found["data"][key].as_str().unwrap_or_default();
            found["data"][key] = bundle(text, own, ASN1Time::now()).into();
        }
        for (key, names) in &headers {
            found["data"][key] = names.as_str().into();
        }
    };
    let mut wanted = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {},
    });
    change(&mut wanted, &Value::Null);
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

async fn read(flag: &str, file: &Path) -> Result<String, Status> {
    let text = tokio::fs::read_to_string(file).await;
    text.map_err(|error| Status::internal(format!("--{flag} {}: {error}", file.display())))
}

/// How the front proxy is known, and what it says: lists in JSON. Without a proxy there is
/// nothing to say, as in Kubernetes.
fn headers(published: &Published) -> Vec<(&'static str, String)> {
    if published.front_proxy.is_none() {
        return Vec::new();
    }
    let list = |name: &str| json!([name]).to_string();
    let uid = published.uid_header.as_deref();
    let uid = uid.map(|name| ("requestheader-uid-headers", list(name)));
    let others = [
        (
            "requestheader-allowed-names",
            json!(published.allowed_names).to_string(),
        ),
        ("requestheader-username-headers", list(identity::USER)),
        ("requestheader-group-headers", list(identity::GROUP)),
        ("requestheader-extra-headers-prefix", list(identity::EXTRA)),
    ];
    others.into_iter().chain(uid).collect()
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
