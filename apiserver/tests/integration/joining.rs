//! A node that joins with a token, and certificates that renew themselves while
//! they are used.

use crate::common::{Lab, PATIENCE};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use hardway_client::certificate::{
    CertificateFile, Identities, KUBELET_CLIENT, Own, Readers, Request, Subject, first_certificate,
};
use hardway_client::kubeconfig::Kubeconfig;
use hardway_client::{Client, WatchParams};
use hardway_proto::Kind;
use hardway_proto::api::EventType;
use http::Method;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Node;
use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const TOKEN: &str = "abcdef.0123456789abcdef";

/// A lab that accepts the token, and what a node needs to join it.
async fn lab() -> (Lab, Identities, Own) {
    let lab = Lab::start_with(|_| vec!["--enable-bootstrap-token-auth=true".to_owned()]).await;
    let (id, secret) = TOKEN.split_once('.').unwrap();
    let data = json!({
        "token-id": STANDARD.encode(id), "token-secret": STANDARD.encode(secret),
        "usage-bootstrap-authentication": STANDARD.encode("true"),
    });
    let secret = json!({"metadata": {"name": format!("bootstrap-token-{id}")}, "data": data,
        "type": "bootstrap.kubernetes.io/token"});
    lab.create("/api/v1/namespaces/kube-system/secrets", &secret)
        .await;
    let path = |name: &str| lab.dir.path().join(name);
    std::fs::write(path("bootstrap"), bootstrap(&lab, TOKEN).to_string()).unwrap();
    let identities = Identities {
        kubeconfigs: vec![path("bootstrap")],
        servers: Vec::new(),
    };
    let readers = Readers::Owner;
    let own = Own {
        kubeconfig: path("kubelet.conf"),
        file: CertificateFile::new(&path("pki"), "kubelet-client", readers),
        readers,
        request: Request {
            signer: KUBELET_CLIENT,
            subject: Subject::node("n1"),
            serving: false,
        },
        authorities: None,
    };
    (lab, identities, own)
}

/// The kubeconfig of somebody with a token.
fn bootstrap(lab: &Lab, token: &str) -> Value {
    let server = format!("https://{}", lab.address);
    json!({
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    })
}

