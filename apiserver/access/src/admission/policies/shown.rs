//! The objects of a request in the versions that policies know, each converted once.

use super::super::review::{ResourceKind, Review};
use hardway_proto::Status;
use serde_json::Value;

/// Both objects of a request in a version.
pub struct Shown {
    /// As it shall be.
    pub new: Option<Value>,
    /// As it is.
    pub old: Option<Value>,
}

/// What was converted so far.
#[derive(Default)]
pub struct Versions(Vec<(ResourceKind, Shown)>);

impl Versions {
    /// The objects of a request, which come as they are kept, in a version.
    ///
    /// # Errors
    /// If they can't be converted.
    pub async fn show(
        &mut self,
        review: &Review<'_>,
        shown_as: &ResourceKind,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<&Shown, Status> {
        let known = self.0.iter().position(|(version, _)| version == shown_as);
        let at = match known {
            Some(at) => at,
            None => {
                let shown = Shown {
                    new: show(review, shown_as, new).await?,
                    old: show(review, shown_as, old).await?,
                };
                self.0.push((shown_as.clone(), shown));
                self.0.len() - 1
            }
        };
        Ok(&self.0[at].1)
    }
}

async fn show(
    review: &Review<'_>,
    shown_as: &ResourceKind,
    kept: Option<&Value>,
) -> Result<Option<Value>, Status> {
    match kept {
        Some(kept) => Ok(Some(review.versions.show(kept, shown_as).await?)),
        None => Ok(None),
    }
}
