//! Certificates that a component asks the cluster for, with a
//! CertificateSigningRequest, and renews before they end.
//!
//! [`first_certificate`] sees to a kubeconfig with which the component can
//! connect at all: where there is none, it asks with another one (a node's, or
//! that of a bootstrap token). [`Renewal`] then keeps any certificate new. Both
//! write files ([`CertificateFile`]); who uses these follows them
//! ([`crate::tls`]).

mod authorities;
mod file;
mod first;
mod identities;
mod life;
mod renewal;
mod request;
mod subject;

pub use authorities::{Authorities, BundleError, take_up};
pub use file::{CertificateFile, FileError, Held, Readers};
pub use first::{Own, first_certificate};
pub use identities::{Identities, IdentityError};
pub use life::Life;
pub use renewal::Renewal;
pub use request::{Request, RequestError, issue};
pub use subject::Subject;

/// Certificates of kubelets as clients of the apiserver.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Certificates that kubelets serve with.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Certificates of other clients of the apiserver.
pub const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
