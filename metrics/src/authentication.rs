//! Who asks: whom the apiserver names over a connection with the front proxy's certificate,
//! whom a client certificate of the cluster names, or whom a bearer token names. How these are
//! known stands in the ConfigMap `extension-apiserver-authentication` of `kube-system`.

use hardway_client::delegation::{Identity, Tokens};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls;
use hardway_proto::Status;
use http::HeaderMap;
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// Where it is.
pub const NAMESPACE: &str = "kube-system";
/// What it is called.
pub const NAME: &str = "extension-apiserver-authentication";

/// What the ConfigMap says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// CA of the cluster's clients: PEM.
    clients: String,
    /// CA of the front proxy.
    front_proxy: String,
    /// Whom of that CA's to believe; all if there is none.
    allowed_names: Vec<String>,
    /// Headers that may name the user: the first that does counts.
    users: Vec<String>,
    /// Headers that name groups.
    groups: Vec<String>,
}

impl Configuration {
    /// Reads it.
    ///
    /// # Errors
    /// If a list is none.
    pub fn of(map: &ConfigMap) -> Result<Self, String> {
        let data = map.data.clone().unwrap_or_default();
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        let list = |key: &str| match data.get(key) {
            None => Ok(Vec::new()),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| format!("{NAMESPACE}/{NAME}: {key}: {error}")),
        };
        Ok(Self {
            clients: text("client-ca-file"),
            front_proxy: text("requestheader-client-ca-file"),
            allowed_names: list("requestheader-allowed-names")?,
            users: list("requestheader-username-headers")?,
            groups: list("requestheader-group-headers")?,
        })
    }

    /// All whose certificates are looked at.
    pub fn authorities(&self) -> Pem {
        Pem::Inline(format!("{}\n{}", self.clients, self.front_proxy).into_bytes())
    }
}

type Verifier = Arc<dyn ClientCertVerifier>;

/// Finds out who asks.
pub struct Authentication {
    configuration: Configuration,
    clients: Option<Verifier>,
    front_proxy: Option<Verifier>,
    tokens: Tokens,
}

fn verifier(what: &str, pem: &str) -> Result<Option<Verifier>, String> {
    if pem.trim().is_empty() {
        return Ok(None);
    }
    let roots = tls::roots(pem.as_bytes()).map_err(|error| format!("{what}: {error}"))?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let verifier: Verifier = verifier.map_err(|error| format!("{what}: {error}"))?;
    Ok(Some(verifier))
}

impl Authentication {
    /// As the ConfigMap says.
    ///
    /// # Errors
    /// If a CA in it is none.
    pub fn new(configuration: Configuration, tokens: Tokens) -> Result<Self, String> {
        Ok(Self {
            clients: verifier("client-ca-file", &configuration.clients)?,
            front_proxy: verifier("requestheader-client-ca-file", &configuration.front_proxy)?,
            configuration,
            tokens,
        })
    }

    /// Who asks; nobody if that isn't proven.
    ///
    /// # Errors
    /// If the apiserver can't be asked about a token.
    pub async fn identity(
        &self,
        certificate: Option<&CertificateDer<'static>>,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>, Status> {
        let signed = |verifier: &Option<Verifier>| {
            certificate.filter(|certificate| {
                verifier.as_ref().is_some_and(|verifier| {
                    let now = UnixTime::now();
                    verifier.verify_client_cert(certificate, &[], now).is_ok()
                })
            })
        };
        if let Some(proxy) = signed(&self.front_proxy).and_then(Identity::of)
            && self.believes(proxy.name())
            && let Some(identity) = self.named(headers)
        {
            return Ok(Some(identity));
        }
        if let Some(identity) = signed(&self.clients).and_then(Identity::of) {
            return Ok(Some(identity));
        }
        self.tokens.identity(headers).await
    }

    fn believes(&self, name: &str) -> bool {
        let names = &self.configuration.allowed_names;
        names.is_empty() || names.iter().any(|allowed| allowed == name)
    }

    /// Whom headers name.
    fn named(&self, headers: &HeaderMap) -> Option<Identity> {
        let values = |names: &[String]| -> Vec<String> {
            let values = names.iter().flat_map(|name| headers.get_all(name.as_str()));
            let values = values.filter_map(|value| value.to_str().ok());
            values.map(str::to_owned).collect()
        };
        let mut users = values(&self.configuration.users).into_iter();
        let user = users.find(|user| !user.is_empty())?;
        Some(Identity::named(user, values(&self.configuration.groups)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::Client;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use std::collections::BTreeMap;

    /// A CA and a certificate that it signed for a name.
    fn signed(common_name: &str) -> (String, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (pem, certificate.der().clone())
    }

    fn authentication(clients: &str, front_proxy: &str) -> Authentication {
        tls::install_provider();
        let data = [
            ("client-ca-file", clients),
            ("requestheader-client-ca-file", front_proxy),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ];
        let data = data.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let map = ConfigMap {
            data: Some(BTreeMap::from(data)),
            ..ConfigMap::default()
        };
        let nowhere = tonic_nowhere();
        Authentication::new(Configuration::of(&map).unwrap(), Tokens::new(nowhere)).unwrap()
    }

    /// A client of nobody.
    fn tonic_nowhere() -> Client {
        let config = hardway_client::kubeconfig::Kubeconfig {
            servers: vec!["https://127.0.0.1:1".into()],
            certificate_authority: Pem::Inline(signed("x").0.into_bytes()),
            credentials: hardway_client::kubeconfig::Credentials::Token(
                hardway_client::kubeconfig::Token("x".into()),
            ),
            behind_service: false,
        };
        Client::new(&config, "test").unwrap()
    }

    #[tokio::test]
    async fn only_the_front_proxy_says_for_whom_it_asks() {
        let (clients, client) = signed("jane");
        let (proxies, proxy) = signed("front-proxy-client");
        let (_, stranger) = signed("front-proxy-client");
        let authentication = authentication(&clients, &proxies);
        let mut headers = HeaderMap::new();
        headers.append("x-remote-user", "joe".parse().unwrap());
        headers.append("x-remote-group", "dev".parse().unwrap());
        headers.append("x-remote-group", "ops".parse().unwrap());
        let of = async |certificate: Option<&CertificateDer<'static>>, headers: &HeaderMap| {
            let identity = authentication.identity(certificate, headers).await.unwrap();
            identity.map(|it| format!("{} {:?}", it.name(), it.groups()))
        };
        assert_eq!(
            of(Some(&proxy), &headers).await.unwrap(),
            "joe [\"dev\", \"ops\"]"
        );
        // One of the cluster's clients is only itself, whatever it says.
        assert_eq!(
            of(Some(&client), &headers).await.unwrap(),
            "jane [\"system:authenticated\"]"
        );
        for nobody in [Some(&stranger), None] {
            assert_eq!(of(nobody, &headers).await, None);
        }
        assert_eq!(
            of(Some(&proxy), &HeaderMap::new()).await,
            None,
            "it names nobody"
        );
    }

    #[tokio::test]
    async fn not_all_of_the_front_proxys_ca_are_believed() {
        let (proxies, other) = signed("somebody-else");
        let authentication = authentication("", &proxies);
        let mut headers = HeaderMap::new();
        headers.append("x-remote-user", "joe".parse().unwrap());
        let identity = authentication.identity(Some(&other), &headers).await;
        assert_eq!(identity.unwrap(), None);
    }
}
