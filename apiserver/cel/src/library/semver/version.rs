//! Versions read as `github.com/blang/semver` does, with its words for what is none.

use super::super::quote::quoted;
use std::cmp::Ordering;

/// A version; what it says of its build doesn't count.
#[derive(Debug)]
pub(super) struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    /// `alpha` and `1` of `1.0.0-alpha.1`.
    before: Vec<Identifier>,
}

/// Numbers come before names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Name(String),
}

impl Version {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".into());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("No Major.Minor.Patch elements found".into());
        };
        let major = part("Major", "major", major)?;
        let minor = part("Minor", "minor", minor)?;
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (patch, before) = match rest.split_once('-') {
            Some((patch, before)) => (patch, Some(before)),
            None => (rest, None),
        };
        let patch = part("Patch", "patch", patch)?;
        let before = before.map(|before| before.split('.').map(identifier).collect());
        let before = before.transpose()?.unwrap_or_default();
        for item in build.into_iter().flat_map(|build| build.split('.')) {
            if item.is_empty() {
                return Err("Build meta data is empty".into());
            }
            if !is_name(item) {
                return Err(format!(
                    "Invalid character(s) found in build meta data {}",
                    quoted(item)
                ));
            }
        }
        Ok(Self {
            major,
            minor,
            patch,
            before,
        })
    }

    /// With a `v` before it, leading zeros, or without a minor or patch number.
    pub fn parse_normalized(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
        let short = parts.len() < 3;
        if short && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".into());
        }
        parts.resize(3, "0".into());
        Self::parse(&parts.join("."))
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        // A release comes after what is before it.
        let released = self.before.is_empty().cmp(&other.before.is_empty());
        numbers(self)
            .cmp(&numbers(other))
            .then(released)
            .then_with(|| self.before.cmp(&other.before))
    }
}

fn without_zeros(part: &str) -> String {
    if part.len() < 2 {
        return part.to_owned();
    }
    let bare = part.trim_start_matches('0');
    match bare.starts_with(|c: char| c.is_ascii_digit()) {
        true => bare.to_owned(),
        // A single zero is left of many.
        false => format!("0{bare}"),
    }
}

fn part(name: &str, name_in_words: &str, text: &str) -> Result<u64, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "Invalid character(s) found in {name_in_words} number {}",
            quoted(text)
        ));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!(
            "{name} number must not contain leading zeroes {}",
            quoted(text)
        ));
    }
    number(text)
}

/// A number, or Go's words for what isn't one.
fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        let why = if text.is_empty() {
            "invalid syntax"
        } else {
            "value out of range"
        };
        format!("strconv.ParseUint: parsing {}: {why}", quoted(text))
    })
}

fn identifier(text: &str) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".into());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {}",
                quoted(text)
            ));
        }
        return number(text).map(Identifier::Number);
    }
    match is_name(text) {
        true => Ok(Identifier::Name(text.to_owned())),
        false => Err(format!(
            "Invalid character(s) found in prerelease {}",
            quoted(text)
        )),
    }
}

fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
