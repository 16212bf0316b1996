//! What the tool can be told to do, one file each.

pub mod addons;
pub mod certificates;
pub mod completion;
pub mod conformance;
pub mod cp;
pub mod docker_env;
pub mod down;
pub mod image;
pub mod init;
pub mod join;
pub mod kubectl;
pub mod logs;
pub mod node;
pub mod package;
pub mod process;
pub mod reset;
pub mod ssh;
pub mod status;
pub mod storage;
pub mod swap;
pub mod test;
pub mod token;
pub mod tools;
pub mod tutorial;
pub mod up;
