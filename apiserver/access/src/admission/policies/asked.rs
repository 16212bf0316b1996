//! The variables `authorizer` and `authorizer.requestResource`: what the sender of a request
//! may do, asked of the authorizer in the same process.

use super::super::review::Review;
use crate::{Attributes, Authorizer, User};
use hardway_cel::Value as CelValue;
use hardway_cel::admission::authorizer::{self, Authorize, Decision, Resource, Subject, Target};
use hardway_proto::fields::FieldSelector;
use std::fmt;
use std::sync::Arc;

/// Who asks whom.
struct Asked {
    user: User,
    authorizer: Arc<Authorizer>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// The values of both variables.
pub fn variables(
    review: &Review<'_>,
    authorizer: &Arc<Authorizer>,
) -> (CelValue<'static>, CelValue<'static>) {
    let asked: Arc<dyn Authorize> = Arc::new(Asked {
        user: review.user.clone(),
        authorizer: authorizer.clone(),
    });
    let resource = Resource {
        group: review.requested.group.clone(),
        resource: review.requested.resource.clone(),
        subresource: review.subresource.to_owned(),
        namespace: review.namespace_of(None).to_owned(),
        name: review.name.to_owned(),
        ..Resource::default()
    };
    let requested = authorizer::request_resource(asked.clone(), resource);
    (authorizer::authorizer(asked), requested)
}

impl Authorize for Asked {
    fn authorize(&self, subject: &Subject, verb: &str, on: &Target) -> Decision {
        let account;
        let user = match subject {
            Subject::Requester => &self.user,
            Subject::ServiceAccount { namespace, name } => {
                account = User::service_account(namespace, name, "");
                &account
            }
        };
        let decision = match on {
            Target::Path(path) => self
                .authorizer
                .authorize(&Attributes::path(user, verb, path)),
            Target::Resource(resource) => {
                let Resource {
                    group,
                    namespace,
                    name,
                    subresource,
                    ..
                } = resource;
                let plural = &resource.resource;
                let attributes = Attributes::resource(user, verb, group, plural, namespace, name);
                let attributes = attributes.with_subresource(subresource);
                match FieldSelector::parse(&resource.field_selector) {
                    Ok(fields) => self.authorizer.authorize(&attributes.limited_to(&fields)),
                    Err(_) => self.authorizer.authorize(&attributes),
                }
            }
        };
        Decision {
            allowed: decision.is_allowed(),
            reason: decision.reason().to_owned(),
            error: None,
        }
    }
}
