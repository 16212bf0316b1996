//! Services on one node, as nftables rules.
//!
//! [`service`] reads what a Service and its EndpointSlices mean for this
//! node, [`elements`] says it as elements of nftables maps (made of [`fields`]), [`desired`]
//! keeps the sum and the difference to what the kernel has, [`nft`] talks to the
//! kernel, through the program or over [`netlink`], [`table`] keeps the kernel's table so (and
//! [`shape`] sees when it is not), and [`syncer`] ties them to the API. [`health_checks`] answers balancers outside. What all this counts on of the host is in
//! [`requirements`].

pub mod conntrack;
pub mod desired;
pub mod elements;
pub mod fields;
pub mod health_checks;
pub mod netlink;
pub mod nft;
pub mod requirements;
pub mod ruleset;
pub mod service;
pub mod shape;
pub mod syncer;
pub mod table;
