//! The files of a key that is rotated: who is believed (certificates of CAs, or public keys) in
//! one, the key that signs in another, and beside them the next key and the former one.

use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::steps::{Id, State, Step};
use crate::failure::{Failure, OrFail, Result};
use crate::pki::{self, CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA, Pki};
use crate::shell;

/// What can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The cluster's CA
    Ca,
    /// etcd's CA
    EtcdCa,
    /// The CA of the apiserver as a proxy in front of aggregated API servers
    FrontProxyCa,
    /// The key that signs tokens of service accounts
    #[value(skip)]
    ServiceAccounts,
}

/// The CAs, in the order in which they are gone through.
pub const CAS: [Kind; 3] = [Kind::Ca, Kind::EtcdCa, Kind::FrontProxyCa];

impl Kind {
    /// Its files' name without ending.
    pub fn file(self) -> &'static str {
        match self {
            Kind::Ca => CLUSTER_CA,
            Kind::EtcdCa => ETCD_CA,
            Kind::FrontProxyCa => FRONT_PROXY_CA,
            Kind::ServiceAccounts => "sa",
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ca => "the cluster's CA",
            Kind::EtcdCa => "etcd's CA",
            Kind::FrontProxyCa => "the front proxy's CA",
            Kind::ServiceAccounts => "the key of service accounts",
        }
    }
}

/// The files of one of them.
#[derive(Debug)]
pub struct Material<'a> {
    pki: &'a Pki,
    kind: Kind,
}

impl<'a> Material<'a> {
    /// Those in a folder.
    pub fn new(pki: &'a Pki, kind: Kind) -> Self {
        Self { pki, kind }
    }

    fn public(&self, suffix: &str) -> PathBuf {
        let name = format!("{}{suffix}", self.kind.file());
        match self.kind {
            Kind::ServiceAccounts => self.pki.key(&name).with_extension("pub"),
            _ => self.pki.certificate(&name),
        }
    }

    fn key(&self, suffix: &str) -> PathBuf {
        self.pki.key(&format!("{}{suffix}", self.kind.file()))
    }

    /// What there is.
    ///
    /// # Errors
    /// If the file of who is believed, or the key that signs, can't be used.
    pub fn state(&self) -> Result<State> {
        let text = shell::read_text(&self.public(""))?;
        let believed: Result<Vec<Id>> = blocks(&text).iter().map(|block| id(block)).collect();
        Ok(State {
            believed: believed?,
            signs: id_of_key(&shell::read_text(&self.key(""))?)?,
            next: self.beside(NEXT),
            former: self.beside(FORMER),
        })
    }

    /// The key with this suffix, if it is there with what belongs to it: whoever was stopped
    /// between the two has made nothing yet.
    fn beside(&self, suffix: &str) -> Option<Id> {
        let key = id_of_key(&shell::read_text(&self.key(suffix)).ok()?).ok()?;
        let public = shell::read_text(&self.public(suffix)).ok()?;
        (id(&public).ok()? == key).then_some(key)
    }

    /// The PEM of one that is believed or to be believed.
    ///
    /// # Errors
    /// If there is none of this id.
    pub fn public_of(&self, wanted: &Id) -> Result<String> {
        for suffix in ["", NEXT, FORMER] {
            let text = shell::read_text(&self.public(suffix)).unwrap_or_default();
            let found = |block: &String| id(block).is_ok_and(|id| id == *wanted);
            if let Some(block) = blocks(&text).into_iter().find(found) {
                return Ok(block);
            }
        }
        Err(Failure::new(
            format!("find {}", self.kind.name()),
            format!("there is none with the id {wanted}"),
        ))
    }

    /// The private key with this id, as PEM; nothing if it isn't here.
    pub fn key_of(&self, wanted: &Id) -> Option<String> {
        ["", NEXT, FORMER].into_iter().find_map(|suffix| {
            let text = shell::read_text(&self.key(suffix)).ok()?;
            (id_of_key(&text).ok()? == *wanted).then_some(text)
        })
    }

