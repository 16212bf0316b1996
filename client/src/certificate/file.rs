//! A certificate and its key in one file, kept as Kubernetes' components keep
//! theirs: `NAME-current.pem` is a link to `NAME-DATE.pem`, and changes at once.

use super::{Life, Subject};
use crate::kubeconfig::Pem;
use crate::tls;
use jiff::Timestamp;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

/// How many former certificates are kept, to be looked at when something is wrong.
const KEPT: usize = 1;

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be written.
    #[error("cannot write {0}: {1}; check --cert-dir")]
    Write(PathBuf, io::Error),
    /// What is in it makes no sense.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Its certificate can't be read.
    #[error("{0}: not a certificate: {1}")]
    Certificate(PathBuf, String),
}

/// A certificate that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whom it is for.
    pub subject: Subject,
    /// The key id of who has signed it (RFC 5280, 4.2.1.1), if it says so.
    pub authority: Option<Vec<u8>>,
    /// How long it is good.
    pub life: Life,
}

impl Held {
    /// The certificate of a kubeconfig or of any other pair of files; the key
    /// must fit.
    ///
    /// # Errors
    /// If they can't be read, or don't fit together.
    pub fn read(certificate: &Pem, key: &Pem) -> Result<Self, FileError> {
        let (path, written) = match certificate {
            Pem::File(path) => (
                path.clone(),
                fs::metadata(path).and_then(|file| file.modified()).ok(),
            ),
            Pem::Inline(_) => (PathBuf::from("client-certificate-data"), None),
        };
        let pair = tls::certified_key(certificate, key)?;
        let leaf = pair.end_entity_cert();
        let wrong = |reason: String| FileError::Certificate(path.clone(), reason);
        let leaf = leaf.map_err(|e| wrong(e.to_string()))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(leaf).map_err(|e| wrong(e.to_string()))?;
        let time = |seconds: i64| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
        };
        let validity = parsed.validity();
        let from = time(validity.not_before.timestamp());
        let to = time(validity.not_after.timestamp());
        Ok(Self {
            subject: Subject::of(&parsed),
            authority: authority(&parsed),
            life: Life {
                from: written
                    .filter(|at| *at < to)
                    .map_or(from, |at| at.max(from)),
                good_from: from,
                to,
            },
        })
    }
}

fn authority(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref()?.0.to_vec()),
        _ => None,
    })
}

/// Who may read a file beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Owner,
    /// The group of the folder it is in, if that is one that hands its group
    /// on (mode 2750).
    Group,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Readers::Owner => 0o600,
            Readers::Group => 0o640,
        }
    }
}

/// Where a certificate is kept.
#[derive(Clone, Debug)]
pub struct CertificateFile {
    dir: PathBuf,
    name: String,
    readers: Readers,
}

impl CertificateFile {
    /// `NAME-current.pem` in a folder.
    pub fn new(dir: &Path, name: &str, readers: Readers) -> Self {
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            readers,
        }
    }

    /// The link to the certificate in use; its key is in the same file.
    pub fn current(&self) -> PathBuf {
        self.dir.join(format!("{}-current.pem", self.name))
    }

    /// The certificate that is there; `None` if there is none.
    ///
    /// # Errors
    /// If it can't be used.
    pub fn read(&self) -> Result<Option<Held>, FileError> {
        let file = Pem::File(self.current());
        match Held::read(&file, &file) {
            Ok(held) => Ok(Some(held)),
            Err(FileError::Tls(tls::Error::Read(error)))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a certificate and key in the place of the former ones.
    ///
    /// # Errors
    /// If they can't be written; the former ones then stay.
    pub fn write(&self, certificate: &str, key: &str, now: Timestamp) -> Result<(), FileError> {
        let dated = format!("{}-{}.pem", self.name, now.strftime("%Y-%m-%d-%H-%M-%S"));
        let path = self.dir.join(&dated);
        let failed = |error| FileError::Write(path.clone(), error);
        make_dir(&self.dir).map_err(failed)?;
        let content = format!("{certificate}{key}");
        write_private(&path, content.as_bytes(), self.readers).map_err(failed)?;
        self.link(&dated).map_err(failed)?;
        self.forget(&dated, now.into());
        Ok(())
    }

    /// Goes over to another certificate that is there and good where the one in use isn't: not
    /// yet, as after a clock that was ahead was put right, or no more, as after it was put
    /// right again. Says whether it has.
    ///
    /// # Errors
    /// If the link can't be changed.
    pub fn fall_back(&self, now: SystemTime) -> Result<bool, FileError> {
        let is_amiss = |held: Held| held.life.is_early(now) || held.life.is_over(now);
        if !self.read()?.is_some_and(is_amiss) {
            return Ok(false);
        }
        let mut newest_first = self.dated().into_iter().rev();
        let Some(good) = newest_first.find(|name| self.is_good(name, now)) else {
            return Ok(false);
        };
        let failed = |error| FileError::Write(self.current(), error);
        self.link(&good).map_err(failed)?;
        tracing::info!(
            file = good,
            "uses another certificate that is there: the clock was set"
        );
        Ok(true)
    }

    fn is_good(&self, dated: &str, now: SystemTime) -> bool {
        let file = Pem::File(self.dir.join(dated));
        Held::read(&file, &file).is_ok_and(|held| held.life.is_good(now))
    }

    /// Uses one of the dated files from now on.
    fn link(&self, dated: &str) -> io::Result<()> {
        let link = self.dir.join(format!("{}-updated.pem", self.name));
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(dated, &link)?;
        fs::rename(&link, self.current())
    }

    /// The dated files, oldest first.
    fn dated(&self) -> Vec<String> {
        let prefix = format!("{}-2", self.name);
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut all: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(&prefix) && name.ends_with(".pem"))
            .collect();
        all.sort();
        all
    }

    /// Removes all but the newest of the former certificates, or of those that are good:
    /// one of a clock that was ahead is the last to be of use.
    fn forget(&self, current: &str, now: SystemTime) {
        let mut former = self.dated();
        former.retain(|name| name != current);
        former.reverse();
        former.sort_by_key(|name| !self.is_good(name, now));
        for name in former.into_iter().skip(KEPT) {
            if let Err(error) = fs::remove_file(self.dir.join(&name)) {
                tracing::debug!(name, %error, "a former certificate stays");
            }
        }
    }
}

