//! Certificates: a CA for the cluster, one for etcd, one for the apiserver as a proxy in
//! front of others, and a certificate for every identity. What exists and is good is kept; certificates past two thirds of their
//! life are renewed. A CA is good to its end: with another one nothing that it has
//! signed would be. One is replaced step by step ([`crate::rotation`]); meanwhile its file has
//! both certificates, and its key says which of them signs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::failure::{Failure, OrFail, Result};
use crate::http::Identity;
use crate::plan::Host;
use crate::shell;

mod leaves;
mod reading;

pub use leaves::{ApiNames, Leaf, leaves, of_control_plane};
pub use reading::{all_of, begins, der_of, have_ended, is_issued_by};
use reading::{describe, is_due, issued_by, validity};

/// How long certificates are good.
pub const YEAR: Duration = Duration::from_secs(365 * 86400);
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 86400);
/// Clocks of hosts differ a little; a new certificate must be valid everywhere.
pub const BACKDATED: Duration = Duration::from_secs(300);
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

/// The names of all CAs.
pub const AUTHORITY_NAMES: [&str; 3] = [CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA];

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
        for (name, _) in AUTHORITIES {
            if self.authority(name, now).is_err() {
                self.create_authority(name, now)?;
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
            let (public, key) = new_key()?;
            shell::write_file(&self.key("sa"), key.as_bytes(), 0o600)?;
            shell::write_file(&self.folder.join("sa.pub"), public.as_bytes(), 0o644)?;
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
            self.authority(name, now).map_err(|failure| match failure.way_out {
                Some(_) => failure,
                None => failure.way_out(
                    "certificates are renewed where the CAs' keys are, on the hosts of the control plane; bring the key back from where you keep it",
                ),
            })
        };
        // Clusters made before there were aggregated API servers have none.
        let front_proxy = [self.certificate(FRONT_PROXY_CA), self.key(FRONT_PROXY_CA)];
        if front_proxy.iter().all(|file| !file.exists()) {
            self.create_authority(FRONT_PROXY_CA, now)?;
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
        let what = || format!("use CA {}", self.certificate(name).display());
        let (der, pair) = self.authority_at_any_time(name)?;
        let (_, ends) = validity(&der)?;
        if seconds(now) > ends {
            return Err(Failure::new(what(), "it has expired")
                .way_out("replace it:  hardway certificates recover, on the control plane"));
        }
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), pair).or_fail(what)?;
        Ok(Authority {
            certificate: der,
            ends,
            issuer,
        })
    }

    /// The CA's key, and its certificate among those in the file.
    fn authority_at_any_time(&self, name: &str) -> Result<(Vec<u8>, KeyPair)> {
        let bundle = shell::read_text(&self.certificate(name))?;
        let key = shell::read_text(&self.key(name))?;
        let what = || format!("use CA {}", self.certificate(name).display());
        let pair = KeyPair::from_pem(&key).or_fail(what)?;
        let own = |der: &Vec<u8>| {
            X509Certificate::from_der(der).is_ok_and(|(_, parsed)| {
                parsed.public_key().subject_public_key.data.as_ref() == pair.public_key_raw()
            })
        };
        match all_of(&bundle)?.into_iter().find(own) {
            Some(der) => Ok((der, pair)),
            None => Err(Failure::new(what(), "its key does not belong to it")),
        }
    }

    /// Makes those CAs anew that have ended, and gives their names. Nothing that they have signed
    /// is good any more, so there is nothing to keep.
    ///
    /// # Errors
    /// If the key of one isn't here, or a file can't be written.
    pub fn replace_ended(&self, now: SystemTime) -> Result<Vec<&'static str>> {
        let mut replaced = Vec::new();
        for (name, _) in AUTHORITIES {
            let (der, _) = self.authority_at_any_time(name)?;
            let (_, ends) = validity(&der)?;
            if seconds(now) > ends {
                self.create_authority(name, now)?;
                replaced.push(name);
            }
        }
        Ok(replaced)
    }

    fn create_authority(&self, name: &str, now: SystemTime) -> Result<()> {
        let (certificate, key) = new_authority(name, now)?;
        self.store(name, &certificate, &key)
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
        self.store(&leaf.file, &certificate.pem(), &pair.serialize_pem())
    }

    fn store(&self, name: &str, certificate: &str, key: &str) -> Result<()> {
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

/// A new CA of this name: its certificate and its key, as PEM.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_authority(name: &str, now: SystemTime) -> Result<(String, String)> {
    let what = || format!("create CA {name}");
    let known = AUTHORITIES.iter().find(|(known, _)| *known == name);
    let title = known.map_or(name, |(_, title)| title);
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
    Ok((certificate.pem(), pair.serialize_pem()))
}

/// A new key: its public half and itself, as PEM.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_key() -> Result<(String, String)> {
    let pair = generate()?;
    Ok((pair.public_key_pem(), pair.serialize_pem()))
}

/// A client's certificate by a CA, good for ten minutes, that is nobody's: with it one sees
/// whether a server believes the CA. Gives the certificate and its key, as PEM.
///
/// # Errors
/// If the CA can't sign.
pub fn of_nobody(ca: &str, key: &str, now: SystemTime) -> Result<(String, String)> {
    let what = || "issue a certificate to ask with";
    let issuer =
        Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(key).or_fail(what)?).or_fail(what)?;
    let pair = generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "hardway:nobody");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, Duration::from_secs(600), i64::MAX);
    let certificate = params.signed_by(&pair, &issuer).or_fail(what)?;
    Ok((certificate.pem(), pair.serialize_pem()))
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

#[cfg(test)]
mod tests;
