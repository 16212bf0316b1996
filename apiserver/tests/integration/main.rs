//! The apiserver over real sockets, on a real etcd: one program for all, for each takes its
//! time to be linked.

mod aggregated_objects;
mod aggregation;
mod audit;
mod clients;
mod common;
mod consistency;
mod conversion;
mod definitions;
mod delegation;
mod encryption;
mod failover;
mod fairness;
mod golden;
mod joining;
mod nodes;
mod objects;
mod odd;
mod other_cluster;
mod outcomes;
mod over_rest;
mod pods;
mod policies;
mod protobuf;
mod protocols;
mod refusals;
mod renewal;
mod restoring;
mod space;
mod starting;
mod steps;
mod timeouts;
mod versions;
mod warnings;
mod watching;
mod webhooks;
