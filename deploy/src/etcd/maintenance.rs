//! Looking after etcd's space: how much there is, and what gives some back.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Client, Error};
use crate::http;

/// The alarm of a member whose file has reached its quota.
pub const NOSPACE: &str = "NOSPACE";

/// How long a member may take to copy what it has: a gigabyte takes some seconds, on a slow
/// disk a minute.
const DEFRAGMENTATION: Duration = Duration::from_secs(600);

/// An alarm that a member has raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which member.
    pub member: u64,
    /// `NOSPACE` or `CORRUPT`.
    pub name: String,
}

impl Client {
    /// The revision that a majority agrees is the present one.
    ///
    /// # Errors
    /// If there is no majority.
    pub fn revision(&self) -> Result<i64, Error> {
        let body = json!({"key": BASE64_STANDARD.encode("\0"), "count_only": true});
        let answer = self.call("/v3/kv/range", &body)?;
        Ok(number(&answer["header"]["revision"]))
    }

    /// How many keys begin with this.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn count(&self, prefix: &str) -> Result<i64, Error> {
        let mut body = range(prefix);
        body["count_only"] = true.into();
        Ok(number(&self.call("/v3/kv/range", &body)?["count"]))
    }

    /// Removes all keys that begin with this; says how many.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn delete_prefix(&self, prefix: &str) -> Result<i64, Error> {
        let answer = self.call("/v3/kv/deleterange", &range(prefix))?;
        Ok(number(&answer["deleted"]))
    }

    /// Forgets all that was before a revision, and waits until its room is free.
    ///
    /// # Errors
    /// In etcd's words; none if it was forgotten already.
    pub fn compact(&self, revision: i64) -> Result<(), Error> {
        let body = json!({"revision": revision.to_string(), "physical": true});
        let client = self.clone().patience(DEFRAGMENTATION);
        match client.call("/v3/kv/compaction", &body) {
            Err(error) if error.says("has been compacted") => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Copies what the member has into a new file, without gaps. It answers nobody meanwhile.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn defragment(&self) -> Result<(), Error> {
        let client = self.clone().patience(DEFRAGMENTATION);
        let outcome = client.call("/v3/maintenance/defragment", &json!({}));
        outcome.map(drop)
    }

    /// How many bytes the file of the member that answers first may have. Of all that etcd 3.4
    /// and 3.5 tell, only the metrics say it.
    ///
    /// # Errors
    /// If it doesn't answer, or doesn't say.
    pub fn quota(&self) -> Result<u64, Error> {
        let mut unreachable = Vec::new();
        for endpoint in self.endpoints() {
            match http::get_tls(*endpoint, "/metrics", self.identity()) {
                Ok(answer) => {
                    let text = String::from_utf8_lossy(&answer.body);
                    return metric(&text, "etcd_server_quota_backend_bytes")
                        .map(|bytes| bytes as u64)
                        .ok_or_else(|| Error::Refused("its metrics have no quota".to_owned()));
                }
                Err(failure) => unreachable.push(failure.to_string()),
            }
        }
        Err(Error::Unreachable(unreachable.join("; ")))
    }

    /// The alarms of all members.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        let answer = self.call("/v3/maintenance/alarm", &json!({"action": "GET"}))?;
        let all = answer["alarms"].as_array().into_iter().flatten();
        Ok(all
            .map(|alarm| Alarm {
                member: alarm["memberID"]
                    .as_str()
                    .and_then(|id| id.parse().ok())
                    .unwrap_or(0),
                name: alarm["alarm"].as_str().unwrap_or_default().to_owned(),
            })
            .collect())
    }

    /// Takes an alarm back: writes are done again.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn disarm(&self, alarm: &Alarm) -> Result<(), Error> {
        let body = json!({
            "action": "DEACTIVATE",
            "memberID": alarm.member.to_string(),
            "alarm": alarm.name,
        });
        self.call("/v3/maintenance/alarm", &body).map(drop)
    }
}

/// A number among metrics, without labels.
pub fn metric(metrics: &str, name: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    lines.find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        value.trim().parse().ok()
    })
}

/// All keys that begin with a prefix, as etcd's requests say it.
fn range(prefix: &str) -> Value {
    let mut end = prefix.as_bytes().to_vec();
    // The first key after all of them.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    json!({
        "key": BASE64_STANDARD.encode(prefix),
        "range_end": BASE64_STANDARD.encode(end),
    })
}

/// A 64-bit number, which is a string in etcd's JSON; 0 is left out.
fn number(value: &Value) -> i64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_i64()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_after_its_prefix() {
        let range = range("/registry/leases/");
        let end = BASE64_STANDARD.decode(range["range_end"].as_str().unwrap());
        assert_eq!(end.unwrap(), b"/registry/leases0");
    }

    #[test]
    fn numbers_are_strings_and_nothing_is_zero() {
        assert_eq!(number(&json!("9223372036854775807")), i64::MAX);
        assert_eq!(number(&json!(3)), 3);
        assert_eq!(number(&Value::Null), 0);
    }
}
