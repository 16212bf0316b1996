//! Texts, patterns and named formats.

use super::{fail, hold};

#[test]
fn strings() {
    hold(&[
        "'tacocat'.charAt(3) == 'o' && 'tacocat'.charAt(7) == ''",
        "'©αT'.charAt(0) == '©' && '©αT'.charAt(1) == 'α' && '©αT'.charAt(2) == 'T'",
        "'tacocat'.indexOf('') == 0 && 'tacocat'.indexOf('ac') == 1 && 'tacocat'.indexOf('none') == -1",
        "'tacocat'.indexOf('', 3) == 3 && 'tacocat'.indexOf('a', 3) == 5 && 'tacocat'.indexOf('at', 3) == 5",
        "'ta©o©αT'.indexOf('©') == 2 && 'ta©o©αT'.indexOf('©', 3) == 4 && 'ta©o©αT'.indexOf('©αT', 3) == 4",
        "'ta©o©αT'.indexOf('©α', 5) == -1 && 'ijk'.indexOf('k') == 2",
        "'hello wello'.indexOf('hello wello') == 0 && 'hello wello'.indexOf('ello', 6) == 7",
        "'hello wello'.indexOf('elbo room!!') == -1 && 'hello wello'.indexOf('elbo room!!!') == -1",
        "'tacocat'.lastIndexOf('') == 7 && 'tacocat'.lastIndexOf('at') == 5 && 'tacocat'.lastIndexOf('none') == -1",
        "'tacocat'.lastIndexOf('', 3) == 3 && 'tacocat'.lastIndexOf('a', 3) == 1",
        "'ta©o©αT'.lastIndexOf('©') == 4 && 'ta©o©αT'.lastIndexOf('©', 3) == 2 && 'ta©o©αT'.lastIndexOf('©α', 4) == 4",
        "'hello wello'.lastIndexOf('ello', 6) == 1 && 'hello wello'.lastIndexOf('low') == -1",
        "'hello wello'.lastIndexOf('elbo room!!!') == -1 && 'hello wello'.lastIndexOf('hello wello') == 0",
        "'bananananana'.lastIndexOf('nana', 8) == 8",
        "'12 days 12 hours'.replace('{0}', '2') == '12 days 12 hours'",
        "'{0} days {0} hours'.replace('{0}', '2') == '2 days 2 hours'",
        "'{0} days {0} hours'.replace('{0}', '2', 1).replace('{0}', '23') == '2 days 23 hours'",
        "'1 ©αT taco'.replace('αT', 'o©α') == '1 ©o©α taco' && 'abc'.replace('', '_') == '_a_b_c_'",
        "'hello world'.split(' ') == ['hello', 'world'] && 'hello world events!'.split(' ', 0) == []",
        "'hello world events!'.split(' ', 1) == ['hello world events!'] && 'o©o©o©o'.split('©', -1) == ['o', 'o', 'o', 'o']",
        "'hello hello hello'.split(' ', 2) == ['hello', 'hello hello']",
        "'a©c'.split('') == ['a', '©', 'c'] && 'abc'.split('', 2) == ['a', 'bc'] && ''.split(',') == ['']",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(7) == '' && 'tacocat'.substring(0, 4) == 'taco'",
        "'tacocat'.substring(4, 4) == '' && 'ta©o©αT'.substring(2, 6) == '©o©α' && 'ta©o©αT'.substring(7, 7) == ''",
        r"' \f\n\r\t\vtext  '.trim() == 'text'",
        r"'\u0085\u00a0\u1680text'.trim() == 'text'",
        r"'text\u2000\u2001\u2002\u2003\u2004\u2004\u2006\u2007\u2008\u2009'.trim() == 'text'",
        r"'\u200atext\u2028\u2029\u202F\u205F\u3000'.trim() == 'text'",
        r"'\u180etext\u200b\u200c\u200d\u2060\ufeff'.trim() == '\u180etext\u200b\u200c\u200d\u2060\ufeff'",
        "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'TacoCÆt Xii'.upperAscii() == 'TACOCÆT XII'",
        "['x', 'y'].join() == 'xy' && ['x', 'y'].join('-') == 'x-y' && [].join() == ''",
        r#"strings.quote("first\nsecond") == "\"first\\nsecond\"""#,
        r#"strings.quote('bell\a vtab\v back\b feed\f ret\r tab\t slash\\ quote"') == '"bell\\a vtab\\v back\\b feed\\f ret\\r tab\\t slash\\\\ quote\\""'"#,
    ]);
    fail(&[
        ("'tacocat'.charAt(30)", "index out of range: 30"),
        ("'tacocat'.charAt(-1)", "index out of range: -1"),
        ("'tacocat'.indexOf('a', 30)", "index out of range: 30"),
        ("'tacocat'.lastIndexOf('a', -1)", "index out of range: -1"),
        ("'tacocat'.lastIndexOf('a', 30)", "index out of range: 30"),
        ("'tacocat'.substring(40)", "index out of range: 40"),
        ("'tacocat'.substring(-1)", "index out of range: -1"),
        ("'tacocat'.substring(1, 50)", "index out of range: 50"),
        ("'tacocat'.substring(49, 50)", "index out of range: 49"),
        (
            "'tacocat'.substring(4, 3)",
            "invalid substring range. start: 4, end: 3",
        ),
        ("[dyn('a'), dyn(1)].join()", "join: invalid input: 1"),
        ("dyn(42).charAt(2)", "no such overload"),
        ("'42'.replace(dyn(2), '1')", "no such overload"),
    ]);
}

