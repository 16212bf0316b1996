//! Kubernetes' own end-to-end tests (`e2e.test`): what they are started with, what they say
//! while they run, and what their report says in the end.

pub mod images;
pub mod progress;
pub mod report;
pub mod tokens;
pub mod version;
