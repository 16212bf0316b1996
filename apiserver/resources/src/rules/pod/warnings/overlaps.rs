//! Files of one volume that are in each other's way.

use crate::rules::json::{get, has, list, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// Warnings of the files that volumes are made of.
pub(super) fn of_volumes(volumes: &[Value]) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in volumes {
        let name = text(volume, "name");
        for (field, kind, named) in [
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ] {
            let source = get(volume, field);
            let what = describe(name, "", kind, text(source, named));
            overlaps(&mut warnings, &items(source), &what);
        }
        let mut all = BTreeSet::new();
        for source in list(get(volume, "projected"), "sources") {
            let Some((paths, what)) = projected(name, source) else {
                if source.as_object().is_none_or(|source| source.is_empty()) {
                    warnings.push(format!(
                        "volume {name:?} (Projected) has no sources provided"
                    ));
                }
                continue;
            };
            overlaps(&mut warnings, &paths, &what);
            let own: BTreeSet<&str> = paths.into_iter().collect();
            // Those of this source with those of others.
            let mut together: Vec<&str> = own.iter().chain(&all).copied().collect();
            together.sort_unstable();
            overlaps(&mut warnings, &together, &what);
            all.extend(own);
        }
    }
    warnings
}

fn describe(volume: &str, projected: &str, kind: &str, name: &str) -> String {
    match name {
        "" => format!("volume {volume:?} ({projected}{kind}): overlapping paths"),
        name => format!("volume {volume:?} ({projected}{kind} {name:?}): overlapping paths"),
    }
}

/// The files of a source of a projected volume, and the words for it.
fn projected<'a>(volume: &str, source: &'a Value) -> Option<(Vec<&'a str>, String)> {
    for (field, kind, one, named) in [
        ("configMap", "ConfigMap", false, "name"),
        ("secret", "Secret", false, "name"),
        ("downwardAPI", "DownwardAPI", false, ""),
        ("serviceAccountToken", "ServiceAccountToken", true, ""),
        ("clusterTrustBundle", "ClusterTrustBundle", true, "name"),
    ] {
        if !has(source, field) {
            continue;
        }
        let source = get(source, field);
        let name = match text(source, named) {
            "" => text(source, "signerName"),
            name => name,
        };
        let paths = match one {
            true => vec![text(source, "path")],
            false => items(source),
        };
        return Some((paths, describe(volume, "Projected ", kind, name)));
    }
    None
}

fn items(source: &Value) -> Vec<&str> {
    let items = list(source, "items").iter();
    items.map(|item| text(item, "path")).collect()
}

fn overlaps(warnings: &mut Vec<String>, paths: &[&str], what: &str) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for path in paths {
        let path = path.trim_end_matches('/');
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut others = seen
            .iter()
            .filter(|other| !other.is_empty() && !path.is_empty());
        if let Some(other) = others.find(|other| within(path, other) || within(other, path)) {
            warnings.push(format!("{what}: {path:?} with {other:?}"));
        }
        seen.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_in_each_others_way() {
        let volumes = [
            json!({"name": "a", "configMap": {"name": "m", "items": [
                {"path": "x"}, {"path": "x/y"}, {"path": "xy"}]}}),
            json!({"name": "b", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token"}},
                {"secret": {"name": "s", "items": [{"path": "token"}]}}, {}]}}),
        ];
        assert_eq!(
            of_volumes(&volumes),
            [
                r#"volume "a" (ConfigMap "m"): overlapping paths: "x/y" with "x""#,
                r#"volume "b" (Projected Secret "s"): overlapping paths: "token" with "token""#,
                r#"volume "b" (Projected) has no sources provided"#,
            ]
        );
    }
}
