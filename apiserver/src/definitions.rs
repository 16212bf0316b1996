//! Custom resources: follows CustomResourceDefinitions, adds and removes rows
//! of the table, and says in their status what is served.

use crate::bootstrap::target_of;
use crate::cache::{Entry, ResourceCache};
use crate::pipeline::{Body, Options, Pipeline, Request, Target, Verb, metadata};
use crate::rest::health::Startup;
use hardway_proto::Status;
use hardway_resources::Resource;
use hardway_resources::crd::{self, FINALIZER, status};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
/// How long to wait before trying again what failed, doubled each time …
const RETRY: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What is known of a definition.
#[derive(Default)]
struct Known {
    /// Its revision when all was done for it; 0 if something is left to do.
    revision: i64,
    group: String,
    /// The names that it has got.
    names: Value,
    /// It asks for names that it can't have yet.
    waits: bool,
    row: Option<Row>,
}

/// The row that is there for a definition.
struct Row {
    resource: Arc<Resource>,
    /// UID, generation and accepted names of the definition that it was made of.
    made_of: (String, i64, Value),
}

/// What has to be known of all definitions before one is looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    spec: SummarySpec,
    status: SummaryStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SummarySpec {
    group: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SummaryStatus {
    accepted_names: Value,
}

/// Follows the definitions for ever.
pub async fn run(pipeline: Arc<Pipeline>, startup: Arc<Startup>) {
    pipeline.cache.loaded().await;
    let Some(of) = pipeline.cache.of(GROUP, PLURAL) else {
        return;
    };
    let mut changes = of.changes();
    let mut definitions = Definitions::default();
    let mut retry = RETRY;
    loop {
        let seen = *changes.borrow_and_update();
        let clean = definitions.reconcile(&pipeline, &of).await;
        pipeline.defined.send_replace(seen);
        let generation = pipeline.registry.snapshot().generation();
        pipeline.aggregation.table_is(generation);
        startup
            .definitions
            .send_if_modified(|known| !std::mem::replace(known, true));
        if clean {
            retry = RETRY;
            if changes.changed().await.is_err() {
                return;
            }
        } else {
            // What nobody could have written through here stays wrong for long.
            let wait = tokio::time::timeout(retry, changes.changed());
            if let Ok(Err(_)) = wait.await {
                return;
            }
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }
}

/// The definitions by name.
#[derive(Default)]
struct Definitions(BTreeMap<String, Known>);

impl Definitions {
    /// Brings table and definitions together; false if something has to be tried
    /// again.
    async fn reconcile(&mut self, pipeline: &Pipeline, of: &ResourceCache) -> bool {
        let (entries, _) = of.list(None);
        let mut moved = self.forget_gone(pipeline, &entries);
        for entry in &entries {
            let known = self.0.entry(entry.name().to_owned()).or_default();
            if known.revision != entry.revision {
                let seen: Summary = serde_json::from_slice(entry.bytes()).unwrap_or_default();
                known.revision = 0;
                known.names = seen.status.accepted_names;
                moved.insert(seen.spec.group.clone());
                known.group = seen.spec.group;
            }
        }
        let mut clean = true;
        for entry in &entries {
            let due = self.0.get(entry.name()).is_some_and(|known| {
                known.revision == 0 || known.waits && moved.contains(&known.group)
            });
            if !due {
                continue;
            }
            let outcome = self.reconcile_one(pipeline, entry).await;
            if let Err(status) = &outcome {
                tracing::warn!(name = entry.name(), %status, "custom resource definition, retrying");
                clean = false;
            }
            if let Some(known) = self.0.get_mut(entry.name()) {
                known.revision = if outcome.is_ok() { entry.revision } else { 0 };
            }
        }
        clean
    }

    /// Takes away the rows of definitions that are gone; tells in which groups there
    /// are names again.
    fn forget_gone(&mut self, pipeline: &Pipeline, entries: &[Arc<Entry>]) -> HashSet<String> {
        let there: HashSet<&str> = entries.iter().map(|entry| entry.name()).collect();
        let gone: Vec<String> = self.0.keys().cloned().collect();
        let gone = gone.iter().filter(|name| !there.contains(name.as_str()));
        let gone = gone.filter_map(|name| self.0.remove(name));
        let groups = gone.map(|mut known| {
            known.forget_row(pipeline);
            known.group
        });
        groups.collect()
    }

    /// The names that definitions of a group have.
    fn names_in(&self, group: &str) -> Vec<&Value> {
        let of_group = self.0.values().filter(|known| known.group == group);
        of_group.map(|known| &known.names).collect()
    }

    /// Does what a definition asks for, and says so in its status.
    async fn reconcile_one(&mut self, pipeline: &Pipeline, entry: &Entry) -> Result<(), Status> {
        let crd = entry.value();
        let target = target_of(pipeline, &crd)?;
        let now = metadata::time(Timestamp::now());
        let Some(mut known) = self.0.remove(entry.name()) else {
            return Ok(());
        };
        let built_in = names_of_built_in(pipeline, &known.group);
        let mut taken = self.names_in(&known.group);
        taken.extend(&built_in);
        let status = status::of(&crd, &taken, &now);
        known.names = status["acceptedNames"].clone();
        known.waits = !status::is(&status, "NamesAccepted");
        let served = match status::is(&status, "Established") {
            true => known.serve(pipeline, &crd).await,
            false => Ok(()),
        };
        let resource = known.row.as_ref().map(|row| row.resource.clone());
        self.0.insert(entry.name().to_owned(), known);
        served?;
        if metadata::is_terminating(&crd) {
            return clean_up(pipeline, &target, crd, status, resource, &now).await;
        }
        write_status(pipeline, &target, crd, status).await
    }
}

impl Known {
    /// Adds the row of a definition to the table, under the names that it has got,
    /// unless it is there as it is. What a definition that goes doesn't serve is only in
    /// the cache, to go with it.
    async fn serve(&mut self, pipeline: &Pipeline, crd: &Value) -> Result<(), Status> {
        let uid = metadata::text(crd, "uid").to_owned();
        let generation = crd["metadata"]["generation"].as_i64().unwrap_or_default();
        let made_of = (uid, generation, self.names.clone());
        if self.row.as_ref().is_some_and(|row| row.made_of == made_of) {
            return Ok(());
        }
        let served = crd::served(crd).next().is_some();
        if !served {
            self.forget_row(pipeline);
            if !metadata::is_terminating(crd) {
                return Ok(());
            }
        }
        let mut named = crd.clone();
        named["spec"]["names"] = self.names.clone();
        let row = match served {
            true => crd::row(&named),
            false => crd::unserved_row(&named),
        };
        // It can't be served only if it was not written through here.
        let resource = Arc::new(row.map_err(|why| Status::internal(why.to_string()))?);
        pipeline.cache.add(resource.clone()).await?;
        if served {
            pipeline.registry.put_custom(resource.clone());
        }
        self.row = Some(Row { resource, made_of });
        Ok(())
    }

    fn forget_row(&mut self, pipeline: &Pipeline) {
        if let Some(row) = self.row.take() {
            let plural = &row.resource.plural;
            pipeline.registry.remove_custom(&self.group, plural);
            pipeline.cache.remove(&self.group, plural);
        }
    }
}

/// The names of the kinds that a group has without definitions: no definition gets them.
fn names_of_built_in(pipeline: &Pipeline, group: &str) -> Vec<Value> {
    let rows = pipeline.registry.iter();
    let rows = rows.filter(|row| !row.custom && row.group == group);
    let names = |row: Arc<Resource>| {
        json!({"plural": row.plural, "singular": row.singular, "kind": row.kind,
            "listKind": row.list_kind, "shortNames": row.short_names})
    };
    rows.map(names).collect()
}

/// Writes the status, if it says something else.
async fn write_status(
    pipeline: &Pipeline,
    target: &Target,
    mut crd: Value,
    status: Value,
) -> Result<(), Status> {
    if crd["status"] == status {
        return Ok(());
    }
    crd["status"] = status;
    let target = Target {
        subresource: "status".into(),
        ..target.clone()
    };
    let request = Request::internal(Verb::Update, target, Body::Value(crd));
    pipeline.dispatch(&request).await.map(drop)
}

/// Deletes the objects of a definition that goes, then lets it go.
async fn clean_up(
    pipeline: &Pipeline,
    target: &Target,
    crd: Value,
    status: Value,
    resource: Option<Arc<Resource>>,
    now: &str,
) -> Result<(), Status> {
    let terminating = |reason: &str, message: &str| {
        let mut status = status.clone();
        status::set_condition(&mut status, "Terminating", ("True", reason, message), now);
        status
    };
    // One that never had its names has no objects.
    if let Some(resource) = resource {
        let begun = status::reason(&crd["status"], "Terminating");
        if !matches!(
            begun,
            "InstanceDeletionInProgress" | "InstanceDeletionCheck"
        ) {
            let status = terminating(
                "InstanceDeletionInProgress",
                "CustomResource deletion is in progress",
            );
            // Its event brings us back.
            return write_status(pipeline, target, crd, status).await;
        }
        let all = Target {
            version: resource.versions[0].name.clone(),
            resource: resource.clone(),
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
        };
        let mut request = Request::internal(Verb::DeleteCollection, all, Body::Empty);
        request.options = Options::default();
        pipeline.dispatch(&request).await?;
        pipeline.cache.fresh().await?;
        let of = pipeline.cache.of(&resource.group, &resource.plural);
        let left = of.map_or(0, |of| of.len());
        if left > 0 {
            let why = format!("{left} objects are still held by their finalizers");
            let message = format!("could not confirm zero CustomResources remaining: {why}");
            let status = terminating("InstanceDeletionCheck", &message);
            write_status(pipeline, target, crd, status).await?;
            return Err(Status::conflict(GROUP, PLURAL, &target.name, &why));
        }
    }
    let mut crd = crd;
    metadata::set_finalizer(&mut crd, FINALIZER, false);
    let request = Request::internal(Verb::Update, target.clone(), Body::Value(crd));
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}
