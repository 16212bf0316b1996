//! A command that is typed again and again on a host, while other things go on.

use hardway_tests::host::Host;
use hardway_tests::wait::{holds, until};

/// Begun by [`Repeated::start`], it goes on until [`Repeated::finish`].
pub struct Repeated<'a>(&'a Host);

/// How it went.
pub struct Outcome {
    /// How often the command ended.
    pub times: usize,
    /// What it said each time it failed, and when.
    pub failures: Vec<String>,
}

impl<'a> Repeated<'a> {
    /// Begins. There is one such command on a host at a time.
    #[track_caller]
    pub fn start(host: &'a Host, command: &str) -> Self {
        host.run("rm -rf repeated; mkdir repeated");
        host.write("/root/repeated/command", command);
        host.run(
            "cd repeated
             { until [ -e enough ]; do
                   said=$(timeout 20 bash command 2>&1 >/dev/null) ||
                       echo \"ends with $? at $(date --utc +%T.%N): ${said//$'\\n'/ }\" >>failures
                   echo >>times
               done; touch ended; } >/dev/null 2>&1 </dev/null &",
        );
        Self(host)
    }

    /// Has it end when the command that is under way has.
    #[track_caller]
    pub fn finish(self) -> Outcome {
        let Self(host) = self;
        host.run("touch repeated/enough");
        until("the last command has ended", || {
            let ended = host.path("/root/repeated/ended");
            holds(ended.exists(), "it goes on")
        });
        let read = |name: &str| host.run(&format!("cat repeated/{name} 2>/dev/null || true"));
        Outcome {
            times: read("times").lines().count(),
            failures: read("failures").lines().map(str::to_owned).collect(),
        }
    }
}

impl Outcome {
    /// It was typed, and never failed.
    #[track_caller]
    pub fn assert_flawless(&self) {
        let (times, failures) = (self.times, &self.failures);
        assert!(
            failures.is_empty(),
            "{} of {times} failed: {failures:#?}",
            failures.len()
        );
        assert!(times > 0, "it was never done");
    }
}
