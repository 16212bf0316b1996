//! The order of a merged list: what the patch names comes in the patch's
//! order, the rest keeps the server's, and the two interleave by where the
//! server had them.

use super::{Status, no_merge_key};
use serde_json::Value;
use std::collections::HashMap;

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
    let (wanted, server) = (places(wanted, key), places(server, key));
    let place = |of: &HashMap<&Value, usize>, element: &Value| {
        identity(element, key).and_then(|identity| of.get(identity).copied())
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|e| place(&wanted, e).is_some());
    named.sort_by_cached_key(|e| place(&wanted, e));
    others.sort_by_cached_key(|e| place(&server, e).unwrap_or(usize::MAX));

    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(ours), Some(theirs)) = (named.peek(), others.peek()) {
        let theirs_first = match (place(&server, theirs), place(&server, ours)) {
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

/// What an element is known by.
fn identity<'a>(element: &'a Value, key: Option<&str>) -> Option<&'a Value> {
    match key {
        Some(key) => element.get(key),
        None => Some(element),
    }
}

/// Where each element is first.
fn places<'a>(list: &'a [Value], key: Option<&str>) -> HashMap<&'a Value, usize> {
    let mut places = HashMap::with_capacity(list.len());
    for (index, element) in list.iter().enumerate() {
        if let Some(identity) = identity(element, key) {
            places.entry(identity).or_insert(index);
        }
    }
    places
}
