//! What the tool can be told to do, one file each.

pub mod certificates;
pub mod conformance;
pub mod down;
pub mod image;
pub mod init;
pub mod join;
pub mod logs;
pub mod node;
pub mod package;
pub mod process;
pub mod reset;
pub mod start;
pub mod status;
pub mod storage;
pub mod swap;
pub mod test;
pub mod token;
pub mod tutorial;
pub mod up;
