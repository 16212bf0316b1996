//! CSI drivers, what nodes know of them, and volumes that they attach, as
//! `pkg/apis/storage/validation` checks them.

use super::super::field::{Errors, Path};
use super::super::json::{ensure_object, get, has, int, is_empty, list, set, set_default, text};
use super::super::kind::{Kind, PLAIN, WITH_STATUS};
use super::super::volume_source::driver_name;
use hardway_proto::names;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Longest identifier of a node, in bytes.
const LONGEST_ID: usize = 256;

pub const CSI_DRIVER: Kind = Kind {
    generation: true,
    default: |driver| {
        if let Some(spec) = ensure_object(driver, "spec") {
            set_default(spec, "attachRequired", true);
            set_default(spec, "podInfoOnMount", false);
            set_default(spec, "storageCapacity", false);
            set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            if is_empty(get(spec, "volumeLifecycleModes")) {
                set(spec, "volumeLifecycleModes", vec!["Persistent"]);
            }
            set_default(spec, "requiresRepublish", false);
            set_default(spec, "seLinuxMount", false);
        }
    },
    validate: |driver| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(driver, "spec"));
            e.one_of_if_set(
                &path.child("fsGroupPolicy"),
                get(spec, "fsGroupPolicy"),
                &["File", "None", "ReadWriteOnceWithFSType"],
            );
            check_tokens(e, &path.child("tokenRequests"), list(spec, "tokenRequests"));
            for mode in list(spec, "volumeLifecycleModes") {
                e.one_of_if_set(
                    &path.child("volumeLifecycleModes"),
                    mode,
                    &["Persistent", "Ephemeral"],
                );
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            // Kubernetes names the first so.
            for (field, named) in [
                ("attachRequired", "attachedRequired"),
                ("volumeLifecycleModes", "volumeLifecycleModes"),
            ] {
                let path = Path::new("spec").child(named);
                e.immutable(
                    &path,
                    get(get(new, "spec"), field),
                    get(get(old, "spec"), field),
                );
            }
        })
    },
    ..PLAIN
};

fn check_tokens(e: &mut Errors, path: &Path, requests: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, request) in requests.iter().enumerate() {
        let path = path.index(i);
        let audience = text(request, "audience");
        if !seen.insert(audience) {
            e.duplicate(&path.child("audience"), audience);
            continue;
        }
        let at = path.child("expirationSeconds");
        match int(request, "expirationSeconds") {
            Some(n) if n < 600 => {
                e.invalid(&at, n, "may not specify a duration less than 10 minutes");
            }
            Some(n) if n > 1 << 32 => {
                let detail = "may not specify a duration larger than 2^32 seconds";
                e.invalid(&at, n, detail);
            }
            _ => {}
        }
    }
}

pub const CSI_NODE: Kind = Kind {
    validate: |node| {
        Errors::collect(|e| {
            let mut seen = BTreeSet::new();
            for (i, driver) in list(get(node, "spec"), "drivers").iter().enumerate() {
                let path = Path::new("spec.drivers").index(i);
                check_driver(e, &path, driver);
                let name = text(driver, "name");
                if !seen.insert(name) {
                    e.duplicate(&path.child("name"), name);
                }
                check_topology(e, &path, get(driver, "topologyKeys"));
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            // Of several of a name the first counts.
            let now = list(get(new, "spec"), "drivers").iter().rev();
            let now: BTreeMap<&str, &Value> =
                now.map(|driver| (text(driver, "name"), driver)).collect();
            for before in list(get(old, "spec"), "drivers") {
                let same = now.get(text(before, "name"));
                if let Some(driver) = same.filter(|driver| **driver != before) {
                    e.invalid(&Path::new("CSINodeDriver"), *driver, "field is immutable");
                }
            }
        })
    },
    ..PLAIN
};

fn check_driver(e: &mut Errors, path: &Path, driver: &Value) {
    driver_name(e, &path.child("name"), text(driver, "name"));
    let at = path.child("nodeID");
    match text(driver, "nodeID") {
        "" => e.required(&at, ""),
        id if id.len() > LONGEST_ID => {
            let detail = format!("must be {LONGEST_ID} characters or less");
            e.invalid(&at, id, &detail);
        }
        _ => {}
    }
    e.non_negative(
        &path.child("allocatable.count"),
        int(get(driver, "allocatable"), "count"),
    );
}

fn check_topology(e: &mut Errors, path: &Path, keys: &Value) {
    let mut seen = BTreeSet::new();
    let mut told = false;
    for key in keys.as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        if key.is_empty() {
            e.required(path, "");
        }
        if !seen.insert(key) {
            e.duplicate(path, key);
        }
        // All keys are shown; so the first that is none is told of.
        let problems = names::is_qualified_name(key);
        for problem in problems.iter().filter(|_| !told) {
            e.invalid(path, keys, problem);
        }
        told |= !problems.is_empty();
    }
}

pub const ATTACHMENT: Kind = Kind {
    status: r#"{"attached":false}"#,
    generation: false,
    validate: |attachment| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(attachment, "spec"));
            let attacher = text(spec, "attacher");
            if attacher.is_empty() {
                e.required(&path.child("attacher"), "");
            }
            check_attached(e, &path.child("source"), get(spec, "source"));
            let node = text(spec, "nodeName");
            let problems = names::is_dns1123_subdomain(node);
            e.each(&path.child("nodeName"), node, problems);
            driver_name(e, &path.child("attacher"), attacher);
            let source = get(spec, "source");
            if has(source, "persistentVolumeName") {
                let name = text(source, "persistentVolumeName");
                let problems = names::is_dns1123_subdomain(name);
                e.each(&path.child("source.persistentVolumeName"), name, problems);
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            e.immutable(&Path::new("spec"), get(new, "spec"), get(old, "spec"));
        })
    },
    ..WITH_STATUS
};

fn check_attached(e: &mut Errors, path: &Path, source: &Value) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let named = has(source, "persistentVolumeName");
    match (named, has(source, "inlineVolumeSpec")) {
        (false, false) => e.required(path, ONE),
        (true, true) => e.forbidden(path, ONE),
        (true, false) if text(source, "persistentVolumeName").is_empty() => e.required(
            &path.child("persistentVolumeName"),
            "must specify non empty persistentVolumeName",
        ),
        _ => {}
    }
}
