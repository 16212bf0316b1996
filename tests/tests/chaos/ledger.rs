//! What was asked of the cluster and what came of it, against what is found in the end.
//! Pure.
//!
//! A write whose outcome nobody knows may or may not have been done, and may still be
//! done later: its object is never written again, and either is right in the end.

use std::collections::{BTreeMap, BTreeSet};

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused, or never sent: nothing came of it.
    Refused,
    /// No answer, or one that says that it may have been done.
    Unknown,
}

/// An object as it is found in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The request that it was made by, where the server chose the name.
    pub request: Option<String>,
}

/// All writes so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Objects by name, with all values that are right. None: it isn't there.
    objects: BTreeMap<String, BTreeSet<Option<String>>>,
    /// Requests to make an object under a name of the server's choice, and whether that
    /// was acknowledged, refused, or nobody knows.
    requests: BTreeMap<String, Outcome>,
    counts: [usize; 3],
}

impl Ledger {
    /// Notes that an object was given a value, or deleted.
    pub fn wrote(&mut self, name: &str, value: Option<&str>, outcome: Outcome) {
        self.count(outcome);
        let value = value.map(str::to_owned);
        let right = self.objects.entry(name.to_owned()).or_default();
        if right.is_empty() {
            right.insert(None);
        }
        match outcome {
            Outcome::Done => *right = BTreeSet::from([value]),
            Outcome::Refused => {}
            Outcome::Unknown => drop(right.insert(value)),
        }
    }

    /// Notes a request to make an object whose name the server chooses.
    pub fn requested(&mut self, request: &str, outcome: Outcome) {
        self.count(outcome);
        self.requests.insert(request.to_owned(), outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        self.counts[outcome as usize] += 1;
    }

    /// How many writes were acknowledged, were refused, and have an unknown outcome.
    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// The only value that is right; for an object that isn't there, None. An error
    /// where several are.
    pub fn certain(&self, name: &str) -> Result<Option<&str>, ()> {
        match self
            .objects
            .get(name)
            .map(|right| right.iter().collect::<Vec<_>>())
        {
            None => Ok(None),
            Some(right) => match right.as_slice() {
                [value] => Ok(value.as_deref()),
                _ => Err(()),
            },
        }
    }

    /// Takes another ledger's writes over; nobody writes into both.
    pub fn merge(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.requests.extend(other.requests);
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
    }

    /// What is wrong with what is found in the end.
    pub fn complaints(&self, found: &[Found]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut made: BTreeMap<&str, usize> = BTreeMap::new();
        let mut there: BTreeMap<&str, &str> = BTreeMap::new();
        for object in found {
            match &object.request {
                Some(request) => *made.entry(request).or_default() += 1,
                None => drop(there.insert(&object.name, &object.value)),
            }
        }
        for (name, right) in &self.objects {
            let value = there.remove(name.as_str()).map(str::to_owned);
            if !right.contains(&value) {
                complaints.push(format!("{name} is {value:?}, right would be {right:?}"));
            }
        }
        for (name, value) in there {
            complaints.push(format!("{name} is {value:?}, nobody wrote it"));
        }
        for (request, outcome) in &self.requests {
            let count = made.remove(request.as_str()).unwrap_or(0);
            let right = match outcome {
                Outcome::Done => count == 1,
                Outcome::Refused => count == 0,
                Outcome::Unknown => count <= 1,
            };
            if !right {
                complaints.push(format!(
                    "request {request} ({outcome:?}) made {count} objects"
                ));
            }
        }
        for (request, count) in made {
            complaints.push(format!(
                "request {request}, which nobody sent, made {count} objects"
            ));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, value: &str) -> Found {
        Found {
            name: name.to_owned(),
            value: value.to_owned(),
            request: None,
        }
    }

    fn made(request: &str) -> Found {
        Found {
            request: Some(request.to_owned()),
            ..found(&format!("{request}-x"), "")
        }
    }

    #[test]
    fn what_was_acknowledged_must_be_there() {
        let mut ledger = Ledger::default();
        ledger.wrote("a", Some("1"), Outcome::Done);
        ledger.wrote("a", Some("2"), Outcome::Done);
        ledger.wrote("a", Some("3"), Outcome::Refused);
        assert_eq!(ledger.certain("a"), Ok(Some("2")));
        assert!(ledger.complaints(&[found("a", "2")]).is_empty());
        assert_eq!(ledger.complaints(&[found("a", "1")]).len(), 1, "lost");
        assert_eq!(
            ledger.complaints(&[found("a", "3")]).len(),
            1,
            "refused and done"
        );
        assert_eq!(ledger.complaints(&[]).len(), 1, "lost");
        ledger.wrote("a", None, Outcome::Done);
        assert!(ledger.complaints(&[]).is_empty());
        assert_eq!(ledger.complaints(&[found("a", "2")]).len(), 1, "back again");
        assert_eq!(
            ledger.complaints(&[found("b", "1")]).len(),
            1,
            "from nowhere"
        );
        assert_eq!(ledger.counts(), [3, 1, 0]);
    }

    #[test]
    fn what_nobody_knows_may_be_either_way() {
        let mut ledger = Ledger::default();
        ledger.wrote("a", Some("1"), Outcome::Unknown);
        assert_eq!(ledger.certain("a"), Err(()));
        assert!(ledger.complaints(&[]).is_empty());
        assert!(ledger.complaints(&[found("a", "1")]).is_empty());
        assert_eq!(ledger.complaints(&[found("a", "2")]).len(), 1);
        ledger.wrote("b", Some("1"), Outcome::Refused);
        assert_eq!(ledger.certain("b"), Ok(None));
    }

    #[test]
    fn nothing_is_made_twice() {
        let mut ledger = Ledger::default();
        ledger.requested("r", Outcome::Done);
        assert!(ledger.complaints(&[made("r")]).is_empty());
        assert_eq!(ledger.complaints(&[]).len(), 1, "lost");
        assert_eq!(
            ledger.complaints(&[made("r"), made("r")]).len(),
            1,
            "doubled"
        );
        ledger.requested("r", Outcome::Unknown);
        assert!(ledger.complaints(&[]).is_empty());
        assert_eq!(
            ledger.complaints(&[made("r"), made("r")]).len(),
            1,
            "doubled"
        );
        ledger.requested("r", Outcome::Refused);
        assert_eq!(ledger.complaints(&[made("r")]).len(), 1, "refused and done");
        assert_eq!(ledger.complaints(&[made("q")]).len(), 1, "from nowhere");
    }

    #[test]
    fn ledgers_are_taken_together() {
        let mut ledger = Ledger::default();
        let mut other = Ledger::default();
        other.wrote("a", Some("1"), Outcome::Done);
        ledger.wrote("b", Some("1"), Outcome::Done);
        ledger.merge(other);
        assert_eq!(ledger.counts(), [2, 0, 0]);
        assert_eq!(ledger.complaints(&[]).len(), 2);
    }
}
