//! How a request is to be done: what REST has in the query and gRPC in fields.

pub(super) mod list;

use hardway_proto::Status;
use serde_json::Value;

/// What happens to unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped silently.
    Ignore,
    /// They are dropped and told about.
    #[default]
    Warn,
    /// They are refused.
    Strict,
}

impl FieldValidation {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Warn => "Warn",
            Self::Strict => "Strict",
        }
    }

    /// From its name; empty means the default.
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(Status::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// All options of all verbs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: String,
    /// `limit`; 0: none.
    pub limit: usize,
    /// `continue`.
    pub continuation: String,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<u64>,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `sendInitialEvents`.
    pub initial_events: Option<bool>,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// Whether that was given at all.
    pub field_validation_given: bool,
    /// `force`, of server-side apply.
    pub force: bool,
    /// Whether `force` was given at all.
    pub force_given: bool,
    /// Of deletions.
    pub delete: DeleteOptions,
}

/// What becomes of an object's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without owner.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
}

impl Propagation {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "Orphan",
            Self::Background => "Background",
            Self::Foreground => "Foreground",
        }
    }

    fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "Orphan" => Ok(Self::Orphan),
            "Background" => Ok(Self::Background),
            "Foreground" => Ok(Self::Foreground),
            other => Err(invalid_delete(
                "propagationPolicy",
                format!(
                    "Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
                ),
            )),
        }
    }
}

/// `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds to end in; `None`: the kind's default.
    pub grace_period: Option<i64>,
    /// What becomes of dependents; `None`: the kind's default.
    pub propagation: Option<Propagation>,
    /// The UID the object must have.
    pub uid: Option<String>,
    /// The resource version the object must have.
    pub resource_version: Option<String>,
}

impl Options {
    /// From the query of a URL.
    pub fn from_query(query: &str) -> Result<Self, Status> {
        let mut options = Self::default();
        let mut orphan = None;
        for (name, value) in pairs(query) {
            match name.as_str() {
                "labelSelector" => options.label_selector = value,
                "fieldSelector" => options.field_selector = value,
                "resourceVersion" => options.resource_version = value,
                "resourceVersionMatch" => options.resource_version_match = value,
                "limit" => options.limit = number(&value)?.max(0) as usize,
                "continue" => options.continuation = value,
                "timeoutSeconds" => {
                    options.timeout_seconds = Some(number(&value)?.max(0) as u64);
                }
                "allowWatchBookmarks" => options.bookmarks = boolean(&value),
                "sendInitialEvents" => options.initial_events = Some(boolean(&value)),
                "dryRun" => options.dry_run(&value)?,
                "fieldManager" => options.set_field_manager(value)?,
                "fieldValidation" => {
                    options.field_validation = FieldValidation::parse(&value)?;
                    options.field_validation_given = !value.is_empty();
                }
                "force" => {
                    options.force = boolean(&value);
                    options.force_given = true;
                }
                "gracePeriodSeconds" => {
                    options.delete.grace_period = Some(number(&value)?);
                }
                "propagationPolicy" => {
                    options.delete.propagation = Some(Propagation::parse(&value)?);
                }
                "orphanDependents" => orphan = Some(boolean(&value)),
                _ => {}
            }
        }
        if options.delete.propagation.is_none() {
            options.delete.propagation = orphan.map(from_orphan);
        }
        Ok(options)
    }

    fn dry_run(&mut self, value: &str) -> Result<(), Status> {
        match value {
            "" => {}
            "All" => self.dry_run = true,
            other => {
                return Err(Status::bad_request(format!(
                    "dryRun: Unsupported value: {other:?}: supported values: \"All\""
                )));
            }
        }
        Ok(())
    }

