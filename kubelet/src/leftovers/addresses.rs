//! Addresses as the CNI plugin `host-local` notes them: a file for each, named
//! like it, with the sandbox's id in its first line, and a lock beside them.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// The plugin's lock, which it holds while it reads and writes.
const LOCK: &str = "lock";

/// An address that is noted as taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address, which is the file's name.
    pub ip: String,
    /// Id of the sandbox that has it.
    pub sandbox: String,
}

/// All addresses that are taken; none where the plugin never ran.
pub fn read(directory: &Path) -> io::Result<Vec<Address>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let Ok(ip) = entry?.file_name().into_string() else {
            continue;
        };
        if ip.parse::<IpAddr>().is_err() {
            continue;
        }
        match sandbox(directory, &ip) {
            Ok(Some(sandbox)) => found.push(Address { ip, sandbox }),
            // Given back meanwhile, or being written.
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn sandbox(directory: &Path, ip: &str) -> io::Result<Option<String>> {
    let text = fs::read_to_string(directory.join(ip))?;
    let first = text.lines().next().unwrap_or_default().trim();
    Ok((!first.is_empty()).then(|| first.to_owned()))
}

/// Gives an address back, unless another sandbox has got it meanwhile; true if
/// it was. The plugin's lock is held, so it sees either all or nothing.
pub fn release(directory: &Path, address: &Address) -> io::Result<bool> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK))?;
    // The plugin holds it for milliseconds; one that hangs is for the next round.
    let _held = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| io::Error::from(error))?;
    match sandbox(directory, &address.ip) {
        Ok(Some(now)) if now == address.sandbox => {
            fs::remove_file(directory.join(&address.ip))?;
            Ok(true)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn only_the_address_that_was_meant_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("none")).unwrap(), []);
        fs::write(dir.path().join("10.0.0.2"), "one\r\neth0").unwrap();
        fs::write(dir.path().join("10.0.0.3"), "").unwrap();
        fs::write(dir.path().join(LOCK), "").unwrap();
        let found = read(dir.path()).unwrap();
        let address = Address {
            ip: "10.0.0.2".into(),
            sandbox: "one".into(),
        };
        assert_eq!(found, std::slice::from_ref(&address));
        fs::write(dir.path().join("10.0.0.2"), "two\r\neth0").unwrap();
        assert!(
            !release(dir.path(), &address).unwrap(),
            "another has it now"
        );
        fs::write(dir.path().join("10.0.0.2"), "one\r\neth0").unwrap();
        let lock = File::open(dir.path().join(LOCK)).unwrap();
        let held = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        assert!(
            release(dir.path(), &address).is_err(),
            "the plugin is at work"
        );
        drop(held);
        assert!(release(dir.path(), &address).unwrap());
        assert!(!release(dir.path(), &address).unwrap());
    }
}
