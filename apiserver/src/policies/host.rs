//! Kinds, schemas and patches, for admission policies.

use super::metrics;
use crate::conversion::Conversion;
use futures_util::future::BoxFuture;
use hardway_access::admission::ResourceKind;
use hardway_access::admission::policies::{Check, ConditionsCheck, Host, ParamResource};
use hardway_resources::registry::Registry;
use hardway_resources::resource::Resource;
use hardway_resources::schema::builtin;
use serde_json::Value;
use std::sync::Arc;

/// Reads off the table of resources what policies ask for.
pub struct PolicyHost {
    registry: Arc<Registry>,
    conversion: Arc<Conversion>,
}

impl PolicyHost {
    /// Of a table, whose objects are converted so.
    pub fn new(registry: Arc<Registry>, conversion: Arc<Conversion>) -> Self {
        Self {
            registry,
            conversion,
        }
    }

    fn row(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let (group, version) = split(api_version);
        self.registry.lookup_kind(group, version, kind)
    }
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Host for PolicyHost {
    fn find(&self, api_version: &str, kind: &str) -> Option<ParamResource> {
        let row = self.row(api_version, kind)?;
        Some(ParamResource {
            group: row.kept_group().to_owned(),
            resource: row.plural.clone(),
            namespaced: row.namespaced(),
        })
    }

    fn show<'a>(
        &'a self,
        api_version: &'a str,
        kind: &'a str,
        kept: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(async move {
            let Some(row) = self.row(api_version, kind) else {
                return Ok(kept);
            };
            let version = split(api_version).1;
            let shown = self.conversion.objects(&row, kept, version).await;
            let mut shown = shown.map_err(|status| status.message)?;
            if row.converts() {
                let external = shown.into_iter();
                shown = external
                    .map(|object| row.to_external(object, version))
                    .collect();
            }
            Ok(shown)
        })
    }

    fn merge(
        &self,
        shown_as: &ResourceKind,
        object: &Value,
        configuration: &Value,
    ) -> Result<Value, String> {
        let kind = &shown_as.kind;
        let row = self
            .registry
            .lookup_kind(&kind.group, &kind.version, &kind.kind);
        let schema = match row.as_ref().and_then(|row| row.version(&kind.version)) {
            Some(version) => Some(version.schema.clone()),
            None => builtin::kind(&kind.group, &kind.version, &kind.kind),
        };
        match schema {
            Some(schema) => hardway_patch::merge_configuration(object, configuration, &schema),
            None => Err(format!("no schema of the kind {}", kind.kind)),
        }
    }

    fn patch(&self, object: &Value, operations: &Value) -> Result<Option<Value>, String> {
        hardway_patch::tested_json_patch(object, operations)
    }

    fn observe(&self, check: &Check<'_>) {
        metrics::observe(check);
    }

    fn observe_conditions(&self, check: &ConditionsCheck<'_>) {
        metrics::observe_conditions(check);
    }
}
