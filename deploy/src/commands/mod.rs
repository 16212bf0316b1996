//! What the tool can be told to do, one file each.

pub mod certificates;
pub mod down;
pub mod logs;
pub mod node;
pub mod package;
pub mod process;
pub mod start;
pub mod status;
pub mod test;
pub mod tutorial;
pub mod up;
