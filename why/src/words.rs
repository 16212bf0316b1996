//! How things are said: counts, lists, and names that are nearly right.

/// `1 pod`, `2 pods`.
pub(crate) fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') || what.ends_with("x") => format!("{n} {what}es"),
        _ if what.ends_with("cy") => format!("{n} {}ies", what.trim_end_matches('y')),
        _ => format!("{n} {what}s"),
    }
}

/// The first few, and how many more there are.
pub(crate) fn few<T: AsRef<str>>(items: &[T], most: usize) -> String {
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Text without line breaks and of a bounded length.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 600;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `3d`, `5m`: as kubectl shows ages.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{}s", seconds.max(0)),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Names that somebody may have meant, the nearest first, three at most.
pub(crate) fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let letters = name.chars().count();
    let limit = (letters / 3).max(1);
    let mut near: Vec<(usize, &str)> = candidates
        .filter_map(|other| {
            // Each letter that one has more is one step: most names are too long or too short.
            let may_be_near = other.chars().count().abs_diff(letters) <= limit;
            let is_near = |apart: &usize| *apart <= limit;
            let apart = may_be_near.then(|| distance(name, other)).filter(is_near);
            let longer = other.starts_with(&format!("{name}-"));
            let shorter = name.starts_with(&format!("{other}-"));
            let apart = apart.or_else(|| (longer || shorter).then_some(limit + 1));
            apart.map(|apart| (apart, other))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many letters have to be changed, added, taken away or swapped with the next one.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    // The rows for the letters up to one before, and up to two before.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut before = row.clone();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let change = row[j] + usize::from(a != b);
            let mut least = change.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["web", "webs", "db", "web-frontend"];
        assert_eq!(near("wbe", names.into_iter()), ["web"]);
        assert_eq!(near("cache", names.into_iter()), Vec::<&str>::new());
        assert_eq!(near("we", names.into_iter()), ["web"]);
        assert_eq!(
            near("web", names.into_iter()),
            ["web", "webs", "web-frontend"]
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn words_are_those_of_kubectl() {
        assert_eq!(
            [span(45), span(300), span(7200), span(200_000)],
            ["45s", "5m", "2h", "2d"]
        );
        assert_eq!(
            [count(1, "pod"), count(2, "policy")],
            ["1 pod", "2 policies"].map(str::to_owned)
        );
        assert_eq!(few(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(one_line("a\n  b"), "a b");
    }
}
