//! Admission policies, in Common Expression Language: ValidatingAdmissionPolicy and
//! MutatingAdmissionPolicy, with their bindings. They are compiled when they are written
//! ([`followed`]), and cost a request nothing that they don't concern.
//!
//! A policy concerns a request by its `matchConstraints` and a binding's `matchResources`; is
//! evaluated once for each binding and each of its parameters ([`params`]); and sees objects in
//! the version that its rules name ([`shown`]).

pub(super) mod asked;
mod binding;
pub(super) mod evaluation;
mod followed;
mod host;
mod mutating;
mod params;
mod policy;
mod refusal;
pub(super) mod request;
mod shown;
mod stage;
mod subject;
#[cfg(test)]
pub(super) mod tests;
mod validating;

pub use host::{Check, ConditionsCheck, Enforcement, ErrorType, Host, ParamResource};
pub use mutating::Mutating;
pub use validating::Validating;
