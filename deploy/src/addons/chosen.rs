//! Which add-ons a lab has: those that every cluster has, but for what was enabled and
//! disabled since. `up` brings them back.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ADDONS, Addon};
use crate::failure::{OrFail, Result};
use crate::shell;

/// In the lab's folder.
pub const FILE: &str = "addons.json";

/// What was enabled (true) and disabled (false), by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen(BTreeMap<String, bool>);

impl Chosen {
    /// What is remembered in a lab's folder.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = shell::read_text(&file)?;
        serde_json::from_str(&text).or_fail(|| format!("read {}", file.display()))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).or_fail(|| "remember the add-ons")?;
        shell::write_file(&folder.join(FILE), &text, 0o644)
    }

    /// Chooses an add-on, or against it.
    pub fn set(&mut self, addon: &Addon, enabled: bool) {
        self.0.insert(addon.name.to_owned(), enabled);
    }

    /// Whether an add-on is to be there.
    pub fn has(&self, addon: &Addon) -> bool {
        self.0.get(addon.name).copied().unwrap_or(addon.by_default)
    }

    /// The add-ons that are to be there, in the order they are applied.
    pub fn addons(&self) -> Vec<&'static Addon> {
        ADDONS.iter().filter(|addon| self.has(addon)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addons::find;

    #[test]
    fn what_was_chosen_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let mut chosen = Chosen::read(folder.path()).unwrap();
        let names = |chosen: &Chosen| -> Vec<&str> {
            chosen.addons().iter().map(|addon| addon.name).collect()
        };
        assert_eq!(names(&chosen), ["dns", "metrics-server", "local-path"]);
        chosen.set(find("metrics-server").unwrap(), false);
        chosen.write(folder.path()).unwrap();
        let chosen = Chosen::read(folder.path()).unwrap();
        assert_eq!(names(&chosen), ["dns", "local-path"]);
    }
}
