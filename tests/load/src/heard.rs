//! What a watcher heard, held against what was written: Kubernetes promises every change
//! once, in the order of revisions. Pure.

use std::collections::BTreeSet;

/// What one watcher heard of.
#[derive(Debug, Default)]
pub struct Heard {
    /// Revisions of events, as they came.
    revisions: Vec<u64>,
    /// Complaints about bookmarks.
    bookmarks: Vec<String>,
    last_bookmark: u64,
}

impl Heard {
    /// An event came.
    pub fn event(&mut self, revision: u64) {
        if revision <= self.last_bookmark {
            let bookmark = self.last_bookmark;
            self.bookmarks.push(format!(
                "an event of revision {revision} came after the bookmark {bookmark}"
            ));
        }
        self.revisions.push(revision);
    }

    /// A bookmark came: that all up to its revision has been told.
    pub fn bookmark(&mut self, revision: u64) {
        self.last_bookmark = self.last_bookmark.max(revision);
    }

    /// How many events came.
    pub fn len(&self) -> usize {
        self.revisions.len()
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    /// The revision of the last one.
    pub fn last(&self) -> Option<u64> {
        self.revisions.last().copied()
    }

    /// What is wrong, given the revisions of acknowledged writes. There may be events of other
    /// writes: those that were done and whose answer was lost.
    pub fn violations(&self, written: &BTreeSet<u64>) -> Vec<String> {
        let mut violations = self.bookmarks.clone();
        for pair in self.revisions.windows(2) {
            if let [first, second] = pair
                && second < first
            {
                violations.push(format!("revision {second} was told after {first}"));
            }
        }
        let heard: BTreeSet<u64> = self.revisions.iter().copied().collect();
        if heard.len() < self.revisions.len() {
            let twice = self.revisions.len() - heard.len();
            violations.push(format!("{twice} events were told twice"));
        }
        let missed: Vec<&u64> = written.difference(&heard).collect();
        if let Some(first) = missed.first() {
            violations.push(format!(
                "{} of {} writes were not told, the first of them revision {first}",
                missed.len(),
                written.len()
            ));
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(heard: &[u64], written: &[u64]) -> Vec<String> {
        let mut it = Heard::default();
        heard.iter().for_each(|revision| it.event(*revision));
        it.violations(&written.iter().copied().collect())
    }

    #[test]
    fn all_once_and_in_order_is_right() {
        assert!(violations(&[3, 5, 9], &[3, 5, 9]).is_empty());
        // Something whose answer was lost.
        assert!(violations(&[3, 4, 5], &[3, 5]).is_empty());
    }

    #[test]
    fn each_way_to_be_wrong_is_told() {
        assert_eq!(
            violations(&[3, 9], &[3, 5, 9]),
            ["1 of 3 writes were not told, the first of them revision 5"]
        );
        assert_eq!(violations(&[3, 3], &[3]), ["1 events were told twice"]);
        assert_eq!(
            violations(&[5, 3], &[3, 5]),
            ["revision 3 was told after 5"]
        );
    }

    #[test]
    fn nothing_comes_after_a_bookmark_that_covers_it() {
        let mut heard = Heard::default();
        heard.event(3);
        heard.bookmark(7);
        heard.event(8);
        let written = BTreeSet::from([3, 8]);
        assert!(heard.violations(&written).is_empty());
        heard.event(6);
        assert_eq!(heard.violations(&written).len(), 2);
    }
}
