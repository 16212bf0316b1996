//! Certificates: a CA for the cluster, one for etcd, and a certificate for every
//! identity. What exists and is good is kept; what nears its end is renewed.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::failure::{Failure, OrFail, Result};
use crate::http::Identity;
use crate::plan::{CLUSTER_DOMAIN, Host, KUBERNETES_SERVICE, Role};
use crate::shell;

const YEAR: Duration = Duration::from_secs(365 * 86400);
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 86400);
/// Clocks of hosts differ a little; a new certificate must be valid everywhere.
const BACKDATED: Duration = Duration::from_secs(300);

/// Name of the cluster's CA.
pub const CLUSTER_CA: &str = "ca";
/// Name of etcd's CA, which nobody but etcd and apiserver uses.
pub const ETCD_CA: &str = "etcd-ca";

/// One certificate to have: who it is for and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// File name without ending.
    pub file: String,
    /// File name of its CA.
    pub ca: &'static str,
    /// The user name it carries.
    pub common_name: String,
    /// The groups it carries.
    pub organizations: Vec<String>,
    /// Names and addresses it may serve under.
    pub names: Vec<String>,
    /// May identify a server.
    pub server: bool,
    /// May identify a client.
    pub client: bool,
}

/// What the apiserver is called besides its host's name and address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiNames {
    /// Domain of the cluster.
    pub domain: String,
    /// Address of the Service `kubernetes`.
    pub service: Ipv4Addr,
    /// More names and addresses.
    pub extra: Vec<String>,
}

impl Default for ApiNames {
    fn default() -> Self {
        Self {
            domain: CLUSTER_DOMAIN.to_owned(),
            service: KUBERNETES_SERVICE,
            extra: Vec::new(),
        }
    }
}

/// All certificates of a cluster with these hosts.
pub fn leaves(hosts: &[Host]) -> Vec<Leaf> {
    let mut all = Vec::new();
    for host in hosts {
        match host.role {
            Role::ControlPlane => all.extend(of_control_plane(host, &ApiNames::default())),
            Role::Worker => all.extend(of_worker(host)),
        }
    }
    all
}

fn client(file: &str, ca: &'static str, common_name: &str, groups: &[&str]) -> Leaf {
    Leaf {
        file: file.to_owned(),
        ca,
        common_name: common_name.to_owned(),
        organizations: strings(groups),
        names: Vec::new(),
        server: false,
        client: true,
    }
}

fn server(file: &str, ca: &'static str, common_name: &str, names: Vec<String>) -> Leaf {
    Leaf {
        names,
        server: true,
        client: false,
        ..client(file, ca, common_name, &[])
    }
}

/// A component's certificate serves its health port as well.
fn both(file: &str, common_name: &str, names: Vec<String>) -> Leaf {
    Leaf {
        names,
        server: true,
        ..client(file, CLUSTER_CA, common_name, &[])
    }
}

/// What a host is called by others and by itself.
fn names_of(host: &Host) -> Vec<String> {
    strings(&[
        &host.name,
        &host.address.to_string(),
        "localhost",
        "127.0.0.1",
    ])
}

/// All certificates of a control plane's host.
pub fn of_control_plane(host: &Host, names: &ApiNames) -> Vec<Leaf> {
    let mut api_names = strings(&["kubernetes", "kubernetes.default", "kubernetes.default.svc"]);
    api_names.push(format!("kubernetes.default.svc.{}", names.domain));
    api_names.extend(names_of(host));
    api_names.push(names.service.to_string());
    api_names.extend(names.extra.iter().cloned());
    vec![
        // etcd talks to its peers with the certificate it serves with.
        Leaf {
            client: true,
            ..server("etcd-server", ETCD_CA, "etcd-server", names_of(host))
        },
        client(
            "apiserver-etcd-client",
            ETCD_CA,
            "kube-apiserver-etcd-client",
            &[],
        ),
        server("apiserver", CLUSTER_CA, "kube-apiserver", api_names),
        client(
            "apiserver-kubelet-client",
            CLUSTER_CA,
            "kube-apiserver-kubelet-client",
            &[],
        ),
        both(
            "controller-manager",
            "system:kube-controller-manager",
            names_of(host),
        ),
        both("scheduler", "system:kube-scheduler", names_of(host)),
        client("admin", CLUSTER_CA, "kubernetes-admin", &["system:masters"]),
    ]
}

