//! The file in which shared files travel where there is no API to fetch them from: when the CAs of
//! a cluster have ended, its etcd has no majority until most hosts have the new ones. It is
//! encrypted as the Secret is, so that it may go any way.

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::{CertificateKey, SharedKeys, mode};
use crate::failure::{Failure, OrFail, Result};
use crate::pki::{AUTHORITY_NAMES, have_ended};
use crate::shell;

/// Its name, below /etc/hardway.
pub const NAME: &str = "recovered-keys.json";

/// Writes the shared files of this host, and gives the new key that opens them.
///
/// # Errors
/// If one is missing, or it can't be written.
pub fn write(etc: &Path) -> Result<CertificateKey> {
    let key = CertificateKey::random()?;
    let sealed = Value::Object(SharedKeys::read(etc)?.seal(&key)?);
    shell::write_file(&etc.join(NAME), sealed.to_string().as_bytes(), 0o600)?;
    Ok(key)
}

/// Reads those that another host has written.
///
/// # Errors
/// If there is no such file, or the key isn't the one that was printed with it.
pub fn read(file: &Path, key: &CertificateKey) -> Result<SharedKeys> {
    let what = || format!("read the keys in {}", file.display());
    let sealed: Value = serde_json::from_str(&shell::read_text(file)?).or_fail(what)?;
    SharedKeys::open(&sealed, key)
}

impl SharedKeys {
    /// Writes the CAs that differ from those of this host to /etc/hardway, and says which.
    ///
    /// # Errors
    /// If they are another cluster's, or have ended; then nothing is changed.
    pub fn write_authorities(&self, etc: &Path, now: SystemTime) -> Result<Vec<&'static str>> {
        let what = "take over the CAs of another control plane";
        // What never ends, and is of one cluster only.
        if shell::read_text(&etc.join("pki/sa.pub"))?.as_bytes() != self.content("sa.pub")? {
            return Err(Failure::new(
                what,
                "they are another cluster's: its key of service accounts is not this host's",
            ));
        }
        let (mut files, mut changed) = (Vec::new(), Vec::new());
        for name in AUTHORITY_NAMES {
            let certificate = self.content(&format!("{name}.crt"))?;
            if have_ended(&String::from_utf8_lossy(certificate), now)? {
                return Err(Failure::new(what, format!("{name} has ended, too"))
                    .way_out("where they come from:  hardway certificates recover --hand-over"));
            }
            let mut differs = false;
            for kind in ["crt", "key"] {
                let path = format!("pki/{name}.{kind}");
                let content = self.content(&format!("{name}.{kind}"))?;
                differs |= std::fs::read(etc.join(&path)).ok().as_deref() != Some(content);
                files.push((etc.join(&path), content, mode(&path)));
            }
            changed.extend(differs.then_some(name));
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, content, mode)| (path.as_path(), *content, *mode))
            .collect();
        shell::write_files(&files)?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::super::tests::host;
    use super::*;
    use crate::pki::{CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA, Pki};

    /// Later than the end of every CA that is made today.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(20 * 366 * 24 * 3600)
    }

    /// Two control planes of one cluster, whose CAs have ended by then.
    fn two() -> (tempfile::TempDir, tempfile::TempDir) {
        let (one, other) = (host(), tempfile::tempdir().unwrap());
        let keys = SharedKeys::read(one.path()).unwrap();
        keys.write(other.path()).unwrap();
        (one, other)
    }

    fn text(etc: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(etc.path().join("pki").join(name)).unwrap()
    }

    #[test]
    fn cas_that_one_host_has_made_anew_are_those_of_the_others() {
        let (one, other) = two();
        let pki = |etc: &tempfile::TempDir| Pki::new(&etc.path().join("pki"));
        assert_eq!(pki(&one).replace_ended(later()).unwrap().len(), 3);
        let former = text(&other, "etcd-ca.crt");

        let key = write(one.path()).unwrap();
        let file = one.path().join(NAME);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert!(!fs::read_to_string(&file).unwrap().contains("BEGIN"));
        let keys = read(&file, &key).unwrap();
        let changed = keys.write_authorities(other.path(), later()).unwrap();
        assert_eq!(changed, [CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA]);
        assert_ne!(text(&other, "etcd-ca.crt"), former);
        for name in ["ca", "etcd-ca", "front-proxy-ca"] {
            for kind in ["crt", "key"] {
                let name = format!("{name}.{kind}");
                assert_eq!(text(&other, &name), text(&one, &name), "{name}");
            }
            assert_eq!(mode(&other.path().join(format!("pki/{name}.key"))), 0o600);
        }
        // They are good, and sign on either host; done again, nothing is to be done.
        assert!(pki(&other).replace_ended(later()).unwrap().is_empty());
        pki(&other).ensure(&[], later()).unwrap();
        let again = keys.write_authorities(other.path(), later()).unwrap();
        assert!(again.is_empty(), "{again:?}");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (one, other) = two();
        let before = text(&other, "ca.crt");
        let refused = |etc: &tempfile::TempDir, now| {
            let key = write(etc.path()).unwrap();
            let keys = read(&etc.path().join(NAME), &key).unwrap();
            keys.write_authorities(other.path(), now).unwrap_err()
        };
        let failure = refused(&one, later());
        assert!(failure.why.contains("has ended, too"), "{failure}");
        let failure = refused(&host(), SystemTime::now());
        assert!(failure.why.contains("another cluster's"), "{failure}");
        assert_eq!(text(&other, "ca.crt"), before);
        write(one.path()).unwrap();
        let wrong = CertificateKey::random().unwrap();
        let failure = read(&one.path().join(NAME), &wrong).unwrap_err();
        assert!(failure.why.contains("another key"), "{failure}");
    }
}
