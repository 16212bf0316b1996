//! The server's version, by which is known what it offers.

use serde_json::Value;

use crate::api::{Api, Call};
use crate::failure::{Failure, OrFail};

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The whole version.
    pub text: String,
    /// Of `1.MINOR`; 0 if it doesn't say.
    pub minor: u32,
}

impl Version {
    /// Asks the server.
    ///
    /// # Errors
    /// If it doesn't say.
    pub async fn ask(api: &Api) -> Result<Self, Failure> {
        let answer = api.send(&Call::get("/version")).await;
        let answer = answer.and_then(|answer| answer.json());
        let said = answer.or_fail(|| format!("ask {} for its version", api.url()))?;
        Ok(Self::of(&said))
    }

    fn of(said: &Value) -> Self {
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        // Some write `27+`.
        let minor = text("minor").trim_end_matches('+');
        Self {
            text: text("gitVersion").to_owned(),
            minor: minor.parse().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_minor_version_is_a_number() {
        let minor = |text: &str| Version::of(&json!({"minor": text, "gitVersion": "v1"})).minor;
        assert_eq!((minor("33"), minor("20+"), minor("x")), (33, 20, 0));
    }
}
