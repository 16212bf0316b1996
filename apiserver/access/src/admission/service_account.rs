//! ServiceAccount: every pod runs as a service account, gets its pull secrets
//! and, unless told otherwise, a token.

use super::{Context, Plugin, Review, array_at};
use crate::objects::{is_mirror, items};
use crate::text;
use hardway_proto::references::{self, Referent};
use hardway_proto::{Status, names};
use serde_json::{Value, json};
use std::sync::Arc;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The seven seconds tell this token from those that users ask for.
const TOKEN_SECONDS: i64 = 3607;

/// The plugin.
pub struct ServiceAccount;

impl Plugin for ServiceAccount {
    fn mutate(&self, cx: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if !review.creates("", "pods") || is_mirror(pod) {
            return Ok(());
        }
        if text(pod, "/spec/serviceAccountName").is_empty() {
            pod["spec"]["serviceAccountName"] = json!("default");
        }
        pod["spec"]["serviceAccount"] = pod["spec"]["serviceAccountName"].clone();
        let account = account(cx, review, pod)?;
        if wants_token(&account, pod) {
            mount_token(pod);
        }
        if items(pod, "/spec/imagePullSecrets").is_empty()
            && let [_, ..] = items(&account, "/imagePullSecrets")
        {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        Ok(())
    }

    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        let Some(pod) = new.filter(|_| review.creates("", "pods")) else {
            return Ok(());
        };
        if !is_mirror(pod) {
            return account(cx, review, pod).map(drop);
        }
        if !text(pod, "/spec/serviceAccountName").is_empty() {
            return Err(review.forbid(new, "a mirror pod may not reference service accounts"));
        }
        if !references::names(pod, Referent::Secret).is_empty() {
            return Err(review.forbid(new, "a mirror pod may not reference secrets"));
        }
        if references::token_audiences(pod).next().is_some() {
            let why = "a mirror pod may not use ServiceAccountToken volume projections";
            return Err(review.forbid(new, why));
        }
        Ok(())
    }
}

fn account(cx: &Context, review: &Review, pod: &Value) -> Result<Arc<Value>, Status> {
    let name = text(pod, "/spec/serviceAccountName");
    let namespace = review.namespace;
    cx.objects.read("", "serviceaccounts", namespace, name).ok_or_else(|| {
        review.forbid(
            Some(pod),
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"),
        )
    })
}

/// The pod's own wish counts before the account's; the default is yes.
fn wants_token(account: &Value, pod: &Value) -> bool {
    [
        pod.pointer("/spec/automountServiceAccountToken"),
        account.get("automountServiceAccountToken"),
    ]
    .into_iter()
    .flatten()
    .find_map(Value::as_bool)
    .unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let existing = items(pod, "/spec/volumes")
        .iter()
        .map(|volume| text(volume, "/name"))
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", names::random_suffix(5)));
    let mut is_mounted = false;
    for list in ["initContainers", "containers"] {
        for container in pod["spec"]
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let has_own = items(container, "/volumeMounts")
                .iter()
                .any(|mount| text(mount, "/mountPath") == MOUNT_PATH);
            if !has_own {
                is_mounted = true;
                array_at(container, "volumeMounts").push(json!({
                    "name": name, "readOnly": true, "mountPath": MOUNT_PATH,
                }));
            }
        }
    }
    if is_mounted && is_new {
        array_at(&mut pod["spec"], "volumes").push(token_volume(&name));
    }
}

fn token_volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }},
                {"downwardAPI": {"items": [{
                    "path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                }]}},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use super::*;

    #[test]
    fn pods_get_account_and_token() {
        let bench = Bench::new();
        let stored = bench.create("", "pods", pod("p")).unwrap();
        assert_eq!(stored["spec"]["serviceAccountName"], "default");
        let mount = &stored["spec"]["containers"][0]["volumeMounts"][0];
        assert_eq!(mount["mountPath"], MOUNT_PATH);
        assert_eq!(mount["readOnly"], true);
        let volume = &stored["spec"]["volumes"][0];
        assert_eq!(volume["name"], mount["name"]);
        assert_eq!(
            volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"],
            3607
        );
    }

    #[test]
    fn unless_they_or_the_account_say_no() {
        let bench = Bench::new();
        bench.fake.put(
            "",
            "serviceaccounts",
            json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "pull"}]}),
        );
        let mut wanted = pod("p");
        wanted["spec"]["serviceAccountName"] = json!("web");
        let stored = bench.create("", "pods", wanted.clone()).unwrap();
        assert_eq!(stored["spec"].get("volumes"), None);
        assert_eq!(stored["spec"]["imagePullSecrets"][0]["name"], "pull");
        wanted["spec"]["automountServiceAccountToken"] = json!(true);
        assert!(bench.create("", "pods", wanted).unwrap()["spec"]["volumes"].is_array());
    }

    #[test]
    fn the_account_must_exist() {
        let mut lost = pod("p");
        lost["spec"]["serviceAccountName"] = json!("nobody");
        assert_eq!(
            Bench::new().create("", "pods", lost).unwrap_err().message,
            r#"pods "p" is forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found"#
        );
    }
}
