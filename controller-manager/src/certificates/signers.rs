//! What Kubernetes' signers demand of a request, and which requests of kubelets
//! are approved without a person.

use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use std::collections::BTreeSet;
use std::net::IpAddr;
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
pub struct RequestedSubject {
    /// The user it is for.
    pub common_name: String,
    /// The groups it is for.
    pub organizations: Vec<String>,
    /// DNS names it is for.
    pub dns_names: Vec<String>,
    /// Addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// How many mail addresses it is for.
    pub emails: usize,
    /// How many URIs it is for.
    pub uris: usize,
    /// How many names of other sorts it is for.
    pub others: usize,
}

impl RequestedSubject {
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
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(address) => self.addresses.push(address),
                None => self.others += 1,
            },
            GeneralName::RFC822Name(_) => self.emails += 1,
            GeneralName::URI(_) => self.uris += 1,
            _ => self.others += 1,
        }
    }

    /// What a signer signers; `Err` says what is missing, in Kubernetes' words.
    pub fn check(&self, spec: &CertificateSigningRequestSpec) -> Result<(), String> {
        if self.others > 0 {
            return Err("other subjectAltNames than DNS, Email, IP and URI are not allowed".into());
        }
        match spec.signer_name.as_str() {
            KUBELET_CLIENT => {
                self.is_of_a_node()?;
                self.names_nothing()?;
                exactly(spec, CLIENT_AUTH)
            }
            KUBELET_SERVING => {
                self.is_of_a_node()?;
                if self.dns_names.is_empty() && self.addresses.is_empty() {
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

    fn names_nothing(&self) -> Result<(), String> {
        none(self.dns_names.len(), "DNS")?;
        none(self.emails, "Email")?;
        none(self.addresses.len(), "IP")?;
        none(self.uris, "URI")
    }

    /// The permissions of which any one lets the sender have this without a
    /// person's approval; none for what a person has to look at. A serving
    /// certificate's names are still to be compared with the Node's
    /// ([`super::serving`]).
    pub fn recognized(&self, spec: &CertificateSigningRequestSpec) -> &'static [Recognized] {
        if self.check(spec).is_err() {
            return &[];
        }
        let itself = spec.username.as_deref() == Some(self.common_name.as_str());
        match spec.signer_name.as_str() {
            KUBELET_CLIENT if itself => &[SELF, ANY],
            KUBELET_CLIENT => &[ANY],
            KUBELET_SERVING => &[SERVING],
            API_CLIENT if self.is_of_an_agent(spec) => &[AGENT],
            _ => &[],
        }
    }

    /// Whether a node asks for what runs beside its kubelet: kube-proxy, which
    /// is the same user on all nodes, or its own flannel-lite.
    fn is_of_an_agent(&self, spec: &CertificateSigningRequestSpec) -> bool {
        let groups = spec.groups.iter().flatten();
        let node = spec.username.as_deref().unwrap_or_default();
        let Some(node) = node.strip_prefix("system:node:") else {
            return false;
        };
        let organizations: Vec<&str> = self.organizations.iter().map(String::as_str).collect();
        let is_agent = match organizations.as_slice() {
            [] => self.common_name == "system:kube-proxy",
            ["system:flannel-lite"] => self.common_name == format!("system:flannel-lite:{node}"),
            _ => false,
        };
        is_agent
            && !node.is_empty()
            && groups.into_iter().any(|group| group == "system:nodes")
            && self.names_nothing().is_ok()
            && exactly(spec, CLIENT_AUTH).is_ok()
    }
}

/// The address in a name of the type `iPAddress`.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
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

const SERVING: Recognized = Recognized {
    subresource: "selfnodeserver",
    message: "Auto approving self kubelet server certificate after SubjectAccessReview.",
};
const AGENT: Recognized = Recognized {
    subresource: "nodeagentclient",
    message: "Auto approving client certificate of a node's agent after SubjectAccessReview.",
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

    fn request(name: &str, organisation: &str, names: &[SanType]) -> RequestedSubject {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        RequestedSubject::read(pem.as_bytes()).unwrap()
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
    fn a_node_alone_asks_for_its_serving_certificate() {
        let usages = [SERVER_AUTH, SIGNATURE];
        let asked = request("system:node:a", "system:nodes", &[dns("a")]);
        let own = spec("system:node:a", KUBELET_SERVING, &usages);
        assert_eq!(asked.check(&own), Ok(()));
        assert_eq!(asked.recognized(&own), [SERVING]);
        let other = spec("system:node:b", KUBELET_SERVING, &usages);
        assert!(asked.recognized(&other).is_empty());
        assert!(
            asked
                .check(&other)
                .unwrap_err()
                .starts_with("only system:node:a itself")
        );
    }

    #[test]
    fn a_node_asks_for_its_own_agents() {
        let usages = [CLIENT_AUTH, SIGNATURE];
        let by = |user: &str, group: &str, name: &str, of: &str, names: &[SanType]| {
            let mut spec = spec(user, API_CLIENT, &usages);
            spec.groups = Some(vec![group.to_owned()]);
            let mut asked = request(name, of, names);
            asked.organizations.retain(|o| !o.is_empty());
            !asked.recognized(&spec).is_empty()
        };
        let (a, nodes) = ("system:node:a", "system:nodes");
        let overlay = "system:flannel-lite";
        assert!(by(a, nodes, "system:kube-proxy", "", &[]));
        assert!(by(a, nodes, "system:flannel-lite:a", overlay, &[]));
        for (user, group, name, of, names) in [
            (a, nodes, "system:flannel-lite:b", overlay, &[][..]),
            (a, nodes, "system:flannel-lite:a", "", &[]),
            (a, nodes, "system:flannel-lite:a", "system:nodes", &[]),
            (a, nodes, "system:kube-proxy", "system:masters", &[]),
            (a, nodes, "system:kube-proxy", "", &[dns("a")]),
            (a, nodes, "system:kube-scheduler", "", &[]),
            (a, "dev", "system:kube-proxy", "", &[]),
            ("jane", nodes, "system:kube-proxy", "", &[]),
            ("system:node:", nodes, "system:flannel-lite:", overlay, &[]),
        ] {
            assert!(!by(user, group, name, of, names), "{user} {name} {of}");
        }
    }

    #[test]
    fn what_a_signer_demands() {
        let usages = [CLIENT_AUTH, SIGNATURE];
        let of = |asked: &RequestedSubject, signer: &str, usages: &[&str]| {
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
        let many = RequestedSubject {
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
