//! The key that encrypts what is stored, replaced: `encryption.yaml` gets a new one for reading,
//! then it writes, then everything is written anew, then the former one goes. Which of these is
//! next follows from the file: keys have numbers, and the highest is the new one.

use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use crate::encryption::{HEADER, random};
use crate::failure::{Failure, OrFail, Result};

/// The providers that have keys.
const CIPHERS: [&str; 3] = ["secretbox", "aesgcm", "aescbc"];

/// A change of the file, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Step {
    /// A new key reads
    #[value(name = "read")]
    Add,
    /// The new key writes, the former one reads
    #[value(name = "write")]
    Promote,
    /// Everything is written anew, and then the former one goes
    #[value(name = "drop")]
    Remove,
}

/// A configuration, and its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    text: String,
    value: Value,
}

impl Configuration {
    /// From a file's text.
    ///
    /// # Errors
    /// If it isn't understood, or something isn't encrypted at all.
    pub fn parse(text: &str) -> Result<Self> {
        let what = || "read the encryption configuration";
        let value: Value = serde_yaml::from_str(text).or_fail(what)?;
        let configuration = Self {
            text: text.to_owned(),
            value,
        };
        let mut checked = configuration.clone();
        let lists = checked.lists()?;
        if lists.is_empty() {
            return Err(Failure::new(what(), "it encrypts nothing"));
        }
        let orders: Vec<_> = lists.iter().map(|keys| names(keys)).collect();
        if orders
            .iter()
            .any(|order| order.is_empty() || *order != orders[0])
        {
            return Err(Failure::new(
                what(),
                "its resources have keys of different names or order, which can't be replaced together",
            ));
        }
        Ok(configuration)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As the metric `apiserver_encryption_config_controller_last_config_info` has it.
    pub fn hash(&self) -> String {
        let mut hash = "sha256:".to_owned();
        for byte in Sha256::digest(&self.text) {
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }

    /// The names of the keys, the one that writes first.
    pub fn keys(&self) -> Vec<String> {
        let mut copy = self.clone();
        let lists = copy.lists().unwrap_or_default();
        lists.first().map(|keys| names(keys)).unwrap_or_default()
    }

    /// What is next.
    pub fn next(&self) -> Step {
        let keys = self.keys();
        let newest = keys.iter().map(|name| number(name)).max();
        match keys.as_slice() {
            [_] => Step::Add,
            [first, ..] if Some(number(first)) == newest => Step::Remove,
            _ => Step::Promote,
        }
    }

    /// The configuration after a step.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn after(&self, step: Step) -> Result<Self> {
        let mut next = self.clone();
        let name = format!(
            "key{}",
            self.keys().iter().map(|it| number(it)).max().unwrap_or(0) + 1
        );
        for keys in next.lists()? {
            match step {
                Step::Add => {
                    let mut key = Mapping::new();
                    key.insert("name".into(), name.clone().into());
                    key.insert("secret".into(), BASE64_STANDARD.encode(random()?).into());
                    keys.push(Value::Mapping(key));
                }
                Step::Promote => keys.sort_by_key(|key| std::cmp::Reverse(number(name_of(key)))),
                Step::Remove => keys.truncate(1),
            }
        }
        let body = serde_yaml::to_string(&next.value).or_fail(|| "write YAML")?;
        next.text = format!("{HEADER}{body}");
        Ok(next)
    }

    /// The resources that it is about, as `storage migrate` names them; none for all.
    pub fn resources(&self) -> Vec<String> {
        let entries = self.value["resources"].as_sequence().into_iter().flatten();
        let names =
            entries.flat_map(|entry| entry["resources"].as_sequence().into_iter().flatten());
        let names: Vec<String> = names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        match names.iter().any(|name| name.contains('*')) {
            true => Vec::new(),
            false => names,
        }
    }

    /// The keys of each entry's first provider.
    fn lists(&mut self) -> Result<Vec<&mut Vec<Value>>> {
        let entries = self
            .value
            .get_mut("resources")
            .and_then(Value::as_sequence_mut);
        let mut all = Vec::new();
        for entry in entries.into_iter().flatten() {
            let provider = entry.get_mut("providers").and_then(|all| all.get_mut(0));
            let Some(provider) = provider.and_then(Value::as_mapping_mut) else {
                continue;
            };
            let cipher = CIPHERS.iter().find(|name| provider.contains_key(**name));
            let keys = match cipher {
                Some(name) => provider.get_mut(*name),
                None => None,
            };
            let keys = keys.and_then(|it| it.get_mut("keys"));
            let keys = keys.and_then(Value::as_sequence_mut);
            all.push(keys.ok_or_else(|| {
                Failure::new(
                    "read the encryption configuration",
                    "the first provider of a resource has no keys in it",
                )
                .way_out("one that doesn't encrypt, and one that asks a plugin, are not for this command")
            })?);
        }
        Ok(all)
    }
}

fn name_of(key: &Value) -> &str {
    key["name"].as_str().unwrap_or_default()
}

fn names(keys: &[Value]) -> Vec<String> {
    keys.iter().map(|key| name_of(key).to_owned()).collect()
}

/// The number in a key's name; names of others come before all of ours.
fn number(name: &str) -> u32 {
    let digits = name.strip_prefix("key").unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encryption.yaml");
        crate::encryption::ensure(&path).unwrap();
        Configuration::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn secret<'a>(it: &'a Configuration, name: &str) -> Option<&'a Value> {
        let keys = &it.value["resources"][0]["providers"][0]["secretbox"]["keys"];
        let keys = keys.as_sequence().unwrap();
        let key = keys.iter().find(|key| key["name"] == name)?;
        Some(&key["secret"])
    }

    #[test]
    fn a_key_reads_before_it_writes_and_goes_last() {
        let first = configuration();
        assert_eq!(first.resources(), ["secrets"]);
        let mut state = first.clone();
        let mut orders = Vec::new();
        for expected in [Step::Add, Step::Promote, Step::Remove] {
            assert_eq!(state.next(), expected);
            let after = state.after(expected).unwrap();
            // Who was stopped reads what was written, and goes on.
            let read = Configuration::parse(after.text()).unwrap();
            assert_eq!(read, after);
            assert_eq!(read.hash(), after.hash());
            // A key that is there stays what it is.
            for name in state.keys() {
                let kept = secret(&after, &name);
                assert!(kept.is_none() || kept == secret(&state, &name));
            }
            orders.push(after.keys().join(" "));
            state = after;
        }
        assert_eq!(orders, ["key1 key2", "key2 key1", "key2"]);
        assert_ne!(secret(&state, "key2"), secret(&first, "key1"));
        // What isn't encrypted stays readable, as before.
        assert!(state.text().contains("identity: {}") && state.text().starts_with('#'));
        assert_eq!(state.next(), Step::Add);
        let later = state.after(Step::Add).unwrap();
        assert_eq!(later.keys(), ["key2", "key3"]);
    }

    #[test]
    fn another_order_of_the_same_keys_is_known_by_all() {
        let added = configuration().after(Step::Add).unwrap();
        let promoted = added.after(Step::Promote).unwrap();
        assert_ne!(added.hash(), promoted.hash());
        let elsewhere = Configuration::parse(added.text()).unwrap();
        assert_eq!(
            elsewhere.after(Step::Promote).unwrap().hash(),
            promoted.hash()
        );
    }

    #[test]
    fn what_cannot_be_replaced_is_refused() {
        let of = |providers: &str| {
            format!(
                "kind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: {providers}\n"
            )
        };
        for providers in [
            "[{identity: {}}]",
            "[{kms: {name: k}}]",
            "[{secretbox: {keys: []}}]",
        ] {
            assert!(Configuration::parse(&of(providers)).is_err(), "{providers}");
        }
        assert!(Configuration::parse("a: [").is_err());
        assert!(Configuration::parse("kind: EncryptionConfiguration").is_err());
        let own = of("[{aesgcm: {keys: [{name: mine, secret: AAAA}]}}]");
        let own = Configuration::parse(&own)
            .unwrap()
            .after(Step::Add)
            .unwrap();
        assert_eq!(own.keys(), ["mine", "key1"]);
        assert_eq!(own.next(), Step::Promote);
    }
}
