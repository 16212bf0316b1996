//! `string.format(list)`.

use super::{fail, outcome};
use serde_json::{Value as Json, json};

fn formatted(template: &str, arguments: &str) -> Result<String, String> {
    let x = json!({"text": "a string", "int": 32, "double": 56.8, "list": [6, 4.2, "a string"]});
    outcome(&format!("{template:?}.format([{arguments}])"), &x)
}

// The cases of cel-go.
#[test]
fn verbs() {
    for (template, arguments, expected) in [
        ("no substitution", "", "no substitution"),
        (
            "str is %s and some more",
            r#""filler""#,
            "str is filler and some more",
        ),
        ("%% and also %%", "", "% and also %"),
        ("%%%s%%", r#""text""#, "%text%"),
        (
            "%d %d %d, %s %s %s",
            r#"dyn(1), 2, 3, "A", "B", "C""#,
            "1 2 3, A B C",
        ),
        ("%.3f", "1.2345", "1.234"),
        ("%f", "2.71828", "2.718280"),
        ("%.2f", "-1234567.891", "-1,234,567.89"),
        ("%.0f", "999.5", "1,000"),
        ("this is 5 in binary: %b", "5", "this is 5 in binary: 101"),
        ("%b", "-5", "-101"),
        ("%b", "uint(64)", "1000000"),
        ("%b", "true", "1"),
        ("%o", "11", "13"),
        ("%o", "-11", "-13"),
        ("%o", "uint(65535)", "177777"),
        ("%x", "30", "1e"),
        ("%X", "30", "1E"),
        ("%x", "-30", "-1e"),
        ("%X", "uint(6000)", "1770"),
        ("%x", r#""Hello world!""#, "48656c6c6f20776f726c6421"),
        ("%X", r#""Hello world!""#, "48656C6C6F20776F726C6421"),
        (
            "%x",
            r#"b"\x00\x00byte string\x00""#,
            "00006279746520737472696e6700",
        ),
        (
            "%.6e",
            "1052.032911275",
            "1.052033\u{202f}\u{d7}\u{202f}10\u{2070}\u{b3}",
        ),
        (
            "%e",
            "2.71828",
            "2.718280\u{202f}\u{d7}\u{202f}10\u{2070}\u{2070}",
        ),
        (
            "%e",
            "-0.000123",
            "-1.230000\u{202f}\u{d7}\u{202f}10\u{207b}\u{2070}\u{2074}",
        ),
        ("%s", "2.71", "2.71"),
        ("%s", "[2.71]", "[2.710000]"),
        ("%s", "0.000000002", "2e-09"),
        ("%s", "[0.000000002]", "[0.000000]"),
        ("%f", r#""NaN""#, "NaN"),
        ("%f", r#""Infinity""#, "\u{221e}"),
        ("%f", r#""-Infinity""#, "-\u{221e}"),
        ("%s", r#"double("NaN")"#, "NaN"),
        ("%s", r#"double("Inf")"#, "+Inf"),
        ("%s", r#"double("-Inf")"#, "-Inf"),
        (
            "%s",
            r#"[double("NaN"),double("+Inf"), double("-Inf")]"#,
            r#"["NaN", "+Inf", "-Inf"]"#,
        ),
        ("%d", "uint(64)", "64"),
        ("null: %s", "null", "null: null"),
        ("%s", "999999999999", "999999999999"),
        ("some bytes: %s", r#"b"xyz""#, "some bytes: xyz"),
        ("type is %s", r#"type("test string")"#, "type is string"),
        (
            "%s",
            r#"timestamp("2023-02-03T23:31:20+00:00")"#,
            "2023-02-03T23:31:20Z",
        ),
        ("%s", r#"duration("1h45m47s")"#, "6347s"),
        ("%s", r#"duration("2ns")"#, "0.000000002s"),
        (
            "%s",
            r#"[dyn("abc"), 3.14, null, [9, 8, 7, 6], timestamp("2023-02-03T23:31:20Z")]"#,
            r#"["abc", 3.140000, null, [9, 8, 7, 6], timestamp("2023-02-03T23:31:20Z")]"#,
        ),
        (
            "%s",
            r#"{"key1": dyn(b"xyz"), "key5": null, "key2": duration("2h"), "key4": true, "key3": 2.71828}"#,
            r#"{"key1":b"xyz", "key2":duration("7200s"), "key3":2.718280, "key4":true, "key5":null}"#,
        ),
        (
            "%s",
            r#"{dyn(1): dyn("value1"), uint(2): "value2", true: double("NaN")}"#,
            r#"{1:"value1", 2:"value2", true:"NaN"}"#,
        ),
        (
            "true bool: %s, false bool: %s",
            "true, false",
            "true bool: true, false bool: false",
        ),
        (
            "dynamic: %s %s %s",
            "x.text, x.int, x.double",
            "dynamic: a string 32 56.8",
        ),
        (
            "%d %x %.1f %s",
            "x.int, x.int, x.double, x.list",
            r#"32 20 56.8 [6, 4.200000, "a string"]"#,
        ),
    ] {
        let result = formatted(template, arguments);
        assert_eq!(result.as_deref(), Ok(expected), "{template} {arguments}");
    }
}

#[test]
fn what_is_wrong_is_told_of_dynamic_values() {
    let text = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
    for (template, arguments, words) in [
        ("%d %d %d", "dyn([0, 1])", "index 2 out of range".to_owned()),
        ("%b", "dyn(['abc'])", "error during formatting: only integers and bools can be formatted as binary, was given string".into()),
        ("%d", "dyn([duration('30m2s')])", "error during formatting: decimal clause can only be used on integers, was given google.protobuf.Duration".into()),
        ("%o", "dyn(['a string'])", "error during formatting: octal clause can only be used on integers, was given string".into()),
        ("%x", "dyn([0.5])", "error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given double".into()),
        ("%E", "dyn([0.5])", "could not parse formatting clause: unrecognized formatting clause \"E\"".into()),
        ("%e", "dyn([null])", "error during formatting: scientific clause can only be used on doubles, was given null_type".into()),
        ("%f", "dyn([null])", "error during formatting: fixed-point clause can only be used on doubles, was given null_type".into()),
        ("%.34", "dyn([5.0])", "could not parse formatting clause: error while parsing precision: could not find end of precision specifier".into()),
        ("filler %", "dyn([1])", "unexpected end of string".into()),
        ("%s", "dyn([quantity('1')])", format!("error during formatting: {text}, was given kubernetes.Quantity")),
    ] {
        let result = outcome(&format!("{template:?}.format({arguments})"), &Json::Null);
        assert_eq!(result, Err(words), "{template} {arguments}");
    }
}

#[test]
fn what_is_wrong_is_told_when_it_is_compiled() {
    fail(&[
        ("'%s %s'.format(['abc'])", "index 1 out of range"),
        (
            "'%s %s'.format(['abc', 'def', 'ghi'])",
            "too many arguments supplied to string.format (expected 2, got 3)",
        ),
        ("'filler %'.format([])", "unexpected end of string"),
        (
            "'%j'.format([123])",
            "could not parse formatting clause: unrecognized formatting clause \"j\"",
        ),
        (
            "'int is %d'.format([5.2])",
            "error during formatting: decimal clause can only be used on integers, was given double",
        ),
        (
            "'double is %f'.format([true])",
            "error during formatting: fixed-point clause can only be used on doubles, was given bool",
        ),
    ]);
}
