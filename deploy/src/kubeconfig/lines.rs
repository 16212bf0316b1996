//! Changing the lines of a kubeconfig that say something of one cluster, and no others. The
//! result may be wrong where the file is written in another way than kubectl and people
//! write it; who asks looks whether it says what it should.

use super::merge::{Edit, LISTS};
use crate::failure::{OrFail, Result};

/// The text with the lines of some edits.
pub fn edit(text: &str, edits: &[Edit<'_>]) -> Result<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for edit in edits {
        apply(&mut lines, *edit)?;
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn apply(lines: &mut Vec<String>, edit: Edit<'_>) -> Result<()> {
    match edit {
        Edit::Put(entry, make_current) => {
            for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
                if find(lines, key).is_none() {
                    lines.push(format!("{key}: {value}"));
                }
            }
            for list in LISTS {
                put(lines, list, &entry.name, &entry.item(list))?;
            }
            let current = find(lines, "current-context");
            match (current, make_current) {
                (Some(at), true) => lines[at] = format!("current-context: {}", entry.name),
                (None, true) => lines.push(format!("current-context: {}", entry.name)),
                (None, false) => lines.push("current-context: \"\"".to_owned()),
                (Some(_), false) => {}
            }
        }
        Edit::Remove(list, name) => remove(lines, list, name)?,
        Edit::Leave(name) => leave(lines, name),
    }
    Ok(())
}

/// The line of a key of the whole.
fn find(lines: &[String], key: &str) -> Option<usize> {
    lines.iter().position(|line| {
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    })
}

fn leave(lines: &mut [String], name: &str) {
    let Some(at) = find(lines, "current-context") else {
        return;
    };
    let value = lines[at].split_once(':').map(|(_, value)| value.trim());
    if value.map(|value| value.trim_matches(['"', '\''])) == Some(name) {
        lines[at] = "current-context: \"\"".to_owned();
    }
}

/// An item of a list: its first line, and the one behind its last.
struct Item {
    from: usize,
    to: usize,
    name: Option<String>,
}

/// The items of the list that begins behind line `at`, and their indentation.
fn items(lines: &[String], at: usize) -> (Vec<Item>, String) {
    let is_of_list = |line: &&String| {
        let first = line.chars().next();
        first.is_none_or(|first| matches!(first, ' ' | '-' | '#'))
    };
    let end = at + 1 + lines[at + 1..].iter().take_while(is_of_list).count();
    let begins = |line: &str| line.trim_start().starts_with("- ");
    let first = lines[at + 1..end].iter().find(|line| begins(line));
    let Some(first) = first else {
        return (Vec::new(), String::new());
    };
    let indent = first[..first.len() - first.trim_start().len()].to_owned();
    let is_start = |line: &String| {
        line.strip_prefix(indent.as_str())
            .is_some_and(|rest| rest.starts_with("- "))
    };
    let starts: Vec<usize> = (at + 1..end)
        .filter(|line| is_start(&lines[*line]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([end]);
    let item = |(from, to): (usize, usize)| {
        // Comments and empty lines before something else belong to that.
        let says = |line: &&String| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        };
        let to = to - lines[from..to].iter().rev().take_while(says).count();
        let text = lines[from..to].join("\n");
        let parsed: Option<serde_yaml::Value> = serde_yaml::from_str(&text).ok();
        let name = parsed
            .as_ref()
            .and_then(|list| list.get(0)?.get("name")?.as_str());
        Item {
            from,
            to,
            name: name.map(str::to_owned),
        }
    };
    (starts.iter().copied().zip(ends).map(item).collect(), indent)
}

fn put(lines: &mut Vec<String>, list: &str, name: &str, item: &str) -> Result<()> {
    let at = match find(lines, list) {
        Some(at) => at,
        None => {
            lines.push(format!("{list}:"));
            lines.len() - 1
        }
    };
    let (items, indent) = items(lines, at);
    let old = items.iter().find(|item| item.name.as_deref() == Some(name));
    if old.is_some_and(|old| is_same(&lines[old.from..old.to], item)) {
        return Ok(());
    }
    let range = match (old, items.last()) {
        (Some(old), _) => old.from..old.to,
        (None, Some(last)) => last.to..last.to,
        (None, None) => {
            lines[at] = format!("{list}:");
            at + 1..at + 1
        }
    };
    let first = item.lines().take(1).map(|line| format!("{indent}- {line}"));
    let others = item.lines().skip(1).map(|line| format!("{indent}  {line}"));
    let new: Vec<String> = first.chain(others).collect();
    serde_yaml::from_str::<serde_yaml::Value>(&new.join("\n"))
        .or_fail(|| format!("describe the {list}"))?;
    lines.splice(range, new);
    Ok(())
}

/// Whether lines say already what an item does; then comments in them may stay.
fn is_same(lines: &[String], item: &str) -> bool {
    let parse = |text: &str| serde_yaml::from_str::<serde_yaml::Value>(text).ok();
    let old = parse(&lines.join("\n")).and_then(|list| list.get(0).cloned());
    old.is_some() && old == parse(item)
}

fn remove(lines: &mut Vec<String>, list: &str, name: &str) -> Result<()> {
    let Some(at) = find(lines, list) else {
        return Ok(());
    };
    let (items, _) = items(lines, at);
    let Some(item) = items.iter().find(|item| item.name.as_deref() == Some(name)) else {
        return Ok(());
    };
    lines.drain(item.from..item.to);
    if items.len() == 1 {
        lines[at] = format!("{list}: []");
    }
    Ok(())
}
