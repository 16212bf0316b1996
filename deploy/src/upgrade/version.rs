//! Versions, as apiservers and nodes say them.

use std::fmt;
use std::str::FromStr;

/// A version of Kubernetes, and of hardway where it is known: `v1.33.0+hardway0.1.0`.
/// (Ordered by Kubernetes' first.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major, minor and patch version of Kubernetes.
    pub kubernetes: [u32; 3],
    /// The same of hardway.
    pub hardway: Option<[u32; 3]>,
}

impl Version {
    /// What packages are that don't say it: those from before they did.
    pub const FIRST: Self = Self {
        kubernetes: [1, 33, 0],
        hardway: None,
    };

    /// The minor version of Kubernetes, by which its rules of skew go.
    pub fn minor(self) -> u32 {
        self.kubernetes[1]
    }

    /// Whether it came after another one: as Kubernetes, or else as hardway, where both say so.
    pub fn is_newer_than(self, other: Self) -> bool {
        match (self.hardway, other.hardway) {
            (Some(this), Some(that)) => (self.kubernetes, this) > (other.kubernetes, that),
            _ => self.kubernetes > other.kubernetes,
        }
    }
}

/// It is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version like v1.33.0 or v1.33.0+hardway0.1.0")]
pub struct NoVersion(String);

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let no_version = || NoVersion(text.to_owned());
        let (kubernetes, build) = match text.split_once('+') {
            Some((kubernetes, build)) => (kubernetes, Some(build)),
            None => (text, None),
        };
        // Another build's metadata, as k3s', says nothing here.
        let hardway = build.and_then(|build| build.strip_prefix("hardway"));
        Ok(Self {
            kubernetes: three(kubernetes.trim_start_matches('v')).ok_or_else(no_version)?,
            hardway: hardway
                .map(|version| three(version).ok_or_else(no_version))
                .transpose()?,
        })
    }
}

/// Three numbers, with what a pre-release has after them left out.
fn three(text: &str) -> Option<[u32; 3]> {
    let release = text.split('-').next()?;
    let mut numbers = release.split('.').map(|number| number.parse().ok());
    let three = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(three)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.kubernetes;
        write!(f, "v{major}.{minor}.{patch}")?;
        match self.hardway {
            Some([major, minor, patch]) => write!(f, "+hardway{major}.{minor}.{patch}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_as_they_are_said() {
        for text in ["v1.33.0", "v1.33.0+hardway0.1.0", "v1.20.2"] {
            assert_eq!(version(text).to_string(), text);
        }
        assert_eq!(version("1.33.0"), Version::FIRST);
        assert_eq!(version("v1.33.0+k3s1"), Version::FIRST);
        assert_eq!(version("v1.34.0-rc.1").kubernetes, [1, 34, 0]);
        for bad in ["", "v1", "1.33", "1.33.0.1", "v1.x.0", "1.33.0+hardwayx"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_newer() {
        for (newer, older) in [
            ("v1.34.0", "v1.33.9"),
            ("v1.33.1", "v1.33.0+hardway0.2.0"),
            ("v1.33.0+hardway0.10.0", "v1.33.0+hardway0.9.0"),
        ] {
            assert!(version(newer).is_newer_than(version(older)), "{newer}");
            assert!(!version(older).is_newer_than(version(newer)), "{older}");
        }
        assert!(!version("v1.33.0+hardway0.2.0").is_newer_than(version("v1.33.0")));
        assert!(!version("v1.33.0").is_newer_than(version("v1.33.0")));
    }
}
