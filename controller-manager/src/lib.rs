//! The controllers: each brings one part of the cluster from what it is to
//! what its objects say it should be. One file per controller; what they
//! share is [`informers`] and [`context`].

pub mod context;
pub mod informers;

pub mod account_tokens;
mod adoption;
mod certificates;
mod conflicts;
mod deployment;
mod disruption;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod expectations;
mod garbage_collector;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod pod_gc;
mod pod_ranking;
mod replication;
mod root_ca;
mod service_account;
mod service_endpoints;
mod taint_eviction;
mod volume_protection;

use context::Context;
use informers::Informers;
use std::pin::Pin;
use tokio::task::JoinSet;

/// A controller's work; runs until dropped.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs all controllers until dropped, e.g. because leadership was lost.
pub async fn run(context: Context) {
    let mut informers = Informers::new(&context.client);
    let mut controllers: Vec<Work> = vec![
        replication::replication_controllers(&mut informers, &context),
        replication::replica_sets(&mut informers, &context),
        deployment::register(&mut informers, &context),
        endpoints::register(&mut informers, &context),
        endpoint_slice::register(&mut informers, &context),
        endpoint_slice_mirroring::register(&mut informers, &context),
        namespace::register(&mut informers, &context),
        node_lifecycle::register(&mut informers, &context),
        taint_eviction::register(&mut informers, &context),
        pod_gc::register(&mut informers, &context),
        disruption::register(&mut informers, &context),
        volume_protection::register(&mut informers, &context),
        service_account::register(&mut informers, &context),
        garbage_collector::register(&context),
    ];
    controllers.extend(root_ca::register(&mut informers, &context));
    controllers.extend(account_tokens::register(&mut informers, &context));
    controllers.extend(node_ipam::register(&mut informers, &context));
    controllers.extend(certificates::register(&mut informers, &context));
    let mut tasks: JoinSet<()> = controllers.into_iter().collect();
    informers.start(&mut tasks);
    // A controller that panicked is gone: end all, so that the process shows it.
    if let Some(Err(error)) = tasks.join_next().await {
        tracing::error!(%error, "a controller failed");
    }
}
