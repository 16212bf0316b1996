//! Container images built here without any network, and their publication.

pub mod archive;
pub mod content;
pub mod oci;
pub mod program;
pub mod publish;
mod storage;
