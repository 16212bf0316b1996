//! Creates pods without webhooks, with a validating one, and with a mutating one as well: what
//! each costs. The tool serves both itself, and they are asked about this namespace alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hardway_webhook_server::{Asked, Server};
use serde_json::{Value, json};

use super::delete;
use super::make::{self, Made};
use crate::api::{ApiError, Call};
use crate::failure::{Failure, OrFail};
use crate::objects;
use crate::report::Measurement;
use crate::workload::{Context, Workload};

/// How long a server may take until it asks a webhook that it has been told of.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// The group of the configurations.
const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
/// What the mutating webhook gives to each pod.
const LABEL: (&str, &str) = ("mutated", "load");

/// See the module.
pub(super) struct Webhooks;

impl Workload for Webhooks {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn about(&self) -> &'static str {
        "creates --pods pods without webhooks, with a validating, and with a mutating one as well"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }

    fn tidy<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(tidy(context))
    }
}

/// What a webhook may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Validating,
    Mutating,
}

impl Sort {
    fn kind(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }

    /// Its collection.
    fn path(self) -> String {
        format!("{GROUP}/{}s", self.kind().to_lowercase())
    }

    /// Where the tool's server answers it; the path says how.
    fn answer(self) -> String {
        match self {
            Self::Validating => "allow".to_owned(),
            Self::Mutating => format!("label/{}/{}", LABEL.0, LABEL.1),
        }
    }
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let plain = create(context, "create pods, no webhook", None, &[]).await?;
    let mut measured = vec![plain.clone()];
    let mut sorts = Vec::new();
    for (sort, name) in [
        (Sort::Validating, "create pods, a validating webhook"),
        (Sort::Mutating, "create pods, a mutating one as well"),
    ] {
        // One for each, as it keeps all that it was asked.
        let server = serve(context).await?;
        sorts.push(sort);
        for sort in &sorts {
            configure(context, *sort, &server).await?;
        }
        until_asked(context, &server, &sorts).await?;
        let mut with = create(context, name, Some(&server), &sorts).await?;
        more(&mut with, &plain);
        measured.push(with);
    }
    Ok(measured)
}

/// A server that the API server can reach: at the address by which the tool reaches that one.
async fn serve(context: &Context) -> Result<Server, Failure> {
    let what = || "serve webhooks".to_owned();
    let address = context.api(0).own_address().await.or_fail(what)?;
    let started = Server::start(address, &[&address.to_string()]).await;
    started.map_err(|error| {
        let way_out = "the API server has to reach this machine: see its addresses (ip address)";
        Failure::new(format!("serve webhooks at {address}"), error, way_out)
    })
}

/// The name of both configurations.
fn name(context: &Context) -> String {
    format!("hardway-load-{}", context.id)
}

/// Makes a configuration, or has it lead to this server.
async fn configure(context: &Context, sort: Sort, server: &Server) -> Result<(), Failure> {
    let what = || format!("configure a webhook at {}", server.url(""));
    let api = context.api(0);
    let (path, own) = (sort.path(), format!("{}/{}", sort.path(), name(context)));
    let gone = api.send(&Call::delete(own)).await;
    if !gone.as_ref().is_err_and(|error| error.code() == Some(404)) {
        gone.or_fail(what)?;
    }
    let configuration = configuration(context, sort, server);
    let made = api.send(&Call::post(path, &configuration)).await;
    made.map(drop).or_fail(what)
}

fn configuration(context: &Context, sort: Sort, server: &Server) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": sort.kind(),
        "metadata": {"name": name(context), "labels": {"hardway-load": context.id}},
        "webhooks": [{
            "name": "webhook.load.hardway.test",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": server.url(&sort.answer()), "caBundle": server.ca_bundle()},
            // The load's own namespaces have this label.
            "namespaceSelector": {"matchLabels": {"hardway-load": context.id}},
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }],
            "sideEffects": "None",
            "failurePolicy": "Fail",
        }],
    })
}

