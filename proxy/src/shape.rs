//! What a table consists of, in numbers: enough to see that somebody has
//! flushed it or taken parts of it away.

use crate::ruleset::TABLE;
use serde_json::Value;
use std::collections::BTreeMap;

/// The chains of a table with the number of their rules, and its maps and sets
/// with the number of their elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Rules by chain.
    pub rules: BTreeMap<String, usize>,
    /// Elements by map or set; none where they were not counted.
    pub elements: Option<BTreeMap<String, usize>>,
}

impl Shape {
    /// Of the commands that make a table, as [`crate::ruleset`] writes them.
    pub fn of_commands(text: &str) -> Self {
        let mut shape = Self::default();
        let mut elements = BTreeMap::new();
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
                    elements.insert((*name).to_owned(), 0);
                }
                (None, ["add", "element", _, _, name, ..]) => {
                    let count = line.matches(", ").count() + 1;
                    *elements.entry((*name).to_owned()).or_default() += count;
                }
                _ => {}
            }
        }
        shape.elements = Some(elements);
        shape
    }

    /// Of what `nft --json list table` shows.
    pub fn of_listing(json: &[u8], counted: bool) -> Result<Self, serde_json::Error> {
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
                    let count = object["elem"].as_array().map_or(0, Vec::len);
                    elements.insert(text(&object["name"]), count);
                }
                _ => {}
            }
        }
        shape.elements = counted.then_some(elements);
        Ok(shape)
    }

    /// How many elements there are.
    pub fn size(&self) -> usize {
        self.elements.iter().flat_map(|e| e.values()).sum()
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
        wanted.iter().find_map(|(name, count)| {
            let there = found.get(name).copied();
            (there != Some(*count)).then(|| {
                let there = there.unwrap_or(0);
                format!("{name} has {there} elements instead of {count}")
            })
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
             add element ip hardway-proxy services { a . b : goto x, c . d : goto y }\n",
        )
    }

    fn found(text: &str) -> Shape {
        Shape::of_listing(text.as_bytes(), true).unwrap()
    }

    #[test]
    fn commands_and_listings_are_counted_alike() {
        let wanted = wanted();
        assert_eq!((wanted.rules["refuse"], wanted.rules["pick-2"]), (1, 1));
        assert_eq!(wanted.size(), 2);
        let there = r#"{"nftables": [{"metainfo": {}},
            {"table": {"name": "hardway-proxy"}},
            {"chain": {"table": "hardway-proxy", "name": "refuse"}},
            {"chain": {"table": "hardway-proxy", "name": "pick-2"}},
            {"chain": {"table": "hardway-proxy", "name": "pick-9"}},
            {"chain": {"table": "other", "name": "x"}},
            {"rule": {"table": "hardway-proxy", "chain": "refuse"}},
            {"rule": {"table": "hardway-proxy", "chain": "pick-2"}},
            {"map": {"table": "hardway-proxy", "name": "services", "elem": [[1, 2], [3, 4]]}},
            {"map": {"table": "hardway-proxy", "name": "affinity", "elem": [[5, 6]]}}]}"#;
        assert_eq!(found(there).deviation(&wanted), None);
        let flushed = there.replace(
            r#"{"rule": {"table": "hardway-proxy", "chain": "refuse"}},"#,
            "",
        );
        assert_eq!(
            found(&flushed).deviation(&wanted).unwrap(),
            "chain refuse has 0 rules instead of 1"
        );
        let emptied = there.replace("[[1, 2], [3, 4]]", "[[1, 2]]");
        assert_eq!(
            found(&emptied).deviation(&wanted).unwrap(),
            "services has 1 elements instead of 2"
        );
        let terse = Shape::of_listing(emptied.as_bytes(), false).unwrap();
        assert_eq!(terse.deviation(&wanted), None);
        assert_eq!(
            found(r#"{"nftables": []}"#).deviation(&wanted).unwrap(),
            "chain pick-2 is gone"
        );
    }
}
