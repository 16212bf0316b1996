//! What is shown to whom asks for a name.

use crate::routes::{Host, Routes};
use crate::rules::{Claim, Problem};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, ServerKey};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::Secret;
use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use std::collections::{HashMap, HashSet};
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

/// The certificate that an Ingress has for a host.
#[derive(Debug)]
struct Given {
    ingress: ObjectKey,
    key: Arc<CertifiedKey>,
}

/// Certificates by host. Any namespace may name any host and make a certificate for it, so that
/// those of the namespaces whose rules serve the host go first.
#[derive(Debug, Default)]
pub struct Shown {
    /// Those of the oldest Ingresses in front, one of each namespace.
    hosts: HashMap<Host, Vec<Given>>,
    /// The namespaces whose rules serve a host.
    serving: HashMap<Host, HashSet<String>>,
}

impl Shown {
    /// What Ingresses, the oldest first, have certificates for, or why they have none; and what
    /// of it isn't shown.
    pub fn new(
        claims: Vec<(Claim, Result<Arc<CertifiedKey>, String>)>,
        routes: &Routes,
    ) -> (Self, Vec<Problem>) {
        let mut shown = Self {
            hosts: HashMap::new(),
            serving: routes.namespaces(),
        };
        let mut problems = Vec::new();
        let mut problem = |claim: &Claim, message: String| {
            problems.push(Problem {
                ingress: claim.ingress.clone(),
                reason: "Certificate",
                message: format!("Secret {}: {message}", claim.secret),
            });
        };
        let mut usable = Vec::new();
        for (claim, read) in claims {
            let host = &claim.host;
            match read {
                Err(why) => problem(
                    &claim,
                    format!("{why}; {host} gets a certificate that nobody trusts"),
                ),
                Ok(key) if !covers(&key, host) => problem(
                    &claim,
                    format!("its certificate is not for {host}, and is not shown for it"),
                ),
                Ok(key) => {
                    shown.add(&claim, key.clone());
                    usable.push((claim, key));
                }
            }
        }
        for (claim, key) in usable {
            let first = shown.first(&claim.host);
            if let Some(other) = first.filter(|first| !Arc::ptr_eq(&first.key, &key)) {
                let (host, other) = (&claim.host, &other.ingress);
                problem(
                    &claim,
                    format!("it is not shown for {host}: that of Ingress {other} is"),
                );
            }
        }
        (shown, problems)
    }

    fn add(&mut self, claim: &Claim, key: Arc<CertifiedKey>) {
        let given = self.hosts.entry(claim.host.clone()).or_default();
        let namespace = &claim.ingress.namespace;
        if given.iter().all(|it| it.ingress.namespace != *namespace) {
            let ingress = claim.ingress.clone();
            given.push(Given { ingress, key });
        }
    }

    /// What is shown for a host: of those for it, or else for its wildcard, one of a namespace
    /// that serves it, or else the oldest.
    fn first(&self, host: &Host) -> Option<&Given> {
        let wildcard = match host {
            Host::Exact(name) => name.split_once('.'),
            Host::Wildcard(_) | Host::Any => None,
        };
        let wildcard = wildcard.map(|(_, parent)| Host::Wildcard(parent.to_owned()));
        let hosts = || std::iter::once(host).chain(&wildcard);
        let given = || hosts().filter_map(|host| self.hosts.get(host)).flatten();
        let serving = hosts().find_map(|host| self.serving.get(host));
        let theirs = serving.and_then(|namespaces| {
            given().find(|given| namespaces.contains(given.ingress.namespace.as_str()))
        });
        theirs.or_else(|| given().next())
    }

    /// What is shown to who asks for a name. That of an Ingress without hosts is for names that
    /// are in it, and for who names none.
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let host = name.map(|name| Host::Exact(name.to_ascii_lowercase()));
        let named = host.as_ref().and_then(|host| self.first(host));
        let any = || {
            let any = self.first(&Host::Any);
            any.filter(|any| host.as_ref().is_none_or(|host| covers(&any.key, host)))
        };
        named.or_else(any).map(|given| &given.key)
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
    use crate::path::{PathType, RulePath};
    use crate::routes::Target;
    use k8s_openapi::ByteString;

    type ReadKey = Result<Arc<CertifiedKey>, String>;

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

