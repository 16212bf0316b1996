//! The example operator (`deploy/examples/operator`), as who reads its README comes to know
//! it; and what becomes of a change while it and the apiserver are killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hardway_tests::kubectl::{Kubectl, Output, finish};
use hardway_tests::{Lab, defer, page, until, wait, within};

/// How a command of the README ends.
enum Ends {
    /// It prints this.
    Well(&'static str),
    /// It is refused in these words.
    Refused(&'static str),
}
use Ends::{Refused, Well};

/// The README's commands, each with what it must say.
const WALK: &[(&str, Ends)] = &[
    (
        "cargo hardway image website-operator",
        Well("hardway.example/website-operator:1: "),
    ),
    (
        "kubectl apply -k manifests",
        Well("customresourcedefinition.apiextensions.k8s.io/websites.hardway.example created\n"),
    ),
    (
        "kubectl -n website-operator rollout status deployment website-operator",
        Well("successfully rolled out\n"),
    ),
    (
        "kubectl apply -f samples",
        Well(
            "Warning: hardway.example/v1alpha1 Website is deprecated; use hardway.example/v1 Website\n",
        ),
    ),
    (
        "kubectl wait websites --all --for=condition=Available",
        Well("website.hardway.example/shop condition met\n"),
    ),
    (
        "kubectl get websites -o wide",
        Well("http://shop.default.svc:80/"),
    ),
    (
        "kubectl get --raw /api/v1/namespaces/default/services/shop:http/proxy/bread.html",
        Well("<h1>Bread</h1>\n"),
    ),
    (
        "kubectl get websites.v1.hardway.example blog -o yaml",
        Well("apiVersion: hardway.example/v1\n"),
    ),
    (
        "kubectl get websites.v1alpha1.hardway.example shop -o yaml",
        Well("\n  exposed: false\n"),
    ),
    (
        "kubectl get website shop -o jsonpath='{.spec.pages[*].name}'",
        Well("bread.html cheese.html index.html"),
    ),
    (
        "kubectl patch website shop --type merge -p '{\"spec\":{\"service\":{\"port\":81}}}'",
        Refused("others have the port written down: it stays 80"),
    ),
    (
        "kubectl annotate website shop hardway.example/protected=true",
        Well("website.hardway.example/shop annotated\n"),
    ),
    (
        "kubectl delete website shop",
        Refused(
            "admission webhook \"websites.hardway.example\" denied the request: Website default/shop is protected: remove the annotation hardway.example/protected",
        ),
    ),
    (
        "kubectl annotate website shop hardway.example/protected-",
        Well("website.hardway.example/shop annotated\n"),
    ),
    (
        "kubectl scale website shop --replicas=3",
        Well("website.hardway.example/shop scaled\n"),
    ),
    (
        "kubectl wait website shop --for=jsonpath='{.status.readyReplicas}'=3",
        Well("website.hardway.example/shop condition met\n"),
    ),
    (
        "kubectl get websites --field-selector spec.service.type=NodePort -o name",
        Well("website.hardway.example/blog\n"),
    ),
    ("kubectl describe website shop", Well("AllServersReady")),
    (
        "kubectl -n website-operator get configmap directory -o jsonpath='{.data}'",
        Well("\"default.blog\":\"http://blog.default.svc:80/\""),
    ),
    (
        "kubectl delete website blog",
        Well("website.hardway.example \"blog\" deleted\n"),
    ),
    (
        "kubectl delete websites --all --all-namespaces",
        Well("website.hardway.example \"shop\" deleted\n"),
    ),
    (
        "kubectl delete -k manifests --ignore-not-found",
        Well(
            "customresourcedefinition.apiextensions.k8s.io \"websites.hardway.example\" deleted\n",
        ),
    ),
];
/// After this one come the kills.
const LAST_BEFORE_KILLS: &str = "kubectl delete website blog";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/operator")
}

#[test]
fn the_readme_has_these_commands() {
    let blocks = page::read("deploy/examples/operator/README.md");
    let said: Vec<&str> = blocks
        .iter()
        .flat_map(|block| block.script.lines())
        .collect();
    let walk: Vec<&str> = WALK.iter().map(|(command, _)| *command).collect();
    assert_eq!(said, walk);
}

/// Does what a line of the README says, in its folder.
fn say(lab: &Lab, line: &str) -> Output {
    if let Some(line) = line.strip_prefix("cargo hardway ") {
        return lab.try_tool(line);
    }
    let line = line.strip_prefix("kubectl ").expect("a command of kubectl");
    let (program, arguments) = Kubectl::stock().command(line);
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(arguments);
    finish(command.current_dir(folder()), "")
}

#[track_caller]
fn walk(lab: &Lab, (line, ends): &(&str, Ends)) {
    let output = say(lab, line);
    let (success, words) = match ends {
        Well(words) => (true, words),
        Refused(words) => (false, words),
    };
    let said = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.success, success, "{line}\n{said}");
    assert!(said.contains(words), "{line}\n{said}\nlacks {words:?}");
}

