//! Namespaces.

use super::field::{Errors, Path};
use super::json::{ensure_object, get, list, set, text};
use super::kind::{Kind, PLAIN};
use super::meta::STANDARD_FINALIZERS;
use super::status;
use hardway_proto::names;
use serde_json::{Value, json};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Every namespace wears its name as a label, so that selectors can name it.
fn default_label(namespace: &mut Value) {
    let Some(meta) = ensure_object(namespace, "metadata") else {
        return;
    };
    let name = text(meta, "name").to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = ensure_object(meta, "labels") {
        set(labels, NAME_LABEL, name);
    }
}

pub(super) const NAMESPACE: Kind = Kind {
    name: names::is_dns1123_label,
    status: r#"{"phase":"Active"}"#,
    default: default_label,
    prepare_create: |namespace| {
        // A name generated after defaulting is known only now.
        default_label(namespace);
        if let Some(spec) = ensure_object(namespace, "spec") {
            let mut finalizers = list(spec, "finalizers").to_vec();
            if !finalizers.iter().any(|f| f == "kubernetes") {
                finalizers.push(json!("kubernetes"));
            }
            set(spec, "finalizers", finalizers);
        }
    },
    // Finalizers are taken away through the finalize subresource only.
    prepare_update: |new, old| super::carry_over(new, old, "spec"),
    validate: |namespace| {
        Errors::collect(|e| {
            let path = Path::new("spec.finalizers");
            for finalizer in list(get(namespace, "spec"), "finalizers") {
                let name = finalizer.as_str().unwrap_or_default();
                e.each(&path, name, names::is_qualified_name(name));
                if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
                    e.invalid(
                        &path,
                        name,
                        "name is neither a standard finalizer name nor is it fully qualified",
                    );
                }
            }
        })
    },
    fields: |namespace| {
        let phase = text(get(namespace, "status"), "phase").to_owned();
        vec![("status.phase", phase)]
    },
    validate_status: status::namespace,
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    #[test]
    fn a_new_namespace() {
        let mut ns = json!({"metadata": {"name": "a"}});
        NAMESPACE.default(&mut ns);
        KindRules::prepare_create(&NAMESPACE, &mut ns);
        assert_eq!(
            ns,
            json!({
                "metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            })
        );
    }
}