    /// All who are believed, as PEM.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn bundle(&self) -> Result<String> {
        shell::read_text(&self.public(""))
    }

    /// Takes a step. Those who follow the files see every one of them as a whole.
    ///
    /// # Errors
    /// If a file can't be read or written; then the step is still to be taken.
    pub fn apply(&self, step: Step, now: SystemTime) -> Result<()> {
        let state = self.state()?;
        match step {
            Step::Make => {
                let (public, key) = match self.kind {
                    Kind::ServiceAccounts => pki::new_key()?,
                    _ => pki::new_authority(self.kind.file(), now)?,
                };
                self.keep(NEXT, &public, &key)
            }
            Step::Believe => {
                let next = shell::read_text(&self.public(NEXT))?;
                let mut all = blocks(&self.bundle()?);
                all.push(next);
                self.believe(&all)
            }
            Step::KeepFormer | Step::KeepNext => {
                let suffix = match step {
                    Step::KeepFormer => FORMER,
                    _ => NEXT,
                };
                let key = shell::read_text(&self.key(""))?;
                self.keep(suffix, &self.public_of(&state.signs)?, &key)
            }
            Step::Switch | Step::SwitchBack => {
                let suffix = match step {
                    Step::Switch => NEXT,
                    _ => FORMER,
                };
                let key = shell::read_text(&self.key(suffix))?;
                shell::write_file(&self.key(""), key.as_bytes(), 0o600)
            }
            Step::PutFirst => {
                let mut all = blocks(&self.bundle()?);
                all.sort_by_key(|block| id(block).ok().as_ref() != Some(&state.signs));
                self.believe(&all)
            }
            Step::Drop => self.believe(&[self.public_of(&state.signs)?]),
            Step::ForgetNext => self.forget(NEXT),
            Step::ForgetFormer => self.forget(FORMER),
        }
    }

    fn believe(&self, all: &[String]) -> Result<()> {
        shell::write_file(&self.public(""), all.concat().as_bytes(), 0o644)
    }

    fn keep(&self, suffix: &str, public: &str, key: &str) -> Result<()> {
        shell::write_files(&[
            (&self.key(suffix), key.as_bytes(), 0o600),
            (&self.public(suffix), public.as_bytes(), 0o644),
        ])
    }

    fn forget(&self, suffix: &str) -> Result<()> {
        shell::remove(&self.key(suffix))?;
        shell::remove(&self.public(suffix))?;
        Ok(())
    }
}

/// What the names of the next key's files end in.
const NEXT: &str = "-next";
/// The same of the former key's.
const FORMER: &str = "-former";

/// The sections of a PEM text, each with its first and last line.
pub fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") {
            block = Some(String::new());
        }
        if let Some(block) = &mut block {
            block.push_str(line);
            block.push('\n');
        }
        if line.starts_with("-----END ") {
            all.extend(block.take());
        }
    }
    all
}

/// The id of a certificate's key, or of a public key.
///
/// # Errors
/// If the text is neither.
pub fn id(pem: &str) -> Result<Id> {
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) {
        return Ok(id_of_info(&info));
    }
    let what = || "read a certificate or public key";
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).or_fail(what)?;
    id_of_certificate(&certificate)
}

/// The id of a certificate's key.
///
/// # Errors
/// If it is no certificate.
pub fn id_of_certificate(der: &[u8]) -> Result<Id> {
    let (_, certificate) = X509Certificate::from_der(der).or_fail(|| "read a certificate")?;
    Ok(id_of_info(certificate.public_key().raw))
}

/// As the header of a token names its key.
fn id_of_info(info: &[u8]) -> Id {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(info))
}

fn id_of_key(pem: &str) -> Result<Id> {
    let pair = KeyPair::from_pem(pem).or_fail(|| "read a private key")?;
    id(&pair.public_key_pem())
}

/// So much of an id as tells keys apart for a person.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::steps::{Goal, Stage, next, stage};
    use super::*;

    fn folder() -> (tempfile::TempDir, Pki) {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path());
        pki.ensure(&[], SystemTime::now()).unwrap();
        (folder, pki)
    }

    #[test]
    fn files_go_through_all_steps_and_back() {
        let (folder, pki) = folder();
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let before = names();
        for kind in [CAS.as_slice(), &[Kind::ServiceAccounts]].concat() {
            let material = Material::new(&pki, kind);
            let first = material.state().unwrap();
            let walk = |goal| {
                let mut count = 0;
                while let Some((step, _)) = next(&material.state().unwrap(), goal) {
                    if step == Step::Make && count > 0 {
                        break;
                    }
                    material.apply(step, SystemTime::now()).unwrap();
                    // Whoever looks meanwhile finds that who signs is believed.
                    let state = material.state().unwrap();
                    assert!(state.believed.contains(&state.signs), "{step:?}");
                    count += 1;
                }
            };
            walk(Goal::Sign);
            let state = material.state().unwrap();
            assert_eq!(stage(&state), Stage::Sign);
            assert_ne!(state.signs, first.signs);
            walk(Goal::Back);
            assert_eq!(material.state().unwrap(), first, "{kind:?}");
            walk(Goal::Drop);
            let last = material.state().unwrap();
            assert_eq!(stage(&last), Stage::Settled);
            assert_ne!(last.signs, first.signs);
            let mode = material.key("").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(names(), before, "nothing is left over");
        // What is there is good: nothing is made anew.
        let said = pki.ensure(&[], SystemTime::now()).unwrap();
        assert!(said.ends_with("kept"), "{said}");
    }

    #[test]
    fn a_key_that_was_not_finished_is_made_again() {
        let (_folder, pki) = folder();
        let material = Material::new(&pki, Kind::Ca);
        material.apply(Step::Make, SystemTime::now()).unwrap();
        shell::remove(&material.public(NEXT)).unwrap();
        assert_eq!(material.state().unwrap().next, None);
        let other = shell::read_text(&material.public("")).unwrap();
        std::fs::write(material.public(NEXT), other).unwrap();
        assert_eq!(material.state().unwrap().next, None);
        material.apply(Step::Make, SystemTime::now()).unwrap();
        assert!(material.state().unwrap().next.is_some());
    }
}
