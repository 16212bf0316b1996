//! Until when a request has to be answered: `?timeout=`, as `WithRequestDeadline` and
//! `WithTimeoutForNonLongRunningRequests` of k8s.io/apiserver have it.

use super::path::ResourcePath;
use crate::pipeline::{TIMEOUT, Verb, pairs};
use hardway_proto::{Status, duration};
use std::time::Duration;

/// Subresources whose answers last as long as both sides like.
const LASTING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// How long a request may take: what its query says, if that is less than what is usual. `None`
/// if it may go on for as long as it likes, as watches and streams do.
///
/// # Errors
/// 400, if the query says no duration.
pub fn allotted(
    verb: &str,
    resource: Option<&ResourcePath>,
    query: &str,
) -> Result<Option<Duration>, Status> {
    let streams = |of: &ResourcePath| LASTING.contains(&of.subresource.as_str());
    if verb == Verb::Watch.as_str() || resource.is_some_and(streams) {
        return Ok(None);
    }
    let asked = pairs(query).find(|(name, value)| name == "timeout" && !value.is_empty());
    let Some((_, text)) = asked else {
        return Ok(Some(TIMEOUT));
    };
    let asked = duration::parse(&text).map_err(|error| {
        Status::bad_request(format!(
            "invalid timeout specified in the request URL - {error}"
        ))
    })?;
    // One of nothing, or less, is none.
    let asked = Duration::try_from(asked).unwrap_or_default();
    Ok(Some(match asked.is_zero() {
        true => TIMEOUT,
        false => asked.min(TIMEOUT),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::path;
    use super::*;

    fn of(verb: &str, path: &str, query: &str) -> Result<Option<Duration>, String> {
        let resource = path::parse(path);
        allotted(verb, resource.as_ref(), query).map_err(|status| {
            assert_eq!((status.code, &*status.reason), (400, "BadRequest"));
            status.message
        })
    }

    #[test]
    fn what_is_asked_for_counts_if_it_is_less() {
        let pods = "/api/v1/namespaces/default/pods";
        let seconds = |seconds| Ok(Some(Duration::from_secs(seconds)));
        for (query, expected) in [
            ("", 60),
            ("timeout=", 60),
            ("limit=5&timeout=10s", 10),
            ("timeout=0s", 60),
            ("timeout=-5s", 60),
            ("timeout=2m", 60),
        ] {
            assert_eq!(of("list", pods, query), seconds(expected), "{query}");
        }
        assert_eq!(of("get", "/version", "timeout=32s"), seconds(32));
        for (query, why) in [
            ("timeout=10", r#"time: missing unit in duration "10""#),
            ("timeout=foo", r#"time: invalid duration "foo""#),
        ] {
            let why = format!("invalid timeout specified in the request URL - {why}");
            assert_eq!(of("list", pods, query), Err(why));
        }
    }

    #[test]
    fn watches_and_streams_take_their_time() {
        let pods = "/api/v1/namespaces/default/pods";
        assert_eq!(of("watch", pods, "watch=true&timeout=foo"), Ok(None));
        for sub in ["exec", "attach", "log", "portforward", "proxy"] {
            assert_eq!(
                of("get", &format!("{pods}/a/{sub}"), "timeout=1s"),
                Ok(None)
            );
        }
        assert!(of("get", &format!("{pods}/a/status"), "").is_ok_and(|time| time.is_some()));
    }
}
