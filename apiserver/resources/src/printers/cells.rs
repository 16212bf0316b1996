//! Small pieces that many printers share.

pub use crate::cell::Cell;
use crate::scale::selector_text;
use jiff::Timestamp;
use serde_json::Value;

/// The cells of one row.
pub type Cells = Vec<Cell>;

/// Shown for what isn't set.
pub const NONE: &str = "<none>";
pub const UNSET: &str = "<unset>";
pub const UNKNOWN: &str = "<unknown>";

/// A string field, or `""`.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A string field, or what is shown instead of an empty one.
pub fn text_or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    match text(value) {
        "" => otherwise,
        text => text,
    }
}

/// An integer field, or 0.
pub fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// A list field, or an empty one.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// How many entries a map has.
pub fn size(value: &Value) -> i64 {
    value.as_object().map_or(0, |map| map.len() as i64)
}

/// The object's name.
pub fn name(object: &Value) -> Cell {
    object["metadata"]["name"].clone().into()
}

/// Time since the object was created.
pub fn age(object: &Value) -> Cell {
    since(&object["metadata"]["creationTimestamp"])
}

/// Time since a timestamp.
pub fn since(time: &Value) -> Cell {
    timestamp(time).map_or(UNKNOWN.into(), Cell::since)
}

/// A time field.
pub fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Seconds as Kubernetes shortens them: `75s`, `5m3s`, `12h`, `3d4h`, `2y30d`.
pub fn human(seconds: i64) -> String {
    let pair = |a: i64, a_unit: &str, b: i64, b_unit: &str| match b {
        0 => format!("{a}{a_unit}"),
        _ => format!("{a}{a_unit}{b}{b_unit}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => pair(days, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Joined, or `<none>`.
pub fn joined(texts: &[String], separator: &str) -> String {
    if texts.is_empty() {
        NONE.to_owned()
    } else {
        texts.join(separator)
    }
}

/// The first three, and how many more there are.
pub fn first_three(texts: &[String]) -> String {
    match texts.len() {
        0 => NONE.to_owned(),
        1..=3 => texts.join(","),
        n => format!("{} + {} more...", texts[..3].join(","), n - 3),
    }
}

/// A selector's text, or `<none>`.
pub fn selector(selector: &Value) -> String {
    match selector_text(selector) {
        text if text.is_empty() => NONE.to_owned(),
        text => text,
    }
}

/// Names and images of a pod template's containers.
pub fn containers(pod_spec: &Value) -> [Cell; 2] {
    let all = |field: &str| {
        let texts: Vec<&str> = list(&pod_spec["containers"])
            .iter()
            .map(|container| text(&container[field]))
            .collect();
        texts.join(",").into()
    };
    [all("name"), all("image")]
}

/// Whether a condition of a type is `True`.
pub fn is_true(conditions: &Value, wanted: &str) -> bool {
    list(conditions)
        .iter()
        .any(|c| c["type"] == wanted && c["status"] == "True")
}

/// An int-or-string field as text.
pub fn int_or_string(value: &Value, otherwise: &str) -> String {
    match value {
        Value::Null => otherwise.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `True`, `False` or `<unset>`.
pub fn bool_pointer(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    }
}

/// What cells show a minute into the year 2026.
#[cfg(test)]
pub fn shown(cells: Cells) -> Vec<Value> {
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    cells.iter().map(|cell| cell.at(now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, shown) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (303, "5m3s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (7 * 3600 + 1800, "7h30m"),
            (8 * 3600 + 60, "8h"),
            (47 * 3600, "47h"),
            (48 * 3600, "2d"),
            (76 * 3600, "3d4h"),
            (8 * 86_400, "8d"),
            (800 * 86_400, "2y70d"),
            (-5, "<invalid>"),
        ] {
            assert_eq!(human(seconds), shown, "{seconds}");
        }
    }
}
