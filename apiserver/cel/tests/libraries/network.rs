//! Addresses, networks and URLs.

use super::{fail, hold};

#[test]
fn addresses() {
    hold(&[
        "ip('192.168.0.1').family() == 4 && ip('2001:db8::68').family() == 6",
        "ip('127.0.0.1') == ip('127.0.0.1') && ip('127.0.0.1') != ip('10.0.0.1')",
        "ip('2001:DB8::68') == ip('2001:db8:0::68')",
        "string(ip('2001:DB8:0:0::68')) == '2001:db8::68'",
        "type(ip('::1')) == net.IP",
        "isIP('192.168.0.1') && isIP('::1') && isIP('::1.2.3.4')",
        "!isIP('127.0.0.256') && !isIP(':::1') && !isIP('01.2.3.4') && !isIP('1.2.3')",
        "!isIP('fe80::1%eth0') && !isIP('::ffff:1.2.3.4') && !isIP('') && !isIP('1:2')",
        "ip.isCanonical('127.0.0.1') && ip.isCanonical('2001:db8::abcd')",
        "!ip.isCanonical('2001:DB8::ABCD') && !ip.isCanonical('2001:db8::0:0:0:abcd')",
        "ip('0.0.0.0').isUnspecified() && ip('::').isUnspecified() && !ip('::1').isUnspecified()",
        "ip('127.0.0.1').isLoopback() && ip('::1').isLoopback() && !ip('1.2.3.4').isLoopback()",
        "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()",
        "ip('ff02::1').isLinkLocalMulticast() && !ip('fd00::1').isLinkLocalMulticast()",
        "ip('169.254.169.254').isLinkLocalUnicast() && !ip('192.168.0.1').isLinkLocalUnicast()",
        "ip('fe80::1').isLinkLocalUnicast() && !ip('fd80::1').isLinkLocalUnicast()",
        "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
        "ip('2001:db8::abcd').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()",
    ]);
    // Go's words.
    let parse = "parse error during conversion from string: ParseAddr";
    for (address, why) in [
        ("192.168.0.1.0", "IPv4 address too long"),
        ("1.2.3", "IPv4 address too short"),
        ("01.2.3.4", "IPv4 field has octet with leading zero"),
        ("1.2.3.256", "IPv4 field has value >255"),
        (
            "1..2.3",
            "IPv4 field must have at least one digit (at \".2.3\")",
        ),
        ("1.2.3.x", "unexpected character (at \"x\")"),
        ("bad", "unable to parse IP"),
        ("%eth0", "missing IPv6 address"),
        ("::1%", "zone must be a non-empty string"),
        ("1::2::3", "multiple :: in address (at \":3\")"),
        ("1:2:3", "address string too short"),
        (
            "1:2:3:4:5:6:7:8:9",
            "trailing garbage after address (at \"9\")",
        ),
        (
            "12345::",
            "each group must have 4 or fewer digits (at \"12345::\")",
        ),
        ("1:", "colon must be followed by more characters (at \":\")"),
        (
            "1:2:3:4::5:6:7:8",
            "the :: must expand to at least one field of zeros",
        ),
        (
            "g::",
            "each colon-separated field must have at least one digit (at \"g::\")",
        ),
    ] {
        let words = format!("IP Address {address:?} {parse}({address:?}): {why}");
        fail(&[(&format!("ip({address:?})"), &words)]);
    }
    fail(&[
        (
            "ip('::ffff:1.2.3.4')",
            "IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed",
        ),
        (
            "ip('fe80::1%en0')",
            "IP address \"fe80::1%en0\" with zone value is not allowed",
        ),
        (
            "ip(1)",
            "found no matching overload for 'ip' applied to '(int)'",
        ),
    ]);
}

