//! The keys of service accounts, from the files that flags name. Who replaces a key need not
//! restart anything: the files are followed.

use crate::flags::{FlagError, Flags, invalid, read};
use futures_util::future::select_all;
use hardway_access::tokens::SigningKey;
use hardway_access::{TokenIssuer, TokenVerifier};
use hardway_client::notify::Watch;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the files are looked at in any case: what they are links to may be in
/// folders that aren't watched.
const LOOK: Duration = Duration::from_secs(60);

const VERIFY: &str = "service-account-key-file";
const SIGN: &str = "service-account-signing-key-file";

/// Who verifies and who signs tokens, and from where they have their keys.
pub struct ServiceAccountKeys {
    /// Nobody, if there is no file.
    pub verifier: Option<Arc<TokenVerifier>>,
    /// Nobody, if there is no file.
    pub issuer: Option<Arc<TokenIssuer>>,
    verify: Vec<PathBuf>,
    sign: Option<PathBuf>,
}

impl ServiceAccountKeys {
    /// With the keys that are in the files now.
    ///
    /// # Errors
    /// If one of them can't be used.
    pub fn load(flags: &Flags) -> Result<Self, FlagError> {
        let sign = flags.service_account_signing_key_file.clone();
        let mut verify = flags.service_account_key_file.clone();
        if verify.is_empty() {
            verify.extend(sign.clone());
        }
        let verifier = match verify.is_empty() {
            true => None,
            false => Some(Arc::new(
                TokenVerifier::new(
                    &flags.service_account_issuer,
                    &texts(&verify)?,
                    flags.audiences(),
                )
                .map_err(|error| invalid(VERIFY, error))?,
            )),
        };
        let issuer = match &sign {
            None => None,
            Some(path) => Some(Arc::new(
                TokenIssuer::new(
                    &flags.service_account_issuer,
                    &text(SIGN, path)?,
                    flags.audiences(),
                )
                .map_err(|error| invalid(SIGN, error))?,
            )),
        };
        Ok(Self {
            verifier,
            issuer,
            verify,
            sign,
        })
    }

    /// Takes up what is written into the files, for ever. What can't be used is told of, once, and
    /// changes nothing.
    pub async fn follow(self) {
        let folders: BTreeSet<&Path> = self.files().filter_map(|file| file.parent()).collect();
        let folders = folders.into_iter().map(|folder| match folder {
            folder if folder == Path::new("") => Path::new("."),
            folder => folder,
        });
        let watches: Vec<Watch> = folders.map(Watch::new).collect();
        if watches.is_empty() {
            return std::future::pending().await;
        }
        let mut seen = None;
        loop {
            // Before the first wait, too: they may have changed since they were read.
            let now: Vec<_> = self.files().map(|file| std::fs::read(file).ok()).collect();
            if seen.replace(now.clone()).is_none_or(|before| before != now) {
                match self.take_up() {
                    Ok(()) => tracing::debug!("the keys of service accounts were read"),
                    Err(error) => tracing::error!(
                        %error,
                        "the keys of service accounts have changed but can't be used; those before stay in use"
                    ),
                }
            }
            let changed = select_all(watches.iter().map(|watch| Box::pin(watch.changed())));
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.verify.iter().chain(&self.sign)
    }

    fn take_up(&self) -> Result<(), FlagError> {
        if let Some(verifier) = &self.verifier {
            let replaced = verifier.replace_keys(&texts(&self.verify)?);
            replaced.map_err(|error| invalid(VERIFY, error))?;
        }
        if let (Some(issuer), Some(path)) = (&self.issuer, &self.sign) {
            let key = SigningKey::from_pem(&text(SIGN, path)?);
            let key = key.map_err(|error| invalid(SIGN, error))?;
            // Else this server would refuse what it has just signed.
            let id = key.public().id();
            if self.verifier.as_ref().is_some_and(|it| !it.knows(&id)) {
                return Err(invalid(SIGN, format!("--{VERIFY} lacks the key {id}")));
            }
            issuer.replace_key(key);
        }
        Ok(())
    }
}

fn texts(files: &[PathBuf]) -> Result<Vec<String>, FlagError> {
    files.iter().map(|file| text(VERIFY, file)).collect()
}

fn text(flag: &'static str, path: &Path) -> Result<String, FlagError> {
    String::from_utf8(read(flag, path)?).map_err(|_| invalid(flag, "the file is no PEM text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use rcgen::KeyPair;
    use std::time::Instant;

    #[tokio::test]
    async fn keys_follow_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let id = |key: &KeyPair| {
            SigningKey::from_pem(&key.serialize_pem())
                .unwrap()
                .public()
                .id()
        };
        let (old, new) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        std::fs::write(path("sa.pub"), old.public_key_pem()).unwrap();
        std::fs::write(path("sa.key"), old.serialize_pem()).unwrap();
        let flags = Flags::parse_from([
            "apiserver".to_owned(),
            "--etcd-servers=http://127.0.0.1:1".to_owned(),
            "--tls-cert-file=a".to_owned(),
            "--tls-private-key-file=b".to_owned(),
            "--client-ca-file=c".to_owned(),
            format!("--{VERIFY}={}", path("sa.pub").display()),
            format!("--{SIGN}={}", path("sa.key").display()),
        ]);
        let keys = ServiceAccountKeys::load(&flags).unwrap();
        let verifier = keys.verifier.clone().unwrap();
        let following = tokio::spawn(keys.follow());
        let until = async |what: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !what() {
                assert!(Instant::now() < deadline);
                tokio::task::yield_now().await;
            }
        };
        assert!(verifier.knows(&id(&old)) && !verifier.knows(&id(&new)));
        let both = old.public_key_pem() + &new.public_key_pem();
        std::fs::write(path("new"), both).unwrap();
        std::fs::rename(path("new"), path("sa.pub")).unwrap();
        until(&|| verifier.knows(&id(&new))).await;
        assert!(verifier.knows(&id(&old)));
        std::fs::write(path("sa.key"), new.serialize_pem()).unwrap();
        std::fs::write(path("new"), new.public_key_pem()).unwrap();
        std::fs::rename(path("new"), path("sa.pub")).unwrap();
        until(&|| !verifier.knows(&id(&old))).await;
        following.abort();
    }
}
