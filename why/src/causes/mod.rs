//! What may be wrong, a file for each cause, and the table of them.

mod api_service;
mod autoscaler;
mod budget;
mod certificate;
mod claim;
mod condition;
mod config;
mod containers;
mod crash;
mod create;
mod deleting;
pub(crate) mod dns;
mod image;
mod ingress;
mod job;
mod node;
mod pending;
mod probe;
mod quota;
mod refused;
mod rollout;
mod rotation;
mod service;
mod webhook;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::Object;

pub(crate) use certificate::of_certificates;

/// In [`Cause::kinds`]: objects of every kind.
pub(crate) const ANY: &str = "*";

/// Something that may be wrong with objects of some kinds.
pub struct Cause {
    /// Its name in answers: `image`, `pending`.
    pub name: &'static str,
    /// What it finds, in a line.
    pub about: &'static str,
    /// The kinds it is asked about.
    pub kinds: &'static [&'static str],
    /// The kinds it reads besides.
    pub reads: &'static [&'static str],
    find: for<'a> fn(&Cluster<'a>, &Object<'a>) -> Vec<Finding>,
}

/// Every cause.
pub static CAUSES: &[Cause] = &[
    pending::CAUSE,
    image::CAUSE,
    config::CAUSE,
    crash::CAUSE,
    probe::CAUSE,
    refused::CAUSE,
    rollout::CAUSE,
    create::CAUSE,
    job::CAUSE,
    service::CAUSE,
    dns::CAUSE,
    ingress::CAUSE,
    claim::CAUSE,
    quota::CAUSE,
    autoscaler::CAUSE,
    budget::CAUSE,
    node::CAUSE,
    deleting::CAUSE,
    webhook::CAUSE,
    api_service::CAUSE,
    condition::CAUSE,
    certificate::CAUSE,
    rotation::CAUSE,
];

/// What a cause has found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub cause: &'static str,
    pub finding: Finding,
}

/// All that is wrong with an object itself.
pub(crate) fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Found> {
    let concerns = |cause: &&Cause| {
        cause
            .kinds
            .iter()
            .any(|it| *it == ANY || *it == object.kind)
    };
    let all = CAUSES.iter().filter(concerns);
    all.flat_map(|cause| {
        let found = (cause.find)(cluster, object).into_iter();
        found.map(|finding| Found {
            cause: cause.name,
            finding,
        })
    })
    .collect()
}

/// Whether something that began then has lasted longer than starting usually takes.
fn lasts(cluster: &Cluster<'_>, since: Option<Timestamp>, seconds: i64) -> bool {
    since.is_none_or(|since| cluster.seconds_since(since) >= seconds)
}
