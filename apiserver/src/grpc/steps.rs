//! Who hands in steps.

use super::{Caller, Calls};
use crate::fairness;
use crate::pipeline::Record;
use crate::steps::Reporter;
use hardway_access::{Attributes, User};
use hardway_proto::Status;

pub(super) const WATCH_READERS: &str = "/hardway.v1.Api/WatchStepReaders";
pub(super) const REPORT: &str = "/hardway.v1.Api/ReportSteps";

impl Calls {
    /// The process that calls a method, known by its own identity: nobody reports in the name
    /// of somebody else. Its call is noted, and takes its turn.
    pub(super) async fn reporter<T>(
        &self,
        call: &tonic::Request<T>,
        path: &'static str,
        instance: &str,
    ) -> Result<(Reporter, Record), Status> {
        let caller = call.extensions().get::<Caller>();
        let address = caller.map(|caller| caller.address);
        let address = address.ok_or_else(|| Status::internal("the call was not identified"))?;
        let nobody = User::default();
        let asked = Attributes::path(&nobody, "post", path);
        let (user, origin, record) = self.caller(call, path.into(), asked)?;
        let (digest, details) = fairness::path_digest(&user, "post", path);
        let (_, seat) = self.pipeline.seats.take_one(&user, &digest, details).await;
        let reporter = seat.and_then(|_seat| match origin.impersonator {
            None => Reporter::of(&user, address, instance),
            Some(_) => Err(Status::forbidden(
                "",
                "",
                "",
                "steps are reported by the component itself",
            )),
        });
        let reporter = reporter.inspect_err(|status| record.failed(status))?;
        Ok((reporter, record))
    }
}
