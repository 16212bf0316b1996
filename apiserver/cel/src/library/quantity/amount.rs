//! How Kubernetes holds a quantity: as a 64-bit number and a power of ten where that is
//! surely enough, else as a decimal of any length. Only the first are ever integers to CEL
//! (`k8s.io/apimachinery/pkg/api/resource`: `ParseQuantity`, `int64Amount`).

/// `value × 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    value: i64,
    scale: i32,
}

/// With so many decimal digits a number surely fits 64 bits.
const SURE_DIGITS: i32 = 18;
/// The smallest power of ten that is held so.
const NANO: i32 = -9;

impl Amount {
    pub fn integer(value: i64) -> Self {
        Self { value, scale: 0 }
    }

    /// What a text that is a quantity is held as, if it is held so at all.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = whole.trim_start_matches('0');
        let digits = i32::try_from(whole.len() + fraction.len()).ok()?;
        let binary = suffix.ends_with('i');
        let (factor, scale, sure) = if binary {
            let power = 10 * (1 + "KMGTPE".find(suffix.chars().next()?)? as i32);
            // Digits of the factor, about three for each power of 1024.
            let of_factor = (f64::from(power) * 3.0 / 10.0) as i32;
            (
                1i64 << power,
                0,
                fraction.is_empty() && 15 - digits - of_factor > 0,
            )
        } else {
            (1, decimal_power(suffix)?, digits <= SURE_DIGITS)
        };
        let scale = scale - i32::try_from(fraction.len()).ok()?;
        if !sure || scale < NANO {
            return None;
        }
        let digits = format!("0{whole}{fraction}");
        let value = digits.parse::<i64>().ok()?.checked_mul(factor)?;
        Some(Self {
            value: if negative { -value } else { value },
            scale,
        })
    }

    /// The number, if it is whole and fits; a fraction that happens to be zero doesn't count
    /// as whole.
    pub fn as_integer(self) -> Option<i64> {
        match self.scale {
            _ if self.value == 0 => Some(0),
            scale if scale < 0 => None,
            scale => self.raised(scale),
        }
    }

    /// The value times a power of ten.
    fn raised(self, power: i32) -> Option<i64> {
        let factor = 10i64.checked_pow(u32::try_from(power).ok()?)?;
        self.value.checked_mul(factor)
    }

    pub fn negated(self) -> Option<Self> {
        Some(Self {
            value: self.value.checked_neg()?,
            ..self
        })
    }

    /// The sum, at the lesser of the two scales.
    pub fn plus(self, other: Self) -> Option<Self> {
        if other.value == 0 {
            return Some(self);
        }
        if self.value == 0 {
            return Some(other);
        }
        let scale = self.scale.min(other.scale);
        let one = self.raised(self.scale - scale)?;
        let other = other.raised(other.scale - scale)?;
        Some(Self {
            value: one.checked_add(other)?,
            scale,
        })
    }
}

/// The power of ten that a suffix stands for.
fn decimal_power(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        exponent => exponent.strip_prefix(['e', 'E'])?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // By the rules of Kubernetes' ParseQuantity and AsInt64.
    #[test]
    fn what_counts_as_an_integer() {
        for (text, integer) in [
            ("0", Some(0)),
            ("50", Some(50)),
            ("-50k", Some(-50_000)),
            ("50000000G", Some(50_000_000_000_000_000)),
            ("20Mi", Some(20 << 20)),
            ("1e3", Some(1000)),
            ("007", Some(7)),
            ("1.5k", Some(1500)),
            ("1.5", None),
            ("1.0", None),
            ("1000m", None),
            ("1.5Gi", None),
            ("9999999999999999999G", None),
            ("9223372036854775807", None),
        ] {
            let amount = Amount::parse(text);
            assert_eq!(amount.and_then(Amount::as_integer), integer, "{text}");
        }
    }

    #[test]
    fn sums() {
        let sum = |one, other| {
            let (one, other) = (Amount::parse(one)?, Amount::parse(other)?);
            one.plus(other)?.as_integer()
        };
        assert_eq!(sum("50k", "20"), Some(50_020));
        assert_eq!(sum("1.5", "1.5"), None, "held in tenths");
        assert_eq!(sum("0", "1k"), Some(1000));
    }
}
