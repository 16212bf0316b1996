//! Rules made ready, and what is wrong with them.

use super::cost::{self, Total};
use super::{Node, Rule, Validations};
use crate::library::quoted;
use crate::schema::Schema;
use crate::{Environment, Expressions, Issue, Program, Type, field_path, timing};
use hardway_proto::status::Cause;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The field of a schema that holds its rules.
const RULES: &str = "x-kubernetes-validations";
/// What the type of `self` is called in messages.
const SELF: &str = "selfType";

impl Validations {
    /// The rules of a custom resource's schema. One that isn't right fails on every object:
    /// definitions are refused for it, but there may be one from before.
    pub fn of_resource(schema: &Json) -> Self {
        let mut compiler = Compiler::default();
        let root = timing::compiling(|| compiler.resource(schema, ""));
        Self { root }
    }

    /// What is wrong with the rules of a custom resource's schema, which is at a path of a
    /// definition. Expressions that are not among the `stored` ones are new.
    pub fn faults(schema: &Json, path: &str, stored: &BTreeSet<String>) -> Vec<Cause> {
        let mut compiler = Compiler {
            stored: Some(stored),
            ..Compiler::default()
        };
        timing::compiling(|| compiler.resource(schema, path));
        let mut causes = compiler.causes;
        causes.extend(compiler.total.faults(path));
        causes
    }

    /// The expressions in the rules of a schema.
    pub fn expressions(schema: &Json) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(schema, &mut found);
        found
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

#[derive(Default)]
struct Compiler<'c> {
    /// The expressions that are stored; all are, if it isn't said.
    stored: Option<&'c BTreeSet<String>>,
    causes: Vec<Cause>,
    total: Total,
}

/// Where a schema is in another.
#[derive(Clone)]
struct Place {
    path: String,
    /// How many values there may be of it in an object; `None` if nothing bounds that.
    count: Option<u64>,
    /// The list or map around whose values have no predecessors.
    uncorrelated: Option<String>,
    /// Whether there are rules around.
    ruled: bool,
    /// Whether what is around, and has rules, has no type.
    untyped: bool,
}

impl Place {
    fn below(&self, part: &str) -> Self {
        Self {
            path: format!("{}.{part}", self.path),
            ..self.clone()
        }
    }

    /// With so many values for each that there was.
    fn times(self, count: &Json) -> Self {
        let count = count.as_u64();
        Self {
            count: self.count.zip(count).map(|(a, b)| a.saturating_mul(b)),
            ..self
        }
    }

    fn uncorrelated_if(self, uncorrelated: bool, within: &Self) -> Self {
        let within = uncorrelated.then(|| within.path.clone());
        Self {
            uncorrelated: self.uncorrelated.or(within),
            ..self
        }
    }
}

