//! DefaultIngressClass: an ingress that names no class gets the default one.

use super::{Context, Plugin, Review, newest_default};
use hardway_proto::Status;
use serde_json::Value;

const ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// The plugin.
pub struct DefaultIngressClass;

impl Plugin for DefaultIngressClass {
    fn mutate(&self, cx: &Context, review: &Review, ingress: &mut Value) -> Result<(), Status> {
        if !review.creates("networking.k8s.io", "ingresses") {
            return Ok(());
        }
        let old = "/metadata/annotations/kubernetes.io~1ingress.class";
        let named = ingress
            .pointer("/spec/ingressClassName")
            .is_some_and(Value::is_string);
        if named || ingress.pointer(old).is_some() {
            return Ok(());
        }
        let classes = cx
            .objects
            .read_all("networking.k8s.io", "ingressclasses", None);
        if let Some(class) = newest_default(classes, ANNOTATION) {
            ingress["spec"]["ingressClassName"] = class["metadata"]["name"].clone();
        }
        Ok(())
    }
}
