//! Expressions of the Common Expression Language.

use hardway_cel::{Budget, Environment, Error, PER_CALL_LIMIT, Scope, Type, Value};
use serde_json::json;
use std::sync::LazyLock;

/// What expressions are put together from, a byte for each.
const PIECES: [&str; 96] = [
    "x",
    "l",
    "s",
    "i",
    ".a",
    ".b",
    ".?a",
    "[0]",
    "[?1]",
    "['a']",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    " ? ",
    " : ",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " == ",
    " != ",
    " < ",
    " >= ",
    " && ",
    " || ",
    "!",
    "-",
    " in ",
    "1",
    "0",
    "-1",
    "2u",
    "1.5",
    "'a'",
    "b'a'",
    "''",
    "true",
    "false",
    "null",
    "9223372036854775807",
    "[1, 2]",
    "{'a': 1}",
    "dyn(",
    "int(",
    "string(",
    "size(",
    "type(",
    "duration('1s')",
    "timestamp(0)",
    "timestamp(",
    "has(x.a)",
    ".all(e, ",
    ".exists(e, ",
    ".map(e, ",
    ".filter(e, ",
    "e",
    ".exists_one(k, v, ",
    ".transformMap(k, v, ",
    "k",
    "v",
    ".orValue(",
    ".optMap(e, ",
    "optional.of(",
    "optional.none()",
    ".matches('a+')",
    ".find('[a-z]*')",
    ".findAll('.', ",
    ".split(",
    ".join(",
    ".replace('a', ",
    ".substring(",
    ".lastIndexOf(",
    ".charAt(",
    ".format([",
    "])",
    "'%s %.3f'",
    ".sum()",
    ".max()",
    ".isSorted()",
    "sets.contains(",
    "quantity('1k')",
    ".add(",
    "ip('::1')",
    "cidr('::/8')",
    ".containsIP(",
    "url('/a?b=c')",
    ".getQuery()",
    "semver('1.2.3')",
    ".compareTo(",
    "format.uuid().validate(",
];

static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    Environment::new()
        .variable("x", Type::Dyn)
        .variable("l", Type::list(Type::Int))
        .variable("s", Type::String)
        .variable("i", Type::Int)
});

/// What compiles is evaluated within its limit, to a value of its type. What doesn't compile
/// says where and why.
pub fn expression(data: &[u8]) {
    let text = match data.split_first() {
        Some((0, pieces)) => pieces
            .iter()
            .map(|piece| PIECES[usize::from(*piece) % PIECES.len()])
            .collect(),
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let program = match ENVIRONMENT.compile(&text) {
        Ok(program) => program,
        Err(issues) => {
            assert!(!issues.is_empty(), "{text}");
            for issue in issues {
                assert!(issue.line > 0 && issue.column > 0, "{text}: {issue}");
            }
            return;
        }
    };
    let values = json!({
        "x": {"a": {"b": 1, "a": "text"}, "b": [1, "two", 3.5, null], "c": null},
        "l": [3, 1, 2],
        "s": "a\u{e9}\u{1f600} text",
        "i": 42,
    });
    let mut scope = Scope::new();
    for name in ["x", "l", "s", "i"] {
        scope.bind(name, Value::of_json(&values[name]));
    }
    let budget = Budget::new(u64::MAX);
    let outcome = program.evaluate(&scope, &budget);
    let spent = u64::MAX - budget.remaining();
    let estimate = program.estimate_cost(&());
    assert!(estimate.min <= estimate.max, "{text}: {estimate:?}");
    match outcome {
        Ok(value) => {
            let kind = program.output_type();
            let fits = matches!(kind, Type::Dyn) || kind.name() == value.type_of().name();
            assert!(fits, "{text} is of {kind}, but {value:?}");
            assert!(spent <= PER_CALL_LIMIT, "{text} cost {spent}");
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty(), "{text}");
            let ended = spent > PER_CALL_LIMIT;
            assert_eq!(error == Error::CostLimitExceeded, ended, "{text}: {words}");
        }
    }
}
