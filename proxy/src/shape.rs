//! What a table consists of, in numbers: enough to see that somebody has
//! flushed it, taken parts of it away or put others in their place.

use crate::ruleset::TABLE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The chains of a table with the number of their rules, and its maps and sets
/// with their elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Rules by chain.
    pub rules: BTreeMap<String, usize>,
    /// Elements by map or set; none where they were not looked at.
    pub elements: Option<BTreeMap<String, Content>>,
}

/// The elements of a map or set, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many there are.
    pub count: usize,
    /// The sum of their hashes.
    digest: u64,
}

impl Content {
    /// Adds an element, in the form of [`normal`].
    fn add(&mut self, element: &str) {
        let mut hasher = DefaultHasher::new();
        element.hash(&mut hasher);
        self.count += 1;
        self.digest = self.digest.wrapping_add(hasher.finish());
    }
}

/// An element as commands write it, with all numbers in the form that listings have:
/// `10.96.0.10 . udp . 53 . 0` for `10.96.0.10 . udp . 53 . 0x0`.
fn normal(element: &str) -> String {
    let number = |word: &str| {
        let hex = word.strip_prefix("0x")?;
        u64::from_str_radix(hex, 16).ok()
    };
    let word = |word: &str| number(word).map_or_else(|| word.to_owned(), |n| n.to_string());
    let words: Vec<String> = element.split_whitespace().map(word).collect();
    words.join(" ")
}

/// The same of an element as `nft --json` shows it: `KEY`, or `[KEY, DATA]` of a map.
fn shown(element: &Value, is_map: bool) -> String {
    match element.as_array().map(Vec::as_slice) {
        Some([key, data]) if is_map => format!("{} : {}", value(key), value(data)),
        _ => value(element),
    }
}

