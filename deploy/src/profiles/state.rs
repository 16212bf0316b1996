//! How a cluster is, in minikube's words and numbers.

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// It does its work.
    Running,
    /// It does not run.
    Stopped,
    /// It runs and doesn't do its work.
    Error,
    /// kubectl's configuration leads to the cluster.
    Configured,
    /// kubectl's configuration leads elsewhere, or nowhere.
    Misconfigured,
    /// A worker has none.
    Irrelevant,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "Running",
            State::Stopped => "Stopped",
            State::Error => "Error",
            State::Configured => "Configured",
            State::Misconfigured => "Misconfigured",
            State::Irrelevant => "Irrelevant",
        }
    }
}

/// How a host of a cluster is; the fields are those of `minikube status --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostState {
    /// Its name.
    pub name: String,
    /// The host itself.
    pub host: State,
    /// Its kubelet.
    pub kubelet: State,
    /// The apiserver, on the control plane's host.
    #[serde(rename = "APIServer")]
    pub api_server: State,
    /// kubectl's configuration.
    pub kubeconfig: State,
    /// Whether it only runs pods.
    pub worker: bool,
}

/// A host is off.
pub const HOST_IS_DOWN: u8 = 1;
/// A kubelet or the apiserver doesn't do its work.
pub const CLUSTER_IS_DOWN: u8 = 2;
/// kubectl's configuration does not lead to the cluster.
pub const KUBECTL_IS_LOST: u8 = 4;

/// The exit code of `status`: a bit for each thing that is not as it should be.
pub fn exit_code(hosts: &[HostState]) -> u8 {
    let bits = |host: &HostState| {
        let is = |state: State, good: State| state == good || state == State::Irrelevant;
        let mut bits = 0;
        if host.host != State::Running {
            bits |= HOST_IS_DOWN;
        }
        if host.kubelet != State::Running || !is(host.api_server, State::Running) {
            bits |= CLUSTER_IS_DOWN;
        }
        if !is(host.kubeconfig, State::Configured) {
            bits |= KUBECTL_IS_LOST;
        }
        bits
    };
    hosts.iter().map(bits).fold(0, |all, bits| all | bits)
}

/// A paragraph for each host.
pub fn text(hosts: &[HostState]) -> String {
    let paragraph = |host: &HostState| {
        let kind = if host.worker {
            "Worker"
        } else {
            "Control Plane"
        };
        let mut lines = vec![host.name.clone(), format!("type: {kind}")];
        for (name, state) in [
            ("host", host.host),
            ("kubelet", host.kubelet),
            ("apiserver", host.api_server),
            ("kubeconfig", host.kubeconfig),
        ] {
            if state != State::Irrelevant {
                lines.push(format!("{name}: {}", state.word()));
            }
        }
        lines.join("\n") + "\n"
    };
    let paragraphs: Vec<String> = hosts.iter().map(paragraph).collect();
    paragraphs.join("\n")
}

/// One object for one host, a list for several.
pub fn json(hosts: &[HostState]) -> serde_json::Result<String> {
    match hosts {
        [host] => serde_json::to_string(host),
        hosts => serde_json::to_string(hosts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(host: State, kubelet: State, api_server: State, kubeconfig: State) -> HostState {
        HostState {
            name: "dev".to_owned(),
            host,
            kubelet,
            api_server,
            kubeconfig,
            worker: false,
        }
    }

    fn worker(host: State, kubelet: State) -> HostState {
        HostState {
            name: "dev-m02".to_owned(),
            worker: true,
            ..first(host, kubelet, State::Irrelevant, State::Irrelevant)
        }
    }

    #[test]
    fn the_exit_code_has_minikubes_bits() {
        use State::{Configured, Error, Misconfigured, Running, Stopped};
        let well = first(Running, Running, Running, Configured);
        assert_eq!(exit_code(&[well.clone(), worker(Running, Running)]), 0);
        assert_eq!(exit_code(&[first(Stopped, Stopped, Stopped, Stopped)]), 7);
        assert_eq!(exit_code(&[first(Running, Running, Error, Configured)]), 2);
        assert_eq!(
            exit_code(&[first(Running, Running, Running, Misconfigured)]),
            4
        );
        assert_eq!(exit_code(&[well, worker(Stopped, Stopped)]), 3);
    }

    #[test]
    fn status_reads_as_minikubes_does() {
        use State::{Configured, Running};
        let hosts = [
            first(Running, Running, Running, Configured),
            worker(Running, Running),
        ];
        assert_eq!(
            text(&hosts),
            "dev\ntype: Control Plane\nhost: Running\nkubelet: Running\napiserver: Running\n\
             kubeconfig: Configured\n\ndev-m02\ntype: Worker\nhost: Running\nkubelet: Running\n"
        );
        assert_eq!(
            json(&hosts[..1]).unwrap(),
            "{\"Name\":\"dev\",\"Host\":\"Running\",\"Kubelet\":\"Running\",\
             \"APIServer\":\"Running\",\"Kubeconfig\":\"Configured\",\"Worker\":false}"
        );
        assert!(json(&hosts).unwrap().starts_with('['));
    }
}
