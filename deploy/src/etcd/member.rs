//! Members of etcd, and how each is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::PEER_PORT;

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number, which no other member ever has.
    pub id: u64,
    /// The name of its host; empty until it has started for the first time.
    pub name: String,
    /// Where other members find it.
    pub peer_urls: Vec<String>,
    /// Where clients find it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it counts for nothing yet.
    pub is_learner: bool,
}

impl Member {
    /// What to call it: by its name, or by where it will be.
    pub fn label(&self) -> String {
        match (self.name.as_str(), self.peer_address()) {
            ("", Some(address)) => address.ip().to_string(),
            ("", None) => format!("{:x}", self.id),
            (name, _) => name.to_owned(),
        }
    }

    /// Whether somebody means it: by its name, its address, or its number as etcd shows it.
    pub fn is_called(&self, text: &str) -> bool {
        let is_address = |address: SocketAddr| address.ip().to_string() == text;
        (!self.name.is_empty() && self.name == text)
            || self.peer_address().is_some_and(is_address)
            || format!("{:x}", self.id) == text
    }

    /// Where other members find it, if that is an address.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_urls.iter().find_map(|url| address(url))
    }

    /// Where clients on other hosts find it.
    pub fn client_address(&self) -> Option<SocketAddr> {
        let mut all = self.client_urls.iter().filter_map(|url| address(url));
        all.clone()
            .find(|it| !it.ip().is_loopback())
            .or_else(|| all.next())
    }

    /// Whether its host has taken its place already.
    pub fn has_started(&self) -> bool {
        !self.name.is_empty()
    }
}

/// The address in a URL; none if it has a name.
pub fn address(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.parse().ok()
}

/// Where other members find the member of a host.
pub fn peer_url(address: Ipv4Addr) -> String {
    format!("https://{}:{PEER_PORT}", IpAddr::V4(address))
}

/// The members in the answer to `/v3/cluster/member/list`.
pub fn list(answer: &Value) -> Vec<Member> {
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let all = answer["members"].as_array().into_iter().flatten();
    all.map(|member| Member {
        id: number(&member["ID"]),
        name: member["name"].as_str().unwrap_or_default().to_owned(),
        peer_urls: texts(&member["peerURLs"]),
        client_urls: texts(&member["clientURLs"]),
        is_learner: member["isLearner"] == true,
    })
    .collect()
}

/// What etcd's members are told at their first start: all of them, those that haven't started
/// by the name that `own` has.
pub fn initial_cluster(members: &[Member], own: (&str, &str)) -> String {
    let (own_name, own_url) = own;
    let one = |member: &Member| {
        let is_own = member.peer_urls.iter().any(|url| url == own_url);
        let name = match member.name.as_str() {
            _ if is_own => own_name.to_owned(),
            "" => format!("{:x}", member.id),
            name => name.to_owned(),
        };
        let urls = member.peer_urls.iter();
        urls.map(|url| format!("{name}={url}")).collect::<Vec<_>>()
    };
    members.iter().flat_map(one).collect::<Vec<_>>().join(",")
}

/// How a member is, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The member that was asked.
    pub member: u64,
    /// Who leads; none without a majority.
    pub leader: Option<u64>,
    /// Version of the program.
    pub version: String,
    /// Size of its file in bytes.
    pub db_size: u64,
    /// How much of it is in use, in bytes.
    pub db_size_in_use: u64,
    /// The last entry of the log that it knows to be agreed on.
    pub raft_index: u64,
    /// The last one that it has taken into its store.
    pub applied_index: u64,
    /// Which election it lives in.
    pub term: u64,
    /// Whether it counts for nothing yet.
    pub is_learner: bool,
    /// What is wrong with it, as `etcdserver: no leader`.
    pub errors: Vec<String>,
}

impl Status {
    /// The answer to `/v3/maintenance/status`.
    pub fn read(answer: &Value) -> Self {
        let errors = answer["errors"].as_array().into_iter().flatten();
        Self {
            member: number(&answer["header"]["member_id"]),
            leader: Some(number(&answer["leader"])).filter(|id| *id != 0),
            version: answer["version"].as_str().unwrap_or_default().to_owned(),
            db_size: number(&answer["dbSize"]),
            db_size_in_use: number(&answer["dbSizeInUse"]),
            raft_index: number(&answer["raftIndex"]),
            applied_index: number(&answer["raftAppliedIndex"]),
            term: number(&answer["raftTerm"]),
            is_learner: answer["isLearner"] == true,
            errors: errors
                .filter_map(|it| it.as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// Whether it follows or leads, and can take part in what is decided.
    pub fn is_healthy(&self) -> bool {
        self.leader.is_some()
    }
}

/// A 64-bit number, which is a string in etcd's JSON and left out when it is 0.
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_u64().unwrap_or(0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A member of the host 10.0.0.`id` that has started.
    pub fn member(id: u8, name: &str) -> Member {
        let address = Ipv4Addr::new(10, 0, 0, id);
        let client_urls = match name {
            "" => Vec::new(),
            _ => vec![format!("https://{address}:2379")],
        };
        Member {
            id: id.into(),
            name: name.to_owned(),
            peer_urls: vec![peer_url(address)],
            client_urls,
            is_learner: false,
        }
    }

    /// As etcd 3.4 says it.
    #[test]
    fn what_etcd_says_is_understood() {
        let answer = json!({"header": {"cluster_id": "14706971188910460418"}, "members": [
            {"ID": "517730573628343671", "name": "m2", "peerURLs": ["https://127.0.0.1:2380"],
             "clientURLs": ["https://127.0.0.1:2379", "https://10.0.0.2:2379"]},
            {"ID": "5965083166735986159", "peerURLs": ["https://10.0.0.3:2380"], "isLearner": true},
        ]});
        let members = list(&answer);
        assert_eq!(members[0].id, 517_730_573_628_343_671);
        assert_eq!(
            members[0].client_address().unwrap().to_string(),
            "10.0.0.2:2379"
        );
        assert!(members[1].is_learner && !members[1].has_started());
        assert_eq!(members[1].label(), "10.0.0.3");
        for name in ["m2", "127.0.0.1", "72f56ccb5d9c9f7"] {
            assert_eq!(
                members[0].is_called(name),
                name != "72f56ccb5d9c9f7",
                "{name}"
            );
        }
        assert!(members[0].is_called(&format!("{:x}", members[0].id)));
        assert!(!members[1].is_called(""));
        assert_eq!(
            initial_cluster(&members, ("m3", "https://10.0.0.3:2380")),
            "m2=https://127.0.0.1:2380,m3=https://10.0.0.3:2380"
        );

        let status = Status::read(&json!({"header": {"member_id": "7"}, "version": "3.4.23",
            "dbSize": "20480", "leader": "9", "raftIndex": "14", "raftTerm": "2",
            "raftAppliedIndex": "13", "dbSizeInUse": "16384"}));
        assert_eq!(
            (status.member, status.leader, status.applied_index),
            (7, Some(9), 13)
        );
        assert!(status.is_healthy() && !status.is_learner);
        let alone = json!({"errors": ["etcdserver: no leader"], "isLearner": true});
        let alone = Status::read(&alone);
        assert!(!alone.is_healthy() && alone.is_learner);
        assert_eq!(alone.errors, ["etcdserver: no leader"]);
    }
}
