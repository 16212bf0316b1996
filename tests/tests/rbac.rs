//! Who may do what, and who gets in at all.

use hardway_tests::kubectl::Kubectl;
use hardway_tests::lab::Worker;
use hardway_tests::{Lab, Namespace, steps};
use serde_json::json;

#[path = "rbac/doors.rs"]
mod doors;
#[path = "rbac/nodes.rs"]
mod nodes;
#[path = "rbac/people.rs"]
mod people;
#[path = "rbac/roles.rs"]
mod roles;

struct Guarded {
    namespace: Namespace,
    lab: Lab,
    workers: Vec<Worker>,
    folder: tempfile::TempDir,
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn only_those_who_may_get_in() {
    let lab = Lab::open();
    let guarded = Guarded {
        namespace: Namespace::new("rbac"),
        workers: lab.workers(),
        lab,
        folder: tempfile::tempdir().expect("a folder for kubeconfigs"),
    };
    let steps: &[steps::Step<Guarded>] = &[
        ("who am I", people::whoami),
        ("service account token", people::account_token),
        ("token inside a pod", people::token_in_pod),
        ("token bound to a pod", people::bound_token),
        ("wrong tokens", people::wrong_tokens),
        ("role binding", roles::role_binding),
        ("aggregated roles", roles::aggregated_roles),
        ("names and subresources", roles::names_and_subresources),
        ("no escalation", roles::no_escalation),
        ("impersonation", people::impersonation),
        ("nodes see their own", roles::node_identity),
        ("a stolen node", nodes::stolen),
        ("nodes' certificates", nodes::certificates),
        ("components see their part", roles::components),
        ("anonymous", people::anonymous),
        ("metrics need a certificate", doors::metrics),
        ("nothing without TLS", doors::no_insecure_port),
        ("etcd needs a certificate", doors::etcd),
        ("kubelet needs a certificate", doors::kubelet),
        ("kubelet takes tokens", doors::kubelet_tokens),
        ("certificate signing", people::signing),
    ];
    steps::run(&guarded, &guarded.namespace, steps);
}

impl Guarded {
    /// A kubectl that has nothing but a token, or nothing at all.
    fn bearer(&self, token: Option<&str>) -> Kubectl {
        let mut config = Kubectl::stock().json("config view --raw --minify");
        let user = token.map_or_else(|| json!({}), |token| json!({"token": token}));
        config["users"][0]["user"] = user;
        let name = token.map_or(0, |token| {
            token.len() + token.bytes().map(usize::from).sum::<usize>()
        });
        let path = self.folder.path().join(format!("{name}.json"));
        std::fs::write(&path, config.to_string()).expect("write a kubeconfig");
        Kubectl::stock()
            .with(&format!("--kubeconfig={}", path.display()))
            .namespace(&self.namespace.name)
    }

    /// A kubectl with one of the lab's kubeconfigs.
    fn component(&self, name: &str) -> Kubectl {
        let path = self.lab.path(&format!("kubeconfig/{name}.kubeconfig"));
        Kubectl::stock().with(&format!("--kubeconfig={}", path.display()))
    }

    fn account(&self, name: &str) -> Kubectl {
        self.namespace.run(&format!("create serviceaccount {name}"));
        let token = self.namespace.run(&format!("create token {name}"));
        self.bearer(Some(token.trim()))
    }

    /// Address of a port of the control plane.
    fn control_plane(&self, port: u16) -> String {
        format!("{}:{port}", self.lab.control_plane())
    }
}

fn can(kubectl: &Kubectl, what: &str) -> bool {
    let told = kubectl.try_run(&format!("auth can-i {what}"));
    let answer = told.stdout.trim();
    assert!(
        ["yes", "no"].contains(&answer.split(' ').next().unwrap_or_default()),
        "{told:?}"
    );
    assert_eq!(told.success, answer == "yes");
    told.success
}
