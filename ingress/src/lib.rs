//! The ingress controller: Services behind host names and paths.
//!
//! [`rules`] reads what Ingresses ask for, and says what can't be had; [`routes`] is the table
//! that leads from a host and a [`path`] to a Service, [`backends`] from the Service to the
//! addresses of its pods, [`certificates`] from a name to what is shown for it. All of this is
//! pure. [`watching`] makes it of the API's objects whenever they change.
//!
//! [`server`] answers: [`forward`] finds who is meant, with [`headers`] and [`bodies`] made fit,
//! when it is its turn ([`endpoint_turns`]), over connections that [`upstream`] keeps, and
//! [`tunnel`] carries what is no HTTP any more.
//! One of the replicas writes into the Ingresses where they are reached, and records events of
//! what can't be had ([`status`]).

pub mod backends;
pub mod bodies;
pub mod certificates;
pub mod endpoint_turns;
pub mod forward;
pub mod headers;
pub mod metrics;
pub mod path;
pub mod routes;
pub mod rules;
pub mod server;
pub mod settings;
pub mod status;
pub mod tunnel;
pub mod upstream;
pub mod watching;
