//! Who asks for a certificate; CertificateApproval, CertificateSigning,
//! CertificateSubjectRestriction.

use super::{Context, Plugin, Review, object_at};
use crate::{Attributes, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_proto::Status;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";

/// Whoever asks is written into the request by the server: approvers decide
/// by it, so nobody may claim to be somebody else.
pub struct Requester;
/// Only approvers of a signer approve its requests.
pub struct Approval;
/// Only signers sign.
pub struct Signing;
/// Nobody asks the client signer to become a superuser.
pub struct SubjectRestriction;

/// Whether the user may do `verb` with a signer, by its name or its domain.
fn may(cx: &Context, review: &Review, verb: &str, signer: &str) -> bool {
    let wildcard = signer
        .split_once('/')
        .map(|(domain, _)| format!("{domain}/*"));
    [Some(signer), wildcard.as_deref()]
        .into_iter()
        .flatten()
        .any(|name| {
            let asked = Attributes::resource(review.user, verb, GROUP, "signers", "", name);
            cx.authorizer.authorize(&asked).is_allowed()
        })
}

impl Plugin for Requester {
    fn mutate(&self, _: &Context, review: &Review, request: &mut Value) -> Result<(), Status> {
        if !review.creates(GROUP, RESOURCE) {
            return Ok(());
        }
        let spec = object_at(request, "spec");
        for field in ["username", "uid", "groups", "extra"] {
            spec.remove(field);
        }
        if let Value::Object(user) = review.user.to_json() {
            spec.extend(user);
        }
        Ok(())
    }
}

impl Plugin for Approval {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        _: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let Some(old) = old.filter(|_| review.is_sub(GROUP, RESOURCE, "approval")) else {
            return Ok(());
        };
        let signer = text(old, "/spec/signerName");
        match may(cx, review, "approve", signer) {
            true => Ok(()),
            false => Err(review.forbid(
                Some(old),
                format!("user not permitted to approve requests with signerName {signer:?}"),
            )),
        }
    }
}

impl Plugin for Signing {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let (Some(new), Some(old)) = (new, old) else {
            return Ok(());
        };
        let same = |pointer| new.pointer(pointer) == old.pointer(pointer);
        if !review.is_sub(GROUP, RESOURCE, "status")
            || same("/status/certificate") && same("/status/conditions")
        {
            return Ok(());
        }
        let signer = text(old, "/spec/signerName");
        match may(cx, review, "sign", signer) {
            true => Ok(()),
            false => Err(review.forbid(
                Some(old),
                format!("user not permitted to sign requests with signerName {signer:?}"),
            )),
        }
    }
}

impl Plugin for SubjectRestriction {
    fn validate(
        &self,
        _: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        let Some(request) = new.filter(|_| review.creates(GROUP, RESOURCE)) else {
            return Ok(());
        };
        if text(request, "/spec/signerName") != "kubernetes.io/kube-apiserver-client" {
            return Ok(());
        }
        match organizations(text(request, "/spec/request")) {
            None => Err(review.forbid(new, "failed to parse CSR: it is no PEM of a PKCS#10 request")),
            Some(groups) if groups.iter().any(|g| g == crate::user::MASTERS) => Err(review.forbid(
                new,
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
            )),
            Some(_) => Ok(()),
        }
    }
}

/// The organisations in the subject of a base64-encoded PEM request.
fn organizations(request: &str) -> Option<Vec<String>> {
    let pem = STANDARD.decode(request).ok()?;
    let (_, pem) = parse_x509_pem(&pem).ok()?;
    let (_, csr) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    let subject = &csr.certification_request_info.subject;
    Some(
        subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok().map(str::to_owned))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::testing::{Bench, review};
    use super::*;
    use crate::User;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use serde_json::json;

    #[test]
    fn nobody_becomes_superuser_by_certificate() {
        let request = |group: &str| {
            let mut params = CertificateParams::default();
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
            let key = KeyPair::generate().unwrap();
            let pem = params.serialize_request(&key).unwrap().pem().unwrap();
            json!({"metadata": {"name": "c"}, "spec": {
                "signerName": "kubernetes.io/kube-apiserver-client", "request": STANDARD.encode(pem)}})
        };
        let bench = Bench::new();
        assert!(bench.create(GROUP, RESOURCE, request("dev")).is_ok());
        assert_eq!(
            bench
                .create(GROUP, RESOURCE, request("system:masters"))
                .unwrap_err()
                .message,
            r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"#
        );
    }

    #[test]
    fn nobody_asks_in_another_name() {
        let bench = Bench::new();
        let forged = json!({"metadata": {"name": "c"}, "spec": {
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "username": "system:node:n1", "uid": "u", "extra": {"k": ["v"]},
            "groups": ["system:nodes", "system:bootstrappers"]}});
        let stored = bench.create(GROUP, RESOURCE, forged).unwrap();
        assert_eq!(stored["spec"]["username"], "jane");
        assert_eq!(
            stored["spec"]["groups"],
            json!(["dev", "system:authenticated"])
        );
        assert_eq!(stored["spec"].get("uid"), None);
        assert_eq!(stored["spec"].get("extra"), None);
    }

    #[test]
    fn approving_and_signing_need_permission() {
        let bench = Bench::new();
        let jane = User::new("jane", ["dev"]);
        let old = json!({"metadata": {"name": "c"}, "spec": {"signerName": "acme.com/x"}});
        let mut new = old.clone();
        new["status"] = json!({"certificate": "x"});
        for (sub, verb) in [("approval", "approve"), ("status", "sign")] {
            let resource = format!("{RESOURCE}/{sub}");
            let update = |user| {
                let review = review(user, Operation::Update, GROUP, &resource, "", "c");
                bench.validate(&review, Some(&new), Some(&old))
            };
            let message = update(&jane).unwrap_err().message;
            assert!(message.ends_with(&format!(
                "user not permitted to {verb} requests with signerName \"acme.com/x\""
            )));
            assert!(update(&User::new("root", ["system:masters"])).is_ok());
        }
    }
}
