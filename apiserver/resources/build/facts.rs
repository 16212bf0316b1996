//! Reads `facts/fields.tsv` and `facts/enums.tsv`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// What one field (or, with an empty field name, one definition) says beyond
/// its JSON shape.
#[derive(Default)]
pub struct Fact {
    pub list_type: String,
    pub list_map_keys: Vec<String>,
    pub map_type: String,
    pub merge_key: String,
    pub strategy: String,
    pub default: Option<serde_json::Value>,
}

/// Facts by full definition name and field.
pub type Facts = BTreeMap<(String, String), Fact>;

pub fn read(path: &Path) -> Result<Facts, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut facts = Facts::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut next = || columns.next().unwrap_or_default();
        let key = (full_name(&next()), next());
        let fact = Fact {
            list_type: next(),
            list_map_keys: next()
                .split(',')
                .filter(|k| !k.is_empty())
                .map(str::to_owned)
                .collect(),
            map_type: next(),
            merge_key: next(),
            strategy: next(),
            default: match next().as_str() {
                "" => None,
                json => Some(serde_json::from_str(json)?),
            },
        };
        facts.insert(key, fact);
    }
    Ok(facts)
}

/// The values that fields have, by full definition name and field.
pub type Enums = BTreeMap<(String, String), Vec<String>>;

pub fn read_enums(path: &Path) -> Result<Enums, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let enums = lines.map(|line| {
        let [definition, field, values] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("{}: not three columns: {line}", path.display()).into());
        };
        let values = values.split(',').map(str::to_owned).collect();
        Ok(((full_name(definition), field.to_owned()), values))
    });
    enums.collect()
}

/// `core.v1.Pod` → `io.k8s.api.core.v1.Pod`.
fn full_name(short: &str) -> String {
    if short.contains(".pkg.") {
        format!("io.k8s.{short}")
    } else {
        format!("io.k8s.api.{short}")
    }
}
