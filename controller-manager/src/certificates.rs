//! Certificate signing requests: approves those of nodes that may have them,
//! signs what is approved for Kubernetes' own signers, and clears away old ones.

mod lifetime;
mod serving;
mod signer;
mod signers;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
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
use k8s_openapi::api::core::v1::{Endpoints, Node, NodeAddress, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lifetime::time_left;
use serving::OtherNames;
use signer::{SignError, Signer};
use signers::{API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Recognized, RequestedSubject};

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
    recorder: Recorder,
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
        recorder: context.recorder("certificates-controller"),
        approve_serving: context.settings.approve_kubelet_serving,
    };
    let on_request = queue.clone();
    informers
        .signing_requests
        .subscribe(move |change| on_request.add(change.object().name().to_owned()));
    // What a node asked for before its addresses were known here, or while
    // another one had them.
    let (on_node, requests) = (queue.clone(), controller.requests.clone());
    informers.nodes.subscribe(move |change| {
        if let Change::Applied {
            old: Some(old),
            new,
        } = change
            && addresses(old) == addresses(new)
        {
            return;
        }
        for request in requests.list() {
            if request.spec.signer_name == KUBELET_SERVING && !is_decided(&request) {
                on_node.add(request.name().to_owned());
            }
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

fn addresses(node: &Node) -> Option<&[NodeAddress]> {
    node.status.as_ref()?.addresses.as_deref()
}

fn is_decided(request: &CertificateSigningRequest) -> bool {
    ["Approved", "Denied", "Failed"]
        .iter()
        .any(|r#type| has_condition(request, r#type))
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
        let Ok(asked) = RequestedSubject::read(&request.spec.request.0) else {
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
                self.recorder.event(
                    reference(&*request),
                    EventType::Warning,
                    "NotApproved",
                    format!("{why}; left for a person to decide"),
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
    fn objection(
        &self,
        asked: &RequestedSubject,
        spec: &CertificateSigningRequestSpec,
    ) -> Option<String> {
        if spec.signer_name != KUBELET_SERVING {
            return None;
        }
        if !self.approve_serving {
            return Some("--approve-kubelet-serving=false".into());
        }
        let user = spec.username.as_deref().unwrap_or_default();
        let own = user.trim_start_matches("system:node:");
        let node = self.nodes.get(&ObjectKey::new("", own));
        let apiservers = self.endpoints.get(&ObjectKey::new("default", "kubernetes"));
        let services = self.services.list();
        let nodes = self.nodes.list();
        let others = nodes.iter().filter(|other| other.name() != own);
        let others = OtherNames {
            services: services
                .iter()
                .flat_map(|s| serving::of_service(s))
                .collect(),
            apiservers: apiservers
                .iter()
                .flat_map(|e| serving::of_endpoints(e))
                .collect(),
            nodes: others.flat_map(has).collect(),
        };
        serving::objection(asked, node.as_deref(), &others)
    }
}

/// The names and addresses of a Node, with its name.
fn has(node: &Arc<Node>) -> impl Iterator<Item = (String, String)> {
    serving::of_node(node).map(|text| (text, node.name().to_owned()))
}

fn is_ours(signer: &str) -> bool {
    [KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT].contains(&signer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Settings;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use hardway_client::certificate::Subject;
    use hardway_client::fake::Fake;
    use hardway_client::task;

    fn node(name: &str, address: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {"addresses": [
            {"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]}})
    }

    /// What n1 asks for, to serve under an address.
    fn request(address: &str) -> Value {
        let mut subject = Subject::node("n1");
        subject.names.insert("n1".into());
        subject.addresses.insert(address.parse().unwrap());
        let pem = subject.request(&rcgen::KeyPair::generate().unwrap());
        json!({"metadata": {"name": "csr-1"}, "spec": {
            "request": STANDARD.encode(pem.unwrap()), "signerName": KUBELET_SERVING,
            "username": "system:node:n1", "groups": ["system:nodes"],
            "usages": ["digital signature", "server auth"]}})
    }

    #[tokio::test]
    async fn an_address_of_two_nodes_is_told_and_signed_for_neither() {
        let (fake, client) = Fake::start(Vec::new());
        fake.create("", "nodes", node("n1", "10.0.0.2"));
        fake.create("", "nodes", node("n2", "10.0.0.2"));
        let requests = ("certificates.k8s.io", "certificatesigningrequests");
        fake.create(requests.0, requests.1, request("10.0.0.2"));
        let context = Context {
            client: client.clone(),
            settings: std::sync::Arc::new(Settings {
                signing: Some(("ca.crt".into(), "ca.key".into())),
                approve_kubelet_serving: true,
                ..Settings::default()
            }),
        };
        let mut informers = Informers::new(&client);
        let work = register(&mut informers, &context).unwrap();
        let mut tasks = task::Group::default();
        informers.start(&mut tasks);
        let work = tokio::spawn(work);
        let told = |fake: &Fake| !fake.objects("", "events").is_empty();
        fake.wait_until("it is told", told).await;
        let event = fake.objects("", "events").remove(0);
        assert_eq!(event["involvedObject"]["name"], "csr-1");
        assert_eq!(
            event["message"],
            "10.0.0.2 is also an address of the Node n2; left for a person to decide"
        );
        let reviews = |fake: &Fake| fake.calls("create subjectaccessreviews");
        assert_eq!(reviews(&fake), 0);
        // The other one goes: now it is only asked whether n1 may have it approved.
        fake.delete("", "nodes", "", "n2", "Background");
        let asked = |fake: &Fake| reviews(fake) > 0;
        fake.wait_until("it is looked at again", asked).await;
        work.abort();
    }
}
