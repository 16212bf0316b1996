//! Which options of a list or watch go together, as
//! `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation` has it.

use super::Options;
use hardway_proto::Status;
use hardway_proto::status::Cause;

const EXACT: &str = "Exact";
const NOT_OLDER_THAN: &str = "NotOlderThan";

/// 422 with everything that doesn't go together.
pub(in crate::pipeline) fn check(options: &Options, is_watch: bool) -> Result<(), Status> {
    let causes = match is_watch {
        true => of_watch(options),
        false => of_list(options),
    };
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid("meta.k8s.io", "ListOptions", "", causes)),
    }
}

fn forbidden(field: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueForbidden".into(),
        message: format!("Forbidden: {why}"),
        field: field.into(),
    }
}

fn of_match(why: &str) -> Cause {
    forbidden("resourceVersionMatch", why)
}

fn unsupported(given: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    Cause {
        reason: "FieldValueNotSupported".into(),
        message: format!(
            "Unsupported value: {given:?}: supported values: {}",
            supported.join(", ")
        ),
        field: "resourceVersionMatch".into(),
    }
}

const WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

fn of_list(options: &Options) -> Vec<Cause> {
    let mut causes = Vec::new();
    let asked = options.resource_version_match.as_str();
    if !asked.is_empty() {
        if options.resource_version.is_empty() {
            causes.push(of_match(
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !options.continuation.is_empty() {
            causes.push(of_match(WITH_CONTINUE));
        }
        if ![EXACT, NOT_OLDER_THAN].contains(&asked) {
            causes.push(unsupported(asked, &[EXACT, NOT_OLDER_THAN, ""]));
        }
        if asked == EXACT && options.resource_version == "0" {
            causes.push(of_match(
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if options.initial_events.is_some() {
        causes.push(forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    causes
}

fn of_watch(options: &Options) -> Vec<Cause> {
    let mut causes = Vec::new();
    let asked = options.resource_version_match.as_str();
    if options.initial_events.is_some() && asked != NOT_OLDER_THAN {
        causes.push(of_match(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if !asked.is_empty() {
        if options.initial_events.is_none() {
            causes.push(of_match(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if asked != NOT_OLDER_THAN {
            causes.push(unsupported(asked, &[NOT_OLDER_THAN]));
        }
        if !options.continuation.is_empty() {
            causes.push(of_match(WITH_CONTINUE));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong, without the field where it is always the same.
    fn refused(query: &str, is_watch: bool) -> Vec<String> {
        let options = Options::from_query(query).unwrap();
        let status = check(&options, is_watch).err();
        let details = status.and_then(|status| status.details);
        let causes = details.map(|details| details.causes).unwrap_or_default();
        let told = causes
            .into_iter()
            .map(|c| format!("{}: {}", c.field, c.message));
        told.collect()
    }

    /// The cases are those of `validation_test.go` beside Kubernetes' function.
    #[test]
    fn lists() {
        for fine in [
            "",
            "resourceVersion=1",
            "resourceVersion=1&resourceVersionMatch=Exact",
            "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        ] {
            assert_eq!(refused(fine, false), [""; 0], "{fine}");
        }
        assert_eq!(
            refused("resourceVersionMatch=NotOlderThan", false),
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            ]
        );
        assert_eq!(
            refused("resourceVersion=0&resourceVersionMatch=foo", false),
            [
                r#"resourceVersionMatch: Unsupported value: "foo": supported values: "Exact", "NotOlderThan", """#
            ]
        );
        assert_eq!(
            refused("resourceVersion=0&resourceVersionMatch=Exact", false),
            [
                r#"resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0""#
            ]
        );
        assert_eq!(
            refused(
                "resourceVersion=1&resourceVersionMatch=Exact&continue=c",
                false
            ),
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
            ]
        );
        assert_eq!(
            refused("sendInitialEvents=false", false),
            ["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"]
        );
    }

    #[test]
    fn watches() {
        for fine in [
            "",
            "resourceVersion=1",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        ] {
            assert_eq!(refused(fine, true), [""; 0], "{fine}");
        }
        assert_eq!(
            refused("sendInitialEvents=true", true),
            [
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            ]
        );
        assert_eq!(
            refused("resourceVersionMatch=NotOlderThan", true),
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            ]
        );
        assert_eq!(
            refused("sendInitialEvents=true&resourceVersionMatch=Exact", true),
            [
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                r#"resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan""#,
            ]
        );
        assert_eq!(
            refused(
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=c",
                true
            ),
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
            ]
        );
    }
}
