//! The controllers: each brings one part of the cluster from what it is to
//! what its objects say it should be. One file per controller; what they
//! share is [`informers`] and [`context`].

pub mod context;
pub mod informers;

pub mod account_tokens;
mod adoption;
mod amounts;
mod attach_detach;
mod bootstrap_signer;
mod bootstrap_tokens;
mod certificates;
mod changed_file;
mod cluster_role_aggregation;
mod conflicts;
mod controller_revision;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod endpoint_hints;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod ephemeral_volume;
mod expectations;
mod garbage_collector;
mod hashes;
pub mod horizontal_pod_autoscaler;
mod job;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod out_of_service;
mod ownership;
mod pod_control;
mod pod_gc;
mod pod_ranking;
mod replication;
mod resource_quota;
mod root_ca;
mod scale;
mod selectors;
mod service_account;
mod service_endpoints;
mod statefulset;
mod taint_eviction;
#[cfg(test)]
mod testing;
mod token_cleaner;
mod ttl;
mod ttl_after_finished;
mod volume_binding;
mod volume_expand;
mod volume_protection;
mod written;

use context::Context;
use hardway_client::task;
use informers::Informers;
use std::pin::Pin;

/// A controller's work; runs until dropped.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs all controllers until dropped, e.g. because leadership was lost.
pub async fn run(context: Context) {
    let mut informers = Informers::new(&context.client);
    let mut tasks = task::Group::default();
    let mut start = |name, work: Work| tasks.add(task::spawn_critical(name, work));
    let (seen, with) = (&mut informers, &context);
    start(
        "replicationcontroller",
        replication::replication_controllers(seen, with),
    );
    start("replicaset", replication::replica_sets(seen, with));
    start("deployment", deployment::register(seen, with));
    start("statefulset", statefulset::register(seen, with));
    start("daemonset", daemonset::register(seen, with));
    start("job", job::register(seen, with));
    start("cronjob", cronjob::register(seen, with));
    start(
        "ttl-after-finished",
        ttl_after_finished::register(seen, with),
    );
    start("ttl", ttl::register(seen, with));
    start("endpoints", endpoints::register(seen, with));
    start("endpointslice", endpoint_slice::register(seen, with));
    start(
        "endpointslice-mirroring",
        endpoint_slice_mirroring::register(seen, with),
    );
    start("namespace", namespace::register(seen, with));
    start("nodelifecycle", node_lifecycle::register(seen, with));
    start("taint-eviction", taint_eviction::register(seen, with));
    start("pod-garbage-collector", pod_gc::register(seen, with));
    start("disruption", disruption::register(seen, with));
    start(
        "horizontalpodautoscaler",
        horizontal_pod_autoscaler::register(seen, with),
    );
    start("resourcequota", resource_quota::register(seen, with));
    start(
        "persistentvolume-binder",
        volume_binding::register(seen, with),
    );
    start("attachdetach", attach_detach::register(seen, with));
    start("ephemeral-volume", ephemeral_volume::register(seen, with));
    start("volume-expand", volume_expand::register(seen, with));
    start("volume-protection", volume_protection::register(seen, with));
    start("serviceaccount", service_account::register(seen, with));
    start("bootstrapsigner", bootstrap_signer::register(seen, with));
    start("tokencleaner", token_cleaner::register(seen, with));
    start(
        "clusterrole-aggregation",
        cluster_role_aggregation::register(seen, with),
    );
    start("garbage-collector", garbage_collector::register(with));
    // Flags say which of these there are.
    let optional = [
        ("root-ca", root_ca::register(seen, with)),
        ("serviceaccount-token", account_tokens::register(seen, with)),
        ("node-ipam", node_ipam::register(seen, with)),
        ("certificates", certificates::register(seen, with)),
    ];
    for (name, work) in optional {
        if let Some(work) = work {
            start(name, work);
        }
    }
    informers.start(&mut tasks);
    // A task that panics ends the process: see `task`.
    std::future::pending().await
}
