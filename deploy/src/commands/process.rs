//! `hardway start|stop|restart|kill|suspend|resume PROCESS[@HOST]`.

use anstream::println;

use crate::failure::Result;
use crate::lab::{Lab, process, starting};

/// What to do to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make it run and wait until it does its work.
    Start,
    /// End it politely.
    Stop,
    /// End it politely and start it again.
    Restart,
    /// End it by force, as a crash would.
    Kill,
    /// Let it stand still, as a machine without time for it would.
    Suspend,
    /// Let it go on.
    Resume,
}

/// Does it to every process the name means.
pub fn run(lab: &Lab, name: &str, action: Action) -> Result<()> {
    for (host, spec) in process::find(lab, name)? {
        match action {
            Action::Stop | Action::Restart => process::stop(lab, &host, &spec.name, true)?,
            Action::Kill => process::stop(lab, &host, &spec.name, false)?,
            Action::Suspend | Action::Resume => {
                process::suspend(lab, &host, &spec.name, action == Action::Suspend)?;
            }
            Action::Start => {}
        }
        if matches!(action, Action::Start | Action::Restart) {
            starting::start(lab, &host, &spec.name)?;
            starting::wait_healthy(lab, &host, &spec.name)?;
        }
        let done = match action {
            Action::Start => "runs",
            Action::Stop => "is stopped",
            Action::Restart => "runs again",
            Action::Kill => "is killed",
            Action::Suspend => "stands still",
            Action::Resume => "goes on",
        };
        println!("{}@{} {done}", spec.name, host.name);
    }
    Ok(())
}
