//! Which objects of a resource a list or watch is about.

use super::{Options, Target};
use crate::cache::{Entry, Interest, join};
use hardway_proto::Status;
use hardway_proto::labels::{FieldSelector, Selector};

/// Namespace, labels and fields that objects must have.
#[derive(Clone, Debug)]
pub struct Selection {
    namespace: String,
    labels: Selector,
    fields: FieldSelector,
    /// Where entries have the values of the fields, by the label of each.
    places: Vec<(String, usize)>,
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
        let places = places(target, &fields)?;
        Ok(Self {
            namespace: target.namespace.clone(),
            labels,
            fields,
            places,
        })
    }

    /// The namespace, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The objects that it can only be about, as a resource has them in the cache.
    pub fn interest(&self, target: &Target) -> Interest {
        let resource = &target.resource;
        if let Some(name) = self.fields.exact("metadata.name")
            && resource.namespaced() != self.namespace.is_empty()
        {
            return Interest::Object(join(&self.namespace, name));
        }
        let mut places = self.places.iter();
        let field = places.find_map(|(label, place)| {
            let value = self.fields.exact(label)?;
            Some(Interest::Field(*place, value.to_owned()))
        });
        match field {
            // A webhook may make another value of what is kept.
            Some(field) if resource.webhook.is_none() => field,
            _ if self.namespace.is_empty() => Interest::All,
            _ => Interest::Namespace(self.namespace.clone()),
        }
    }

    /// Whether an object as it is kept may be selected: what a webhook makes of it isn't known.
    pub fn may_match(&self, target: &Target, entry: &Entry) -> bool {
        let is_converted = target.resource.webhook.is_some() && self.looks_inside();
        is_converted || self.matches(entry)
    }

    /// Whether every object (of the namespace) is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether it asks for more than namespace and name.
    pub fn looks_inside(&self) -> bool {
        let is_identity = |field: &str| matches!(field, "metadata.name" | "metadata.namespace");
        let mut fields = self.fields.requirements().iter();
        !self.labels.is_everything() || !fields.all(|one| is_identity(&one.field))
    }

    /// Whether an object is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        (self.namespace.is_empty() || entry.namespace() == self.namespace)
            && self.labels.matches(&entry.labels)
            && self.fields.matches_with(|field| match field {
                "metadata.name" => Some(entry.name()),
                "metadata.namespace" => Some(entry.namespace()),
                other => {
                    let (_, place) = self.places.iter().find(|(label, _)| label == other)?;
                    entry.fields.get(*place).map(String::as_str)
                }
            })
    }
}

/// Where entries have what a selector asks for.
fn places(target: &Target, fields: &FieldSelector) -> Result<Vec<(String, usize)>, Status> {
    let resource = &target.resource;
    if fields.is_everything() {
        return Ok(Vec::new());
    }
    let names = resource.rules.selectable_names();
    let mut places = Vec::new();
    for requirement in fields.requirements() {
        let label = requirement.field.as_str();
        let field = resource
            .selected_field(&target.version, label)
            .map_err(Status::bad_request)?;
        let place = names.iter().position(|name| name == field);
        places.extend(place.map(|place| (label.to_owned(), place)));
    }
    Ok(places)
}
