//! A report as a page for a browser: one file, which fetches nothing.

use std::fmt::Write;

use super::plot::{bars, escape, latencies};
use super::table::cost_line;
use super::{Measurement, Report};
use crate::latency::Percentiles;
use crate::process::Cost;

/// Both colour schemes have enough contrast with these.
const STYLE: &str = "
:root { color-scheme: light dark; --line: #8888; --bar: #3b82c4; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; margin-top: .8rem; }
svg text { font-size: 12px; fill: CanvasText; }
.grid { stroke: var(--line); stroke-width: .5; }
.bar { fill: var(--bar); }
polyline { fill: none; stroke-width: 2; }
.legend span { margin-right: 1.2rem; white-space: nowrap; font-size: .85rem; }
.legend span::before { content: ''; display: inline-block; width: 1em; height: .25em;
  margin-right: .4em; vertical-align: middle; background: currentColor; }
.c0 { stroke: #3b82c4; } .c1 { stroke: #d9822b; } .c2 { stroke: #3f9e5a; } .c3 { stroke: #c74a63; }
.c4 { stroke: #8a6bc1; } .c5 { stroke: #2f9c9c; } .c6 { stroke: #a3862b; } .c7 { stroke: #8a8a8a; }
.legend .c0::before { color: #3b82c4; } .legend .c1::before { color: #d9822b; }
.legend .c2::before { color: #3f9e5a; } .legend .c3::before { color: #c74a63; }
.legend .c4::before { color: #8a6bc1; } .legend .c5::before { color: #2f9c9c; }
.legend .c6::before { color: #a3862b; } .legend .c7::before { color: #8a8a8a; }
.wrong { border-left: .3rem solid #c74a63; padding-left: .6rem; }
";

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    // Writing to a String can't fail.
    let _ = write(&mut html, report);
    html
}

fn write(html: &mut String, report: &Report) -> std::fmt::Result {
    let [before, after] = report.load_average;
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Load on {server}</title><style>{STYLE}</style></head><body>\
         <h1>Load on {server}</h1><p>{}, begun {}; load average of the load's machine \
         {before:.1} to {after:.1}.</p>",
        escape(&report.server_version),
        escape(&report.began),
        server = escape(&report.server),
    )?;
    let options = report.options.iter();
    let options: Vec<String> = options.map(|(name, it)| format!("--{name} {it}")).collect();
    writeln!(html, "<p><code>{}</code></p>", escape(&options.join(" ")))?;
    for (workload, failure) in &report.failures {
        writeln!(
            html,
            "<p class=\"wrong\">{} could not be run to its end: {}</p>",
            escape(workload),
            escape(failure)
        )?;
    }
    for measurements in report
        .measurements
        .chunk_by(|a, b| a.workload == b.workload)
    {
        section(html, measurements)?;
    }
    writeln!(html, "</body></html>")
}

/// What one workload has measured.
fn section(html: &mut String, measurements: &[Measurement]) -> std::fmt::Result {
    let name = measurements.first().map_or("", |it| it.workload.as_str());
    write!(
        html,
        "<h2>{}</h2><table><tr><th></th><th>done</th><th>per second</th><th>failed</th>\
         <th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>max ms</th><th>MB/s</th></tr>",
        escape(name)
    )?;
    for it in measurements {
        write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td>",
            escape(&it.name),
            it.operations,
            it.rate(),
            it.failed()
        )?;
        let values = it.latency.as_ref();
        let values = values.map(|it| [it.p50, it.p90, it.p99, it.max].map(|it| format!("{it:.2}")));
        for value in values.unwrap_or_default() {
            write!(html, "<td>{value}</td>")?;
        }
        let megabytes = it.bytes as f64 / it.seconds.max(f64::MIN_POSITIVE) / 1e6;
        match it.bytes {
            0 => write!(html, "<td></td></tr>")?,
            _ => write!(html, "<td>{megabytes:.1}</td></tr>")?,
        }
    }
    writeln!(html, "</table>")?;
    let curves = measurements.iter().filter(|it| it.operations > 1);
    let curves = curves.filter_map(|it| Some((it.name.as_str(), it.latency.as_ref()?)));
    let curves: Vec<(&str, &Percentiles)> = curves.collect();
    if !curves.is_empty() {
        writeln!(
            html,
            "<h3>How long they took, by share</h3>{}",
            latencies(&curves)
        )?;
    }
    let each = |it: &Measurement, cost: &Cost| {
        let each = cost.cpu_per(it.operations)? * 1e3;
        Some((each, format!("{each:.3} ms")))
    };
    costs(html, "CPU of each", measurements, each)?;
    let share = |it: &Measurement, cost: &Cost| {
        let share = cost.cpu_share() * 100.0;
        (it.operations == 0).then(|| (share, format!("{share:.2} %")))
    };
    costs(html, "CPU, of a core", measurements, share)?;
    for it in measurements {
        remarks(html, it)?;
    }
    Ok(())
}

/// What processes took, as bars of those that have the value.
fn costs(
    html: &mut String,
    title: &str,
    measurements: &[Measurement],
    value: impl Fn(&Measurement, &Cost) -> Option<(f64, String)>,
) -> std::fmt::Result {
    let mut all = Vec::new();
    for it in measurements {
        for cost in &it.processes {
            if let Some((value, text)) = value(it, cost) {
                all.push((format!("{}: {}", it.name, cost.process), value, text));
            }
        }
    }
    match all.is_empty() {
        true => Ok(()),
        false => writeln!(html, "<h3>{title}</h3>{}", bars(&all)),
    }
}

/// What else is to be said of a measurement.
fn remarks(html: &mut String, it: &Measurement) -> std::fmt::Result {
    let costs = it
        .processes
        .iter()
        .map(|cost| cost_line(cost, it.operations));
    let figures = it
        .figures
        .iter()
        .map(|(name, value)| format!("{name}: {value:.2}"));
    let lines = costs.chain(figures).chain(it.notes.iter().cloned());
    for line in lines {
        writeln!(html, "<p>{}: {}</p>", escape(&it.name), escape(&line))?;
    }
    let failures = it.failures.iter();
    let failures = failures.map(|(sort, count)| format!("failed {count} times: {sort}"));
    for line in failures.chain(it.violations.iter().cloned()) {
        let name = escape(&it.name);
        writeln!(html, "<p class=\"wrong\">{name}: {}</p>", escape(&line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::report;
    use super::*;

    #[test]
    fn where_nothing_is_done_cpu_is_a_share_of_the_time() {
        let mut report = report();
        assert!(!page(&report).contains("CPU, of a core"));
        report.measurements[0].operations = 0;
        let html = page(&report);
        assert!(html.contains("CPU, of a core") && !html.contains("CPU of each"));
        assert!(html.contains("2.00 %"), "{html}");
    }

    #[test]
    fn a_page_is_whole_and_fetches_nothing() {
        let html = page(&report());
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</body></html>\n"));
        for part in [
            "create &lt;pods&gt;",
            "pod load-1 is not there",
            "<polyline",
            "409 Conflict",
        ] {
            assert!(html.contains(part), "{part}");
        }
        for outside in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
