//! What may be a name: each check answers with Kubernetes' messages, an empty
//! list meaning the text is fine.

use std::hash::{BuildHasher, Hasher, RandomState};

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// `must be no more than N characters`.
pub fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// Whether this is the name of an extended resource, such as `example.com/gpu`: one of
/// which a node has as many as somebody says.
pub fn is_extended_resource(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// A message with examples and the regular expression that stands behind it.
pub fn regex_message(message: &str, regex: &str, examples: &[&str]) -> String {
    let mut text = message.to_owned();
    text.push_str(" (");
    for (i, example) in examples.iter().enumerate() {
        text.push_str(if i == 0 { "e.g. " } else { " or " });
        text.push_str(&format!("'{example}', "));
    }
    text + &format!("regex used for validation is '{regex}')")
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether the text starts and ends with `edge` and has only `inner` between.
fn shaped(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [one] => edge(*one),
        [first, middle @ .., last] => {
            edge(*first) && edge(*last) && middle.iter().all(|b| inner(*b))
        }
    }
}

fn label_shaped(text: &str) -> bool {
    shaped(text, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

fn qualified_shaped(text: &str) -> bool {
    shaped(
        text,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b),
    )
}

/// A DNS label as RFC 1123 has it: at most 63 lower-case letters, digits, `-`.
pub fn is_dns1123_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(too_long(63));
    }
    if !label_shaped(text) && text.split('.').all(label_shaped) {
        errors.push("must not contain dots".to_owned());
    } else if !label_shaped(text) {
        errors.push(regex_message(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL,
            &["my-name", "123-abc"],
        ));
    }
    errors
}

/// A DNS subdomain as RFC 1123 has it: labels joined by dots, at most 253.
pub fn is_dns1123_subdomain(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(too_long(253));
    }
    if !text.split('.').all(label_shaped) {
        errors.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    errors
}

/// A DNS subdomain whose labels may have underscores, also as their first character.
pub fn is_dns1123_subdomain_with_underscore(text: &str) -> Vec<String> {
    const FORM: &str = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(too_long(253));
    }
    let is_label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        shaped(label, lower_alnum, |b| lower_alnum(b) || b"-_".contains(&b))
    };
    if !text.split('.').all(is_label) {
        errors.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            FORM,
            &["example.com"],
        ));
    }
    errors
}

/// A subdomain whose first label is `*`.
pub fn is_wildcard_dns1123_subdomain(text: &str) -> Vec<String> {
    let rest = text.strip_prefix("*.");
    if rest.is_some_and(|rest| rest.split('.').all(label_shaped)) {
        return Vec::new();
    }
    vec![regex_message(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        &format!(r"\*\.{SUBDOMAIN}"),
        &["*.example.com"],
    )]
}

