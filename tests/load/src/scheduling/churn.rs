//! What comes and goes while pods are scheduled: a node, a Service, and a pod that fits
//! nowhere, one of each. Each time the scheduler has to see whether pods that wait fit now.

use super::case::Shape;
use super::nodes::{self, NODES};
use super::objects;
use crate::api::Call;
use crate::failure::{Failure, OrFail};
use crate::workload::Context;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often something comes or goes.
const INTERVAL: Duration = Duration::from_millis(100);

/// The name of what comes into the namespace.
pub const NAME: &str = "churn";

/// Goes on until something can't be done.
pub async fn go_on(context: &Context) -> Failure {
    let Err(failure) = churn(context).await;
    failure
}

async fn churn(context: &Context) -> Result<std::convert::Infallible, Failure> {
    let node = nodes::name(&context.id, context.sizes.nodes.get());
    let (pods, services) = (context.core("pods"), context.core("services"));
    let things = [
        (NODES, node.as_str(), objects::node(&node, &context.id, 0)),
        (
            pods.as_str(),
            NAME,
            objects::pod(NAME, Shape::Large, "", None),
        ),
        (services.as_str(), NAME, objects::service(NAME)),
    ];
    let api = context.api(0);
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for (collection, _, object) in &things {
            interval.tick().await;
            let created = api.send(&Call::post(*collection, object)).await;
            created.or_fail(|| format!("create something in {collection}"))?;
        }
        for (collection, name, _) in &things {
            interval.tick().await;
            let path = format!("{collection}/{name}?gracePeriodSeconds=0");
            let deleted = api.send(&Call::delete(&path)).await;
            deleted.or_fail(|| format!("delete {path}"))?;
        }
    }
}
