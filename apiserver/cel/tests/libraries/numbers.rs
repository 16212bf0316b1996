//! Quantities, versions, and sums and orders of lists.

use super::{fail, hold};

#[test]
fn quantities() {
    hold(&[
        "quantity('12Mi') == quantity('12288Ki')",
        "isQuantity('20') && isQuantity('20M') && isQuantity('20Mi') && isQuantity('1.3G')",
        "!isQuantity('20Mo') && !isQuantity('10Mm') && !isQuantity('1,3G') && !isQuantity('200K') && !isQuantity('')",
        "quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')",
        "quantity('200M') != quantity('0.3G')",
        "quantity('50M').isLessThan(quantity('50Mi')) && !quantity('100M').isLessThan(quantity('50M'))",
        "quantity('50Mi').isGreaterThan(quantity('50M')) && !quantity('50M').isGreaterThan(quantity('100M'))",
        "quantity('200M').compareTo(quantity('0.2G')) == 0",
        "quantity('50M').compareTo(quantity('50Mi')) == -1 && quantity('50Mi').compareTo(quantity('50M')) == 1",
        "quantity('50k').add(quantity('20')) == quantity('50.02k')",
        "!quantity('50k').add(20).isLessThan(quantity('50020'))",
        "quantity('50k').sub(quantity('20')) == quantity('49.98k') && quantity('50k').sub(20) == quantity('49980')",
        "quantity('50k').add(20).sub(quantity('100k')).asInteger() == -49980",
        "quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() == 20",
        "quantity('50k').asInteger() == 50000 && quantity('50').isInteger()",
        "!quantity('9999999999999999999999999999999999999G').isInteger()",
        "quantity('50.703k').asApproximateFloat() == 50703.0",
        "sign(quantity('1')) == 1 && sign(quantity('-1k')) == -1 && sign(quantity('0')) == 0",
    ]);
    fail(&[
        (
            "quantity('10Mo')",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("quantity('10Mm')", "unable to parse quantity's suffix"),
        (
            "quantity('9999999999999999999999999999999999999G').asInteger()",
            "cannot convert value to integer",
        ),
        (
            "isQuantity([1, 2, 3])",
            "found no matching overload for 'isQuantity' applied to '(list(int))'",
        ),
    ]);
}

#[test]
fn versions() {
    hold(&[
        "semver('1.2.3') == semver('1.2.3+build') && semver('1.2.3') != semver('1.2.4')",
        "isSemver('1.2.3-beta.1+build.1') && isSemver('0.0.0-0')",
        "!isSemver('') && !isSemver('1.2') && !isSemver('v1.2.3') && !isSemver('01.2.3') && !isSemver('hello')",
        "!isSemver('1.2.3-01') && !isSemver('1.2.3-a..b') && !isSemver('1.2.3+') && !isSemver('1.2.3-a_b')",
        "isSemver('v1.0', true) && isSemver('01.01.01', true) && isSemver('1', true) && !isSemver('1.0-rc', true)",
        "semver('v01.01', true) == semver('1.1.0') && semver('00.00.00', true) == semver('0.0.0')",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
        "semver('1.0.0').isLessThan(semver('1.2.3')) && !semver('1.0.0').isLessThan(semver('1.0.0'))",
        "semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1'))",
        "semver('1.0.0-alpha').isLessThan(semver('1.0.0-alpha.1'))",
        "semver('1.0.0-alpha.1').isLessThan(semver('1.0.0-alpha.beta'))",
        "semver('1.0.0-beta.2').isLessThan(semver('1.0.0-beta.11'))",
        "semver('1.2.3').compareTo(semver('2.0.0')) == -1 && semver('1.2.3').compareTo(semver('0.1.2')) == 1",
    ]);
    fail(&[
        ("semver('')", "Version string empty"),
        ("semver('200K')", "No Major.Minor.Patch elements found"),
        (
            "semver('v1.0.0')",
            "Invalid character(s) found in major number \"v1\"",
        ),
        (
            "semver('1.02.0')",
            "Minor number must not contain leading zeroes \"02\"",
        ),
        (
            "semver('1.2.3-01')",
            "Numeric PreRelease version must not contain leading zeroes \"01\"",
        ),
        ("semver('1.2.3-')", "Prerelease is empty"),
        ("semver('1.2.3+')", "Build meta data is empty"),
        (
            "semver('1..3')",
            "strconv.ParseUint: parsing \"\": invalid syntax",
        ),
        (
            "semver('1.0-rc', true)",
            "short version cannot contain PreRelease/Build meta data",
        ),
    ]);
}

#[test]
fn lists() {
    hold(&[
        "[1, 2, 3].isSorted() && ![3, 1].isSorted() && [1].isSorted() && [].isSorted()",
        "['a', 'b', 'b', 'c'].isSorted() && !['b', 'a'].isSorted() && [false, true].isSorted()",
        "[2.0, 3.0].isSorted() && ![b'b', b'a'].isSorted() && [1u, 2u].isSorted()",
        "[duration('1s'), duration('1m')].isSorted()",
        "[timestamp('2020-01-01T00:00:00Z'), timestamp('2021-01-01T00:00:00Z')].isSorted()",
        "[1, 3].sum() == 4 && [1.0, 3.0].sum() == 4.0 && [1u, 3u].sum() == 4u && [].sum() == 0",
        "[duration('1m'), duration('1s')].sum() == duration('1m1s')",
        "[1, 3, 2].min() == 1 && [1, 3, 2].max() == 3 && ['b', 'a'].min() == 'a'",
        "[true, false].max() && [duration('1m'), duration('1s')].max() == duration('1m')",
        "[1, 2, 2, 3].indexOf(2) == 1 && ['a', 'b', 'b', 'c'].lastIndexOf('b') == 2",
        "[1.0].indexOf(1.1) == -1 && [].indexOf('string') == -1 && [1].lastIndexOf(3) == -1",
        "sets.contains([], []) && !sets.contains([], [1]) && sets.contains([1, 2, 3, 4], [2, 3])",
        "sets.contains([dyn(1), 2.0, 3u], [dyn(1.0), 2u, 3]) && sets.contains([[1], [2, 3]], [[2, 3]])",
        "sets.equivalent([], []) && sets.equivalent([1], [1, 1]) && !sets.equivalent([2, 1], [1])",
        "sets.equivalent([1, 2, 3], [3, 2, 1]) && !sets.equivalent([1], [1, 2])",
        "!sets.intersects([1], []) && sets.intersects([1], [1, 2]) && !sets.intersects([1], [2])",
    ]);
    fail(&[
        ("[].min()", "min called on empty list"),
        ("[].max()", "max called on empty list"),
        ("[9223372036854775807, 1].sum()", "integer overflow"),
        (
            "['a'].sum()",
            "found no matching overload for 'sum' applied to 'list(string).()'",
        ),
    ]);
}