/// A part of an element.
fn value(shown: &Value) -> String {
    let Some((kind, inside)) = shown.as_object().and_then(|o| o.iter().next()) else {
        return match shown {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
    };
    match kind.as_str() {
        "concat" => {
            let parts = inside.as_array().into_iter().flatten();
            parts.map(value).collect::<Vec<_>>().join(" . ")
        }
        // With a time to live, say.
        "elem" => value(&inside["val"]),
        "prefix" => format!("{}/{}", value(&inside["addr"]), inside["len"]),
        // A verdict.
        _ => match inside["target"].as_str() {
            Some(target) => format!("{kind} {target}"),
            None => kind.clone(),
        },
    }
}

impl Shape {
    /// Of the commands that make a table, as [`crate::ruleset`] writes them.
    pub fn of_commands(text: &str) -> Self {
        let mut shape = Self::default();
        let mut elements: BTreeMap<String, Content> = BTreeMap::new();
        let mut chain = None;
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (&chain, words.as_slice()) {
                (None, ["chain", name, "{"]) => {
                    shape.rules.insert((*name).to_owned(), 0);
                    chain = Some((*name).to_owned());
                }
                (Some(_), ["}"]) => chain = None,
                (Some(_), ["type", ..]) => {}
                (Some(name), [_, ..]) => {
                    *shape.rules.entry(name.clone()).or_default() += 1;
                }
                (None, ["add", "chain", _, _, name]) => {
                    shape.rules.insert((*name).to_owned(), 0);
                }
                (None, ["add", "rule", _, _, name, ..]) => {
                    *shape.rules.entry((*name).to_owned()).or_default() += 1;
                }
                (None, ["add", "map" | "set", _, _, name, ..]) => {
                    elements.insert((*name).to_owned(), Content::default());
                }
                (None, ["add", "element", _, _, name, ..]) => {
                    let content = elements.entry((*name).to_owned()).or_default();
                    let inside = line.split_once('{').map_or("", |(_, rest)| rest);
                    let inside = inside.trim_end().trim_end_matches('}');
                    for element in inside.split(", ") {
                        content.add(&normal(element));
                    }
                }
                _ => {}
            }
        }
        shape.elements = Some(elements);
        shape
    }

    /// Of what `nft --json list table` shows.
    pub fn of_listing(json: &[u8]) -> Result<Self, serde_json::Error> {
        let listing: Value = serde_json::from_slice(json)?;
        let mut shape = Self::default();
        let mut elements = BTreeMap::new();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for entry in listing["nftables"].as_array().into_iter().flatten() {
            let Some((kind, object)) = entry.as_object().and_then(|o| o.iter().next()) else {
                continue;
            };
            if object["table"] != TABLE {
                continue;
            }
            match kind.as_str() {
                "chain" => {
                    shape.rules.entry(text(&object["name"])).or_default();
                }
                "rule" => *shape.rules.entry(text(&object["chain"])).or_default() += 1,
                "map" | "set" => {
                    let mut content = Content::default();
                    for element in object["elem"].as_array().into_iter().flatten() {
                        content.add(&shown(element, kind == "map"));
                    }
                    elements.insert(text(&object["name"]), content);
                }
                _ => {}
            }
        }
        shape.elements = Some(elements);
        Ok(shape)
    }

    /// What this, the table as it is, lacks or has otherwise than it should;
    /// none if all is well. The kernel fills the map of affinities itself, and
    /// pickers that nothing leads to any more may still be there.
    pub fn deviation(&self, wanted: &Self) -> Option<String> {
        for (chain, rules) in &wanted.rules {
            match self.rules.get(chain) {
                Some(found) if found == rules => {}
                Some(found) => {
                    return Some(format!(
                        "chain {chain} has {found} rules instead of {rules}"
                    ));
                }
                None => return Some(format!("chain {chain} is gone")),
            }
        }
        let (found, wanted) = (self.elements.as_ref()?, wanted.elements.as_ref()?);
        wanted.iter().find_map(|(name, wanted)| {
            let there = found.get(name).copied().unwrap_or_default();
            if there.count != wanted.count {
                let (there, wanted) = (there.count, wanted.count);
                return Some(format!("{name} has {there} elements instead of {wanted}"));
            }
            (there != *wanted).then(|| format!("{name} has other elements than it should"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Shape {
        Shape::of_commands(
            "add table ip hardway-proxy\n\
             add map ip hardway-proxy services { type x; }\n\
             table ip hardway-proxy {\n\
             chain refuse {\n type filter hook input priority 0; policy accept;\n reject\n }\n\
             }\n\
             add chain ip hardway-proxy pick-2\nflush chain ip hardway-proxy pick-2\n\
             add rule ip hardway-proxy pick-2 dnat to x\n\
             add element ip hardway-proxy services { 10.96.0.1 . tcp . 53 . 0x10 : goto x, c : 10.0.0.1 . 80 }\n",
        )
    }

    fn found(text: &str) -> Shape {
        Shape::of_listing(text.as_bytes()).unwrap()
    }

    #[test]
    fn commands_and_listings_are_counted_alike() {
        let wanted = wanted();
        assert_eq!((wanted.rules["refuse"], wanted.rules["pick-2"]), (1, 1));
        assert_eq!(wanted.elements.as_ref().unwrap()["services"].count, 2);
        let there = r#"{"nftables": [{"metainfo": {}},
            {"table": {"name": "hardway-proxy"}},
            {"chain": {"table": "hardway-proxy", "name": "refuse"}},
            {"chain": {"table": "hardway-proxy", "name": "pick-2"}},
            {"chain": {"table": "hardway-proxy", "name": "pick-9"}},
            {"chain": {"table": "other", "name": "x"}},
            {"rule": {"table": "hardway-proxy", "chain": "refuse"}},
            {"rule": {"table": "hardway-proxy", "chain": "pick-2"}},
            {"map": {"table": "hardway-proxy", "name": "services", "elem": [
                ["c", {"concat": ["10.0.0.1", 80]}],
                [{"concat": ["10.96.0.1", "tcp", 53, 16]}, {"goto": {"target": "x"}}]]}},
            {"map": {"table": "hardway-proxy", "name": "affinity", "elem": [
                [{"elem": {"val": 5, "timeout": 9}}, 6]]}}]}"#;
        assert_eq!(found(there).deviation(&wanted), None);
        let flushed = there.replace(
            r#"{"rule": {"table": "hardway-proxy", "chain": "refuse"}},"#,
            "",
        );
        assert_eq!(
            found(&flushed).deviation(&wanted).unwrap(),
            "chain refuse has 0 rules instead of 1"
        );
        for (one, other) in [
            ("10.0.0.1", "10.0.0.2"),
            ("53, 16", "53, 17"),
            ("\"x\"", "\"y\""),
        ] {
            assert_eq!(
                found(&there.replace(one, other))
                    .deviation(&wanted)
                    .unwrap(),
                "services has other elements than it should"
            );
        }
        let emptied = there.replace(r#"["c", {"concat": ["10.0.0.1", 80]}],"#, "");
        assert_eq!(
            found(&emptied).deviation(&wanted).unwrap(),
            "services has 1 elements instead of 2"
        );
        let uncounted = Shape {
            elements: None,
            ..found(&emptied)
        };
        assert_eq!(uncounted.deviation(&wanted), None);
        assert_eq!(
            found(r#"{"nftables": []}"#).deviation(&wanted).unwrap(),
            "chain pick-2 is gone"
        );
    }
}
