//! Manifests of 2016, unmodified, with a stock kubectl (that of `$KUBECTL`, or
//! else of `$PATH`).

use super::{NEW, daemon_set, deployment, ingress};
use crate::common::Lab;
use serde_json::{Value, json};
use std::process::Command;

/// A stock kubectl at a lab.
struct Kubectl<'a> {
    lab: &'a Lab,
    config: std::path::PathBuf,
}

impl<'a> Kubectl<'a> {
    fn new(lab: &'a Lab) -> Self {
        lab.kubeconfig();
        let config = lab.dir.path().join("admin.kubeconfig");
        Self { lab, config }
    }

    /// What a command says, on both channels.
    async fn run(&self, line: &str) -> (bool, String) {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(&self.config)
            .args(line.split_whitespace())
            .env("HOME", self.lab.dir.path())
            .current_dir(self.lab.dir.path());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().expect("kubectl is installed");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// The same for one that has to succeed.
    async fn ok(&self, line: &str) -> String {
        let (good, said) = self.run(line).await;
        assert!(good, "kubectl {line}: {said}");
        said
    }

    fn file(&self, name: &str, object: &Value) {
        std::fs::write(self.lab.dir.path().join(name), object.to_string()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_of_2016_apply_unmodified() {
    let lab = Lab::start().await;
    let kubectl = Kubectl::new(&lab);
    let warning = "Warning: extensions/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        deployment("listed"), daemon_set(), ingress(),
        {"apiVersion": "extensions/v1beta1", "kind": "ReplicaSet", "metadata": {"name": "set"},
            "spec": deployment("set")["spec"]},
        {"apiVersion": "extensions/v1beta1", "kind": "NetworkPolicy", "metadata": {"name": "shut"},
            "spec": {"podSelector": {}, "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}]}},
        {"apiVersion": "apps/v1beta1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {"serviceName": "db", "template": deployment("db")["spec"]["template"]}}]});
    kubectl.file("web.json", &deployment("web"));
    kubectl.file("list.json", &list);

    let said = kubectl.ok("create -f web.json").await;
    assert!(
        said.contains("deployment.extensions/web created") && said.contains(warning),
        "{said}"
    );
    assert!(
        kubectl
            .ok("replace -f web.json")
            .await
            .contains("deployment.extensions/web replaced")
    );
    let said = kubectl.ok("apply -f list.json").await;
    assert_eq!(said.matches("created").count(), 6, "{said}");
    let said = kubectl.ok("apply -f list.json").await;
    assert_eq!(said.matches("unchanged").count(), 6, "{said}");
    let said = kubectl
        .ok("apply --server-side --force-conflicts -f list.json")
        .await;
    assert_eq!(said.matches("serverside-applied").count(), 6, "{said}");

    // Edited through the present version, and applied again in the old one.
    kubectl.ok("scale deployment listed --replicas=3").await;
    kubectl
        .ok("set image deployment/listed web=nginx:1.10")
        .await;
    let mut edited = deployment("listed");
    edited["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.11");
    kubectl.file("edited.json", &edited);
    assert!(
        kubectl
            .ok("apply -f edited.json")
            .await
            .contains("listed configured")
    );
    let image = "-o jsonpath={.spec.replicas}:{.spec.template.spec.containers[0].image}";
    assert_eq!(
        kubectl.ok(&format!("get deployment listed {image}")).await,
        "3:nginx:1.11"
    );
    kubectl.file("diff.json", &edited);
    let (same, difference) = kubectl.run("diff -f diff.json").await;
    assert!(same, "{difference}");

    // Who names no version meets each object once, in the present one.
    let said = kubectl.ok("get deploy,ds,rs,sts,ing,netpol -o name").await;
    assert!(
        !said.contains("extensions") && !said.contains("Warning"),
        "{said}"
    );
    assert!(said.contains("deployment.apps/web") && said.contains("ingress.networking.k8s.io/web"));
    let said = kubectl.ok("get all -o name").await;
    assert_eq!(said.matches("/listed").count(), 1, "{said}");
    let said = kubectl.ok("api-resources").await;
    for name in [
        "deployments ",
        "daemonsets ",
        "ingresses ",
        "networkpolicies ",
        "cronjobs ",
    ] {
        assert_eq!(said.matches(name).count(), 1, "{name}: {said}");
    }
    assert!(
        kubectl
            .ok("api-versions")
            .await
            .contains("extensions/v1beta1")
    );
    let said = kubectl.ok("get deployments.v1beta1.extensions").await;
    assert!(
        said.contains("UP-TO-DATE") && said.contains("listed"),
        "{said}"
    );
    let said = kubectl.ok("get -f list.json").await;
    assert!(said.contains("ingress.extensions/web"), "{said}");
    let said = kubectl.ok("describe -f web.json").await;
    assert!(said.contains("nginx:1.9"), "{said}");

    let said = kubectl
        .ok("explain deployment.spec --api-version=extensions/v1beta1")
        .await;
    assert!(
        said.contains("rollbackTo") && said.contains("extensions"),
        "{said}"
    );
    let said = kubectl
        .ok("explain ingress.spec.backend --api-version=extensions/v1beta1")
        .await;
    assert!(said.contains("serviceName"), "{said}");
    let mut typo = deployment("typo");
    typo["spec"]["replica"] = json!(1);
    kubectl.file("typo.json", &typo);
    let (good, said) = kubectl.run("create -f typo.json").await;
    assert!(
        !good && said.contains("unknown field \"spec.replica\""),
        "{said}"
    );

    let said = kubectl.ok("rollout pause -f web.json").await;
    assert!(said.contains("paused"), "{said}");
    kubectl.ok("rollout resume -f web.json").await;
    kubectl.ok("rollout restart -f web.json").await;
    kubectl.ok("scale --replicas=2 -f web.json").await;
    kubectl.ok("label -f web.json a=b").await;
    kubectl.ok("annotate -f web.json a=b").await;
    kubectl.ok("set env -f web.json A=b").await;
    kubectl.ok("autoscale -f web.json --max=3").await;
    kubectl
        .ok("delete --wait=false -f web.json -f list.json")
        .await;
    assert_eq!(
        lab.get(NEW).await.1["items"].as_array().map(Vec::len),
        Some(0)
    );
}
