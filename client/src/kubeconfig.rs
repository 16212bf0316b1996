//! The kubeconfig file: which apiserver to talk to, whom to trust, who to be.

use crate::notify::Watch;
use base64::Engine as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};

/// Why a kubeconfig can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("kubeconfig {path}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file isn't a kubeconfig.
    #[error("kubeconfig {path}: not a valid kubeconfig: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
}

/// PEM data, given inline or as a file that is read anew when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// `…-data` fields.
    Inline(Vec<u8>),
    /// File fields.
    File(PathBuf),
}

impl Pem {
    /// The PEM text as it is now.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Pem::Inline(bytes) => Ok(bytes.clone()),
            Pem::File(path) => std::fs::read(path)
                .map_err(|e| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
        }
    }
}

/// What a component needs of a kubeconfig: the current context, resolved.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// `https://host:port` of the apiservers, in order of preference.
    pub servers: Vec<String>,
    /// Certificates the apiserver's must chain to.
    pub certificate_authority: Pem,
    /// How the client shows who it is.
    pub credentials: Credentials,
    /// The one server is the address of a Service, with any number of apiservers behind it.
    pub behind_service: bool,
}

/// How a client shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// By a client certificate.
    Certificate {
        /// The chain.
        certificate: Pem,
        /// Its private key.
        key: Pem,
    },
    /// By a bearer token, such as the one a node joins with.
    Token(Token),
    /// By the bearer token that a file holds, read anew for every call since
    /// the tokens of service accounts are replaced while they are in use.
    TokenFile(PathBuf),
}

/// A bearer token; it stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<ContextEntry>>,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<UserEntry>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

impl ClusterEntry {
    /// What is asked for that can't be done, and why not.
    fn objection(&self) -> Option<(&'static str, &'static str)> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        [
            (
                "insecure-skip-tls-verify",
                self.insecure_skip_tls_verify,
                "the apiserver must prove who it is; name the CA of its certificate",
            ),
            (
                "tls-server-name",
                given(&self.tls_server_name),
                "the apiserver's certificate must be for the name or address in server",
            ),
            (
                "proxy-url",
                given(&self.proxy_url),
                "connections to the apiserver go through no proxy",
            ),
        ]
        .into_iter()
        .find_map(|(field, is_set, why)| is_set.then_some((field, why)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    username: Option<String>,
    r#as: Option<String>,
}

impl UserEntry {
    /// The same for users.
    fn objection(&self) -> Option<(&'static str, &'static str)> {
        let instead = "give a client certificate, a token or a tokenFile";
        [
            ("exec", self.exec.is_some(), instead),
            ("auth-provider", self.auth_provider.is_some(), instead),
            ("username", self.username.is_some(), instead),
            (
                "as",
                self.r#as.is_some(),
                "components act as nobody else; give the credentials of that user",
            ),
        ]
        .into_iter()
        .find_map(|(field, is_set, why)| is_set.then_some((field, why)))
    }
}

impl Kubeconfig {
    /// Reads a file and resolves its current context.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path).map_err(|reason| Error::Invalid {
            path: path.into(),
            reason,
        })
    }

    /// Waits until there is such a file: on a node that joins, the kubelet writes
    /// those of the other agents.
    pub async fn awaited(path: &Path) {
        let folder = Watch::new(path.parent().unwrap_or(Path::new(".")));
        if !path.exists() {
            tracing::info!(kubeconfig = %path.display(), "waiting until the kubelet has written it");
        }
        while !path.exists() {
            folder.changed().await;
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let file: File = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        let context = find(&file.contexts, &file.current_context, "context")?;
        let cluster = find(&file.clusters, &context.cluster, "cluster")?;
        let user = find(&file.users, &context.user, "user")?;
        let base = path.parent().unwrap_or(Path::new("."));
        let refuse = |what: &str, name: &str, (field, why)| {
            Err(format!("{what} {name:?}: {field} is not supported: {why}"))
        };
        if let Some(objection) = cluster.objection() {
            return refuse("cluster", &context.cluster, objection);
        }
        if let Some(objection) = user.objection() {
            return refuse("user", &context.user, objection);
        }
        if !cluster.server.starts_with("https://") {
            return Err(format!(
                "cluster {:?}: server {:?} must be an https:// URL",
                context.cluster, cluster.server
            ));
        }
        Ok(Self {
            servers: vec![cluster.server.clone()],
            certificate_authority: pem(
                base,
                "certificate-authority",
                &cluster.certificate_authority,
                &cluster.certificate_authority_data,
            )?,
            credentials: credentials(base, user)?,
            behind_service: false,
        })
    }
}

fn credentials(base: &Path, user: &UserEntry) -> Result<Credentials, String> {
    if let Some(file) = &user.token_file {
        return Ok(Credentials::TokenFile(base.join(file)));
    }
    if let Some(token) = &user.token {
        return Ok(Credentials::Token(Token(token.trim().to_owned())));
    }
    Ok(Credentials::Certificate {
        certificate: pem(
            base,
            "client-certificate",
            &user.client_certificate,
            &user.client_certificate_data,
        )?,
        key: pem(base, "client-key", &user.client_key, &user.client_key_data)?,
    })
}

