//! A CA, and who is who by its certificates.

use super::Lab;
use hardway_client::kubeconfig::{Kubeconfig, Pem};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// A CA, a server certificate and those of clients, as files.
pub fn make(dir: &Path) {
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "test-ca");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    write("ca.crt", ca.pem());
    write("ca.key", key.serialize_pem());
    let issuer = Issuer::new(params, key);
    for (file, name, group) in [
        ("server", "kube-apiserver", ""),
        ("admin", "admin", "system:masters"),
        ("jane", "jane", "dev"),
        ("node", "system:node:n1", "system:nodes"),
        ("overlay", "system:flannel-lite:n1", "system:flannel-lite"),
        ("scheduler", "system:kube-scheduler", ""),
    ] {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if !group.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        write(&format!("{file}.crt"), certificate.pem());
        write(&format!("{file}.key"), key.serialize_pem());
    }
    write("sa.key", KeyPair::generate().unwrap().serialize_pem());
}

/// Shows the certificate of a user, and trusts the CA.
pub fn tls(dir: &Path, user: &str, protocol: &str) -> Arc<rustls::ClientConfig> {
    let file = |name: String| Pem::File(dir.join(name));
    let config = hardway_client::tls::client_from(
        &file("ca.crt".into()),
        file(format!("{user}.crt")),
        file(format!("{user}.key")),
        &[protocol],
    );
    config.unwrap().current()
}

impl Lab {
    /// Makes a client's certificate, for `acting`.
    pub fn sign(&self, file: &str, params: CertificateParams) {
        let path = |name: &str| self.dir.path().join(name);
        let ca = std::fs::read_to_string(path("ca.crt")).unwrap();
        let key = std::fs::read_to_string(path("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&key).unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(path(&format!("{file}.crt")), certificate.pem()).unwrap();
        std::fs::write(path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// Trusts the server and shows nothing.
    pub fn stranger(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.dir.path().join("ca.crt")).unwrap();
        roots.add(ca).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        Arc::new(config.with_no_client_auth())
    }

    /// The same lab, seen by another user.
    pub fn acting(&self, user: &str) -> Arc<rustls::ClientConfig> {
        self.speaking(user, "http/1.1")
    }

    /// The same, in another version of HTTP.
    pub fn speaking(&self, user: &str, protocol: &str) -> Arc<rustls::ClientConfig> {
        tls(self.dir.path(), user, protocol)
    }

    /// What hardway's own client needs.
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig_of("admin")
    }

    /// The same for another user.
    pub fn kubeconfig_of(&self, user: &str) -> Kubeconfig {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: 'https://{}', certificate-authority: ca.crt}}}}]\n\
             users: [{{name: u, user: {{client-certificate: {user}.crt, client-key: {user}.key}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n",
            self.address
        );
        let path = self.dir.path().join(format!("{user}.kubeconfig"));
        std::fs::write(&path, text).unwrap();
        Kubeconfig::load(&path).unwrap()
    }
}
