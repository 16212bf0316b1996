//! Tokens that a node asks for: bound to a pod that runs there, and for an
//! audience that the pod uses, as Kubernetes 1.33 has it
//! (ServiceAccountNodeAudienceRestriction).

use super::Attempt;
use crate::objects::{items, strings};
use crate::{Attributes, text};
use hardway_proto::references;
use serde_json::Value;

/// The verb by which RBAC lets nodes ask for other audiences, each a resource.
const VERB: &str = "request-serviceaccounts-token-audience";

impl Attempt<'_> {
    pub(super) fn token(&self, new: Option<&Value>) -> Result<(), String> {
        let reference = new.and_then(|new| new.pointer("/spec/boundObjectRef"));
        let is_pod = |r: &&Value| {
            text(r, "/apiVersion") == "v1"
                && text(r, "/kind") == "Pod"
                && !text(r, "/name").is_empty()
        };
        let Some(bound) = reference.filter(is_pod) else {
            return Err("node requested token not bound to a pod".into());
        };
        let (name, uid) = (text(bound, "/name"), text(bound, "/uid"));
        if uid.is_empty() {
            return Err("node requested token with a pod binding without a uid".into());
        }
        let pod = self
            .objects()
            .read("", "pods", self.review.namespace, name)
            .ok_or_else(|| format!("pod {name:?} not found"))?;
        let stored = text(&pod, "/metadata/uid");
        if stored != uid {
            return Err(format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ));
        }
        if text(&pod, "/spec/nodeName") != self.node {
            return Err("node requested token bound to a pod scheduled on a different node".into());
        }
        self.audience(new.unwrap_or(&Value::Null), &pod)
    }

    fn audience(&self, request: &Value, pod: &Value) -> Result<(), String> {
        let mut audiences = strings(request, "/spec/audiences");
        let audience = audiences.next().unwrap_or_default();
        if audiences.next().is_some() {
            return Err("node may only request 0 or 1 audiences".into());
        }
        if references::token_audiences(pod).any(|used| used == audience)
            || self.drivers(pod).any(|driver| self.asks(&driver, audience))
        {
            return Ok(());
        }
        let user = self.review.user;
        let (namespace, account) = (self.review.namespace, self.review.name);
        let asked = Attributes {
            version: "v1",
            ..Attributes::resource(user, VERB, "", audience, namespace, account)
        };
        match self.cx.authorizer.authorize(&asked).is_allowed() {
            true => Ok(()),
            false => Err(format!(
                "audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
                user.name
            )),
        }
    }

    /// The CSI drivers of a pod's volumes.
    fn drivers(&self, pod: &Value) -> impl Iterator<Item = String> {
        items(pod, "/spec/volumes").iter().filter_map(|volume| {
            let inline = text(volume, "/csi/driver");
            if !inline.is_empty() {
                return Some(inline.to_owned());
            }
            let claim = references::claim(pod, volume)?;
            let read = |resource, namespace, name: &str| {
                self.objects().read("", resource, namespace, name)
            };
            let claim = read("persistentvolumeclaims", self.review.namespace, &claim)?;
            let volume = read("persistentvolumes", "", text(&claim, "/spec/volumeName"))?;
            Some(text(&volume, "/spec/csi/driver").to_owned())
        })
    }

    /// Whether a CSI driver asks for tokens for an audience.
    fn asks(&self, driver: &str, audience: &str) -> bool {
        let driver = self
            .objects()
            .read("storage.k8s.io", "csidrivers", "", driver);
        driver.is_some_and(|driver| {
            items(&driver, "/spec/tokenRequests")
                .iter()
                .any(|request| text(request, "/audience") == audience)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Bench, review};
    use super::super::super::{Operation, Plugin};
    use super::super::NodeRestriction;
    use crate::User;
    use serde_json::{Value, json};

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.fake.put(
            "",
            "pods",
            json!({
            "metadata": {"name": "p", "namespace": "shop", "uid": "u"},
            "spec": {"nodeName": "n1", "volumes": [
                {"name": "t", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"serviceAccountToken": {"path": "v", "audience": "vault"}}]}},
                {"name": "c", "csi": {"driver": "inline.csi"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}),
        );
        for driver in ["inline", "bound", "other"] {
            bench.fake.put(
                "storage.k8s.io",
                "csidrivers",
                json!({
                "metadata": {"name": format!("{driver}.csi")},
                "spec": {"tokenRequests": [{"audience": format!("of-{driver}")}]}}),
            );
        }
        bench.fake.put(
            "",
            "persistentvolumeclaims",
            json!({
            "metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv"}}),
        );
        bench.fake.put(
            "",
            "persistentvolumes",
            json!({
            "metadata": {"name": "pv"}, "spec": {"csi": {"driver": "bound.csi"}}}),
        );
        bench
    }

    fn ask(bench: &Bench, node: &str, spec: Value) -> Result<(), String> {
        let user = User::new(format!("system:node:{node}"), ["system:nodes"]);
        let resource = "serviceaccounts/token";
        let review = review(&user, Operation::Create, "", resource, "shop", "web");
        let request = json!({"metadata": {"namespace": "shop"}, "spec": spec});
        NodeRestriction
            .validate(&bench.admission.context, &review, Some(&request), None)
            .map_err(|status| status.message)
    }

    fn bound(uid: &str, audiences: Value) -> Value {
        json!({"audiences": audiences,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}})
    }

    #[test]
    fn tokens_are_for_pods_on_the_node() {
        let bench = bench();
        let ends = |node, spec, with: &str| {
            let refused = ask(&bench, node, spec).unwrap_err();
            assert!(refused.ends_with(with), "{refused}");
        };
        ends("n1", json!({}), "node requested token not bound to a pod");
        ends("n1", bound("", json!([])), "without a uid");
        ends("n1", bound("v", json!([])), "deleted and then recreated");
        ends("n2", bound("u", json!([])), "on a different node");
        assert_eq!(ask(&bench, "n1", bound("u", json!([]))), Ok(()));
    }

    #[test]
    fn tokens_are_for_audiences_the_pod_uses() {
        let bench = bench();
        let ask = |audiences| ask(&bench, "n1", bound("u", audiences));
        for used in ["vault", "of-inline", "of-bound"] {
            assert_eq!(ask(json!([used])), Ok(()), "{used}");
        }
        assert!(
            ask(json!(["of-other"]))
                .unwrap_err()
                .ends_with("audience \"of-other\" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience")
        );
        assert!(
            ask(json!(["vault", "of-inline"]))
                .unwrap_err()
                .ends_with("node may only request 0 or 1 audiences")
        );
        let group = crate::authz::rbac::GROUP;
        bench.fake.put(
            group,
            "clusterroles",
            json!({"metadata": {"name": "r"}, "rules": [
            {"verbs": [super::VERB], "apiGroups": [""], "resources": ["registry"]}]}),
        );
        bench.fake.put(
            group,
            "clusterrolebindings",
            json!({"metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "Group", "name": "system:nodes"}]}),
        );
        assert_eq!(ask(json!(["registry"])), Ok(()));
    }
}
