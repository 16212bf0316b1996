//! Encryption at rest, seen from both sides: what the API gives, and what
//! etcd has.

use crate::common::{Lab, MAPS, config_map};
use hardway_apiserver::server::Server;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
/// A word that no other byte of etcd contains.
const PASSWORD: &str = "correct-horse-battery";
/// The same as Secrets carry it.
const ENCODED: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5";

const KEY_A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const KEY_B: &str = "/////////////////////////////////////////w8=";

const IDENTITY: &str = "{identity: {}}";

fn provider(family: &str, keys: &[(&str, &str)]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, secret)| format!("{{name: {name}, secret: '{secret}'}}"))
        .collect();
    format!("{{{family}: {{keys: [{}]}}}}", keys.join(", "))
}

fn secret(name: &str) -> Value {
    json!({"metadata": {"name": name}, "stringData": {"password": PASSWORD}})
}

fn one(name: &str) -> String {
    format!("{SECRETS}/{name}")
}

/// Puts a file into place at once, as careful administrators do.
fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// A lab with an encryption configuration.
struct Encrypted {
    lab: Lab,
    file: PathBuf,
}

impl Encrypted {
    async fn start() -> Self {
        let lab = Lab::start().await;
        let file = lab.dir.path().join("encryption.yaml");
        Self { lab, file }
    }

