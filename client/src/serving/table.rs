//! Which connections may stand. Pure: nothing here opens or closes one.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// How many connections may stand at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all, without those kept for the loopback.
    pub total: usize,
    /// Of clients that have not proven who they are.
    pub strangers: usize,
    /// Of such clients at one address. The loopback knows no such bound.
    pub strangers_per_address: usize,
    /// Of one user.
    pub per_user: usize,
    /// Beyond `total`, for clients on the loopback.
    pub loopback: usize,
}

impl Bounds {
    /// For a server that listens for a whole cluster in a process that may
    /// have so many descriptors open. Half of them are for connections: a
    /// stream takes a second one, and files and etcd take some.
    pub fn of_descriptors(limit: usize) -> Self {
        let total = (limit / 2).clamp(32, 16_384);
        Self {
            total,
            strangers: total / 2,
            strangers_per_address: (total / 16).max(8),
            per_user: total / 4,
            loopback: (total / 16).max(8),
        }
    }

    /// For health and metrics.
    pub const HEALTH: Self = Self {
        total: 128,
        strangers: 96,
        strangers_per_address: 32,
        per_user: 64,
        loopback: 16,
    };
}

/// A connection. Those that came later have greater numbers.
pub type Id = u64;

/// What becomes of a connection that has just been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stands, as `id`; `close` goes for it.
    Admit {
        /// Its number.
        id: Id,
        /// Which one must be closed.
        close: Option<Id>,
    },
    /// There is no room, and nothing that could be closed.
    Refuse,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    /// Who was proven to be there, if anybody.
    user: Option<String>,
    /// When it fell idle, in the table's own counting.
    idle: Option<u64>,
}

/// The connections that stand. Who has not proven an identity is a stranger;
/// strangers make room for each other, the oldest first, so that a newcomer
/// always has time to say who it is. Connections of known users are closed
/// only when they are idle, the longest idle first.
#[derive(Debug)]
pub struct Table {
    bounds: Bounds,
    /// Counts arrivals and the times at which connections fall idle.
    clock: u64,
    entries: HashMap<Id, Entry>,
    strangers: BTreeSet<Id>,
    strangers_at: BTreeSet<(IpAddr, Id)>,
    /// Known ones that are idle, by when they fell so.
    idle: BTreeSet<(u64, Id)>,
    of_user: HashMap<String, BTreeSet<Id>>,
}

impl Table {
    /// An empty table.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            clock: 0,
            entries: HashMap::new(),
            strangers: BTreeSet::new(),
            strangers_at: BTreeSet::new(),
            idle: BTreeSet::new(),
            of_user: HashMap::new(),
        }
    }

    /// Decides about a newcomer.
    pub fn admit(&mut self, address: IpAddr) -> Decision {
        let address = client(address);
        let local = address.is_loopback();
        let room = self.bounds.total + if local { self.bounds.loopback } else { 0 };
        let close = if !local && self.strangers_at(address) >= self.bounds.strangers_per_address {
            self.oldest_stranger_at(address)
        } else if self.strangers.len() >= self.bounds.strangers {
            self.strangers.first().copied()
        } else if self.entries.len() >= room {
            match self.expendable() {
                Some(id) => Some(id),
                None => return Decision::Refuse,
            }
        } else {
            None
        };
        // It is counted out now: closing it takes a moment.
        if let Some(id) = close {
            self.remove(id);
        }
        let id = self.tick();
        self.strangers.insert(id);
        self.strangers_at.insert((address, id));
        let entry = Entry {
            address,
            user: None,
            idle: None,
        };
        self.entries.insert(id, entry);
        Decision::Admit { id, close }
    }

    /// A request has proven that `user` is there. Gives the connection that
    /// must go if the user has too many: an idle one of theirs, else this one.
    pub fn prove(&mut self, id: Id, user: &str) -> Option<Id> {
        let entry = self.entries.get_mut(&id)?;
        // A proxy in front may speak for many; the first is the one.
        if entry.user.is_some() {
            return None;
        }
        entry.user = Some(user.to_owned());
        self.strangers.remove(&id);
        self.strangers_at.remove(&(entry.address, id));
        if let Some(since) = entry.idle {
            self.idle.insert((since, id));
        }
        let theirs = self.of_user.entry(user.to_owned()).or_default();
        theirs.insert(id);
        if theirs.len() <= self.bounds.per_user {
            return None;
        }
        let longest_idle = theirs
            .iter()
            .filter_map(|id| Some((self.entries.get(id)?.idle?, *id)))
            .min();
        let close = longest_idle.map_or(id, |(_, id)| id);
        self.remove(close);
        Some(close)
    }

    /// Whether requests are under way on it.
    pub fn set_idle(&mut self, id: Id, idle: bool) {
        let now = self.tick();
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(since) = entry.idle.take() {
            self.idle.remove(&(since, id));
        }
        if idle {
            entry.idle = Some(now);
            if entry.user.is_some() {
                self.idle.insert((now, id));
            }
        }
    }

    /// It is closed.
    pub fn remove(&mut self, id: Id) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        self.strangers.remove(&id);
        self.strangers_at.remove(&(entry.address, id));
        if let Some(since) = entry.idle {
            self.idle.remove(&(since, id));
        }
        if let Some(user) = entry.user
            && let Some(theirs) = self.of_user.get_mut(&user)
        {
            theirs.remove(&id);
            if theirs.is_empty() {
                self.of_user.remove(&user);
            }
        }
    }

    /// The one that would be missed least: the oldest stranger, else the
    /// longest idle.
    pub fn expendable(&self) -> Option<Id> {
        let idle = self.idle.first().map(|(_, id)| *id);
        self.strangers.first().copied().or(idle)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn strangers_at(&self, address: IpAddr) -> usize {
        self.strangers_at
            .range((address, 0)..=(address, Id::MAX))
            .take(self.bounds.strangers_per_address)
            .count()
    }

    fn oldest_stranger_at(&self, address: IpAddr) -> Option<Id> {
        let theirs = self.strangers_at.range((address, 0)..=(address, Id::MAX));
        theirs.map(|(_, id)| *id).next()
    }
}

