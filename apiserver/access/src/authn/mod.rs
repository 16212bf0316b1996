//! Authentication: who sends a request.

mod bootstrap_token;
mod impersonation;
mod x509;

pub use impersonation::{Impersonation, impersonate};
pub use x509::{VerifierError, client_verifier};

use crate::{Objects, Recent, TokenVerifier, User, tokens};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hardway_proto::Status;
use hardway_tokens::jwt;
use http::{HeaderMap, header};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use x509::Named;

/// How browsers send a bearer token with a WebSocket.
const WEBSOCKET_TOKEN: &str = "base64url.bearer.authorization.k8s.io.";

/// Where kubeadm, and `hardway join`, read where the cluster is and how it is
/// signed, before they can prove anything. What anybody may do there RBAC says,
/// and by default says nothing.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// So many certificates need not be read again with each request: one for each component, node
/// and person.
const CERTIFICATES: usize = 4096;

/// Hears with what requests prove who sends them. While a CA or a key is replaced this says who
/// still counts on the former one.
pub trait Witness: Send + Sync {
    /// A user has shown a certificate that the authority with this key id has signed.
    fn certificate(&self, user: &str, authority: &[u8]);

    /// Somebody has shown a good token that is signed with the key of this id.
    fn token(&self, key: &str);
}

/// All ways to prove an identity.
pub struct Authenticator {
    objects: Arc<dyn Objects>,
    tokens: Option<Arc<TokenVerifier>>,
    bootstrap_tokens: bool,
    witness: Option<Arc<dyn Witness>>,
    /// Whom certificates name that were shown lately, by their DER.
    named: Recent<Vec<u8>, Arc<Named>>,
}

impl Authenticator {
    /// Reads tokens' subjects from `objects`; without a verifier no tokens of
    /// service accounts are accepted.
    pub fn new(objects: Arc<dyn Objects>, tokens: Option<Arc<TokenVerifier>>) -> Self {
        Self {
            objects,
            tokens,
            bootstrap_tokens: false,
            witness: None,
            named: Recent::with_room_for(CERTIFICATES),
        }
    }

    /// The same, with somebody who hears of it.
    pub fn with_witness(self, witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self
        }
    }

    /// The same, with bootstrap tokens accepted or not.
    pub fn with_bootstrap_tokens(self, accepted: bool) -> Self {
        Self {
            bootstrap_tokens: accepted,
            ..self
        }
    }

    /// Who sends a request with these headers over a connection with this
    /// client certificate (already verified against the client CA). 401 if
    /// nobody is proven.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<&CertificateDer>,
    ) -> Result<User, Status> {
        if let Some(named) = peer.and_then(|certificate| self.named(certificate)) {
            if let (Some(witness), Some(authority)) = (&self.witness, &named.authority) {
                witness.certificate(&named.user.name, authority);
            }
            return Ok(named.user.clone());
        }
        let token = bearer(headers).ok_or_else(Status::unauthorized)?;
        match self.token(&token, &[]) {
            Ok((user, _)) => {
                if let (Some(witness), Some(key)) = (&self.witness, jwt::key_id(&token)) {
                    witness.token(&key);
                }
                Ok(user)
            }
            Err(reason) => {
                tracing::debug!(reason, "a bearer token was refused");
                Err(Status::unauthorized())
            }
        }
    }

    /// Whom a verified certificate names; it is read when it is first shown.
    fn named(&self, certificate: &CertificateDer) -> Option<Arc<Named>> {
        if let Some(known) = self.named.get(&certificate[..]) {
            return Some(known);
        }
        let named = Arc::new(x509::user(certificate)?);
        self.named.put(certificate.to_vec(), named.clone());
        Some(named)
    }

    /// Like [`authenticate`](Self::authenticate), but lets everybody without
    /// credentials see health and version, and ask for what a node must know
    /// to join, as `system:anonymous`.
    pub fn authenticate_path(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&CertificateDer>,
    ) -> Result<User, Status> {
        let result = self.authenticate(headers, peer);
        let is_open = is_public(path) || path == CLUSTER_INFO;
        if result.is_err() && is_open && !headers.contains_key(header::AUTHORIZATION) {
            return Ok(User::anonymous());
        }
        result
    }

    /// The user a bearer token proves, and for which of the wanted audiences
    /// (none: the apiserver's own); or why it proves nobody.
    pub fn token(&self, token: &str, audiences: &[String]) -> Result<(User, Vec<String>), String> {
        let now = Timestamp::now();
        if self.bootstrap_tokens
            && let Some(user) = bootstrap_token::user(&*self.objects, token, now)
        {
            // It names no audience, so it is meant for the apiserver alone.
            let own = self.tokens.as_ref().map_or(&[][..], |own| own.audiences());
            let meant = match audiences.is_empty() {
                true => own.to_vec(),
                false => tokens::shared(own, audiences)?,
            };
            return Ok((user, meant));
        }
        match &self.tokens {
            Some(verifier) => verifier.verify(&*self.objects, token, audiences, now),
            None => Err("invalid bearer token".into()),
        }
    }
}