#[test]
fn patterns() {
    hold(&[
        "'abc 123'.find('[0-9]+') == '123' && 'abc 123'.find('xyz') == ''",
        "'123 abc 456'.findAll('[0-9]+') == ['123', '456'] && '123 abc 456'.findAll('xyz') == []",
        "'123 abc 456'.findAll('[0-9]+', 1) == ['123'] && '123 abc 456'.findAll('[0-9]+', 0) == []",
        "'123 abc 456'.findAll('[0-9]+', -1) == ['123', '456'] && 'aa'.findAll('x*') == ['', '', '']",
        "'abc'.find(dyn('b') + 'c') == 'bc' && 'abc'.findAll('[' + 'ab]') == ['a', 'b']",
        "'abc'.matches('^a') && matches('abc', 'c$') && !'abc'.matches('b' + '$')",
    ]);
    fail(&[
        ("'a'.matches('(')", "invalid matches argument"),
        ("dyn(1).matches('a')", "no such overload"),
        ("'a'.find(dyn(1))", "no such overload"),
    ]);
}

#[test]
fn named_formats() {
    hold(&[
        "!format.dns1123Label().validate('my-label-name').hasValue()",
        "format.dns1123Label().validate('contains a space').hasValue()",
        "!format.dns1123Subdomain().validate('apiextensions.k8s.io').hasValue()",
        "!format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()",
        "format.qualifiedName().validate('apiextensions.k8s.io/v1beta1/x').hasValue()",
        "!format.dns1123LabelPrefix().validate('my-label-prefix-').hasValue()",
        "!format.dns1123SubdomainPrefix().validate('mysubdomain.prefix.-').hasValue()",
        "!format.dns1035Label().validate('my-label').hasValue() && format.dns1035Label().validate('1a').hasValue()",
        "!format.dns1035LabelPrefix().validate('my-label-prefix-').hasValue()",
        "!format.labelValue().validate('my-cool-label-Value').hasValue() && format.labelValue().validate('-a').hasValue()",
        "!format.uri().validate('http://example.com').hasValue()",
        "format.uri().validate('../relative').value() == ['parse \"../relative\": invalid URI for request']",
        "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
        "!format.uuid().validate('123E4567e89b12d3a456426614174000').hasValue()",
        "format.uuid().validate('not-a-uuid').value() == ['does not match the UUID format']",
        "!format.byte().validate('aGVsbG8=').hasValue()",
        "format.byte().validate('aGVsbG8').value() == ['invalid base64'] && format.byte().validate('').hasValue()",
        "!format.date().validate('2020-01-01').hasValue()",
        "format.date().validate('2021-02-29').value() == ['invalid date']",
        "!format.datetime().validate('2020-01-01T00:00:00Z').hasValue()",
        "!format.datetime().validate('2020-01-01t00:00:00.5+01:00').hasValue()",
        "format.datetime().validate('2020-01-01T24:00:00Z').value() == ['invalid datetime']",
        "format.named('dns1123Label').value() == format.dns1123Label()",
        "format.dns1123Label() != format.dns1035Label() && !format.named('unknown').hasValue()",
    ]);
}

#[test]
fn keys_of_json_patches() {
    hold(&[
        "jsonpatch.escapeKey('k8s.io/my~label') == 'k8s.io~1my~0label'",
        "JSONPatch{op: 'add', path: '/a', value: 1}.path == '/a'",
    ]);
}
