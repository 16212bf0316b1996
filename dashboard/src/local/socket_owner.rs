//! Whose a connection from this machine is: the kernel's table of TCP sockets says. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `TCP_ESTABLISHED`, as the table writes it.
const ESTABLISHED: &str = "01";

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user, by number.
    User(u32),
    /// Nobody any more: it was closed, and what it sent may still come. The kernel shows such
    /// sockets as root's.
    Nobody,
}

impl Owner {
    /// Whether a server of the user `server` answers.
    pub fn may_use(self, server: u32) -> bool {
        match self {
            Self::User(0) => true,
            Self::User(user) => user == server,
            Self::Nobody => false,
        }
    }
}

/// Finds the client's end of a connection in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
/// `None` if it isn't there.
pub fn owner(table: &str, client: SocketAddr, server: SocketAddr) -> Option<Owner> {
    let (client, server) = (plain(client), plain(server));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, remote, state, _, _, _, user, _, inode, ..] = fields[..] else {
            return None;
        };
        if address(local)? != client || address(remote)? != server {
            return None;
        }
        let open = state == ESTABLISHED && inode != "0";
        Some(match user.parse() {
            Ok(user) if open => Owner::User(user),
            _ => Owner::Nobody,
        })
    })
}

/// An IPv4 address may be written as an IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// `0100007F:1F90` is 127.0.0.1:8080 on a machine with the least significant byte first: the
/// table writes 32 bits at a time, in the machine's order.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = host.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let host: IpAddr = match host.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, piece) in bytes.chunks_exact_mut(4).enumerate() {
                piece.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(plain(SocketAddr::new(host, port)))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 112 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 113 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:C351 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
   4: 0100007F:C352 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
";
    const TABLE_6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:C353 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 114 1 0000000000000000 20 4 30 10 -1
   1: 00000000000000000000000001000000:C354 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1003        0 115 1 0000000000000000 20 4 30 10 -1
";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_clients_end_counts_and_not_the_servers() {
        let server = at("127.0.0.1:8080");
        let of = |client| owner(TABLE, at(client), server);
        assert_eq!(of("127.0.0.1:50000"), Some(Owner::User(1001)));
        assert_eq!(of("127.0.0.1:50009"), None);
        assert_eq!(
            owner(TABLE, at("127.0.0.1:50000"), at("127.0.0.1:8081")),
            None
        );
    }

    #[test]
    fn closed_sockets_are_nobodys_though_the_table_says_root() {
        let server = at("127.0.0.1:8080");
        let of = |client| owner(TABLE, at(client), server);
        assert_eq!(of("127.0.0.1:50001"), Some(Owner::Nobody));
        assert_eq!(of("127.0.0.1:50002"), Some(Owner::Nobody));
    }

    #[test]
    fn addresses_of_both_kinds_are_read() {
        let server = at("127.0.0.1:8080");
        let of = |client| owner(TABLE_6, at(client), server);
        assert_eq!(of("127.0.0.1:50003"), Some(Owner::User(1002)));
        let six = owner(TABLE_6, at("[::1]:50004"), at("[::1]:8080"));
        assert_eq!(six, Some(Owner::User(1003)));
        assert_eq!(address("zz:1"), None);
        assert_eq!(address("0100007F"), None);
        assert_eq!(owner("header\nnonsense\n", server, server), None);
    }

    #[test]
    fn the_user_and_root_may_use_it() {
        assert!(Owner::User(1000).may_use(1000));
        assert!(Owner::User(0).may_use(1000));
        assert!(!Owner::User(1001).may_use(1000));
        assert!(!Owner::User(1001).may_use(0));
        assert!(!Owner::Nobody.may_use(0));
    }
}
