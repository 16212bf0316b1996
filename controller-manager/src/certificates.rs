//! Certificate signing requests: approves those of kubelets that may have them,
//! signs what is approved for Kubernetes' own signers, and clears away old ones.

mod demands;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

use demands::{API_CLIENT, Asked, KUBELET_CLIENT, KUBELET_SERVING, Recognized};

/// How long requests are kept, as Kubernetes keeps them.
const KEEP_DECIDED: Duration = Duration::from_secs(3600);
const KEEP_PENDING: Duration = Duration::from_secs(24 * 3600);
/// How long until somebody is asked again whether the sender of a request may
/// have it: permission may be given meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// Clocks differ a little: certificates are valid from this long ago.
const BACKDATE: Duration = Duration::from_secs(300);

struct Controller {
    client: Client,
    requests: Store<CertificateSigningRequest>,
    ca_certificate: PathBuf,
    ca_key: PathBuf,
    longest: Duration,
}

/// The controller; `None` without `--cluster-signing-cert-file`.
pub fn register(informers: &mut Informers, context: &Context) -> Option<Work> {
    let (ca_certificate, ca_key) = context.settings.signing.clone()?;
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        requests: informers.signing_requests.store(),
        ca_certificate,
        ca_key,
        longest: context.settings.signing_duration,
    };
    let on_request = queue.clone();
    informers
        .signing_requests
        .subscribe(move |change| on_request.add(change.object().name().to_owned()));
    Some(Box::pin(async move {
        controller.requests.wait_synced().await;
        controller::run("certificates", queue, 2, |name| controller.reconcile(name)).await;
    }))
}

fn has_condition(request: &CertificateSigningRequest, r#type: &str) -> bool {
    let conditions = request
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == r#type)
}

fn condition(r#type: &str, reason: &str, message: String) -> CertificateSigningRequestCondition {
    let now = Some(Time(Timestamp::now()));
    CertificateSigningRequestCondition {
        type_: r#type.into(),
        status: "True".into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: now.clone(),
        last_transition_time: now,
    }
}

/// How long until a request is cleared away.
fn time_left(request: &CertificateSigningRequest, now: Timestamp) -> Duration {
    let decided = ["Approved", "Denied", "Failed"]
        .iter()
        .any(|c| has_condition(request, c));
    let keep = if decided { KEEP_DECIDED } else { KEEP_PENDING };
    let created = request
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |t| t.0);
    let age = Duration::try_from(now.duration_since(created)).unwrap_or_default();
    keep.saturating_sub(age)
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let Some(request) = self.requests.get(&ObjectKey::new("", &name)) else {
            return Ok(Next::Done);
        };
        let left = time_left(&request, Timestamp::now());
        let api = self.client.all::<CertificateSigningRequest>();
        if left.is_zero() {
            return match api.delete(&name, &Default::default()).await {
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(Next::Done),
            };
        }
        let issued = request
            .status
            .as_ref()
            .is_some_and(|s| s.certificate.is_some());
        let closed =
            issued || has_condition(&request, "Denied") || has_condition(&request, "Failed");
        let Ok(asked) = Asked::read(&request.spec.request.0) else {
            return Ok(Next::After(left));
        };
        if !closed && !has_condition(&request, "Approved") {
            let recognized = asked.recognized(&request.spec);
            for way in recognized {
                if !self.may(&request.spec, way).await? {
                    continue;
                }
                let mut approved = CertificateSigningRequest::clone(&request);
                let conditions = &mut approved.status.get_or_insert_default().conditions;
                conditions.get_or_insert_default().push(condition(
                    "Approved",
                    "AutoApproved",
                    way.message.to_owned(),
                ));
                api.dynamic()
                    .update(&name, "approval", approved.encode())
                    .await?;
                return Ok(Next::After(left));
            }
            if !recognized.is_empty() {
                tracing::info!(
                    request = name,
                    user = request.spec.username,
                    "recognized, but its sender is not permitted to have it approved"
                );
                return Ok(Next::After(left.min(ASK_AGAIN)));
            }
        } else if !closed && is_ours(&request.spec.signer_name) {
            let mut signed = CertificateSigningRequest::clone(&request);
            match asked.check(&request.spec) {
                Ok(()) => {
                    let pem = self.sign(&request.spec)?;
                    signed.status.get_or_insert_default().certificate =
                        Some(ByteString(pem.into_bytes()));
                }
                Err(why) => {
                    let conditions = &mut signed.status.get_or_insert_default().conditions;
                    conditions.get_or_insert_default().push(condition(
                        "Failed",
                        "SignerValidationFailure",
                        why,
                    ));
                }
            }
            api.update_status(&signed).await?;
        }
        Ok(Next::After(left))
    }

    /// Whether the sender of a request is permitted to have it approved.
    async fn may(
        &self,
        spec: &CertificateSigningRequestSpec,
        way: &Recognized,
    ) -> Result<bool, Status> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.username,
                "uid": spec.uid,
                "groups": spec.groups,
                "extra": spec.extra,
                "resourceAttributes": {
                    "group": "certificates.k8s.io", "version": "*", "verb": "create",
                    "resource": "certificatesigningrequests",
                    "subresource": way.subresource,
                },
            },
        });
        let reviews = "subjectaccessreviews";
        let api = self
            .client
            .dynamic("authorization.k8s.io", "v1", reviews, "");
        let answer = api.create("", "", review.to_string().into_bytes()).await?;
        let answer: Value = serde_json::from_slice(&answer.json).map_err(Status::internal)?;
        Ok(answer["status"]["allowed"] == Value::Bool(true))
    }

    fn sign(&self, spec: &CertificateSigningRequestSpec) -> Result<String, Status> {
        let pem = String::from_utf8_lossy(&spec.request.0);
        let mut params =
            CertificateSigningRequestParams::from_pem(&pem).map_err(Status::internal)?;
        // Read each time: a renewed CA signs without a restart.
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|e| Status::internal(format!("signing CA {}: {e}", path.display())))
        };
        let key = KeyPair::from_pem(&read(&self.ca_key)?).map_err(Status::internal)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&self.ca_certificate)?, key)
            .map_err(Status::internal)?;
        let asked = spec.expiration_seconds.and_then(|s| u64::try_from(s).ok());
        let validity = asked.map_or(self.longest, |s| Duration::from_secs(s).min(self.longest));
        let now = std::time::SystemTime::now();
        let usages = spec.usages.as_deref().unwrap_or_default();
        let wanted = &mut params.params;
        wanted.not_before = (now - BACKDATE).into();
        wanted.not_after = (now + validity).into();
        wanted.is_ca = rcgen::IsCa::ExplicitNoCa;
        wanted.key_usages = usages.iter().filter_map(|u| key_usage(u)).collect();
        wanted.extended_key_usages = usages.iter().filter_map(|u| extended_usage(u)).collect();
        let certificate = params.signed_by(&issuer).map_err(Status::internal)?;
        Ok(certificate.pem())
    }
}

fn is_ours(signer: &str) -> bool {
    [KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT].contains(&signer)
}

fn key_usage(usage: &str) -> Option<KeyUsagePurpose> {
    match usage {
        "digital signature" => Some(KeyUsagePurpose::DigitalSignature),
        "key encipherment" => Some(KeyUsagePurpose::KeyEncipherment),
        _ => None,
    }
}

fn extended_usage(usage: &str) -> Option<ExtendedKeyUsagePurpose> {
    match usage {
        "client auth" => Some(ExtendedKeyUsagePurpose::ClientAuth),
        "server auth" => Some(ExtendedKeyUsagePurpose::ServerAuth),
        _ => None,
    }
}
