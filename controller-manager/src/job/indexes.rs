//! Sets of completion indexes, as a Job's status writes them: `1,3-5,7`.

use std::fmt;

/// Indexes as ranges, in order, that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(i32, i32)>);

impl Indexes {
    /// Those of a text that are below `completions`; what can't be read is passed over.
    pub fn parse(text: &str, completions: i32) -> Self {
        let ranges = text.split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse().ok()?, last.parse::<i32>().ok()?);
            (first < completions).then_some((first, last.min(completions - 1)))
        });
        Self::of_ranges(ranges.collect())
    }

    fn of_ranges(mut ranges: Vec<(i32, i32)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(i32, i32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// With those of another set.
    pub fn union(&self, other: &Self) -> Self {
        Self::of_ranges([self.0.as_slice(), &other.0].concat())
    }

    /// With some more.
    pub fn with(&self, indexes: impl IntoIterator<Item = i32>) -> Self {
        self.union(&indexes.into_iter().collect())
    }

    /// How many there are.
    pub fn len(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    pub fn contains(&self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many are in both sets.
    pub fn overlap(&self, other: &Self) -> i32 {
        let (mut own, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut count = 0;
        while let (Some((a, b)), Some((c, d))) = (own.peek(), others.peek()) {
            count += (b.min(d) - a.max(c) + 1).max(0);
            if b < d {
                own.next();
            } else {
                others.next();
            }
        }
        count
    }

    /// The first `count` indexes below `completions` that are not among these.
    pub fn first_missing(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut missing = Vec::new();
        let mut next = 0;
        for (first, last) in self.0.iter().chain([&(completions, completions)]) {
            let gap = next..(*first).min(completions);
            missing.extend(gap.take(count - missing.len()));
            next = next.max(last.saturating_add(1));
        }
        missing
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Self {
        Self::of_ranges(indexes.into_iter().map(|index| (index, index)).collect())
    }
}

/// Two neighbours are written as two, more as a range.
impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Indexes {
        Indexes::parse(text, 20)
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["", "0", "1,3-5,7", "0-19", "0,1,3", "2,3,5-8,19"] {
            assert_eq!(parse(text).to_string(), text);
        }
        for (text, read) in [
            ("0,1,2", "0-2"),
            ("18-25", "18,19"),
            ("3,x,5", "3,5"),
            ("7-y,9", "9"),
            ("25", ""),
            ("1-3,4", "1-4"),
        ] {
            assert_eq!(parse(text).to_string(), read, "{text}");
        }
    }

    #[test]
    fn they_are_counted_and_joined() {
        let set = parse("1,3-5,7");
        assert_eq!(set.len(), 5);
        assert!(set.contains(4) && set.contains(1) && !set.contains(2) && !set.contains(9));
        assert_eq!(set.with([2, 6, 6]).to_string(), "1-7");
        assert_eq!(set.union(&parse("0,8-9")).to_string(), "0,1,3-5,7-9");
        for (other, overlap) in [("", 0), ("0-19", 5), ("2,4,6,7", 2), ("8-19", 0)] {
            assert_eq!(set.overlap(&parse(other)), overlap, "{other}");
            assert_eq!(parse(other).overlap(&set), overlap, "{other}");
        }
    }

    #[test]
    fn gaps_are_filled_from_the_left() {
        let set = parse("0,2-4,7");
        assert_eq!(set.first_missing(3, 20), [1, 5, 6]);
        assert_eq!(set.first_missing(10, 9), [1, 5, 6, 8]);
        assert_eq!(set.first_missing(0, 9), [0; 0]);
        assert_eq!(Indexes::default().first_missing(2, 1), [0]);
        let far: Indexes = [i32::MAX].into_iter().collect();
        assert_eq!(far.first_missing(2, 5), [0, 1]);
    }
}
