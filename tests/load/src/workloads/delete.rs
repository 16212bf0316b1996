//! Deletes pods one by one, and a collection at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::make;
use crate::api::Call;
use crate::failure::{Failure, OrFail};
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// How long deleted pods may take to be gone: nobody runs them, so that nobody has to end them.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Delete;

impl Workload for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn about(&self) -> &'static str {
        "deletes --pods pods, --concurrency at a time, and as many as a collection"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let count = context.sizes.pods.get();
    let path = context.core("pods");

    make::ready_pods(context, count).await?;
    let deleting = context.begin("delete pods", count);
    let measuring = Arc::clone(&deleting);
    let (apis, pods) = (context.apis.clone(), path.clone());
    let work = move |worker: usize, turn: u64| {
        let api = apis[worker % apis.len()].clone();
        let call = Call::delete(format!("{pods}/{}", make::name(turn)));
        let measuring = Arc::clone(&measuring);
        async move {
            let began = Instant::now();
            let answer = api.send(&call).await;
            measuring.took(began.elapsed(), answer);
        }
    };
    workers::each(count, context.sizes.concurrency.get(), work).await;
    let mut deleted = deleting.finish();
    deleted.violations.extend(left(context, &path).await?);

    make::ready_pods(context, count).await?;
    let deleting = context.begin("delete a collection", 1);
    let began = Instant::now();
    let answer = context.api(0).send(&Call::delete(&path)).await;
    deleting.took(began.elapsed(), answer);
    deleting.figure("pods/s", count as f64 / began.elapsed().as_secs_f64());
    let mut collection = deleting.finish();
    collection.violations.extend(left(context, &path).await?);
    Ok(vec![deleted, collection])
}

/// What is said of pods that are still there when they should be gone.
pub(super) async fn left(context: &Context, path: &str) -> Result<Option<String>, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = context.api(0).send(&Call::get(path)).await;
        let list = answer.and_then(|answer| answer.json());
        let list = list.or_fail(|| format!("list {path}"))?;
        let left = list["items"].as_array().map_or(0, Vec::len);
        if left == 0 {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(format!(
                "{left} pods were deleted and are still there"
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
