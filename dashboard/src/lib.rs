//! The dashboard's server: the page, the Kubernetes API as the viewer may use it, and changes
//! pushed as they happen. What it answers is in `API.md`.
//!
//! It runs in one of two ways. Locally it is a process of the viewer's that acts with the
//! viewer's kubeconfig ([`local`]); as an add-on it is a pod without any permission, to which
//! viewers bring their tokens ([`add_on`]). Either way a request is made for a [`viewer::Viewer`].

pub mod add_on;
pub mod api;
pub mod assets;
pub mod body;
pub mod cluster;
pub mod dashboard;
pub mod failure;
pub mod flags;
pub mod headers;
pub mod live;
pub mod local;
mod local_health;
pub mod logins;
pub mod metrics;
pub mod origin;
pub mod pass_through;
pub mod problems;
pub mod router;
pub mod session;
pub mod sessions;
pub mod viewer;
pub mod websocket;
pub mod who_can;
