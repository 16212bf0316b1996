//! What expressions are worth, what is wrong with them, what they cost: facts of the
//! language's specification and of cel-go.

use hardway_cel::{Budget, Environment, Scope, Type, Value};
use serde_json::{Value as Json, json};

fn environment() -> Environment {
    Environment::new().variable("x", Type::Dyn)
}

/// The value of an expression as text, or the words of what is wrong with it.
fn outcome(expression: &str, x: &Json) -> (String, u64) {
    let program = match environment().compile(expression) {
        Ok(program) => program,
        Err(issues) => {
            let issues = issues
                .iter()
                .map(|i| format!("{}:{}: {}", i.line, i.column, i.message));
            return (issues.collect::<Vec<_>>().join("; "), 0);
        }
    };
    let mut scope = Scope::new();
    scope.bind("x", Value::of_json(x));
    let budget = Budget::new(u64::MAX);
    let shown = match program.evaluate(&scope, &budget) {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    };
    (shown, u64::MAX - budget.remaining())
}

#[test]
fn expressions_hold() {
    let x = json!({"list": [1, 2, 3], "map": {"a": 1, "b": 2}, "text": "kubernetes", "none": null});
    for expression in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 - 2 - 1 == 4",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "--1 == 1 && !!true",
        "-9223372036854775808 < 0",
        "0x1F == 31 && 0xFFu == 255u",
        "1.5e3 == 1500.0 && .5 == 0.5",
        r#""a\tb\x41\u00e9\101" == 'a	bAéA'"#,
        r#"r"\d" == "\\d" && '''it's''' == "it's""#,
        r#"b"\xff\x00" == b'\377\000'"#,
        "1 < 2u && 2u < 2.5 && dyn(1) == dyn(1.0) && dyn(1) == 1u",
        "dyn('a') != dyn(1) && [dyn(1), 'a'] == [dyn(1.0), 'a']",
        "1 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1}",
        "{1: 'a'}[1] == 'a' && {'a': {'b': 2}}.a.b == 2",
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)",
        "[1, 2, 3].all(i, i > 0) && [1, 2, 3].exists(i, i == 2)",
        "[1, 2, 3].exists_one(i, i > 2) && ![1, 2, 3].exists_one(i, i > 1)",
        "[1, 2, 3].map(i, i * 2) == [2, 4, 6]",
        "[1, 2, 3].map(i, i > 1, i * 2) == [4, 6]",
        "[1, 2, 3].filter(i, i > 1) == [2, 3]",
        "[0, 2].exists(i, 4 / i == 2) && ![0, 2].all(i, 4 / i == 3)",
        "[[1], [2, 3]].all(l, l.exists(i, i in [1, 2]))",
        "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
        "['a', 'b'].all(i, v, i < 2 && v in ['a', 'b'])",
        "{'a': 1}.exists(k, v, k == 'a' && v == 1)",
        "['a', 'b'].transformList(i, v, i) == [0, 1]",
        "['a', 'b'].transformMap(i, v, v) == {0: 'a', 1: 'b'}",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2) == {'b': 4}",
        "['a', 'b'].transformMapEntry(i, v, {v: i}) == {'a': 0, 'b': 1}",
        "x.list[1] == 2 && x.map.a == 1 && x['text'] == 'kubernetes'",
        "has(x.text) && !has(x.missing) && has(x.map.a) && x.none == null",
        "x.?missing.orValue('none') == 'none' && x.?text.orValue('') == 'kubernetes'",
        "x[?'text'].hasValue() && !x.list[?9].hasValue()",
        "optional.of(1).or(optional.of(1 / 0)) == optional.of(1)",
        "optional.none().orValue(3) == 3 && !optional.ofNonZeroValue('').hasValue()",
        "optional.of(2).optMap(v, v * 2) == optional.of(4)",
        "optional.of(2).optFlatMap(v, optional.none()) == optional.none()",
        "[1, ?optional.none(), ?optional.of(2)] == [1, 2]",
        "{?'a': optional.none(), 'b': 1} == {'b': 1}",
        "type(1) == int && type('') == string && type([]) == list && type(type(1)) == type",
        "timestamp('2024-01-01T00:00:00Z') + duration('1h') == timestamp('2024-01-01T01:00:00Z')",
        "timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')",
        "duration('90s') > duration('1m') && duration('1m') - duration('90s') < duration('0s')",
        "int('42') == 42 && string(42) == '42' && double('1.5') == 1.5 && uint(3) == 3u",
        "'kubernetes'.startsWith('kube') && 'kubernetes'.matches('^k.*s$') && size('héllo') == 5",
        "true ? true : 1 / 0 == 1",
        "[1, 2] + [3] == [1, 2, 3] && 'a' + 'b' == 'ab'",
        "1 // a comment\n == 1",
        "[[], [1]] == [[], [1]] && {} == {}",
    ] {
        assert_eq!(outcome(expression, &x).0, "Bool(true)", "{expression}");
    }
}

