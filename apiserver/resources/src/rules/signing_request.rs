//! CertificateSigningRequests: what is asked for stays, what was decided and
//! issued does so, too.

use super::field::{Errors, Path};
use super::json::{get, has, int, list, list_mut, set, text};
use super::kind::{Kind, WITH_STATUS};
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_proto::names;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// What a certificate may be used for (`KeyUsage` of `k8s.io/api/certificates/v1`), in the
/// order that they are told in.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that only an approver sets.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];
/// Conditions that stay once they are there.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];

pub(super) const SIGNING_REQUEST: Kind = Kind {
    name: names::is_path_segment,
    generation: false,
    // What is asked for, and by whom, stays as it was at the beginning.
    prepare_update: |new, old| super::carry_over(new, old, "spec"),
    prepare_status_update: date_conditions,
    validate: |request| {
        Errors::collect(|e| {
            check_spec(e, get(request, "spec"));
            conditions(e, request);
            certificate(e, request);
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            conditions_stay(e, new, old);
            if issued(new) != issued(old) {
                let path = Path::new("status.certificate");
                e.forbidden(&path, "updates may not set certificate content");
            }
        })
    },
    validate_status: |new, old| {
        let mut causes = (SIGNING_REQUEST.validate)(new);
        causes.extend(Errors::collect(|e| status_update(e, new, old)));
        causes
    },
    fields: |request| {
        vec![(
            "spec.signerName",
            text(get(request, "spec"), "signerName").to_owned(),
        )]
    },
    ..WITH_STATUS
};

fn check_spec(e: &mut Errors, spec: &Value) {
    let path = Path::new("spec");
    let request = text(spec, "request");
    if let Some(problem) = problem_of_request(request) {
        e.invalid(&path.child("request"), request, &problem);
    }
    let at = path.child("usages");
    let usages = list(spec, "usages");
    if usages.is_empty() {
        e.required(&at, "usages must be provided");
    }
    for (i, usage) in usages.iter().enumerate() {
        let usage = usage.as_str().unwrap_or_default();
        if !USAGES.contains(&usage) {
            e.not_supported(&at.index(i), usage, &USAGES);
        }
    }
    let mut seen = BTreeSet::new();
    for (i, usage) in usages.iter().enumerate() {
        if !seen.insert(usage.as_str()) {
            e.duplicate(&at.index(i), usage);
        }
    }
    let signer = text(spec, "signerName");
    let at = path.child("signerName");
    match signer {
        "kubernetes.io/legacy-unknown" => e.invalid(
            &at,
            signer,
            "the legacy signerName is not allowed via this API version",
        ),
        signer => check_signer(e, &at, signer),
    }
    if let Some(n) = int(spec, "expirationSeconds").filter(|n| *n < 600) {
        e.invalid(
            &path.child("expirationSeconds"),
            n,
            "may not specify a duration less than 600 seconds (10 minutes)",
        );
    }
}

/// A domain of two labels or more, and a name below it.
fn check_signer(e: &mut Errors, path: &Path, signer: &str) {
    if signer.is_empty() {
        return e.required(path, "signerName must be provided");
    }
    let Some((domain, name)) = signer
        .split_once('/')
        .filter(|(_, name)| !name.contains('/'))
    else {
        return e.invalid(
            path,
            signer,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        );
    };
    if domain.len() > 253 {
        e.too_long(path, 253);
    }
    check_labels(e, path, domain, names::is_dns1123_label);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        e.invalid(path, domain, detail);
    }
    check_labels(e, path, name, names::is_dns1123_subdomain);
    if signer.len() > 571 {
        e.too_long(path, 571);
    }
}

/// Tells of the first label that is none.
fn check_labels(e: &mut Errors, path: &Path, dotted: &str, problems: fn(&str) -> Vec<String>) {
    let Some(label) = dotted.split('.').find(|label| !problems(label).is_empty()) else {
        return;
    };
    for problem in problems(label) {
        let detail = format!("validating label {label:?}: {problem}");
        e.invalid(path, dotted, &detail);
    }
}

/// What is wrong with a request, as it stands in the object.
fn problem_of_request(encoded: &str) -> Option<String> {
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    let block = Pem::iter_from_buffer(&pem).next().and_then(Result::ok);
    let Some(block) = block.filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Some("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    match X509CertificationRequest::from_der(&block.contents) {
        Ok(_) => None,
        Err(error) => Some(format!("x509: malformed certificate request: {error}")),
    }
}

fn status_update(e: &mut Errors, new: &Value, old: &Value) {
    conditions_stay(e, new, old);
    let path = Path::new("status.conditions");
    for kind in DECISIONS {
        match (condition(old, kind), condition(new, kind)) {
            (None, Some(_)) => {
                e.forbidden(
                    &path,
                    &format!("updates may not add a condition of type {kind:?}"),
                );
            }
            (Some(before), Some(now)) if before != now => {
                let detail = format!("updates may not modify a condition of type {kind:?}");
                e.forbidden(&path, &detail);
            }
            _ => {}
        }
    }
    if !issued(old).is_empty() && issued(new) != issued(old) {
        let path = Path::new("status.certificate");
        e.forbidden(&path, "updates may not modify existing certificate content");
    }
}

