//! Asking the cluster for a certificate, and waiting for the answer.

use super::{Held, Subject};
use crate::Client;
use crate::api::{Api, WatchParams};
use crate::kubeconfig::Pem;
use crate::queue::backoff;
use futures_util::StreamExt;
use hardway_proto::{Kind, Status};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec,
};
use rcgen::KeyPair;
use std::time::{Duration, SystemTime};

/// How long an answer is waited for, as Kubernetes' components do.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// When it is said that somebody has to approve.
const REMARK: Duration = Duration::from_secs(5);
/// From this minor version of Kubernetes 1 on, its kubelets ask for certificates of keys
/// that can't encipher without saying they do. Before 1.25 nobody approves or signs that;
/// all versions take both from those that do.
const NEEDS_NO_ENCIPHERMENT: u32 = 27;
/// First pause between attempts to watch the request, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The apiserver doesn't take the request.
    #[error("the apiserver refuses a certificate request to {signer}: {status}{}", hint(.status))]
    Refused {
        /// Who should have signed.
        signer: &'static str,
        /// Its answer.
        status: Status,
    },
    /// Somebody has said no.
    #[error("certificate request {name} was denied: {reason}")]
    Denied {
        /// The request.
        name: String,
        /// Why.
        reason: String,
    },
    /// The signer can't sign it.
    #[error("certificate request {name} failed: {reason}")]
    Failed {
        /// The request.
        name: String,
        /// Why.
        reason: String,
    },
    /// Somebody has deleted it.
    #[error("certificate request {0} was deleted before it was answered")]
    Gone(String),
    /// Nobody has said anything.
    #[error(
        "nobody has answered certificate request {name} for {PATIENCE:?}; see `kubectl describe csr {name}`, approve the next one with `kubectl certificate approve`, and have a controller manager with --cluster-signing-cert-file run"
    )]
    Unanswered {
        /// The request.
        name: String,
    },
    /// The answer can't be used.
    #[error("the certificate of request {name} can't be used: {reason}")]
    Unusable {
        /// The request.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no key or request to begin with.
    #[error("cannot make a certificate request: {0}")]
    Request(#[from] rcgen::Error),
}

/// What may be wrong when the apiserver refuses.
fn hint(status: &Status) -> &'static str {
    match status.code {
        401 => {
            "; the token or certificate to ask with is not (or no longer) good: make a new one with `hardway token create`, and join again"
        }
        403 => {
            "; who asks needs the ClusterRole system:node-bootstrapper, or a certificate of the group system:nodes"
        }
        _ => "",
    }
}

/// A certificate to ask for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who signs it.
    pub signer: &'static str,
    /// Whom it is for.
    pub subject: Subject,
    /// Whether it is to serve with, rather than to be a client with.
    pub serving: bool,
}

impl Request {
    /// What the certificate may be used for, as the signers of kubelets'
    /// certificates want it for keys that can't encipher; those of this minor
    /// version, if that is known.
    fn usages(&self, minor: Option<u32>) -> Vec<String> {
        let auth = match self.serving {
            true => "server auth",
            false => "client auth",
        };
        let enciphers = minor.is_none_or(|minor| minor < NEEDS_NO_ENCIPHERMENT);
        let usages = ["digital signature"]
            .into_iter()
            .chain(enciphers.then_some("key encipherment"))
            .chain([auth]);
        usages.map(str::to_owned).collect()
    }

    fn object(&self, pem: &str, minor: Option<u32>) -> CertificateSigningRequest {
        let mut object = CertificateSigningRequest {
            spec: CertificateSigningRequestSpec {
                request: ByteString(pem.as_bytes().to_vec()),
                signer_name: self.signer.to_owned(),
                usages: Some(self.usages(minor)),
                ..Default::default()
            },
            ..Default::default()
        };
        object.metadata.generate_name = Some("csr-".to_owned());
        object
    }
}

/// Asks for a certificate with a new key and waits until it is signed; gives
/// certificate and key as PEM.
///
/// # Errors
/// If there is no certificate within 15 minutes.
pub async fn issue(client: &Client, request: &Request) -> Result<(String, String), RequestError> {
    let key = KeyPair::generate()?;
    let minor = client.server_version().await.ok().map(|v| v.minor());
    let object = request.object(&request.subject.request(&key)?, minor);
    let api = client.all::<CertificateSigningRequest>();
    let created = api.create(&object).await;
    let created = created.map_err(|status| RequestError::Refused {
        signer: request.signer,
        status,
    })?;
    let name = created.name();
    tracing::info!(
        request = name,
        signer = request.signer,
        "asked for a certificate"
    );
    let remark = async {
        tokio::time::sleep(REMARK).await;
        tracing::warn!(
            request = name,
            "waiting for somebody to approve: `kubectl certificate approve {name}`"
        );
        std::future::pending().await
    };
    let answer = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            answer = answer(&api, name) => answer,
            never = remark => never,
        }
    });
    let certificate = answer.await.unwrap_or_else(|_| {
        Err(RequestError::Unanswered {
            name: name.to_owned(),
        })
    })?;
    let key = key.serialize_pem();
    usable(&certificate, &key, request).map_err(|reason| RequestError::Unusable {
        name: name.to_owned(),
        reason,
    })?;
    Ok((certificate, key))
}

