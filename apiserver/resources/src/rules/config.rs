//! ConfigMaps and Secrets.

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, entries, flag, get, has, is_empty, remove, set, text,
};
use super::key_pair;
use super::kind::{Kind, PLAIN};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hardway_proto::names;
use serde_json::Value;

/// What all the data of one object may weigh.
const LIMIT: usize = 1024 * 1024;

/// Fields of an immutable object that can't change any more.
fn frozen(new: &Value, old: &Value, fields: &[&str]) -> super::FieldErrors {
    Errors::collect(|e| {
        if !flag(old, "immutable") {
            return;
        }
        if !flag(new, "immutable") {
            e.forbidden(
                &Path::new("immutable"),
                "field is immutable when `immutable` is set",
            );
        }
        for field in fields {
            let (new, old) = (get(new, field), get(old, field));
            if new != old && !(is_empty(new) && is_empty(old)) {
                e.forbidden(
                    &Path::new(field),
                    "field is immutable when `immutable` is set",
                );
            }
        }
    })
}

/// Checks the keys of a map; gives what all its values weigh.
fn keys(e: &mut Errors, object: &Value, field: &str, weigh: fn(&str) -> usize) -> usize {
    let mut size = 0;
    for (key, value) in entries(object, field) {
        e.each(
            &Path::new(field).key(key),
            key,
            names::is_config_map_key(key),
        );
        size += value.as_str().map_or(0, weigh);
    }
    size
}

/// How many bytes a text in base64 stands for.
fn decoded(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

pub(super) const CONFIG_MAP: Kind = Kind {
    validate: |object| {
        Errors::collect(|e| {
            let binary = get(object, "binaryData");
            let mut size = keys(e, object, "data", str::len);
            size += keys(e, object, "binaryData", decoded);
            for (key, _) in entries(object, "data") {
                if has(binary, key) {
                    let path = Path::new("data").key(key);
                    e.invalid(&path, key, "duplicate of key present in binaryData");
                }
            }
            if size > LIMIT {
                // A path without a name, as Kubernetes shows it.
                e.too_long(&Path::new("[]"), LIMIT);
            }
        })
    },
    validate_update: |new, old| frozen(new, old, &["data", "binaryData"]),
    ..PLAIN
};

/// The keys that a type of Secret must have.
fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    }
}

fn check_secret(e: &mut Errors, secret: &Value) {
    let size = keys(e, secret, "data", decoded);
    if size > LIMIT {
        e.too_long(&Path::new("data"), LIMIT);
    }
    let (kind, data) = (text(secret, "type"), get(secret, "data"));
    for key in needed(kind) {
        let path = Path::new("data").key(key);
        match data.get(*key).and_then(Value::as_str) {
            None => e.required(&path, ""),
            Some("") if kind == "kubernetes.io/ssh-auth" => e.required(&path, ""),
            Some(value) if key.starts_with(".docker") => {
                let parsed = BASE64_STANDARD
                    .decode(value)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
                if !parsed.is_some_and(|v| v.is_object()) {
                    e.invalid(
                        &path,
                        "<secret contents redacted>",
                        "invalid character in JSON",
                    );
                }
            }
            Some(_) => {}
        }
    }
    if kind == "kubernetes.io/basic-auth" && !has(data, "username") && !has(data, "password") {
        e.required(&Path::new("data[%s]").key("username"), "");
        e.required(&Path::new("data[%s]").key("password"), "");
    }
    if kind == "kubernetes.io/service-account-token" {
        let account = "kubernetes.io/service-account.name";
        let annotations = get(get(secret, "metadata"), "annotations");
        if text(annotations, account).is_empty() {
            e.required(&Path::new("metadata.annotations").key(account), "");
        }
    }
}

