//! What rules may cost, and how that is told.

use crate::cost::{SizeRange, Sizes};
use crate::program::Program;
use crate::schema::Schema;
use hardway_proto::status::Cause;

/// What one expression may cost on all of an object (`StaticEstimatedCostLimit`).
pub(super) const EXPRESSION: u64 = 10_000_000;
/// What all of a schema may (`StaticEstimatedCRDCostLimit`).
const ALL: u64 = 100_000_000;
/// Bytes of the largest request.
const REQUEST: u64 = 3 * 1024 * 1024;
/// So many of the most expensive are named.
const NAMED: usize = 4;
/// What costs less, a hundredth of all, isn't named.
const LEAST_NAMED: u64 = ALL / 100;

/// Sizes by the schema of `self`.
struct OfSelf<'s>(&'s Schema);

impl Sizes for OfSelf<'_> {
    fn size(&self, path: &[String]) -> Option<SizeRange> {
        let (variable, path) = path.split_first()?;
        let known = matches!(variable.as_str(), "self" | "oldSelf");
        known.then(|| self.0.size_at(path)).flatten()
    }
}

/// What an expression may cost on all values of its schema that an object can have: as many
/// as the schemas around it allow, or else as fit a request.
pub(super) fn estimate(program: &Program, schema: &Schema, count: Option<u64>) -> u64 {
    let fitting = REQUEST / (schema.least_bytes() + 1);
    let once = program.estimate_cost(&OfSelf(schema)).max;
    once.saturating_mul(count.unwrap_or(fitting))
}

/// How a cost is over its limit, if it is.
pub(super) fn excess(what: &str, cost: u64, limit: u64) -> Option<String> {
    if cost <= limit {
        return None;
    }
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        _ if factor > 100.0 => "more than 100x".to_owned(),
        _ if factor < 1.5 => format!("{factor:.6}x"),
        _ => format!("{factor:.1}x"),
    };
    Some(format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    ))
}

pub(super) fn forbidden(field: &str, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueForbidden".into(),
        message: format!("Forbidden: {detail}"),
        field: field.to_owned(),
    }
}

/// The costs of all expressions of a schema.
#[derive(Debug, Default)]
pub(super) struct Total {
    cost: u64,
    /// The most expensive, the greatest first.
    greatest: Vec<(u64, String)>,
}

impl Total {
    pub fn add(&mut self, at: &str, cost: u64) {
        self.cost = self.cost.saturating_add(cost);
        if cost < LEAST_NAMED {
            return;
        }
        self.greatest.push((cost, at.to_owned()));
        self.greatest
            .sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        self.greatest.truncate(NAMED);
    }

    /// That they are too much together, and what contributes most.
    pub fn faults(self, path: &str) -> Vec<Cause> {
        let what = "x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema";
        let Some(why) = excess(what, self.cost, ALL) else {
            return Vec::new();
        };
        let contributed = "contributed to estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 schema";
        let greatest = self.greatest.iter();
        let mut causes: Vec<Cause> = greatest.map(|(_, at)| forbidden(at, contributed)).collect();
        causes.push(forbidden(path, &why));
        causes
    }
}
