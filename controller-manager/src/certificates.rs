//! Certificate signing requests: approves those of kubelets, signs what is
//! approved for Kubernetes' own signers, and clears away old ones.

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
    CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::path::PathBuf;
use std::time::Duration;

const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// How long requests are kept, as Kubernetes keeps them.
const KEEP_DECIDED: Duration = Duration::from_secs(3600);
const KEEP_PENDING: Duration = Duration::from_secs(24 * 3600);
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

fn text(name: &rcgen::DistinguishedName, r#type: &DnType) -> String {
    match name.get(r#type) {
        Some(DnValue::Utf8String(text)) => text.clone(),
        Some(DnValue::PrintableString(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

/// What a signer demands of a request; `Err` says what is missing.
fn check(
    spec: &CertificateSigningRequestSpec,
    params: &CertificateSigningRequestParams,
) -> Result<(), String> {
    let subject = &params.params.distinguished_name;
    let (name, organisation) = (
        text(subject, &DnType::CommonName),
        text(subject, &DnType::OrganizationName),
    );
    let names = &params.params.subject_alt_names;
    let usages = spec.usages.as_deref().unwrap_or_default();
    let uses = |usage: &str| usages.iter().any(|u| u == usage);
    let only = |allowed: &[&str]| usages.iter().all(|u| allowed.contains(&u.as_str()));
    let node = |what: &str| {
        if organisation != "system:nodes" {
            return Err(format!("{what} must be of the organization system:nodes"));
        }
        if !name.starts_with("system:node:") {
            return Err(format!(
                "{what} must have a common name starting with system:node:"
            ));
        }
        Ok(())
    };
    let signature_and_encipherment = ["digital signature", "key encipherment"];
    match spec.signer_name.as_str() {
        KUBELET_CLIENT => {
            node("a kubelet's client certificate")?;
            if !names.is_empty() {
                return Err(
                    "a kubelet's client certificate has no subject alternative names".into(),
                );
            }
            let allowed = [&signature_and_encipherment[..], &["client auth"]].concat();
            if !uses("client auth") || !only(&allowed) {
                return Err(
                    "usages must be client auth, digital signature and optionally key encipherment"
                        .into(),
                );
            }
        }
        KUBELET_SERVING => {
            node("a kubelet's serving certificate")?;
            let fits = |n: &SanType| matches!(n, SanType::DnsName(_) | SanType::IpAddress(_));
            if names.is_empty() || !names.iter().all(fits) {
                return Err(
                    "a kubelet's serving certificate names DNS names or IP addresses".into(),
                );
            }
            let allowed = [&signature_and_encipherment[..], &["server auth"]].concat();
            if !uses("server auth") || !only(&allowed) {
                return Err(
                    "usages must be server auth, digital signature and optionally key encipherment"
                        .into(),
                );
            }
            if spec.username.as_deref() != Some(name.as_str()) {
                return Err(format!(
                    "only {name} itself may ask for its serving certificate"
                ));
            }
        }
        API_CLIENT => {
            let allowed = [&signature_and_encipherment[..], &["client auth"]].concat();
            if !uses("client auth") || !only(&allowed) {
                return Err(
                    "usages must be client auth and optionally digital signature and key encipherment"
                        .into(),
                );
            }
        }
        other => return Err(format!("signer {other:?} is not this cluster's")),
    }
    Ok(())
}

/// Whether a request of a kubelet is approved without a person: one for its
/// own name, or a first one made with a bootstrap token.
fn approves(
    spec: &CertificateSigningRequestSpec,
    params: &CertificateSigningRequestParams,
) -> bool {
    if check(spec, params).is_err() {
        return false;
    }
    let name = text(&params.params.distinguished_name, &DnType::CommonName);
    let own = spec.username.as_deref() == Some(name.as_str());
    let bootstrapping = spec
        .groups
        .iter()
        .flatten()
        .any(|g| g == "system:bootstrappers");
    match spec.signer_name.as_str() {
        KUBELET_CLIENT => own || bootstrapping,
        // Which names are a node's there is only its own word for, and it could
        // name the apiserver: somebody who knows has to approve those.
        _ => false,
    }
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
        let parsed = String::from_utf8(request.spec.request.0.clone())
            .map_err(|e| e.to_string())
            .and_then(|pem| {
                CertificateSigningRequestParams::from_pem(&pem).map_err(|e| e.to_string())
            });
        let Ok(params) = parsed else {
            return Ok(Next::After(left));
        };
        if !closed && !has_condition(&request, "Approved") {
            if approves(&request.spec, &params) {
                let mut approved = CertificateSigningRequest::clone(&request);
                let text =
                    "Auto approving kubelet certificate after SubjectAccessReview.".to_owned();
                let conditions = &mut approved.status.get_or_insert_default().conditions;
                conditions.get_or_insert_default().push(condition(
                    "Approved",
                    "AutoApproved",
                    text,
                ));
                api.dynamic()
                    .update(&name, "approval", approved.encode())
                    .await?;
            }
        } else if !closed && is_ours(&request.spec.signer_name) {
            let mut signed = CertificateSigningRequest::clone(&request);
            match check(&request.spec, &params) {
                Ok(()) => {
                    let pem = self.sign(&request.spec, params)?;
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

    fn sign(
        &self,
        spec: &CertificateSigningRequestSpec,
        mut params: CertificateSigningRequestParams,
    ) -> Result<String, Status> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::CertificateParams;

    fn request(name: &str, organisation: &str) -> CertificateSigningRequestParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        let key = KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        CertificateSigningRequestParams::from_pem(&pem).unwrap()
    }

    fn spec(user: &str, signer: &str, usages: &[&str]) -> CertificateSigningRequestSpec {
        CertificateSigningRequestSpec {
            username: Some(user.into()),
            signer_name: signer.into(),
            usages: Some(usages.iter().map(|u| (*u).to_owned()).collect()),
            ..Default::default()
        }
    }

    #[test]
    fn a_kubelet_may_renew_its_own_certificate_only() {
        let usages = ["client auth", "digital signature"];
        let params = request("system:node:a", "system:nodes");
        assert!(approves(
            &spec("system:node:a", KUBELET_CLIENT, &usages),
            &params
        ));
        assert!(!approves(
            &spec("system:node:b", KUBELET_CLIENT, &usages),
            &params
        ));
        let mut bootstrap = spec("system:bootstrap:x", KUBELET_CLIENT, &usages);
        bootstrap.groups = Some(vec!["system:bootstrappers".into()]);
        assert!(approves(&bootstrap, &params));
    }

    #[test]
    fn what_a_signer_demands() {
        let usages = ["client auth"];
        let outsider = request("system:node:a", "system:masters");
        let spec_of = |signer| spec("system:node:a", signer, &usages);
        assert!(
            check(&spec_of(KUBELET_CLIENT), &outsider)
                .unwrap_err()
                .contains("system:nodes")
        );
        assert!(check(&spec_of("example.com/other"), &outsider).is_err());
        let greedy = spec(
            "system:node:a",
            KUBELET_CLIENT,
            &["client auth", "server auth"],
        );
        assert!(check(&greedy, &request("system:node:a", "system:nodes")).is_err());
        let greedy = spec("jane", API_CLIENT, &["client auth", "server auth"]);
        assert!(check(&greedy, &request("jane", "dev")).is_err());
    }

    #[test]
    fn a_node_does_not_choose_the_names_it_serves() {
        let usages = ["server auth", "digital signature"];
        let mut params = request("system:node:a", "system:nodes");
        let name = "kubernetes.default.svc".try_into().unwrap();
        params.params.subject_alt_names = vec![SanType::DnsName(name)];
        let spec = spec("system:node:a", KUBELET_SERVING, &usages);
        assert_eq!(check(&spec, &params), Ok(()));
        assert!(!approves(&spec, &params));
    }
}
