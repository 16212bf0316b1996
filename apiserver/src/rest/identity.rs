//! Who sends a request.

use crate::pipeline::{Origin, Pipeline};
use hardway_access::{Attributes, UNAUTHENTICATED, User, audit, authn};
use hardway_client::serving::Peer;
use hardway_proto::Status;
use http::HeaderMap;

/// Who sends a request; impersonation included.
///
/// `asked` says what is asked for, by nobody yet: the audit log is told of
/// those that are refused here.
pub fn identify(
    pipeline: &Pipeline,
    path: &str,
    headers: &HeaderMap,
    peer: &Peer,
    origin: &mut Origin,
    asked: Attributes<'_>,
) -> Result<User, Status> {
    let certificate = peer.certificate();
    let proven = pipeline
        .authenticator
        .authenticate_path(path, headers, certificate);
    let (user, outcome) = match proven {
        Ok(user) => {
            if !user.is_in(UNAUTHENTICATED) {
                peer.prove(&user.name);
            }
            let outcome = acting(pipeline, &user, headers);
            (user, outcome)
        }
        Err(status) => (User::default(), Err(status)),
    };
    match outcome {
        Ok(None) => Ok(user),
        Ok(Some(acting)) => {
            origin.impersonator = Some(user);
            Ok(acting)
        }
        Err(status) => {
            let tried = audit::attempted(headers, certificate.is_some());
            let asked = Attributes {
                user: &user,
                ..asked
            };
            origin.record_stranger(pipeline.audit.as_ref(), &asked, &tried, &status);
            if status.code == 401 {
                // As Kubernetes does: strangers can't go on asking at no cost.
                peer.leave();
            }
            Err(status)
        }
    }
}

/// Whom a user acts as, if anybody else.
fn acting(pipeline: &Pipeline, user: &User, headers: &HeaderMap) -> Result<Option<User>, Status> {
    let Some(wish) = authn::impersonate(user, headers)? else {
        return Ok(None);
    };
    for attributes in wish.checks(user) {
        pipeline.authorizer.check(&attributes)?;
    }
    Ok(Some(wish.user))
}