/// Approves and signs what is asked for, as the controller manager does, with
/// certificates that live `life`; counts them.
fn sign(lab: &Lab, life: Duration) -> Arc<AtomicUsize> {
    let client = Client::new(&lab.kubeconfig(), "signer").unwrap();
    let read = |name: &str| std::fs::read_to_string(lab.dir.path().join(name)).unwrap();
    let (ca, key) = (read("ca.crt"), read("ca.key"));
    let signed = Arc::new(AtomicUsize::new(0));
    let count = signed.clone();
    tokio::spawn(async move {
        let api = client.all::<CertificateSigningRequest>();
        let params = WatchParams {
            send_initial_events: true,
            ..Default::default()
        };
        let events = api.dynamic().watch(&params).await.unwrap();
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            if event.r#type() != EventType::Added {
                continue;
            }
            let object = event.object.unwrap_or_default();
            let Ok(mut request) = CertificateSigningRequest::parse(&object.json) else {
                continue;
            };
            if request
                .status
                .as_ref()
                .is_some_and(|s| s.conditions.is_some())
            {
                continue;
            }
            let approved =
                json!([{"type": "Approved", "status": "True", "reason": "Test", "message": "yes"}]);
            let status = request.status.get_or_insert_default();
            status.conditions = serde_json::from_value(approved).unwrap();
            let name = request.name().to_owned();
            let stored = api
                .dynamic()
                .update(&name, "approval", request.encode())
                .await;
            let mut request = CertificateSigningRequest::parse(&stored.unwrap().json).unwrap();
            let pem = String::from_utf8(request.spec.request.0.clone()).unwrap();
            let mut params = CertificateSigningRequestParams::from_pem(&pem).unwrap();
            let now = SystemTime::now();
            params.params.not_before = (now - Duration::from_secs(300)).into();
            params.params.not_after = (now + life).into();
            let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&key).unwrap()).unwrap();
            let certificate = params.signed_by(&issuer).unwrap().pem();
            let status = request.status.get_or_insert_default();
            status.certificate = Some(ByteString(certificate.into_bytes()));
            api.update_status(&request).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    signed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_with_a_token() {
    let (lab, identities, own) = lab().await;
    let signed = sign(&lab, Duration::from_secs(3600));
    let joined = tokio::time::timeout(PATIENCE, first_certificate(&identities, &own));
    joined.await.expect("the node has a certificate in time");
    let config = Kubeconfig::load(&own.kubeconfig).unwrap();
    let client = Client::new(&config, "kubelet").unwrap();
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1"}})).unwrap();
    client.all::<Node>().create(&node).await.unwrap();
    let other: Node = serde_json::from_value(json!({"metadata": {"name": "n2"}})).unwrap();
    let refused = client.all::<Node>().create(&other).await.unwrap_err();
    assert_eq!(refused.code, 403, "{refused}");
    // What is there is good: nothing is asked for again.
    first_certificate(&identities, &own).await;
    assert_eq!(signed.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_hears_why() {
    let (lab, identities, own) = lab().await;
    let wrong = bootstrap(&lab, "abcdef.fedcba9876543210").to_string();
    std::fs::write(lab.dir.path().join("wrong"), wrong).unwrap();
    let stranger = Identities {
        kubeconfigs: vec![lab.dir.path().join("wrong")],
        servers: Vec::new(),
    };
    let error = stranger.ask(&own.request).await.unwrap_err().to_string();
    assert!(error.contains("hardway token create"), "{error}");

    let asking = tokio::spawn(async move { identities.ask(&own.request).await });
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let pending = async || {
        let (_, list) = lab.get(requests).await;
        list["items"]
            .as_array()
            .and_then(|items| items.first().cloned())
    };
    lab.until("there is a request", async || pending().await.is_some())
        .await;
    let mut request = pending().await.unwrap();
    let denied =
        json!([{"type": "Denied", "status": "True", "reason": "Unknown", "message": "not ours"}]);
    request["status"]["conditions"] = denied;
    let name = request["metadata"]["name"].as_str().unwrap().to_owned();
    let (code, answer) = lab
        .put(&format!("{requests}/{name}/approval"), &request)
        .await;
    assert_eq!(code, 200, "{answer}");
    let error = asking.await.unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("certificate request {name} was denied: Unknown: not ours")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_read_where_the_cluster_is_if_they_may() {
    let lab = Lab::start().await;
    let info = json!({"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "x"}});
    let path = "/api/v1/namespaces/kube-public/configmaps";
    lab.create(path, &info).await;
    let stranger = lab.stranger();
    let ask = async |path: String| {
        let answer = lab.try_call_as(&stranger, Method::GET, &path, "", "".into());
        answer.await.unwrap().status().as_u16()
    };
    assert_eq!(ask(path.to_owned()).await, 401);
    assert_eq!(ask(format!("{path}/cluster-info")).await, 403);
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"],
        "resourceNames": ["cluster-info"], "verbs": ["get"]}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public";
    let name = json!({"name": "kubeadm:bootstrap-signer-clusterinfo"});
    lab.create(
        &format!("{rbac}/roles"),
        &json!({"metadata": name, "rules": rules}),
    )
    .await;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({"metadata": name,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name["name"]},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:anonymous"}]});
    lab.create(&format!("{rbac}/rolebindings"), &binding).await;
    lab.until("it can be read", async || {
        ask(format!("{path}/cluster-info")).await == 200
    })
    .await;
}

/// Certificates that live ten seconds, requests without a pause, and none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_certificates_are_renewed() {
    const LIFE: Duration = Duration::from_secs(10);
    const RENEWALS: usize = 3;
    let (lab, identities, own) = lab().await;
    let signed = sign(&lab, LIFE);
    first_certificate(&identities, &own).await;
    let config = Kubeconfig::load(&own.kubeconfig).unwrap();
    // It renews with what it has got; the token is needed no more.
    let itself = Identities {
        kubeconfigs: vec![own.kubeconfig.clone()],
        servers: Vec::new(),
    };
    tokio::spawn(own.renewal(itself).run());
    let client = Client::new(&config, "kubelet").unwrap();
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1"}})).unwrap();
    client.all::<Node>().create(&node).await.unwrap();
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (api, stop, done) = (client.all::<Node>(), stop.clone(), done.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    api.get("n1")
                        .await
                        .map_err(|e| format!("{}: {e}", Timestamp::now()))?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    let deadline = tokio::time::Instant::now() + 3 * LIFE + Duration::from_secs(6);
    while signed.load(Ordering::Relaxed) <= RENEWALS {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{signed:?} certificates"
        );
        assert!(
            !load.iter().any(|task| task.is_finished()),
            "a request failed"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap().unwrap();
    }
    let done = done.load(Ordering::Relaxed);
    assert!(done > 1000, "{done} requests");
    let links = std::fs::read_dir(lab.dir.path().join("pki")).unwrap();
    let files: Vec<PathBuf> = links.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(
        files.len(),
        3,
        "the current one, its link and the one before: {files:?}"
    );
}
