//! The tutorial's database: numbers under names, in one small file that is
//! replaced as a whole, so that a power cut leaves the old or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The database.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    numbers: BTreeMap<String, u64>,
}

impl Store {
    /// Opens the database in a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = folder.join("numbers");
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let entry = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        Ok(Self {
            file,
            numbers: text.lines().filter_map(entry).collect(),
        })
    }

    /// Answers one line of the protocol: `GET name`, `INCR name` or `PING`.
    pub fn answer(&mut self, line: &str) -> io::Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["PING"] => "PONG".to_owned(),
            ["GET", name] => self.numbers.get(*name).copied().unwrap_or(0).to_string(),
            ["INCR", name] => {
                let number = self.numbers.get(*name).copied().unwrap_or(0) + 1;
                let mut numbers = self.numbers.clone();
                numbers.insert((*name).to_owned(), number);
                self.save(&numbers)?;
                self.numbers = numbers;
                number.to_string()
            }
            _ => "ERROR unknown command, use GET name, INCR name or PING".to_owned(),
        })
    }

    fn save(&self, numbers: &BTreeMap<String, u64>) -> io::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = File::create(&new)?;
        for (name, number) in numbers {
            writeln!(file, "{name} {number}")?;
        }
        file.sync_all()?;
        fs::rename(new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outlive_a_restart() {
        let folder = std::env::temp_dir().join(format!("busmeme-{}", std::process::id()));
        let mut store = Store::open(&folder).unwrap();
        assert_eq!(store.answer("GET visits").unwrap(), "0");
        assert_eq!(store.answer("INCR visits").unwrap(), "1");
        assert_eq!(store.answer("INCR visits").unwrap(), "2");
        let mut store = Store::open(&folder).unwrap();
        assert_eq!(store.answer("GET visits").unwrap(), "2");
        assert_eq!(store.answer("PING").unwrap(), "PONG");
        assert!(store.answer("DROP visits").unwrap().starts_with("ERROR"));
        fs::remove_dir_all(folder).unwrap();
    }
}
