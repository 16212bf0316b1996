//! Dividing the server's seats among its priority levels.

/// What a level gets at least and at most, and what it would like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// What it aims at; not below `lower`.
    pub target: f64,
    /// It gets at least this.
    pub lower: f64,
    /// It gets at most this.
    pub upper: f64,
}

/// How much each level gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// One for each level.
    pub seats: Vec<f64>,
    /// The part of its target that a level gets which meets no bound.
    pub fair_fraction: f64,
}

/// Smaller targets count as this, so that nothing is divided by zero.
const MIN_TARGET: f64 = 0.001;
const EPSILON: f64 = 1e-7;

/// Divides `sum` so that each level gets the same fraction of its target, as
/// far as its bounds allow. `None` if the bounds allow no such division.
pub fn allocate(sum: f64, levels: &[Bounds]) -> Option<Shares> {
    let share = |level: &Bounds, fraction: f64| {
        (fraction * level.target.max(MIN_TARGET))
            .max(level.lower)
            .min(level.upper)
    };
    let total = |fraction: f64| levels.iter().map(|l| share(l, fraction)).sum::<f64>();
    if levels.iter().any(|l| l.lower < 0.0 || l.upper < l.lower) {
        return None;
    }
    // Between these fractions nobody meets a bound or leaves one: the total
    // grows evenly.
    let mut corners: Vec<f64> = levels
        .iter()
        .flat_map(|l| [l.lower, l.upper].map(|bound| bound / l.target.max(MIN_TARGET)))
        .collect();
    corners.sort_by(f64::total_cmp);
    let (first, last) = (*corners.first()?, *corners.last()?);
    let (least, most) = (total(first), total(last));
    if sum < least - EPSILON || sum > most + EPSILON {
        return None;
    }
    let fair_fraction = if sum <= least {
        first
    } else {
        let after = corners.iter().position(|c| total(*c) >= sum);
        match after {
            None | Some(0) => last,
            Some(i) => {
                let (from, to) = (corners[i - 1], corners[i]);
                let (low, high) = (total(from), total(to));
                from + (to - from) * (sum - low) / (high - low)
            }
        }
    };
    Some(Shares {
        seats: levels.iter().map(|l| share(l, fair_fraction)).collect(),
        fair_fraction,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(sum: f64, levels: &[(f64, f64, f64)]) -> Option<(Vec<i64>, f64)> {
        let levels: Vec<Bounds> = levels
            .iter()
            .map(|&(lower, target, upper)| Bounds {
                target,
                lower,
                upper,
            })
            .collect();
        let shares = allocate(sum, &levels)?;
        let rounded = shares.seats.iter().map(|s| s.round() as i64).collect();
        Some((rounded, shares.fair_fraction))
    }

    #[test]
    fn without_bounds_all_get_the_same_fraction() {
        let (seats, fraction) = divide(100.0, &[(0.0, 10.0, 100.0), (0.0, 40.0, 100.0)]).unwrap();
        assert_eq!(seats, [20, 80]);
        assert_eq!(fraction, 2.0);
    }

    #[test]
    fn bounds_hold_and_the_rest_is_shared() {
        // The first may not sink below 60, the second not grow above 10.
        let levels = [(60.0, 60.0, 100.0), (0.0, 30.0, 10.0), (0.0, 10.0, 100.0)];
        let (seats, _) = divide(80.0, &levels).unwrap();
        assert_eq!(seats, [60, 10, 10]);
    }

    #[test]
    fn impossible_divisions_are_told() {
        assert_eq!(divide(5.0, &[(6.0, 6.0, 9.0)]), None);
        assert_eq!(divide(10.0, &[(6.0, 6.0, 9.0)]), None);
        assert_eq!(divide(6.0, &[(6.0, 6.0, 9.0)]).unwrap().0, [6]);
        assert_eq!(divide(9.0, &[(6.0, 6.0, 9.0)]).unwrap().0, [9]);
        assert_eq!(allocate(0.0, &[]), None);
    }

    #[test]
    fn the_sum_is_met_whatever_the_bounds() {
        let mut seed = 7_u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for _ in 0..2_000 {
            let levels: Vec<Bounds> = (0..1 + random(6))
                .map(|_| {
                    let lower = random(40) as f64;
                    Bounds {
                        target: lower + random(40) as f64,
                        lower,
                        upper: lower + random(80) as f64,
                    }
                })
                .collect();
            let least: f64 = levels.iter().map(|l| l.lower).sum();
            let most: f64 = levels.iter().map(|l| l.upper).sum();
            let sum = least + random(1 + (most - least) as u64) as f64;
            let shares = allocate(sum, &levels).unwrap();
            let given: f64 = shares.seats.iter().sum();
            assert!((given - sum).abs() < 1e-6, "{levels:?} {sum} {given}");
        }
    }
}
