//! The cluster's DNS servers, asked themselves: none or a wrong answer.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::diagnosis::{Evidence, Source};
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::{is_well, service_pods};
use crate::snapshot::{DnsAnswer, DnsOutcome, DnsRequest};
use crate::words::{count, few};

pub(super) const CAUSE: Cause = Cause {
    name: "dns",
    about: "DNS servers of the cluster that do not answer, or answer wrongly",
    kinds: &["Service"],
    reads: &["Pod", "EndpointSlice"],
    find,
};

/// How many of the servers are asked.
const MOST: usize = 3;
/// The Service of the cluster's DNS, whoever serves it (Kubernetes' DNS specification leaves the
/// name open; kubeadm, kops, k3s and hardway call it so).
const SERVICE: (&str, &str) = ("kube-system", "kube-dns");
/// The port of DNS over TCP, and its usual name.
const PORT: (u16, &str) = (53, "dns-tcp");

fn is_dns(service: &Object<'_>) -> bool {
    (service.namespace(), service.name()) == SERVICE
}

/// The servers that are worth being asked: those of which nothing else says that they are not well.
pub(crate) fn requests<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Vec<DnsRequest> {
    if !is_dns(service) {
        return Vec::new();
    }
    let port = port(cluster, service);
    let pods = service_pods(cluster, service).into_iter().filter(is_well);
    let mut requests: Vec<DnsRequest> = pods
        .map(|pod| DnsRequest {
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            port,
        })
        .collect();
    requests.sort();
    requests.truncate(MOST);
    requests
}

/// The pods' port, as the endpoints have it.
fn port<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> u16 {
    let slices = cluster.within("EndpointSlice", service.namespace()).iter();
    let own = slices.filter(|it| it.label("kubernetes.io/service-name") == Some(service.name()));
    let mut ports = own.flat_map(|it| it.value.list("/ports"));
    let tcp = ports.find(|port| {
        let is_named = port.text("/name") == Some(PORT.1);
        is_named && port.text("/protocol") == Some("TCP")
    });
    let number = tcp.and_then(|port| u16::try_from(port.number("/port")?).ok());
    number.unwrap_or(PORT.0)
}

/// What is to be said of a server.
enum Verdict {
    Right(String),
    /// It works, but does not know the name.
    Unknown(String),
    Wrong(String),
    Silent(String),
}

fn verdict(outcome: &DnsOutcome, expected: Option<&str>) -> Option<Verdict> {
    Some(match outcome {
        DnsOutcome::NotAsked(_) => return None,
        DnsOutcome::Silent(why) => Verdict::Silent(format!("no answer: {why}")),
        DnsOutcome::Answered(DnsAnswer { code: 0, addresses }) => {
            let told: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let is_right = |expected: &str| told.iter().any(|it| it == expected);
            match (expected, told.is_empty()) {
                (_, true) => Verdict::Wrong("no address".to_owned()),
                (Some(expected), _) if !is_right(expected) => {
                    Verdict::Wrong(format!("{}, and not {expected}", told.join(", ")))
                }
                _ => Verdict::Right(told.join(", ")),
            }
        }
        DnsOutcome::Answered(DnsAnswer { code: 3, .. }) => {
            Verdict::Unknown("no such name".to_owned())
        }
        DnsOutcome::Answered(DnsAnswer { code, .. }) => {
            Verdict::Wrong(format!("it answers with {}", name_of(*code)))
        }
    })
}

/// A response code's name (RFC 1035, 4.1.1).
fn name_of(code: u16) -> String {
    match code {
        1 => "FORMERR: it does not understand".to_owned(),
        2 => "SERVFAIL: it can't find out".to_owned(),
        4 => "NOTIMP: it does not know such questions".to_owned(),
        5 => "REFUSED: it does not want to".to_owned(),
        code => format!("the error {code}"),
    }
}

