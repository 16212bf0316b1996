//! A control plane leaves: its member goes from etcd while the others keep their majority,
//! and nobody is sent to its address any more.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use serde_json::json;

use super::{Layout, discovery, etcd_env};
use crate::api::{self, Api};
use crate::etcd::removal::{Removal, Seen, removal};
use crate::etcd::{self, Client, Member, member};
use crate::failure::{Failure, Result};
use crate::plan::API_PORT;
use crate::shell;

/// Where the address of the API is for those who join.
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
/// Where the apiserver keeps the URLs of etcd's members, a line each.
const SEEN: &str = "/var/lib/hardway/apiserver/etcd-servers";

/// What becomes of etcd's members when this host leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// This host has no member.
    None,
    /// Its member is the last one: the cluster ends.
    Last,
    /// The others go on without it.
    Member {
        /// Its number.
        id: u64,
        /// Whether it leads.
        leads: bool,
        /// The other full members that are healthy: their numbers, and where clients find them.
        others: Vec<(u64, SocketAddr)>,
    },
    /// Nobody can say, for this reason.
    Unknown(String),
}

/// Finds out, by this host's member or, where that doesn't run, by those that it knew when
/// it joined.
///
/// # Errors
/// If the others would have no majority without it, unless that is allowed.
pub fn find(layout: &Layout, address: IpAddr, lose_majority: bool) -> Result<Departure> {
    let local = Client::of_host(layout);
    let known = local.at(others(layout, address));
    // Where nobody answers, the reason of this host's own member says most.
    let survey = local
        .survey()
        .or_else(|why| known.survey().map_err(|_| why));
    let survey = match survey {
        Ok(survey) => survey,
        Err(_) if !etcd::has_data(layout) => return Ok(Departure::None),
        Err(error) => return Ok(Departure::Unknown(error.to_string())),
    };
    let leader = survey
        .iter()
        .find_map(|(_, status)| status.as_ref().ok()?.leader);
    let seen: Vec<Seen<'_>> = survey
        .iter()
        .map(|(member, status)| (member, status.as_ref().is_ok_and(|it| it.is_healthy())))
        .collect();
    decide(&seen, address, leader, lose_majority)
}