impl Compiler<'_> {
    fn resource(&mut self, schema: &Json, path: &str) -> Option<Node> {
        // Nothing is made ready for nothing.
        if !has_rules(schema) {
            return None;
        }
        let place = Place {
            path: path.to_owned(),
            count: Some(1),
            uncorrelated: None,
            ruled: false,
            untyped: false,
        };
        let compiled = Schema::compile(schema, SELF, true);
        self.node(schema, compiled, &place)
    }

    /// The rules of a schema; `schema` is what expressions know of it, if they can.
    fn node(&mut self, json: &Json, schema: Option<Arc<Schema>>, place: &Place) -> Option<Node> {
        let all = json[RULES].as_array().map(Vec::as_slice);
        let all = all.unwrap_or_default();
        let rules: Vec<Rule> = match &schema {
            Some(schema) => all
                .iter()
                .enumerate()
                .map(|(index, rule)| {
                    let at = format!("{}.{RULES}[{index}]", place.path);
                    self.rule(rule, &at, json, schema, place)
                })
                .collect(),
            None => Vec::new(),
        };
        let ruled = place.ruled || !all.is_empty();
        let around = Place {
            ruled,
            untyped: ruled && schema.is_none(),
            ..place.clone()
        };
        if schema.is_none() && !all.is_empty() {
            self.untyped(place);
        }
        let keys = match json["x-kubernetes-list-type"].as_str() {
            Some("map") => Some(texts(&json["x-kubernetes-list-map-keys"])),
            _ => None,
        };
        let atomic = json["x-kubernetes-map-type"] == "atomic";
        let mut fields = BTreeMap::new();
        for (name, field) in json["properties"].as_object().into_iter().flatten() {
            let mut at = around.below("properties").uncorrelated_if(atomic, place);
            at.path = format!("{}[{name}]", at.path);
            let known = schema.as_ref().and_then(|schema| schema.field(name));
            if let Some(node) = self.part(field, known, &at) {
                fields.insert(name.clone(), node);
            }
        }
        let known = schema.as_ref().and_then(|schema| schema.element());
        let items = {
            let at = around.below("items").times(&json["maxItems"]);
            let at = at.uncorrelated_if(keys.is_none(), place);
            self.part(&json["items"], known, &at).map(Box::new)
        };
        let values = {
            let at = around.below("additionalProperties");
            let at = at.times(&json["maxProperties"]);
            let values = &json["additionalProperties"];
            self.part(values, known, &at).map(Box::new)
        };
        if rules.is_empty() && fields.is_empty() && items.is_none() && values.is_none() {
            return None;
        }
        Some(Node {
            schema,
            kind: json["type"].as_str().unwrap_or_default().to_owned(),
            rules,
            fields,
            items,
            values,
            keys,
            atomic,
        })
    }

    /// The rules of a schema below another, by which it may be known. What expressions about
    /// the whole can't get at (its name can't be said, or the whole has no type) is known for
    /// itself, as in Kubernetes.
    fn part(&mut self, json: &Json, known: Option<&Arc<Schema>>, place: &Place) -> Option<Node> {
        if !json.is_object() || !has_rules(json) {
            return None;
        }
        let schema = match known {
            Some(known) => Some(known.clone()),
            None if place.untyped => None,
            None => {
                let resource = json["x-kubernetes-embedded-resource"] == true;
                Schema::compile(json, SELF, resource)
            }
        };
        self.node(json, schema, place)
    }

    /// There are rules for values that have no type.
    fn untyped(&mut self, place: &Place) {
        self.causes.push(Cause {
            reason: "InternalError".into(),
            message: "Internal error: internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations".into(),
            field: format!("{}.{RULES}", place.path),
        });
    }

    fn rule(&mut self, rule: &Json, at: &str, json: &Json, schema: &Schema, place: &Place) -> Rule {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let optional_old = rule["optionalOldSelf"] == true;
        let kind = schema.type_of().clone();
        let old = match optional_old {
            true => Type::optional(kind.clone()),
            false => kind.clone(),
        };
        let environment = |expression: &str| {
            let environment = Environment::of(self.origin(expression));
            environment
                .variable("self", kind.clone())
                .variable("oldSelf", old.clone())
        };
        let (source, expression) = (text("rule"), text("messageExpression"));
        let (of_rule, of_message) = (environment(&source), environment(&expression));
        let program = compiled(&of_rule, &source, &Type::Bool)
            .map_err(|fault| fault.told("", "cel expression must evaluate to a bool"));
        let rule_at = format!("{at}.rule");
        // That there is a rule at all is told elsewhere.
        match &program {
            Err(_) if source.trim().is_empty() => {}
            Err(why) => self.invalid(&rule_at, &shown(rule), why),
            Ok(program) => {
                let cost = cost::estimate(program, schema, place.count);
                self.charge(cost, &rule_at, "rule");
            }
        }
        let uses_old = program.as_ref().is_ok_and(|p| p.uses("oldSelf"));
        if uses_old {
            if let Some(within) = &place.uncorrelated {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                self.invalid(&rule_at, &quoted(&source), &why);
            }
        } else if program.is_ok() && !rule["optionalOldSelf"].is_null() {
            let why = "may not be set if oldSelf is not used in rule";
            self.invalid(
                &format!("{at}.optionalOldSelf"),
                &optional_old.to_string(),
                why,
            );
        }
        let message_at = format!("{at}.messageExpression");
        let message_expression = match expression.trim() {
            "" => None,
            _ => match compiled(&of_message, &expression, &Type::String) {
                Ok(program) => {
                    // Kubernetes counts it once, however many values there may be.
                    let cost = cost::estimate(&program, schema, Some(1));
                    self.charge(cost, &message_at, "messageExpression");
                    Some(program)
                }
                Err(fault) => {
                    let kind = "messageExpression must evaluate to a string";
                    let why = fault.told("messageExpression ", kind);
                    self.invalid(&message_at, &shown(rule), &why);
                    None
                }
            },
        };
        let says_old = message_expression.as_ref();
        let says_old = says_old.is_some_and(|program| program.uses("oldSelf"));
        Rule {
            text: source,
            message: text("message"),
            program,
            message_expression,
            message_text: expression,
            reason: text("reason"),
            field_path: match field_path::follow(&text("fieldPath"), json, true) {
                Ok((steps, _)) => field_path::shown(&steps),
                // Definitions are refused for it, but there may be one from before.
                Err(_) => String::new(),
            },
            uses_old,
            says_old,
            optional_old,
        }
    }

    fn origin(&self, expression: &str) -> Expressions {
        match self.stored {
            Some(stored) if !stored.contains(expression) => Expressions::New,
            _ => Expressions::Stored,
        }
    }

    /// Counts what an expression may cost.
    fn charge(&mut self, cost: u64, at: &str, what: &str) {
        if let Some(why) = cost::excess(&format!("estimated {what} cost"), cost, cost::EXPRESSION) {
            self.causes.push(cost::forbidden(at, &why));
        }
        self.total.add(at, cost);
    }

    fn invalid(&mut self, field: &str, value: &str, detail: &str) {
        self.causes.push(Cause {
            reason: "FieldValueInvalid".into(),
            message: format!("Invalid value: {value}: {detail}"),
            field: field.to_owned(),
        });
    }
}

