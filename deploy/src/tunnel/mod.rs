//! Addresses for Services of type LoadBalancer, out of a range of the lab's network.
//!
//! [`assign`] decides, without asking anybody, which Service has which address and through
//! which node it is reached; [`follow`] hears of Services, endpoints and nodes; [`routes`] has
//! the machine and the hosts send packets for an address to its node, where the proxy takes
//! over; [`open`] ties them together for as long as the tunnel is open.
//!
//! Nothing is kept anywhere but where it is used: the addresses in the Services' status, the
//! ways in the kernel's routes, which are marked as the tunnel's. So whoever opens a tunnel
//! next finds what the last one left, however that ended.

pub mod assign;
pub mod follow;
pub mod open;
pub mod routes;
pub mod state;
