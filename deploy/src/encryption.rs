//! How the apiserver encrypts what it stores: a configuration with a random key.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::failure::{Failure, Result};
use crate::shell;

/// Name of the file in a lab's folder, and in /etc/hardway.
pub const FILE: &str = "encryption.yaml";

/// What stands above the configuration.
pub const HEADER: &str =
    "# How the apiserver encrypts what it stores. Who has the keys can read it all.
# The first key writes, all of them read: a new one is put in place by `hardway storage rotate-key`.
";

/// Makes the configuration exist. One that exists is left alone: without its
/// keys nobody could read what was stored with them.
pub fn ensure(path: &Path) -> Result<String> {
    if path.exists() {
        return Ok("kept".to_owned());
    }
    shell::write_file(path, configuration(&random()?).as_bytes(), 0o600)?;
    Ok("created".to_owned())
}

/// Secrets are encrypted; what was stored before stays readable.
fn configuration(secret: &[u8; 32]) -> String {
    let mut text = String::from(HEADER);
    let secret = BASE64_STANDARD.encode(secret);
    let _ = write!(
        text,
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: {secret}
  - identity: {{}}
"
    );
    text
}

/// Random bytes, good enough for a key.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Failure::new("make a key", "the system has no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(ensure(&path).unwrap(), "created");
        let text = shell::read_text(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(ensure(&path).unwrap(), "kept");
        assert_eq!(shell::read_text(&path).unwrap(), text);
        let key = text.lines().find_map(|l| l.trim().strip_prefix("secret: "));
        assert_eq!(BASE64_STANDARD.decode(key.unwrap()).unwrap().len(), 32);
        assert_ne!(text, configuration(&random().unwrap()));
    }
}
