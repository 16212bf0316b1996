//! Names that are known only when a step is done, such as a pod's.

use std::collections::BTreeMap;

use serde_json::Value;

use super::walk::Walk;
use crate::failure::{Failure, Result};

/// The names of one step: the same word means the same pod in all of it.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// The text with names in place of the words in braces (see [`super::Step`]).
    pub fn fill(&mut self, walk: &Walk, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let word = after.split_once('}');
            let name = match word {
                Some((word, _)) => self.name(walk, word)?,
                None => None,
            };
            match (name, word) {
                (Some(name), Some((_, behind))) => {
                    filled.push_str(&name);
                    rest = behind;
                }
                // A brace of JSON, say.
                _ => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The same for several texts.
    pub fn fill_all(&mut self, walk: &Walk, texts: &[&str]) -> Result<Vec<String>> {
        texts.iter().map(|text| self.fill(walk, text)).collect()
    }

    /// The pod that was named, if any.
    pub fn pod(&self) -> Option<&String> {
        let mut pods = self.0.iter().filter(|(word, _)| is_pod(word));
        pods.next().map(|(_, name)| name)
    }

    fn name(&mut self, walk: &Walk, word: &str) -> Result<Option<String>> {
        if let Some(known) = self.0.get(word) {
            return Ok(Some(known.clone()));
        }
        let worker = |index: usize| walk.workers.get(index);
        let name = match word {
            "last" => Some(walk.last.clone()),
            "worker" => worker(0).map(|host| host.name.clone()),
            "worker2" => worker(1).map(|host| host.name.clone()),
            "address" => worker(0).map(|host| host.address.to_string()),
            "address2" => worker(1).map(|host| host.address.to_string()),
            "workers" => Some(walk.workers.len().to_string()),
            "crowd" => Some((walk.workers.len() + 1).to_string()),
            _ if is_pod(word) => Some(walk.until(&format!("there is a pod {{{word}}}"), || {
                let pods = walk.terminal.json("kubectl get pods -o json")?;
                pick(&pods, word).ok_or_else(|| Failure::new("look for a pod", "there is none"))
            })?),
            _ => None,
        };
        if let Some(name) = &name {
            self.0.insert(word.to_owned(), name.clone());
        }
        Ok(name)
    }
}

fn is_pod(word: &str) -> bool {
    let label = word.strip_prefix("pod:");
    let label = label.filter(|label| !label.contains(['"', '{', ' ']));
    word == "pod" || word == "pending" || label.is_some()
}

/// The pod that a word stands for, of a list: not one that is leaving, and rather one
/// that runs.
fn pick(pods: &Value, word: &str) -> Option<String> {
    let label = word.strip_prefix("pod:");
    let phase = |pod: &Value| {
        pod["status"]["phase"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut fitting: Vec<(bool, String)> = pods["items"]
        .as_array()?
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter(|pod| label.is_none_or(|label| pod["metadata"]["labels"]["name"] == label))
        .filter(|pod| word != "pending" || pod["spec"]["nodeName"].is_null())
        .filter_map(|pod| {
            let name = pod["metadata"]["name"].as_str()?.to_owned();
            Some((phase(pod) != "Running", name))
        })
        .collect();
    fitting.sort();
    fitting.into_iter().next().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_stay_and_run_are_picked() {
        let pod = |name: &str, label: &str, phase: &str, node: Value, leaves: Value| {
            json!({"metadata": {"name": name, "labels": {"name": label}, "deletionTimestamp": leaves},
                   "spec": {"nodeName": node}, "status": {"phase": phase}})
        };
        let pods = json!({"items": [
            pod("a", "web", "Running", json!("n"), json!("now")),
            pod("b", "web", "Pending", Value::Null, Value::Null),
            pod("c", "web", "Running", json!("n"), Value::Null),
            pod("d", "db", "Pending", json!("n"), Value::Null),
        ]});
        assert_eq!(pick(&pods, "pod").as_deref(), Some("c"));
        assert_eq!(pick(&pods, "pod:db").as_deref(), Some("d"));
        assert_eq!(pick(&pods, "pending").as_deref(), Some("b"));
        assert_eq!(pick(&pods, "pod:none"), None);
    }

    #[test]
    fn json_is_no_name() {
        assert!(is_pod("pod:lb-app"));
        assert!(!is_pod("\"data\":{\"a\":1"));
    }
}
