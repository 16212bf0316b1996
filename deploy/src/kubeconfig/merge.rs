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

/// What a cluster has in a kubeconfig is known by its name and by where it leads: another
/// cluster may have the same name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The name of cluster, user and context.
    pub name: &'a str,
    /// Where the API is.
    pub server: &'a str,
}

/// What is to become of a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// The entry is in it; the flag says whether kubectl uses it from now on.
    Put(&'a Entry, bool),
    /// Nothing of this cluster is in it.
    Remove(Known<'a>),
    /// The context of this cluster is not the current one.
    Leave(Known<'a>),
}

/// What is done to a kubeconfig, now that it is known what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit<'a> {
    /// Puts in the entry; the flag says whether it becomes the current context.
    Put(&'a Entry, bool),
    /// Takes the item of this name out of a list.
    Remove(&'static str, &'a str),
    /// Unsets the current context if it has this name.
    Leave(&'a str),
}

/// The lists of a kubeconfig that have entries of a cluster.
pub(super) const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

/// The kubeconfig after a change. An empty one is a new one.
///
/// # Errors
/// If it is no kubeconfig, or what is to be put into it would replace another cluster's.
pub fn change(text: &str, change: Change<'_>) -> Result<String> {
    let before = parse(text)?;
    let edits = edits(&before, change)?;
    let mut after = before.clone();
    for edit in &edits {
        after = changed(after, *edit)?;
    }
    if after == before {
        return Ok(text.to_owned());
    }
    // Changing lines keeps comments. Where the file is written in another way than expected
    // that doesn't give what it should, and the file is written anew.
    let edited = lines::edit(text, &edits)?;
    if parse(&edited).is_ok_and(|edited| edited == after) {
        return Ok(edited);
    }
    serde_yaml::to_string(&after).or_fail(|| "write the kubeconfig")
}

/// Whether the context of a name leads to this server.
pub fn leads_to(text: &str, name: &str, server: &str) -> bool {
    parse(text).is_ok_and(|config| {
        field(&config, "contexts", name, &["context", "cluster"]) == Some(name)
            && field(&config, "clusters", name, &["cluster", "server"]) == Some(server)
    })
}

/// Whether a kubeconfig can have an entry of this name for a cluster at this server; none for
/// a cluster that is still to be made.
///
/// # Errors
/// If it is no kubeconfig, or the name is another cluster's.
pub fn check(text: &str, name: &str, server: Option<&str>) -> Result<()> {
    refuse_others(&parse(text)?, name, server)
}

fn refuse_others(config: &Mapping, name: &str, server: Option<&str>) -> Result<()> {
    let is_ours =
        server.is_some() && field(config, "clusters", name, &["cluster", "server"]) == server;
    let foreign = LISTS.into_iter().find(|list| match *list {
        "contexts" => {
            let leads = field(config, list, name, &["context", "cluster"]);
            item(config, list, name).is_some() && !(is_ours && leads == Some(name))
        }
        _ => item(config, list, name).is_some() && !is_ours,
    });
    let Some(list) = foreign else {
        return Ok(());
    };
    let kind = list.trim_end_matches('s');
    Err(Failure::new(
        format!("merge the context {name}"),
        format!("there is a {kind} of this name that leads to another cluster"),
    )
    .way_out(format!(
        "choose another name with --profile, or rename that one; if it is needed no more: \
         kubectl config delete-{kind} {name}"
    )))
}

/// What a change comes to: what isn't the cluster's own stays as it is.
fn edits<'a>(config: &Mapping, change: Change<'a>) -> Result<Vec<Edit<'a>>> {
    let leads = |name, list, path: &[&str]| field(config, list, name, path).map(str::to_owned);
    Ok(match change {
        Change::Put(entry, make_current) => {
            refuse_others(config, &entry.name, Some(&entry.server))?;
            vec![Edit::Put(entry, make_current)]
        }
        Change::Remove(Known { name, server }) => {
            if leads(name, "clusters", &["cluster", "server"]).as_deref() != Some(server) {
                return Ok(Vec::new());
            }
            let context = leads(name, "contexts", &["context", "cluster"]);
            match context.is_none_or(|cluster| cluster == name) {
                true => {
                    let all = LISTS.map(|list| Edit::Remove(list, name));
                    [all.to_vec(), vec![Edit::Leave(name)]].concat()
                }
                // It leads elsewhere by now, with this user perhaps.
                false => vec![Edit::Remove("clusters", name)],
            }
        }
        Change::Leave(Known { name, server }) => {
            let cluster = leads(name, "contexts", &["context", "cluster"]);
            let there = leads(name, "clusters", &["cluster", "server"]);
            match cluster.as_deref() == Some(name) && there.as_deref() == Some(server) {
                true => vec![Edit::Leave(name)],
                false => Vec::new(),
            }
        }
    })
}

/// The item of a name in a list.
fn item<'a>(config: &'a Mapping, list: &str, name: &str) -> Option<&'a Value> {
    let mut items = config.get(list)?.as_sequence()?.iter();
    items.find(|item| name_of(item) == Some(name))
}

/// A text in the item of a name in a list.
fn field<'a>(config: &'a Mapping, list: &str, name: &str, path: &[&str]) -> Option<&'a str> {
    let item = item(config, list, name)?;
    let found = path.iter().try_fold(item, |value, key| value.get(*key))?;
    found.as_str()
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

/// What the kubeconfig says after an edit.
fn changed(mut config: Mapping, edit: Edit<'_>) -> Result<Mapping> {
    match edit {
        Edit::Put(entry, make_current) => {
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
        Edit::Remove(list, name) => {
            if item(&config, list, name).is_some() {
                with_list(&mut config, list, |items| {
                    items.retain(|item| name_of(item) != Some(name));
                });
            }
        }
        Edit::Leave(name) => leave(&mut config, name),
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