    /// Writes a configuration for Secrets with these providers.
    fn configure(&self, providers: &[&str]) {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\
             resources: [{{resources: [secrets], providers: [{}]}}]\n",
            providers.join(", ")
        );
        put(&self.file, &text);
    }

    /// Starts the apiserver anew, with the configuration.
    async fn restart(&mut self, providers: &[&str]) {
        self.configure(providers);
        self.lab.flags = vec![
            format!("--encryption-provider-config={}", self.file.display()),
            "--encryption-provider-config-automatic-reload=true".to_owned(),
        ];
        self.lab.serve().await;
    }

    /// What etcd has.
    async fn stored(&self, name: &str) -> Vec<u8> {
        let key = format!("/registry/secrets/default/{name}");
        let mut etcd = self.lab.etcd_client().await;
        let found = etcd.get(key, None).await.unwrap();
        found.kvs()[0].value().to_vec()
    }

    async fn is_stored_with(&self, name: &str, prefix: &str) -> bool {
        let stored = self.stored(name).await;
        let plain = String::from_utf8_lossy(&stored).contains(ENCODED);
        stored.starts_with(prefix.as_bytes()) && !plain
    }

    /// As `kubectl get secrets -o json | kubectl replace -f -`.
    async fn replace_all(&self) {
        let (_, list) = self.lab.get(SECRETS).await;
        for item in list["items"].as_array().unwrap() {
            let name = item["metadata"]["name"].as_str().unwrap();
            let (code, answer) = self.lab.put(&one(name), item).await;
            assert_eq!(code, 200, "{answer}");
        }
    }

    async fn password(&self, name: &str) -> String {
        let (code, object) = self.lab.get(&one(name)).await;
        assert_eq!(code, 200, "{object}");
        object["data"]["password"].as_str().unwrap().to_owned()
    }

    async fn metric(&self, line: &str) -> bool {
        let (_, text) = self.lab.get("/metrics").await;
        text.as_str().unwrap().contains(line)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_move_from_plain_to_a_key_and_on_to_another() {
    let mut e = Encrypted::start().await;
    e.lab.create(SECRETS, &secret("old")).await;
    let stored = e.stored("old").await;
    assert!(String::from_utf8(stored).unwrap().contains(ENCODED));

    // What is there stays readable; what is new is encrypted.
    let first = provider("aesgcm", &[("a", KEY_A)]);
    e.restart(&[&first, IDENTITY]).await;
    assert_eq!(e.password("old").await, ENCODED);
    let path = format!("{SECRETS}?watch=true&fieldSelector=metadata.name%3Dnew");
    let mut watch = e.lab.watch(&path).await;
    let created = e.lab.create(SECRETS, &secret("new")).await;
    assert!(e.is_stored_with("new", "k8s:enc:aesgcm:v1:a:").await);
    let told = watch.next().await.unwrap();
    assert_eq!(told["type"], "ADDED");
    assert_eq!(told["object"]["data"]["password"], ENCODED);

    // Everything written as it is becomes encrypted; nothing else changes.
    let (_, before) = e.lab.get(&one("old")).await;
    e.replace_all().await;
    assert!(e.is_stored_with("old", "k8s:enc:aesgcm:v1:a:").await);
    let (_, mut after) = e.lab.get(&one("old")).await;
    assert_ne!(
        after["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    assert_eq!(after, before);
    // What is encrypted as it should be is not written again.
    let (_, again) = e.lab.get(&one("new")).await;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );

    // Another provider in front, without a restart. No write is needed to see it.
    let second = provider("secretbox", &[("b", KEY_B), ("a", KEY_A)]);
    e.configure(&[&second, &first]);
    e.lab
        .until("the new key is in use", async || {
            e.replace_all().await;
            e.is_stored_with("new", "k8s:enc:secretbox:v1:b:").await
        })
        .await;
    assert!(e.is_stored_with("old", "k8s:enc:secretbox:v1:b:").await);
    // Changes, patches and deletions see plain objects, and the past is readable.
    let path = format!("{SECRETS}?watch=true&resourceVersion=0");
    let mut watch = e.lab.watch(&path).await;
    assert_eq!(watch.told().await.0, "ADDED");
    assert_eq!(watch.told().await.0, "ADDED");
    let (code, patched) = e
        .lab
        .merge(&one("new"), &json!({"data": {"more": "eA=="}}))
        .await;
    assert_eq!((code, &patched["data"]["password"]), (200, &json!(ENCODED)));
    let changed = watch.next().await.unwrap();
    assert_eq!(changed["object"]["data"]["more"], "eA==");
    let (code, _) = e.lab.delete(&one("old"), &Value::Null).await;
    assert_eq!(code, 200);
    let gone = watch.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["data"]["password"], ENCODED);
    let version = patched["metadata"]["resourceVersion"].as_str().unwrap();
    let past = format!("{SECRETS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let (code, list) = e.lab.get(&past).await;
    assert_eq!(code, 200, "{list}");
    assert_eq!(list["items"][1]["data"]["password"], ENCODED);

    // The old key is needed no more; and other kinds are stored as ever.
    let last = provider("secretbox", &[("b", KEY_B)]);
    e.restart(&[&last]).await;
    assert_eq!(e.password("new").await, ENCODED);
    e.lab.create(MAPS, &config_map("plain")).await;
    let mut etcd = e.lab.etcd_client().await;
    let found = etcd.get("/registry/configmaps/default/plain", None).await;
    assert_eq!(found.unwrap().kvs()[0].value()[0], b'{');
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_and_harms_nothing_else() {
    let mut e = Encrypted::start().await;
    let right = provider("aescbc", &[("a", KEY_A)]);
    e.restart(&[&right]).await;
    e.lab.create(SECRETS, &secret("locked")).await;
    e.lab.create(MAPS, &config_map("other")).await;
    assert!(e.is_stored_with("locked", "k8s:enc:aescbc:v1:a:").await);

    let other = provider("aesgcm", &[("b", KEY_B)]);
    e.restart(&[&other]).await;
    let reason = "Internal error occurred: unable to transform key \
                  \"/registry/secrets/default/locked\": no matching prefix found";
    let everywhere = "/api/v1/secrets?resourceVersion=0";
    let watch = format!("{SECRETS}?watch=true&resourceVersion=1");
    for path in [&one("locked"), SECRETS, everywhere, watch.as_str()] {
        let (code, status) = e.lab.get(path).await;
        assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
        assert_eq!(status["message"], reason, "{path}");
    }
    let patch = json!({"data": {}});
    let (code, status) = e.lab.merge(&one("locked"), &patch).await;
    assert_eq!((code, &status["message"]), (500, &json!(reason)));
    let (code, status) = e.lab.delete(&one("locked"), &Value::Null).await;
    assert_eq!((code, &status["message"]), (500, &json!(reason)));
    let (code, status) = e.lab.post(SECRETS, &secret("locked")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("AlreadyExists")));
    // All else goes on, and so do the Secrets of other namespaces.
    assert_eq!(e.lab.get(&format!("{MAPS}/other")).await.0, 200);
    e.lab.create(MAPS, &config_map("another")).await;
    e.lab.create(SECRETS, &secret("readable")).await;
    assert_eq!(e.password("readable").await, ENCODED);
    let elsewhere = "/api/v1/namespaces/kube-system/secrets";
    assert_eq!(e.lab.get(elsewhere).await.0, 200);
    assert_eq!(e.lab.get("/readyz").await.0, 200);

    // With the key back all is well again, without a restart.
    e.configure(&[&other, &right]);
    e.lab
        .until("the key is back", async || {
            e.lab.get(&one("locked")).await.0 == 200
        })
        .await;
    assert_eq!(e.password("locked").await, ENCODED);
    assert_eq!(e.lab.get(SECRETS).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_turns_unreadable_ends_watches_and_not_the_server() {
    let mut e = Encrypted::start().await;
    let keys = provider("aesgcm", &[("a", KEY_A)]);
    e.restart(&[&keys]).await;
    let made = e.lab.create(SECRETS, &secret("moved")).await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{SECRETS}?watch=true&resourceVersion={version}");
    let mut watch = e.lab.watch(&path).await;
    // A value is bound to its key: copied to another it is worth nothing.
    let stored = e.stored("moved").await;
    let mut etcd = e.lab.etcd_client().await;
    let copy = "/registry/secrets/default/copy";
    etcd.put(copy, stored, None).await.unwrap();
    let told = watch.next().await.unwrap();
    assert_eq!(
        (&told["type"], &told["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    let (code, status) = e.lab.get(SECRETS).await;
    assert_eq!(code, 500);
    assert_eq!(
        status["message"],
        "Internal error occurred: unable to transform key \
         \"/registry/secrets/default/copy\": cipher: message authentication failed"
    );
    assert_eq!(e.password("moved").await, ENCODED);
    etcd.delete(copy, None).await.unwrap();
    let (code, list) = e.lab.get(SECRETS).await;
    assert_eq!(code, 200, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_makes_no_sense_changes_nothing() {
    let mut e = Encrypted::start().await;
    let keys = provider("secretbox", &[("a", KEY_A)]);
    e.restart(&[&keys]).await;
    let reloads = "apiserver_encryption_config_controller_automatic_reloads_total";
    e.configure(&["{rot13: {}}"]);
    e.lab
        .until("the mistake is told", async || {
            e.metric(&format!("{reloads}{{status=\"failure\"}}")).await
        })
        .await;
    e.lab.create(SECRETS, &secret("kept")).await;
    assert!(e.is_stored_with("kept", "k8s:enc:secretbox:v1:a:").await);
    assert_eq!(e.lab.get("/readyz").await.0, 200);
    assert!(
        e.metric("apiserver_storage_transformation_operations_total{resource=\"secrets\"")
            .await
    );

    // A server does not even start with it.
    let error = Server::start(&e.lab.parsed_flags()).await.err().unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("--encryption-provider-config: ") && text.contains("rot13"),
        "{text}"
    );
    e.configure(&[&keys]);
    std::fs::set_permissions(&e.file, PermissionsExt::from_mode(0o604)).unwrap();
    let error = Server::start(&e.lab.parsed_flags()).await.err().unwrap();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_encrypted_from_the_start() {
    let keys = provider("secretbox", &[("k", KEY_A)]);
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
         - {{resources: [events], providers: [{IDENTITY}]}}\n\
         - {{resources: ['*.*'], providers: [{keys}]}}\n"
    );
    let lab = Lab::start_with(|folder| {
        let file = folder.join("encryption.yaml");
        put(&file, &text);
        vec![format!("--encryption-provider-config={}", file.display())]
    });
    let mut lab = lab.await;
    let event = json!({"metadata": {"name": "e"}, "reason": "Test",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    let events = "/api/v1/namespaces/default/events";
    lab.create(events, &event).await;
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let services = "/api/v1/namespaces/default/services";
    let service = lab.create(services, &service).await;
    assert!(service["spec"]["clusterIP"].is_string());
    let definition = json!({"metadata": {"name": "toys.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    lab.create(definitions, &definition).await;
    let toys = "/apis/example.com/v1/namespaces/default/toys";
    let toy = json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "t"}});
    lab.until("toys are served", async || {
        lab.post(toys, &toy).await.0 == 201
    })
    .await;

    let mut etcd = lab.etcd_client().await;
    let prefix = etcd_client::GetOptions::new().with_prefix();
    let found = etcd.get("/registry/", Some(prefix)).await.unwrap();
    let plain: Vec<&str> = found
        .kvs()
        .iter()
        .filter(|pair| !pair.value().starts_with(b"k8s:enc:secretbox:v1:k:"))
        .map(|pair| pair.key_str().unwrap())
        .filter(|key| !key.starts_with("/registry/hardway/"))
        .collect();
    assert_eq!(plain, ["/registry/events/default/e"]);
    assert!(found.kvs().len() > 50);

    // And all of it is found again; claims of addresses are no objects.
    lab.serve().await;
    lab.until("the toy is there", async || {
        lab.get(&format!("{toys}/t")).await.0 == 200
    })
    .await;
    assert_eq!(lab.get(&format!("{services}/s")).await.0, 200);
    assert_eq!(lab.get(&format!("{events}/e")).await.0, 200);
}
