//! The node's certificates: its own as a client and a server, and those of the
//! agents beside it. They are asked for, renewed in time and used without a
//! restart.

use crate::flags::Flags;
use hardway_client::certificate::{
    API_CLIENT, CertificateFile, Identities, KUBELET_CLIENT, KUBELET_SERVING, Own, Readers,
    Renewal, Request, Subject, first_certificate,
};
use hardway_client::task;
use hardway_client::tls::ServerKey;
use k8s_openapi::api::core::v1::Node;
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// The node as a client of the apiserver.
fn client(flags: &Flags, node: &str) -> Own {
    let readers = Readers::Owner;
    Own {
        kubeconfig: flags.common.kubeconfig.clone(),
        file: CertificateFile::new(&flags.cert_dir, "kubelet-client", readers),
        readers,
        request: Request {
            signer: KUBELET_CLIENT,
            subject: Subject::node(node),
            serving: false,
        },
        authorities: authorities(flags),
    }
}

/// The file with the cluster's CA, if it follows what the cluster publishes.
fn authorities(flags: &Flags) -> Option<PathBuf> {
    let file = &flags.common.client_ca_file;
    flags.rotate_ca_file.then(|| file.clone())
}

/// The other agents of the node, each in a folder of its own.
fn agents(dir: &Path, node: &str, authorities: Option<PathBuf>) -> [(&'static str, Own); 2] {
    let own = |name: &'static str, subject: Subject| {
        let folder = dir.join(name);
        // The agents run as users of their own: their folders' groups.
        let readers = Readers::Group;
        let own = Own {
            kubeconfig: folder.join("kubeconfig"),
            file: CertificateFile::new(&folder, "client", readers),
            readers,
            request: Request {
                signer: API_CLIENT,
                subject,
                serving: false,
            },
            authorities: authorities.clone(),
        };
        (name, own)
    };
    let overlay = format!("system:flannel-lite:{node}");
    [
        own("kube-proxy", Subject::client("system:kube-proxy", None)),
        own(
            "flannel-lite",
            Subject::client(overlay, Some("system:flannel-lite")),
        ),
    ]
}

fn identities(flags: &Flags, kubeconfigs: impl IntoIterator<Item = PathBuf>) -> Identities {
    Identities {
        kubeconfigs: kubeconfigs.into_iter().collect(),
        servers: flags.common.servers.clone(),
    }
}

/// Returns once the kubelet can connect; it may have to join first.
pub async fn join(flags: &Flags, node: &str) {
    if let Some(with) = &flags.bootstrap_kubeconfig {
        // With its own, where that is good and only to be written anew.
        let with = [with.clone(), flags.common.kubeconfig.clone()];
        first_certificate(&identities(flags, with), &client(flags, node)).await;
    }
}

/// Keeps the certificates of clients new.
pub fn keep(flags: &Flags, node: &str) {
    let own = flags.common.kubeconfig.clone();
    if flags.rotate_certificates {
        let with = [own.clone()]
            .into_iter()
            .chain(flags.bootstrap_kubeconfig.clone());
        let renewal = client(flags, node).renewal(identities(flags, with));
        task::spawn_critical("client-certificate", renewal.run());
    }
    let Some(dir) = &flags.agent_cert_dir else {
        return;
    };
    for (name, agent) in agents(dir, node, authorities(flags)) {
        let identities = identities(flags, [own.clone()]);
        task::spawn_critical(format!("certificate of {name}"), async move {
            first_certificate(&identities, &agent).await;
            agent.renewal(identities).run().await;
        });
    }
}

