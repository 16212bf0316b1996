//! What the end-to-end tests share: stock kubectl, the lab's hosts, plain HTTP and
//! TLS, terminals, waiting, and cleaning up; hosts with a system of their own, and the
//! commands that pages of the documentation tell a reader to type on them.
//!
//! The tests themselves are in `tests/`, one file for each subject. They need a lab
//! (`cargo hardway test` brings one up) and are ignored without it. Everything here
//! panics where a test would: what went wrong is then the test's failure.

pub mod attacks;
pub mod cleanup;
pub mod dice;
pub mod history;
pub mod host;
pub mod http;
pub mod kubectl;
pub mod lab;
pub mod load;
pub mod manifest;
pub mod metrics_server;
pub mod own_lab;
pub mod page;
pub mod pods;
pub mod program;
pub mod steps;
pub mod terminal;
pub mod text;
pub mod tls;
pub mod traffic;
pub mod wait;
pub mod workload;

pub use cleanup::{Deferred, Namespace, defer};
pub use kubectl::Kubectl;
pub use lab::Lab;
pub use wait::{until, within};
