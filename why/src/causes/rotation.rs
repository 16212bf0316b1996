//! CAs that are believed two at a time for longer than replacing one takes: somebody has begun to
//! replace a CA, and stopped half-way.

use jiff::Timestamp;

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::validity::{Authority, authorities};
use crate::words::span;

pub(super) const CAUSE: Cause = Cause {
    name: "rotation",
    about: "a CA whose replacement was begun and not ended",
    kinds: &["ConfigMap"],
    reads: &[],
    find,
};

/// Where API servers publish whom they believe: clients, and the front proxy.
const PUBLISHED: (&str, &str) = ("kube-system", "extension-apiserver-authentication");
const BUNDLES: &[(&str, &str)] = &[
    ("client-ca-file", "of clients"),
    ("requestheader-client-ca-file", "of the front proxy"),
];
/// So long the keys of a new one can be fetched by other control planes: who has not come along
/// by then doesn't come along by itself.
const PATIENCE: i64 = 2 * 3600;

fn find<'a>(cluster: &Cluster<'a>, map: &Object<'a>) -> Vec<Finding> {
    if (map.namespace(), map.name()) != PUBLISHED {
        return Vec::new();
    }
    let bundles = BUNDLES.iter().filter_map(|(field, whose)| {
        let pem = map.value.text(&format!("/data/{field}"))?;
        let believed = authorities(pem.as_bytes());
        let new = half_replaced(cluster.now, &believed)?;
        let since = span(cluster.seconds_since(new.starts));
        let finding = Finding::warning(format!(
            "the CA {whose} ({}) is replaced half-way: a former one has been believed beside the new one for {since}",
            new.name
        ))
        .since(Some(new.starts))
        .key(*field)
        .says([map.field(&format!("/data/{field}"), "two CAs of one name")])
        .run(
            "see on a control plane who is waited for",
            "hardway certificates status",
        )
        .run(
            "go on, on each control plane, or go back with --roll-back",
            "hardway certificates rotate-ca --resume",
        );
        Some(finding)
    });
    bundles.collect()
}

/// The newest of several CAs of one name, if it is there for too long. CAs of different names are
/// believed side by side on purpose.
fn half_replaced(now: Timestamp, all: &[Authority]) -> Option<&Authority> {
    let is_one_of_several =
        |it: &&Authority| all.iter().filter(|other| other.name == it.name).count() > 1;
    let newest = all
        .iter()
        .filter(is_one_of_several)
        .max_by_key(|it| it.starts)?;
    (now.as_second() - newest.starts.as_second() >= PATIENCE).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{found, one, says};
    use serde_json::{Value, json};

    /// `CN=kubernetes-ca`, from 2020-01-01 on.
    const OLD: &str = "\
-----BEGIN CERTIFICATE-----
MIIBUzCB+aADAgECAgEBMAoGCCqGSM49BAMCMBgxFjAUBgNVBAMMDWt1YmVybmV0
ZXMtY2EwIBcNMjAwMTAxMDAwMDAwWhgPMjA1MDAxMDEwMDAwMDBaMBgxFjAUBgNV
BAMMDWt1YmVybmV0ZXMtY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQRjlbp
OSIu5Tp3Mygbi7tedyPztl/odyz2e7f/Gn2Po2l6hAPcNLhvCi8YhdPJ+yTCqkYn
wwtFbk0qJ7MgrPUQozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBR4IPyK
Mbr6WHYiRQx4vcvu/oVQFTAKBggqhkjOPQQDAgNJADBGAiEAjfpVB4pj6yN/os8Q
jgVO54HNpJfwuRZKko5LFvnoebACIQC22cj6NLH3bP1ctVS2XQZSggvX9GFaH9q0
T3+JAEIpbQ==
-----END CERTIFICATE-----
";
    /// `CN=kubernetes-ca`, from 2024-12-31T18:00:00Z on.
    const NEW: &str = "\
-----BEGIN CERTIFICATE-----
MIIBUTCB+aADAgECAgECMAoGCCqGSM49BAMCMBgxFjAUBgNVBAMMDWt1YmVybmV0
ZXMtY2EwIBcNMjQxMjMxMTgwMDAwWhgPMjA1MDAxMDEwMDAwMDBaMBgxFjAUBgNV
BAMMDWt1YmVybmV0ZXMtY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASE4VEo
9fSEuIWDR2h4aF5SfTXhwwUAN7eT3opckyn0STEsKp+AR8p/LEn+1iKm9/MwqhQW
tAQBUh/go5XKv+FeozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBTm7pud
Jl7Iu9LMwCiIX9Hzy/tL2jAKBggqhkjOPQQDAgNHADBEAiBaQEq4tRS2Ui7BsERj
hjAWDMuOIVgegdKKWiy4M+0+hgIgJ28W8gfP0fahZ8ZZkg0lTwWgVWA/rwHiBnwv
fdx2OpI=
-----END CERTIFICATE-----
";

    fn published(clients: &str) -> (&'static str, Value) {
        let map = json!({
            "metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication"},
            "data": {"client-ca-file": clients, "requestheader-client-ca-file": OLD},
        });
        ("ConfigMap", map)
    }

    #[test]
    fn one_that_was_begun_and_left_is_told_of() {
        assert_eq!(found(&[published(OLD)]), []);
        let told = one(&[published(&format!("{OLD}{NEW}"))]);
        assert_eq!(told.cause, "rotation");
        assert!(
            told.summary
                .starts_with("the CA of clients (kubernetes-ca) is replaced half-way"),
            "{}",
            told.summary
        );
        assert_eq!(told.since, Some("2024-12-31T18:00:00Z".parse().unwrap()));
        says(&told, "two CAs");
        // It says nothing of other maps.
        let mut other = published(&format!("{OLD}{NEW}"));
        other.1["metadata"]["namespace"] = "default".into();
        assert_eq!(found(&[other]), []);
    }

    #[test]
    fn one_that_goes_on_and_cas_of_several_names_are_no_problem() {
        let all = authorities(format!("{OLD}{NEW}").as_bytes());
        assert_eq!(all.len(), 2);
        let at = |time: &str| half_replaced(time.parse().unwrap(), &all);
        assert_eq!(at("2024-12-31T19:59:00Z"), None);
        assert_eq!(at("2024-12-31T20:00:00Z"), Some(&all[1]));
        let mut others = all.clone();
        others[0].name = "another".to_owned();
        let now = "2025-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(half_replaced(now, &others), None);
    }
}
