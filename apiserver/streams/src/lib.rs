//! What passes through the apiserver as a stream: exec, attach, port-forward,
//! logs, and the proxy subresources.
//!
//! - [`upgrade::proxy`]: `kubectl exec|attach|port-forward`, over SPDY or
//!   WebSocket, to the kubelet's SPDY endpoints.
//! - [`http_proxy::forward`]: plain HTTP (and any upgrade) to a kubelet, pod
//!   or service, bodies streaming both ways.
//!
//! The server that calls these must serve connections with upgrades enabled.

mod bridge;
mod connect;
pub mod http_proxy;
pub mod spdy;
mod tunnel;
pub mod upgrade;
mod websocket;

pub use connect::{Body, BoxError, Unreachable, Upstream};
