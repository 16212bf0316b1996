//! One field of a schedule: a bit for each value that it lets through.

use super::{ScheduleError, error};
use std::num::IntErrorKind;

/// The bit that says that a field was `*`, and is no restriction.
pub(super) const ANY: u64 = 1 << 63;

/// Whether a value is among those let through.
pub(super) fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value) != 0
}

/// What may stand in a field.
pub(super) struct Field {
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

pub(super) const MINUTES: Field = plain(0, 59);
pub(super) const HOURS: Field = plain(0, 23);
pub(super) const DAYS: Field = plain(1, 31);
pub(super) const MONTHS: Field = Field {
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
pub(super) const WEEKDAYS: Field = Field {
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

const fn plain(min: u64, max: u64) -> Field {
    Field {
        min,
        max,
        names: &[],
    }
}

impl Field {
    /// A list of ranges.
    pub(super) fn parse(&self, text: &str) -> Result<u64, ScheduleError> {
        let ranges = text.split(',').filter(|range| !range.is_empty());
        ranges
            .map(|range| self.range(range))
            .try_fold(0, |all, bits| Ok(all | bits?))
    }

    /// `*`, `?`, a number or a range, with a step or without.
    fn range(&self, text: &str) -> Result<u64, ScheduleError> {
        let (range, step) = match *text.split('/').collect::<Vec<_>>() {
            [range] => (range, None),
            [range, step] => (range, Some(step)),
            [range, ..] => (range, Some("")),
            [] => ("", None),
        };
        let ends: Vec<&str> = range.split('-').collect();
        let any = matches!(ends[0], "*" | "?");
        let (first, mut last) = match ends[..] {
            _ if any => (self.min, self.max),
            [one] => (self.value(one)?, self.value(one)?),
            [first, last] => (self.value(first)?, self.value(last)?),
            _ => {
                // The first is read before they are counted.
                self.value(ends[0])?;
                return error(format!("too many hyphens: {text}"));
            }
        };
        if text.matches('/').count() > 1 {
            return error(format!("too many slashes: {text}"));
        }
        let step = match step {
            None => 1,
            Some(step) => {
                let step = number(step)?;
                if ends.len() == 1 {
                    last = self.max;
                }
                step
            }
        };
        let Field { min, max, .. } = self;
        if first < *min {
            return error(format!(
                "beginning of range ({first}) below minimum ({min}): {text}"
            ));
        }
        if last > *max {
            return error(format!(
                "end of range ({last}) above maximum ({max}): {text}"
            ));
        }
        if first > last {
            return error(format!(
                "beginning of range ({first}) beyond end of range ({last}): {text}"
            ));
        }
        if step == 0 {
            return error(format!("step of range should be a positive number: {text}"));
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let bits = (first..=last)
            .step_by(step)
            .fold(0, |bits, value| bits | 1 << value);
        Ok(if any && step == 1 { bits | ANY } else { bits })
    }

    fn value(&self, text: &str) -> Result<u64, ScheduleError> {
        let name = text.to_ascii_lowercase();
        match self.names.iter().position(|known| *known == name) {
            Some(at) => Ok(self.min + at as u64),
            None => number(text),
        }
    }
}

/// A number, refused in the words of Go's `strconv.Atoi`.
fn number(text: &str) -> Result<u64, ScheduleError> {
    match text.parse::<i64>() {
        Ok(number) => u64::try_from(number)
            .or_else(|_| error(format!("negative number ({number}) not allowed: {text}"))),
        Err(wrong) => {
            let why = match wrong.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            error(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"
            ))
        }
    }
}
