//! Selectors of labels and of fields.

use hardway_proto::fields::FieldSelector;
use hardway_proto::labels::{Operator, Requirement, Selector};
use std::collections::BTreeMap;

const LABELS: [&[(&str, &str)]; 4] = [
    &[],
    &[("a", "b")],
    &[("a", ""), ("b", "1")],
    &[("in", "notin"), ("x.io/y", "3")],
];

/// A selector says the same when it is written down and read again, and each
/// requirement is the contrary of its negation.
pub fn label_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(selector) = Selector::parse(text) else {
        return;
    };
    let written = selector.to_string();
    // One of nothing but the empty value is written like one of none, as in Kubernetes.
    let odd = written.contains("()");
    if !odd {
        let again = Selector::parse(&written).expect("what was written can be read");
        assert_eq!(again, selector, "{written}");
    }
    for labels in LABELS {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let of = |r: &Requirement| r.matches(labels.get(&r.key).map(String::as_str));
        let all = selector.requirements().iter().all(of);
        assert_eq!(selector.matches(&labels), all);
        for requirement in selector.requirements() {
            let opposite = match requirement.operator {
                Operator::In => Operator::NotIn,
                Operator::NotIn => Operator::In,
                Operator::Equals | Operator::DoubleEquals => Operator::NotEquals,
                Operator::NotEquals => Operator::Equals,
                Operator::Exists => Operator::DoesNotExist,
                Operator::DoesNotExist => Operator::Exists,
                Operator::GreaterThan | Operator::LessThan => continue,
            };
            let opposite = Requirement::new(&requirement.key, opposite, requirement.values.clone())
                .expect("the negation of a good requirement is one");
            assert_ne!(of(requirement), of(&opposite), "{requirement}");
        }
    }
}

/// A selector says the same when it is written down and read again.
pub fn field_selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(selector) = FieldSelector::parse(text) else {
        return;
    };
    let written = selector.to_string();
    let again = FieldSelector::parse(&written).expect("what was written can be read");
    assert_eq!(again, selector, "{written}");
    for requirement in selector.requirements() {
        let alone = FieldSelector::equals(&*requirement.field, &*requirement.value);
        let value = requirement.value.as_str();
        let holds = alone.matches_with(|field| (field == requirement.field).then_some(value));
        assert!(holds, "{alone}");
    }
}
