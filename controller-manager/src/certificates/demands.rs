//! What Kubernetes' signers demand of a request, and which requests of kubelets
//! are approved without a person.

use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use std::collections::BTreeSet;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
pub const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";

const SIGNATURE: &str = "digital signature";
const ENCIPHERMENT: &str = "key encipherment";
const CLIENT_AUTH: &str = "client auth";
const SERVER_AUTH: &str = "server auth";

/// What a PKCS#10 request says of its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    common_name: String,
    organizations: Vec<String>,
    dns_names: usize,
    addresses: usize,
    emails: usize,
    uris: usize,
    /// Names of other sorts.
    others: usize,
}

impl Asked {
    /// Reads a PEM.
    pub fn read(pem: &[u8]) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(pem).map_err(|error| error.to_string())?;
        let (_, request) =
            X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
        let subject = &request.certification_request_info.subject;
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().unwrap_or_default().to_owned()
        };
        let mut asked = Self {
            common_name: subject.iter_common_name().map(text).collect(),
            organizations: subject.iter_organization().map(text).collect(),
            ..Self::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    asked.count(name);
                }
            }
        }
        Ok(asked)
    }

    fn count(&mut self, name: &GeneralName<'_>) {
        let count = match name {
            GeneralName::DNSName(_) => &mut self.dns_names,
            GeneralName::IPAddress(_) => &mut self.addresses,
            GeneralName::RFC822Name(_) => &mut self.emails,
            GeneralName::URI(_) => &mut self.uris,
            _ => &mut self.others,
        };
        *count += 1;
    }

    /// What a signer demands; `Err` says what is missing, in Kubernetes' words.
    pub fn check(&self, spec: &CertificateSigningRequestSpec) -> Result<(), String> {
        if self.others > 0 {
            return Err("other subjectAltNames than DNS, Email, IP and URI are not allowed".into());
        }
        match spec.signer_name.as_str() {
            KUBELET_CLIENT => {
                self.is_of_a_node()?;
                none(self.dns_names, "DNS")?;
                none(self.emails, "Email")?;
                none(self.addresses, "IP")?;
                none(self.uris, "URI")?;
                exactly(spec, CLIENT_AUTH)
            }
            KUBELET_SERVING => {
                self.is_of_a_node()?;
                if self.dns_names + self.addresses == 0 {
                    return Err("DNS or IP subjectAltName is required".into());
                }
                none(self.emails, "Email")?;
                none(self.uris, "URI")?;
                exactly(spec, SERVER_AUTH)?;
                match spec.username.as_deref() == Some(self.common_name.as_str()) {
                    true => Ok(()),
                    false => Err(format!(
                        "only {} itself may ask for its serving certificate",
                        self.common_name
                    )),
                }
            }
            API_CLIENT => {
                // The certificate would be of one of them only.
                if self.organizations.len() > 1 {
                    return Err("a subject of several organizations is not supported".into());
                }
                let usages = usages(spec);
                let optional = [SIGNATURE, ENCIPHERMENT, CLIENT_AUTH];
                if let Some(other) = usages.iter().find(|usage| !optional.contains(usage)) {
                    return Err(format!("invalid usage for client certificate: {other}"));
                }
                match usages.contains(CLIENT_AUTH) {
                    true => Ok(()),
                    false => Err(format!(
                        "missing required usage for client certificate: {CLIENT_AUTH}"
                    )),
                }
            }
            other => Err(format!("unrecognized signerName: {other:?}")),
        }
    }

    fn is_of_a_node(&self) -> Result<(), String> {
        if self.organizations != ["system:nodes"] {
            return Err("subject organization is not system:nodes".into());
        }
        match self.common_name.starts_with("system:node:") {
            true => Ok(()),
            false => Err("subject common name does not begin with system:node:".into()),
        }
    }

    /// The permissions of which any one lets the sender have this without a
    /// person's approval; none for what a person has to look at. A serving
    /// certificate is such: which names are a node's there is only its own
    /// word for, and it could name the apiserver.
    pub fn recognized(&self, spec: &CertificateSigningRequestSpec) -> &'static [Recognized] {
        if spec.signer_name != KUBELET_CLIENT || self.check(spec).is_err() {
            return &[];
        }
        match spec.username.as_deref() == Some(self.common_name.as_str()) {
            true => &[SELF, ANY],
            false => &[ANY],
        }
    }
}

/// A request that is approved if its sender may `create` this subresource of
/// certificatesigningrequests.
#[derive(Debug, PartialEq, Eq)]
pub struct Recognized {
    /// The subresource.
    pub subresource: &'static str,
    /// What the approval says.
    pub message: &'static str,
}

