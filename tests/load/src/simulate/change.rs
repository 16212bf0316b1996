//! What changes in a cluster while its nodes are well: pods move, and with them endpoints.

use super::World;
use super::objects::{self, NAMESPACE};
use crate::api::{Api, Call, Patch};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How long a pod lives that comes while it is measured.
const LIFE: Duration = Duration::from_secs(5);

/// Moves an address of one Service after the other, so often a second, for as long as it is
/// polled.
pub async fn endpoints(api: Api, rate: f64, services: u64, world: Arc<World>) {
    let version = world.slices;
    let slices = format!("/apis/discovery.k8s.io/{version}/namespaces/{NAMESPACE}/endpointslices");
    let mut going = JoinSet::new();
    let mut turns = every(rate);
    for turn in 0.. {
        turns.tick().await;
        let number = turn % services;
        let path = format!("{slices}/{}", objects::service_name(number));
        let call = Call::patch(path, Patch::Merge, &objects::moved(number, turn));
        let (api, world) = (api.clone(), world.clone());
        going.spawn(async move { world.tally.wrote(api.send(&call).await) });
        while going.try_join_next().is_some() {}
    }
}

/// Gives pods to one node after the other, so often a second, and takes each away again, for
/// as long as it is polled.
pub async fn pods(api: Api, rate: f64, nodes: u64, world: Arc<World>) {
    let collection = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let mut going = JoinSet::new();
    let mut turns = every(rate);
    for turn in 0.. {
        turns.tick().await;
        let name = format!("passing-{nodes}-{turn}");
        let pod = objects::pod(&name, &objects::node_name(turn * 7 % nodes));
        let create = Call::post(&collection, &pod);
        let delete = Call::delete(format!("{collection}/{name}?gracePeriodSeconds=0"));
        let (api, world) = (api.clone(), world.clone());
        going.spawn(async move {
            world.tally.wrote(api.send(&create).await);
            tokio::time::sleep(LIFE).await;
            world.tally.wrote(api.send(&delete).await);
        });
        while going.try_join_next().is_some() {}
    }
}

fn every(rate: f64) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    interval
}