/// Where clients find other members: where this host's apiserver has last seen them, and
/// where they were when the host joined.
pub fn others(layout: &Layout, own: IpAddr) -> Vec<SocketAddr> {
    let seen = fs::read_to_string(layout.path(SEEN)).unwrap_or_default();
    let mut all: Vec<SocketAddr> = seen
        .lines()
        .filter_map(|line| member::address(line.trim()))
        .filter(|address| address.ip() != own && !address.ip().is_loopback())
        .collect();
    for address in etcd_env::others(&layout.etc(), own) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// Has the apiserver of this host, which doesn't run, forget where it has seen members: those of
/// a former cluster may still answer there, with what that one had stored.
///
/// # Errors
/// If the file can't be removed.
pub fn forget_members(layout: &Layout) -> Result<()> {
    shell::remove(&layout.path(SEEN)).map(drop)
}

fn decide(
    seen: &[Seen<'_>],
    address: IpAddr,
    leader: Option<u64>,
    lose_majority: bool,
) -> Result<Departure> {
    let is_here = |member: &Member| {
        let addresses = [member.client_address(), member.peer_address()];
        let mut known = addresses.iter().flatten();
        known.any(|it| it.ip() == address)
    };
    let own = match seen {
        // Alone it may know itself as 127.0.0.1 only.
        [(only, _)] if only.peer_address().is_some_and(|it| it.ip().is_loopback()) => Some(*only),
        _ => seen
            .iter()
            .map(|(member, _)| *member)
            .find(|it| is_here(it)),
    };
    let Some(own) = own else {
        return Ok(Departure::None);
    };
    let what = || format!("take {} out of etcd", own.label());
    let afterwards = match removal(seen, own.id) {
        Removal::Last => return Ok(Departure::Last),
        Removal::Fine { .. } => None,
        Removal::NoMajority { all, healthy } => Some(format!(
            "only {healthy} of its {all} members are healthy, so it can't decide anything"
        )),
        Removal::LosesMajority { left, healthy } => Some(format!(
            "of the {left} members that stay only {healthy} is healthy: nothing could be written any more"
        )),
    };
    match afterwards {
        Some(why) if !lose_majority => Err(Failure::new(what(), why).way_out(
            "bring the others back first (hardway etcd members); or, if nothing of this cluster is needed any more:  hardway reset --lose-majority",
        )),
        Some(why) => Ok(Departure::Unknown(why)),
        None => Ok(Departure::Member {
            id: own.id,
            leads: leader == Some(own.id),
            others: seen
                .iter()
                .filter(|(member, is_healthy)| *is_healthy && !member.is_learner && member.id != own.id)
                .filter_map(|(member, _)| Some((member.id, member.client_address()?)))
                .collect(),
        }),
    }
}

/// Takes the member out, after another one leads.
///
/// # Errors
/// In etcd's words.
pub fn leave(layout: &Layout, id: u64, leads: bool, others: &[(u64, SocketAddr)]) -> Result<()> {
    let local = Client::of_host(layout);
    if let (true, Some((other, _))) = (leads, others.first()) {
        // It is only quicker than if the others had to notice.
        let _ = local.hand_over(*other);
    }
    let client = local.at(others.iter().map(|(_, address)| *address).collect());
    client.remove_in_time(id).map_err(|error| {
        Failure::new("take this host's member out of etcd", error)
            .way_out("see  hardway etcd members  on another control plane")
    })
}

/// Has those who join look for the API at `server`, if they would look at an address that is
/// gone; says whether they would have.
///
/// # Errors
/// In the apiserver's words.
pub fn point_elsewhere(api: &Api, is_gone: impl Fn(IpAddr) -> bool, server: &str) -> Result<bool> {
    let Some(info) = api.get(CLUSTER_INFO)? else {
        return Ok(false);
    };
    let mut found = discovery::read(api::text(&info["data"]["kubeconfig"]))?;
    if !found.address().is_some_and(|it| is_gone(it.ip())) {
        return Ok(false);
    }
    server.clone_into(&mut found.server);
    let patch = json!({"data": {"kubeconfig": discovery::kubeconfig(&found)}});
    api.patch(CLUSTER_INFO, &patch)
}

/// Where the API is on the host of another member.
pub fn server_of(other: SocketAddr) -> String {
    format!("https://{}", SocketAddr::new(other.ip(), API_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::CLIENT_PORT;

    fn member(id: u64) -> Member {
        let address = format!("10.0.0.{id}");
        Member {
            id,
            name: format!("host-{id}"),
            peer_urls: vec![member::peer_url(address.parse().unwrap())],
            client_urls: vec![format!("https://{address}:{CLIENT_PORT}")],
            is_learner: false,
        }
    }

    #[test]
    fn a_host_leaves_while_the_others_keep_their_majority() {
        let (a, b, c) = (member(1), member(2), member(3));
        let own = a.peer_address().unwrap().ip();
        let all = [(&a, true), (&b, true), (&c, true)];
        let departure = decide(&all, own, Some(1), false).unwrap();
        let others = vec![
            (2, "10.0.0.2:2379".parse().unwrap()),
            (3, "10.0.0.3:2379".parse().unwrap()),
        ];
        assert_eq!(
            departure,
            Departure::Member {
                id: 1,
                leads: true,
                others,
            }
        );
        let one_is_down = [(&a, true), (&b, true), (&c, false)];
        let failure = decide(&one_is_down, own, Some(2), false).unwrap_err();
        assert!(failure.why.contains("only 1 is healthy"), "{failure}");
        assert!(failure.way_out.unwrap().contains("--lose-majority"));
        let forced = decide(&one_is_down, own, Some(2), true).unwrap();
        assert!(matches!(forced, Departure::Unknown(_)));
        // The one that is down can go.
        let down = c.peer_address().unwrap().ip();
        let departure = decide(&one_is_down, down, Some(2), false).unwrap();
        assert!(matches!(
            departure,
            Departure::Member {
                id: 3,
                leads: false,
                ..
            }
        ));
    }

    #[test]
    fn the_last_one_and_strangers_take_nobody_out() {
        let mut alone = member(1);
        let own = "10.0.0.1".parse().unwrap();
        alone.peer_urls = vec!["https://127.0.0.1:2380".to_owned()];
        alone.client_urls = vec!["https://127.0.0.1:2379".to_owned()];
        assert_eq!(
            decide(&[(&alone, true)], own, Some(1), false).unwrap(),
            Departure::Last
        );
        let (a, b) = (member(1), member(2));
        let other = "10.0.0.9".parse().unwrap();
        let departure = decide(&[(&a, true), (&b, true)], other, Some(1), false);
        assert_eq!(departure.unwrap(), Departure::None);
    }

    #[test]
    fn the_others_are_known_though_etcd_of_this_host_is_down() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let own = "10.0.0.1".parse().unwrap();
        assert_eq!(others(&layout, own), []);
        let etc = layout.etc();
        let joined = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380";
        etcd_env::write(&etc, etcd_env::State::Existing, Some(joined)).unwrap();
        let seen = "https://127.0.0.1:2379\nhttps://10.0.0.1:2379\nhttps://10.0.0.3:2379\nhttps://10.0.0.4:2379\n";
        shell::write_file(&layout.path(SEEN), seen.as_bytes(), 0o600).unwrap();
        let found: Vec<String> = others(&layout, own)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.3:2379", "10.0.0.4:2379", "10.0.0.2:2379"]);
        // Those of a former cluster are nobody's: twice is no failure.
        for _ in 0..2 {
            forget_members(&layout).unwrap();
            assert!(!layout.path(SEEN).exists());
        }
        assert_eq!(others(&layout, own).len(), 2);
    }

    #[test]
    fn apiservers_are_where_members_are() {
        let other = "10.0.0.2:2379".parse().unwrap();
        assert_eq!(server_of(other), "https://10.0.0.2:6443");
    }
}