/// Paths that need no identity.
pub fn is_public(path: &str) -> bool {
    ["/healthz", "/livez", "/readyz"].iter().any(|public| {
        path.strip_prefix(public)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) || matches!(path, "/version" | "/version/")
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        let token = token.trim();
        let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
        return is_bearer.then(|| token.to_owned());
    }
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(WEBSOCKET_TOKEN))
        .and_then(|token| String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;

    #[test]
    fn strangers_see_health_and_version_only() {
        let authenticator = Authenticator::new(Arc::new(Fake::default()), None);
        let none = HeaderMap::new();
        let at = |path, headers: &HeaderMap| authenticator.authenticate_path(path, headers, None);
        for path in [
            "/healthz",
            "/livez/etcd",
            "/readyz",
            "/version",
            CLUSTER_INFO,
        ] {
            assert_eq!(at(path, &none).unwrap(), User::anonymous(), "{path}");
        }
        let others = "/api/v1/namespaces/kube-public/configmaps";
        for path in ["/api", "/metrics", "/healthzz", "/versions", "/", others] {
            assert_eq!(
                at(path, &none).unwrap_err(),
                Status::unauthorized(),
                "{path}"
            );
        }
        let mut wrong = HeaderMap::new();
        wrong.insert(header::AUTHORIZATION, "Bearer nonsense".parse().unwrap());
        assert_eq!(at("/healthz", &wrong).unwrap_err().code, 401);
    }

    #[test]
    fn a_certificate_is_read_once_and_names_whom_it_named() {
        #[derive(Default)]
        struct Heard(parking_lot::Mutex<Vec<String>>);
        impl Witness for Heard {
            fn certificate(&self, user: &str, _: &[u8]) {
                self.0.lock().push(user.to_owned());
            }
            fn token(&self, _: &str) {}
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            let names = &mut params.distinguished_name;
            names.push(rcgen::DnType::CommonName, name);
            names.push(rcgen::DnType::OrganizationName, "dev");
            params.use_authority_key_identifier_extension = true;
            params.self_signed(&key).unwrap()
        };
        let (jane, joe) = (certificate("jane"), certificate("joe"));
        let heard = Arc::new(Heard::default());
        let authenticator = Authenticator::new(Arc::new(Fake::default()), None);
        let authenticator = authenticator.with_witness(heard.clone());
        let headers = HeaderMap::new();
        let ask = |shown: &rcgen::Certificate| {
            let user = authenticator.authenticate(&headers, Some(shown.der()));
            user.unwrap()
        };
        let first = ask(&jane);
        assert_eq!(
            (first.name.as_str(), ask(&joe).name),
            ("jane", "joe".into())
        );
        assert!(first.is_in("dev") && ask(&jane) == first);
        let known = || authenticator.named(jane.der()).unwrap();
        assert!(Arc::ptr_eq(&known(), &known()));
        // Who counts on a former CA is told with each request.
        assert_eq!(*heard.0.lock(), ["jane", "joe", "jane"]);
    }

    #[test]
    fn a_bootstrap_token_is_for_the_apiserver_alone() {
        let fake = Arc::new(Fake::default());
        bootstrap_token::put_sample(&fake);
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let own = vec!["https://kubernetes".to_owned()];
        let verifier = TokenVerifier::new("https://kubernetes", &[pem], own.clone()).unwrap();
        let verifier = Some(Arc::new(verifier));
        let none = Authenticator::new(fake.clone(), verifier.clone());
        assert!(none.token("abcdef.0123456789abcdef", &[]).is_err());
        let authenticator = Authenticator::new(fake, verifier).with_bootstrap_tokens(true);
        let ask = |audiences: &[&str]| {
            let audiences: Vec<String> = audiences.iter().map(|a| (*a).into()).collect();
            let answer = authenticator.token("abcdef.0123456789abcdef", &audiences);
            answer.map(|(_, audiences)| audiences)
        };
        assert_eq!(ask(&[]), Ok(own.clone()));
        assert_eq!(ask(&["vault", "https://kubernetes"]), Ok(own));
        assert!(ask(&["vault"]).is_err());
    }

    #[test]
    fn tokens_come_in_two_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "bearer  abc".parse().unwrap());
        assert_eq!(bearer(&headers).as_deref(), Some("abc"));
        let mut headers = HeaderMap::new();
        let protocols = format!("v5.channel.k8s.io, {WEBSOCKET_TOKEN}YWJj");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
        assert_eq!(bearer(&headers).as_deref(), Some("abc"));
    }
}
