//! Making the objects that a workload needs, and what was acknowledged of them.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::Value;

use crate::api::Call;
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::objects;
use crate::workers;
use crate::workload::Context;

/// An object that the server has acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) uid: String,
    /// As it was answered.
    pub(super) object: Value,
}

/// Makes pods and measures it; those that were acknowledged.
pub(super) async fn pods(context: &Context, count: u64, measuring: &Arc<Measuring>) -> Vec<Made> {
    let path = context.core("pods");
    let apis = context.apis.clone();
    let size = context.sizes.pod_size;
    let made: Arc<Mutex<Vec<Made>>> = Arc::default();
    let (all, measuring) = (Arc::clone(&made), Arc::clone(measuring));
    let work = move |worker: usize, number: u64| {
        let api = apis[worker % apis.len()].clone();
        let call = Call::post(&path, &objects::pod(&name(number), number, size));
        let (all, measuring) = (Arc::clone(&all), Arc::clone(&measuring));
        async move {
            let began = Instant::now();
            let answer = api.send(&call).await;
            let took = began.elapsed();
            let read = answer.and_then(|answer| answer.json());
            if let Some(object) = measuring.took(took, read) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                all.lock().push(Made {
                    name: text(&object["metadata"]["name"]),
                    uid: text(&object["metadata"]["uid"]),
                    object,
                });
            }
        }
    };
    workers::each(count, context.sizes.concurrency.get(), work).await;
    std::mem::take(&mut *made.lock())
}

/// Makes pods for what is measured afterwards.
///
/// # Errors
/// If not all were acknowledged.
pub(super) async fn ready_pods(context: &Context, count: u64) -> Result<Vec<Made>, Failure> {
    let measuring = context.begin("making pods", count);
    let made = pods(context, count, &measuring).await;
    let measured = measuring.finish();
    match measured.failed() {
        0 => Ok(made),
        failed => Err(Failure::new(
            format!("make {count} pods in {}", context.namespace),
            format!("{failed} failed: {}", measured.notes.join("; ")),
            "see the API server's log; ask for fewer:  --pods, --concurrency",
        )),
    }
}

/// The name of the pod with a number.
pub(super) fn name(number: u64) -> String {
    format!("load-{number}")
}
