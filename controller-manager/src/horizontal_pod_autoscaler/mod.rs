//! HorizontalPodAutoscalers: have whatever has a `scale` be as large as its metrics ask for.
//!
//! Metrics can't be watched, so each autoscaler is looked at every
//! `--horizontal-pod-autoscaler-sync-period`, and when what it says has changed. The
//! decisions are pure: [`replicas`] makes a number of a metric, [`proposals`] one of all
//! metrics, [`behavior`] says how much of that is done now. [`controller`] carries out;
//! [`metrics_client`] asks the servers of metrics.

mod behavior;
mod conditions;
mod controller;
mod metrics_client;
mod monitor;
mod proposals;
mod replicas;
mod settings;

pub use settings::Settings;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use crate::scale::Scales;
use controller::Controller;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::meta::ObjectKey;
use metrics_client::RestMetrics;
use std::sync::Arc;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let scales = Arc::new(Scales::new(&context.client));
    let metrics = RestMetrics {
        client: context.client.clone(),
        scales: scales.clone(),
    };
    let controller = Controller {
        client: context.client.clone(),
        settings: context.settings.autoscaling.clone(),
        autoscalers: informers.autoscalers.store(),
        pods: informers.pods.store(),
        scales,
        metrics,
        recorder: context.recorder("horizontal-pod-autoscaler"),
        memory: Default::default(),
    };
    let period = context.settings.autoscaling.sync_period;
    let (on_autoscaler, all) = (queue.clone(), informers.autoscalers.store());
    informers.autoscalers.subscribe(move |change| {
        monitor::count(all.len());
        let key = ObjectKey::of(change.object().as_ref());
        match change {
            // What the controller itself writes, the status, is no news. And what is changed
            // again and again is still looked at once in a period.
            Change::Applied {
                old: Some(old),
                new,
            } => {
                if old.spec != new.spec {
                    on_autoscaler.add_after(key, period);
                }
            }
            _ => on_autoscaler.add(key),
        }
    });
    Box::pin(async move {
        controller.autoscalers.wait_synced().await;
        controller.pods.wait_synced().await;
        let workers = controller.settings.workers.into();
        run("horizontalpodautoscaler", queue, workers, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}
