//! Which cluster is meant.

use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::{DEFAULT, Home, Profile};
use crate::compile;
use crate::failure::{OrFail, Result};
use crate::lab::Lab;

/// What the command line says about which cluster is meant.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `--dir`
    pub dir: Option<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
}

/// A cluster, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// The lab in a folder.
    Lab(PathBuf),
    /// The cluster of a name.
    Profile(Profile),
}

impl Chosen {
    /// Its hosts and processes.
    ///
    /// # Errors
    /// If it isn't there.
    pub fn lab(&self) -> Result<Lab> {
        match self {
            Chosen::Lab(folder) => Lab::open(folder),
            Chosen::Profile(profile) => profile.lab(),
        }
    }
}

impl Asked {
    /// The cluster that is meant: the lab in a folder that is named; the cluster that is named,
    /// on the command line or in `$HARDWAY_PROFILE`; the default cluster; the lab in `.lab` of
    /// the repository, where there is no default cluster.
    pub fn choose(&self) -> Result<Chosen> {
        if let Some(folder) = self.folder()? {
            return Ok(Chosen::Lab(folder));
        }
        let (profile, is_named) = self.named()?;
        if is_named || profile.exists() {
            return Ok(Chosen::Profile(profile));
        }
        let lab = compile::repository().map(|repository| repository.join(".lab"));
        Ok(match lab.ok().filter(|lab| lab.join("lab.json").exists()) {
            Some(lab) => Chosen::Lab(lab),
            None => Chosen::Profile(profile),
        })
    }

    /// The cluster of the name that is meant, whether it is there or not.
    pub fn profile(&self) -> Result<Profile> {
        Ok(self.named()?.0)
    }

    /// The folder of a lab that is named, as an absolute path: processes start elsewhere.
    pub fn folder(&self) -> Result<Option<PathBuf>> {
        let absolute = |path: &Path| {
            std::path::absolute(path).or_fail(|| format!("use folder {}", path.display()))
        };
        self.dir.as_deref().map(absolute).transpose()
    }

    /// The profile, and whether somebody named it.
    fn named(&self) -> Result<(Profile, bool)> {
        let home = Home::find()?;
        let environment = std::env::var("HARDWAY_PROFILE").ok();
        let named = self.profile.clone().or(environment);
        match named.filter(|name| !name.is_empty()) {
            Some(name) => Ok((home.profile(&name)?, true)),
            None => {
                let set = Settings::load(&home)?.profile;
                let is_set = set.is_some();
                let name = set.unwrap_or_else(|| DEFAULT.to_owned());
                Ok((home.profile(&name)?, is_set))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_meant() {
        let asked = Asked {
            dir: Some("/some/lab".into()),
            profile: None,
        };
        assert_eq!(asked.choose().unwrap(), Chosen::Lab("/some/lab".into()));
        let asked = Asked {
            dir: None,
            profile: Some("dev".to_owned()),
        };
        let Chosen::Profile(profile) = asked.choose().unwrap() else {
            panic!("a cluster was named");
        };
        assert_eq!(profile.name, "dev");
        assert!(profile.folder.ends_with("profiles/dev"));
        let asked = Asked {
            dir: None,
            profile: Some("../x".to_owned()),
        };
        assert!(asked.choose().is_err());
    }
}
