//! Which objects of a resource a list or watch is about.

use super::{Options, Target};
use crate::cache::Entry;
use hardway_proto::Status;
use hardway_proto::labels::{FieldSelector, Selector};

/// Namespace, labels and fields that objects must have.
#[derive(Clone, Debug)]
pub struct Selection {
    namespace: String,
    labels: Selector,
    fields: FieldSelector,
    /// The fields that entries have values of.
    names: Vec<String>,
}

impl Selection {
    /// Reads and checks the selectors of a request. A name in the target
    /// selects that object only.
    pub fn of(target: &Target, options: &Options) -> Result<Self, Status> {
        let labels = Selector::parse(&options.label_selector)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let mut fields = FieldSelector::parse(&options.field_selector)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        if !target.name.is_empty() {
            let named = fields.exact("metadata.name");
            if named.is_some_and(|name| name != target.name) {
                return Err(Status::bad_request(
                    "field selector \"metadata.name\" must match the name of the request",
                ));
            }
            fields = FieldSelector::equals("metadata.name", &target.name);
        }
        let rules = &target.resource.rules;
        for requirement in fields.requirements() {
            let field = requirement.field.as_str();
            if !matches!(field, "metadata.name" | "metadata.namespace")
                && !rules.is_selectable(&target.version, field)
            {
                // kubectl says by itself what it was looking for.
                return Err(Status::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
        }
        let names = match fields.is_everything() {
            true => Vec::new(),
            false => rules.selectable_names(),
        };
        Ok(Self {
            namespace: target.namespace.clone(),
            labels,
            fields,
            names,
        })
    }

    /// The namespace, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The one object selected, if a name is asked for.
    pub fn name(&self) -> Option<&str> {
        self.fields.exact("metadata.name")
    }

    /// Whether every object (of the namespace) is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether an object is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        (self.namespace.is_empty() || entry.namespace() == self.namespace)
            && self.labels.matches(&entry.labels)
            && self.fields.matches_with(|field| match field {
                "metadata.name" => Some(entry.name()),
                "metadata.namespace" => Some(entry.namespace()),
                other => {
                    let place = self.names.iter().position(|name| name == other)?;
                    entry.fields.get(place).map(String::as_str)
                }
            })
    }
}
