//! Encryption at rest, in Kubernetes' formats: a configuration says which
//! resources are stored how. The first provider writes, all of them read, in
//! their order. Everything above the store sees plain bytes only.

mod cipher;
mod config;
mod names;
mod provider;
mod reload;

pub use config::{ConfigError, Configuration};
pub use reload::follow;

use super::ROOT;
use crate::metrics;
use bytes::Bytes;
use config::Rule;
use parking_lot::RwLock;
use provider::is_sealed;
use std::collections::HashMap;
use std::sync::Arc;

/// What a stored value turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The plain bytes.
    pub value: Bytes,
    /// Whether it would be stored otherwise today: with another key, with
    /// another provider, or plain.
    pub stale: bool,
}

/// How everything is stored. Shared: what replaces the configuration counts
/// for all at once.
#[derive(Default)]
pub struct Encryption {
    /// Group and plural by the prefix of their keys.
    resources: HashMap<String, (String, String)>,
    rules: RwLock<Arc<Vec<Rule>>>,
}

impl Encryption {
    /// Follows a configuration; `resources` are prefixes of keys with the
    /// group and plural they stand for. Custom resources need not be among
    /// them: their keys say it.
    pub fn new(
        configuration: Configuration,
        resources: impl IntoIterator<Item = (String, (String, String))>,
    ) -> Self {
        let encryption = Self {
            resources: resources.into_iter().collect(),
            rules: RwLock::default(),
        };
        encryption.replace(configuration);
        encryption
    }

    /// Follows another configuration from now on.
    pub fn replace(&self, configuration: Configuration) {
        for rule in &configuration.rules {
            if self.is_unheard_of(rule) {
                tracing::warn!(
                    resource = rule.to_string(),
                    "the encryption configuration names a resource that does not exist"
                );
            }
        }
        *self.rules.write() = Arc::new(configuration.rules);
    }

    /// A name that can't be that of a custom resource, whose groups have dots.
    fn is_unheard_of(&self, rule: &Rule) -> bool {
        rule.resource != "*"
            && !rule.group.contains('.')
            && !self
                .resources
                .values()
                .any(|(group, plural)| *group == rule.group && *plural == rule.resource)
    }

    /// Whether anything is said about a key (below the root), so that what is
    /// stored there may be stale.
    pub fn concerns(&self, key: &str) -> bool {
        let rules = self.rules.read().clone();
        self.rule(&rules, key).is_some()
    }

    /// The bytes to store under a key (below the root).
    pub fn seal(&self, key: &str, plain: Vec<u8>) -> Result<Vec<u8>, String> {
        let rules = self.rules.read().clone();
        let Some((rule, resource)) = self.rule(&rules, key) else {
            return Ok(plain);
        };
        let writer = &rule.providers[0];
        let sealed = writer.seal(plain, &context(key));
        metrics::transformation("to_storage", resource, writer.prefix(), sealed.is_ok());
        sealed
    }

    /// What is stored under a key (below the root).
    pub fn open(&self, key: &str, stored: Bytes) -> Result<Opened, String> {
        let rules = self.rules.read().clone();
        let Some((rule, resource)) = self.rule(&rules, key) else {
            return match is_sealed(&stored) {
                true => Err("identity transformer tried to read encrypted data".into()),
                false => Ok(Opened {
                    value: stored,
                    stale: false,
                }),
            };
        };
        let (opened, by) = provider::open(&rule.providers, stored, &context(key));
        metrics::transformation("from_storage", resource, by, opened.is_ok());
        opened
    }

    /// The first rule for a key, and the resource's name.
    fn rule<'r>(&'r self, rules: &'r [Rule], key: &'r str) -> Option<(&'r Rule, &'r str)> {
        if rules.is_empty() {
            return None;
        }
        let (group, plural) = self.resource(key)?;
        let rule = rules.iter().find(|rule| rule.matches(group, plural))?;
        Some((rule, plural))
    }

    /// The group and plural a key belongs to: prefixes have one segment or two.
    fn resource<'k>(&'k self, key: &'k str) -> Option<(&'k str, &'k str)> {
        let first = key.find('/')?;
        let second = key[first + 1..]
            .find('/')
            .map_or(key.len(), |at| first + 1 + at);
        let known = [second, first]
            .into_iter()
            .find_map(|at| self.resources.get(&key[..at]));
        match known {
            Some((group, plural)) => Some((group, plural)),
            None if key[..first].contains('.') => Some((&key[..first], &key[first + 1..second])),
            // Claims and the like: no objects.
            None => None,
        }
    }
}

