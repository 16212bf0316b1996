//! Certificates: a CA for the cluster, one for etcd, one for the apiserver as a proxy in
//! front of others, and a certificate for every identity. What exists and is good is kept; certificates past two thirds of their
//! life are renewed. A CA is good to its end: with another one nothing that it has
//! signed would be.

use std::net::IpAddr;
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
use crate::plan::Host;
use crate::shell;

mod leaves;

pub use leaves::{ApiNames, Leaf, leaves, of_control_plane};

/// How long certificates are good.
pub const YEAR: Duration = Duration::from_secs(365 * 86400);
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 86400);
/// Clocks of hosts differ a little; a new certificate must be valid everywhere.
const BACKDATED: Duration = Duration::from_secs(300);
/// Of those that live short no more than this part, as a divisor, has passed when
/// they are new.
const SHORTENED: u32 = 10;

/// Name of the cluster's CA.
pub const CLUSTER_CA: &str = "ca";
/// Name of etcd's CA, which nobody but etcd and apiserver uses.
pub const ETCD_CA: &str = "etcd-ca";

/// Name of the front proxy's CA: who has its certificate is believed by other API servers
/// when it says who asks.
pub const FRONT_PROXY_CA: &str = "front-proxy-ca";

/// The CAs, and what they are called in their certificates.
const AUTHORITIES: [(&str, &str); 3] = [
    (CLUSTER_CA, "kubernetes-ca"),
    (ETCD_CA, "etcd-ca"),
    (FRONT_PROXY_CA, "front-proxy-ca"),
];

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
        for (name, title) in AUTHORITIES {
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
                .expect("leaves name one of the authorities");
            if !self.is_good(leaf, authority, now) {
                self.issue(leaf, authority, now, YEAR)?;
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
            format!("all {} kept", all.len() + AUTHORITIES.len() + 1)
        } else {
            format!("{issued} issued")
        })
    }

    /// Issues anew, good for `life`, those of these certificates that are due, or
    /// `every` one. The CAs must be there: they are never made anew.
    ///
    /// # Errors
    /// If a CA can't sign, or a file can't be written; what was done by then stays.
    pub fn renew(
        &self,
        all: &[Leaf],
        now: SystemTime,
        life: Duration,
        every: bool,
    ) -> Result<Vec<Renewed>> {
        let authority = |name: &str| {
            self.authority(name, now).map_err(|failure| {
                failure.way_out(
                    "certificates are renewed where the CAs' keys are, on the host where `hardway init` was done; bring the key back from where you keep it",
                )
            })
        };
        // Clusters made before there were aggregated API servers have none.
        let front_proxy = [self.certificate(FRONT_PROXY_CA), self.key(FRONT_PROXY_CA)];
        if front_proxy.iter().all(|file| !file.exists()) {
            self.create_authority(FRONT_PROXY_CA, FRONT_PROXY_CA, now)?;
        }
        let authorities = [
            (CLUSTER_CA, authority(CLUSTER_CA)?),
            (ETCD_CA, authority(ETCD_CA)?),
            (FRONT_PROXY_CA, authority(FRONT_PROXY_CA)?),
        ];
        let renew = |leaf: &Leaf| {
            let (_, authority) = authorities
                .iter()
                .find(|(name, _)| *name == leaf.ca)
                .expect("leaves name one of the authorities");
            let is_new = every || !self.is_good(leaf, authority, now);
            if is_new {
                self.issue(leaf, authority, now, life)?;
            }
            let text = shell::read_text(&self.certificate(&leaf.file))?;
            let (_, ends) = validity(&der_of(&text)?)?;
            Ok(Renewed {
                file: leaf.file.clone(),
                is_new,
                ends,
            })
        };
        let mut done = all.iter().map(renew).collect::<Result<Vec<_>>>()?;
        done.extend(authorities.map(|(name, authority)| Renewed {
            file: name.to_owned(),
            is_new: false,
            ends: authority.ends,
        }));
        Ok(done)
    }

    fn authority(&self, name: &str, now: SystemTime) -> Result<Authority> {
        let pem = shell::read_text(&self.certificate(name))?;
        let key = shell::read_text(&self.key(name))?;
        let what = || format!("use CA {}", self.certificate(name).display());
        let pair = KeyPair::from_pem(&key).or_fail(what)?;
        let der = der_of(&pem)?;
        let (_, parsed) = X509Certificate::from_der(&der).or_fail(what)?;
        let ends = parsed.validity().not_after.timestamp();
        if seconds(now) > ends {
            return Err(Failure::new(what(), "it has expired"));
        }
        if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
            return Err(Failure::new(what(), "its key does not belong to it"));
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, pair).or_fail(what)?;
        Ok(Authority {
            certificate: der,
            ends,
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
        set_life(&mut params, now, CA_LIFE, i64::MAX);
        let certificate = params.self_signed(&pair).or_fail(what)?;
        self.store(name, &certificate.pem(), &pair)
    }

    fn issue(
        &self,
        leaf: &Leaf,
        authority: &Authority,
        now: SystemTime,
        life: Duration,
    ) -> Result<()> {
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
        set_life(&mut params, now, life, authority.ends);
        let certificate = params.signed_by(&pair, &authority.issuer).or_fail(what)?;
        self.store(&leaf.file, &certificate.pem(), &pair)
    }

    fn store(&self, name: &str, certificate: &str, pair: &KeyPair) -> Result<()> {
        let key = pair.serialize_pem();
        // One after the other: for this moment they don't fit together.
        shell::write_files(&[
            (&self.key(name), key.as_bytes(), 0o600),
            (&self.certificate(name), certificate.as_bytes(), 0o644),
        ])
    }

    /// Whether a stored certificate says what it should, by the CA in use, with
    /// its own key, and has a third of its life left.
    fn is_good(&self, leaf: &Leaf, authority: &Authority, now: SystemTime) -> bool {
        let stored = || -> Option<bool> {
            let der = der_of(&shell::read_text(&self.certificate(&leaf.file)).ok()?).ok()?;
            let pair = KeyPair::from_pem(&shell::read_text(&self.key(&leaf.file)).ok()?).ok()?;
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            let (_, authority) = X509Certificate::from_der(&authority.certificate).ok()?;
            let (from, ends) = validity(&der).ok()?;
            let describes = describe(&certificate, leaf);
            Some(
                describes == *leaf
                    && issued_by(&certificate, &authority)
                    && certificate.public_key().subject_public_key.data.as_ref()
                        == pair.public_key_raw()
                    && !is_due(from, ends, seconds(now)),
            )
        };
        stored().unwrap_or(false)
    }
}

