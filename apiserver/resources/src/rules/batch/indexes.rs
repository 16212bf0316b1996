//! Lists of completion indexes, such as `1,3-5`: in order, and below the number of
//! completions.

/// One index, or a range.
fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let parts: Vec<&str> = text.split('-').collect();
    let index = |text: &str| -> Result<i64, String> {
        let index = text.parse::<i64>();
        let index =
            index.map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        match index < completions {
            true => Ok(index),
            false => Err(format!("too large index: {text:?}")),
        }
    };
    match parts[..] {
        [one] => index(one).map(|index| (index, index)),
        [first, last] => match (index(first)?, index(last)?) {
            (first, last) if first < last => Ok((first, last)),
            (first, last) => Err(disorder(first, last)),
        },
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )),
    }
}

fn disorder(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

/// How many indexes a list has.
///
/// # Errors
/// What is wrong with it, in Kubernetes' words.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut previous) = (0, None);
    for text in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = interval(text, completions)?;
        if let Some(previous) = previous.filter(|previous| *previous >= first) {
            return Err(disorder(previous, first));
        }
        total += last - first + 1;
        previous = Some(last);
    }
    Ok(total)
}

/// The first index that two lists share; what can't be read is passed over.
pub(super) fn shared(one: &str, other: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| -> Vec<(i64, i64)> {
        let all = text.split(',').map(|text| interval(text, completions));
        all.filter_map(Result::ok).collect()
    };
    let (one, other) = (read(one), read(other));
    let (mut at, mut to) = (0, 0);
    while let (Some((a, b)), Some((c, d))) = (one.get(at), other.get(to)) {
        if a <= d && c <= b {
            return Some(*a.max(c));
        }
        if a <= c {
            at += 1;
        } else {
            to += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_an_order() {
        assert_eq!(count("", 5), Ok(0));
        assert_eq!(count("0,2-4", 5), Ok(4));
        for (text, words) in [
            ("5", r#"too large index: "5""#),
            ("x", r#"cannot convert string to integer for index: "x""#),
            ("1,1", "non-increasing order, previous: 1, current: 1"),
            ("3-1", "non-increasing order, previous: 3, current: 1"),
            (
                "1-2-3",
                r#"the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'"#,
            ),
        ] {
            assert_eq!(count(text, 5), Err(words.to_owned()));
        }
    }

    #[test]
    fn what_two_lists_share() {
        assert_eq!(shared("0,2-4,8", "1,3", 10), Some(3));
        assert_eq!(shared("0,2-4,8", "1,5-7,9", 10), None);
        assert_eq!(shared("", "1", 10), None);
    }
}