#[test]
fn networks() {
    hold(&[
        "cidr(dyn('192.168.0.0/24')).ip() == ip('192.168.0.0')",
        "isCIDR('192.168.0.0/16') && isCIDR('::1/128')",
        "!isCIDR('192.168.0.0/33') && !isCIDR('::1/129') && !isCIDR('192.168.0.0/') && !isCIDR('1.2.3.4')",
        "!isCIDR('192.168.0.0/+8') && !isCIDR('192.168.0.0/08') && !isCIDR('::ffff:1.2.3.4/24')",
        "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))",
        "!cidr('192.168.0.0/24').containsIP('192.168.1.1')",
        "!cidr('0.0.0.0/0').containsIP('::1') && cidr('0.0.0.0/0').containsIP('1.2.3.4')",
        "cidr('192.168.0.0/16').containsCIDR(cidr('192.168.10.0/24'))",
        "cidr('192.168.0.0/24').containsCIDR('192.168.0.0/25')",
        "!cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23')",
        "!cidr('192.168.1.0/24').containsCIDR(cidr('192.168.2.0/24'))",
        "cidr('2001:db8::/32').containsIP('2001:db8::1') && !cidr('2001:db8::/32').containsIP('2001:dc8::1')",
        "cidr('2001:db8::/32').containsCIDR('2001:db8::/33') && !cidr('2001:db8::/32').containsCIDR('2001:db8::/31')",
        "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')",
        "cidr('192.168.0.1/24') != cidr('192.168.0.0/24')",
        "cidr('2001:db8:1::/32').masked() == cidr('2001:db8::/32')",
        "cidr('192.168.0.0/24').prefixLength() == 24 && cidr('::1/128').prefixLength() == 128",
        "string(cidr('192.168.0.0/24')) == '192.168.0.0/24'",
        "type(cidr('192.168.0.0/24')) == net.CIDR",
    ]);
    let words = "network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix";
    for (network, why) in [
        ("192.168.0.0/", "bad bits after slash: \"\""),
        ("2001:db8::/", "bad bits after slash: \"\""),
        ("1.2.3.4", "no '/'"),
        ("1.2.3.4/33", "prefix length out of range"),
        ("1.2.3/8", "ParseAddr(\"1.2.3\"): IPv4 address too short"),
        ("fe80::1%e/8", "IPv6 zones cannot be present in a prefix"),
    ] {
        fail(&[(
            &format!("cidr({network:?})"),
            &format!("{words}({network:?}): {why}"),
        )]);
    }
    fail(&[(
        "cidr(192168)",
        "found no matching overload for 'cidr' applied to '(int)'",
    )]);
}

#[test]
fn urls() {
    hold(&[
        "url('/path').getScheme() == '' && url('HTTPS://example.com/').getScheme() == 'https'",
        "url('https://example.com:80/').getHost() == 'example.com:80'",
        "url('https://[::1]:80/').getHost() == '[::1]:80' && url('/path').getHost() == ''",
        "url('https://example.com:80/').getHostname() == 'example.com'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]/').getHostname() == '::1'",
        "url('https://example.com:80/').getPort() == '80' && url('https://example.com/').getPort() == ''",
        "url('https://user:pass@example.com:80/path?query=val#fragment').getHost() == 'example.com:80'",
        "url('https://example.com/path').getEscapedPath() == '/path'",
        "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
        "url('https://example.com/a%2Fb').getEscapedPath() == '/a%2Fb'",
        "url('https://example.com').getEscapedPath() == ''",
        "url('/p#f').getEscapedPath() == '/p'",
        "url('https://example.com/path?k1=a&k2=b&k2=c').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}",
        "url('https://example.com/path?key with spaces=value+with%20spaces').getQuery() == {'key with spaces': ['value with spaces']}",
        "url('https://example.com/path?').getQuery() == {} && url('https://example.com/path').getQuery() == {}",
        "url('/p?a=%zz&b=1&c;d&&=').getQuery() == {'b': ['1'], '': ['']}",
        "url('https://a/') == url('HTTPS://a/') && url('https://a/') != url('https://a')",
        "isURL('https://user:pass@example.com:80/path?query=val#fragment') && isURL('/absolute-path')",
        "isURL('mailto:me@example.com') && isURL('https:')",
        "!isURL('https://a:b:c/') && !isURL('../relative-path') && !isURL('') && !isURL(':80')",
        "!isURL('https://exa mple.com/') && !isURL('/%zz') && !isURL('http://[::1')",
    ]);
    for (url, why) in [
        ("../relative-path", "invalid URI for request"),
        ("https://a:b:c/", "invalid port \":c\" after host"),
        ("", "empty url"),
        (":80", "missing protocol scheme"),
        ("/%zz", "invalid URL escape \"%zz\""),
        ("http://[::1", "missing ']' in host"),
        ("http://a b/", "invalid character \" \" in host name"),
        ("http://a%41/", "invalid URL escape \"%41\""),
        ("http://<>@a/", "net/url: invalid userinfo"),
    ] {
        let words = format!("URL parse error during conversion from string: parse {url:?}: {why}");
        fail(&[(&format!("url({url:?})"), &words)]);
    }
}