    /// What the Ingresses `NAMESPACE/web` have for hosts, the oldest first.
    fn claims(claims: &[(&str, &str, &Arc<CertifiedKey>)]) -> Vec<(Claim, ReadKey)> {
        let claim = |(namespace, host, key): &(&str, &str, &Arc<CertifiedKey>)| {
            let claim = Claim {
                host: Host::new(host),
                secret: ObjectKey::new(*namespace, "certificate"),
                ingress: ObjectKey::new(*namespace, "web"),
            };
            (claim, Ok(Arc::clone(key)))
        };
        claims.iter().map(claim).collect()
    }

    /// Rules of the Ingresses `NAMESPACE/web` for hosts.
    fn routes(rules: &[(&str, &str)]) -> Routes {
        let mut routes = Routes::default();
        for (namespace, host) in rules {
            let target = Target {
                ingress: ObjectKey::new(*namespace, "web"),
                backend: None,
                to_https: false,
            };
            let path = RulePath::new(PathType::Prefix, &format!("/{namespace}"));
            routes.add(Host::new(host), path, Arc::new(target));
        }
        routes
    }

    fn is(shown: &Shown, name: Option<&str>, key: &Arc<CertifiedKey>) -> bool {
        shown
            .find(name)
            .is_some_and(|found| Arc::ptr_eq(found, key))
    }

    #[test]
    fn the_most_certain_name_goes_first() {
        let (exact, wild) = (made("x.a.b").1, made("*.a.b").1);
        let both = [("d", "x.a.b", &exact), ("d", "*.a.b", &wild)];
        let (shown, problems) = Shown::new(claims(&both), &Routes::default());
        assert_eq!(problems, []);
        assert!(is(&shown, Some("X.a.b"), &exact));
        assert!(is(&shown, Some("y.a.b"), &wild));
        assert!(shown.find(Some("y.x.a.b")).is_none() && shown.find(None).is_none());
    }

    #[test]
    fn without_hosts_it_is_for_the_names_in_it() {
        let (one, late) = (made("one.a").1, made("late.a").1);
        let both = [("d", "", &one), ("late", "", &late)];
        let (shown, problems) = Shown::new(claims(&both), &routes(&[("d", ""), ("late", "")]));
        assert!(is(&shown, Some("one.a"), &one) && is(&shown, None, &one));
        assert!(shown.find(Some("other.a")).is_none(), "it is not for all");
        assert_eq!(
            problems[0].message,
            "Secret late/certificate: it is not shown for *: that of Ingress d/web is"
        );
        assert_eq!(problems[0].ingress.namespace, "late");
    }

    #[test]
    fn what_is_for_other_names_is_in_nobodys_way() {
        let (wrong, right) = (made("else.b").1, made("a.b").1);
        let both = [("older", "a.b", &wrong), ("younger", "a.b", &right)];
        let (shown, problems) = Shown::new(claims(&both), &Routes::default());
        assert!(is(&shown, Some("a.b"), &right));
        let told: Vec<_> = problems.iter().map(|p| &*p.ingress.namespace).collect();
        assert_eq!(told, ["older"]);
    }

    #[test]
    fn whose_rules_serve_a_host_shows_its_certificate() {
        let (theirs, own, wild) = (made("x.a.b").1, made("x.a.b").1, made("*.a.b").1);
        let served = routes(&[("victim", "x.a.b")]);
        let both = [("older", "x.a.b", &theirs), ("victim", "x.a.b", &own)];
        let (shown, problems) = Shown::new(claims(&both), &served);
        assert!(is(&shown, Some("x.a.b"), &own));
        let told: Vec<_> = problems.iter().map(|p| &*p.ingress.namespace).collect();
        assert_eq!(told, ["older"]);
        // Its wildcard goes before what others have for the name.
        let both = [("older", "x.a.b", &theirs), ("victim", "*.a.b", &wild)];
        let (shown, _) = Shown::new(claims(&both), &served);
        assert!(is(&shown, Some("x.a.b"), &wild));
        // If it has none, that of a namespace which keeps certificates for others will do.
        let (shown, problems) = Shown::new(claims(&both[..1]), &served);
        assert!(is(&shown, Some("x.a.b"), &theirs) && problems.is_empty());
    }

    #[test]
    fn a_certificate_is_for_the_names_in_it() {
        let (_, wild) = made("*.a.b");
        assert!(covers(&wild, &Host::new("*.a.b")) && covers(&wild, &Host::new("x.a.b")));
        assert!(!covers(&wild, &Host::new("a.b")) && !covers(&wild, &Host::new("*.b")));
        assert!(covers(&wild, &Host::Any));
    }
}