/// Whom an address stands for: IPv6 hosts have a whole /64 each.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        total: 8,
        strangers: 4,
        strangers_per_address: 2,
        per_user: 3,
        loopback: 2,
    };

    fn host(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn admitted(table: &mut Table, address: IpAddr) -> (Id, Option<Id>) {
        match table.admit(address) {
            Decision::Admit { id, close } => (id, close),
            Decision::Refuse => panic!("refused"),
        }
    }

    /// Fills the table with busy connections of two users.
    fn full() -> Table {
        let mut table = Table::new(Bounds {
            per_user: 8,
            ..BOUNDS
        });
        for n in 0..BOUNDS.total {
            let (id, _) = admitted(&mut table, host(n as u8));
            assert_eq!(table.prove(id, "jane"), None);
        }
        table
    }

    #[test]
    fn strangers_make_room_for_each_other_the_oldest_first() {
        let mut table = Table::new(BOUNDS);
        let ids: Vec<Id> = (0..4).map(|n| admitted(&mut table, host(n)).0).collect();
        let (_, close) = admitted(&mut table, host(9));
        assert_eq!(close, Some(ids[0]));
        // Who has said who it is stays.
        table.prove(ids[1], "jane");
        admitted(&mut table, host(10));
        let (_, close) = admitted(&mut table, host(11));
        assert_eq!(close, Some(ids[2]));
        assert_eq!(table.entries.len(), 5);
    }

    #[test]
    fn one_address_fills_only_its_share() {
        let mut table = Table::new(BOUNDS);
        let other = admitted(&mut table, host(2)).0;
        let first = admitted(&mut table, host(1)).0;
        admitted(&mut table, host(1));
        for _ in 0..100 {
            let (_, close) = admitted(&mut table, host(1));
            assert!(close.is_some() && close != Some(other));
        }
        assert_eq!(table.entries.len(), 3);
        assert!(!table.entries.contains_key(&first));
        // Hosts of IPv6 have many addresses.
        let near: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(client(near), client("2001:db8::ffff:2".parse().unwrap()));
        assert_ne!(client(near), client("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(client("::ffff:127.0.0.1".parse().unwrap()), LOOPBACK);
    }

    #[test]
    fn a_full_table_closes_what_is_idle_and_keeps_room_for_the_loopback() {
        let mut table = full();
        assert_eq!(table.admit(host(1)), Decision::Refuse);
        assert_eq!(admitted(&mut table, LOOPBACK).1, None);
        table.remove(9);
        for id in [5, 3, 7] {
            table.set_idle(id, true);
        }
        table.set_idle(5, false);
        assert_eq!(admitted(&mut table, host(1)).1, Some(3));
    }

    #[test]
    fn a_user_has_a_share_of_their_own() {
        let mut table = Table::new(BOUNDS);
        let mut ids = Vec::new();
        for n in 0..3 {
            let (id, _) = admitted(&mut table, host(n));
            table.prove(id, "jane");
            ids.push(id);
        }
        let (one_more, _) = admitted(&mut table, host(4));
        assert_eq!(table.prove(one_more, "jane"), Some(one_more));
        table.set_idle(ids[1], true);
        let (one_more, _) = admitted(&mut table, host(4));
        assert_eq!(table.prove(one_more, "jane"), Some(ids[1]));
        let (joe, _) = admitted(&mut table, host(5));
        assert_eq!(table.prove(joe, "joe"), None);
    }

    #[test]
    fn nothing_is_left_of_closed_connections() {
        let mut table = full();
        table.set_idle(2, true);
        for id in 1..=BOUNDS.total as Id {
            table.remove(id);
            table.set_idle(id, true);
        }
        assert!(table.entries.is_empty() && table.idle.is_empty() && table.of_user.is_empty());
        assert!(table.strangers.is_empty() && table.strangers_at.is_empty());
    }

    #[test]
    fn bounds_follow_the_descriptors() {
        let bounds = Bounds::of_descriptors(20_000);
        assert_eq!((bounds.total, bounds.strangers), (10_000, 5_000));
        let tight = Bounds::of_descriptors(256);
        assert!(tight.total + tight.loopback <= 200, "{tight:?}");
    }
}