fn conditions_stay(e: &mut Errors, new: &Value, old: &Value) {
    for kind in LASTING {
        if condition(old, kind).is_some() && condition(new, kind).is_none() {
            let path = Path::new("status.conditions");
            let detail = format!("updates may not remove a condition of type {kind:?}");
            e.forbidden(&path, &detail);
        }
    }
}

/// Conditions know since when they hold, even if who set them didn't say.
pub fn date_conditions(new: &mut Value, old: &Value) {
    let now = format!("{:.0}", Timestamp::now());
    let Some(status) = super::json::object_mut(new, "status") else {
        return;
    };
    for changed in list_mut(status, "conditions") {
        if !has(changed, "lastUpdateTime") {
            set(changed, "lastUpdateTime", now.as_str());
        }
        if !has(changed, "lastTransitionTime") {
            let same = condition(old, text(changed, "type"))
                .filter(|before| text(before, "status") == text(changed, "status"))
                .map(|before| get(before, "lastTransitionTime").clone())
                .filter(|since| !since.is_null());
            set(
                changed,
                "lastTransitionTime",
                same.unwrap_or_else(|| json!(now)),
            );
        }
    }
}

/// The certificate as it stands in the object.
fn issued(request: &Value) -> &str {
    text(get(request, "status"), "certificate")
}

fn certificate(e: &mut Errors, request: &Value) {
    let encoded = issued(request);
    let problem = match STANDARD.decode(encoded) {
        _ if encoded.is_empty() => return,
        Ok(pem) => problem_of(&pem),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        let path = Path::new("status.certificate");
        e.invalid(&path, "<certificate data>", &problem);
    }
}

/// What is wrong with a chain of certificates.
fn problem_of(pem: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(pem);
    let block = text.split_once("-----BEGIN").unwrap_or_default().1;
    if block.lines().any(|line| line.contains(": ")) {
        return Some("no PEM block headers are permitted".into());
    }
    let mut blocks = 0;
    for block in Pem::iter_from_buffer(pem).map_while(Result::ok) {
        if block.label != "CERTIFICATE" {
            return Some(format!(
                "only CERTIFICATE PEM blocks are allowed, found {:?}",
                block.label
            ));
        }
        if let Err(error) = block.parse_x509() {
            return Some(format!("x509: malformed certificate: {error}"));
        }
        blocks += 1;
    }
    match blocks {
        0 => Some("must contain one or more CERTIFICATE PEM blocks".into()),
        _ => None,
    }
}

fn condition<'a>(request: &'a Value, kind: &str) -> Option<&'a Value> {
    list(get(request, "status"), "conditions")
        .iter()
        .find(|c| text(c, "type") == kind)
}

