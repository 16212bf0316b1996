//! Label selectors, as text, as `metav1.LabelSelector` and as plain maps, and
//! field selectors.
//!
//! Parsing, matching, canonical form and the texts of errors follow
//! `k8s.io/apimachinery/pkg/labels` and `…/fields`.

pub use crate::fields::{FieldRequirement, FieldSelector, FieldSelectorError};
use crate::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Why a selector can't be used; the text is Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

/// What a requirement asks of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One of the values.
    In,
    /// Absent, or none of the values.
    NotIn,
    /// Equal to the value, written `=`.
    Equals,
    /// Equal to the value, written `==`.
    DoubleEquals,
    /// Absent, or other than the value.
    NotEquals,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer greater than the value.
    GreaterThan,
    /// An integer less than the value.
    LessThan,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked.
    pub operator: Operator,
    /// The values it is asked about, sorted.
    pub values: Vec<String>,
}

impl Requirement {
    /// A requirement, checked.
    pub fn new(
        key: impl Into<String>,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<Self, SelectorError> {
        let key = key.into();
        check_key("key", &key)?;
        let invalid = |message: &str| {
            let list: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
            let text = format!("values: Invalid value: [{}]: {message}", list.join(","));
            Err(SelectorError(text))
        };
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                return invalid("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals
                if values.len() != 1 =>
            {
                return invalid("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                return invalid("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                return invalid("for 'Gt', 'Lt' operators, exactly one value is required");
            }
            Operator::GreaterThan | Operator::LessThan if values[0].parse::<i64>().is_err() => {
                return Err(SelectorError(format!(
                    "values[0]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
                    values[0]
                )));
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            let problems = names::is_label_value(value);
            if !problems.is_empty() {
                return Err(SelectorError(format!(
                    "values[{i}][{key}]: Invalid value: {value:?}: {}",
                    problems.join("; ")
                )));
            }
        }
        let mut values = values;
        values.sort();
        values.dedup();
        Ok(Self {
            key,
            operator,
            values,
        })
    }

    /// Whether a label's value (or its absence) satisfies the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.iter().any(|x| x == v);
        let number = || -> Option<(i64, i64)> {
            Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => number().is_some_and(|(a, b)| a > b),
            Operator::LessThan => number().is_some_and(|(a, b)| a < b),
        }
    }
}

fn check_key(path: &str, key: &str) -> Result<(), SelectorError> {
    let problems = names::is_qualified_name(key);
    if problems.is_empty() {
        return Ok(());
    }
    Err(SelectorError(format!(
        "{path}: Invalid value: {key:?}: {}",
        problems.join("; ")
    )))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        let key = &self.key;
        match self.operator {
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// Which labels are selected: those that satisfy every requirement.
///
/// ```
/// use hardway_proto::labels::Selector;
///
/// let selector = Selector::parse("app=web,tier in (front,back),!canary").unwrap();
/// let labels = [("app", "web"), ("tier", "front")];
/// let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
/// assert!(selector.matches(&labels));
/// assert!(Selector::parse("app in web").is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        Self {
            nothing: true,
            ..Self::default()
        }
    }

    /// A selector of requirements; they are kept sorted by key.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            requirements,
            nothing: false,
        }
    }

    /// Reads the text form: `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
    ///
    /// # Errors
    /// In the words of `k8s.io/apimachinery/pkg/labels`, if it is no selector, or has keys
    /// or values that no label can have.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        crate::selector_text::parse(text).map(Self::of)
    }

    /// From a typed `LabelSelector`; an empty one selects everything.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or of an unknown operator.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = equal_to(selector.match_labels.iter().flatten())?;
        for e in selector.match_expressions.iter().flatten() {
            let values = e.values.clone().unwrap_or_default();
            requirements.push(expression(&e.key, &e.operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// From a `LabelSelector` as JSON. Null selects nothing, `{}` everything.
    ///
    /// # Errors
    /// As [`from_label_selector`](Self::from_label_selector).
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let labels: Vec<(String, String)> = selector["matchLabels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), text(v)))
            .collect();
        let mut requirements = equal_to(labels.iter().map(|(k, v)| (k, v)))?;
        for e in selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let values = e["values"].as_array().into_iter().flatten();
            let values = values.map(text).collect();
            requirements.push(expression(&text(&e["key"]), &text(&e["operator"]), values)?);
        }
        Ok(Self::of(requirements))
    }

    /// From a plain map, such as a Service's selector; an empty map selects
    /// everything (callers for whom it selects nothing decide that themselves).
    pub fn from_map(labels: &BTreeMap<String, String>) -> Self {
        let equals = |(k, v): (&String, &String)| Requirement {
            key: k.clone(),
            operator: Operator::Equals,
            values: vec![v.clone()],
        };
        Self::of(labels.iter().map(equals).collect())
    }

    /// Whether the labels are selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Whether labels found through `get` are selected.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }

    /// Whether every set of labels is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no set of labels is selected.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

fn equal_to<'a>(
    labels: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Requirement>, SelectorError> {
    labels
        .map(|(k, v)| Requirement::new(k, Operator::Equals, vec![v.clone()]))
        .collect()
}

fn expression(
    key: &str,
    operator: &str,
    values: Vec<String>,
) -> Result<Requirement, SelectorError> {
    let operator = match operator {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            return Err(SelectorError(format!(
                "{other:?} is not a valid label selector operator"
            )));
        }
    };
    Requirement::new(key, operator, values)
}

pub(crate) fn check_parsed_key(key: &str) -> Result<(), SelectorError> {
    check_key("<nil>", key)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn parse_display_and_match() {
        let s = Selector::parse("e in (y, x), a=b,c!=d,f notin (z),g,!h").unwrap();
        assert_eq!(s.to_string(), "a=b,c!=d,e in (x,y),f notin (z),g,!h");
        assert!(s.matches(&labels(&[("a", "b"), ("e", "x"), ("g", "")])));
        assert!(!s.matches(&labels(&[("a", "b"), ("e", "x"), ("g", ""), ("h", "1")])));
        assert!(!s.matches(&labels(&[("a", "b"), ("c", "d"), ("e", "x"), ("g", "")])));
        assert!(Selector::parse("").unwrap().is_everything());
        assert!(
            Selector::parse("n>3")
                .unwrap()
                .matches(&labels(&[("n", "4")]))
        );
        assert!(
            Selector::parse("a=")
                .unwrap()
                .matches(&labels(&[("a", "")]))
        );
    }

    #[test]
    fn keywords_may_be_values_and_keys() {
        let s = Selector::parse("in in (in,notin),notin=in").unwrap();
        assert!(s.matches(&labels(&[("in", "notin"), ("notin", "in")])));
    }

    #[test]
    fn errors_are_those_of_kubernetes() {
        for (text, error) in [
            (
                "=a",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            ("a=b,", "found '', expected: identifier after ','"),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a in x",
                "unable to parse requirement: found 'x' expected: '('",
            ),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (
                "a in ()",
                "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
            ),
        ] {
            assert_eq!(
                Selector::parse(text).unwrap_err().to_string(),
                error,
                "{text}"
            );
        }
        let error = Selector::parse("a/b/c=d").unwrap_err().to_string();
        assert!(error.starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified name must"), "{error}");
    }

    #[test]
    fn from_objects() {
        let s = Selector::from_json(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}],
        }))
        .unwrap();
        assert_eq!(s.to_string(), "app=web,tier notin (db)");
        assert!(Selector::from_json(&Value::Null).unwrap().is_nothing());
        assert!(Selector::from_json(&json!({})).unwrap().is_everything());
        assert!(Selector::from_map(&labels(&[("a", "b")])).matches(&labels(&[("a", "b")])));
        assert_eq!(
            Selector::from_json(&json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}))
                .unwrap_err()
                .to_string(),
            "\"Near\" is not a valid label selector operator"
        );
    }
}