/// What some ciphers bind a value to, so that it can't be moved to another
/// key: the key in etcd.
fn context(key: &str) -> Vec<u8> {
    [ROOT.as_bytes(), key.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "/////////////////////////////////////////w8=";

    fn configuration(resources: &str, providers: &str) -> Configuration {
        Configuration::parse(&format!(
            "{{apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration, \
             resources: [{{resources: [{resources}], providers: [{providers}]}}]}}"
        ))
        .unwrap()
    }

    fn encryption(resources: &str, providers: &str) -> Encryption {
        let known = [
            ("secrets", ("", "secrets")),
            ("services/specs", ("", "services")),
            ("deployments", ("apps", "deployments")),
        ];
        Encryption::new(
            configuration(resources, providers),
            known.map(|(prefix, (group, plural))| {
                (prefix.to_owned(), (group.to_owned(), plural.to_owned()))
            }),
        )
    }

    fn gcm(keys: &[(&str, &str)]) -> String {
        let keys: Vec<String> = keys
            .iter()
            .map(|(name, secret)| format!("{{name: {name}, secret: {secret:?}}}"))
            .collect();
        format!("{{aesgcm: {{keys: [{}]}}}}", keys.join(", "))
    }

    fn is_encrypted(by: &Encryption, key: &str) -> bool {
        is_sealed(&by.seal(key, b"{}".to_vec()).unwrap())
    }

    #[test]
    fn rules_find_their_resources() {
        for (resources, encrypted) in [
            ("secrets", vec!["secrets/a/b"]),
            ("deployments.apps", vec!["deployments/a/b"]),
            ("'*.'", vec!["secrets/a/b", "services/specs/a/b"]),
            ("'*.apps'", vec!["deployments/a/b"]),
            ("foos.example.com", vec!["example.com/foos/a/b"]),
            (
                "'*.*'",
                vec![
                    "secrets/a/b",
                    "services/specs/a/b",
                    "deployments/a/b",
                    "example.com/foos/a/b",
                ],
            ),
        ] {
            let by = encryption(resources, &gcm(&[("k", KEY)]));
            for key in [
                "secrets/a/b",
                "services/specs/a/b",
                "deployments/a/b",
                "example.com/foos/a/b",
                "hardway/serviceips/10.96.0.1",
            ] {
                assert_eq!(is_encrypted(&by, key), encrypted.contains(&key), "{key}");
                assert_eq!(by.concerns(key), encrypted.contains(&key), "{key}");
            }
        }
    }

    #[test]
    fn the_first_writes_and_all_read() {
        let key = "secrets/a/b";
        let plain = b"{\"x\":1}";
        let old = encryption("secrets", &gcm(&[("old", OTHER)]));
        let stored = old.seal(key, plain.to_vec()).unwrap();
        assert!(stored.starts_with(b"k8s:enc:aesgcm:v1:old:"));
        let both = encryption("secrets", &gcm(&[("new", KEY), ("old", OTHER)]));
        let opened = both.open(key, stored.clone().into()).unwrap();
        assert_eq!((&opened.value[..], opened.stale), (&plain[..], true));
        let again = both.seal(key, plain.to_vec()).unwrap();
        assert!(again.starts_with(b"k8s:enc:aesgcm:v1:new:"));
        assert!(!both.open(key, again.into()).unwrap().stale);
        // Plain values are read through `identity`, and are stale.
        let migrating = format!("{}, {{identity: {{}}}}", gcm(&[("new", KEY)]));
        let opened = encryption("secrets", &migrating)
            .open(key, Bytes::from_static(plain))
            .unwrap();
        assert!(opened.stale);
        // And back: `identity` first.
        let leaving = format!("{{identity: {{}}}}, {}", gcm(&[("old", OTHER)]));
        let leaving = encryption("secrets", &leaving);
        assert!(leaving.open(key, stored.into()).unwrap().stale);
        assert_eq!(leaving.seal(key, plain.to_vec()).unwrap(), plain);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let key = "secrets/a/b";
        let old = encryption("secrets", &gcm(&[("old", OTHER)]));
        let stored = Bytes::from(old.seal(key, b"{}".to_vec()).unwrap());
        let why = |by: &Encryption, key, stored: &Bytes| by.open(key, stored.clone()).unwrap_err();
        assert_eq!(
            why(&encryption("secrets", &gcm(&[("new", KEY)])), key, &stored),
            "no matching key was found for the provided AES transformer"
        );
        assert_eq!(
            why(&encryption("secrets", &gcm(&[("old", KEY)])), key, &stored),
            "cipher: message authentication failed"
        );
        assert_eq!(
            why(&encryption("secrets", "{identity: {}}"), key, &stored),
            "no matching prefix found"
        );
        assert_eq!(
            why(&Encryption::default(), key, &stored),
            "identity transformer tried to read encrypted data"
        );
        // A value belongs to its key.
        assert_eq!(
            why(&old, "secrets/a/c", &stored),
            "cipher: message authentication failed"
        );
    }
}