fn of_worker(host: &Host) -> Vec<Leaf> {
    let file = |component: &str| format!("{component}-{}", host.name);
    let node = format!("system:node:{}", host.name);
    vec![
        client(&file("kubelet"), CLUSTER_CA, &node, &["system:nodes"]),
        server(
            &format!("{}-serving", file("kubelet")),
            CLUSTER_CA,
            &node,
            names_of(host),
        ),
        both(&file("kube-proxy"), "system:kube-proxy", names_of(host)),
        // Of its own node, which is all it may change.
        Leaf {
            organizations: strings(&["system:flannel-lite"]),
            ..both(
                &file("flannel-lite"),
                &format!("system:flannel-lite:{}", host.name),
                names_of(host),
            )
        },
    ]
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// The folder of certificates and keys.
#[derive(Debug, Clone)]
pub struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// The certificates in a folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Path of a certificate.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.crt"))
    }

    /// Path of a private key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// Whom these certificates let a client be.
    pub fn identity(&self, ca: &str, name: &str) -> Identity {
        Identity {
            ca: self.certificate(ca),
            certificate: self.certificate(name),
            key: self.key(name),
        }
    }

    /// Makes everything exist and be valid; tells how much was issued.
    pub fn ensure(&self, hosts: &[Host], now: SystemTime) -> Result<String> {
        self.ensure_leaves(&leaves(hosts), now)
    }

    /// The same for these certificates, the CAs and the key of service accounts.
    pub fn ensure_leaves(&self, all: &[Leaf], now: SystemTime) -> Result<String> {
        let mut issued = 0;
        let mut authorities = Vec::new();
        for (name, title) in [(CLUSTER_CA, "kubernetes-ca"), (ETCD_CA, "etcd-ca")] {
            if self.authority(name, now).is_err() {
                self.create_authority(name, title, now)?;
                issued += 1;
            }
            authorities.push((name, self.authority(name, now)?));
        }
        for leaf in all {
            let (_, authority) = authorities
                .iter()
                .find(|(name, _)| *name == leaf.ca)
                .expect("leaves name one of the two authorities");
            if !self.is_good(leaf, &authority.certificate, now) {
                self.issue(leaf, authority, now)?;
                issued += 1;
            }
        }
        if KeyPair::from_pem(&shell::read_text(&self.key("sa")).unwrap_or_default()).is_err() {
            let pair = generate()?;
            shell::write_file(&self.key("sa"), pair.serialize_pem().as_bytes(), 0o600)?;
            shell::write_file(
                &self.folder.join("sa.pub"),
                pair.public_key_pem().as_bytes(),
                0o644,
            )?;
            issued += 1;
        }
        Ok(if issued == 0 {
            format!("all {} kept", all.len() + 3)
        } else {
            format!("{issued} issued")
        })
    }

    fn authority(&self, name: &str, now: SystemTime) -> Result<Authority> {
        let pem = shell::read_text(&self.certificate(name))?;
        let key = shell::read_text(&self.key(name))?;
        let what = || format!("use CA {}", self.certificate(name).display());
        let pair = KeyPair::from_pem(&key).or_fail(what)?;
        let der = der_of(&pem)?;
        let (_, parsed) = X509Certificate::from_der(&der).or_fail(what)?;
        if !is_fresh(&parsed, now) {
            return Err(Failure::new(what(), "it is past two thirds of its life"));
        }
        if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
            return Err(Failure::new(what(), "its key does not belong to it"));
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, pair).or_fail(what)?;
        Ok(Authority {
            certificate: der,
            issuer,
        })
    }

    fn create_authority(&self, name: &str, title: &str, now: SystemTime) -> Result<()> {
        let what = || format!("create CA {name}");
        let pair = generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, title);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        set_life(&mut params, now, CA_LIFE);
        let certificate = params.self_signed(&pair).or_fail(what)?;
        self.store(name, &certificate.pem(), &pair)
    }

    fn issue(&self, leaf: &Leaf, authority: &Authority, now: SystemTime) -> Result<()> {
        let what = || format!("issue certificate {}", leaf.file);
        let pair = generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for organization in &leaf.organizations {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization.as_str());
        }
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.common_name.as_str());
        for name in &leaf.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().or_fail(what)?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if leaf.server {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if leaf.client {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, now, YEAR);
        let certificate = params.signed_by(&pair, &authority.issuer).or_fail(what)?;
        self.store(&leaf.file, &certificate.pem(), &pair)
    }

    fn store(&self, name: &str, certificate: &str, pair: &KeyPair) -> Result<()> {
        shell::write_file(&self.key(name), pair.serialize_pem().as_bytes(), 0o600)?;
        shell::write_file(&self.certificate(name), certificate.as_bytes(), 0o644)
    }

    /// Whether a stored certificate says what it should, by the CA in use, with
    /// its own key, and has a third of its life left.
    fn is_good(&self, leaf: &Leaf, authority: &[u8], now: SystemTime) -> bool {
        let stored = || -> Option<bool> {
            let der = der_of(&shell::read_text(&self.certificate(&leaf.file)).ok()?).ok()?;
            let pair = KeyPair::from_pem(&shell::read_text(&self.key(&leaf.file)).ok()?).ok()?;
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            let (_, authority) = X509Certificate::from_der(authority).ok()?;
            let describes = describe(&certificate, leaf);
            Some(
                describes == *leaf
                    && issued_by(&certificate, &authority)
                    && certificate.public_key().subject_public_key.data.as_ref()
                        == pair.public_key_raw()
                    && is_fresh(&certificate, now),
            )
        };
        stored().unwrap_or(false)
    }
}

struct Authority {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn generate() -> Result<KeyPair> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).or_fail(|| "generate a key")
}

fn set_life(params: &mut CertificateParams, now: SystemTime, life: Duration) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since.saturating_sub(BACKDATED);
    params.not_after = epoch + since + life;
}

