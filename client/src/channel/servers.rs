//! Which servers there are, and in which order they are tried.

use super::server::Server;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A server that failed is the last to be tried for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(10);
/// So many attempts at a time lead to an address with several servers behind it.
const ATTEMPTS_BEHIND_SERVICE: usize = 3;

/// In which order servers are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were given: the first is the best.
    AsGiven,
    /// That of this host first, the others by lot, so that not everybody is at the same one.
    ByLot,
}

/// The servers that connections may lead to; shared by all connections to them.
#[derive(Debug)]
pub struct Servers {
    given: Vec<Server>,
    order: Order,
    /// There is one address, a Service's, with any number of servers behind it.
    behind_service: bool,
    lot: u64,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that the cluster lists; none until that was learned.
    listed: Vec<Server>,
    /// Those of this host.
    own: Vec<Server>,
    failed: HashMap<Server, Instant>,
}

impl Servers {
    /// Those that are given.
    pub fn new(given: Vec<Server>, order: Order) -> Self {
        let state = State {
            own: own(&given),
            ..State::default()
        };
        Self {
            given,
            order,
            behind_service: false,
            lot: RandomState::new().hash_one(0),
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        }
    }

    /// Those behind the address of a Service.
    pub fn behind_service(address: Server) -> Self {
        Self {
            behind_service: true,
            ..Self::new(vec![address], Order::AsGiven)
        }
    }

    /// Takes over which servers the cluster lists. Those that were given stay as the last resort;
    /// what is at the same place as one of them must prove the same name. Says whether that is
    /// news.
    pub fn set_listed(&self, listed: Vec<Server>) -> bool {
        let mut state = self.state.lock();
        let mut listed: Vec<Server> = listed
            .into_iter()
            .map(
                |server| match self.given.iter().find(|given| given.is_at(&server)) {
                    Some(given) => given.clone(),
                    None => server,
                },
            )
            .collect();
        listed.sort();
        listed.dedup();
        if self.behind_service || state.listed == listed {
            return false;
        }
        state.own = own(listed.iter().chain(&self.given));
        state.listed = listed;
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        true
    }

    /// Hears of changes of what is listed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What the cluster lists; nothing if that is not known.
    pub fn listed(&self) -> Vec<Server> {
        self.state.lock().listed.clone()
    }

    /// Those that were given.
    pub fn given(&self) -> &[Server] {
        &self.given
    }

    /// Those that are listed, or else those that were given; what was given first.
    pub fn all(&self) -> Vec<Server> {
        let listed = self.listed();
        if listed.is_empty() {
            return self.given.clone();
        }
        let is_there = |given: &&Server| listed.contains(given);
        let first = self.given.iter().filter(is_there).cloned();
        let others = listed.iter().filter(|server| !self.given.contains(server));
        first.chain(others.cloned()).collect()
    }

    /// Whether the cluster lists it, or lists none.
    pub fn is_listed(&self, server: &Server) -> bool {
        let state = self.state.lock();
        state.listed.is_empty() || state.listed.contains(server)
    }

    /// Whether there may be another one to go to.
    pub fn are_several(&self) -> bool {
        let state = self.state.lock();
        let known = if state.listed.is_empty() {
            &self.given
        } else {
            &state.listed
        };
        self.behind_service || known.len() > 1
    }

    /// Whether they are behind the address of a Service.
    pub fn are_behind_service(&self) -> bool {
        self.behind_service
    }

    /// It could not be reached, or left.
    pub fn failed(&self, server: &Server) {
        self.state
            .lock()
            .failed
            .insert(server.clone(), Instant::now());
    }

    /// It answers.
    pub fn answered(&self, server: &Server) {
        self.state.lock().failed.remove(server);
    }

    /// In which order to try them.
    pub fn in_order(&self) -> Vec<Server> {
        let mut state = self.state.lock();
        let now = Instant::now();
        state
            .failed
            .retain(|_, at| now.duration_since(*at) < AVOIDED_FOR);
        let rest = self
            .given
            .iter()
            .filter(|given| !state.listed.contains(given));
        let (mut listed, mut rest) = (state.listed.clone(), rest.cloned().collect::<Vec<_>>());
        let place = |server: &Server| self.given.iter().position(|given| given == server);
        let rank = |server: &Server| match self.order {
            Order::AsGiven => (false, place(server).map_or(u64::MAX, |place| place as u64)),
            Order::ByLot => (!state.own.contains(server), self.ticket(server)),
        };
        listed.sort_by_key(rank);
        rest.sort_by_key(rank);
        let mut all: Vec<Server> = listed.into_iter().chain(rest).collect();
        all.sort_by_key(|server| state.failed.contains_key(server));
        all
    }

    /// In which order to try those that are not at this place.
    pub fn other_than(&self, server: &Server) -> Vec<Server> {
        let mut others = self.in_order();
        if self.behind_service {
            return several_times(&others);
        }
        others.retain(|other| !other.is_at(server));
        others
    }

