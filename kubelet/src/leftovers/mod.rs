//! What a runtime that was killed leaves on its node and never comes back to:
//! shims of sandboxes it has forgotten, and addresses that were never given
//! back. They are looked for now and then, and removed when nobody has
//! claimed them for so long that nobody will.

pub mod addresses;
pub mod shims;

use crate::cri;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often they are looked for.
pub const PERIOD: Duration = Duration::from_secs(300);
/// How long something stays nobody's before it is removed: longer than the
/// making of a sandbox may take, for what belongs to one that is being made
/// isn't known to be anybody's yet.
const PATIENCE: Duration = Duration::from_secs(600);

/// Things that were found to be nobody's, and since when.
struct Unclaimed<K>(HashMap<K, Instant>);

impl<K: Clone + Eq + Hash> Unclaimed<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Takes note of what is nobody's now, and answers with what has been for
    /// long enough.
    fn ripe(&mut self, found: Vec<K>, now: Instant) -> Vec<K> {
        self.0.retain(|known, _| found.contains(known));
        let old = |thing: &K| {
            let since = self.0.get(thing).copied();
            since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
        };
        let ripe = found.iter().filter(|thing| old(thing)).cloned().collect();
        for thing in found {
            self.0.entry(thing).or_insert(now);
        }
        ripe
    }
}

/// Looks for leftovers and removes them.
pub struct Collector {
    runtime: cri::Handle,
    /// The runtime's socket.
    socket: PathBuf,
    /// Where addresses given to pods are noted.
    addresses: PathBuf,
    shims: Unclaimed<shims::Shim>,
    leaked: Unclaimed<addresses::Address>,
}

impl Collector {
    /// For the runtime at this endpoint, whose pods have their addresses noted
    /// by `host-local` in the directory.
    pub fn new(runtime: cri::Handle, endpoint: &str, addresses: &Path) -> Self {
        Self {
            runtime,
            socket: endpoint.strip_prefix("unix://").unwrap_or(endpoint).into(),
            addresses: addresses.into(),
            shims: Unclaimed::new(),
            leaked: Unclaimed::new(),
        }
    }

    /// One round. What is there is read before the runtime is asked, so that
    /// nothing is missed that came in between.
    pub async fn collect(&mut self, now: Instant) -> Result<(), cri::Error> {
        let shims = shims::find(Path::new("/proc"), &self.socket);
        let addresses = addresses::read(&self.addresses);
        let all = BTreeMap::new;
        let sandboxes = self.runtime.list_sandboxes(all()).await?;
        let containers = self.runtime.list_containers(all()).await?;
        let known: BTreeSet<String> = sandboxes
            .into_iter()
            .map(|s| s.id)
            .chain(containers.into_iter().map(|c| c.id))
            .collect();
        let nobodys = shims.into_iter().filter(|s| !known.contains(&s.id));
        for shim in self.shims.ripe(nobodys.collect(), now) {
            tracing::warn!(
                pid = shim.pid,
                sandbox = shim.id,
                "ends a shim that nobody knows"
            );
            shims::end(&shim);
        }
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::warn!(directory = %self.addresses.display(), %error, "cannot read addresses");
                return Ok(());
            }
        };
        let nobodys = addresses
            .into_iter()
            .filter(|a| !known.contains(&a.sandbox));
        for address in self.leaked.ripe(nobodys.collect(), now) {
            match addresses::release(&self.addresses, &address) {
                Ok(true) => tracing::warn!(
                    address = address.ip,
                    sandbox = address.sandbox,
                    "gave back the address of a sandbox that is gone"
                ),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(address = address.ip, %error, "an address stays taken")
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::fake::Fake;
    use crate::cri::{PodSandboxConfig, Runtime};
    use std::sync::Arc;

    #[test]
    fn only_what_stays_nobodys_is_ripe() {
        let (start, mut unclaimed) = (Instant::now(), Unclaimed::new());
        assert!(unclaimed.ripe(vec!["a", "b"], start).is_empty());
        // Claimed in between: the wait begins anew.
        assert!(unclaimed.ripe(vec!["a"], start + PATIENCE / 2).is_empty());
        assert_eq!(unclaimed.ripe(vec!["a", "b"], start + PATIENCE), ["a"]);
        assert_eq!(unclaimed.ripe(vec!["b"], start + PATIENCE * 2), ["b"]);
    }

    #[tokio::test]
    async fn addresses_of_sandboxes_that_are_gone_are_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Arc::new(Fake::default());
        let lives = runtime
            .run_pod_sandbox(PodSandboxConfig::default(), String::new())
            .await
            .unwrap();
        let note = |ip: &str, sandbox: &str| {
            std::fs::write(dir.path().join(ip), format!("{sandbox}\r\neth0")).unwrap();
        };
        note("10.244.1.2", &lives);
        note("10.244.1.3", "gone");
        std::fs::write(dir.path().join("last_reserved_ip.0"), "10.244.1.3").unwrap();
        let mut collector = Collector::new(runtime, "unix:///none", dir.path());
        let start = Instant::now();
        collector.collect(start).await.unwrap();
        assert!(dir.path().join("10.244.1.3").exists(), "not at first sight");
        collector.collect(start + PATIENCE).await.unwrap();
        assert!(!dir.path().join("10.244.1.3").exists());
        assert!(dir.path().join("10.244.1.2").exists());
        assert!(dir.path().join("last_reserved_ip.0").exists());
    }
}
