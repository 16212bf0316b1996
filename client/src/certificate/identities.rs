//! With which identity a certificate is asked for.

use super::{Held, Request, RequestError, issue};
use crate::Client;
use crate::kubeconfig::{Credentials, Kubeconfig};
use crate::tls;
use std::path::PathBuf;
use std::time::SystemTime;

/// Asks as the first of several identities that is good: a node's own, and
/// that of the token it joined with.
#[derive(Clone, Debug)]
pub struct Identities {
    /// Kubeconfigs, in order of preference.
    pub kubeconfigs: Vec<PathBuf>,
    /// Apiservers to use instead of theirs, if any.
    pub servers: Vec<String>,
}

/// Why a certificate can't be had now.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is nobody to ask as.
    #[error("no kubeconfig to ask for a certificate with: {}", .0.join("; "))]
    Nobody(Vec<String>),
    /// The certificates to ask with.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The answer.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a kubeconfig is of no use; nothing if it may be.
pub(super) fn complaint(config: &Kubeconfig, now: SystemTime) -> Option<String> {
    let Credentials::Certificate { certificate, key } = &config.credentials else {
        return None;
    };
    match Held::read(certificate, key) {
        Ok(held) if held.life.is_over(now) => Some("its certificate has expired".into()),
        Ok(held) if held.life.is_early(now) => {
            Some("its certificate isn't good yet; compare the clocks of the hosts".into())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

impl Identities {
    /// The kubeconfig to ask with.
    ///
    /// # Errors
    /// If there is none that is good.
    pub fn kubeconfig(&self, now: SystemTime) -> Result<Kubeconfig, IdentityError> {
        let mut reasons = Vec::new();
        for path in &self.kubeconfigs {
            let reason = match Kubeconfig::load(path) {
                Ok(mut config) => match complaint(&config, now) {
                    None => {
                        if !self.servers.is_empty() {
                            config.servers.clone_from(&self.servers);
                        }
                        return Ok(config);
                    }
                    Some(reason) => format!("{}: {reason}", path.display()),
                },
                Err(error) => error.to_string(),
            };
            reasons.push(reason);
        }
        Err(IdentityError::Nobody(reasons))
    }

    /// Asks for a certificate and waits for it; gives certificate and key.
    ///
    /// # Errors
    /// If there is none within 15 minutes.
    pub async fn ask(&self, request: &Request) -> Result<(String, String), IdentityError> {
        let config = self.kubeconfig(SystemTime::now())?;
        let client = Client::new(&config, "hardway-certificates")?;
        Ok(issue(&client, request).await?)
    }
}
