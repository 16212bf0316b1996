//! Rules made ready, and what is wrong with them.

use super::cost::{self, Total};
use super::{Node, Rule, Validations};
use crate::library::quoted;
use crate::schema::Schema;
use crate::{Environment, Issue, Program, Type};
use hardway_proto::status::Cause;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The field of a schema that holds its rules.
const RULES: &str = "x-kubernetes-validations";

impl Validations {
    /// The rules of a custom resource's schema. One that isn't right fails on every object:
    /// definitions are refused for it, but there may be one from before.
    pub fn of_resource(schema: &Json) -> Self {
        let mut compiler = Compiler::default();
        Self {
            root: compiler.resource(schema, ""),
        }
    }

    /// What is wrong with the rules of a custom resource's schema, which is at a path of a
    /// definition.
    pub fn faults(schema: &Json, path: &str) -> Vec<Cause> {
        let mut compiler = Compiler::default();
        compiler.resource(schema, path);
        let mut causes = compiler.causes;
        causes.extend(compiler.total.faults(path));
        causes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

#[derive(Default)]
struct Compiler {
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

impl Compiler {
    fn resource(&mut self, schema: &Json, path: &str) -> Option<Node> {
        // Nothing is made ready for nothing.
        if !has_rules(schema) {
            return None;
        }
        let compiled = Schema::compile(schema, "selfType", true)?;
        let place = Place {
            path: path.to_owned(),
            count: Some(1),
            uncorrelated: None,
        };
        self.node(schema, &compiled, &place)
    }

    fn node(&mut self, json: &Json, schema: &Arc<Schema>, place: &Place) -> Option<Node> {
        let keys = match json["x-kubernetes-list-type"].as_str() {
            Some("map") => Some(texts(&json["x-kubernetes-list-map-keys"])),
            _ => None,
        };
        let rules = json[RULES].as_array().into_iter().flatten().enumerate();
        let rules: Vec<Rule> = rules
            .map(|(index, rule)| {
                let at = format!("{}.{RULES}[{index}]", place.path);
                self.rule(rule, &at, schema, place)
            })
            .collect();
        let mut fields = BTreeMap::new();
        for (name, field) in json["properties"].as_object().into_iter().flatten() {
            let mut at = place.below("properties");
            at.path = format!("{}[{name}]", at.path);
            let compiled = schema.field(name);
            if let Some(node) = compiled.and_then(|s| self.node(field, s, &at)) {
                fields.insert(name.clone(), node);
            }
        }
        let element = |name: &str| schema.element().filter(|_| json[name].is_object());
        let items = element("items").and_then(|element| {
            let at = place.below("items").times(&json["maxItems"]);
            let at = at.uncorrelated_if(keys.is_none(), place);
            self.node(&json["items"], element, &at).map(Box::new)
        });
        let values = element("additionalProperties").and_then(|element| {
            let at = place.below("additionalProperties");
            let at = at.times(&json["maxProperties"]);
            let values = &json["additionalProperties"];
            self.node(values, element, &at).map(Box::new)
        });
        if rules.is_empty() && fields.is_empty() && items.is_none() && values.is_none() {
            return None;
        }
        Some(Node {
            schema: schema.clone(),
            kind: json["type"].as_str().unwrap_or_default().to_owned(),
            rules,
            fields,
            items,
            values,
            keys,
        })
    }

    fn rule(&mut self, rule: &Json, at: &str, schema: &Schema, place: &Place) -> Rule {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let optional_old = rule["optionalOldSelf"] == true;
        let kind = schema.type_of().clone();
        let old = match optional_old {
            true => Type::optional(kind.clone()),
            false => kind.clone(),
        };
        let environment = Environment::new()
            .variable("self", kind)
            .variable("oldSelf", old);
        let source = text("rule");
        let program = compiled(&environment, &source, &Type::Bool)
            .map_err(|fault| fault.told("", "cel expression must evaluate to a bool"));
        let rule_at = format!("{at}.rule");
        // That there is a rule at all is told elsewhere.
        match &program {
            Err(_) if source.trim().is_empty() => {}
            Err(why) => self.invalid(&rule_at, &shown(rule), why),
            Ok(program) => self.charge(program, schema, place, &rule_at, "rule"),
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
        let expression = text("messageExpression");
        let message_at = format!("{at}.messageExpression");
        let message_expression = match expression.trim() {
            "" => None,
            _ => match compiled(&environment, &expression, &Type::String) {
                Ok(program) => {
                    self.charge(&program, schema, place, &message_at, "messageExpression");
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
        Rule {
            text: source,
            message: text("message"),
            program,
            message_expression,
            reason: text("reason"),
            field_path: field_path(&text("fieldPath")),
            uses_old,
            optional_old,
        }
    }

    /// Counts what an expression may cost on all values of its schema.
    fn charge(&mut self, program: &Program, schema: &Schema, place: &Place, at: &str, what: &str) {
        let cost = cost::estimate(program, schema, place.count);
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
    let parts = schema["properties"].as_object().into_iter().flatten();
    let parts = parts.map(|(_, part)| part);
    let mut all = parts.chain([&schema["items"], &schema["additionalProperties"]]);
    schema[RULES]
        .as_array()
        .is_some_and(|rules| !rules.is_empty())
        || all.any(|part| part.is_object() && has_rules(part))
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

/// `.spec['a.b']` as messages have it.
fn field_path(path: &str) -> String {
    let path = path.trim().replace("['", ".").replace("']", "");
    path.trim_start_matches('.').to_owned()
}

fn texts(list: &Json) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Json::as_str).map(str::to_owned).collect()
}