/// A certificate after a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// File name without ending.
    pub file: String,
    /// Whether it was issued anew.
    pub is_new: bool,
    /// Its last second, since 1970.
    pub ends: i64,
}

struct Authority {
    certificate: Vec<u8>,
    /// Its last second, since 1970.
    ends: i64,
    issuer: Issuer<'static, KeyPair>,
}

fn generate() -> Result<KeyPair> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).or_fail(|| "generate a key")
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().cast_signed()
}

/// Good for so long from now on, but no longer than to the second `latest`.
fn set_life(params: &mut CertificateParams, now: SystemTime, life: Duration, latest: i64) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let latest = Duration::from_secs(latest.try_into().unwrap_or(0));
    params.not_before = epoch + since.saturating_sub(BACKDATED.min(life / SHORTENED));
    params.not_after = epoch + (since + life).min(latest);
}

/// The certificate in a PEM text.
pub fn der_of(pem: &str) -> Result<Vec<u8>> {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .or_fail(|| "read a certificate")?;
    Ok(der.as_ref().to_vec())
}

/// A certificate's first and last second, since 1970.
fn validity(der: &[u8]) -> Result<(i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(der).or_fail(|| "read a certificate")?;
    let validity = certificate.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

/// Whether a certificate with this first and last second is to be replaced: two thirds
/// of its life have passed.
fn is_due(from: i64, ends: i64, now: i64) -> bool {
    now < from || now >= from + (ends - from) / 3 * 2
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
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "20 issued");
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "all 20 kept");
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
        pki.issue(&former, &authority, now, YEAR).unwrap();
        assert!(pki.is_good(&former, &authority, now));
        assert_eq!(pki.ensure(&hosts(2), now).unwrap(), "1 issued");
        assert!(!pki.is_good(&former, &authority, now));
    }

    #[test]
    fn renewed_at_two_thirds_of_life_and_after_a_new_ca() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let now = SystemTime::now();
        pki.ensure(&hosts(2), now).unwrap();
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 2).unwrap(),
            "all 20 kept"
        );
        // The authorities and the service account key outlive the 16 others.
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
            "16 issued"
        );
        std::fs::remove_file(pki.key(ETCD_CA)).unwrap();
        assert_eq!(
            pki.ensure(&hosts(2), now + YEAR / 4 * 3).unwrap(),
            "3 issued"
        );
    }
    #[test]
    fn due_at_two_thirds_of_its_life() {
        let at = |now| is_due(1000, 1300, now);
        assert!(!at(1000) && !at(1199));
        assert!(at(1200) && at(1300) && at(5000));
        // The clock was wrong when it was made, or is now.
        assert!(at(999));
    }

    #[test]
    fn only_what_is_due_is_renewed_and_keeps_its_owner_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let (all, now) = (leaves(&hosts(0)), SystemTime::now());
        pki.ensure(&hosts(0), now).unwrap();
        let hour = Duration::from_secs(3600);
        let news = |done: Vec<Renewed>| -> Vec<String> {
            let new = done.into_iter().filter(|it| it.is_new);
            new.map(|it| it.file).collect()
        };
        let renew = |now, every| news(pki.renew(&all, now, hour, every).unwrap());
        assert!(renew(now + YEAR / 2, false).is_empty());
        // A service that isn't root reads its key by its group.
        let mode = |name: &str| {
            let file = std::fs::metadata(pki.key(name)).unwrap();
            file.permissions().mode() & 0o777
        };
        let for_its_group = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(pki.key("scheduler"), for_its_group).unwrap();
        let ca = std::fs::read(pki.certificate(CLUSTER_CA)).unwrap();
        assert_eq!(renew(now, true).len(), all.len());
        assert_eq!((mode("scheduler"), mode("apiserver")), (0o640, 0o600));
        assert_eq!(std::fs::read(pki.certificate(CLUSTER_CA)).unwrap(), ca);
        assert!(renew(now + hour / 2, false).is_empty());
        assert_eq!(renew(now + hour / 4 * 3, false).len(), all.len());
        std::fs::remove_file(pki.certificate("admin")).unwrap();
        assert_eq!(renew(now + hour, false), ["admin"]);
        let left_over = std::fs::read_dir(folder.path()).unwrap();
        let mut names = left_over.map(|entry| entry.unwrap().file_name());
        assert!(!names.any(|name| name.to_string_lossy().ends_with(".new")));
    }

    #[test]
    fn a_ca_signs_to_its_end_and_is_never_made_anew_by_a_renewal() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        let (all, now) = (leaves(&hosts(0)), SystemTime::now());
        pki.ensure(&hosts(0), now).unwrap();
        let late = now + CA_LIFE - Duration::from_secs(86400);
        let ca = pki.authority(CLUSTER_CA, late).unwrap();
        for renewed in pki.renew(&all, late, YEAR, false).unwrap() {
            assert_eq!(
                renewed.is_new,
                !["ca", "etcd-ca", "front-proxy-ca"].contains(&&*renewed.file)
            );
            assert!(renewed.ends <= ca.ends + 60, "{renewed:?}");
        }
        let over = pki
            .renew(&all, now + CA_LIFE + YEAR, YEAR, false)
            .unwrap_err();
        assert_eq!(over.why, "it has expired");
        std::fs::remove_file(pki.key(ETCD_CA)).unwrap();
        let lost = pki.renew(&all, now, YEAR, true).unwrap_err();
        assert!(lost.way_out.unwrap().contains("bring the key back"));
        assert!(!pki.key(ETCD_CA).exists());
        // A cluster from before there was a front proxy gets its CA; one that has lost a half
        // of it doesn't.
        let pki = Pki::new(&folder.path().join("other"));
        pki.ensure(&hosts(0), now).unwrap();
        let files = [
            pki.certificate(FRONT_PROXY_CA),
            pki.key(FRONT_PROXY_CA),
            pki.certificate("front-proxy-client"),
        ];
        for file in &files {
            std::fs::remove_file(file).unwrap();
        }
        let done = pki.renew(&all, now, YEAR, false).unwrap();
        let new: Vec<&str> = done
            .iter()
            .filter(|it| it.is_new)
            .map(|it| it.file.as_str())
            .collect();
        assert_eq!(new, ["front-proxy-client"]);
        std::fs::remove_file(&files[1]).unwrap();
        assert!(pki.renew(&all, now, YEAR, true).is_err());
    }
}