fn find<'a, T>(list: &'a [Named<T>], name: &str, what: &str) -> Result<&'a T, String> {
    list.iter()
        .find(|entry| entry.name == name)
        .map(|entry| &entry.value)
        .ok_or_else(|| format!("no {what} named {name:?}"))
}

fn pem(
    base: &Path,
    field: &str,
    file: &Option<PathBuf>,
    data: &Option<String>,
) -> Result<Pem, String> {
    match (data, file) {
        (Some(data), _) => base64::engine::general_purpose::STANDARD
            .decode(data.trim())
            .map(Pem::Inline)
            .map_err(|e| format!("{field}-data: {e}")),
        (None, Some(file)) => Ok(Pem::File(base.join(file))),
        (None, None) => Err(format!("neither {field} nor {field}-data is set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443', certificate-authority: ca.crt}}]
users: [{name: u, user: {client-certificate-data: Zm9v, client-key: /k/u.key}}]
";

    #[test]
    fn resolves_the_current_context() {
        let config = Kubeconfig::parse(TEXT, Path::new("/etc/hardway/a.kubeconfig")).unwrap();
        assert_eq!(config.servers, ["https://10.0.0.1:6443"]);
        assert_eq!(
            config.certificate_authority,
            Pem::File("/etc/hardway/ca.crt".into())
        );
        let credentials = Credentials::Certificate {
            certificate: Pem::Inline(b"foo".to_vec()),
            key: Pem::File("/k/u.key".into()),
        };
        assert_eq!(config.credentials, credentials);
        let token = TEXT.replace("client-key: /k/u.key", "tokenFile: t");
        let config = Kubeconfig::parse(&token, Path::new("/etc/hardway/a.kubeconfig")).unwrap();
        assert_eq!(
            config.credentials,
            Credentials::TokenFile("/etc/hardway/t".into())
        );
        let token = TEXT.replace("client-key: /k/u.key", "token: abcdef.0123456789abcdef");
        let config = Kubeconfig::parse(&token, Path::new("x")).unwrap();
        let expected = Credentials::Token(Token("abcdef.0123456789abcdef".into()));
        assert_eq!(config.credentials, expected);
        assert!(!format!("{config:?}").contains("0123"));
    }

    #[test]
    fn says_what_is_missing() {
        let broken = TEXT.replace("name: u,", "name: other,");
        let error = Kubeconfig::parse(&broken, Path::new("x")).unwrap_err();
        assert_eq!(error, "no user named \"u\"");
        let plain = TEXT.replace("https://", "http://");
        assert!(
            Kubeconfig::parse(&plain, Path::new("x"))
                .unwrap_err()
                .contains("https://")
        );
    }

    /// The files that kubeadm and the kubelet write on a node.
    #[test]
    fn kubeadms_files_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["kubernetes".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let current = dir.path().join("kubelet-client-current.pem");
        std::fs::write(&current, certificate.clone() + &key.serialize_pem()).unwrap();
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let cluster = format!(
            "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {}
    server: https://192.168.0.10:6443
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
preferences: {{}}
users:
- name: default-auth
  user:
",
            encode(&certificate)
        );
        let path = dir.path().join("kubelet.conf");
        let load = |user: &str| {
            std::fs::write(&path, format!("{cluster}{user}")).unwrap();
            Kubeconfig::load(&path)
        };
        let pem = current.display();
        let embedded = format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            encode(&certificate),
            encode(&key.serialize_pem())
        );
        for user in [
            // kubelet.conf: certificate and key in one file that the kubelet replaces.
            format!("    client-certificate: {pem}\n    client-key: {pem}\n"),
            // admin.conf, and kubelet.conf of the first node until it is renewed.
            embedded,
            // bootstrap-kubelet.conf.
            "    token: abcdef.0123456789abcdef\n".to_owned(),
            // kube-proxy's.
            "    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token\n".to_owned(),
        ] {
            let config = load(&user).unwrap();
            assert_eq!(config.servers, ["https://192.168.0.10:6443"]);
            crate::tls::client(&config, &["h2"]).unwrap();
        }
        for (user, field) in [
            (
                "    exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}\n",
                "exec",
            ),
            ("    username: jane\n    password: secret\n", "username"),
            ("    auth-provider: {name: oidc}\n", "auth-provider"),
        ] {
            let error = load(user).unwrap_err().to_string();
            let expected = format!("user \"default-auth\": {field} is not supported: give a");
            assert!(error.contains(&expected), "{error}");
        }
        let trusting = cluster.replace(
            "    server:",
            "    insecure-skip-tls-verify: true\n    server:",
        );
        let error = Kubeconfig::parse(&trusting, &path).unwrap_err();
        assert!(error.contains("must prove who it is"), "{error}");
    }
}
