//! Plots as SVG, drawn here: a page has no code of others. Pure.

use std::fmt::Write;

use crate::latency::Percentiles;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
/// Room for the labels: left, right, above and below.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Shares with a line of their own, in percent.
const TICKS: [f64; 5] = [0.0, 50.0, 90.0, 99.0, 99.9];
/// So many colours there are; further curves begin anew.
const COLOURS: usize = 8;

/// Latencies by share of the operations: both axes are logarithmic, so that the slowest ones
/// are seen.
pub(super) fn latencies(curves: &[(&str, &Percentiles)]) -> String {
    let values = curves.iter().flat_map(|(_, it)| &it.curve);
    let values: Vec<f64> = values.map(|(_, value)| value.max(0.001)).collect();
    let least = values
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min)
        .log10()
        .floor();
    let most = values.iter().copied().fold(0.001, f64::max).log10().ceil();
    let (least, most) = match least < most {
        true => (least, most),
        false => (most - 1.0, most),
    };
    let x = |share: f64| {
        LEFT + (WIDTH - LEFT - RIGHT) * -(1.0 - share.min(99.99) / 100.0).log10() / 4.0
    };
    let y = |value: f64| {
        let height = (value.max(0.001).log10() - least) / (most - least);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * height
    };
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#);
    for share in TICKS {
        let (at, low) = (x(share), HEIGHT - BOTTOM);
        let _ = write!(
            svg,
            r#"<path class="grid" d="M{at:.1} {TOP}V{low:.1}"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{share} %</text>"#,
            low + 16.0
        );
    }
    let mut power = least;
    while power <= most {
        let at = y(10_f64.powf(power));
        let _ = write!(
            svg,
            r#"<path class="grid" d="M{LEFT} {at:.1}H{:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{} ms</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            10_f64.powf(power)
        );
        power += 1.0;
    }
    for (number, (name, it)) in curves.iter().enumerate() {
        let points = it.curve.iter();
        let points: Vec<String> = points
            .map(|(share, value)| format!("{:.1},{:.1}", x(*share), y(*value)))
            .collect();
        let _ = write!(
            svg,
            r#"<polyline class="c{}" points="{}"><title>{}</title></polyline>"#,
            number % COLOURS,
            points.join(" "),
            escape(name)
        );
    }
    svg.push_str("</svg>");
    let names = curves.iter().enumerate().map(|(number, (name, _))| {
        format!(
            r#"<span class="c{}">{}</span>"#,
            number % COLOURS,
            escape(name)
        )
    });
    format!("{svg}<p class=\"legend\">{}</p>", names.collect::<String>())
}

/// Bars beside each other, with their values.
pub(super) fn bars(rows: &[(String, f64, String)]) -> String {
    let most = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
    let height = 22.0;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {:.0}" role="img">"#,
        height * rows.len() as f64 + 6.0
    );
    for (number, (name, value, label)) in rows.iter().enumerate() {
        let top = height * number as f64 + 4.0;
        let long = if most > 0.0 {
            300.0 * value / most
        } else {
            0.0
        };
        let _ = write!(
            svg,
            r#"<text x="250" y="{:.1}" text-anchor="end">{}</text><rect class="bar" x="258" y="{top:.1}" width="{long:.1}" height="14"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            top + 11.0,
            escape(name),
            264.0 + long,
            top + 11.0,
            escape(label)
        );
    }
    svg + "</svg>"
}

/// Text for a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;
    use std::time::Duration;

    fn percentiles(milliseconds: &[u64]) -> Percentiles {
        let mut latencies = Latencies::default();
        let all = milliseconds.iter().map(|it| Duration::from_millis(*it));
        all.for_each(|it| latencies.record(it));
        latencies.percentiles().unwrap()
    }

    #[test]
    fn curves_stay_in_the_picture() {
        for values in [&[1_u64, 5, 900][..], &[1], &[0], &[10, 10]] {
            let svg = latencies(&[("a<b", &percentiles(values))]);
            let from = svg.find("points=\"").unwrap() + 8;
            let points = &svg[from..from + svg[from..].find('"').unwrap()];
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{values:?} {point}");
                assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{values:?} {point}");
            }
            assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        }
    }

    #[test]
    fn the_longest_bar_is_the_greatest_value() {
        let row = |value: f64| (format!("{value}"), value, String::new());
        let svg = bars(&[row(1.0), row(4.0), row(0.0)]);
        for width in ["75.0", "300.0", "0.0"] {
            assert!(svg.contains(&format!("width=\"{width}\"")), "{svg}");
        }
    }
}
