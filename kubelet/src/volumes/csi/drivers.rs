//! The drivers that have registered, by name.

use super::client::{Driver, TIMEOUT};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A driver, and who registered it.
struct Registered {
    driver: Driver,
    /// The registration socket.
    by: PathBuf,
}

/// All of them; clones are the same.
#[derive(Clone)]
pub struct Drivers {
    known: Arc<Mutex<BTreeMap<String, Registered>>>,
    timeout: Duration,
}

impl Default for Drivers {
    fn default() -> Self {
        Self::with_timeout(TIMEOUT)
    }
}

impl Drivers {
    /// Drivers whose calls may take so long.
    pub fn with_timeout(timeout: Duration) -> Self {
        Self {
            known: Arc::default(),
            timeout,
        }
    }

    /// A driver, in Kubernetes' words if it isn't there.
    pub(super) fn get(&self, name: &str) -> Result<Driver, String> {
        let known = self.known.lock();
        let found = known.get(name).map(|registered| registered.driver.clone());
        found.ok_or_else(|| {
            format!("driver name {name} not found in the list of registered CSI drivers")
        })
    }

    /// A driver at a socket, which isn't registered by that.
    pub(super) fn at(&self, socket: &Path) -> Driver {
        Driver::at(socket, self.timeout)
    }

    /// Takes a driver in; the last one of a name counts.
    pub(super) fn register(&self, name: &str, driver: Driver, by: &Path) {
        let by = by.to_owned();
        let registered = Registered { driver, by };
        self.known.lock().insert(name.to_owned(), registered);
    }

    /// Takes out what a registration socket that is gone has brought; answers its name.
    pub(super) fn deregister(&self, by: &Path) -> Option<String> {
        let mut known = self.known.lock();
        let name = known.iter().find(|(_, registered)| registered.by == by);
        let name = name.map(|(name, _)| name.clone())?;
        known.remove(&name);
        Some(name)
    }

    /// The names of all.
    pub(super) fn names(&self) -> Vec<String> {
        self.known.lock().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_driver_goes_with_the_socket_that_brought_it() {
        let drivers = Drivers::default();
        let absent = drivers.get("d.io").unwrap_err();
        assert_eq!(
            absent,
            "driver name d.io not found in the list of registered CSI drivers"
        );
        let (old, new) = (Path::new("/old.sock"), Path::new("/new.sock"));
        drivers.register("d.io", drivers.at(Path::new("/1")), old);
        drivers.register("d.io", drivers.at(Path::new("/2")), new);
        assert_eq!(drivers.deregister(old), None, "another has taken its place");
        assert!(drivers.get("d.io").is_ok());
        assert_eq!(drivers.deregister(new).as_deref(), Some("d.io"));
        assert!(drivers.names().is_empty());
    }
}
