//! The replicated store: what one replica keeps, and what many make of it.
//!
//! Each value has a version. Who writes asks a majority for the newest one, and has a majority
//! keep a newer; who reads asks a majority, and takes the newest. Two majorities share a
//! replica, so what was written once is read ever after, whichever minority is away.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A value and its version: a number, and the replica that gave it, so that no two are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Versioned {
    /// Counts up with each write.
    pub number: u64,
    /// The replica through which it was written.
    pub by: String,
    /// The value, of one line.
    pub value: String,
}

impl Versioned {
    /// `NUMBER BY VALUE`, as replicas tell each other.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.number, self.by, self.value)
    }

    /// The other way round.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.trim_end().splitn(3, ' ');
        let number = words.next()?.parse().ok()?;
        Some(Self {
            number,
            by: words.next()?.to_owned(),
            value: words.next()?.to_owned(),
        })
    }

    /// What is written after the newest that is known.
    pub fn after(newest: Option<&Self>, by: &str, value: &str) -> Self {
        Self {
            number: newest.map_or(0, |newest| newest.number) + 1,
            by: by.to_owned(),
            value: value.replace(['\r', '\n'], " "),
        }
    }
}

/// Whether a key is one: it names a file.
pub fn is_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !key.is_empty() && key.len() < 100 && key.bytes().all(fits)
}

/// How many of so many replicas are a majority.
pub fn majority(replicas: usize) -> usize {
    replicas / 2 + 1
}

/// What one replica keeps: a file for each key, replaced as a whole.
#[derive(Debug)]
pub struct Replica {
    folder: PathBuf,
    values: BTreeMap<String, Versioned>,
}

impl Replica {
    /// Opens what is in a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut values = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let key = entry.file_name().to_string_lossy().into_owned();
            if is_key(&key)
                && let Some(value) = Versioned::parse(&fs::read_to_string(entry.path())?)
            {
                values.insert(key, value);
            }
        }
        let folder = folder.to_owned();
        Ok(Self { folder, values })
    }

    /// The value of a key here.
    pub fn get(&self, key: &str) -> Option<&Versioned> {
        self.values.get(key)
    }

    /// All keys with their values, in lines of `KEY NUMBER BY VALUE`.
    pub fn lines(&self) -> String {
        let line = |(key, value): (&String, &Versioned)| format!("{key} {}\n", value.line());
        self.values.iter().map(line).collect()
    }

    /// Keeps a value, if it is newer than the one here, past a power cut.
    pub fn keep(&mut self, key: &str, value: &Versioned) -> io::Result<()> {
        if self.get(key) >= Some(value) {
            return Ok(());
        }
        // A name that is no key.
        let new = self.folder.join(format!("{key}.new"));
        let mut file = File::create(&new)?;
        writeln!(file, "{}", value.line())?;
        file.sync_all()?;
        fs::rename(new, self.folder.join(key))?;
        File::open(&self.folder)?.sync_all()?;
        self.values.insert(key.to_owned(), value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versioned(number: u64, value: &str) -> Versioned {
        let by = "a".to_owned();
        Versioned {
            number,
            by,
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_replica_keeps_the_newest_past_a_restart() {
        let folder = std::env::temp_dir().join(format!("replica-{}", std::process::id()));
        let mut replica = Replica::open(&folder).unwrap();
        replica.keep("k", &versioned(2, "new one")).unwrap();
        replica.keep("k", &versioned(1, "old one")).unwrap();
        let replica = Replica::open(&folder).unwrap();
        assert_eq!(replica.get("k"), Some(&versioned(2, "new one")));
        assert_eq!(replica.lines(), "k 2 a new one\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn versions_are_told_and_counted() {
        let first = Versioned::after(None, "b", "two\nlines");
        assert_eq!(first.line(), "1 b two lines");
        assert_eq!(Versioned::parse("1 b two lines\n"), Some(first.clone()));
        assert!(Versioned::after(Some(&first), "a", "x") > first);
        assert!(Versioned::parse("nonsense").is_none());
        assert_eq!([1, 2, 3, 5].map(majority), [1, 2, 2, 3]);
        assert!(is_key("a-1") && !is_key("../x") && !is_key(""));
    }
}
