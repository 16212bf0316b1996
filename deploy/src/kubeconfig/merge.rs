//! A cluster's context in a person's kubeconfig: put in, taken out again. Everything else in
//! the file stays, comments and fields that nobody knows included.

use serde_yaml::{Mapping, Value};

use super::lines;
use crate::failure::{Failure, OrFail, Result};

/// A cluster, its administrator and their context, all of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of all three.
    pub name: String,
    /// Where the API is.
    pub server: String,
    /// The CA's certificate, in base64.
    pub ca: String,
    /// The administrator's certificate, in base64.
    pub certificate: String,
    /// Its key, in base64.
    pub key: String,
}

/// What is to become of a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// The entry is in it; the flag says whether kubectl uses it from now on.
    Put(&'a Entry, bool),
    /// Nothing of this name is in it.
    Remove(&'a str),
    /// The context of this name is not the current one.
    Leave(&'a str),
}

/// The lists of a kubeconfig that have entries of a cluster.
pub(super) const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

/// The kubeconfig after a change. An empty one is a new one.
///
/// # Errors
/// If it is no kubeconfig.
pub fn change(text: &str, change: Change<'_>) -> Result<String> {
    let before = parse(text)?;
    let after = changed(before.clone(), change)?;
    if after == before {
        return Ok(text.to_owned());
    }
    // Changing lines keeps comments. Where the file is written in another way than expected
    // that doesn't give what it should, and the file is written anew.
    let edited = lines::edit(text, change)?;
    if parse(&edited).is_ok_and(|edited| edited == after) {
        return Ok(edited);
    }
    serde_yaml::to_string(&after).or_fail(|| "write the kubeconfig")
}

/// Whether the context of a name leads to this server.
pub fn leads_to(text: &str, name: &str, server: &str) -> bool {
    let Ok(config) = parse(text) else {
        return false;
    };
    let field = |list: &str, path: &[&str]| {
        let items = config.get(list)?.as_sequence()?;
        let item = items.iter().find(|item| name_of(item) == Some(name))?;
        let found = path.iter().try_fold(item, |value, key| value.get(*key))?;
        found.as_str().map(str::to_owned)
    };
    field("contexts", &["context", "cluster"]).as_deref() == Some(name)
        && field("clusters", &["cluster", "server"]).as_deref() == Some(server)
}

fn parse(text: &str) -> Result<Mapping> {
    let no_kubeconfig = |why: String| Failure::new("read the kubeconfig", why);
    let value: Value =
        serde_yaml::from_str(text).map_err(|error| no_kubeconfig(error.to_string()))?;
    let config = match value {
        Value::Null => Mapping::new(),
        Value::Mapping(config) => config,
        _ => return Err(no_kubeconfig("it is no mapping".to_owned())),
    };
    if let Some(kind) = config.get("kind").filter(|kind| *kind != "Config") {
        return Err(no_kubeconfig(format!("it is a {kind:?}")));
    }
    for list in LISTS {
        let items = match config.get(list) {
            None | Some(Value::Null) => continue,
            Some(Value::Sequence(items)) => items,
            Some(_) => return Err(no_kubeconfig(format!("its {list} are no list"))),
        };
        if items.iter().any(|item| name_of(item).is_none()) {
            return Err(no_kubeconfig(format!("one of its {list} has no name")));
        }
    }
    Ok(config)
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// What the kubeconfig says after the change.
fn changed(mut config: Mapping, change: Change<'_>) -> Result<Mapping> {
    match change {
        Change::Put(entry, make_current) => {
            for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
                config.entry(key.into()).or_insert_with(|| value.into());
            }
            for list in LISTS {
                let item = serde_yaml::from_str(&entry.item(list))
                    .or_fail(|| "describe the cluster's context")?;
                with_list(&mut config, list, |items| put(items, item));
            }
            let current = config
                .entry("current-context".into())
                .or_insert_with(|| "".into());
            if make_current {
                *current = entry.name.as_str().into();
            }
        }
        Change::Remove(name) => {
            for list in LISTS {
                let is_there = config.get(list).and_then(Value::as_sequence);
                if is_there.is_some_and(|items| items.iter().any(|it| name_of(it) == Some(name))) {
                    with_list(&mut config, list, |items| {
                        items.retain(|item| name_of(item) != Some(name));
                    });
                }
            }
            leave(&mut config, name);
        }
        Change::Leave(name) => leave(&mut config, name),
    }
    Ok(config)
}

fn leave(config: &mut Mapping, name: &str) {
    if let Some(current) = config.get_mut("current-context").filter(|it| *it == name) {
        *current = "".into();
    }
}

/// Changes one of the lists, which is made where there is none.
fn with_list(config: &mut Mapping, list: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let mut items = match config.get(list) {
        Some(Value::Sequence(items)) => items.clone(),
        _ => Vec::new(),
    };
    change(&mut items);
    config.insert(list.into(), Value::Sequence(items));
}

fn put(items: &mut Vec<Value>, item: Value) {
    let name = name_of(&item).map(str::to_owned);
    match items
        .iter_mut()
        .find(|known| name_of(known) == name.as_deref())
    {
        Some(known) => *known = item,
        None => items.push(item),
    }
}

impl Entry {
    /// Its item in a list, as kubectl writes it.
    pub(super) fn item(&self, list: &str) -> String {
        let Self {
            name,
            server,
            ca,
            certificate,
            key,
        } = self;
        match list {
            "clusters" => format!(
                "cluster:\n  certificate-authority-data: {ca}\n  server: {server}\nname: {name}\n"
            ),
            "users" => format!(
                "name: {name}\nuser:\n  client-certificate-data: {certificate}\n  client-key-data: {key}\n"
            ),
            _ => format!(
                "context:\n  cluster: {name}\n  namespace: default\n  user: {name}\nname: {name}\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
