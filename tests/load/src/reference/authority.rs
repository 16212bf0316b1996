//! A CA made for the occasion, and who is who by its certificates. Nothing of it outlives
//! the folder it is written to.

use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::Kubeconfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A CA, whose certificate is `ca.crt` in its folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, as PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// Makes one, with what servers and administrators need beside it: `server.crt` for the
    /// loopback, `admin.crt` for a master, their keys, and `sa.key` and `sa.pub` for service
    /// accounts' tokens.
    ///
    /// # Errors
    /// If the folder can't be written to.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let fail = |error| unmade("a CA", &error);
        let mut params = CertificateParams::new(Vec::new()).map_err(fail)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "hardway-load");
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.self_signed(&key).map_err(fail)?;
        let authority = Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, key),
        };
        authority.write("ca.crt", &certificate.pem())?;
        let tokens = KeyPair::generate().map_err(fail)?;
        authority.write("sa.key", &tokens.serialize_pem())?;
        authority.write("sa.pub", &tokens.public_key_pem())?;
        for (file, name, groups) in [
            ("server", "kube-apiserver", &[][..]),
            ("admin", "admin", &["system:masters"]),
            ("scheduler", "system:kube-scheduler", &[]),
        ] {
            let identity = authority.sign(name, groups)?;
            authority.write(&format!("{file}.crt"), &identity.certificate)?;
            authority.write(&format!("{file}.key"), &identity.key)?;
        }
        Ok(authority)
    }

    /// Makes a certificate for a user in some groups, with which they may also serve on the
    /// loopback.
    ///
    /// # Errors
    /// If the name can't be in a certificate.
    pub fn sign(&self, name: &str, groups: &[&str]) -> Result<Identity, Failure> {
        let fail = |error| unmade(name, &error);
        let addresses = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(addresses).map_err(fail)?;
        params.distinguished_name.push(DnType::CommonName, name);
        for group in groups {
            let kind = DnType::OrganizationName;
            params.distinguished_name.push(kind, *group);
        }
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the kubeconfig of `user`, who has a certificate among the files, for a server
    /// on a port of the loopback.
    ///
    /// # Errors
    /// If the folder can't be written to.
    pub fn kubeconfig(&self, user: &str, port: u16) -> Result<PathBuf, Failure> {
        let file = |name: String| self.folder.join(name);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "load",
            "clusters": [{"name": "load", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": file("ca.crt".into()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate": file(format!("{user}.crt")),
                "client-key": file(format!("{user}.key")),
            }}],
            "contexts": [{"name": "load", "context": {"cluster": "load", "user": user}}],
        });
        let name = format!("{user}.kubeconfig");
        self.write(&name, &config.to_string())?;
        Ok(self.file(&name))
    }

    /// The same for somebody who is in no file.
    ///
    /// # Errors
    /// If the CA's certificate is no longer there.
    pub fn inline(&self, identity: &Identity, port: u16) -> Result<Kubeconfig, Failure> {
        let fail = |error: &dyn ToString| {
            let way_out = "the folder must stay while it is used";
            Failure::new("make a kubeconfig", error.to_string(), way_out)
        };
        let ca = std::fs::read(self.file("ca.crt")).map_err(|error| fail(&error))?;
        let config = json!({
            "current-context": "load",
            "clusters": [{"name": "load", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority-data": BASE64.encode(ca),
            }}],
            "users": [{"name": "load", "user": {
                "client-certificate-data": BASE64.encode(&identity.certificate),
                "client-key-data": BASE64.encode(&identity.key),
            }}],
            "contexts": [{"name": "load", "context": {"cluster": "load", "user": "load"}}],
        });
        serde_json::from_value(config).map_err(|error| fail(&error))
    }

    /// Writes a file that only its owner may read.
    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.file(name);
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| {
                let what = format!("write {}", path.display());
                Failure::new(what, error, "TMPDIR names another folder for what is made")
            })
    }
}

fn unmade(whose: &str, error: &rcgen::Error) -> Failure {
    let what = format!("make a certificate for {whose}");
    Failure::new(
        what,
        error,
        "its name must be one that certificates can have",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_for_their_owner_alone_and_kubeconfigs_name_files_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path()).unwrap();
        for name in ["admin.key", "server.key", "scheduler.key", "sa.key"] {
            let mode = std::fs::metadata(authority.file(name)).unwrap();
            assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
        }
        let path = authority.kubeconfig("admin", 7).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://127.0.0.1:7");
        let user = &config["users"][0]["user"];
        for file in [
            &cluster["certificate-authority"],
            &user["client-certificate"],
            &user["client-key"],
        ] {
            let pem = std::fs::read_to_string(file.as_str().unwrap()).unwrap();
            assert!(pem.starts_with("-----BEGIN "), "{file}");
        }
    }
}
