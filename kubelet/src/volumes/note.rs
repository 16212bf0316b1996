//! What is noted of a volume in a folder of its own, so that it is known after a restart: a
//! file of JSON, there whole or not at all.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What is noted in a folder under a name, if anything.
///
/// # Errors
/// If it can't be read, or is something else.
pub(super) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => Ok(Some(serde_json::from_slice(&text?)?)),
    }
}

/// Notes something in a folder, which is made if need be. It is on the disk when this returns:
/// its text, and that the folder has it.
pub(super) fn write(dir: &Path, name: &str, what: &impl Serialize) -> io::Result<()> {
    crate::root_dir::make(dir)?;
    let new = dir.join(unfinished(name));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(what)?)?;
    file.sync_all()?;
    fs::rename(new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Takes a note away, and what was left of one that wasn't finished.
pub(super) fn remove(dir: &Path, name: &str) -> io::Result<()> {
    for name in [name, &unfinished(name)] {
        missing_is_fine(fs::remove_file(dir.join(name)))?;
    }
    Ok(())
}

/// What isn't there needn't be removed.
pub(super) fn missing_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn unfinished(name: &str) -> String {
    format!("{name}.new")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let noted = || read::<Vec<u8>>(&dir, "n.json");
        assert_eq!(noted().unwrap(), None);
        // What was begun before is no note, and in nobody's way.
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("n.json.new"), "[1,").unwrap();
        assert_eq!(noted().unwrap(), None);
        write(&dir, "n.json", &[1, 2]).unwrap();
        assert_eq!(noted().unwrap(), Some(vec![1, 2]));
        fs::write(dir.join("n.json"), "{").unwrap();
        assert!(noted().is_err());
        fs::write(dir.join("n.json.new"), "").unwrap();
        remove(&dir, "n.json").unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        remove(&dir, "n.json").unwrap();
    }
}