/// What the kubelet's API is served with. Where it is asked for, it is for the
/// names and addresses that the Node is known to have.
pub fn serving(
    flags: &Flags,
    subject: watch::Receiver<Option<Subject>>,
) -> Result<ServerKey, String> {
    match (flags.common.server_key(), flags.rotate_server_certificates) {
        (Some(key), false) => Ok(key),
        (None, true) => {
            let file = CertificateFile::new(&flags.cert_dir, "kubelet-server", Readers::Owner);
            let key = ServerKey::asked_for(&file.current());
            let renewal = Renewal {
                file,
                signer: KUBELET_SERVING,
                serving: true,
                subject,
                identities: identities(flags, [flags.common.kubeconfig.clone()]),
                authorities: authorities(flags),
            };
            task::spawn_critical("serving-certificate", renewal.run());
            Ok(key)
        }
        (Some(_), true) => Err(
            "--rotate-server-certificates: leave out --tls-cert-file and --tls-private-key-file, or this"
                .into(),
        ),
        (None, false) => Err(
            "there is nothing to serve with: give --tls-cert-file and --tls-private-key-file, or --rotate-server-certificates"
                .into(),
        ),
    }
}

/// The certificate that a node serves with; none before it has an address.
pub fn serving_subject(node: &Node) -> Option<Subject> {
    let mut subject = Subject::node(node.metadata.name.as_deref()?);
    let addresses = node.status.as_ref()?.addresses.iter().flatten();
    for address in addresses {
        match (address.type_.as_str(), address.address.parse()) {
            ("InternalIP" | "ExternalIP", Ok(ip)) => drop(subject.addresses.insert(ip)),
            ("Hostname" | "InternalDNS" | "ExternalDNS", Err(_)) => {
                subject.names.insert(address.address.clone());
            }
            _ => {}
        }
    }
    (!subject.addresses.is_empty() || !subject.names.is_empty()).then_some(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    fn flags(more: &[&str]) -> Flags {
        let least = ["kubelet", "--kubeconfig=/k", "--client-ca-file=/c"];
        Flags::parse_from(least.iter().chain(more))
    }

    #[test]
    fn a_node_serves_under_what_it_is_known_by() {
        let node = |addresses: serde_json::Value| -> Node {
            let node = json!({"metadata": {"name": "n1"}, "status": {"addresses": addresses}});
            serde_json::from_value(node).unwrap()
        };
        assert_eq!(serving_subject(&node(json!([]))), None);
        let known = node(json!([
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "ExternalIP", "address": "2001:db8::1"},
            {"type": "Hostname", "address": "n1"},
            {"type": "InternalDNS", "address": "n1.example.com"},
        ]));
        let subject = serving_subject(&known).unwrap();
        assert_eq!(subject.common_name, "system:node:n1");
        assert_eq!(subject.organization.as_deref(), Some("system:nodes"));
        let names: Vec<_> = subject.names.iter().map(String::as_str).collect();
        assert_eq!(names, ["n1", "n1.example.com"]);
        assert_eq!(subject.addresses.len(), 2);
    }

    #[tokio::test]
    async fn there_is_one_certificate_to_serve_with() {
        let serving = |more: &[&str]| {
            let (_, subject) = watch::channel(None);
            serving(&flags(more), subject)
        };
        assert!(serving(&[]).unwrap_err().contains("nothing to serve with"));
        let given = ["--tls-cert-file=/a", "--tls-private-key-file=/b"];
        assert!(!serving(&given).unwrap().awaited);
        let both = [given[0], given[1], "--rotate-server-certificates"];
        assert!(serving(&both).is_err());
        let asked = ["--rotate-server-certificates", "--cert-dir=/pki"];
        assert!(serving(&asked).unwrap().awaited);
    }

    #[test]
    fn agents_have_folders_and_names_of_their_own() {
        let [(_, proxy), (_, overlay)] = agents(Path::new("/a"), "n1", None);
        assert_eq!(proxy.kubeconfig, Path::new("/a/kube-proxy/kubeconfig"));
        assert_eq!(
            proxy.file.current(),
            Path::new("/a/kube-proxy/client-current.pem")
        );
        assert_eq!(proxy.request.subject.common_name, "system:kube-proxy");
        let subject = &overlay.request.subject;
        assert_eq!(subject.common_name, "system:flannel-lite:n1");
        assert_eq!(subject.organization.as_deref(), Some("system:flannel-lite"));
    }
}
