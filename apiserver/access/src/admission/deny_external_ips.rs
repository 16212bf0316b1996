//! DenyServiceExternalIPs: no Service gets external addresses it didn't have.
//! Off unless switched on: whoever may write Services could take over traffic
//! to any address (CVE-2020-8554).

use super::{Context, Operation, Plugin, Review};
use crate::objects::strings;
use hardway_proto::Status;
use serde_json::Value;

/// The plugin.
pub struct DenyServiceExternalIps;

impl Plugin for DenyServiceExternalIps {
    fn validate(
        &self,
        _: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        let Some(service) = new.filter(|_| writes && review.is_of("", "services")) else {
            return Ok(());
        };
        let had = |ip: &str| {
            old.is_some_and(|old| strings(old, "/spec/externalIPs").any(|before| before == ip))
        };
        match strings(service, "/spec/externalIPs").all(had) {
            true => Ok(()),
            false => {
                let why = "Use of external IPs is denied by admission control";
                Err(review.forbid(new, why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, Nobody, now, review};
    use super::*;
    use crate::{Admission, User};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn addresses_may_go_and_not_come() {
        let bench = Bench::new();
        let user = User::new("jane", ["dev"]);
        let write = |operation, new: Value, old: Option<Value>| {
            let service =
                |ips: Value| json!({"metadata": {"name": "s"}, "spec": {"externalIPs": ips}});
            let review = review(&user, operation, "", "services", "shop", "s");
            let (new, old) = (service(new), old.map(service));
            DenyServiceExternalIps
                .validate(&bench.admission.context, &review, Some(&new), old.as_ref())
                .map_err(|status| status.message)
        };
        let create = |ips| write(Operation::Create, ips, None);
        assert_eq!(create(json!([])), Ok(()));
        assert_eq!(
            create(json!(["192.0.2.1"])).unwrap_err(),
            r#"services "s" is forbidden: Use of external IPs is denied by admission control"#
        );
        let update = |new, old| write(Operation::Update, new, Some(old));
        let two = json!(["192.0.2.1", "192.0.2.2"]);
        assert_eq!(update(json!(["192.0.2.2"]), two.clone()), Ok(()));
        assert_eq!(update(two.clone(), two.clone()), Ok(()));
        assert!(update(json!(["192.0.2.3"]), two).is_err());
    }

    #[test]
    fn it_is_off_unless_switched_on() {
        let bench = Bench::new();
        let user = User::new("jane", ["dev"]);
        let review = review(&user, Operation::Create, "", "services", "shop", "s");
        let service = json!({"metadata": {"name": "s"}, "spec": {"externalIPs": ["192.0.2.1"]}});
        assert!(bench.validate(&review, Some(&service), None).is_ok());
        let on = ["DenyServiceExternalIPs".to_owned()];
        let authorizer = Arc::new(crate::Authorizer::new(bench.fake.clone()));
        let nobody = Arc::new(Nobody);
        let host = Arc::new(super::super::policies::tests::Server::default());
        let strict = Admission::configured(bench.fake.clone(), authorizer, nobody, host, &on, &[]);
        assert!(now(strict.validate(&review, Some(&service), None)).is_err());
        assert!(Admission::check_name("DenyServiceExternalIPs").is_ok());
        assert!(Admission::check_name("DenyEverything").is_err());
    }
}
