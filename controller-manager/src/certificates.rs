//! Certificate signing requests: approves those of nodes that may have them,
//! signs what is approved for Kubernetes' own signers, and clears away old ones.

mod demands;
mod lifetime;
mod serving;
mod signer;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
};
use k8s_openapi::api::core::v1::{Endpoints, Node, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

use demands::{API_CLIENT, Asked, KUBELET_CLIENT, KUBELET_SERVING, Recognized};
use lifetime::time_left;
use signer::{SignError, Signer};

/// How long until somebody is asked again whether the sender of a request may
/// have it: permission may be given meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(60);

struct Controller {
    client: Client,
    requests: Store<CertificateSigningRequest>,
    nodes: Store<Node>,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    signer: Signer,
    /// Whether serving certificates of nodes are approved.
    approve_serving: bool,
}

/// The controller; `None` without `--cluster-signing-cert-file`.
pub fn register(informers: &mut Informers, context: &Context) -> Option<Work> {
    let (certificate, key) = context.settings.signing.clone()?;
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        requests: informers.signing_requests.store(),
        nodes: informers.nodes.store(),
        services: informers.services.store(),
        endpoints: informers.endpoints.store(),
        signer: Signer {
            certificate,
            key,
            duration: context.settings.signing_duration,
        },
        approve_serving: context.settings.approve_kubelet_serving,
    };
    let on_request = queue.clone();
    informers
        .signing_requests
        .subscribe(move |change| on_request.add(change.object().name().to_owned()));
    // What a node asked for before its addresses were known here.
    let (on_node, requests) = (queue.clone(), controller.requests.clone());
    informers.nodes.subscribe(move |change| {
        let Change::Applied { old, new } = change else {
            return;
        };
        let addresses = |node: &Node| node.status.as_ref().and_then(|s| s.addresses.clone());
        if old
            .as_ref()
            .is_some_and(|old| addresses(old) == addresses(new))
        {
            return;
        }
        let user = format!("system:node:{}", new.name());
        let all = requests.list().into_iter();
        for own in all.filter(|request| request.spec.username.as_ref() == Some(&user)) {
            on_node.add(own.name().to_owned());
        }
    });
    Some(Box::pin(async move {
        controller.requests.wait_synced().await;
        controller.nodes.wait_synced().await;
        controller.services.wait_synced().await;
        controller.endpoints.wait_synced().await;
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
            if !recognized.is_empty()
                && let Some(why) = self.objection(&asked, &request.spec)
            {
                tracing::info!(
                    request = name,
                    user = request.spec.username,
                    why,
                    "left for a person to decide: `kubectl certificate approve` or `deny`"
                );
                return Ok(Next::After(left));
            }
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
            let outcome = match asked.check(&request.spec) {
                Err(why) => Err(("SignerValidationFailure", why)),
                Ok(()) => match self.signer.sign(&request.spec, SystemTime::now()) {
                    Ok(pem) => Ok(pem),
                    Err(SignError::Request(why)) => Err(("SigningError", why)),
                    Err(error @ SignError::Authority(_)) => return Err(Status::internal(error)),
                },
            };
            let status = signed.status.get_or_insert_default();
            match outcome {
                Ok(pem) => status.certificate = Some(ByteString(pem.into_bytes())),
                Err((reason, why)) => status
                    .conditions
                    .get_or_insert_default()
                    .push(condition("Failed", reason, why)),
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

    /// Why a request that is recognized is not approved all the same.
    fn objection(&self, asked: &Asked, spec: &CertificateSigningRequestSpec) -> Option<String> {
        if spec.signer_name != KUBELET_SERVING {
            return None;
        }
        if !self.approve_serving {
            return Some("--approve-kubelet-serving=false".into());
        }
        let user = spec.username.as_deref().unwrap_or_default();
        let node = ObjectKey::new("", user.trim_start_matches("system:node:"));
        let node = self.nodes.get(&node);
        let services = self.services.list();
        let services = services
            .iter()
            .flat_map(|s| serving::of_service(s))
            .collect();
        let apiservers = self.endpoints.get(&ObjectKey::new("default", "kubernetes"));
        let apiservers = apiservers
            .iter()
            .flat_map(|e| serving::of_endpoints(e))
            .collect();
        serving::objection(asked, node.as_deref(), &services, &apiservers)
    }
}

fn is_ours(signer: &str) -> bool {
    [KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT].contains(&signer)
}
