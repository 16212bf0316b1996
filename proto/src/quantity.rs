//! Quantities: numbers with a suffix, as resources and sizes are written.
//!
//! Parsing, rounding and the canonical form are those of Kubernetes'
//! `k8s.io/apimachinery/pkg/api/resource`.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

/// One whole unit in the finest step a quantity can hold.
const NANO: i128 = 1_000_000_000;
/// What is more than this becomes this, in the finest step …
const LARGEST: i128 = 10i128.pow(38);
/// … and what is written in steps of 1024, this, as in Kubernetes.
const LARGEST_BINARY: i128 = i64::MAX as i128 * NANO;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`, steps of 1000.
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`, steps of 1024.
    BinarySi,
    /// `12e6`.
    DecimalExponent,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text as a whole hasn't the form of a quantity.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// Its number can't be read.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// Its suffix isn't one of those known.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact number between 10⁻⁹ and about 10²⁹, and how it is written.
///
/// Equality and order are those of the number alone: `1` equals `1000m`.
///
/// ```
/// use hardway_proto::quantity::Quantity;
///
/// let cpu: Quantity = "1500m".parse().unwrap();
/// assert_eq!((cpu.milli_value(), cpu.value()), (1500, 2), "rounded up");
/// assert_eq!(cpu, "1.5".parse().unwrap());
/// let memory: Quantity = "1024Mi".parse().unwrap();
/// assert_eq!(memory.to_string(), "1Gi", "the canonical form");
/// assert!("1 GB".parse::<Quantity>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// A whole number.
    pub const fn from_value(value: i64, format: Format) -> Self {
        Self {
            nanos: value as i128 * NANO,
            format,
        }
    }

    /// A number of thousandths.
    pub const fn from_milli(milli: i64, format: Format) -> Self {
        Self {
            nanos: milli as i128 * (NANO / 1000),
            format,
        }
    }

    /// Reads a quantity from JSON, where it may be a string or a number.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, QuantityError> {
        match value {
            serde_json::Value::String(text) => text.trim().parse(),
            serde_json::Value::Number(number) => number.to_string().parse(),
            serde_json::Value::Null => Ok(Self::default()),
            _ => Err(QuantityError::Format),
        }
    }

    /// The number, rounded up to whole units.
    pub fn value(&self) -> i64 {
        clamp(ceil_div(self.nanos, NANO))
    }

    /// The number of thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        clamp(ceil_div(self.nanos, NANO / 1000))
    }

    /// The number as floating point, for ratios and metrics.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Whether it has no fraction.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.nanos.signum() as i32
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rounded away from zero to thousandths, the finest step in which
    /// resources of containers and nodes are kept.
    pub fn round_up_milli(self) -> Self {
        let step = NANO / 1000;
        Self {
            nanos: round_away(self.nanos, step).saturating_mul(step),
            ..self
        }
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }
}

fn ceil_div(n: i128, d: i128) -> i128 {
    let quotient = n / d;
    if n % d > 0 { quotient + 1 } else { quotient }
}

fn round_away(n: i128, d: i128) -> i128 {
    if n < 0 {
        -ceil_div(n.saturating_neg(), d)
    } else {
        ceil_div(n, d)
    }
}

fn clamp(n: i128) -> i64 {
    n.clamp(i64::MIN as i128, i64::MAX as i128) as i64
}

/// Base, exponent and format of a suffix.
fn suffix(text: &str) -> Result<(i128, i32, Format), QuantityError> {
    let decimal = |exponent| Ok((10, exponent, Format::DecimalSi));
    let binary = |exponent| Ok((2, exponent, Format::BinarySi));
    match text {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = text
                .strip_prefix(['e', 'E'])
                .and_then(|digits| digits.parse().ok())
                .ok_or(QuantityError::Suffix)?;
            Ok((10, exponent, Format::DecimalExponent))
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let digits_end = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let (whole, rest) = unsigned.split_at(digits_end(unsigned));
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits_end(rest)),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::Format);
        }
        let letters = rest
            .find(|c| !"eEinumkKMGTP".contains(c))
            .unwrap_or(rest.len());
        let exponent = &rest[letters..];
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits_end(exponent) != exponent.len() {
            return Err(QuantityError::Format);
        }
        let (base, exponent, mut format) = suffix(rest)?;
        let nanos = scaled(whole, fraction, base, exponent).ok_or(QuantityError::Numeric)?;
        let nanos = nanos.min(match format {
            Format::BinarySi => LARGEST_BINARY,
            _ => LARGEST,
        });
        // Small binary quantities read better as decimals: 0.5Ki is written 512,
        // but 0.0001Ki is 102400u.
        if format == Format::BinarySi && nanos > 0 && nanos < NANO {
            format = Format::DecimalSi;
        }
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