fn find<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Vec<Finding> {
    if !is_dns(service) {
        return Vec::new();
    }
    let kubernetes = cluster.get("Service", "default", "kubernetes");
    let expected = kubernetes.and_then(|it| it.value.text("/spec/clusterIP"));
    let (mut right, mut unknown, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut evidence = Vec::new();
    for (request, outcome) in &cluster.snapshot.dns {
        let Some(pod) = cluster.get("Pod", &request.namespace, &request.pod) else {
            continue;
        };
        let Some(verdict) = verdict(outcome, expected) else {
            continue;
        };
        let (list, says) = match verdict {
            Verdict::Right(says) => (&mut right, says),
            Verdict::Unknown(says) => (&mut unknown, says),
            Verdict::Wrong(says) | Verdict::Silent(says) => (&mut bad, says),
        };
        list.push(pod.subject().to_string());
        evidence.push(Evidence {
            object: pod.subject(),
            source: Source::Answer(format!("{} over TCP", DnsRequest::NAME)),
            says,
            since: None,
        });
    }
    let asked = count(right.len() + unknown.len() + bad.len(), "server");
    let finding = match (bad.is_empty(), unknown.is_empty(), right.is_empty()) {
        (true, true, true) => return Vec::new(),
        (false, _, _) => {
            let summary = format!("of {asked} of the cluster's DNS not well: {}", few(&bad, 3));
            let finding = match right.is_empty() && unknown.is_empty() {
                true => Finding::error(summary),
                false => Finding::warning(summary),
            };
            finding.run(
                "see what it says",
                format!(
                    "kubectl logs {}{} --tail=20",
                    bad.first().map_or("", |it| it.trim_start_matches("pod/")),
                    service.flag()
                ),
            )
        }
        (true, false, _) => Finding::info(format!(
            "answers, but does not know {}: the cluster has another domain, or its DNS does not see the API",
            DnsRequest::NAME
        )),
        (true, true, false) => Finding::info(format!("answers: {asked} asked")),
    };
    vec![finding.key("dns").says(evidence)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{says, snapshot};
    use crate::{FollowUp, Severity, Snapshot, Subject, explain, follow_ups, problems};
    use serde_json::{Value, json};

    fn objects() -> Vec<(&'static str, Value)> {
        let pod = |name: &str, ready: &str| {
            let labels = json!({"k8s-app": "kube-dns"});
            json!({"metadata": {"name": name, "namespace": "kube-system", "labels": labels},
                "spec": {"containers": [{"name": "c"}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
        };
        let labels = json!({"kubernetes.io/service-name": "kube-dns"});
        let service = |namespace: &str, name: &str, spec: Value| json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
        let slice = json!({"metadata": {"name": "kube-dns-1", "namespace": "kube-system", "labels": labels},
            "ports": [{"name": "dns", "protocol": "UDP", "port": 5300},
                {"name": "dns-tcp", "protocol": "TCP", "port": 5353}]});
        let dns = json!({"selector": {"k8s-app": "kube-dns"}, "clusterIP": "10.96.0.10"});
        let first = json!({"clusterIP": "10.96.0.1"});
        vec![
            ("Service", service("kube-system", "kube-dns", dns)),
            ("Service", service("default", "kubernetes", first)),
            ("EndpointSlice", slice),
            ("Pod", pod("dns-a", "True")),
            ("Pod", pod("dns-b", "True")),
            ("Pod", pod("dns-c", "False")),
        ]
    }

    /// What is told of the Service after the two servers have answered so.
    fn told(outcomes: [DnsOutcome; 2]) -> (crate::Explanation, Snapshot) {
        let mut snapshot = snapshot(&objects());
        let subject = Subject::new("Service", Some("kube-system"), "kube-dns");
        let requests = follow_ups(&snapshot, Some(&subject));
        let requests: Vec<DnsRequest> = requests
            .into_iter()
            .filter_map(|it| match it {
                FollowUp::Dns(request) => Some(request),
                _ => None,
            })
            .collect();
        let asked: Vec<_> = requests
            .iter()
            .map(|it| (it.pod.as_str(), it.port))
            .collect();
        assert_eq!(
            asked,
            [("dns-a", 5353), ("dns-b", 5353)],
            "those that are ready"
        );
        for (request, outcome) in requests.into_iter().zip(outcomes) {
            snapshot.put_dns(request, outcome);
        }
        (explain(&snapshot, &subject).unwrap(), snapshot)
    }

    fn answer(code: u16, addresses: &[&str]) -> DnsOutcome {
        DnsOutcome::Answered(DnsAnswer {
            code,
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        })
    }

    fn of_dns(told: &crate::Explanation) -> &crate::Diagnosis {
        told.causes.iter().find(|it| it.cause == "dns").unwrap()
    }

    #[test]
    fn servers_that_answer_rightly_are_no_problem() {
        let right = answer(0, &["10.96.0.1"]);
        let (all, snapshot) = told([right.clone(), right]);
        let dns = of_dns(&all);
        assert_eq!(
            (dns.severity, dns.summary.as_str()),
            (Severity::Info, "answers: 2 servers asked")
        );
        let found = problems(&snapshot, None);
        assert!(!found.iter().any(|it| it.cause == "dns"));
        let (all, _) = told([answer(3, &[]), answer(0, &["10.96.0.1"])]);
        assert_eq!(of_dns(&all).severity, Severity::Info);
        says(of_dns(&all), "no such name");
    }

    #[test]
    fn silence_errors_and_wrong_addresses_are_told() {
        let right = answer(0, &["10.96.0.1"]);
        let silent = DnsOutcome::Silent("nothing within 3 s".to_owned());
        for (outcome, expected) in [
            (silent.clone(), "no answer: nothing within 3 s"),
            (
                answer(2, &[]),
                "it answers with SERVFAIL: it can't find out",
            ),
            (answer(0, &["192.0.2.1"]), "192.0.2.1, and not 10.96.0.1"),
            (answer(0, &[]), "no address"),
        ] {
            let (all, snapshot) = told([right.clone(), outcome]);
            let dns = of_dns(&all);
            assert_eq!(dns.severity, Severity::Warning);
            assert_eq!(
                dns.summary,
                "of 2 servers of the cluster's DNS not well: pod/dns-b"
            );
            says(dns, expected);
            assert!(problems(&snapshot, None).iter().any(|it| it.cause == "dns"));
        }
        let (all, _) = told([silent.clone(), silent]);
        assert_eq!(of_dns(&all).severity, Severity::Error);
    }

    #[test]
    fn who_may_not_ask_is_told_so() {
        let refused = || DnsOutcome::NotAsked("pods/portforward is forbidden".to_owned());
        let (all, _) = told([refused(), refused()]);
        assert!(!all.causes.iter().any(|it| it.cause == "dns"));
        let unread: Vec<&str> = all.unread.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(unread, ["pods/portforward is forbidden"]);
    }
}