#[test]
fn errors_have_the_words_of_cel_go() {
    let x = json!({"list": [1], "map": {}, "text": "a"});
    for (expression, words) in [
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("-(-9223372036854775808)", "integer overflow"),
        ("x.missing", "no such key: missing"),
        ("x.list[3]", "index out of bounds: 3"),
        ("x.list[-1]", "index out of bounds: -1"),
        ("x.text + 1", "no such overload"),
        ("x.text && true", "no such overload"),
        ("{'a': 1, 'a': 2}", "Failed with repeated key"),
        ("optional.none().value()", "optional.none() dereference"),
        (
            "['a', 'a'].transformMapEntry(i, v, {v: i})",
            "insert failed: key a already exists",
        ),
    ] {
        assert_eq!(outcome(expression, &x).0, words, "{expression}");
    }
}

#[test]
fn issues_have_the_words_and_places_of_cel_go() {
    for (expression, words) in [
        ("y", "1:1: undeclared reference to 'y' (in container '')"),
        ("f(1)", "1:2: undeclared reference to 'f' (in container '')"),
        (
            "'a' + 1",
            "1:5: found no matching overload for '_+_' applied to '(string, int)'",
        ),
        (
            "1 == 'a'",
            "1:3: found no matching overload for '_==_' applied to '(int, string)'",
        ),
        (
            "1.size()",
            "1:7: found no matching overload for 'size' applied to 'int.()'",
        ),
        ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
        ("1.a", "1:2: type 'int' does not support field selection"),
        (
            "1.all(i, true)",
            "1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("has(x)", "1:5: invalid argument to has() macro"),
        ("x.all(a.b, true)", "1:8: argument must be a simple name"),
        ("package", "1:1: reserved identifier: package"),
        ("duration('a')", "1:10: invalid duration argument"),
        ("'a'.matches('(')", "1:13: invalid matches argument"),
        (
            "1\n +\n'a'",
            "2:2: found no matching overload for '_+_' applied to '(int, string)'",
        ),
        (
            "1 +",
            "1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
        ),
    ] {
        assert_eq!(outcome(expression, &Json::Null).0, words, "{expression}");
    }
}

#[test]
fn an_issue_is_shown_below_its_line() {
    let issues = environment()
        .compile("x ==\n  y")
        .err()
        .into_iter()
        .flatten();
    let shown: Vec<String> = issues.map(|issue| issue.to_string()).collect();
    let wanted =
        "ERROR: <input>:2:3: undeclared reference to 'y' (in container '')\n |   y\n | ..^";
    assert_eq!(shown, [wanted]);
}

/// Nothing that is written overflows the stack, however it nests.
#[test]
fn deep_expressions_are_refused() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5000), close.repeat(5000));
    for expression in [
        deep("(", ")"),
        deep("[", "]"),
        deep("-(", ")"),
        deep("true ? 1 : (", ")"),
        format!("1{}", " + 1".repeat(5000)),
        format!("x{}", ".a".repeat(5000)),
        format!("x{}", "[0]".repeat(5000)),
    ] {
        let (shown, _) = outcome(&expression, &Json::Null);
        let limit = "expression recursion limit exceeded: 250";
        assert!(shown.contains(limit), "{shown}");
    }
    // What is as deep as it may be is evaluated.
    let expression = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    assert!(outcome(&expression, &Json::Null).0.starts_with("List"));
    let many = vec!["true"; 10_000].join(" && ");
    assert_eq!(outcome(&many, &Json::Null).0, "Bool(true)");
}

#[test]
fn an_evaluation_that_costs_too_much_is_ended() {
    let x = Json::Array(vec![json!(1); 1000]);
    let expression = "x.all(a, x.all(b, x.all(c, a + b + c > 0)))";
    let (shown, cost) = outcome(expression, &x);
    assert_eq!(shown, "operation cancelled: actual cost limit exceeded");
    assert!((1_000_000..1_000_100).contains(&cost), "{cost}");
}