/// A folder for keys, and those above it.
fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a file that few may read: all of it, or nothing.
pub(super) fn write_private(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        make_dir(dir)?;
    }
    write_atomically(path, content, readers.mode())
}

/// Writes a file with this mode: all of it, or nothing.
pub(super) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::ops::Range;

    fn pair(name: &str) -> (String, String) {
        pair_within(name, 2020..2090)
    }

    /// One that is good from the beginning of a year to that of another.
    fn pair_within(name: &str, years: Range<i32>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn the_current_one_is_a_link_that_few_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = CertificateFile::new(&dir.path().join("pki"), "kubelet-client", Readers::Group);
        assert_eq!(file.read().unwrap(), None);
        for (name, at) in [("a", 1), ("b", 2), ("c", 3)] {
            let (certificate, key) = pair(name);
            let now = Timestamp::from_second(1_800_000_000 + at).unwrap();
            file.write(&certificate, &key, now).unwrap();
            let held = file.read().unwrap().unwrap();
            assert!(held.subject.names.contains(name));
        }
        let target = fs::read_link(file.current()).unwrap();
        let name = "kubelet-client-2027-01-15-08-00-03.pem";
        assert_eq!(target, Path::new(name));
        let mode = fs::metadata(file.current()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let mut all: Vec<_> = fs::read_dir(dir.path().join("pki"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        let former = "kubelet-client-2027-01-15-08-00-02.pem";
        assert_eq!(all, [former, name, "kubelet-client-current.pem"]);
    }

    #[test]
    fn life_begins_when_it_was_written_not_when_it_is_dated_back_to() {
        let dir = tempfile::tempdir().unwrap();
        let file = CertificateFile::new(dir.path(), "x", Readers::Owner);
        let (certificate, key) = pair("a");
        file.write(&certificate, &key, Timestamp::now()).unwrap();
        let life = file.read().unwrap().unwrap().life;
        let age = SystemTime::now().duration_since(life.from).unwrap();
        assert!(age < Duration::from_secs(600), "{age:?}");
    }

    #[test]
    fn a_former_one_is_used_while_the_one_in_use_is_not_good_yet() {
        let dir = tempfile::tempdir().unwrap();
        let file = CertificateFile::new(dir.path(), "x", Readers::Owner);
        let second = |second| Timestamp::from_second(second).unwrap();
        let write = |(certificate, key): (String, String), at| {
            file.write(&certificate, &key, second(at)).unwrap();
            let written = fs::File::options().write(true).open(file.current());
            written.unwrap().set_modified(second(at).into()).unwrap();
        };
        let in_use = || file.read().unwrap().unwrap().subject.names;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert!(!file.fall_back(now).unwrap(), "there is none");
        write(pair_within("former", 2020..2050), 1_800_000_000);
        assert!(!file.fall_back(now).unwrap(), "it is good");
        // The clock was years ahead.
        write(pair_within("early", 2040..2090), 2_220_000_000);
        assert!(in_use().contains("early"));
        assert!(file.fall_back(now).unwrap());
        assert!(in_use().contains("former"));
        // It was right before, and the former one has ended.
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(2_600_000_000);
        assert!(file.fall_back(later).unwrap());
        assert!(in_use().contains("early"));
        // Where there is no better one it stays.
        write(pair_within("early", 2040..2090), 2_220_000_000);
        fs::remove_file(dir.path().join("x-2027-01-15-08-00-00.pem")).unwrap();
        assert!(!file.fall_back(now).unwrap());
        assert!(in_use().contains("early"));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = CertificateFile::new(dir.path(), "x", Readers::Owner);
        file.write(&pair("a").0, &pair("a").1, Timestamp::now())
            .unwrap();
        assert!(file.read().is_err());
    }
}
