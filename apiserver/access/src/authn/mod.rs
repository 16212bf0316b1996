//! Authentication: who sends a request.

use crate::{Attributes, Objects, TokenVerifier, User};
use hardway_proto::Status;
use http::HeaderMap;
use rustls_pki_types::CertificateDer;
use std::sync::Arc;

/// All ways to prove an identity.
pub struct Authenticator {
    objects: Arc<dyn Objects>,
    tokens: Option<Arc<TokenVerifier>>,
}

/// A wish to act as somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// Who to act as.
    pub user: User,
}

impl Impersonation {
    /// What the impersonator must be allowed, all of it.
    pub fn checks<'a>(&'a self, _by: &'a User) -> Vec<Attributes<'a>> {
        Vec::new()
    }
}

impl Authenticator {
    /// Reads tokens' subjects from `objects`.
    pub fn new(objects: Arc<dyn Objects>, tokens: Option<Arc<TokenVerifier>>) -> Self {
        Self { objects, tokens }
    }

    /// Who sends a request with these headers over a connection with this
    /// client certificate (already verified against the client CA). 401 if
    /// nobody is proven.
    pub fn authenticate(
        &self,
        _headers: &HeaderMap,
        _peer: Option<&CertificateDer>,
    ) -> Result<User, Status> {
        let _ = (&self.objects, &self.tokens);
        Err(Status::unauthorized())
    }

    /// Like [`authenticate`](Self::authenticate), but lets everybody without
    /// credentials see health and version as `system:anonymous`.
    pub fn authenticate_path(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&CertificateDer>,
    ) -> Result<User, Status> {
        let _ = path;
        self.authenticate(headers, peer)
    }
}

/// Who the `Impersonate-*` headers ask to act as, if they do.
pub fn impersonate(_user: &User, _headers: &HeaderMap) -> Result<Option<Impersonation>, Status> {
    Ok(None)
}
