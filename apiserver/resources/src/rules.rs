//! What a kind decides for itself: pure functions over its JSON.

pub mod field;
pub mod flow_control;
pub mod json;
pub mod labels;
pub mod meta;
pub mod pod;
pub mod template;

mod access;
mod addresses;
mod api_service;
mod autoscaling;
mod batch;
mod client_config;
mod config;
pub mod conversions;
pub(crate) mod definition;
mod endpoints;
mod event;
mod extension;
mod key_pair;
mod kind;
mod kinds;
mod limits;
mod namespace;
mod networking;
mod node;
mod node_labels;
mod service;
mod signing_request;
mod status;
mod storage;
mod volume_source;
mod workloads;

pub use hardway_cel::Findings;
pub use kinds::for_row;

use hardway_proto::status::Cause;
use serde_json::Value;

/// What a field's value breaks; becomes one cause of an `Invalid` Status.
/// Messages follow `k8s.io/apimachinery/pkg/util/validation/field`.
pub type FieldErrors = Vec<Cause>;

/// A kind's own rules. Every method has a default that suits a kind without
/// any (no defaults, nothing to validate, no status).
///
/// Metadata is handled once for all kinds by the pipeline (name, uid,
/// timestamps, generation, finalizers, managedFields) and never here.
pub trait KindRules: Send + Sync {
    /// What is wrong with a name of this kind, as [`meta::validate`] asks it.
    fn validate_name(&self, name: &str) -> Vec<String> {
        hardway_proto::names::is_dns1123_subdomain(name)
    }

    /// Whether objects may have finalizers of any qualified name. Elsewhere a name that
    /// names no domain must be one of those that Kubernetes itself has.
    fn takes_any_finalizer(&self) -> bool {
        false
    }

    /// Fills in what Kubernetes defaults. Idempotent. Called on every write
    /// (create, update, patch), after decoding and before admission.
    fn default(&self, _object: &mut Value) {}

    /// Fills in what has a default now and had none when the object was stored; tells
    /// whether there was something. Called for each object that is read from etcd.
    fn default_stored(&self, _object: &mut Value) -> bool {
        false
    }

    /// Before a create: drop what a client may not set (status).
    fn prepare_create(&self, object: &mut Value) {
        if self.has_status() {
            json::remove(object, "status");
        }
    }

    /// What a new object takes from itself when nobody changes it any more: called once,
    /// before it is checked.
    fn complete_create(&self, _object: &mut Value) {}

    /// Before an update of the main resource: carry over what it may not
    /// change (status, allocated fields such as clusterIP).
    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.has_status() {
            crate::rules::carry_over(new, old, "status");
        }
    }

    /// Before an update of the status subresource: carry over all but status.
    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        crate::rules::carry_over(new, old, "spec");
    }

    /// Before an object that isn't being deleted yet is: adds what holds it, at this time.
    fn prepare_delete(&self, _object: &mut Value, _now: &str) {}

    /// Whether the kind has a status that the main resource can't write.
    fn has_status(&self) -> bool {
        false
    }

    /// Whether `metadata.generation` counts changes of this kind.
    fn has_generation(&self) -> bool {
        self.has_status()
    }

    /// Fields of metadata whose changes are counted as well.
    fn counted_metadata(&self) -> &'static [&'static str] {
        &[]
    }

    /// What is wrong with an object about to be created.
    fn validate(&self, _object: &Value) -> FieldErrors {
        FieldErrors::new()
    }

    /// What is wrong with an object that has an earlier version, whose faults may stay;
    /// called in place of `validate`.
    fn validate_again(&self, new: &Value, _old: &Value) -> FieldErrors {
        self.validate(new)
    }

    /// What is wrong with a change; called in addition to `validate_again`.
    fn validate_update(&self, _new: &Value, _old: &Value) -> FieldErrors {
        FieldErrors::new()
    }

    /// What is wrong with an object that is about to replace another, and with the
    /// change: both of the above. Warnings are about what was so before.
    fn validate_changed(&self, new: &Value, old: &Value) -> Findings {
        let mut causes = self.validate_again(new, old);
        causes.extend(self.validate_update(new, old));
        causes.into()
    }

    /// What is wrong with a change of status.
    fn validate_status_update(&self, _new: &Value, _old: &Value) -> Findings {
        Findings::default()
    }

    /// Headers of the `Warning:` kind that a write earns.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Names of the fields that objects can be selected by, besides `metadata.name`
    /// and `metadata.namespace`, e.g. `spec.nodeName`.
    fn selectable_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// What an object has in these fields, in the order of their names.
    fn selectable_values(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Whether one of them can be selected by in a version.
    fn is_selectable(&self, _version: &str, name: &str) -> bool {
        self.selectable_names().iter().any(|known| known == name)
    }

    /// The field that another label stands for, or one that clients may name though no
    /// object has anything there.
    fn label_alias(&self, _label: &str) -> Option<&'static str> {
        None
    }

    /// What a client is told that selects by a label which this kind doesn't have.
    fn unknown_label(&self, label: &str) -> String {
        format!("field label not supported: {label}")
    }

    /// Grace period in seconds when the client names none; `None` if objects
    /// of this kind go at once.
    fn default_grace_period(&self, _object: &Value) -> Option<i64> {
        None
    }
}

/// Replaces a top-level field of `new` by what `old` has there.
pub fn carry_over(new: &mut Value, old: &Value, field: &str) {
    let Some(map) = new.as_object_mut() else {
        return;
    };
    match old.get(field) {
        // Mostly it is what it was: to see that is cheaper than a copy.
        Some(value) if map.get(field) == Some(value) => {}
        Some(value) => {
            map.insert(field.to_owned(), value.clone());
        }
        None => {
            map.remove(field);
        }
    }
}