/// Waits until all are asked: a server takes notice of configurations a little later.
async fn until_asked(context: &Context, server: &Server, sorts: &[Sort]) -> Result<(), Failure> {
    let path = format!("{}?dryRun=All", context.core("pods"));
    let pod = objects::pod("probe", 0, context.sizes.pod_size);
    let call = Call::post(path, &pod);
    let deadline = Instant::now() + PATIENCE;
    let what = || format!("have the API server ask webhooks at {}", server.url(""));
    loop {
        let before = counts(server, sorts);
        let answer = context.api(0).send(&call).await;
        let now = counts(server, sorts);
        let are_asked = before.iter().zip(&now).all(|(then, now)| then < now);
        match answer {
            Ok(_) if are_asked => return Ok(()),
            // It may still know the former server of the same name.
            Ok(_) | Err(ApiError::Refused { code: 500, .. }) if Instant::now() < deadline => {}
            Ok(_) => {
                let why = format!("it doesn't, {} s after it was told", PATIENCE.as_secs());
                let way_out = "the API server's log says more";
                return Err(Failure::new(what(), why, way_out));
            }
            Err(error) => return Err(error).or_fail(what),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How often each was asked.
fn counts(server: &Server, sorts: &[Sort]) -> Vec<usize> {
    let counts = sorts.iter().map(|sort| server.count(&sort.answer()));
    counts.collect()
}

/// Creates pods, checks what webhooks did, and takes the pods away.
async fn create(
    context: &Context,
    name: &str,
    server: Option<&Server>,
    sorts: &[Sort],
) -> Result<Measurement, Failure> {
    let count = context.sizes.pods.get();
    let creating = context.begin(name, count);
    let made = make::pods(context, count, &creating).await;
    let mut measured = creating.finish();
    let asked = server.map(Server::asked).unwrap_or_default();
    for sort in sorts {
        let complaints = calls(&asked, &sort.answer(), &made);
        measured.violations.extend(complaints);
    }
    let is_mutated = sorts.contains(&Sort::Mutating);
    measured.violations.extend(labels(&made, is_mutated));
    let path = context.core("pods");
    let deleted = context.api(0).send(&Call::delete(&path)).await;
    deleted.or_fail(|| format!("delete {path}"))?;
    measured
        .violations
        .extend(delete::left(context, &path).await?);
    Ok(measured)
}

/// What is wrong with how often a webhook was asked about pods that were acknowledged.
fn calls(asked: &[Asked], answer: &str, made: &[Made]) -> Option<String> {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, review) in asked {
        let request = &review["request"];
        if path == answer && request["dryRun"] != true {
            let name = &request["object"]["metadata"]["name"];
            *times.entry(name.as_str().unwrap_or_default()).or_default() += 1;
        }
    }
    let times = |made: &Made| times.get(made.name.as_str()).copied().unwrap_or(0);
    let wrong = made.iter().filter(|made| times(made) != 1);
    let wrong: Vec<&Made> = wrong.collect();
    let first = wrong.first()?;
    Some(format!(
        "the webhook {answer} was not asked once about {} of {} pods: {} times about {}",
        wrong.len(),
        made.len(),
        times(first),
        first.name
    ))
}

/// What is wrong with the label that the mutating webhook gives.
fn labels(made: &[Made], is_mutated: bool) -> Option<String> {
    let (key, value) = LABEL;
    let has = |made: &&Made| made.object["metadata"]["labels"][key] == value;
    let mutated = made.iter().filter(has).count();
    let expected = if is_mutated { made.len() } else { 0 };
    (mutated != expected).then(|| format!("{mutated} of {} pods are mutated", made.len()))
}

/// Says what a create costs more than without webhooks.
fn more(with: &mut Measurement, without: &Measurement) {
    if let (Some(now), Some(then)) = (&with.latency, &without.latency) {
        let name = "more than without, p50 ms".to_owned();
        with.figures.insert(name, now.p50 - then.p50);
    }
    for cost in &with.processes {
        let same = without
            .processes
            .iter()
            .find(|it| it.process == cost.process);
        let then = same.and_then(|it| it.cpu_per(without.operations));
        if let (Some(now), Some(then)) = (cost.cpu_per(with.operations), then) {
            let name = format!("more than without, {}, ms CPU", cost.process);
            with.figures.insert(name, (now - then) * 1e3);
        }
    }
}

async fn tidy(context: &Context) -> Result<(), Failure> {
    for sort in [Sort::Validating, Sort::Mutating] {
        let path = format!("{}/{}", sort.path(), name(context));
        match context.api(0).send(&Call::delete(&path)).await {
            Err(error) if error.code() == Some(404) => {}
            deleted => drop(deleted.or_fail(|| format!("delete {path}"))?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, labels: Value) -> Made {
        Made {
            name: name.to_owned(),
            uid: String::new(),
            object: json!({"metadata": {"labels": labels}}),
        }
    }

    fn asked(path: &str, name: &str, is_dry: bool) -> Asked {
        let object = json!({"metadata": {"name": name}});
        let review = json!({"request": {"object": object, "dryRun": is_dry}});
        (path.to_owned(), review)
    }

    #[test]
    fn each_pod_is_asked_about_once() {
        let pods = [made("a", json!({})), made("b", json!({}))];
        let mut all = vec![
            asked("allow", "probe", true),
            asked("allow", "a", false),
            asked("allow", "b", false),
            asked("label/mutated/load", "a", false),
        ];
        assert_eq!(calls(&all, "allow", &pods), None);
        let missing = calls(&all, "label/mutated/load", &pods).unwrap();
        assert!(
            missing.ends_with("1 of 2 pods: 0 times about b"),
            "{missing}"
        );
        all.push(asked("allow", "a", false));
        let twice = calls(&all, "allow", &pods).unwrap();
        assert!(twice.ends_with("1 of 2 pods: 2 times about a"), "{twice}");
    }

    #[test]
    fn all_pods_are_mutated_or_none() {
        let pods = [
            made("a", json!({"mutated": "load"})),
            made("b", json!({"mutated": "no"})),
        ];
        assert!(labels(&pods, true).is_some() && labels(&pods, false).is_some());
        assert_eq!(labels(&pods[..1], true), None);
        assert_eq!(labels(&pods[1..], false), None);
    }

    #[test]
    fn collections_are_named_after_kinds() {
        let path = Sort::Mutating.path();
        assert!(
            path.ends_with("/v1/mutatingwebhookconfigurations"),
            "{path}"
        );
    }
}
