//! Writers that count up the same number: nobody's step may be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::api::{Api, ApiError, Call};
use crate::failure::{Failure, OrFail};
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// So often a step is tried: with many writers most attempts come too late.
const ATTEMPTS: u64 = 1000;

/// See the module.
pub(super) struct Conflicts;

impl Workload for Conflicts {
    fn name(&self) -> &'static str {
        "conflicts"
    }

    fn about(&self) -> &'static str {
        "--writers writers change one object --increments times each: nothing may be lost"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let path = context.core("configmaps");
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "counter"},
        "data": {"count": "0"},
    });
    let made = context.api(0).send(&Call::post(&path, &object)).await;
    made.or_fail(|| format!("make {path}/counter"))?;
    let path = format!("{path}/counter");

    let writers = context.sizes.writers.get();
    let total = writers as u64 * context.sizes.increments.get();
    let counting = context.begin(format!("count up, {writers} writers"), total);
    let conflicts = Arc::new(AtomicU64::new(0));
    let unknown = Arc::new(AtomicU64::new(0));
    let work = {
        let (apis, path) = (context.apis.clone(), path.clone());
        let (counting, conflicts) = (Arc::clone(&counting), Arc::clone(&conflicts));
        let unknown = Arc::clone(&unknown);
        move |worker: usize, _turn: u64| {
            let api = apis[worker % apis.len()].clone();
            let (path, counting) = (path.clone(), Arc::clone(&counting));
            let (conflicts, unknown) = (Arc::clone(&conflicts), Arc::clone(&unknown));
            async move {
                let began = Instant::now();
                let stepped = step(&api, &path, &conflicts).await;
                if stepped.as_ref().is_err_and(|error| !error.is_not_done()) {
                    unknown.fetch_add(1, Ordering::Relaxed);
                }
                counting.took(began.elapsed(), stepped);
            }
        }
    };
    workers::each(total, writers, work).await;
    counting.figure("conflicts", conflicts.load(Ordering::Relaxed) as f64);
    let mut counted = counting.finish();

    let answer = context.api(0).send(&Call::get(&path)).await;
    let object = answer.and_then(|answer| answer.json());
    let object = object.or_fail(|| format!("read {path}"))?;
    let count = count(&object).or_fail(|| format!("read {path}"))?;
    let unknown = unknown.load(Ordering::Relaxed);
    counted
        .violations
        .extend(lost(count, counted.operations, unknown));
    Ok(vec![counted])
}

/// What is wrong with a count, given how many steps were acknowledged and of how many nobody
/// knows.
fn lost(count: u64, acknowledged: u64, unknown: u64) -> Option<String> {
    let allowed = acknowledged..=acknowledged + unknown;
    (!allowed.contains(&count)).then(|| {
        format!("{acknowledged} steps were acknowledged, {unknown} not answered, and the count is {count}")
    })
}

/// One step: as often as it takes, as clients do (client-go's RetryOnConflict).
async fn step(api: &Api, path: &str, conflicts: &AtomicU64) -> Result<(), ApiError> {
    let mut attempts = 0;
    loop {
        let mut object = api.send(&Call::get(path)).await?.json()?;
        let next = count(&object)? + 1;
        object["data"]["count"] = json!(next.to_string());
        match api.send(&Call::put(path, &object)).await {
            Err(error) if error.code() == Some(409) && attempts < ATTEMPTS => {
                attempts += 1;
                conflicts.fetch_add(1, Ordering::Relaxed);
            }
            written => return written.map(drop),
        }
    }
}

fn count(object: &Value) -> Result<u64, ApiError> {
    let text = object["data"]["count"].as_str().unwrap_or_default();
    text.parse().map_err(|error| ApiError::Unreadable {
        why: format!("the count is {text:?}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_what_was_acknowledged_or_may_have_been_done() {
        assert_eq!(lost(10, 10, 0), None);
        assert_eq!(lost(11, 10, 2), None);
        assert!(lost(9, 10, 2).is_some());
        assert!(lost(13, 10, 2).is_some());
    }
}
