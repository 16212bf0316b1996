//! Container images built here without any network, and their publication.

pub mod archive;
mod cache;
pub mod content;
pub mod from_tar;
pub mod nodes;
pub mod oci;
pub mod program;
pub mod publish;
pub mod reading;
pub mod reference;
mod storage;
mod unpacked;