/// `whole.fraction × base^exponent` in nanos, rounded up; saturates.
fn scaled(whole: &str, fraction: &str, base: i128, exponent: i32) -> Option<i128> {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    // Power of ten that turns the digits, read as an integer, into nanos.
    let mut ten = 9 - i32::try_from(fraction.len()).ok()?;
    let mut factor = 1i128;
    if base == 2 {
        factor <<= exponent;
    } else {
        ten = ten.saturating_add(exponent);
    }
    // What no i128 can hold is far beyond any quantity's meaning.
    let kept = digits.len().min(37);
    let dropped = digits.len() - kept;
    let mut number: i128 = digits[..kept].parse().ok()?;
    if digits[kept..].bytes().any(|b| b != b'0') {
        number += 1;
    }
    ten = ten.saturating_add(i32::try_from(dropped).ok()?);
    // Where no i128 can hold the divisor, the last digits don't count.
    while ten < -38 && number > 1 {
        number = ceil_div(number, 10);
        ten += 1;
    }
    if ten < 0 {
        // Divide first where the product would overflow, multiply first otherwise.
        let divisor = 10i128.checked_pow(ten.unsigned_abs());
        return Some(match (number.checked_mul(factor), divisor) {
            (Some(product), Some(divisor)) => ceil_div(product, divisor),
            (None, Some(divisor)) => divided_first(number, divisor, factor),
            (_, None) => 1,
        });
    }
    let power = 10i128.checked_pow(ten.unsigned_abs()).unwrap_or(i128::MAX);
    Some(number.saturating_mul(factor).saturating_mul(power))
}

/// `number / divisor × factor`, rounded up, where the product of number and factor
/// doesn't fit; saturates.
fn divided_first(number: i128, mut divisor: i128, factor: i128) -> i128 {
    let (whole, mut rest) = (number / divisor, number % divisor);
    // Of the rest so many digits count as the factor leaves room for.
    while rest.checked_mul(factor).is_none() {
        rest = ceil_div(rest, 10);
        divisor /= 10;
    }
    whole
        .saturating_mul(factor)
        .saturating_add(ceil_div(rest * factor, divisor))
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.saturating_abs() < 1024 * NANO;
        // What is no whole number keeps all its digits, as a decimal.
        if self.format == Format::BinarySi && !small && self.nanos % NANO == 0 {
            let mut number = self.nanos / NANO;
            let mut step = 0;
            while step < 6 && number % 1024 == 0 {
                number /= 1024;
                step += 1;
            }
            return write!(
                f,
                "{number}{}",
                ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step]
            );
        }
        let mut number = self.nanos;
        let mut step = 0;
        while step < 9 && number % 1000 == 0 {
            number /= 1000;
            step += 1;
        }
        if self.format == Format::DecimalExponent {
            return match step as i32 * 3 - 9 {
                0 => write!(f, "{number}"),
                exponent => write!(f, "{number}e{exponent}"),
            };
        }
        write!(
            f,
            "{number}{}",
            ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][step]
        )
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Self;

    /// The sum, written like the left side unless that is zero.
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() {
            other.format
        } else {
            self.format
        };
        Self {
            nanos: self
                .nanos
                .saturating_add(other.nanos)
                .clamp(-LARGEST, LARGEST),
            format,
        }
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            nanos: self.nanos.saturating_neg(),
            ..self
        }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_form() {
        for (from, to) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("1.5Gi", "1536Mi"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("100000", "100k"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("0.5Ki", "512"),
            ("12E", "12E"),
            ("4Ei", "4Ei"),
            ("8Ei", "9223372036854775807"),
            ("16Ei", "9223372036854775807"),
            ("0.1Gi", "107374182400m"),
            ("1.2Gi", "1288490188800m"),
            ("0.001Mi", "1048576m"),
            ("12e6", "12e6"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("+7", "7"),
            ("-3Mi", "-3Mi"),
            ("1.1k", "1100"),
            ("123456789Ki", "123456789Ki"),
            ("0.0001Ki", "102400u"),
            (
                ".00000000000300000000000000000016508190079053666254Mi",
                "3146n",
            ),
        ] {
            assert_eq!(q(from).to_string(), to, "{from}");
        }
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        for text in ["", "-", "1.1.M", "1+1.0M", "aoeu", "1 Mi", "1,5", "1e3x"] {
            assert_eq!(
                text.parse::<Quantity>(),
                Err(QuantityError::Format),
                "{text}"
            );
        }
        for text in ["1i", "0.1mi", "500mi", "1K", "1kk", "1e", "1ee3"] {
            let error = text.parse::<Quantity>().unwrap_err();
            assert_eq!(error, QuantityError::Suffix, "{text}");
        }
    }

    #[test]
    fn arithmetic_and_rounding() {
        assert_eq!(q("1") + q("500m"), q("1.5"));
        assert_eq!((q("2Gi") - q("512Mi")).to_string(), "1536Mi");
        assert!(q("1Gi") > q("1G"));
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("-1500m").value(), -1);
        assert_eq!(q("1.0001").milli_value(), 1001);
        assert_eq!(q("1u").round_up_milli().to_string(), "1m");
        assert_eq!(q("100E").value(), i64::MAX);
        assert_eq!(q("1"), q("1000m"));
    }

    #[test]
    fn from_json() {
        assert_eq!(Quantity::from_json(&serde_json::json!(0.5)), Ok(q("500m")));
        assert_eq!(Quantity::from_json(&serde_json::json!("2Gi")), Ok(q("2Gi")));
        assert!(Quantity::from_json(&serde_json::json!([])).is_err());
    }
}
