//! Which of etcd's clusters this apiserver has to do with. A host whose etcd was restored, or made
//! anew, while others run has another one, under the same CA: who would go from one to the other
//! would read what is old, and write into both.

use hardway_client::channel::Server;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How often a member that belongs elsewhere is told of.
const TELL: Duration = Duration::from_secs(30);

/// The cluster of the member that has answered first.
#[derive(Debug, Default)]
pub(super) struct Cluster(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The `cluster_id` in the headers of etcd's answers; 0: none yet.
    id: u64,
    told: Option<Instant>,
}

impl Cluster {
    /// Takes a member of this cluster, or of any if it is the first, or the only one: then its
    /// data was replaced, and there is nothing to mix it up with.
    ///
    /// # Errors
    /// If it belongs to another one, with the reason.
    pub(super) fn admit(&self, id: u64, has_others: bool, member: &Server) -> Result<(), String> {
        let mut state = self.0.lock();
        if id == 0 || id == state.id {
            return Ok(());
        }
        if state.id == 0 || !has_others {
            if state.id != 0 {
                tracing::warn!(%member, cluster = %hex(id), former = %hex(state.id),
                    "etcd is another cluster now, and the only one there is: going on with it");
            }
            state.id = id;
            return Ok(());
        }
        let now = Instant::now();
        if state.told.is_none_or(|at| now.duration_since(at) >= TELL) {
            state.told = Some(now);
            tracing::warn!(%member, cluster = %hex(id), own = %hex(state.id),
                "this etcd belongs to another cluster, as after a restore while others went on, \
                 and is not used: on the host whose data is not wanted, hardway reset, and then \
                 hardway join --control-plane; if this apiserver has the wrong one, restart it \
                 with --etcd-servers of the right one alone");
        }
        let own = hex(state.id);
        Err(format!(
            "it belongs to another etcd cluster ({}, not {own})",
            hex(id)
        ))
    }
}

/// As etcdctl shows it.
fn hex(id: u64) -> String {
    format!("{id:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_another_cluster_is_taken_only_where_there_is_no_other() {
        let member = Server::of_url("https://10.0.0.1:2379").unwrap();
        let cluster = Cluster::default();
        assert_eq!(cluster.admit(10, true, &member), Ok(()));
        assert_eq!(cluster.admit(10, true, &member), Ok(()));
        let refused = cluster.admit(11, true, &member).unwrap_err();
        assert_eq!(refused, "it belongs to another etcd cluster (b, not a)");
        assert_eq!(cluster.admit(0, true, &member), Ok(()), "it doesn't say");
        assert_eq!(cluster.admit(11, false, &member), Ok(()));
        assert!(cluster.admit(10, true, &member).is_err());
    }
}
