//! Changes of the table as messages to the kernel, without a program between.
//!
//! One transaction of nftables is one batch of nfnetlink messages in one
//! datagram: [`batch`] makes it of a change, out of [`message`]s with
//! [`elements`] and [`rules`] in them. [`socket`] hands it over, [`answer`]
//! reads what comes back, [`listing`] asks what chains and rules there are.
//!
//! The numbers are those of the kernel's headers `linux/netlink.h`,
//! `linux/netfilter/nfnetlink.h` and `linux/netfilter/nf_tables.h`; what is
//! sent is what `nft` 1.0 sends for the same commands, and the tests compare
//! the two. Marks and lengths are in the host's byte order, everything else is
//! in the network's.

pub mod answer;
pub mod batch;
mod elements;
pub mod listing;
mod message;
mod rules;
pub mod socket;
