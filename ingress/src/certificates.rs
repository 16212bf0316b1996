//! What is shown to whom asks for a name.

use crate::routes::Host;
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, ServerKey};
use k8s_openapi::api::core::v1::Secret;
use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads a Secret of type `kubernetes.io/tls`.
///
/// # Errors
/// In words for an event.
pub fn of_secret(secret: &Secret) -> Result<CertifiedKey, String> {
    let field = |name: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(name));
        let data = data.ok_or_else(|| format!("it has no {name}"))?;
        Ok::<_, String>(Pem::Inline(data.0.clone()))
    };
    let (certificate, key) = (field("tls.crt")?, field("tls.key")?);
    tls::certified_key(&certificate, &key).map_err(|error| error.to_string())
}

/// Whether a certificate is for a host.
pub fn covers(key: &CertifiedKey, host: &Host) -> bool {
    let name = match host {
        Host::Exact(name) => name.clone(),
        // Any name below will do.
        Host::Wildcard(parent) => format!("any.{parent}"),
        Host::Any => return true,
    };
    let leaf = key.cert.first().map(ParsedCertificate::try_from);
    let (Some(Ok(leaf)), Ok(name)) = (leaf, ServerName::try_from(name)) else {
        return false;
    };
    verify_server_name(&leaf, &name).is_ok()
}

/// Certificates by host.
#[derive(Debug, Default)]
pub struct Shown {
    hosts: HashMap<Host, Arc<CertifiedKey>>,
}

impl Shown {
    /// Shows a certificate for a host; the first for it stays.
    pub fn add(&mut self, host: Host, key: Arc<CertifiedKey>) {
        self.hosts.entry(host).or_insert(key);
    }

    /// What is shown for a name: its own, else that of its wildcard, else that for all.
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let exact = name.clone().map(Host::Exact);
        let parent = name.as_deref().and_then(|name| name.split_once('.'));
        let wildcard = parent.map(|(_, parent)| Host::Wildcard(parent.to_owned()));
        let mut hosts = [exact, wildcard, Some(Host::Any)].into_iter().flatten();
        hosts.find_map(|host| self.hosts.get(&host))
    }
}

/// Shows what is current, to each handshake.
#[derive(Debug)]
pub struct Resolver {
    shown: RwLock<Arc<Shown>>,
    own: Arc<CertifiedKey>,
}

impl Resolver {
    /// With a certificate of its own, for names that nobody has given one for.
    ///
    /// # Errors
    /// If none can be made.
    pub fn new() -> Result<Arc<Self>, tls::Error> {
        let own = ServerKey::of_its_own("hardway-ingress")?;
        let own = tls::certified_key(&own.certificate, &own.key)?;
        Ok(Arc::new(Self {
            shown: RwLock::default(),
            own: Arc::new(own),
        }))
    }

    /// Shows others from now on.
    pub fn set(&self, shown: Arc<Shown>) {
        *self.shown.write() = shown;
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read();
        let found = shown.find(hello.server_name());
        Some(found.unwrap_or(&self.own).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn made(name: &str) -> (Secret, Arc<CertifiedKey>) {
        tls::install_provider();
        let key = ServerKey::of_its_own(name).unwrap();
        let data = [("tls.crt", &key.certificate), ("tls.key", &key.key)];
        let data = data.map(|(name, pem)| (name.to_owned(), ByteString(pem.read().unwrap())));
        let secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let read = of_secret(&secret).unwrap();
        (secret, Arc::new(read))
    }

    #[test]
    fn a_secret_needs_both_its_parts_and_they_must_fit() {
        let (mut secret, _) = made("a.b");
        let (other, _) = made("a.b");
        let key = other.data.unwrap().remove("tls.key").unwrap();
        let data = secret.data.as_mut().unwrap();
        data.insert("tls.key".into(), key);
        assert!(of_secret(&secret).is_err());
        secret.data.as_mut().unwrap().remove("tls.key");
        assert_eq!(of_secret(&secret).unwrap_err(), "it has no tls.key");
    }

    #[test]
    fn the_most_certain_name_goes_first() {
        let (exact, wild, any) = (made("x.a.b").1, made("*.a.b").1, made("z").1);
        let mut shown = Shown::default();
        shown.add(Host::new("x.a.b"), exact.clone());
        shown.add(Host::new("*.a.b"), wild.clone());
        let is = |shown: &Shown, name: Option<&str>, key: &Arc<CertifiedKey>| {
            shown
                .find(name)
                .is_some_and(|found| Arc::ptr_eq(found, key))
        };
        assert!(is(&shown, Some("X.a.b"), &exact));
        assert!(is(&shown, Some("y.a.b"), &wild));
        assert!(shown.find(Some("y.x.a.b")).is_none() && shown.find(None).is_none());
        shown.add(Host::Any, any.clone());
        assert!(is(&shown, Some("y.x.a.b"), &any) && is(&shown, None, &any));
    }

    #[test]
    fn a_certificate_is_for_the_names_in_it() {
        let (_, wild) = made("*.a.b");
        assert!(covers(&wild, &Host::new("*.a.b")) && covers(&wild, &Host::new("x.a.b")));
        assert!(!covers(&wild, &Host::new("a.b")) && !covers(&wild, &Host::new("*.b")));
        assert!(covers(&wild, &Host::Any));
    }
}
