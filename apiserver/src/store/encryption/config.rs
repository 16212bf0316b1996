//! The configuration file: kind EncryptionConfiguration, as Kubernetes reads it.

use super::cipher::{self, Cipher};
use super::names;
use super::provider::Provider;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";

/// Why a configuration can't be followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(why.into()))
}

/// A configuration that makes sense.
#[derive(Default)]
pub struct Configuration {
    pub(super) rules: Vec<Rule>,
    /// Tells configurations apart without keeping their text.
    pub digest: Vec<u8>,
}

/// How one resource, or all of a group, or all, are stored.
pub(super) struct Rule {
    /// Plural, or `*`.
    pub resource: String,
    /// Group, or `*`.
    pub group: String,
    /// At least one; the first one writes.
    pub providers: Vec<Provider>,
}

impl Rule {
    /// Whether it is about this resource.
    pub(super) fn matches(&self, group: &str, resource: &str) -> bool {
        let one_of = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        one_of(&self.group, group) && one_of(&self.resource, resource)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.group.as_str(), self.resource.as_str()) {
            ("", "*") => write!(f, "*."),
            ("", resource) => write!(f, "{resource}"),
            (group, resource) => write!(f, "{resource}.{group}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<Choice>,
}

/// Exactly one of these is to be given.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Choice {
    aesgcm: Option<Keys>,
    aescbc: Option<Keys>,
    secretbox: Option<Keys>,
    identity: Option<Nothing>,
    kms: Option<serde_yaml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    keys: Vec<Key>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Key {
    name: String,
    secret: String,
}

/// A cipher that keys can be given to.
struct Family {
    field: &'static str,
    prefix: &'static str,
    name: &'static str,
    sizes: &'static [usize],
    cipher: fn(&[u8]) -> Option<Box<dyn Cipher>>,
}

const AES: &[usize] = &[16, 24, 32];
const AESGCM: Family = Family {
    field: "aesgcm",
    prefix: "k8s:enc:aesgcm:v1:",
    name: "AES",
    sizes: AES,
    cipher: cipher::aesgcm,
};
const AESCBC: Family = Family {
    field: "aescbc",
    prefix: "k8s:enc:aescbc:v1:",
    name: "AES",
    sizes: AES,
    cipher: cipher::aescbc,
};
const SECRETBOX: Family = Family {
    field: "secretbox",
    prefix: "k8s:enc:secretbox:v1:",
    name: "Secretbox",
    sizes: &[32],
    cipher: cipher::secretbox,
};

impl Configuration {
    /// Reads a file, which only its owner, and perhaps a group, may read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let cannot = |error| ConfigError(format!("cannot read {}: {error}", path.display()));
        let mode = std::fs::metadata(path)
            .map_err(cannot)?
            .permissions()
            .mode()
            & 0o777;
        if mode & 0o007 != 0 {
            return refuse(format!(
                "{0} holds keys, but its mode is {mode:04o}: everybody may use it; `chmod 600 {0}`",
                path.display()
            ));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        if text.trim().is_empty() {
            return refuse(format!("{} is empty", path.display()));
        }
        Self::parse(&text).map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }

    /// Reads a text, YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document: Document =
            serde_yaml::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        if (document.api_version.as_str(), document.kind.as_str()) != (API_VERSION, KIND) {
            return refuse(format!(
                "it is apiVersion {:?}, kind {:?}; it must be apiVersion {API_VERSION:?}, kind {KIND:?}",
                document.api_version, document.kind
            ));
        }
        let mut problems = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        if document.resources.is_empty() {
            problems.push("resources: Required value: at least one resources is required".into());
        }
        for (at, entry) in document.resources.iter().enumerate() {
            let path = format!("resources[{at}]");
            names::check(&entry.resources, &path, &mut problems);
            if entry.providers.is_empty() {
                problems.push(format!(
                    "{path}.providers: Required value: at least one {path}.providers is required"
                ));
            }
            for name in &entry.resources {
                let (resource, group) = name.split_once('.').unwrap_or((name, ""));
                // Told once, not once for each resource.
                let mut told = Vec::new();
                let providers = providers(&entry.providers, &path, &mut told);
                for problem in told {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
                let earlier = rules.iter_mut().find(|rule| rule.matches(group, resource));
                match earlier {
                    Some(rule) if rule.resource == "*" => problems.push(format!(
                        "resource {name:?} is masked by earlier rule {:?}",
                        rule.to_string()
                    )),
                    Some(rule) => rule.providers.extend(providers),
                    None => rules.push(Rule {
                        resource: resource.to_owned(),
                        group: group.to_owned(),
                        providers,
                    }),
                }
            }
        }
        match problems.len() {
            0 => Ok(Self {
                rules,
                digest: digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
            }),
            _ => refuse(problems.join("; ")),
        }
    }
}

fn providers(choices: &[Choice], path: &str, problems: &mut Vec<String>) -> Vec<Provider> {
    let mut providers = Vec::new();
    for (at, choice) in choices.iter().enumerate() {
        let path = format!("{path}.providers[{at}]");
        let keyed = [
            (&AESGCM, &choice.aesgcm),
            (&AESCBC, &choice.aescbc),
            (&SECRETBOX, &choice.secretbox),
        ];
        let given: Vec<_> = keyed
            .into_iter()
            .filter_map(|(family, keys)| Some((family, keys.as_ref()?)))
            .collect();
        match (given.as_slice(), &choice.identity, &choice.kms) {
            (_, _, Some(_)) => problems.push(format!(
                "{path}.kms: Forbidden: key management services are not supported; use aesgcm, aescbc or secretbox"
            )),
            ([], Some(Nothing {}), _) => providers.push(Provider::Identity),
            ([(family, keys)], None, _) => {
                let path = format!("{path}.{}.keys", family.field);
                providers.push(Provider::Keyed {
                    prefix: family.prefix,
                    family: family.name,
                    keys: ciphers(family, &keys.keys, &path, problems),
                });
            }
            ([], None, _) => problems.push(format!(
                "{path}: Invalid value: provider does not contain any of the expected providers: AESGCM, AESCBC, Secretbox, Identity"
            )),
            _ => problems.push(format!(
                "{path}: Invalid value: more than one provider specified in a single element, should split into different list elements"
            )),
        }
    }
    providers
}

fn ciphers(
    family: &Family,
    keys: &[Key],
    path: &str,
    problems: &mut Vec<String>,
) -> Vec<(String, Box<dyn Cipher>)> {
    if keys.is_empty() {
        problems.push(format!(
            "{path}: Required value: at least one keys is required"
        ));
    }
    let mut ciphers = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        if key.name.is_empty() {
            problems.push(format!(
                "{path}[{at}].name: Required value: name is a mandatory field for a key"
            ));
        }
        // The secret itself is never told.
        let path = format!("{path}[{at}].secret");
        if key.secret.is_empty() {
            problems.push(format!(
                "{path}: Required value: secret is a mandatory field for a key"
            ));
            continue;
        }
        let Ok(secret) = BASE64_STANDARD.decode(&key.secret) else {
            problems.push(format!(
                "{path}: Invalid value: \"REDACTED\": secrets must be base64 encoded"
            ));
            continue;
        };
        let fits = family.sizes.contains(&secret.len());
        match fits.then(|| (family.cipher)(&secret)).flatten() {
            Some(cipher) => ciphers.push((key.name.clone(), cipher)),
            None => problems.push(format!(
                "{path}: Invalid value: \"REDACTED\": secret is not of the expected length, got {}, expected one of {:?}",
                secret.len(),
                family.sizes
            )),
        }
    }
    ciphers
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(resources: &str) -> Result<Vec<String>, String> {
        let text = format!("apiVersion: {API_VERSION}\nkind: {KIND}\nresources: {resources}\n");
        Configuration::parse(&text)
            .map(|configuration| configuration.rules.iter().map(Rule::to_string).collect())
            .map_err(|error| error.to_string())
    }

    fn entry(resources: &str, providers: &str) -> String {
        format!("{{resources: [{resources}], providers: [{providers}]}}")
    }

    #[test]
    fn a_full_configuration_is_read() {
        let keys = format!("{{keys: [{{name: a, secret: {KEY}}}]}}");
        let providers = format!(
            "{{aesgcm: {keys}}}, {{aescbc: {keys}}}, {{secretbox: {keys}}}, {{identity: {{}}}}"
        );
        let rules = parse(&format!(
            "[{}, {}, {}]",
            entry("events, deployments.apps", "{identity: {}}"),
            entry("secrets, '*.apps'", &providers),
            entry("'*.*'", &providers)
        ));
        assert_eq!(
            rules.unwrap(),
            ["events", "deployments.apps", "secrets", "*.apps", "*.*"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let identity = "{identity: {}}";
        let with = |providers: &str| format!("[{}]", entry("secrets", providers));
        for (resources, reason) in [
            ("[]".into(), "resources: Required value"),
            (
                format!("[{}]", entry("", identity)),
                "resources[0].resources: Required value",
            ),
            (
                format!("[{}]", entry("secrets, '*.'", identity)),
                "using overlapping resources",
            ),
            (
                format!("[{}]", entry("secrets, secrets", identity)),
                "cannot be specified multiple times",
            ),
            (
                format!("[{}]", entry("Secrets", identity)),
                "resources[0].resources[0]: Invalid value: \"Secrets\": resource name should not contain capital letters",
            ),
            (format!("[{}]", entry("'*'", identity)), "use '*.'"),
            (
                format!("[{}]", entry("'secrets.*'", identity)),
                "across groups",
            ),
            (
                format!(
                    "[{}, {}]",
                    entry("'*.'", identity),
                    entry("secrets", identity)
                ),
                "resource \"secrets\" is masked by earlier rule \"*.\"",
            ),
            (with(""), "resources[0].providers: Required value"),
            (with("{}"), "does not contain any of the expected providers"),
            (
                with("{identity: {}, aesgcm: {keys: []}}"),
                "more than one provider",
            ),
            (
                with("{kms: {name: x, endpoint: 'unix:///x'}}"),
                "key management services are not supported; use aesgcm",
            ),
            (
                with("{aesgcm: {keys: []}}"),
                "resources[0].providers[0].aesgcm.keys: Required value",
            ),
            (
                with("{aesgcm: {keys: [{secret: AAAA}]}}"),
                "keys[0].name: Required value",
            ),
            (
                with("{aescbc: {keys: [{name: a, secret: AAAA}]}}"),
                "secret is not of the expected length, got 3, expected one of [16, 24, 32]",
            ),
            (
                with("{secretbox: {keys: [{name: a, secret: 'what?'}]}}"),
                "\"REDACTED\": secrets must be base64 encoded",
            ),
            (with("{rot13: {}}"), "unknown field `rot13`"),
        ] {
            let found = parse(&resources).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        let other = Configuration::parse("{apiVersion: v1, kind: EncryptionConfig}");
        assert!(other.err().unwrap().to_string().contains("it must be"));
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encryption.yaml");
        let text = format!(
            "{{apiVersion: {API_VERSION}, kind: {KIND}, resources: [{}]}}",
            entry("secrets", "{identity: {}}")
        );
        std::fs::write(&path, text).unwrap();
        let load = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Configuration::load(&path)
        };
        let error = load(0o644).err().unwrap().to_string();
        assert!(error.contains("its mode is 0644") && error.contains("chmod 600"));
        assert!(load(0o640).is_ok() && load(0o600).is_ok());
    }
}