/// Why an expression can't be used.
enum Fault {
    Issues(Vec<Issue>),
    /// Its value is of another type than it must be.
    Kind,
}

impl Fault {
    fn told(&self, what: &str, kind: &str) -> String {
        match self {
            Self::Kind => kind.to_owned(),
            Self::Issues(issues) => {
                let issues: Vec<String> = issues.iter().map(Issue::to_string).collect();
                format!("{what}compilation failed: {}", issues.join("\n"))
            }
        }
    }
}

fn compiled(environment: &Environment, text: &str, kind: &Type) -> Result<Program, Fault> {
    let program = environment.compile(text).map_err(Fault::Issues)?;
    match program.output_type() == kind {
        true => Ok(program),
        false => Err(Fault::Kind),
    }
}

/// Whether a schema or one below it has rules.
fn has_rules(schema: &Json) -> bool {
    let own = schema[RULES].as_array();
    own.is_some_and(|rules| !rules.is_empty()) || parts(schema).any(has_rules)
}

/// The schemas right below one that may have rules.
fn parts(schema: &Json) -> impl Iterator<Item = &Json> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(_, part)| part);
    let all = fields.chain([&schema["items"], &schema["additionalProperties"]]);
    all.filter(|part| part.is_object())
}

fn collect(schema: &Json, found: &mut BTreeSet<String>) {
    for rule in schema[RULES].as_array().into_iter().flatten() {
        let texts = ["rule", "messageExpression"].map(|key| rule[key].as_str());
        found.extend(texts.into_iter().flatten().map(str::to_owned));
    }
    parts(schema).for_each(|part| collect(part, found));
}

/// A rule as Go shows the struct that it is there.
fn shown(rule: &Json) -> String {
    let text = |key: &str| quoted(rule[key].as_str().unwrap_or_default());
    format!(
        "apiextensions.ValidationRule{{Rule:{}, Message:{}, MessageExpression:{}, Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:{}, OptionalOldSelf:(*bool)(nil)}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        text("fieldPath"),
    )
}

fn texts(list: &Json) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Json::as_str).map(str::to_owned).collect()
}