/// A DNS label as RFC 1035 has it: starts with a letter.
pub fn is_dns1035_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(too_long(63));
    }
    if !label_shaped(text) || text.starts_with(|c: char| c.is_ascii_digit()) {
        errors.push(regex_message(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// A qualified name, such as a label key: `[prefix/]Name`.
pub fn is_qualified_name(text: &str) -> Vec<String> {
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                let problems = is_dns1123_subdomain(prefix);
                errors.extend(problems.into_iter().map(|p| format!("prefix part {p}")));
            }
            name
        }
        _ => {
            let message = format!("a qualified name {QUALIFIED_MESSAGE}");
            return vec![
                regex_message(&message, QUALIFIED, &examples)
                    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            ];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push(format!("name part {}", too_long(63)));
    }
    if !qualified_shaped(name) {
        let message = format!("name part {QUALIFIED_MESSAGE}");
        errors.push(regex_message(&message, QUALIFIED, &examples));
    }
    errors
}

/// A label's value: empty, or at most 63 characters.
pub fn is_label_value(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 63 {
        errors.push(too_long(63));
    }
    if !text.is_empty() && !qualified_shaped(text) {
        errors.push(regex_message(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// An identifier of the C language.
pub fn is_c_identifier(text: &str) -> Vec<String> {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let ok = match text.as_bytes() {
        [] => false,
        [head, tail @ ..] => first(*head) && tail.iter().all(|b| first(*b) || b.is_ascii_digit()),
    };
    if ok {
        return Vec::new();
    }
    vec![regex_message(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// The name of an environment variable: printable ASCII but for `=`.
pub fn is_env_var_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if text
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
    {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// A key of a ConfigMap or Secret.
pub fn is_config_map_key(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push(too_long(253));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || !text.bytes().all(allowed) {
        errors.push(regex_message(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match text {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// A port's name: an IANA service name (at most 15 characters).
pub fn is_port_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut problem = |broken: bool, message: &str| {
        if broken {
            errors.push(message.to_owned());
        }
    };
    problem(text.len() > 15, &too_long(15));
    problem(
        !text.bytes().all(|b| lower_alnum(b) || b == b'-'),
        "must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)",
    );
    problem(
        !text.bytes().any(|b| b.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    problem(text.contains("--"), "must not contain consecutive hyphens");
    problem(
        text.starts_with('-') || text.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    errors
}

/// A port's number.
pub fn is_port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        return Vec::new();
    }
    vec!["must be between 1 and 65535, inclusive".to_owned()]
}

/// The name of an HTTP header.
pub fn is_http_header_name(text: &str) -> Vec<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !text.is_empty() && text.bytes().all(allowed) {
        return Vec::new();
    }
    vec![regex_message(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A percentage such as `25%`.
pub fn is_percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    vec![regex_message(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// An IP address, of either family.
pub fn is_ip(text: &str) -> Vec<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Vec::new();
    }
    vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
}

/// A name that can stand as one segment of a URL path; all that RBAC asks.
pub fn is_path_segment(text: &str) -> Vec<String> {
    match text {
        "." => return vec!["may not be '.'".to_owned()],
        ".." => return vec!["may not be '..'".to_owned()],
        _ => {}
    }
    ["/", "%"]
        .iter()
        .filter(|bad| text.contains(**bad))
        .map(|bad| format!("may not contain '{bad}'"))
        .collect()
}

/// A name made of `base` and five random characters, as `generateName` asks.
/// A long base is cut so that the name stays within a DNS label.
pub fn generate_name(base: &str) -> String {
    let mut end = base.len().min(58);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], random_suffix(5))
}

/// Random characters of the alphabet Kubernetes uses: no vowels and no digits
/// that resemble them, so that no words come out.
pub fn random_suffix(length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    // Each RandomState has its own random keys; hashing nothing yields them.
    let mut random = RandomState::new().build_hasher().finish();
    (0..length)
        .map(|_| {
            if random == 0 {
                random = RandomState::new().build_hasher().finish();
            }
            let letter = ALPHABET[(random % 27) as usize];
            random /= 27;
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        assert!(is_dns1123_label("my-name").is_empty());
        assert!(is_dns1123_subdomain("a.b-c.0").is_empty());
        assert_eq!(
            is_dns1123_label("My"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(
            is_dns1123_subdomain("a..b"),
            [
                r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            is_dns1123_label(&"a".repeat(64)),
            ["must be no more than 63 characters"]
        );
        assert_eq!(is_dns1035_label("1a").len(), 1);
        assert!(is_wildcard_dns1123_subdomain("*.example.com").is_empty());
        assert_eq!(is_wildcard_dns1123_subdomain("*").len(), 1);
    }

    #[test]
    fn qualified_names_and_values() {
        assert!(is_qualified_name("example.com/My_name.1").is_empty());
        assert_eq!(is_qualified_name("/x"), ["prefix part must be non-empty"]);
        assert_eq!(
            is_qualified_name("a b"),
            [
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ]
        );
        assert_eq!(is_qualified_name("a/b/c").len(), 1);
        assert!(is_label_value("").is_empty());
        assert_eq!(is_label_value("-a").len(), 1);
    }

    #[test]
    fn ports_and_others() {
        assert!(is_port_name("http-2").is_empty());
        assert_eq!(
            is_port_name("8080"),
            ["must contain at least one letter (a-z)"]
        );
        assert_eq!(
            is_port_name("a--b"),
            ["must not contain consecutive hyphens"]
        );
        assert_eq!(
            is_port_number(0),
            ["must be between 1 and 65535, inclusive"]
        );
        assert_eq!(is_env_var_name("a=b").len(), 1);
        assert_eq!(is_c_identifier("1a").len(), 1);
        assert_eq!(is_config_map_key("..x"), ["must not start with '..'"]);
        assert!(is_percent("25%").is_empty());
        assert_eq!(is_percent("25").len(), 1);
        assert_eq!(is_path_segment("a/b"), ["may not contain '/'"]);
        assert!(is_path_segment("system:node").is_empty());
    }

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate_name(&"x".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(is_dns1123_label(&name).is_empty());
        assert_ne!(generate_name("web-"), generate_name("web-"));
        assert!(generate_name("web-").starts_with("web-"));
    }
}