/// A key that isn't that of the certificate is taken, but whoever serves with it can't.
fn warnings(secret: &Value) -> Vec<String> {
    if text(secret, "type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let data = get(secret, "data");
    let decode = |key: &str| BASE64_STANDARD.decode(text(data, key)).unwrap_or_default();
    let problem = key_pair::problem(&decode("tls.crt"), &decode("tls.key"));
    problem.into_iter().collect()
}

pub(super) const SECRET: Kind = Kind {
    warnings: |secret, _| warnings(secret),
    default: |secret| {
        default_text(secret, "type", "Opaque");
        // `stringData` is for writing only: it ends up in `data`.
        let Some(Value::Object(plain)) = remove(secret, "stringData") else {
            return;
        };
        if plain.is_empty() {
            return;
        }
        if let Some(data) = ensure_object(secret, "data") {
            for (key, value) in plain {
                let encoded = BASE64_STANDARD.encode(value.as_str().unwrap_or_default());
                set(data, &key, encoded);
            }
        }
    },
    prepare_update: |new, old| {
        // A type left out of an update is the one it had.
        if text(new, "type").is_empty() {
            set(new, "type", get(old, "type").clone());
        }
    },
    validate: |secret| Errors::collect(|e| check_secret(e, secret)),
    validate_update: |new, old| {
        let mut errors = Errors::collect(|e| {
            e.immutable(&Path::new("type"), get(new, "type"), get(old, "type"));
        });
        errors.extend(frozen(new, old, &["data"]));
        errors
    },
    fields: |secret| vec![("type", text(secret, "type").to_owned())],
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"stringData": {"a": "hello"}, "data": {"b": "eA=="}});
        SECRET.default(&mut secret);
        assert_eq!(
            secret,
            json!({"type": "Opaque", "data": {"a": "aGVsbG8=", "b": "eA=="}})
        );
    }

    #[test]
    fn a_key_that_is_none_is_warned_of() {
        let secret = |kind: &str| json!({"type": kind, "data": {"tls.crt": "", "tls.key": ""}});
        let text = "tls: failed to find any PEM data in certificate input";
        assert_eq!(warnings(&secret("kubernetes.io/tls")), [text]);
        assert_eq!(warnings(&secret("Opaque")), [""; 0]);
    }

    #[test]
    fn types_need_their_keys() {
        let found = KindRules::validate(
            &SECRET,
            &json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
        );
        assert_eq!(
            (found[0].field.as_str(), found[0].message.as_str()),
            ("data[tls.key]", "Required value")
        );
        let found =
            KindRules::validate_update(&SECRET, &json!({"type": "b"}), &json!({"type": "a"}));
        assert_eq!(
            found[0].message,
            r#"Invalid value: "b": field is immutable"#
        );
    }

    #[test]
    fn data_weighs_what_it_stands_for() {
        let told = |secret: Value| -> Vec<String> {
            let found = KindRules::validate(&SECRET, &secret);
            found
                .iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .collect()
        };
        let of = |sizes: &[usize]| {
            let data = sizes.iter().enumerate();
            let data: serde_json::Map<String, Value> = data
                .map(|(n, size)| {
                    let value = BASE64_STANDARD.encode(vec![b'x'; *size]);
                    (format!("k{n}"), value.into())
                })
                .collect();
            json!({"type": "Opaque", "data": data})
        };
        assert!(told(of(&[LIMIT])).is_empty());
        assert!(told(of(&[LIMIT - 2, 1, 1])).is_empty());
        assert_eq!(
            told(of(&[LIMIT - 2, 1, 2])),
            ["data: Too long: may not be more than 1048576 bytes"]
        );
        let key = json!({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}});
        assert_eq!(told(key), ["data[ssh-privatekey]: Required value"]);
    }

    #[test]
    fn a_key_is_text_or_bytes() {
        let map = json!({"data": {"a": "x"}, "binaryData": {"a": "eA==", "b": "eA=="}});
        let found = KindRules::validate(&CONFIG_MAP, &map);
        let told: Vec<&str> = found.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(told, ["data[a]"]);
        assert_eq!(
            found[0].message,
            r#"Invalid value: "a": duplicate of key present in binaryData"#
        );
    }

    #[test]
    fn immutable_maps_stay() {
        let old = json!({"immutable": true, "data": {"a": "b"}});
        let found =
            KindRules::validate_update(&CONFIG_MAP, &json!({"immutable": true, "data": {}}), &old);
        assert_eq!(found[0].field, "data");
        assert_eq!(
            found[0].message,
            "Forbidden: field is immutable when `immutable` is set"
        );
        assert!(KindRules::validate_update(&CONFIG_MAP, &old, &old).is_empty());
        let found = KindRules::validate(&CONFIG_MAP, &json!({"data": {"a b": ""}}));
        assert!(
            found[0]
                .message
                .contains("a valid config key must consist of")
        );
    }
}
