//! What belongs on one line of a timeline: all steps of one request, or one step of a process.

use crate::line::Step;

/// Steps that are shown together. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment(Vec<Step>);

impl Moment {
    /// Of one step.
    pub fn of(step: Step) -> Self {
        Self(vec![step])
    }

    /// The first step: of a request, the request itself.
    pub fn head(&self) -> &Step {
        &self.0[0]
    }

    /// All of them.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it is a request at the apiserver.
    pub fn is_request(&self) -> bool {
        self.head().what == "request"
    }

    /// A step of this kind, if there is one.
    pub fn step(&self, what: &str) -> Option<&Step> {
        self.0.iter().find(|step| step.what == what)
    }

    /// What etcd was told, if it was.
    pub fn stored(&self) -> Option<&Step> {
        self.step("stored").or_else(|| self.step("removed"))
    }

    /// The time of all steps of this kind together, in seconds.
    pub fn spent(&self, what: &str) -> f64 {
        let steps = self.0.iter().filter(|step| step.what == what);
        steps.map(|step| step.seconds).sum()
    }

    /// The UIDs of the owners of the object, as far as that is known.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let owners = self.0.iter().map(|step| step.detail("owners"));
        owners.flat_map(str::split_whitespace)
    }
}

/// Puts the steps of requests together, which come one after the other.
#[derive(Default)]
pub struct Assembler(Vec<Step>);

impl Assembler {
    /// Takes a step; gives what is complete since.
    pub fn push(&mut self, step: Step) -> Option<Moment> {
        let goes_on = self.0.first().is_some_and(|head| {
            let is_same = head.audit_id == step.audit_id && head.process == step.process;
            head.what == "request" && step.what != "request" && is_same
        });
        let complete = if goes_on { None } else { self.flush() };
        self.0.push(step);
        complete
    }

    /// What is there: no more steps of it will come.
    pub fn flush(&mut self) -> Option<Moment> {
        let steps = std::mem::take(&mut self.0);
        (!steps.is_empty()).then_some(Moment(steps))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A step without an object.
    pub fn step(process: &str, what: &str, audit_id: &str) -> Step {
        Step {
            process: process.into(),
            what: what.into(),
            audit_id: audit_id.into(),
            ..Step::default()
        }
    }

    #[test]
    fn a_request_is_one_moment_and_other_steps_are_each_their_own() {
        let mut assembler = Assembler::default();
        let mut complete = Vec::new();
        for step in [
            step("apiserver", "request", "a"),
            step("apiserver", "authorized", "a"),
            step("apiserver", "stored", "a"),
            step("scheduler", "heard", ""),
            step("kubelet", "sandbox", "a"),
            step("apiserver", "request", "b"),
            step("apiserver", "request", "b"),
        ] {
            complete.extend(assembler.push(step));
        }
        complete.extend(assembler.flush());
        assert_eq!(assembler.flush(), None);
        let counts: Vec<usize> = complete.iter().map(|moment| moment.0.len()).collect();
        assert_eq!(counts, [3, 1, 1, 1, 1]);
        assert!(complete[0].is_request() && complete[0].stored().is_some());
    }
}
