//! Defaults that a person has set once, in `config.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Home, check_name};
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// What can be set, and what it means.
pub const KEYS: [(&str, &str); 5] = [
    (
        "profile",
        "name of the cluster that is meant when nobody says which",
    ),
    ("nodes", "how many hosts a new cluster has, 1 to 100"),
    (
        "internet",
        "get images from the internet that a new cluster's registry lacks, true or false",
    ),
    (
        "keep-context",
        "leave kubectl's current context as it is, true or false",
    ),
    (
        "no-kubeconfig",
        "leave kubectl's configuration alone, true or false",
    ),
];

/// The defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Name of the cluster that is meant when nobody says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// How many hosts a new cluster has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u8>,
    /// Whether images come from the internet as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internet: Option<bool>,
    /// Whether kubectl's current context stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_context: Option<bool>,
    /// Whether kubectl's configuration stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_kubeconfig: Option<bool>,
}

impl Settings {
    /// What is stored; nothing where nobody set anything.
    pub fn load(home: &Home) -> Result<Self> {
        let file = file(home);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = shell::read_text(&file)?;
        serde_json::from_str(&text)
            .or_fail(|| format!("read {}", file.display()))
            .map_err(|failure| failure.way_out("mend the file, or remove it"))
    }

    /// Stores it.
    pub fn save(&self, home: &Home) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).or_fail(|| "describe the settings")?;
        home.person.write_file(&file(home), &text, 0o644)
    }

    /// The same with another value of a key.
    pub fn set(&self, key: &str, value: &str) -> Result<Self> {
        check_key(key)?;
        let what = || format!("set {key} to {value}");
        let parsed = match key {
            "profile" => {
                check_name(value)?;
                Value::from(value)
            }
            "nodes" => match value.parse::<u8>() {
                Ok(count @ 1..=100) => Value::from(count),
                _ => return Err(Failure::new(what(), "it is a number from 1 to 100")),
            },
            _ => match value.parse::<bool>() {
                Ok(is) => Value::from(is),
                Err(_) => return Err(Failure::new(what(), "it is true or false")),
            },
        };
        let mut fields = self.fields()?;
        fields.insert(key.to_owned(), parsed);
        serde_json::from_value(Value::Object(fields)).or_fail(what)
    }

    /// The same without a key; without it the built-in default counts.
    pub fn unset(&self, key: &str) -> Result<Self> {
        check_key(key)?;
        let mut fields = self.fields()?;
        fields.remove(key);
        serde_json::from_value(Value::Object(fields)).or_fail(|| format!("unset {key}"))
    }

    /// The value of a key, if it is set.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        check_key(key)?;
        Ok(self.fields()?.get(key).map(told))
    }

    /// What is set: keys and values.
    pub fn view(&self) -> Result<Vec<(String, String)>> {
        let fields = self.fields()?;
        Ok(fields
            .iter()
            .map(|(key, value)| (key.clone(), told(value)))
            .collect())
    }

    fn fields(&self) -> Result<Map<String, Value>> {
        let value = serde_json::to_value(self).or_fail(|| "describe the settings")?;
        Ok(value.as_object().cloned().unwrap_or_default())
    }
}

fn told(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The file they are in.
pub fn file(home: &Home) -> PathBuf {
    home.folder.join("config.json")
}

fn check_key(key: &str) -> Result<()> {
    if KEYS.iter().any(|(known, _)| *known == key) {
        return Ok(());
    }
    let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    Err(
        Failure::new(format!("find setting {key}"), "there is none of that name")
            .way_out(format!("settings are: {}", keys.join(", "))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_when_they_are_set() {
        let none = Settings::default();
        let set = none
            .set("nodes", "3")
            .unwrap()
            .set("profile", "dev")
            .unwrap();
        assert_eq!(set.nodes, Some(3));
        assert_eq!(set.get("profile").unwrap().as_deref(), Some("dev"));
        assert_eq!(set.get("internet").unwrap(), None);
        let view = set.view().unwrap();
        assert_eq!(view.len(), 2);
        assert_eq!(set.unset("nodes").unwrap().nodes, None);
        for (key, value) in [
            ("nodes", "0"),
            ("nodes", "many"),
            ("keep-context", "yes"),
            ("profile", "A"),
            ("driver", "docker"),
        ] {
            assert!(none.set(key, value).is_err(), "{key}={value}");
        }
        for (key, _) in KEYS {
            let value = ["x", "2", "true"]
                .iter()
                .find_map(|value| none.set(key, value).ok());
            assert!(
                value.is_some_and(|set| set.get(key).unwrap().is_some()),
                "{key}"
            );
        }
    }
}
