//! Custom resources: a definition of the load's own, which is deleted afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::api::{Call, Patch};
use crate::failure::{Failure, OrFail};
use crate::measure::Measuring;
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// How long a definition may take to be served, or gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct CustomResources;

impl Workload for CustomResources {
    fn name(&self) -> &'static str {
        "custom-resources"
    }

    fn about(&self) -> &'static str {
        "defines a resource, and creates, gets, patches, lists and deletes --pods of it"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }

    fn tidy<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(tidy(context))
    }
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn group(context: &Context) -> String {
    format!("{}.load.hardway.test", context.id)
}

fn definition(context: &Context) -> Value {
    let group = group(context);
    let text = json!({"type": "string", "maxLength": 5000});
    let spec = json!({
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 0},
            "color": {"type": "string", "enum": ["red", "green", "blue"], "default": "green"},
            "filling": text,
            "parts": {"type": "array", "maxItems": 20, "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            }},
        },
    });
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("loads.{group}"), "labels": {"hardway-load": context.id}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "loads", "singular": "load", "kind": "Load"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": spec, "status": status},
                }},
            }],
        },
    })
}

fn object(context: &Context, number: u64) -> Value {
    let parts: Vec<Value> = (0..5)
        .map(|part| json!({"name": format!("part-{part}"), "count": number}))
        .collect();
    json!({
        "apiVersion": format!("{}/v1", group(context)),
        "kind": "Load",
        "metadata": {"name": format!("load-{number}")},
        "spec": {"size": number, "parts": parts, "filling": "x".repeat(500)},
    })
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let api = context.api(0);
    let path = format!(
        "/apis/{}/v1/namespaces/{}/loads",
        group(context),
        context.namespace
    );
    let defining = context.begin("define a resource", 1);
    let began = Instant::now();
    let made = api
        .send(&Call::post(DEFINITIONS, &definition(context)))
        .await;
    made.or_fail(|| format!("define loads.{}", group(context)))?;
    until_served(context, &path, began).await?;
    defining.done(began.elapsed());
    let mut measured = vec![defining.finish()];

    let count = context.sizes.pods.get();
    let objects: Arc<Vec<Value>> = Arc::new((0..count).map(|it| object(context, it)).collect());
    let one = |number: u64| format!("{path}/load-{number}");
    let list = path.clone();
    let create: Vec<Call> = objects.iter().map(|it| Call::post(&list, it)).collect();
    measured.push(send_all(context, "create custom resources", create).await);
    let get = (0..count).map(|it| Call::get(one(it))).collect();
    measured.push(send_all(context, "get custom resources", get).await);
    let patch = |it| {
        let patch = json!({"spec": {"color": "blue"}});
        Call::patch(one(it), Patch::Merge, &patch)
    };
    measured.push(
        send_all(
            context,
            "patch custom resources",
            (0..count).map(patch).collect(),
        )
        .await,
    );

    let listing = context.begin("list custom resources", context.sizes.lists.get());
    let call = Call::get(&path);
    for _ in 0..context.sizes.lists.get() {
        let began = Instant::now();
        let answer = api.send(&call).await;
        if let Some(answer) = listing.took(began.elapsed(), answer) {
            listing.received(answer.body.len());
        }
    }
    let answer = api.send(&call).await.and_then(|answer| answer.json());
    let last = answer.or_fail(|| format!("list {path}"))?;
    if let Some(complaint) = check(&last, count) {
        listing.violation(complaint);
    }
    measured.push(listing.finish());
    let delete = (0..count).map(|it| Call::delete(one(it))).collect();
    measured.push(send_all(context, "delete custom resources", delete).await);
    Ok(measured)
}

/// What is wrong with the list after all has been patched.
fn check(list: &Value, count: u64) -> Option<String> {
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let patched = items.iter().filter(|it| it["spec"]["color"] == "blue");
    let (items, patched) = (items.len() as u64, patched.count() as u64);
    (items != count || patched != count)
        .then(|| format!("{items} of {count} custom resources are there, {patched} patched"))
}

async fn until_served(context: &Context, path: &str, began: Instant) -> Result<(), Failure> {
    loop {
        let error = match context.api(0).send(&Call::get(path)).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if error.code() != Some(404) || began.elapsed() > PATIENCE {
            return Err(error).or_fail(|| format!("list loads.{}", group(context)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn send_all(context: &Context, name: &str, calls: Vec<Call>) -> Measurement {
    let measuring = context.begin(name, calls.len() as u64);
    let (all, apis, calls) = (
        Arc::clone(&measuring),
        context.apis.clone(),
        Arc::new(calls),
    );
    let total = calls.len() as u64;
    let work = move |worker: usize, turn: u64| {
        let measuring: Arc<Measuring> = Arc::clone(&all);
        let api = apis[worker % apis.len()].clone();
        let calls = Arc::clone(&calls);
        async move {
            if let Some(call) = calls.get(turn as usize) {
                let began = Instant::now();
                let answer = api.send(call).await;
                measuring.took(began.elapsed(), answer);
            }
        }
    };
    workers::each(total, context.sizes.concurrency.get(), work).await;
    measuring.finish()
}

/// Deletes the definition, with what there is of it, and waits until it is gone.
async fn tidy(context: &Context) -> Result<(), Failure> {
    let name = format!("loads.{}", group(context));
    let path = format!("{DEFINITIONS}/{name}");
    let began = Instant::now();
    let left = |why: &dyn ToString| {
        let way_out = format!("delete it by hand:  kubectl delete crd {name}");
        Failure::new(
            format!("delete the definition {name}"),
            why.to_string(),
            way_out,
        )
    };
    let mut call = Call::delete(&path);
    loop {
        match context.api(0).send(&call).await {
            Err(error) if error.code() == Some(404) => return Ok(()),
            answer => answer.map_err(|error| left(&error))?,
        };
        if began.elapsed() > PATIENCE {
            return Err(left(&"it is still there: its status says why"));
        }
        call = Call::get(&path);
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_all_and_all_patched() {
        let list = |colors: &[&str]| {
            let items = colors.iter().map(|it| json!({"spec": {"color": it}}));
            json!({"items": items.collect::<Vec<_>>()})
        };
        assert_eq!(check(&list(&["blue", "blue"]), 2), None);
        for wrong in [&["blue"][..], &["blue", "green"], &["blue"; 3]] {
            assert!(check(&list(wrong), 2).is_some(), "{wrong:?}");
        }
    }
}
