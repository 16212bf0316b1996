//! What etcd is told at its first start: which members there are, and whether they are
//! there already. Later it knows by what it has stored.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::env;
use crate::etcd::CLIENT_PORT;
use crate::failure::Result;
use crate::shell;

/// Name of the file in /etc/hardway. Its variables are etcd's own; it takes each for the flag
/// of that name.
pub const FILE: &str = "etcd.env";

/// Whether etcd makes a new cluster when it starts with an empty folder, or joins one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It makes one: the first start of the first member.
    New,
    /// It joins one that is there. A folder that was lost is never replaced by an empty
    /// cluster, in which all of the cluster's objects would be missing.
    Existing,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Existing => "existing",
        }
    }
}

const STATE: &str = "ETCD_INITIAL_CLUSTER_STATE";
const MEMBERS: &str = "ETCD_INITIAL_CLUSTER";
/// Not etcd's: the members that there were when this host joined.
const JOINED: &str = "JOINED_MEMBERS";

/// Writes what an etcd with an empty folder does, into /etc/hardway; says whether that is
/// something else than before. Other variables in the file stay.
///
/// # Errors
/// If the file can't be written.
pub fn write(etc: &Path, state: State, members: Option<&str>) -> Result<bool> {
    edit(etc, |mut text| {
        if let Some(members) = members {
            text = env::with(&text, MEMBERS, members);
        }
        env::with(&text, STATE, state.name())
    })
}

/// Has an etcd that has started refuse to do so with an empty folder: as the same member without
/// what it had agreed to it would break its word to the others.
///
/// # Errors
/// If the file can't be written.
pub fn settle(etc: &Path) -> Result<()> {
    edit(etc, |text| {
        let text = match value(&text, MEMBERS) {
            Some(members) => env::with(&text, JOINED, members),
            None => text,
        };
        let lines = text.lines().filter(|line| named(line, MEMBERS).is_none());
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        env::with(&text, STATE, State::Existing.name())
    })
    .map(|_| ())
}

/// Changes the file; says whether it is another.
fn edit(etc: &Path, change: impl FnOnce(String) -> String) -> Result<bool> {
    let path = etc.join(FILE);
    let old = shell::read_text(&path).unwrap_or_default();
    let base = match old.is_empty() {
        true => {
            "# How etcd finds its cluster when it has stored nothing yet; read by hardway-etcd.\n"
                .to_owned()
        }
        false => old.clone(),
    };
    let text = change(base);
    shell::write_file(&path, text.as_bytes(), 0o644)?;
    Ok(text != old)
}

/// The value in a line, if it is of this variable.
fn named<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix(name)?.strip_prefix('=')
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| named(line, name))
}

/// What an etcd with an empty folder does, by the file in /etc/hardway.
pub fn read(etc: &Path) -> Option<State> {
    let text = shell::read_text(&etc.join(FILE)).ok()?;
    let found = value(&text, STATE)?.trim();
    [State::New, State::Existing]
        .into_iter()
        .find(|state| state.name() == found)
}

/// Where clients find the other members that this host was told of when it joined.
pub fn others(etc: &Path, own: IpAddr) -> Vec<SocketAddr> {
    let text = shell::read_text(&etc.join(FILE)).unwrap_or_default();
    let members = value(&text, MEMBERS).or_else(|| value(&text, JOINED));
    let addresses = members.unwrap_or_default().split(',').filter_map(|member| {
        let (_, url) = member.split_once('=')?;
        let (_, address) = url.split_once("://")?;
        address.parse::<SocketAddr>().ok()
    });
    addresses
        .map(|address| address.ip())
        .filter(|address| *address != own)
        .map(|address| SocketAddr::new(address, CLIENT_PORT))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_reads_its_own_variables() {
        let etc = tempfile::tempdir().unwrap();
        assert_eq!(read(etc.path()), None);
        assert!(write(etc.path(), State::New, None).unwrap());
        assert_eq!(read(etc.path()), Some(State::New));
        let members = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380";
        assert!(write(etc.path(), State::Existing, Some(members)).unwrap());
        assert!(!write(etc.path(), State::Existing, None).unwrap());
        let lines = || -> Vec<String> {
            let text = shell::read_text(&etc.path().join(FILE)).unwrap();
            text.lines().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(
            lines(),
            [
                "ETCD_INITIAL_CLUSTER_STATE=existing".to_owned(),
                format!("ETCD_INITIAL_CLUSTER={members}"),
            ]
        );
        assert_eq!(read(etc.path()), Some(State::Existing));
        let own = "10.0.0.2".parse().unwrap();
        let other: SocketAddr = "10.0.0.1:2379".parse().unwrap();
        assert_eq!(others(etc.path(), own), [other]);

        // It has started: never again with an empty folder.
        settle(etc.path()).unwrap();
        let settled = lines();
        assert_eq!(
            settled,
            [
                "ETCD_INITIAL_CLUSTER_STATE=existing".to_owned(),
                format!("JOINED_MEMBERS={members}"),
            ]
        );
        settle(etc.path()).unwrap();
        assert_eq!(lines(), settled);
        assert_eq!(others(etc.path(), own), [other]);
    }
}