    /// Sets `fieldManager`, if it can be one.
    pub fn set_field_manager(&mut self, value: String) -> Result<(), Status> {
        if value.chars().count() > 128 {
            return Err(Status::bad_request(
                "fieldManager: Too long: may not be more than 128 bytes",
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(Status::bad_request(format!(
                "fieldManager: Invalid value: {value:?}: should only contain printable characters"
            )));
        }
        self.field_manager = value;
        Ok(())
    }

    /// Takes over what a DeleteOptions body says.
    pub fn apply_delete_body(&mut self, body: &Value) -> Result<(), Status> {
        if let Some(seconds) = body.get("gracePeriodSeconds").filter(|v| !v.is_null()) {
            let seconds = seconds.as_i64().ok_or_else(|| {
                invalid_delete(
                    "gracePeriodSeconds",
                    "Invalid value: must be an integer".into(),
                )
            })?;
            self.delete.grace_period = Some(seconds);
        }
        if let Some(policy) = body["propagationPolicy"].as_str() {
            self.delete.propagation = Some(Propagation::parse(policy)?);
        }
        if let Some(orphan) = body["orphanDependents"].as_bool() {
            if !body["propagationPolicy"].is_null() {
                return Err(invalid_delete(
                    "propagationPolicy",
                    "Invalid value: orphanDependents and deletionPropagation cannot be both set"
                        .into(),
                ));
            }
            self.delete.propagation = Some(from_orphan(orphan));
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(uid) = text(&body["preconditions"]["uid"]) {
            self.delete.uid = Some(uid);
        }
        if let Some(version) = text(&body["preconditions"]["resourceVersion"]) {
            self.delete.resource_version = Some(version);
        }
        for value in body["dryRun"].as_array().into_iter().flatten() {
            self.dry_run(value.as_str().unwrap_or("?"))?;
        }
        Ok(())
    }
}

fn from_orphan(orphan: bool) -> Propagation {
    match orphan {
        true => Propagation::Orphan,
        false => Propagation::Background,
    }
}

fn invalid_delete(field: &str, message: String) -> Status {
    let cause = hardway_proto::status::Cause {
        reason: "FieldValueInvalid".into(),
        message,
        field: field.into(),
    };
    Status::invalid("meta.k8s.io", "DeleteOptions", "", vec![cause])
}

fn number(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|_| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing {value:?}: invalid syntax"
        ))
    })
}

/// As Kubernetes reads query flags: present counts as true.
fn boolean(value: &str) -> bool {
    !matches!(value, "false" | "0" | "False" | "FALSE" | "f" | "F")
}

/// The decoded name=value pairs of a query.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
}

/// Undoes percent-encoding.
pub fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', _, _) if plus_is_space => out.push(b' '),
            (other, _, _) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_queries() {
        let options = Options::from_query(
            "labelSelector=app%3Dweb%2Ctier%21%3Ddb&limit=500&dryRun=All&force=true&timeoutSeconds=7&unknown=1",
        )
        .unwrap();
        assert_eq!(options.label_selector, "app=web,tier!=db");
        assert_eq!((options.limit, options.timeout_seconds), (500, Some(7)));
        assert!(options.dry_run && options.force);
        assert_eq!(Options::from_query("limit=x").unwrap_err().code, 400);
        assert_eq!(Options::from_query("dryRun=Some").unwrap_err().code, 400);
    }

    #[test]
    fn bodies_of_deletions_override_the_query() {
        let mut options = Options::from_query("gracePeriodSeconds=5").unwrap();
        options
            .apply_delete_body(
                &json!({"gracePeriodSeconds": 0, "propagationPolicy": "Foreground",
                "preconditions": {"uid": "u"}}),
            )
            .unwrap();
        assert_eq!(options.delete.grace_period, Some(0));
        assert_eq!(options.delete.propagation, Some(Propagation::Foreground));
        assert_eq!(options.delete.uid.as_deref(), Some("u"));
        let both = json!({"orphanDependents": true, "propagationPolicy": "Orphan"});
        assert_eq!(options.apply_delete_body(&both).unwrap_err().code, 422);
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(decode("a%20b+c%zz%", true), "a b c%zz%");
        assert_eq!(decode("a+b", false), "a+b");
    }
}
