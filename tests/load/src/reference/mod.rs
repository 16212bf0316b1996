//! Control planes of this machine's own, started for a run and gone after it: programs of two
//! folders, hardway's and Kubernetes' or two builds of hardway, and etcd alone. So both do the
//! same work on the same machine in the same minutes.

mod alternate;
mod authority;
mod binaries;
mod child;
mod etcd;
mod side;

pub use alternate::{Servers, run};
pub use authority::Authority;
pub use binaries::Binaries;
pub use etcd::Etcd;
pub use side::{Ready, Side};
