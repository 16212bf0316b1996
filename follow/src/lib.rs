//! Shows live what a request becomes, across the processes.
//!
//! The apiserver serves the steps of all processes as lines ([`mod@line`]). Those of one request
//! belong together ([`moment`]); which belong to what is followed is found out from audit IDs,
//! UIDs and owners ([`story`]), without asking anybody. [`words`] and [`summary`] say it to
//! people. All of that is pure. What asks a cluster is [`cluster`] and [`feed`], which makes one stream
//! of those of several apiservers ([`merge`]), what runs the
//! command that is followed is [`command`], and [`follow`](mod@follow) puts all together.

pub mod cli;
mod cluster;
mod command;
mod events;
mod feed;
pub mod follow;
pub mod line;
mod merge;
pub mod moment;
pub mod output;
pub mod readiness;
pub mod story;
pub mod summary;
pub mod words;
