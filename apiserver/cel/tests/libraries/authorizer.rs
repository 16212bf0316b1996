//! What a requester may do.

use super::{fail, hold};
use hardway_cel::library::authorizer::{Authorize, Decision, Resource, Subject, Target};

/// Rights that tell apart everything that a check has.
#[derive(Debug)]
pub struct Rights;

impl Authorize for Rights {
    fn authorize(&self, subject: &Subject, verb: &str, on: &Target) -> Decision {
        let requester = *subject == Subject::Requester;
        let allowed = match on {
            Target::Path(path) => requester && verb == "get" && path == "/healthz",
            Target::Resource(resource) if verb == "fail" => {
                return Decision {
                    error: Some(format!("no answer on {}", resource.resource)),
                    ..Decision::default()
                };
            }
            Target::Resource(resource) if verb == "list" => {
                resource.field_selector == "spec.nodeName=mynode"
                    && resource.label_selector == "app=example"
            }
            Target::Resource(resource) => {
                let expected = Resource {
                    group: "apps".into(),
                    resource: "deployments".into(),
                    subresource: "status".into(),
                    namespace: "test".into(),
                    name: "backend".into(),
                    ..Resource::default()
                };
                let account = Subject::ServiceAccount {
                    namespace: "default".into(),
                    name: "my.account".into(),
                };
                *resource == expected && (requester == (verb == "create") || *subject == account)
            }
        };
        Decision {
            allowed,
            reason: if allowed { "as the test says" } else { "" }.into(),
            error: None,
        }
    }
}

#[test]
fn checks_ask_for_what_they_say() {
    hold(&[
        "authorizer.path('/healthz').check('get').allowed()",
        "!authorizer.path('/healthz').check('post').allowed()",
        "authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('backend').check('create').allowed()",
        "!authorizer.group('apps').resource('deployments').namespace('test').name('backend').check('create').allowed()",
        "authorizer.serviceAccount('default', 'my.account').group('apps').resource('deployments').subresource('status').namespace('test').name('backend').check('update').allowed()",
        "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=mynode').labelSelector('app=example').check('list').allowed()",
        "authorizer.path('/healthz').check('get').reason() == 'as the test says'",
        "!authorizer.path('/healthz').check('get').errored() && authorizer.path('/healthz').check('get').error() == ''",
        "authorizer.group('').resource('pods').check('fail').errored()",
        "authorizer.group('').resource('pods').check('fail').error() == 'no answer on pods'",
        "!authorizer.group('').resource('pods').check('fail').allowed()",
    ]);
}

#[test]
fn what_must_be_given() {
    fail(&[
        ("authorizer.path('')", "path must not be empty"),
        ("authorizer.path('  ')", "path must not be empty"),
        (
            "authorizer.group('apps').resource(' ')",
            "resource must not be empty",
        ),
        (
            "authorizer.serviceAccount('default', 'not@valid')",
            "Invalid service account name",
        ),
        (
            "authorizer.serviceAccount('a.b', 'valid')",
            "Invalid service account namespace",
        ),
    ]);
}