/// Whether a certificate is the one that was asked for.
fn usable(certificate: &str, key: &str, request: &Request) -> Result<(), String> {
    let inline = |text: &str| Pem::Inline(text.as_bytes().to_vec());
    let held = Held::read(&inline(certificate), &inline(key)).map_err(|e| e.to_string())?;
    if held.subject != request.subject {
        return Err(format!(
            "it is for {:?} rather than for {:?}",
            held.subject, request.subject
        ));
    }
    match held.life.is_over(SystemTime::now()) {
        true => {
            Err("it has expired already; compare the clocks of this host and the signer's".into())
        }
        false => Ok(()),
    }
}

/// Waits until the request is decided.
async fn answer(api: &Api<CertificateSigningRequest>, name: &str) -> Result<String, RequestError> {
    let params = WatchParams {
        fields: format!("metadata.name={name}"),
        send_initial_events: true,
        ..Default::default()
    };
    let mut attempts = 0;
    loop {
        match api.dynamic().watch(&params).await {
            Ok(events) => {
                let mut events = std::pin::pin!(events);
                while let Some(event) = events.next().await {
                    let Ok(event) = event else { break };
                    let gone = event.r#type() == hardway_proto::api::EventType::Deleted;
                    let Some(object) = event.object else { continue };
                    attempts = 0;
                    let Ok(request) = CertificateSigningRequest::parse(&object.json) else {
                        continue;
                    };
                    if let Some(certificate) = decision(&request)? {
                        return Ok(certificate);
                    }
                    if gone {
                        return Err(RequestError::Gone(name.to_owned()));
                    }
                }
            }
            Err(error) => tracing::debug!(request = name, %error, "cannot watch the request"),
        }
        attempts += 1;
        tokio::time::sleep(backoff(attempts, PAUSES.0, PAUSES.1)).await;
    }
}

/// The certificate, once there is one.
fn decision(request: &CertificateSigningRequest) -> Result<Option<String>, RequestError> {
    let name = || request.name().to_owned();
    let Some(status) = &request.status else {
        return Ok(None);
    };
    for condition in status.conditions.iter().flatten() {
        let (reason, message) = (&condition.reason, &condition.message);
        let reason = [reason, message]
            .map(|text| text.as_deref().unwrap_or_default())
            .join(": ");
        match condition.type_.as_str() {
            "Denied" => {
                return Err(RequestError::Denied {
                    name: name(),
                    reason,
                });
            }
            "Failed" => {
                return Err(RequestError::Failed {
                    name: name(),
                    reason,
                });
            }
            _ => {}
        }
    }
    let Some(certificate) = status.certificate.as_ref().filter(|c| !c.0.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8(certificate.0.clone());
    text.map(Some).map_err(|_| RequestError::Unusable {
        name: name(),
        reason: "it is no PEM text".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(status: serde_json::Value) -> CertificateSigningRequest {
        let object = json!({"metadata": {"name": "csr-1"}, "status": status,
            "spec": {"request": "", "signerName": super::super::KUBELET_CLIENT}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn decided_when_signed_denied_or_failed() {
        assert!(decision(&with(json!({}))).unwrap().is_none());
        let approved = json!([{"type": "Approved", "status": "True", "reason": "r"}]);
        assert!(
            decision(&with(json!({"conditions": approved})))
                .unwrap()
                .is_none()
        );
        let signed = with(json!({"conditions": approved, "certificate": "UEVN"}));
        assert_eq!(decision(&signed).unwrap().unwrap(), "PEM");
        let denied = json!([{"type": "Denied", "status": "True", "reason": "NotOurs", "message": "go away"}]);
        let error = decision(&with(json!({"conditions": denied}))).unwrap_err();
        let told = "certificate request csr-1 was denied: NotOurs: go away";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn a_refusal_says_the_way_out() {
        let refused = |status: Status| {
            let signer = super::super::KUBELET_CLIENT;
            RequestError::Refused { signer, status }.to_string()
        };
        assert!(refused(Status::unauthorized()).contains("hardway token create"));
        let forbidden = Status::forbidden(
            "certificates.k8s.io",
            "certificatesigningrequests",
            "",
            "no",
        );
        assert!(refused(forbidden).contains("system:node-bootstrapper"));
    }

    #[test]
    fn kubelets_ask_for_what_their_signers_want() {
        let request = Request {
            signer: super::super::KUBELET_SERVING,
            subject: Subject::node("n1"),
            serving: true,
        };
        let object = request.object("PEM", Some(33));
        assert_eq!(
            object.spec.usages.unwrap(),
            ["digital signature", "server auth"]
        );
        let older = ["digital signature", "key encipherment", "server auth"];
        assert_eq!(request.usages(Some(20)), older);
        assert_eq!(request.usages(None), older);
        assert_eq!(object.metadata.generate_name.unwrap(), "csr-");
    }
}
