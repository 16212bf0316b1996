//! What calls cost, before and while they are evaluated: the cases of Kubernetes'
//! `k8s.io/apiserver/pkg/cel/library/cost_test.go`.
//!
//! The figures there are of expressions evaluated as they stand. Kubernetes' own
//! environments put constants together before (`OptOptimize`), and so does this: what is
//! subtracted are lists (10), maps (30) and conversions that are constant.

use super::{authorizer::Rights, environment};
use hardway_cel::library::authorizer::authorizer;
use hardway_cel::{Budget, CostRange, Scope};
use std::sync::Arc;

/// What an expression may cost, and what it does cost.
fn costs(expression: &str) -> (CostRange, u64) {
    let program = environment().compile(expression).expect(expression);
    let mut scope = Scope::new();
    scope.bind("authorizer", authorizer(Arc::new(Rights)));
    let budget = Budget::new(u64::MAX);
    let value = program.evaluate(&scope, &budget);
    value.expect(expression);
    (program.estimate_cost(&()), u64::MAX - budget.remaining())
}

/// Each with what it may cost at least and at most, and what it does cost.
fn cost(cases: &[(&str, u64, u64, u64)]) {
    let mut wrong = Vec::new();
    for (expression, least, most, actual) in cases {
        let (estimate, spent) = costs(expression);
        if (estimate, spent) != (CostRange::new(*least, *most), *actual) {
            wrong.push(format!(
                "{expression}: {}..{} and {spent}, not {least}..{most} and {actual}",
                estimate.min, estimate.max
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const INTS: &str = "[1, 2, 3, 4, 5]";
const UINTS: &str = "[uint(1), uint(2), uint(3), uint(4), uint(5)]";
const DOUBLES: &str = "[1.0, 2.0, 3.0, 4.0, 5.0]";
const BOOLS: &str = "[false, true, false, true, false]";
const STRINGS: &str =
    "['012345678901', '012345678901', '012345678901', '012345678901', '012345678901']";
const BYTES: &str = "[bytes('012345678901'), bytes('012345678901'), bytes('012345678901'), bytes('012345678901'), bytes('012345678901')]";
const DURATIONS: &str =
    "[duration('1s'), duration('2s'), duration('3s'), duration('4s'), duration('5s')]";
const TIMESTAMPS: &str = "[timestamp('2011-01-01T00:00:00.000+01:00'), timestamp('2011-01-02T00:00:00.000+01:00'), timestamp('2011-01-03T00:00:00.000+01:00'), timestamp('2011-01-04T00:00:00.000+01:00'), timestamp('2011-01-05T00:00:00.000+01:00')]";
const TEXT: &str = "'01234567890123456789012345678901234567890123456789'";

#[test]
fn lists() {
    for (list, least, most, actual) in [
        (INTS, 15, 15, 15 - 10),
        (UINTS, 20, 20, 20 - 15),
        (DOUBLES, 15, 15, 15 - 10),
        (DURATIONS, 20, 20, 20 - 15),
    ] {
        cost(&[(&format!("{list}.sum()"), least, most, actual)]);
    }
    for call in ["isSorted", "max", "min"] {
        for (list, least, most, actual) in [
            (INTS, 15, 15, 15 - 10),
            (UINTS, 20, 20, 20 - 15),
            (DOUBLES, 15, 15, 15 - 10),
            (BOOLS, 15, 15, 15 - 10),
            (DURATIONS, 20, 20, 20 - 15),
            (TIMESTAMPS, 20, 20, 20 - 15),
        ] {
            cost(&[(&format!("{list}.{call}()"), least, most, actual)]);
        }
    }
    for call in ["indexOf", "lastIndexOf"] {
        for (list, wanted, least, most, actual) in [
            (INTS, "3", 15, 15, 15 - 10),
            (UINTS, "uint(3)", 21, 21, 21 - 16),
            (DOUBLES, "3.0", 15, 15, 15 - 10),
            (BOOLS, "true", 15, 15, 15 - 10),
            (DURATIONS, "duration('3s')", 21, 21, 21 - 16),
            (
                TIMESTAMPS,
                "timestamp('2011-01-03T00:00:00.000+01:00')",
                21,
                21,
                21 - 16,
            ),
            (TEXT, "'123'", 5, 5, 5),
        ] {
            cost(&[(&format!("{list}.{call}({wanted})"), least, most, actual)]);
        }
    }
}

/// Nothing bounds what a text is in a list, unless a schema does: only the least that it may
/// cost is known.
#[test]
fn texts_in_lists() {
    let joined = "['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j']";
    for (expression, least, actual) in [
        (format!("{STRINGS}.min()"), 15, 15 - 10),
        (format!("{BYTES}.isSorted()"), 25, 25 - 20),
        (format!("{STRINGS}.indexOf('x')"), 15, 15 - 10),
        (format!("{BYTES}.indexOf(bytes('x'))"), 26, 26 - 21),
        (format!("{joined}.join(' ')"), 11, 15 - 10),
        (format!("{joined}.join()"), 10, 13 - 10),
    ] {
        let (estimate, spent) = costs(&expression);
        assert_eq!((estimate.min, spent), (least, actual), "{expression}");
        assert!(estimate.max > u64::MAX / 1000, "{expression}: {estimate:?}");
    }
}

#[test]
fn urls() {
    let url = "url('https:://kubernetes.io/')";
    for part in [
        "getScheme",
        "getHostname",
        "getHost",
        "getPort",
        "getEscapedPath",
        "getQuery",
    ] {
        cost(&[(&format!("{url}.{part}()"), 4, 4, 4)]);
    }
    cost(&[
        (&format!("{url} == url('https:://kubernetes.io/')"), 7, 9, 7),
        (&format!("{url} == url('http://x.b')"), 5, 5, 5),
    ]);
}

#[test]
fn addresses() {
    let (v4, v6) = (
        "ip('192.168.0.1')",
        "ip('2001:db8:3333:4444:5555:6666:7777:8888')",
    );
    for (ip, base) in [(v4, 2), (v6, 4)] {
        cost(&[
            (ip, base, base, base),
            (&format!("{ip} == {v4}"), base + 3, base + 3, base + 3),
        ]);
        for call in [
            "family",
            "isUnspecified",
            "isLoopback",
            "isLinkLocalMulticast",
            "isLinkLocalUnicast",
            "isGlobalUnicast",
        ] {
            cost(&[(&format!("{ip}.{call}()"), base + 1, base + 1, base + 1)]);
        }
    }
    cost(&[
        (&format!("{v6} == {v6}"), 9, 9, 9),
        ("ip.isCanonical('192.168.0.1')", 3, 3, 3),
        (
            "ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')",
            8,
            8,
            8,
        ),
        ("ip.isCanonical('2001:db8::abcd')", 3, 3, 3),
    ]);
}

#[test]
fn networks() {
    let (v4, v6) = ("cidr('192.168.0.0/16')", "cidr('2001:db8::/32')");
    for cidr in [v4, v6] {
        cost(&[
            (cidr, 2, 2, 2),
            (&format!("{cidr}.ip()"), 3, 3, 3),
            (&format!("{cidr}.prefixLength()"), 3, 3, 3),
            (&format!("{cidr}.masked()"), 3, 3, 3),
            (&format!("{cidr} == {v6}"), 5, 5, 5),
        ]);
    }
    for (cidr, call, least, most, actual) in [
        (v4, "containsCIDR(cidr('192.0.0.0/30'))", 7, 11, 7),
        (v4, "containsCIDR('192.168.0.0/16')", 7, 11, 7),
        (v4, "containsIP(ip('192.0.0.1'))", 4, 7, 4),
        (v4, "containsIP(ip('192.169.0.1'))", 5, 8, 5),
        (v4, "containsIP('192.0.0.1')", 4, 7, 4),
        (v4, "containsIP('192.169.0.1')", 5, 8, 5),
        (v6, "containsCIDR(cidr('2001:db8::/126'))", 7, 11, 7),
        (v6, "containsCIDR('2001:db8::/32')", 7, 11, 7),
        (
            v6,
            "containsIP(ip('2001:db8:3333:4444:5555:6666:7777:8888'))",
            7,
            10,
            7,
        ),
        (v6, "containsIP(ip('2001:db8::1'))", 5, 8, 5),
        (
            v6,
            "containsIP('2001:db8:3333:4444:5555:6666:7777:8888')",
            7,
            10,
            7,
        ),
        (v6, "containsIP('2001:db8::1')", 5, 8, 5),
    ] {
        cost(&[(&format!("{cidr}.{call}"), least, most, actual)]);
    }
}

#[test]
fn strings() {
    cost(&[
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3, 3),
        (
            "'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()",
            7,
            9,
            9,
        ),
        ("'ABCDEFGHIJ abcdefghij'.upperAscii()", 3, 3, 3),
        ("strings.quote('ABCDEFGHIJ abcdefghij')", 3, 3, 3),
        (
            "strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')",
            7,
            11,
            9,
        ),
        ("'abc 123 def 123'.replace('123', '456')", 3, 3, 3),
        ("'abc 123 def 123'.replace('', 'x')", 3, 3, 3),
        ("'abc 123 def 123'.replace('123', '')", 3, 3, 3),
        ("'abc 123 def 123'.replace('123', '456', 1)", 3, 3, 3),
        ("'abc 123 def 123'.split(' ')", 3, 3, 3),
        ("'abc 123 def 123'.split(' ', 1)", 3, 3, 3),
        ("'abc 123 def 123'.substring(5)", 2, 2, 2),
        ("'abc 123 def 123'.substring(5, 8)", 2, 2, 2),
        ("'  abc 123 def 123  '.trim()", 2, 2, 2),
        ("'abc 123 def 123'.find('123')", 2, 2, 2),
        ("'abc 123 def 123'.findAll('123')", 2, 2, 2),
        ("'abc 123 def 123'.findAll('123', 1)", 2, 2, 2),
        ("jsonpatch.escapeKey('abc/def~ abc/def~')", 2, 2, 2),
        ("'no substitution'.format([])", 12, 12, 12 - 10),
        (
            "'str is %s and some more'.format(['filler'])",
            13,
            13,
            13 - 10,
        ),
        ("'%s'.format([[2.71]])", 21, 21, 21 - 20),
    ]);
}

#[test]
fn authorization() {
    let check = "authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('backend')";
    let selector = "'spec.nodeName=example-node-name.fully.qualified.domain.name.example.com'";
    cost(&[
        ("authorizer.path('/healthz')", 2, 2, 2),
        (check, 6, 6, 6),
        (
            &format!("authorizer.group('').resource('pods').fieldSelector({selector})"),
            1821,
            1821,
            1821,
        ),
        (
            &format!("authorizer.group('').resource('pods').labelSelector({selector})"),
            1821,
            1821,
            1821,
        ),
        (
            "authorizer.path('/healthz').check('get').allowed()",
            350_003,
            350_003,
            350_003,
        ),
        (
            &format!("{check}.check('create').allowed()"),
            350_007,
            350_007,
            350_007,
        ),
        (
            &format!("{check}.check('create').reason()"),
            350_007,
            350_007,
            350_007,
        ),
        (
            &format!("{check}.check('create').errored()"),
            350_007,
            350_007,
            350_007,
        ),
        (
            &format!("{check}.check('create').error()"),
            350_007,
            350_007,
            350_007,
        ),
    ]);
}

#[test]
fn quantities_versions_and_formats() {
    cost(&[
        (r#"quantity("12Mi")"#, 1, 1, 1),
        (r#"isQuantity("20M")"#, 1, 1, 1),
        (r#"quantity("200M") == quantity("200M")"#, 3, 3, 3),
        (
            r#"quantity("200M") == quantity("0.2G") && quantity("0.2G") == quantity("200M")"#,
            3,
            6,
            6,
        ),
        (r#"quantity("50M").isLessThan(quantity("50Mi"))"#, 3, 3, 3),
        (
            r#"quantity("200M").compareTo(quantity("0.2G")) > 0"#,
            4,
            4,
            4,
        ),
        (
            r#"quantity("50k").add(quantity("20")) == quantity("50.02k")"#,
            5,
            5,
            5,
        ),
        (r#"quantity("50k").sub(20) == quantity("49980")"#, 4, 4, 4),
        (
            r#"quantity("50k").add(20).sub(quantity("100k")).sub(-50000).asInteger() > 0"#,
            7,
            7,
            7,
        ),
        (r#"quantity("50").isInteger()"#, 2, 2, 2),
        (r#"quantity("50.703k").asApproximateFloat() > 0.0"#, 3, 3, 3),
        (r#"semver("1.0.0")"#, 1, 1, 1),
        (r#"semver("1234.56789012345.67890123456789")"#, 4, 4, 4),
        (r#"isSemver("1234.56789012345.67890123456789")"#, 4, 4, 4),
        (r#"semver("1.2.3").major()"#, 2, 2, 2),
        (r#"semver("1.0.0").compareTo(semver("1.2.3"))"#, 3, 3, 3),
        (r#"format.named("dns1123subdomain")"#, 1, 1, 1),
        (
            r#"format.named("dns1123Subdomain").value().validate("my-name")"#,
            34,
            34,
            17,
        ),
        (
            r#"format.named("dns1123Label").value().validate("my-name")"#,
            34,
            34,
            10,
        ),
        (
            r#"format.named("dns1123Label").value() == format.named("dns1123Label").value()"#,
            5,
            11,
            5,
        ),
    ]);
}

#[test]
fn sets() {
    cost(&[
        ("sets.contains([], [])", 21, 21, 21 - 20),
        ("sets.contains([1], [])", 21, 21, 21 - 20),
        ("sets.contains([1], [1])", 22, 22, 22 - 20),
        ("sets.contains([1], [1, 1])", 23, 23, 23 - 20),
        ("sets.contains([1, 2, 3, 4], [2, 3])", 29, 29, 29 - 20),
        ("sets.contains([[1], [2, 3]], [[2, 3]])", 53, 53, 53 - 50),
        ("!sets.contains([1], [2])", 23, 23, 23 - 20),
        ("sets.equivalent([], [])", 21, 21, 21 - 20),
        ("sets.equivalent([1], [1])", 23, 23, 23 - 20),
        ("sets.equivalent([1], [1, 1])", 25, 25, 25 - 20),
        (
            "sets.equivalent([[1], [2, 3]], [[1], [2, 3]])",
            69,
            69,
            69 - 60,
        ),
        ("!sets.equivalent([2, 1], [1])", 26, 26, 26 - 20),
        ("sets.intersects([1], [1])", 22, 22, 22 - 20),
        ("sets.intersects([1], [1, 2])", 23, 23, 23 - 20),
        (
            "sets.intersects([[1], [2, 3]], [[1, 2], [2, 3]])",
            65,
            65,
            65 - 60,
        ),
        ("!sets.intersects([], [])", 22, 22, 22 - 20),
    ]);
}

#[test]
fn loops_with_two_variables() {
    cost(&[
        ("{'a': 1, 'b': 2}.all(k, v, v > 0)", 37, 41, 41 - 30),
        ("{'a': 1, 'b': 2}.exists(k, v, v > 0)", 39, 43, 40 - 30),
        ("{'a': 1, 'b': 2}.existsOne(k, v, v > 0)", 38, 40, 40 - 30),
        (
            "{'a': 1, 'b': 2}.transformMap(k, v, v + 1)",
            71,
            71,
            71 - 60,
        ),
        (
            "{'a': 1, 'b': 2}.transformMap(k, v, v < 5, v + 1)",
            67,
            75,
            75 - 60,
        ),
        (
            "{'a': 1, 'b': 2}.transformMapEntry(k, v, {k: v + 1})",
            131,
            131,
            131 - 60,
        ),
        (
            "{'a': 1, 'b': 2}.transformMapEntry(k, v, v < 5, {k: v + 1})",
            67,
            135,
            135 - 60,
        ),
        ("[1, 2].all(i, v, v > 0)", 17, 21, 21 - 10),
        ("[1, 2].exists(i, v, v > 0)", 19, 23, 20 - 10),
        ("[1, 2].existsOne(i, v, v > 0)", 18, 20, 20 - 10),
        ("[1, 2].transformList(i, v, v + 1)", 49, 49, 49 - 20),
        ("[1, 2].transformList(i, v, v < 5, v + 1)", 27, 53, 53 - 20),
    ]);
}
