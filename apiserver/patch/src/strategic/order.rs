//! The order of a merged list: what the patch names comes in the patch's
//! order, the rest keeps the server's, and the two interleave by where the
//! server had them.

use super::{Status, no_merge_key};
use serde_json::Value;

/// `merged` in its final order.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, Status> {
    if let Some(key) = key
        && let Some(lacking) = wanted.iter().chain(&merged).find(|e| e.get(key).is_none())
    {
        return Err(no_merge_key(lacking, key));
    }
    let place = |list: &[Value], element: &Value| {
        list.iter().position(|other| match key {
            Some(key) => other.get(key) == element.get(key),
            None => other == element,
        })
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|e| place(wanted, e).is_some());
    named.sort_by_key(|e| place(wanted, e));
    others.sort_by_key(|e| place(server, e).unwrap_or(usize::MAX));

    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(ours), Some(theirs)) = (named.peek(), others.peek()) {
        let theirs_first = match (place(server, theirs), place(server, ours)) {
            (Some(a), Some(b)) => a < b,
            _ => false,
        };
        out.extend(if theirs_first {
            others.next()
        } else {
            named.next()
        });
    }
    out.extend(named);
    out.extend(others);
    Ok(out)
}
