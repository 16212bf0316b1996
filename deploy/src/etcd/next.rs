//! What a host that is to be a member does next, by what the others know of it and by what is
//! on its disk. Each answer is one step, after which the question is asked anew: whatever
//! interrupted the one before, the next one goes on from what is there.

use std::net::SocketAddr;

use super::Member;
use super::member::{self, initial_cluster};

/// The host that is to be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The host's name, which the member has too.
    pub name: String,
    /// Where other members will find it.
    pub peer_url: String,
    /// Whether a member has stored something in its folder.
    pub has_data: bool,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Say where others find a member that was alone until now, and knew itself as 127.0.0.1.
    Announce {
        /// The member.
        id: u64,
        /// Where it is.
        peer_url: String,
    },
    /// Have this host added as a learner.
    Add,
    /// Wait until another learner has become a full member: etcd takes one at a time.
    Await {
        /// The other one.
        learner: String,
    },
    /// Take this host's former member out: what it had stored is lost, and it counts.
    Replace {
        /// The former member.
        id: u64,
    },
    /// Start with an empty folder, as one of these members.
    Start {
        /// etcd's `--initial-cluster`.
        initial_cluster: String,
    },
    /// See that it runs, and promote it when it has all that the others have.
    Promote {
        /// The member of this host.
        id: u64,
    },
    /// See that it runs: it is a full member.
    Run,
}

/// Why a host can't be a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Two hosts have one name.
    #[error("another member is called {name}: that of {peer_url}")]
    NameTaken {
        /// The name.
        name: String,
        /// Where the other one is.
        peer_url: String,
    },
    /// The host's folder is of a member that isn't one any more.
    #[error("what etcd has stored here is of a member that was taken out")]
    TakenOut,
    /// A member can't be reached by this host.
    #[error("the member {name} is at {peer_url}, where no other host finds it")]
    Hidden {
        /// The member.
        name: String,
        /// Where it says it is.
        peer_url: String,
    },
}

impl Obstacle {
    /// What to do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::NameTaken { name, .. } => format!(
                "give this host another name:  hostnamectl set-hostname NAME; or, if the other one is lost, on a control plane:  hardway etcd remove {name}"
            ),
            Self::TakenOut => {
                "remove it, and join again:  hardway reset".to_owned()
            }
            Self::Hidden { .. } => {
                "install this version of hardway-control-plane on that host, and there:  hardway init".to_owned()
            }
        }
    }
}

/// What to do next.
///
/// # Errors
/// If somebody has to decide first.
pub fn next(members: &[Member], own: &Own) -> Result<Next, Obstacle> {
    let is_own = |member: &&Member| member.peer_urls.contains(&own.peer_url);
    if let Some(mine) = members.iter().find(is_own) {
        return Ok(match (mine.is_learner, own.has_data) {
            (true, true) => Next::Promote { id: mine.id },
            (false, true) => Next::Run,
            // It was never started, so nothing is lost.
            (_, false) if !mine.has_started() => Next::Start {
                initial_cluster: initial_cluster(members, (&own.name, &own.peer_url)),
            },
            (_, false) => Next::Replace { id: mine.id },
        });
    }
    if let Some(other) = members.iter().find(|member| member.name == own.name) {
        return Err(Obstacle::NameTaken {
            name: own.name.clone(),
            peer_url: other.peer_urls.join(", "),
        });
    }
    if own.has_data {
        return Err(Obstacle::TakenOut);
    }
    // Where this one is on the loopback too they are of one machine.
    let is_local =
        |address: Option<SocketAddr>| address.is_some_and(|address| address.ip().is_loopback());
    let is_hidden = |member: &&Member| {
        is_local(member.peer_address()) && !is_local(member::address(&own.peer_url))
    };
    if let Some(hidden) = members.iter().find(is_hidden) {
        return announced(hidden);
    }
    match members.iter().find(|member| member.is_learner) {
        Some(learner) => Ok(Next::Await {
            learner: learner.label(),
        }),
        None => Ok(Next::Add),
    }
}

/// A member that knows itself as 127.0.0.1 is where its clients on other hosts find it.
fn announced(hidden: &Member) -> Result<Next, Obstacle> {
    let port = hidden.peer_address().map(|address| address.port());
    match (hidden.client_address(), port) {
        (Some(address), Some(port)) if !address.ip().is_loopback() => Ok(Next::Announce {
            id: hidden.id,
            peer_url: format!("https://{}:{port}", address.ip()),
        }),
        _ => Err(Obstacle::Hidden {
            name: hidden.label(),
            peer_url: hidden.peer_urls.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::tests::member;
    use super::*;

    fn own(has_data: bool) -> Own {
        Own {
            name: "c".to_owned(),
            peer_url: "https://10.0.0.3:2380".to_owned(),
            has_data,
        }
    }

    fn learner(id: u8, name: &str) -> Member {
        Member {
            is_learner: true,
            ..member(id, name)
        }
    }

    #[test]
    fn every_interruption_is_gone_on_from() {
        let others = [member(1, "a"), member(2, "b")];
        let with = |own: Member| [others.as_slice(), &[own]].concat();
        let all = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380";
        let start = Next::Start {
            initial_cluster: all.to_owned(),
        };
        for (what, members, has_data, expected) in [
            ("a fresh host", others.to_vec(), false, Next::Add),
            ("added, never started", with(learner(3, "")), false, start),
            (
                "started, not published",
                with(learner(3, "")),
                true,
                Next::Promote { id: 3 },
            ),
            (
                "started, not promoted",
                with(learner(3, "c")),
                true,
                Next::Promote { id: 3 },
            ),
            ("a member", with(member(3, "c")), true, Next::Run),
            (
                "a member whose disk was lost",
                with(member(3, "c")),
                false,
                Next::Replace { id: 3 },
            ),
            (
                "a learner whose disk was lost",
                with(learner(3, "c")),
                false,
                Next::Replace { id: 3 },
            ),
            (
                "another host joins",
                [others.as_slice(), &[learner(4, "")]].concat(),
                false,
                Next::Await {
                    learner: "10.0.0.4".to_owned(),
                },
            ),
        ] {
            assert_eq!(next(&members, &own(has_data)), Ok(expected), "{what}");
        }
    }

    #[test]
    fn one_that_was_alone_is_announced_first() {
        let mut alone = member(1, "a");
        alone.peer_urls = vec!["https://127.0.0.1:2380".to_owned()];
        let announced = Next::Announce {
            id: 1,
            peer_url: "https://10.0.0.1:2380".to_owned(),
        };
        assert_eq!(
            next(std::slice::from_ref(&alone), &own(false)),
            Ok(announced)
        );
        // One of a version that listened at 127.0.0.1 alone.
        alone.client_urls = vec!["https://127.0.0.1:2379".to_owned()];
        let obstacle = next(&[alone], &own(false)).unwrap_err();
        assert!(obstacle.to_string().contains("https://127.0.0.1:2380"));
        assert!(obstacle.way_out().contains("hardway init"));
    }

    #[test]
    fn somebody_decides_about_names_and_left_overs() {
        let members = [member(1, "a"), member(2, "c")];
        let obstacle = next(&members, &own(false)).unwrap_err();
        assert!(
            obstacle
                .to_string()
                .contains("called c: that of https://10.0.0.2:2380")
        );
        assert!(obstacle.way_out().contains("hardway etcd remove c"));
        let obstacle = next(&members[..1], &own(true)).unwrap_err();
        assert_eq!(obstacle, Obstacle::TakenOut);
        assert!(obstacle.way_out().contains("hardway reset"));
    }
}
