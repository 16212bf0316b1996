//! Reads and writes of single objects at a fixed rate: what a cluster does all day.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::make::{self, Made};
use crate::api::{Call, Patch};
use crate::failure::Failure;
use crate::latency::Latencies;
use crate::measure::Measuring;
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

use parking_lot::Mutex;

/// So many pods are read and written in turn.
const PODS: u64 = 200;

/// See the module.
pub(super) struct Mix;

impl Workload for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn about(&self) -> &'static str {
        "gets, updates, patches and status patches of pods, --rate a second for --seconds"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

/// What is done to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Get,
    Update,
    Patch,
    Status,
}

const OPERATIONS: [(Operation, &str); 4] = [
    (Operation::Get, "get a pod"),
    (Operation::Update, "update a pod"),
    (Operation::Patch, "patch a pod"),
    (Operation::Status, "patch a pod's status"),
];

/// Seven of ten are reads; the others are shared out evenly.
fn operation(turn: u64) -> Operation {
    match turn % 10 {
        2 => Operation::Update,
        5 => Operation::Patch,
        8 => Operation::Status,
        _ => Operation::Get,
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let made = make::ready_pods(context, PODS.min(context.sizes.pods.get())).await?;
    let sizes = &context.sizes;
    let rate = sizes.rate.get();
    let total = u64::from(rate) * sizes.time().as_secs();
    let all = context.begin(format!("single objects, {rate}/s"), total);
    // One for each sort; they share the time, and so the costs are the whole's.
    let each = OPERATIONS.map(|(_, name)| context.begin(name, 0));
    let sent_late: Arc<Mutex<Latencies>> = Arc::default();
    let (path, apis) = (context.core("pods"), context.apis.clone());
    let work = |turn: u64, due: Instant| {
        let operation = operation(turn);
        // Each pod has each sort of operation in time: the number of pods is no multiple of ten.
        let made = &made[(turn / 10 + turn) as usize % made.len()];
        let call = call(operation, &path, made, turn);
        let api = apis[turn as usize % apis.len()].clone();
        let own = OPERATIONS
            .iter()
            .zip(&each)
            .find(|((it, _), _)| *it == operation);
        let own = own.map(|(_, measuring)| Arc::clone(measuring));
        let all = Arc::clone(&all);
        sent_late.lock().record(due.elapsed());
        async move {
            let answer = api.send(&call).await;
            let took = due.elapsed();
            tell(&all, own.as_deref(), took, answer.map(drop));
        }
    };
    workers::at_rate(total, rate, work).await;
    if let Some(late) = sent_late.lock().percentiles() {
        all.figure("sent late p50 ms", late.p50);
        all.figure("sent late p99 ms", late.p99);
    }
    let mut measured = vec![all.finish()];
    for measuring in each {
        let mut one = measuring.finish();
        one.processes.clear();
        measured.push(one);
    }
    Ok(measured)
}

fn tell(
    all: &Measuring,
    own: Option<&Measuring>,
    took: std::time::Duration,
    result: Result<(), crate::api::ApiError>,
) {
    if let Some(own) = own {
        match &result {
            Ok(()) => own.done(took),
            Err(error) => own.failed(error),
        }
    }
    all.took(took, result);
}

/// The request of a turn. Updates say no resourceVersion: nobody's change is lost, as all that
/// is changed is what the load has written itself.
fn call(operation: Operation, path: &str, made: &Made, turn: u64) -> Call {
    let path = format!("{path}/{}", made.name);
    let annotation = json!({"metadata": {"annotations": {"hardway-load/turn": turn.to_string()}}});
    match operation {
        Operation::Get => Call::get(path),
        Operation::Patch => Call::patch(path, Patch::Strategic, &annotation),
        Operation::Update => Call::put(path, &updated(&made.object, turn)),
        Operation::Status => {
            let condition = json!({
                "type": "hardway-load/turn",
                "status": "True",
                "reason": "Turn",
                "message": turn.to_string(),
            });
            let patch = json!({"status": {"conditions": [condition]}});
            Call::patch(format!("{path}/status"), Patch::Strategic, &patch)
        }
    }
}

fn updated(object: &Value, turn: u64) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object["metadata"]["annotations"]["hardway-load/turn"] = json!(turn.to_string());
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_ten_are_writes_of_each_sort() {
        let count = |wanted| (0..1000).filter(|turn| operation(*turn) == wanted).count();
        assert_eq!(count(Operation::Get), 700);
        for (sort, _) in &OPERATIONS[1..] {
            assert_eq!(count(*sort), 100);
        }
    }

    #[test]
    fn an_update_is_unconditional() {
        let object =
            json!({"metadata": {"name": "a", "resourceVersion": "7", "annotations": {"b": "c"}}});
        let updated = updated(&object, 3);
        assert_eq!(
            updated,
            json!({"metadata": {"name": "a", "annotations": {"b": "c", "hardway-load/turn": "3"}}})
        );
    }
}