const SELF: Recognized = Recognized {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const ANY: Recognized = Recognized {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

fn none(count: usize, what: &str) -> Result<(), String> {
    match count {
        0 => Ok(()),
        _ => Err(format!("{what} subjectAltNames are not allowed")),
    }
}

fn usages(spec: &CertificateSigningRequestSpec) -> BTreeSet<&str> {
    spec.usages.iter().flatten().map(String::as_str).collect()
}

/// The usages are these two, or these and encipherment, which RSA keys need.
fn exactly(spec: &CertificateSigningRequestSpec, auth: &str) -> Result<(), String> {
    let mut usages = usages(spec);
    usages.remove(ENCIPHERMENT);
    match usages == BTreeSet::from([SIGNATURE, auth]) {
        true => Ok(()),
        false => Err(format!(
            "usages did not match [{auth} {SIGNATURE} {ENCIPHERMENT}]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn request(name: &str, organisation: &str, names: &[SanType]) -> Asked {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        Asked::read(pem.as_bytes()).unwrap()
    }

    fn spec(user: &str, signer: &str, usages: &[&str]) -> CertificateSigningRequestSpec {
        CertificateSigningRequestSpec {
            username: Some(user.into()),
            signer_name: signer.into(),
            usages: Some(usages.iter().map(|u| (*u).to_owned()).collect()),
            ..Default::default()
        }
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    #[test]
    fn what_kubelets_ask_for_needs_a_permission() {
        let usages = [CLIENT_AUTH, SIGNATURE];
        let asked = request("system:node:a", "system:nodes", &[]);
        let by = |user: &str| asked.recognized(&spec(user, KUBELET_CLIENT, &usages));
        assert_eq!(by("system:node:a"), [SELF, ANY]);
        assert_eq!(by("system:bootstrap:x"), [ANY]);
        assert_eq!(by("system:node:b"), [ANY]);
        let greedy = request("system:node:a", "system:masters", &[]);
        let none: [Recognized; 0] = [];
        assert_eq!(
            greedy.recognized(&spec("system:node:a", KUBELET_CLIENT, &usages)),
            none
        );
        assert_eq!(
            asked.recognized(&spec("system:node:a", API_CLIENT, &usages)),
            none
        );
    }

    #[test]
    fn a_node_does_not_choose_the_names_it_serves() {
        let usages = [SERVER_AUTH, SIGNATURE];
        let asked = request(
            "system:node:a",
            "system:nodes",
            &[dns("kubernetes.default.svc")],
        );
        let own = spec("system:node:a", KUBELET_SERVING, &usages);
        assert_eq!(asked.check(&own), Ok(()));
        assert!(asked.recognized(&own).is_empty());
        let other = spec("system:node:b", KUBELET_SERVING, &usages);
        assert!(
            asked
                .check(&other)
                .unwrap_err()
                .starts_with("only system:node:a itself")
        );
    }

    #[test]
    fn what_a_signer_demands() {
        let usages = [CLIENT_AUTH, SIGNATURE];
        let of = |asked: &Asked, signer: &str, usages: &[&str]| {
            asked
                .check(&spec("system:node:a", signer, usages))
                .unwrap_err()
        };
        let node = request("system:node:a", "system:nodes", &[]);
        let outsider = request("system:node:a", "system:masters", &[]);
        assert_eq!(
            of(&outsider, KUBELET_CLIENT, &usages),
            "subject organization is not system:nodes"
        );
        let many = Asked {
            organizations: vec!["system:nodes".into(), "system:masters".into()],
            ..node.clone()
        };
        assert_eq!(
            of(&many, KUBELET_CLIENT, &usages),
            "subject organization is not system:nodes"
        );
        assert_eq!(
            of(&request("a", "system:nodes", &[]), KUBELET_CLIENT, &usages),
            "subject common name does not begin with system:node:"
        );
        let named = request("system:node:a", "system:nodes", &[dns("x")]);
        assert_eq!(
            of(&named, KUBELET_CLIENT, &usages),
            "DNS subjectAltNames are not allowed"
        );
        assert_eq!(
            of(&node, KUBELET_SERVING, &[SERVER_AUTH, SIGNATURE]),
            "DNS or IP subjectAltName is required"
        );
        for wrong in [
            &[CLIENT_AUTH][..],
            &[CLIENT_AUTH, SIGNATURE, SERVER_AUTH],
            &[SERVER_AUTH, SIGNATURE],
        ] {
            assert!(of(&node, KUBELET_CLIENT, wrong).starts_with("usages did not match"));
        }
        assert!(of(&node, API_CLIENT, &[CLIENT_AUTH, SERVER_AUTH]).starts_with("invalid usage"));
        assert!(of(&node, API_CLIENT, &[SIGNATURE]).starts_with("missing required usage"));
        assert!(of(&node, "acme.com/other", &usages).starts_with("unrecognized signerName"));
    }
}
