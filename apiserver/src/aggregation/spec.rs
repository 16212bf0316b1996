//! What an APIService says.

use crate::backend::Reference;
use serde::Deserialize;
use serde_json::Value;

/// A group's version and who serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// API group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Who serves it; this server if nobody is named.
    pub service: Option<Reference>,
    /// Whether the server's certificate doesn't matter.
    #[serde(rename = "insecureSkipTLSVerify")]
    pub insecure_skip_tls_verify: bool,
    /// Who vouches for the server's certificate: a PEM text in base64.
    #[serde(rename = "caBundle")]
    pub ca_bundle: String,
    /// Where the group is told among the others: the higher, the earlier.
    pub group_priority_minimum: i64,
    /// Where the version is told within its group.
    pub version_priority: i64,
}

impl Spec {
    /// Reads it out of an APIService.
    pub fn of(object: &Value) -> Self {
        serde_json::from_value(object["spec"].clone()).unwrap_or_default()
    }

    /// `/apis/GROUP/VERSION`.
    pub fn root(&self) -> String {
        root(&self.group, &self.version)
    }
}

/// Where a group's version is: `/apis/GROUP/VERSION`.
pub fn root(group: &str, version: &str) -> String {
    match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    }
}
