//! What became of a write whose answer did not come.
//!
//! A transaction that compares a key with the revision of its last change
//! happens at most once however often it is sent, since no revision comes
//! back. So a change or deletion is sent again until it is known. Creations
//! compare with nothing: sent again, one might bring back what has been
//! created and deleted meanwhile. They are only looked up.

/// What the key shows about a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was done, at this revision if that is known.
    Done(Option<i64>),
    /// It was not done and may be sent again.
    Again,
    /// Others have written since; the key's history knows more.
    Overwritten,
    /// It was not done and can't be any more.
    Refused,
    /// It may have been done, or may still be.
    Unknown,
}

/// A key as etcd has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The bytes.
    pub value: Vec<u8>,
    /// The revision of the last change.
    pub changed: i64,
    /// The revision at which the key came.
    pub created: i64,
}

/// A write as it was sent.
pub(super) struct Sent<'a> {
    /// The revision the key must be at; 0: it must not exist.
    pub expected: i64,
    /// The bytes; none for a deletion.
    pub value: Option<&'a [u8]>,
}

impl Sent<'_> {
    /// What it came to, seen from the key as it is now.
    pub fn verdict(&self, now: Option<&Version>) -> Verdict {
        match (self.value, now) {
            // What was there is gone; whoever did it, it is done.
            (None, None) => Verdict::Done(None),
            (None, Some(now)) if now.created > self.expected => Verdict::Done(None),
            (_, Some(now)) if now.changed == self.expected => Verdict::Again,
            (None, Some(_)) => Verdict::Refused,
            (Some(value), Some(now)) if now.value == value => Verdict::Done(Some(now.changed)),
            (Some(_), Some(_)) => Verdict::Overwritten,
            (Some(_), None) if self.expected == 0 => Verdict::Unknown,
            (Some(_), None) => Verdict::Refused,
        }
    }

    /// The revision at which a version of the key must be looked at to know
    /// whether it came right after this write; none if it is this write, or
    /// there is none before it.
    pub fn before(&self, version: &Version) -> Option<i64> {
        match self.expected {
            // Only the first version can be a creation.
            0 if version.created < version.changed => Some(version.created),
            0 => None,
            expected if version.created > expected => None,
            _ => Some(version.changed - 1),
        }
    }
}

impl From<etcd_client::KeyValue> for Version {
    fn from(pair: etcd_client::KeyValue) -> Self {
        let (changed, created) = (pair.mod_revision(), pair.create_revision());
        Self {
            value: pair.into_key_value().1,
            changed,
            created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(value: &str, created: i64, changed: i64) -> Version {
        Version {
            value: value.into(),
            changed,
            created,
        }
    }

    #[test]
    fn creations_are_done_if_they_are_there() {
        let sent = Sent {
            expected: 0,
            value: Some(b"mine"),
        };
        assert_eq!(sent.verdict(None), Verdict::Unknown);
        let mine = version("mine", 7, 7);
        assert_eq!(sent.verdict(Some(&mine)), Verdict::Done(Some(7)));
        let later = version("changed", 7, 9);
        assert_eq!(sent.verdict(Some(&later)), Verdict::Overwritten);
        assert_eq!(sent.before(&later), Some(7));
        assert_eq!(sent.before(&version("other", 7, 7)), None);
    }

    #[test]
    fn changes_are_sent_again_while_nothing_else_was() {
        let sent = Sent {
            expected: 5,
            value: Some(b"mine"),
        };
        assert_eq!(sent.verdict(Some(&version("old", 3, 5))), Verdict::Again);
        // Not even if nothing would change.
        assert_eq!(sent.verdict(Some(&version("mine", 3, 5))), Verdict::Again);
        assert_eq!(
            sent.verdict(Some(&version("mine", 3, 8))),
            Verdict::Done(Some(8))
        );
        let later = version("other", 3, 9);
        assert_eq!(sent.verdict(Some(&later)), Verdict::Overwritten);
        assert_eq!(sent.before(&later), Some(8));
        assert_eq!(sent.before(&version("other", 9, 9)), None);
        assert_eq!(sent.verdict(None), Verdict::Refused);
    }

    #[test]
    fn deletions_are_done_if_it_is_gone() {
        let sent = Sent {
            expected: 5,
            value: None,
        };
        assert_eq!(sent.verdict(None), Verdict::Done(None));
        assert_eq!(
            sent.verdict(Some(&version("new", 6, 6))),
            Verdict::Done(None)
        );
        assert_eq!(sent.verdict(Some(&version("old", 3, 5))), Verdict::Again);
        assert_eq!(sent.verdict(Some(&version("old", 3, 6))), Verdict::Refused);
    }
}
