//! Numbers that may be percentages of another.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A number, or a share of `total`, rounded up or down.
pub fn resolve(amount: &IntOrString, total: i32, round_up: bool) -> i32 {
    match amount {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = percent.saturating_mul(total.into());
            let hundredths = hundredths.saturating_add(if round_up { 99 } else { 0 });
            i32::try_from(hundredths / 100).unwrap_or(i32::MAX)
        }
    }
}
