//! What a pod's spec leaves out.

use super::super::json::{
    default_number, default_text, ensure_object, flag, has, int, list_mut, object_mut, set,
    set_default, text,
};
use super::super::volume_source;
use super::resources;
use serde_json::{Value, json};

/// Fills in a pod's spec, in a pod or in a template.
pub fn default_spec(spec: &mut Value) {
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "restartPolicy", "Always");
    default_text(spec, "schedulerName", "default-scheduler");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|n| n < 0) {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
    set_default(spec, "securityContext", json!({}));
    service_account(spec);
    for field in ["containers", "initContainers"] {
        list_mut(spec, field).for_each(container);
    }
    list_mut(spec, "ephemeralContainers").for_each(container);
    list_mut(spec, "volumes").for_each(volume);
    resources::canonical_map(spec, "overhead");
}

/// The deprecated `serviceAccount` mirrors `serviceAccountName`.
fn service_account(spec: &mut Value) {
    let (name, old) = (
        text(spec, "serviceAccountName"),
        text(spec, "serviceAccount"),
    );
    let name = if name.is_empty() { old } else { name }.to_owned();
    if !name.is_empty() {
        set(spec, "serviceAccount", name.clone());
        set(spec, "serviceAccountName", name);
    }
}

/// On the host's network a container's port is the host's; in templates that is left to
/// the pods made of them.
pub fn host_ports(spec: &mut Value) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for field in ["containers", "initContainers"] {
        for container in list_mut(spec, field) {
            for port in list_mut(container, "ports") {
                let number = int(port, "containerPort").unwrap_or_default();
                default_number(port, "hostPort", number);
            }
        }
    }
}

fn container(container: &mut Value) {
    let image = text(container, "image");
    let policy = if is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    default_text(container, "imagePullPolicy", policy);
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    for port in list_mut(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for variable in list_mut(container, "env") {
        if let Some(reference) =
            object_mut(variable, "valueFrom").and_then(|v| object_mut(v, "fieldRef"))
        {
            default_text(reference, "apiVersion", "v1");
        }
        resource_divisor(object_mut(variable, "valueFrom"));
    }
    if let Some(resources) = object_mut(container, "resources") {
        resources::canonical_map(resources, "limits");
        resources::canonical_map(resources, "requests");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_mut(container, name) {
            default_number(probe, "timeoutSeconds", 1);
            default_number(probe, "periodSeconds", 10);
            default_number(probe, "successThreshold", 1);
            default_number(probe, "failureThreshold", 3);
            handler(probe);
            if let Some(grpc) = object_mut(probe, "grpc") {
                set_default(grpc, "service", "");
            }
        }
    }
    if let Some(lifecycle) = object_mut(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_mut(lifecycle, hook) {
                handler(hook);
            }
        }
    }
}

fn resource_divisor(source: Option<&mut Value>) {
    if let Some(reference) = source.and_then(|v| object_mut(v, "resourceFieldRef")) {
        default_text(reference, "divisor", "0");
    }
}

fn handler(handler: &mut Value) {
    if let Some(get) = object_mut(handler, "httpGet") {
        default_text(get, "path", "/");
        default_text(get, "scheme", "HTTP");
    }
}

/// Whether an image's tag is `latest`, said or implied.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    // A colon in the host part is a port, not a tag.
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

/// A volume without a type is an empty directory.
fn volume(volume: &mut Value) {
    let typed = volume
        .as_object()
        .is_some_and(|map| map.iter().any(|(k, v)| k != "name" && !v.is_null()));
    if !typed {
        set(volume, "emptyDir", json!({}));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object_mut(volume, name) {
            set_default(source, "defaultMode", 0o644);
            items(source);
        }
    }
    for (kind, source) in volume.as_object_mut().into_iter().flatten() {
        volume_source::default(kind, source);
    }
    if let Some(source) = object_mut(volume, "projected") {
        for part in list_mut(source, "sources") {
            if let Some(token) = object_mut(part, "serviceAccountToken") {
                set_default(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = object_mut(part, "downwardAPI") {
                items(downward);
            }
        }
    }
    if let Some(image) = object_mut(volume, "image") {
        let policy = if is_latest(text(image, "reference")) {
            "Always"
        } else {
            "IfNotPresent"
        };
        default_text(image, "pullPolicy", policy);
    }
    if has(volume, "ephemeral")
        && let Some(template) =
            object_mut(volume, "ephemeral").and_then(|v| object_mut(v, "volumeClaimTemplate"))
        && let Some(spec) = ensure_object(template, "spec")
    {
        set_default(spec, "volumeMode", "Filesystem");
    }
}

fn items(source: &mut Value) {
    for item in list_mut(source, "items") {
        if let Some(reference) = object_mut(item, "fieldRef") {
            default_text(reference, "apiVersion", "v1");
        }
        resource_divisor(Some(item));
    }
}
