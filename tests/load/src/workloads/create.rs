//! Creates pods, and reads back every one that was acknowledged.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::make;
use crate::api::Call;
use crate::failure::Failure;
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// See the module.
pub(super) struct Create;

impl Workload for Create {
    fn name(&self) -> &'static str {
        "create"
    }

    fn about(&self) -> &'static str {
        "creates --pods pods, --concurrency at a time, and reads back every acknowledged one"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let count = context.sizes.pods.get();
    let creating = context.begin("create pods", count);
    let made = make::pods(context, count, &creating).await;
    let created = creating.finish();

    let reading = context.begin("read them back", made.len() as u64);
    let measuring = Arc::clone(&reading);
    let apis = context.apis.clone();
    let path = context.core("pods");
    let total = made.len() as u64;
    let made = Arc::new(made);
    let work = move |worker: usize, turn: u64| {
        let api = apis[worker % apis.len()].clone();
        let measuring = Arc::clone(&measuring);
        let made = Arc::clone(&made);
        let path = path.clone();
        async move {
            let Some(made) = made.get(turn as usize) else {
                return;
            };
            let call = Call::get(format!("{path}/{}", made.name));
            let began = Instant::now();
            let answer = api.send(&call).await;
            let took = began.elapsed();
            let name = &made.name;
            if answer
                .as_ref()
                .is_err_and(|error| error.code() == Some(404))
            {
                measuring.violation(format!("pod {name} was acknowledged and is not there"));
            }
            let read = answer.and_then(|answer| answer.json());
            if let Some(object) = measuring.took(took, read)
                && object["metadata"]["uid"] != made.uid.as_str()
            {
                measuring.violation(format!("pod {name} is another one than was acknowledged"));
            }
        }
    };
    workers::each(total, context.sizes.concurrency.get(), work).await;
    Ok(vec![created, reading.finish()])
}
