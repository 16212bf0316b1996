//! Which of etcd's clusters this apiserver has to do with. A host whose etcd was restored, or made
//! anew, while others run has another one, under the same CA; hosts that were given up and come back
//! with their old data have the same one, as it was. Who would go from one to the other would read
//! what is old, and write into both.

use etcd_client::ResponseHeader;
use hardway_client::channel::Server;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How often a member that belongs elsewhere is told of.
const TELL: Duration = Duration::from_secs(30);

/// The cluster of the member that has answered first.
#[derive(Debug, Default)]
pub struct Cluster(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The `cluster_id` in the headers of etcd's answers; 0: none yet.
    id: u64,
    /// The IDs of all members, as one of them has listed them last; none: nobody has yet.
    members: Option<HashSet<u64>>,
    told: Option<Instant>,
}

/// Who has answered, as the headers of etcd's answers say it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The cluster's ID; 0: it doesn't say.
    cluster: u64,
    /// The member's ID.
    member: u64,
}

impl From<&ResponseHeader> for Origin {
    fn from(header: &ResponseHeader) -> Self {
        Self {
            cluster: header.cluster_id(),
            member: header.member_id(),
        }
    }
}

impl Cluster {
    /// Takes a member of this cluster, or of any if it is the first, or the only one: then its
    /// data was replaced, and there is nothing to mix it up with.
    ///
    /// # Errors
    /// If it belongs to another one, or was taken out of this one, with the reason.
    pub(super) fn admit(
        &self,
        origin: Origin,
        has_others: bool,
        server: &Server,
    ) -> Result<(), String> {
        let mut state = self.0.lock();
        let id = origin.cluster;
        if id == 0 {
            return Ok(());
        }
        if id == state.id {
            let knows = |members: &HashSet<u64>| members.contains(&origin.member);
            if !has_others || state.members.as_ref().is_none_or(knows) {
                return Ok(());
            }
            if state.is_time_to_tell() {
                tracing::warn!(%server, member = %hex(origin.member),
                    "this etcd is none of the cluster's members, as one that was given up or taken \
                     out, and is not used: on its host, hardway reset, and then \
                     hardway join --control-plane");
            }
            return Err("it is none of the cluster's members".to_owned());
        }
        if state.id == 0 || !has_others {
            if state.id != 0 {
                tracing::warn!(%server, cluster = %hex(id), former = %hex(state.id),
                    "etcd is another cluster now, and the only one there is: going on with it");
            }
            state.id = id;
            state.members = None;
            return Ok(());
        }
        if state.is_time_to_tell() {
            tracing::warn!(%server, cluster = %hex(id), own = %hex(state.id),
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

    /// Whether this one belongs to the cluster, as far as is known.
    pub fn has(&self, origin: Origin) -> bool {
        let state = self.0.lock();
        let is_same = [0, state.id].contains(&origin.cluster) || state.id == 0;
        let members = state.members.as_ref();
        is_same && members.is_none_or(|members| members.contains(&origin.member))
    }

    /// Takes over which members there are, learners and those that have yet to start among them,
    /// from one that was [admitted](Self::admit).
    pub(super) fn has_members(&self, ids: HashSet<u64>) {
        self.0.lock().members = Some(ids);
    }
}

impl State {
    /// Whether it was not told of for a while.
    fn is_time_to_tell(&mut self) -> bool {
        let now = Instant::now();
        let is_time = self.told.is_none_or(|at| now.duration_since(at) >= TELL);
        if is_time {
            self.told = Some(now);
        }
        is_time
    }
}

/// As etcdctl shows it.
fn hex(id: u64) -> String {
    format!("{id:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cluster: u64, member: u64) -> Origin {
        Origin { cluster, member }
    }

    #[test]
    fn a_member_of_another_cluster_is_taken_only_where_there_is_no_other() {
        let server = Server::of_url("https://10.0.0.1:2379").unwrap();
        let cluster = Cluster::default();
        assert_eq!(cluster.admit(of(10, 1), true, &server), Ok(()));
        assert_eq!(cluster.admit(of(10, 2), true, &server), Ok(()));
        let refused = cluster.admit(of(11, 1), true, &server).unwrap_err();
        assert_eq!(refused, "it belongs to another etcd cluster (b, not a)");
        assert!(cluster.has(of(10, 2)) && !cluster.has(of(11, 2)));
        let silent = of(0, 0);
        assert_eq!(cluster.admit(silent, true, &server), Ok(()), "doesn't say");
        assert_eq!(cluster.admit(of(11, 1), false, &server), Ok(()));
        assert!(cluster.admit(of(10, 1), true, &server).is_err());
    }

    /// `--force-new-cluster` leaves the cluster its ID.
    #[test]
    fn one_that_was_taken_out_is_not_gone_back_to() {
        let server = Server::of_url("https://10.0.0.1:2379").unwrap();
        let cluster = Cluster::default();
        assert_eq!(cluster.admit(of(10, 1), true, &server), Ok(()));
        cluster.has_members([1, 2, 3].into());
        assert_eq!(cluster.admit(of(10, 2), true, &server), Ok(()));
        // The third went on alone, and is who was asked last.
        cluster.has_members([3].into());
        assert!(cluster.has(of(10, 3)) && !cluster.has(of(10, 1)));
        let refused = cluster.admit(of(10, 1), true, &server).unwrap_err();
        assert_eq!(refused, "it is none of the cluster's members");
        assert_eq!(cluster.admit(of(10, 3), true, &server), Ok(()));
        cluster.has_members([3, 4].into());
        assert_eq!(cluster.admit(of(10, 4), true, &server), Ok(()));
        // Of another cluster nothing is known any more.
        assert_eq!(cluster.admit(of(11, 9), false, &server), Ok(()));
        assert_eq!(cluster.admit(of(11, 8), true, &server), Ok(()));
    }
}
