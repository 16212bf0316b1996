//! The operator's side of hardway: certificates, kubeconfigs, images, and a lab
//! of several hosts on one machine, each a network namespace of its own.

// A reader that goes away (`hardway status | head`) is no failure: std's macros panic then.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod addons;
pub mod api;
pub mod backup;
pub mod binaries;
pub mod call;
pub mod cli;
pub mod commands;
pub mod compile;
pub mod components;
pub mod conformance;
pub mod doctor;
pub mod encryption;
pub mod etcd;
pub mod failure;
pub mod health;
pub mod host;
pub mod http;
pub mod images;
pub mod kubeconfig;
pub mod lab;
pub mod output;
pub mod packages;
pub mod packaging;
pub mod person;
pub mod pki;
pub mod plan;
pub mod profiles;
pub mod progress;
pub mod rotation;
pub mod shell;
pub mod tunnel;
pub mod tutorial;
pub mod upgrade;
pub mod watch;
