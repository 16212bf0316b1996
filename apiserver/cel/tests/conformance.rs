//! Cases of the language's specification (cel-spec's `tests/simple`), as far as Kubernetes
//! has what they are about. Lists of several types are made of `dyn`, which Kubernetes asks
//! for.

use hardway_cel::{Budget, Environment, Scope, Type, Value};
use serde_json::{Value as Json, json};

/// What an expression comes to, or the words of what is wrong with it.
fn outcome(expression: &str, bound: &Json) -> Result<bool, String> {
    let environment = Environment::new()
        .variable("a", Type::list(Type::Int))
        .variable("x", Type::Dyn);
    let program = environment.compile(expression).map_err(|issues| {
        let messages: Vec<_> = issues.iter().map(|issue| issue.message.clone()).collect();
        messages.join("; ")
    })?;
    let mut scope = Scope::new();
    let list = json!([0]);
    scope.bind("a", Value::of_json(&list));
    scope.bind("x", Value::of_json(bound));
    match program.evaluate(&scope, &Budget::new(u64::MAX)) {
        Ok(Value::Bool(truth)) => Ok(truth),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn hold(expressions: &[&str]) {
    let bound = json!({"a": {"b": 1}, "list": [1, 2], "none": null});
    let wrong: Vec<String> = expressions
        .iter()
        .filter_map(|expression| match outcome(expression, &bound) {
            Ok(true) => None,
            other => Some(format!("{expression}: {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn fail(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(
            |(expression, words)| match outcome(expression, &json!({})) {
                Err(found) if found == *words => None,
                other => Some(format!("{expression}: {other:?}, not {words}")),
            },
        )
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parsing() {
    hold(&[
        "a[a[a[a[a[a[a[a[a[a[a[a[0]]]]]]]]]]]] == 0",
        "int(uint(int(uint(int(uint(int(uint(int(uint(int(uint(7)))))))))))) == 7",
        "size([[[[[[[[[[[[0]]]]]]]]]]]]) == 1",
        "size({0: {0: {0: {0: {0: {0: {0: {0: {0: {0: {0: {0: 'foo'}}}}}}}}}}}}) == 1",
        "((((((((((((((((((((((((((((((((7)))))))))))))))))))))))))))))))) == 7",
        "false || false || false || false || false || false || false || false || false || true",
        "3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 == 3",
        "4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 == 4",
        "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!true",
        "--------------------------------19 == 19",
        "[[[[[[[[[[[['foo']]]]]]]]]]]][0][0][0][0][0][0][0][0][0][0][0][0] == 'foo'",
        "(false ? 1 : true ? 2 : 3) == 2 && (true ? (false ? 1 : 2) : 3) == 2",
        "x.a.b == 1 && x['a']['b'] == 1 && .x.a.b == 1",
        "1 + 2 * 3 - 4 / 2 % 3 == 5 && -2 * -3 == 6 && !(1 > 2) == true",
        "1 < 2 == true && 2 in [1, 2] == true",
    ]);
    fail(&[
        (
            "true ? 1",
            "Syntax error: mismatched input '<EOF>' expecting ':'",
        ),
        (
            "[1, 2",
            "Syntax error: mismatched input '<EOF>' expecting ']'",
        ),
    ]);
}

#[test]
fn literals() {
    hold(&[
        "0x55 == 85 && -0x55 == -85 && 0x55u == 85u && -0 == 0",
        "9223372036854775807 > 0 && -9223372036854775808 < 0 && 18446744073709551615u > 0u",
        "1e10 == 10000000000.0 && -2.3e+1 == -23.0 && .99 == 0.99 && 1E-2 == 0.01",
        r#"'hello' == "hello" && '''hello''' == """hello""""#,
        r#"' \\ \? \" \' \` ' == ''' \\ ? " ' ` '''"#,
        "''' ? \" ' ` ''' == \"\"\" ? \\\" ' ` \"\"\"",
        r"' \a \b \f \t \v \n \r ' == ' \x07 \x08 \x0c \x09 \x0b \x0a \x0d '",
        "'''\n''' == '\\n'",
        // cel-go has one kind of line ends.
        "'''\r\n''' == '\\n'",
        "' \t ' == ' \\t '",
        r"'\x41\x7f' == 'A\177' && '\303' == 'Ã' && '\u00fe\U0001f431\XFF' == 'þ🐱ÿ'",
        r#"r'\x41\n' == '\\x41\\n' && R"\d" == '\\d' && r'''\''' == '\\'"#,
        r"b'\303\277' == b'ÿ' && b'\xff\x00' == b'\377\000' && b'abc' == bytes('abc')",
        r#"bR'\t' == b'\\t' && b'''a'b''' == b"a'b""#,
        "null == null && true != false && [] == [] && {} == {}",
    ]);
    fail(&[
        ("9223372036854775808 > 0", "invalid int literal"),
        ("18446744073709551616u > 0u", "invalid uint literal"),
    ]);
}

#[test]
fn comparisons() {
    hold(&[
        "1 == 1 && 1.0 == 1.0 && 1u == 1u && 'a' == 'a' && b'a' == b'a' && true == true",
        r"'' == '' && '\x00' != '\x01' && 'Abc' != 'abc' && b'ABC' != b'abc'",
        "[1, 2] == [1, 2] && [1, 2] != [2, 1] && [1] != [1, 1] && [[1], []] == [[1], []]",
        "{'a': 1, 'b': 2} == {'b': 2, 'a': 1} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
        "{'k': [1]} == {'k': [1]} && dyn({1: 'a'}) == {1u: 'a'}",
        "dyn(1) == 1u && dyn(1) == 1.0 && dyn(1u) == 1.0 && dyn(1) != 1.5 && dyn(1) != 'a'",
        "dyn(null) != 0 && dyn(false) != 0 && dyn([1]) == [1.0] && dyn({'a': 1}) == {'a': 1u}",
        "double('NaN') != double('NaN') && !(double('NaN') == 1.0)",
        "!(double('NaN') < 1.0) && !(double('NaN') >= 1.0) && -0.0 == 0.0",
        "1 < 2 && 2 <= 2 && 3 > 2 && 2 >= 2 && !(1 < 1) && -1 < 0 && 1u < 2u && 0.1 < 0.2",
        "1 < 2u && 1 < 1.1 && 2u > 1.9 && 1 <= 1u && 1u <= 1.0 && 0u > -1 && 18446744073709551615u > -1",
        "9223372036854775807 < 9223372036854775808.0 && 1 < 1e100 && -1e100 < 1u",
        "'a' < 'b' && 'a' < 'aa' && 'A' < 'a' && 'é' > 'z' && '' < 'a' && b'a' < b'b' && false < true",
        "timestamp('2020-01-01T00:00:00Z') < timestamp('2020-01-01T00:00:01Z')",
        "duration('1m') == duration('60s') && duration('1m') < duration('61s')",
        "1 in [1, 2] && !(3 in [1, 2]) && 1.0 in [dyn(1)] && 'a' in {'a': 1} && !('b' in {'a': 1})",
        "dyn(1u) in {1: 'a'} && dyn(1.0) in {1: 'a'} && !(dyn(1.5) in {1: 'a'}) && [1] in [[1], [2]]",
        "type(1) == type(2) && type(1) != type(1u) && type(null) == null_type && type(1.0) == double",
        "type({}) == map && type(b'') == bytes && type(true) == bool && type(type(1)) == type",
        "type(timestamp('2020-01-01T00:00:00Z')) == google.protobuf.Timestamp",
        "type(duration('1s')) == google.protobuf.Duration",
    ]);
}

#[test]
fn arithmetic() {
    hold(&[
        "40 + 2 == 42 && 42 - 12 - 7 == 23 && 42 * -2 == -84 && 3 / 2 == 1 && -3 / 2 == -1",
        "47 % 5 == 2 && -47 % 5 == -2 && 47 % -5 == 2 && -(42) == -42",
        "42u + 2u == 44u && 42u - 12u == 30u && 40u * 2u == 80u && 60u / 7u == 8u && 47u % 5u == 2u",
        "4.25 + 15.25 == 19.5 && 42.0 - 12.0 == 30.0 && 42.5 * 0.2 == 8.5 && 0.0625 / 0.002 == 31.25",
        "1.0 / 0.0 == double('Infinity') && -1.0 / 0.0 == double('-Infinity') && -(4.2e+3) == -4200.0",
        "1e308 * 10.0 == double('+Inf') && -(0.0) == 0.0",
        "'a' + 'b' + '' == 'ab' && b'a' + b'\\xff' == b'a\\xff' && [1] + [] + [2] == [1, 2]",
        "duration('600s') + timestamp('2009-02-13T23:21:30Z') == timestamp('2009-02-13T23:31:30Z')",
        "timestamp('2009-02-13T23:31:00Z') - duration('600s') == timestamp('2009-02-13T23:21:00Z')",
        "timestamp('2009-02-13T23:31:00Z') - timestamp('2009-02-13T23:29:00Z') == duration('120s')",
        "duration('600s') + duration('50s') == duration('650s') && duration('650s') - duration('600s') == duration('50s')",
        "timestamp('9999-12-31T23:59:59.999999998Z') + duration('1ns') == timestamp('9999-12-31T23:59:59.999999999Z')",
        "timestamp('0001-01-01T00:00:00.000000001Z') + duration('-1ns') == timestamp('0001-01-01T00:00:00Z')",
    ]);
    fail(&[
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("-9223372036854775808 - 1 == 0", "integer overflow"),
        ("5000000000 * 5000000000 == 0", "integer overflow"),
        ("-9223372036854775808 / -1 == 0", "integer overflow"),
        ("-(-9223372036854775808) == 0", "integer overflow"),
        (
            "18446744073709551615u + 1u == 0u",
            "unsigned integer overflow",
        ),
        (
            "5000000000u * 5000000000u == 0u",
            "unsigned integer overflow",
        ),
        ("1u - 2u == 0u", "unsigned integer overflow"),
        ("15 / 0 == 0", "division by zero"),
        ("15u / 0u == 0u", "division by zero"),
        ("34 % 0 == 0", "modulus by zero"),
        ("34u % 0u == 0u", "modulus by zero"),
        (
            "timestamp('9999-12-31T23:59:59Z') + duration('10s') == timestamp('9999-12-31T23:59:59Z')",
            "timestamp overflow",
        ),
        (
            "timestamp('0001-01-01T00:00:00Z') - duration('10s') == timestamp('0001-01-01T00:00:00Z')",
            "timestamp overflow",
        ),
        (
            "duration('9223372036854775807ns') + duration('1ns') == duration('1s')",
            "duration overflow",
        ),
        (
            "-(42u) == 0u",
            "found no matching overload for '-_' applied to '(uint)'",
        ),
        (
            "1 + 1u == 2",
            "found no matching overload for '_+_' applied to '(int, uint)'",
        ),
        (
            "47.5 % 5.5 == 3.5",
            "found no matching overload for '_%_' applied to '(double, double)'",
        ),
    ]);
}

#[test]
fn logic() {
    hold(&[
        "(true ? 1 : 2) == 1 && (false ? 'a' : 'b') == 'b' && (true ? 1 : 1 / 0) == 1",
        "(true ? true : 1 / 0 > 1) && (false ? 1 / 0 > 1 : true)",
        "true || 1 / 0 > 1",
        "1 / 0 > 1 || true",
        "!(false && 1 / 0 > 1)",
        "!(1 / 0 > 1 && false)",
        "!(1 / 0 > 1 && dyn(false)) && (dyn(true) || x.missing)",
        "(x.missing || true) && !(x.missing && false)",
    ]);
    fail(&[
        ("false || 1 / 0 > 1", "division by zero"),
        ("true && 1 / 0 > 1", "division by zero"),
        ("1 / 0 > 1 && 2 % 0 > 1", "division by zero"),
        ("(1 / 0 > 1 ? false : true)", "division by zero"),
        ("dyn('text') && true", "no such overload"),
        ("dyn('text') ? true : false", "no such overload"),
        ("!dyn(0)", "no such overload"),
        (
            "'horses' && true",
            "found no matching overload for '_&&_' applied to '(string, bool)'",
        ),
        (
            "!1",
            "found no matching overload for '!_' applied to '(int)'",
        ),
    ]);
}

#[test]
fn macros() {
    hold(&[
        "[1, 2, 3].exists(e, e > 0) && [1, 2, 3].exists(e, e == 2) && ![1, 2, 3].exists(e, e > 3)",
        "[dyn(1), 'foo', 3].exists(e, e + 2 == 5) && ![].exists(e, e == 2)",
        "{'key1': 1, 'key2': 2}.exists(k, k == 'key2') && !{'key1': 1}.exists(k, k == 'key3')",
        "{dyn('key'): 1, 1: 21}.exists(k, k != 2)",
        "[1, 2, 3].all(e, e > 0) && ![1, 2, 3].all(e, e == 2) && ![1, 2, 3].all(e, e == 17)",
        "![dyn(1), 'foo', 3].all(e, e == 1) && ![1, 2, 3].all(e, 6 / (2 - e) == 6) && [].all(e, e > 0)",
        "!{'key1': 1, 'key2': 2}.all(k, k == 'key2')",
        "![].exists_one(e, e == 7) && [7].exists_one(e, e == 7) && ![8].exists_one(e, e == 7)",
        "[6, 7, 8].exists_one(foo, foo % 5 == 2) && ![0, 1, 2, 3, 4].exists_one(n, n % 2 == 1)",
        "!['foal', 'foo', 'four'].exists_one(n, n.startsWith('fo'))",
        "{6: 'six', 7: 'seven', 8: 'eight'}.exists_one(foo, foo % 5 == 2)",
        "[].map(n, n / 2) == [] && [3].map(n, n * n) == [9] && [2, 4, 6].map(n, n / 2) == [1, 2, 3]",
        "{1: 1, 2: 4, 3: 9}.map(k, k * k) == [1, 4, 9]",
        "[].filter(n, n % 2 == 0) == [] && [2].filter(n, n == 2) == [2] && [1].filter(n, n > 3) == []",
        "[0, 1, 2, 3, 4].filter(n, n % 2 == 1) == [1, 3]",
        "{0: 10, 1: 11, 2: 12, 3: 13, 4: 14}.filter(n, n % 2 == 1) == [1, 3]",
        "['signer'].filter(signer, ['artifact'].all(artifact, true)) == ['signer']",
        "['signer'].all(signer, ['artifact'].map(artifact, artifact) == ['artifact'])",
        "[1, 2].map(i, [3].map(j, i + j)) == [[4], [5]] && [1].all(a, [2].all(a, a == 2) && a == 1)",
        "has({'a': 1}.a) && !has({}.a) && has(x.a.b) && !has(x.a.c) && has(x.none)",
        "[1, 2, 3, 4, 5].map(i, i > 3, i * 2) == [8, 10]",
        "[[1, 2], [3]].map(l, l.filter(i, i > 1)) == [[2], [3]]",
    ]);
    fail(&[
        ("[1, 2, 3].exists(e, e / 0 == 17)", "division by zero"),
        ("[1, 2, 3].all(e, e / 0 != 17)", "division by zero"),
        ("[dyn(1), 'foo', 3].all(e, e % 2 == 1)", "no such overload"),
        ("[3, 2, 1, 0].exists_one(n, 12 / n > 1)", "division by zero"),
        ("[2, 1, 0].map(n, 4 / n) == []", "division by zero"),
        (
            "[3, 2, 1, 0].filter(n, 12 / n > 4) == []",
            "division by zero",
        ),
        (
            "has({'a': 1}.a.b)",
            "type 'int' does not support field selection",
        ),
    ]);
}

#[test]
fn fields_and_indices() {
    hold(&[
        "{'key': 'value'}.key == 'value' && {'k': {'l': 1}}.k.l == 1 && {1: 'a'}[1] == 'a'",
        "{1u: 'a'}[dyn(1)] == 'a' && {1: 'a'}[dyn(1u)] == 'a' && {1: 'a'}[dyn(1.0)] == 'a' && {true: 'b'}[true] == 'b'",
        "[7, 8, 9][0] == 7 && [7, 8, 9][dyn(2u)] == 9 && [7, 8, 9][dyn(1.0)] == 8",
        "size({}) == 0 && {'a': 1}.size() == 1 && 'abc'.size() == 3 && size(b'ÿ') == 2",
    ]);
    fail(&[
        (
            "{0: 1, 2: 2, 5: true}[1] == 1",
            "expected type 'int' but found 'bool'",
        ),
        ("{0: 1, 2: 2}[1] == 1", "no such key: 1"),
        ("{'a': 1}.b == 1", "no such key: b"),
        ("{'a': 1}['b'] == 1", "no such key: b"),
        ("[7, 8, 9][3] == 7", "index out of bounds: 3"),
        ("[7, 8, 9][-1] == 7", "index out of bounds: -1"),
        (
            "[7, 8, 9][dyn('a')] == 7",
            "unsupported index type 'string' in list",
        ),
        ("{0: 0, 0: 1} == {0: 1}", "Failed with repeated key"),
        (
            "[7, 8, 9][dyn(0.5)] == 7",
            "unsupported index value 0.5 in list",
        ),
        ("dyn(17).key == 1", "no such key: key"),
    ]);
}

#[test]
fn optionals() {
    hold(&[
        "optional.of(null).hasValue() && !optional.ofNonZeroValue(null).hasValue()",
        "optional.none().or(optional.none()).orValue(42) == 42",
        "!optional.none().optMap(y, y + 1).hasValue()",
        "!{}.?key.optFlatMap(k, k.?subkey).hasValue()",
        "!{'key': {}}.?key.optFlatMap(k, k.?subkey).hasValue()",
        "{'null_key': dyn(null)}.?null_key.hasValue()",
        "!{true: dyn(0)}[?false].absent.hasValue()",
        "!{}.?null_key.invalid.hasValue()",
        "{'key': {'subkey': 'subvalue'}}.?key.optFlatMap(k, k.?subkey).value() == 'subvalue'",
        "!{'key': {'subkey': ''}}.?key.optFlatMap(k, optional.ofNonZeroValue(k.subkey)).hasValue()",
        "optional.of(42).optMap(y, y + 1).value() == 43",
        "optional.ofNonZeroValue(42).or(optional.of(20)).value() == 42",
        "!(has({}.x) ? optional.of({}.x) : optional.none()).hasValue()",
        "!{}.?x.hasValue() && !has({}.?x.y) && has({'x': {'y': 'z'}}.?x.y)",
        "type(optional.none()) == optional_type",
        "optional.ofNonZeroValue('').or(optional.of({'c': {'dashed-index': 'goodbye'}}.c['dashed-index'])).orValue('default value') == 'goodbye'",
        "{'c': {'dashed-index': 'goodbye'}}.c[?'dashed-index'].orValue('default value') == 'goodbye'",
        "{'c': {}}.c[?'missing-index'].orValue('default value') == 'default value'",
        "optional.of({'c': {'index': 'goodbye'}}).c.index.orValue('default value') == 'goodbye'",
        "optional.of({'c': {}}).c.missing.or(optional.none()[0]).orValue('default value') == 'default value'",
        "optional.of({'c': {}}).c.missing.or(optional.of(['list-value'])[0]).orValue('default value') == 'list-value'",
        "optional.of({'c': {'index': 'goodbye'}}).c['index'].orValue('default value') == 'goodbye'",
        "optional.of({'c': {}}).c['missing'].orValue('default value') == 'default value'",
        "has(optional.of({'c': {'entry': 'hello world'}}).c) && !has(optional.of({'c': {'entry': 'hello world'}}).c.missing)",
        "{'c': {'dashed-index': 'goodbye'}}.?c.missing.or({'c': {'dashed-index': 'goodbye'}}.?c['dashed-index']).orValue('').size() == 7",
        "{?'nested_map': optional.ofNonZeroValue({?'map': {'c': {'dashed-index': 'goodbye'}}.?c})} == {'nested_map': {'map': {'dashed-index': 'goodbye'}}}",
        "{?'nested_map': optional.ofNonZeroValue({?'map': {}.?c}), 'singleton': dyn(true)} == {'singleton': true}",
        "[?{}.?c, ?optional.of(42), ?optional.none()] == [42]",
        "[?optional.ofNonZeroValue({'c': []}.?c.orValue(dyn({})))] == []",
        "!optional.ofNonZeroValue({?'nested_map': optional.ofNonZeroValue({?'map': optional.of({}).?c})}).hasValue()",
        "!optional.of({}).?c.hasValue() && ![][?0].hasValue() && !optional.of([])[?0].hasValue()",
        "!optional.none()[?0].hasValue() && ['foo'][?0].value() == 'foo' && optional.of(['foo'])[?0].value() == 'foo'",
        "{dyn(1u): 1.0, 2: 2.0, 3u: 3.0}[?dyn(3.0)].value() == 3.0 && {1u: 1.0}[?dyn(1)].value() == 1.0",
        "optional.none() == optional.none() && optional.none() != optional.of(1) && optional.of(1) == optional.of(1)",
        "!optional.ofNonZeroValue(0).hasValue() && !optional.ofNonZeroValue('').hasValue() && !optional.ofNonZeroValue([]).hasValue()",
        "!optional.ofNonZeroValue(false).hasValue() && !optional.ofNonZeroValue({}).hasValue() && optional.ofNonZeroValue([0]).hasValue()",
    ]);
    fail(&[(
        "optional.none().value() == 1",
        "optional.none() dereference",
    )]);
}

#[test]
fn conversions() {
    hold(&[
        "int(42u) == 42 && int(123.456) == 123 && int(-4.9) == -4 && int('-987') == -987 && int(7) == 7",
        "int(timestamp('2004-09-16T23:59:59Z')) == 1095379199 && int(11.5) == 11",
        "uint(1729) == 1729u && uint(3.14159265) == 3u && uint('300') == 300u && uint(25.5) == 25u",
        "double(-1000000) == -1e6 && double(123u) == 123.0 && double('6.02214e23') == 6.02214e23",
        "string(123) == '123' && string(987u) == '987' && string(-4.5) == '-4.5' && string(true) == 'true'",
        "string(b'123') == '123' && string('a') == 'a' && string(duration('104h')) == '374400s'",
        "string(timestamp('2009-02-13T23:31:30Z')) == '2009-02-13T23:31:30Z'",
        "bytes('ÿ') == b'ÿ' && bytes(b'a') == b'a' && bool('t') && !bool('FALSE') && bool(true)",
        "dyn(1) == 1 && timestamp(0) == timestamp('1970-01-01T00:00:00Z') && duration('1s') == duration(duration('1s'))",
        "timestamp('2009-02-13T23:31:30-01:00') == timestamp('2009-02-14T00:31:30Z')",
    ]);
    fail(&[
        ("int(1e99) == 1", "integer overflow"),
        ("int(18446744073709551615u) == 1", "integer overflow"),
        ("uint(-1) == 1u", "unsigned integer overflow"),
        ("uint(6.022e23) == 1u", "unsigned integer overflow"),
        (
            "string(b'\\000\\xff') == ''",
            "invalid UTF-8 in bytes, cannot convert to string",
        ),
        (
            "bool('TrUe')",
            "type conversion error from 'string' to 'bool'",
        ),
        (
            "timestamp(253402300800) == timestamp(0)",
            "timestamp overflow",
        ),
        (
            "duration(dyn('nope')) == duration('1s')",
            "type conversion error from 'string' to 'google.protobuf.Duration'",
        ),
        (
            "timestamp('nope') == timestamp(0)",
            "invalid timestamp argument",
        ),
        (
            "int(b'1') == 1",
            "found no matching overload for 'int' applied to '(bytes)'",
        ),
    ]);
}

#[test]
fn texts() {
    hold(&[
        "'foobar'.startsWith('foo') && !'foobar'.startsWith('bar') && ''.startsWith('') && '형호'.startsWith('형')",
        "'foobar'.endsWith('bar') && !'foobar'.endsWith('foo') && 'foo'.endsWith('') && '세상'.endsWith('상')",
        "'dogs'.contains('og') && !'dogs'.contains('cat') && 'x'.contains('') && ''.contains('')",
        "'hubba'.matches('ubb') && 'abcd'.matches('bc') && !'grey'.matches('gr(a)y') && 'gray'.matches('gr(a|e)y')",
        r"'banana'.matches('ba(na)*') && 'lapis'.matches('^l.*s$') && 'mañana'.matches('a+ñ+a+n+a+')",
        r"'🐱😀😀'.matches('(a|😀){2}') && '100'.matches(r'^\d+$') && !'١'.matches(r'\d')",
        "size('four') == 4 && 'πέντε'.size() == 5 && size('😁😑😶') == 3",
    ]);
}