fn conditions(e: &mut Errors, request: &Value) {
    let path = Path::new("status.conditions");
    let mut seen = BTreeSet::new();
    for (i, condition) in list(get(request, "status"), "conditions")
        .iter()
        .enumerate()
    {
        let (path, kind) = (path.index(i), text(condition, "type"));
        if kind.is_empty() {
            e.required(&path.child("type"), "");
        }
        let other = |k: &&str| *k != kind && seen.contains(*k);
        if DECISIONS.contains(&kind) && DECISIONS.iter().any(other) {
            e.invalid(
                &path.child("type"),
                kind,
                "Approved and Denied conditions are mutually exclusive",
            );
        }
        if !seen.insert(kind) {
            e.duplicate(&path.child("type"), kind);
        }
        match text(condition, "status") {
            "" => e.required(&path.child("status"), ""),
            "True" => {}
            other if LASTING.contains(&kind) => {
                e.not_supported(&path.child("status"), other, &["True"]);
            }
            other => e.one_of(&path.child("status"), other, &["False", "True", "Unknown"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{FieldErrors, KindRules};

    /// `openssl req -new -subj /CN=a`, as the field has it.
    const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIRk1HNENBUUF3RERFS01BZ0dBMVVFQXd3QllUQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCSVlDNG5zdjNnU2N5SFVQV0praGpaeU5TNnp5VkFEREtSbE4xMFZjalJ3VG4xVWo5eSsrb1RKdXF5RzNuUmFGCmtPamVia3pZRTdaY1A0VFJVaUlBRVB5Z0FEQUtCZ2dxaGtqT1BRUURBZ05IQURCRUFpQW1rU3JiQ2lkemNRS1YKaE12Z1d3a3plMTF6aHFZMktqdXpYbWVRb28wUGl3SWdMUWFQaFg2SEtiRWZxTWlVUUtYcFZVd0hKUzM5K043ZQo4bU0vZm1ObnRIYz0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

    fn request(conditions: Value, certificate: &str) -> Value {
        json!({"spec": {"request": REQUEST, "signerName": "example.com/b", "usages": ["client auth"]},
            "status": {"conditions": conditions, "certificate": STANDARD.encode(certificate)}})
    }

    fn texts(causes: FieldErrors) -> Vec<String> {
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    fn is(kind: &str) -> Value {
        json!({"type": kind, "status": "True"})
    }

    #[test]
    fn decisions_are_made_once_and_not_by_signers() {
        let status = |new: &Value, old: &Value| {
            let found = KindRules::validate_status_update(&SIGNING_REQUEST, new, old);
            texts(found.causes)
        };
        let plain = request(json!([]), "");
        let approved = request(json!([is("Approved")]), "");
        assert_eq!(
            status(&approved, &plain),
            [r#"status.conditions: Forbidden: updates may not add a condition of type "Approved""#]
        );
        let mut changed = approved.clone();
        changed["status"]["conditions"][0]["reason"] = json!("Other");
        assert_eq!(
            status(&changed, &approved),
            [
                r#"status.conditions: Forbidden: updates may not modify a condition of type "Approved""#
            ]
        );
        assert_eq!(
            status(&plain, &approved),
            [
                r#"status.conditions: Forbidden: updates may not remove a condition of type "Approved""#
            ]
        );
        let failed = request(json!([is("Approved"), is("Failed")]), "");
        assert!(status(&failed, &approved).is_empty());
        // Approvers may; but not both at once.
        assert!(KindRules::validate_update(&SIGNING_REQUEST, &approved, &plain).is_empty());
        let both = request(json!([is("Approved"), is("Denied")]), "");
        assert_eq!(
            texts(KindRules::validate(&SIGNING_REQUEST, &both)),
            [
                r#"status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive"#
            ]
        );
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBcjCCARmgAwIBAgIUcSaZ+myhySMtyjXDhzf10qo+pSowCgYIKoZIzj0EAwIw\n\
        DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjIxOTQ2MTlaFw0zNjExMTkxOTQ2MTla\n\
        MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARAJi1b\n\
        Ik0SecJA5+/fxt7aW+Q52LkYKlS50CrbRiIfx7DfTtPlEOWc6hSUT+8OU5A8sbBI\n\
        RKZ+W5Y/2yFiLfxPo1MwUTAdBgNVHQ4EFgQUe1BepoqL4cGlCGUd9z952xuVjHMw\n\
        HwYDVR0jBBgwFoAUe1BepoqL4cGlCGUd9z952xuVjHMwDwYDVR0TAQH/BAUwAwEB\n\
        /zAKBggqhkjOPQQDAgNHADBEAiBuEacnengcfABlOyaWFRhXNn1eBwzN2iMhyP9S\n\
        QoCfBwIgPhnT0mN29MDDTO8v6GLV9i0SrFq6EjW8t1I9SIimqSE=\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn what_was_issued_stays() {
        let issued = request(json!([]), CERTIFICATE);
        let status = |new: &Value, old: &Value| {
            let found = KindRules::validate_status_update(&SIGNING_REQUEST, new, old);
            texts(found.causes)
        };
        let none = request(json!([]), "");
        assert_eq!(status(&issued, &none), [""; 0]);
        assert_eq!(
            status(&none, &issued),
            ["status.certificate: Forbidden: updates may not modify existing certificate content"]
        );
        let found = texts(KindRules::validate_update(&SIGNING_REQUEST, &issued, &none));
        assert_eq!(
            found,
            ["status.certificate: Forbidden: updates may not set certificate content"]
        );
        for (pem, problem) in [
            (
                "hello".to_owned(),
                "must contain one or more CERTIFICATE PEM blocks",
            ),
            (
                CERTIFICATE.replace("CERTIFICATE", "SECRET"),
                r#"only CERTIFICATE PEM blocks are allowed, found "SECRET""#,
            ),
            (
                CERTIFICATE.replacen("-----\n", "-----\na: b\n\n", 1),
                "no PEM block headers are permitted",
            ),
        ] {
            let found = status(&request(json!([]), &pem), &none);
            assert_eq!(
                found,
                [format!(
                    "status.certificate: Invalid value: \"<certificate data>\": {problem}"
                )]
            );
        }
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(status(&request(json!([]), cut), &none).len(), 1);
    }

    #[test]
    fn conditions_are_dated() {
        let then = "2026-01-01T00:00:00Z";
        let mut old = request(json!([is("Approved")]), "");
        old["status"]["conditions"][0]["lastTransitionTime"] = json!(then);
        let mut new = request(json!([is("Approved"), is("Failed")]), "");
        KindRules::prepare_status_update(&SIGNING_REQUEST, &mut new, &old);
        let conditions = &new["status"]["conditions"];
        assert_eq!(conditions[0]["lastTransitionTime"], then);
        assert_eq!(
            conditions[1]["lastTransitionTime"],
            conditions[1]["lastUpdateTime"]
        );
    }
}
