//! How full etcd is, and what may still be written then.
//!
//! etcd compares the size of its file with its quota before each write, and once that is
//! reached takes none but deletions until somebody disarms its alarm. So growth is refused
//! earlier: what is left is for those who make room.

use std::fmt;

/// Shares of the quota from which on a level holds.
const TIGHT: f64 = 0.80;
const FULL: f64 = 0.95;
const RESERVE: f64 = 0.98;

/// By so many bytes an object may grow at [`Level::Full`]: room for a condition or the name of
/// another manager of fields, as who scales something down leaves it.
pub const SLACK: i64 = 1024;
/// What is larger, in bytes, is no sign of life, whatever its kind.
pub const LARGEST_LEASE: usize = 4096;

/// Bytes of a page of etcd's file. What is larger than one has some to itself.
const PAGE: u64 = 4096;
/// What a record has beside key and value.
const OVERHEAD: u64 = 256;

/// What is known of the space of etcd's fullest member, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of its file.
    pub size: u64,
    /// Of the file's pages that hold something; what is left of it after a defragmentation.
    pub in_use: u64,
    /// The file may not become larger; 0 where it isn't known.
    pub quota: u64,
    /// Whether etcd has raised its alarm NOSPACE.
    pub alarm: bool,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is room, or nobody knows better.
    #[default]
    Ample,
    /// Most is used; people are told.
    Tight,
    /// Objects are neither created nor grow by much.
    Full,
    /// Nothing grows.
    Reserve,
    /// etcd itself takes only deletions.
    Alarm,
}

/// What a write means for the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// An object goes.
    Removal,
    /// An object that is to go is marked so, or loses a finalizer.
    Leaving,
    /// A Lease: there are few, they are small, and without them nodes are taken for dead.
    Lease,
    /// An object becomes so many bytes longer.
    By(i64),
    /// There is one more.
    New,
}

impl Usage {
    /// The same after writes that took so much: nothing of it is free again before the history
    /// is compacted, and the file may have had no pages for it.
    pub fn after(self, written: u64) -> Self {
        Self {
            size: self.size + written,
            in_use: self.in_use + written,
            ..self
        }
    }

    /// How full it is. Pages that are free within the file are used before it grows, but not
    /// by what is larger than each of them: a file that has nearly come to its end counts,
    /// whatever is in it.
    pub fn level(self) -> Level {
        if self.alarm {
            return Level::Alarm;
        }
        let (in_use, size) = (self.share(self.in_use), self.share(self.size));
        match in_use {
            _ if in_use >= RESERVE => Level::Reserve,
            _ if in_use >= FULL || size >= RESERVE => Level::Full,
            _ if in_use >= TIGHT || size >= TIGHT => Level::Tight,
            _ => Level::Ample,
        }
    }

    /// A part of the quota; nothing where that isn't known.
    pub fn share(self, bytes: u64) -> f64 {
        match self.quota {
            0 => 0.0,
            quota => bytes as f64 / quota as f64,
        }
    }
}

/// What a write takes of etcd's file, by the bytes of its key and value.
pub fn cost(bytes: usize) -> u64 {
    match bytes as u64 + OVERHEAD {
        small @ ..PAGE => small,
        large => large.next_multiple_of(PAGE),
    }
}

impl Level {
    /// Whether a write is let through.
    pub fn permits(self, growth: Growth) -> bool {
        match (self, growth) {
            (Self::Ample | Self::Tight, _) | (_, Growth::Removal) => true,
            (Self::Alarm, _) => false,
            (_, Growth::Leaving | Growth::Lease) => true,
            (Self::Full, Growth::By(bytes)) => bytes <= SLACK,
            (Self::Reserve, Growth::By(bytes)) => bytes <= 0,
            (_, Growth::New) => false,
        }
    }
}

/// In words: `96% of 8.0 GiB in use, a file of 7.9 GiB`.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.share(self.in_use) * 100.0).round();
        let (quota, size) = (Bytes(self.quota), Bytes(self.size));
        write!(f, "{percent}% of {quota} in use, a file of {size}")
    }
}

/// A number of bytes, for people.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.0 as f64 / f64::from(1 << 20);
        match mebibytes < 1024.0 {
            true => write!(f, "{mebibytes:.1} MiB"),
            false => write!(f, "{:.1} GiB", mebibytes / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn usage(size: u64, in_use: u64) -> Usage {
        Usage {
            size,
            in_use,
            quota: 1000,
            alarm: false,
        }
    }

    #[test]
    fn what_is_in_use_counts_and_a_file_that_is_nearly_at_its_end() {
        for (size, in_use, level) in [
            (700, 700, Level::Ample),
            (800, 100, Level::Tight),
            (970, 100, Level::Tight),
            (980, 100, Level::Full),
            (950, 950, Level::Full),
            (990, 980, Level::Reserve),
        ] {
            assert_eq!(usage(size, in_use).level(), level, "{size} {in_use}");
        }
        let alarm = Usage {
            alarm: true,
            ..usage(1, 1)
        };
        assert_eq!(alarm.level(), Level::Alarm);
        let unknown = Usage {
            quota: 0,
            ..usage(5000, 5000)
        };
        assert_eq!(unknown.level(), Level::Ample);
    }

    #[test]
    fn what_was_written_since_counts() {
        let usage = Usage {
            quota: 1 << 20,
            ..Usage::default()
        };
        assert_eq!(usage.after(900 << 10).level(), Level::Tight);
        assert_eq!(usage.after(1000 << 10).level(), Level::Full);
        // Where pages are free, they may not be the ones that are needed.
        let fragmented = Usage {
            size: 1000 << 10,
            ..usage
        };
        assert_eq!(fragmented.level(), Level::Tight);
        assert_eq!(fragmented.after(10 << 10).level(), Level::Full);
    }

    #[test]
    fn what_is_large_has_pages_to_itself() {
        assert_eq!(cost(100), 356);
        assert_eq!(cost(4000), 8192);
        assert_eq!(cost(100_000), 102_400);
    }

    #[test]
    fn growth_is_refused_first_and_deletions_never() {
        let all = [
            Growth::New,
            Growth::By(5000),
            Growth::By(SLACK),
            Growth::By(0),
            Growth::Lease,
            Growth::Leaving,
            Growth::Removal,
        ];
        // So many of these, from the end, are permitted.
        for (level, permitted) in [
            (Level::Ample, 7),
            (Level::Tight, 7),
            (Level::Full, 5),
            (Level::Reserve, 4),
            (Level::Alarm, 1),
        ] {
            let refused = all.iter().take_while(|growth| !level.permits(**growth));
            assert_eq!(refused.count(), all.len() - permitted, "{level:?}");
            let mut others = all.iter().rev().take(permitted);
            assert!(others.all(|growth| level.permits(*growth)), "{level:?}");
        }
    }

    #[test]
    fn people_read_shares_and_units() {
        let usage = Usage {
            size: 8 << 30,
            in_use: 6 << 30,
            quota: 8 << 30,
            alarm: false,
        };
        assert_eq!(
            usage.to_string(),
            "75% of 8.0 GiB in use, a file of 8.0 GiB"
        );
    }
}