/// The certificate in a PEM text.
pub fn der_of(pem: &str) -> Result<Vec<u8>> {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .or_fail(|| "read a certificate")?;
    Ok(der.as_ref().to_vec())
}

fn is_fresh(certificate: &X509Certificate<'_>, now: SystemTime) -> bool {
    let now = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        .cast_signed();
    let (from, until) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    now >= from && now < from + (until - from) / 3 * 2
}

/// Whether the certificate names this CA and this CA's key: a new CA of the same
/// name makes all old certificates bad.
fn issued_by(certificate: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    let named =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => None,
            });
    let own =
        authority
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            });
    certificate.issuer() == authority.subject() && named.is_some() && named == own
}

/// What a certificate says, in the terms of the wanted one.
fn describe(certificate: &X509Certificate<'_>, wanted: &Leaf) -> Leaf {
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        value.as_str().unwrap_or_default().to_owned()
    };
    let usage = certificate.extended_key_usage().ok().flatten();
    let names = certificate.subject_alternative_name().ok().flatten();
    Leaf {
        file: wanted.file.clone(),
        ca: wanted.ca,
        common_name: certificate.subject().iter_common_name().map(text).collect(),
        organizations: certificate
            .subject()
            .iter_organization()
            .map(text)
            .collect(),
        names: names
            .map(|names| names.value.general_names.iter().map(name_text).collect())
            .unwrap_or_default(),
        server: usage.as_ref().is_some_and(|usage| usage.value.server_auth),
        client: usage.as_ref().is_some_and(|usage| usage.value.client_auth),
    }
}

fn name_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => IpAddr::from([*a, *b, *c, *d]).to_string(),
        GeneralName::IPAddress(bytes) => match <[u8; 16]>::try_from(*bytes) {
            Ok(bytes) => IpAddr::from(bytes).to_string(),
            Err(_) => name.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::plan::Plan;

    fn hosts(workers: u8) -> Vec<Host> {
        Plan { index: 0, workers }.hosts()
    }

    fn leaf(file: &str) -> Leaf {
        leaves(&hosts(2))
            .into_iter()
            .find(|leaf| leaf.file == file)
            .unwrap()
    }

    #[test]
    fn identities_carry_kubernetes_names() {
        let kubelet = leaf("kubelet-worker-2");
        assert_eq!(kubelet.common_name, "system:node:worker-2");
        assert_eq!(kubelet.organizations, ["system:nodes"]);
        assert!(kubelet.client && !kubelet.server);
        let overlay = leaf("flannel-lite-worker-2");
        assert_eq!(overlay.common_name, "system:flannel-lite:worker-2");
        assert_eq!(overlay.organizations, ["system:flannel-lite"]);
        // Only people are above all rules; no process is.
        for leaf in leaves(&hosts(2)) {
            let master = leaf.organizations.iter().any(|o| o == "system:masters");
            assert_eq!(master, leaf.file == "admin", "{}", leaf.file);
        }
        assert_eq!(leaf("scheduler").common_name, "system:kube-scheduler");
        let names = leaf("apiserver").names;
        for name in [
            "kubernetes.default.svc.cluster.local",
            "10.96.0.1",
            "10.88.0.10",
            "localhost",
        ] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
    }

    #[test]
    fn stored_certificates_say_what_was_asked_and_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let now = SystemTime::now();
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "18 issued");
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "all 18 kept");
        for name in ["ca", "sa", "admin", "apiserver"] {
            let mode = std::fs::metadata(pki.key(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let der = der_of(&shell::read_text(&pki.certificate("apiserver")).unwrap()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(
            describe(&certificate, &leaf("apiserver")),
            leaf("apiserver")
        );
        assert!(!certificate.is_ca());
        // A changed plan, a lost key, another's key: only those are issued again.
        std::fs::remove_file(pki.key("scheduler")).unwrap();
        std::fs::copy(pki.key("admin"), pki.key("controller-manager")).unwrap();
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "2 issued");
        assert_eq!(pki.ensure(&hosts(3), now).unwrap(), "4 issued");
    }

    #[test]
    fn a_certificate_with_more_rights_than_planned_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let now = SystemTime::now();
        pki.ensure(&hosts(2), now).unwrap();
        let mut former = leaf("apiserver-kubelet-client");
        former.organizations = vec!["system:masters".into()];
        let authority = pki.authority(CLUSTER_CA, now).unwrap();
        pki.issue(&former, &authority, now).unwrap();
        assert!(pki.is_good(&former, &authority.certificate, now));
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "1 issued");
        assert!(!pki.is_good(&former, &authority.certificate, now));
    }

    #[test]
    fn renewed_at_two_thirds_of_life_and_after_a_new_ca() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let now = SystemTime::now();
        pki.ensure(&hosts(2), now).unwrap();
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 2).unwrap(),
            "all 18 kept"
        );
        // The authorities and the service account key outlive the 15 others.
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
            "15 issued"
        );
        std::fs::remove_file(pki.key(ETCD_CA)).unwrap();
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
            "3 issued"
        );
    }
}
