//! What passes through the apiserver as a stream: exec, attach, port-forward,
//! logs, and the proxy subresources.
//!
//! - [`upgrade::proxy`]: `kubectl exec|attach|port-forward`, over SPDY or
//!   WebSocket, to the kubelet's SPDY endpoints.
//! - [`http_proxy::forward`]: plain HTTP (and any upgrade) to a kubelet, pod
//!   or service, bodies streaming both ways. [`http_proxy::expose`]: the
//!   same, seen by the client below another path.
//! - [`messages::Handshake`]: a log or a watch as the messages of a WebSocket.
//!
//! The server that calls these must serve connections with upgrades enabled.

mod bridge;
mod connect;
pub mod http_proxy;
mod links;
pub mod messages;
pub mod spdy;
mod tunnel;
pub mod upgrade;
mod websocket;

pub use connect::{Body, BoxError, Unreachable, Upstream, wanted_upgrade};
pub use tunnel::Held;
