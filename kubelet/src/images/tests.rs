use super::*;
use crate::cri::fake::Fake;
use crate::objects::fake::Fake as FakeObjects;
use base64::Engine;
use hardway_client::Client;
use serde_json::json;
use tonic::transport::Endpoint;

struct Setup {
    runtime: Arc<Fake>,
    puller: Puller,
}

fn setup() -> Setup {
    let runtime = Arc::new(Fake::default());
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let recorder = Recorder::new(Client::from_channel(channel, "test"), "kubelet", None);
    let config = json!({"auths": {"docker.io": {"username": "me", "password": "x"}}}).to_string();
    let objects = FakeObjects::default().with_secret(json!({
        "metadata": {"namespace": "n", "name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson":
            base64::engine::general_purpose::STANDARD.encode(config)},
    }));
    let puller = Puller::new(runtime.clone(), recorder, Arc::new(objects), 2);
    Setup { runtime, puller }
}

impl Setup {
    async fn ensure(&self, image: &str, policy: &str) -> Result<String, (&'static str, String)> {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "imagePullSecrets": [{"name": "gone"}, {"name": "pull"}]},
        });
        let container = json!({"name": "c", "image": image, "imagePullPolicy": policy});
        let pod = serde_json::from_value(pod).unwrap();
        let container = serde_json::from_value(container).unwrap();
        let outcome = self.puller.ensure(&pod, &container).await;
        outcome.map_err(|e| (e.reason, e.message))
    }

    fn pulls(&self) -> usize {
        self.runtime.pulled.lock().len()
    }
}

#[tokio::test]
async fn policies() {
    let setup = setup();
    setup.runtime.add_image("sha256:there", "there:1", 1);
    let there = Ok("sha256:there".to_owned());
    assert_eq!(setup.ensure("there:1", "Never").await, there);
    assert_eq!(setup.ensure("there:1", "IfNotPresent").await, there);
    assert_eq!(setup.pulls(), 0);
    assert!(setup.ensure("there:1", "Always").await.is_ok());
    assert_eq!(setup.pulls(), 1);
    assert_eq!(
        setup.ensure("new", "IfNotPresent").await,
        Ok("sha256:new:latest".into())
    );
    let pulled = setup.runtime.pulled.lock().last().cloned();
    assert_eq!(pulled, Some(("new:latest".into(), Some("me".into()))));
    assert_eq!(
        setup.ensure("absent", "Never").await,
        Err((
            "ErrImageNeverPull",
            "Container image \"absent\" is not present with pull policy of Never".into()
        ))
    );
}

#[tokio::test]
async fn a_failed_pull_is_told_and_then_waited_for() {
    let setup = setup();
    let error = cri::Error {
        code: tonic::Code::NotFound,
        message: "no such image".into(),
    };
    setup.runtime.pulls.lock().insert("x:1".into(), Err(error));
    let text = "rpc error: code = NotFound desc = no such image";
    assert_eq!(
        setup.ensure("x:1", "Always").await,
        Err(("ErrImagePull", text.into()))
    );
    assert_eq!(
        setup.ensure("x:1", "Always").await,
        Err((
            "ImagePullBackOff",
            format!("Back-off pulling image \"x:1\": ErrImagePull: {text}")
        ))
    );
    assert_eq!(setup.pulls(), 1);
}

#[tokio::test]
async fn an_invalid_name_is_not_pulled() {
    let setup = setup();
    let text = "Failed to apply default image tag \"a b\": couldn't parse image name \"a b\": invalid reference format";
    assert_eq!(
        setup.ensure("a b", "Always").await,
        Err(("InvalidImageName", text.into()))
    );
    assert_eq!(setup.pulls(), 0);
}

#[test]
fn durations_as_go_prints_them() {
    let of = |millis| go_duration(Duration::from_millis(millis));
    assert_eq!(
        [of(7), of(1200), of(2000), of(61_005)],
        ["7ms", "1.2s", "2s", "1m1.005s"]
    );
}
