//! A kind's rules as data: what differs from a kind without any.

use super::{FieldErrors, Findings, KindRules};
use hardway_proto::names;
use serde_json::Value;

type Selectable = Vec<(&'static str, String)>;

/// The rules of one kind. Kinds write `Kind { …, ..PLAIN }`.
#[derive(Clone, Copy)]
pub struct Kind {
    /// What is wrong with a name.
    pub name: fn(&str) -> Vec<String>,
    /// Whether finalizers may have any qualified name.
    pub any_finalizer: bool,
    /// The status of a new object as JSON; empty if the kind has none.
    pub status: &'static str,
    /// Whether changes are counted in `metadata.generation`.
    pub generation: bool,
    /// Fields of metadata whose changes are counted as well.
    pub counted_metadata: &'static [&'static str],
    /// Fills in defaults.
    pub default: fn(&mut Value),
    /// Before a create, after the status was reset.
    pub prepare_create: fn(&mut Value),
    /// Once a new object is as its client and admission want it, and before it is checked.
    pub complete_create: fn(&mut Value),
    /// Before an update, after the status was carried over.
    pub prepare_update: fn(&mut Value, &Value),
    /// Before an update of the status, after all else was carried over.
    pub prepare_status_update: fn(&mut Value, &Value),
    /// Before a deletion begins, at this time.
    pub prepare_delete: fn(&mut Value, &str),
    /// What is wrong with an object.
    pub validate: fn(&Value) -> FieldErrors,
    /// The same of an object that has an earlier version, whose faults may stay, in place
    /// of `validate`.
    pub validate_again: Option<fn(&Value, &Value) -> FieldErrors>,
    /// What is wrong with a changed object where faults that it had may stay, in place
    /// of the other three.
    pub validate_changed: Option<fn(&Value, &Value) -> FieldErrors>,
    /// What is wrong with a change.
    pub validate_update: fn(&Value, &Value) -> FieldErrors,
    /// What is wrong with a change of the status.
    pub validate_status: fn(&Value, &Value) -> FieldErrors,
    /// Fields that can be selected, with their values: the same for every object, in the
    /// same order.
    pub fields: fn(&Value) -> Selectable,
    /// Labels that clients may select by beside the names of these fields, and the
    /// fields they stand for.
    pub label_aliases: &'static [(&'static str, &'static str)],
    /// What is said of a label that there isn't.
    pub unknown_label: fn(&str) -> String,
    /// Grace period of a deletion that names none.
    pub grace: fn(&Value) -> Option<i64>,
    /// What deserves a warning.
    pub warnings: fn(&Value, Option<&Value>) -> Vec<String>,
}

/// A kind without rules of its own.
pub const PLAIN: Kind = Kind {
    name: names::is_dns1123_subdomain,
    any_finalizer: false,
    status: "",
    generation: false,
    counted_metadata: &[],
    default: |_| {},
    prepare_create: |_| {},
    complete_create: |_| {},
    prepare_update: |_, _| {},
    prepare_status_update: |_, _| {},
    prepare_delete: |_, _| {},
    validate: |_| FieldErrors::new(),
    validate_again: None,
    validate_changed: None,
    validate_update: |_, _| FieldErrors::new(),
    validate_status: |_, _| FieldErrors::new(),
    fields: |_| Vec::new(),
    label_aliases: &[],
    unknown_label: |label| format!("field label not supported: {label}"),
    grace: |_| None,
    warnings: |_, _| Vec::new(),
};

/// A kind with a status and a counted spec.
pub const WITH_STATUS: Kind = Kind {
    status: "{}",
    generation: true,
    ..PLAIN
};

impl KindRules for Kind {
    fn validate_name(&self, name: &str) -> Vec<String> {
        (self.name)(name)
    }

    fn takes_any_finalizer(&self) -> bool {
        self.any_finalizer
    }

    fn default(&self, object: &mut Value) {
        (self.default)(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        if self.has_status() {
            let status = serde_json::from_str(self.status).unwrap_or_default();
            super::json::set(object, "status", Value::Object(status));
        }
        (self.prepare_create)(object);
    }

    fn complete_create(&self, object: &mut Value) {
        (self.complete_create)(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.has_status() {
            super::carry_over(new, old, "status");
        }
        (self.prepare_update)(new, old);
    }

    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        super::carry_over(new, old, "spec");
        (self.prepare_status_update)(new, old);
    }

    fn prepare_delete(&self, object: &mut Value, now: &str) {
        (self.prepare_delete)(object, now);
    }

    fn has_status(&self) -> bool {
        !self.status.is_empty()
    }

    fn has_generation(&self) -> bool {
        self.generation
    }

    fn counted_metadata(&self) -> &'static [&'static str] {
        self.counted_metadata
    }

    fn validate(&self, object: &Value) -> FieldErrors {
        (self.validate)(object)
    }

    fn validate_again(&self, new: &Value, old: &Value) -> FieldErrors {
        match self.validate_again {
            Some(validate) => validate(new, old),
            None => (self.validate)(new),
        }
    }

    fn validate_update(&self, new: &Value, old: &Value) -> FieldErrors {
        (self.validate_update)(new, old)
    }

    fn validate_changed(&self, new: &Value, old: &Value) -> Findings {
        let causes = match self.validate_changed {
            Some(validate) => validate(new, old),
            None => {
                let mut causes = KindRules::validate_again(self, new, old);
                causes.extend((self.validate_update)(new, old));
                causes
            }
        };
        causes.into()
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> Findings {
        (self.validate_status)(new, old).into()
    }

    fn selectable_names(&self) -> Vec<String> {
        let fields = (self.fields)(&Value::Null).into_iter();
        fields.map(|(name, _)| name.to_owned()).collect()
    }

    fn selectable_values(&self, object: &Value) -> Vec<String> {
        let fields = (self.fields)(object).into_iter();
        fields.map(|(_, value)| value).collect()
    }

    fn label_alias(&self, label: &str) -> Option<&'static str> {
        let mut aliases = self.label_aliases.iter();
        aliases.find_map(|(alias, field)| (*alias == label).then_some(*field))
    }

    fn unknown_label(&self, label: &str) -> String {
        (self.unknown_label)(label)
    }

    fn default_grace_period(&self, object: &Value) -> Option<i64> {
        (self.grace)(object)
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        (self.warnings)(new, old)
    }
}
