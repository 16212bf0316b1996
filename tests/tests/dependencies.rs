//! Which part may know which other. The graph is checked in, so
//! that a new line in it is a decision and not an accident.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crates through which something outside is reached, and who alone may have them.
const GUARDED: &[(&str, &[&str])] = &[
    // The load tool asks what etcd alone can do.
    ("etcd-client", &["hardway-apiserver", "hardway-load"]),
    ("rtnetlink", &["hardway-flannel-lite", "hardway-proxy"]),
    ("nftables", &["hardway-flannel-lite", "hardway-proxy"]),
    (
        "netlink-packet-route",
        &["hardway-flannel-lite", "hardway-proxy"],
    ),
    ("netlink-sys", &["hardway-flannel-lite", "hardway-proxy"]),
];

/// Dependencies by package, those of tests left out.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the tests are a folder of the repository")
        .to_owned()
}

fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(repository())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let needs = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    packages
        .iter()
        .map(|package| (text(&package["name"]), needs(package)))
        .collect()
}

fn ours(name: &str) -> bool {
    name.starts_with("hardway-")
}

#[test]
fn the_graph_is_the_one_checked_in() {
    let mut told = String::new();
    for (package, needs) in graph() {
        let needs: Vec<&str> = needs
            .iter()
            .map(String::as_str)
            .filter(|name| ours(name))
            .collect();
        told += format!("{package}: {}", needs.join(" ")).trim_end();
        told.push('\n');
    }
    let file = repository().join("tests/dependencies.txt");
    let checked_in = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        told,
        checked_in,
        "the graph has changed; if that is meant, change {} too",
        file.display()
    );
}

#[test]
fn every_part_knows_only_what_it_may() {
    // Who signs service account tokens.
    let signers = ["hardway-access", "hardway-controller-manager"];
    let inner = ["cel", "resources", "patch", "access", "fairness", "streams"];
    let inner = inner.map(|name| format!("hardway-{name}"));
    for (package, needs) in graph() {
        let of_ours = needs.iter().filter(|name| ours(name));
        let may = |name: &str| match package.as_str() {
            signer if name == "hardway-tokens" => signers.contains(&signer),
            "hardway-proto" | "hardway-tokens" => false,
            "hardway-deploy" | "hardway-images" | "hardway-tests" => false,
            // What is fuzzed.
            "hardway-fuzz" => true,
            "hardway-client" => name == "hardway-proto",
            "hardway-apiserver" => {
                ["hardway-proto", "hardway-client"].contains(&name)
                    || inner.iter().any(|i| i == name)
            }
            // Parts of the apiserver are pure: they don't even know the client.
            _ if inner.contains(&package) => {
                name == "hardway-proto" || inner.iter().any(|i| i == name)
            }
            // It serves the webhooks that it measures.
            "hardway-load" => name == "hardway-webhook-server",
            // It shows what is wrong, by the engine that says it in a terminal.
            "hardway-dashboard" => ["hardway-client", "hardway-why"].contains(&name),
            _ => ["hardway-proto", "hardway-client"].contains(&name),
        };
        for name in of_ours {
            assert!(may(name), "{package} must not depend on {name}");
        }
    }
}

#[test]
fn what_is_outside_is_reached_through_one_part() {
    for (package, needs) in graph() {
        for (guarded, allowed) in GUARDED {
            assert!(
                !needs.contains(*guarded) || allowed.contains(&package.as_str()),
                "{package} must not depend on {guarded}: only {} may",
                allowed.join(" and ")
            );
        }
    }
}

#[test]
fn only_the_kubelet_speaks_cri() {
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(".proto") {
                let text = std::fs::read_to_string(&path).unwrap();
                let cri = text.contains("package runtime.v1");
                let place = path.strip_prefix(repository()).unwrap();
                assert!(
                    !cri || place.starts_with("kubelet"),
                    "{} speaks CRI",
                    path.display()
                );
            }
        }
    }
}
