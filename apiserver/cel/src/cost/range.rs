//! Ranges of sizes and costs, which never overflow: what is too much is the most there is.

/// How much something costs at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

/// A range of costs.
pub type CostRange = Range;

/// A range of sizes: characters, bytes, elements or entries.
pub type SizeRange = Range;

impl Range {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        min: 0,
        max: u64::MAX,
    };

    /// From `min` to `max`.
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    /// Exactly this.
    pub const fn fixed(amount: u64) -> Self {
        Self::new(amount, amount)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    /// Each bound times a factor, rounded up.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            min: scaled(self.min, factor),
            max: scaled(self.max, factor),
        }
    }

    /// From the lesser least to the greater most.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// An amount times a factor, rounded up.
pub(crate) fn scaled(amount: u64, factor: f64) -> u64 {
    // A float that is too large becomes the greatest integer.
    (amount as f64 * factor).ceil() as u64
}
