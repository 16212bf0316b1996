//! How fast a cluster's scheduler finds nodes for pods. The nodes are objects that nobody is
//! on: a pod is done with when it has one.

mod case;
mod churn;
mod nodes;
mod objects;
mod outcomes;

pub use case::{CASES, Case};

use crate::api::{ApiError, Call};
use crate::failure::{Failure, OrFail};
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};
use case::{Group, Shape};
use futures_util::future::BoxFuture;
use outcomes::Outcomes;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;

/// A case as a workload.
pub struct Scheduling(pub Case);

/// All cases as workloads.
pub fn workloads() -> Vec<Box<dyn Workload>> {
    let cases = CASES.iter();
    let workloads = cases.map(|case| Box::new(Scheduling(*case)) as Box<dyn Workload>);
    workloads.collect()
}

impl Workload for Scheduling {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn about(&self) -> &'static str {
        self.0.about
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(self.schedule(context))
    }

    fn tidy<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(tidy(context))
    }
}

const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

impl Scheduling {
    async fn schedule(&self, context: &Context) -> Result<Vec<Measurement>, Failure> {
        let case = &self.0;
        let pods = context.core("pods");
        let is_shared = nodes::are_there(context.api(0)).await?;
        create_class(context, case).await?;
        nodes::create(context, case.zones).await?;
        // Each has its own connection: what is seen must not wait behind what is written.
        let watcher = context.api(0).fresh();
        let (outcomes, watch) = Outcomes::follow(&watcher, &pods).await?;
        let run = is_shared.then(|| context.id.clone());
        let groups = async {
            let mut measurements = Vec::new();
            for (number, group) in case.groups.iter().enumerate() {
                let name = |turn| format!("{}-{number}-{turn}", context.workload);
                let measured = schedule(context, &outcomes, group, name, run.as_deref());
                let measured = match case.churn && group.measured {
                    true => tokio::select! {
                        measured = measured => measured?,
                        failure = churn::go_on(context) => return Err(failure),
                    },
                    false => measured.await?,
                };
                measurements.extend(measured);
            }
            Ok(measurements)
        };
        let heartbeats = async {
            match is_shared {
                // A controller would think them dead.
                true => nodes::renew_leases(context).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            measurements = groups => measurements,
            failure = watch => Err(failure),
            failure = heartbeats => Err(failure),
        }
    }
}

/// Makes the pods of a group and waits until all have come to their end.
async fn schedule(
    context: &Context,
    outcomes: &Outcomes,
    group: &Group,
    name: impl Fn(u64) -> String,
    run: Option<&str>,
) -> Result<Option<Measurement>, Failure> {
    let count = group.count(context.sizes.nodes.get());
    let pods: Vec<(String, Value)> = (0..count)
        .map(|turn| {
            let name = name(turn);
            let pod = objects::pod(&name, group.shape, &class(context), run);
            (name, pod)
        })
        .collect();
    let what = match group.end {
        case::End::Bound => format!("{:?} pods get nodes", group.shape),
        case::End::Refused => format!("{:?} pods are refused", group.shape),
    };
    let measuring = group.measured.then(|| context.begin(what, count));
    outcomes.expect(group.end, measuring.clone());
    let failure: Arc<Mutex<Option<ApiError>>> = Arc::default();
    let collection = context.core("pods");
    let (apis, asked, last) = (context.apis.clone(), outcomes.clone(), failure.clone());
    let measured = measuring.clone();
    workers::each(
        count,
        context.sizes.concurrency.get(),
        move |worker, turn| {
            let api = apis[worker % apis.len()].clone();
            let (outcomes, failure) = (asked.clone(), last.clone());
            let measuring = measured.clone();
            let (name, pod) = &pods[turn as usize];
            let (name, call) = (name.clone(), Call::post(&collection, pod));
            async move {
                outcomes.asked(&name);
                if let Err(error) = api.send(&call).await {
                    outcomes.not_made(&name);
                    if let Some(measuring) = measuring {
                        measuring.failed(&error);
                    }
                    *failure.lock() = Some(error);
                }
            }
        },
    )
    .await;
    let failure = failure.lock().take();
    if let Some(error) = failure.filter(|_| !group.measured) {
        let what = format!("create pods in {}", context.namespace);
        return Err(Failure::new(what, &error, error.way_out()));
    }
    outcomes.all(group.end).await?;
    Ok(measuring.map(|measuring| measuring.finish()))
}

/// The name of the class of pods for which others have to go.
fn class(context: &Context) -> String {
    format!("hardway-load-{}", context.id)
}

async fn create_class(context: &Context, case: &Case) -> Result<(), Failure> {
    let is_high = |group: &Group| group.shape == Shape::High;
    if !case.groups.iter().any(is_high) {
        return Ok(());
    }
    let class = objects::priority_class(&class(context), &context.id);
    let created = context.api(0).send(&Call::post(CLASSES, &class)).await;
    created.or_fail(|| "create a PriorityClass".to_owned())?;
    Ok(())
}

/// Takes away pods at once, as no kubelet ends them, and then what is outside the namespace.
async fn tidy(context: &Context) -> Result<(), Failure> {
    let selector = format!("labelSelector={}%3D{}", objects::LABEL, context.id);
    for path in [
        format!("{}?gracePeriodSeconds=0", context.core("pods")),
        format!("{}/{}", context.core("services"), churn::NAME),
        format!("{}?{selector}", nodes::NODES),
        format!("{}?{selector}", nodes::LEASES),
        format!("{CLASSES}?{selector}"),
    ] {
        match context.api(0).send(&Call::delete(&path)).await {
            Err(error) if error.code() == Some(404) => {}
            deleted => drop(deleted.or_fail(|| format!("delete {path}"))?),
        }
    }
    Ok(())
}