    /// Those to try for a connection, each as often as that makes sense.
    pub fn attempts(&self) -> Vec<Server> {
        let all = self.in_order();
        match self.behind_service {
            true => several_times(&all),
            false => all,
        }
    }

    /// The best one, unless it isn't for us to say.
    pub fn favourite(&self) -> Option<Server> {
        match self.behind_service {
            true => None,
            false => self.in_order().into_iter().next(),
        }
    }

    /// A server's number in this process' lottery. One that comes or goes changes the order of
    /// no others.
    fn ticket(&self, server: &Server) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.lot, &server.host, server.port).hash(&mut hasher);
        hasher.finish()
    }
}

/// Each may lead to another server each time.
fn several_times(servers: &[Server]) -> Vec<Server> {
    let times = servers.len() * ATTEMPTS_BEHIND_SERVICE;
    servers.iter().cycle().take(times).cloned().collect()
}

/// Those whose address this host has: a socket can be bound to it.
fn own<'a>(servers: impl IntoIterator<Item = &'a Server>) -> Vec<Server> {
    let is_own = |server: &&Server| {
        let address = server.host.parse::<IpAddr>();
        address.is_ok_and(|address| UdpSocket::bind((address, 0)).is_ok())
    };
    servers.into_iter().filter(is_own).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses for documentation, which no host has.
    fn server(last: u8) -> Server {
        Server::of_url(&format!("https://203.0.113.{last}:6443")).unwrap()
    }

    fn servers(given: &[u8], order: Order) -> Servers {
        Servers::new(given.iter().copied().map(server).collect(), order)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_failed_is_the_last_for_a_while() {
        let all = servers(&[1, 2, 3], Order::AsGiven);
        assert_eq!(all.in_order(), [server(1), server(2), server(3)]);
        all.failed(&server(1));
        assert_eq!(all.in_order(), [server(2), server(3), server(1)]);
        assert_eq!(all.other_than(&server(2)), [server(3), server(1)]);
        tokio::time::advance(AVOIDED_FOR).await;
        assert_eq!(all.in_order()[0], server(1));
        all.failed(&server(1));
        all.answered(&server(1));
        assert_eq!(all.favourite(), Some(server(1)));
    }

    #[tokio::test]
    async fn what_is_listed_replaces_what_was_learned_and_comes_before_what_was_given() {
        let all = servers(&[1], Order::ByLot);
        assert!(!all.are_several());
        assert_eq!(all.favourite(), Some(server(1)));
        assert!(all.set_listed(vec![server(3), server(2)]));
        assert!(!all.set_listed(vec![server(2), server(3)]), "no news");
        assert!(all.are_several());
        assert_eq!(all.in_order().last(), Some(&server(1)));
        assert!(!all.is_listed(&server(1)) && all.is_listed(&server(2)));
        all.set_listed(vec![server(1), server(3)]);
        let mut order = all.in_order();
        order.sort();
        assert_eq!(order, [server(1), server(3)], "the second is forgotten");
    }

    #[tokio::test]
    async fn one_that_is_given_and_listed_proves_the_name_it_was_given_by() {
        let all = servers(&[1], Order::ByLot);
        let mut listed = server(1);
        listed.name = "kubernetes.default.svc".into();
        all.set_listed(vec![listed]);
        assert_eq!(all.in_order(), [server(1)]);
    }

    #[tokio::test]
    async fn processes_spread_and_move_only_from_what_is_gone() {
        let listed = || vec![server(1), server(2), server(3)];
        let (mut firsts, mut moved) = ([0_u32; 3], 0);
        for _ in 0..300 {
            let all = servers(&[1], Order::ByLot);
            all.set_listed(listed());
            let favourite = all.favourite().unwrap();
            let index = listed().iter().position(|s| *s == favourite).unwrap();
            firsts[index] += 1;
            all.set_listed(vec![server(1), server(2)]);
            if index < 2 && all.favourite() != Some(favourite) {
                moved += 1;
            }
        }
        assert!(firsts.iter().all(|count| *count > 50), "{firsts:?}");
        assert_eq!(moved, 0);
    }

    #[tokio::test]
    async fn that_of_the_own_host_comes_first() {
        let own = Server::of_url("https://127.0.0.1:6443").unwrap();
        for _ in 0..20 {
            let all = servers(&[1], Order::ByLot);
            all.set_listed(vec![server(1), server(2), own.clone()]);
            assert_eq!(all.favourite(), Some(own.clone()));
        }
    }

    #[tokio::test]
    async fn behind_a_service_the_same_address_leads_elsewhere() {
        let all = Servers::behind_service(server(1));
        assert!(all.are_several());
        assert_eq!(all.other_than(&server(1)).len(), ATTEMPTS_BEHIND_SERVICE);
        assert_eq!(all.favourite(), None);
        assert!(!all.set_listed(vec![server(2)]));
    }
}