/// A change that is made while nobody can make it so is made so when they are back.
fn a_change_outlives_who_should_make_it(kubectl: &Kubectl, lab: &Lab) {
    let page = r#"{"spec":{"pages":[{"name":"index.html","content":"closed"}]}}"#;
    kubectl.run(&format!("patch website shop --type merge -p '{page}'"));
    kubectl.run("-n website-operator delete pod -l app=website-operator --grace-period=0 --force");
    lab.tool("kill apiserver");
    lab.tool("start apiserver");
    until("the website shows its new page", || {
        let raw = "/api/v1/namespaces/default/services/shop:http/proxy/";
        let shown = kubectl.try_run(&format!("get --raw {raw}")).ok()?;
        wait::holds(shown == "closed", shown)
    });
    until(
        "the operator is back, and the website says how it is",
        || {
            let path = "'{.metadata.generation} {.status.observedGeneration} {.status.conditions[0].status}'";
            let told = kubectl
                .try_run(&format!("get website shop -o jsonpath={path}"))
                .ok()?;
            let told: Vec<&str> = told.split(' ').collect();
            let is_so = matches!(told[..], [wanted, seen, "True"] if wanted == seen);
            wait::holds(is_so, format!("{told:?}"))
        },
    );
    // What was made for it is there once, and nobody else's.
    let owners = "jsonpath='{.items[*].metadata.ownerReferences[*].name}'";
    let selector = "app.kubernetes.io/managed-by=website-operator";
    let all = format!("get configmaps,deployments,services -l {selector} -o {owners}");
    assert_eq!(kubectl.run(&all), "shop shop shop");
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_readmes_walk_through_the_operator_works() {
    let (lab, kubectl) = (Lab::open(), Kubectl::stock());
    let _cleanup = defer(|| {
        // After a failure: nobody may be there who takes the finalizers off.
        for line in [
            "delete validatingwebhookconfiguration,mutatingwebhookconfiguration website-operator --ignore-not-found",
            "patch website shop --type merge -p '{\"metadata\":{\"finalizers\":null}}'",
            "patch website blog --type merge -p '{\"metadata\":{\"finalizers\":null}}'",
            "delete crd websites.hardway.example --ignore-not-found --wait=false",
            "delete namespace website-operator --ignore-not-found --wait=false",
            "delete clusterrole,clusterrolebinding website-operator --ignore-not-found",
        ] {
            drop(Kubectl::stock().try_run(line));
        }
    });
    for step in WALK {
        walk(&lab, step);
        if step.0 == LAST_BEFORE_KILLS {
            let directory = "-n website-operator get configmap directory -o jsonpath={.data}";
            let directory = kubectl.run(directory);
            assert!(!directory.contains("default.blog"), "{directory}");
            a_change_outlives_who_should_make_it(&kubectl, &lab);
        }
    }
    within(
        Duration::from_secs(20),
        "what was made for the websites is gone with them",
        || {
            let selector = "app.kubernetes.io/managed-by=website-operator";
            let all = format!("get configmaps,deployments,services,pods -l {selector} -o name");
            let left = kubectl.try_run(&all).ok()?;
            wait::holds(left.is_empty(), left)
        },
    );
}
