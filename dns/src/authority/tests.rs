use super::*;
use hardway_proto::Kind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

fn put<K: Kind>(store: &hardway_client::Store<K>, object: Value) {
    store.insert(Arc::new(K::parse(object.to_string().as_bytes()).unwrap()));
}

fn service(records: &Records, name: &str, spec: Value) {
    let metadata = json!({"namespace": "shop", "name": name});
    put(
        &records.services,
        json!({"metadata": metadata, "spec": spec}),
    );
}

/// A slice of a Service: address, whether ready, and host name of each endpoint.
fn slice(records: &Records, of: &str, family: &str, endpoints: &[(&str, bool, &str)]) {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(ip, ready, hostname)| {
            let mut endpoint = json!({"addresses": [ip], "conditions": {"ready": ready}});
            if !hostname.is_empty() {
                endpoint["hostname"] = json!(hostname);
            }
            endpoint
        })
        .collect();
    let metadata = json!({
        "namespace": "shop", "name": format!("{of}-{family}"),
        "labels": {"kubernetes.io/service-name": of},
    });
    let ports = json!([{"name": "http", "protocol": "TCP", "port": 8080}]);
    put(
        &records.slices,
        json!({"metadata": metadata, "addressType": family, "endpoints": endpoints, "ports": ports}),
    );
}

/// A cluster with one Service of each sort.
fn authority() -> Authority {
    let records = Records::new(crate::names::parse("cluster.local").unwrap());
    for namespace in ["shop", "empty"] {
        put(
            &records.namespaces,
            json!({"metadata": {"name": namespace}}),
        );
    }
    let http = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    service(
        &records,
        "web",
        json!({"clusterIP": "10.96.3.4", "clusterIPs": ["10.96.3.4", "fd00:96::34"], "ports": http}),
    );
    service(
        &records,
        "plain",
        json!({"clusterIP": "10.96.3.5", "ports": [{"port": 80}]}),
    );
    service(&records, "db", json!({"clusterIP": "None", "ports": http}));
    service(
        &records,
        "early",
        json!({"clusterIP": "None", "publishNotReadyAddresses": true}),
    );
    service(
        &records,
        "nobody",
        json!({"clusterIP": "None", "ports": http}),
    );
    service(
        &records,
        "outside",
        json!({"type": "ExternalName", "externalName": "example.com"}),
    );
    service(
        &records,
        "inside",
        json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local."}),
    );
    slice(&records, "web", "IPv4", &[("10.244.1.9", true, "")]);
    slice(
        &records,
        "db",
        "IPv4",
        &[
            ("10.244.1.2", true, "db-0"),
            ("10.244.2.3", true, ""),
            ("10.244.2.4", false, "db-1"),
        ],
    );
    slice(&records, "db", "IPv6", &[("fd00:244::2", true, "db-0")]);
    slice(&records, "early", "IPv4", &[("10.244.1.7", false, "")]);
    let scope = Scope {
        ttl: 5,
        ranges: ["10.96.0.0/16", "10.244.0.0/16"]
            .map(|range| range.parse().unwrap())
            .to_vec(),
        searches: vec![crate::names::parse("lan").unwrap()],
        service: ObjectKey::new("shop", "web"),
    };
    Authority::new(records, scope)
}

/// An answer as text: its code, its records, and `+` before additional ones.
fn ask(authority: &Authority, name: &str, kind: &str) -> String {
    let name = crate::names::parse(name).unwrap();
    let Some(answer) = authority.answer(&name, kind.parse().unwrap()) else {
        return "others".into();
    };
    let mut told = vec![match answer.code {
        ResponseCode::NoError => "ok".to_owned(),
        code => format!("{code:?}"),
    }];
    told.extend(answer.answers.iter().map(|record| {
        assert_eq!((&record.name, record.ttl), (&name, 5));
        record.data.to_string()
    }));
    told.extend(answer.additionals.iter().map(|r| format!("+{}", r.data)));
    let negative = answer.answers.is_empty();
    assert_eq!(
        negative,
        !answer.authorities.is_empty() || told[0] == "NXDomain"
    );
    told.join(" | ")
}

#[track_caller]
fn assert_told(rows: &[(&str, &str, &str)]) {
    let authority = authority();
    for (name, kind, expected) in rows {
        assert_eq!(ask(&authority, name, kind), *expected, "{name} {kind}");
    }
}

#[test]
fn services_with_an_address() {
    assert_told(&[
        ("web.shop.svc.cluster.local", "A", "ok | 10.96.3.4"),
        ("web.shop.svc.cluster.local", "AAAA", "ok | fd00:96::34"),
        ("WEB.Shop.svc.CLUSTER.local", "A", "ok | 10.96.3.4"),
        ("plain.shop.svc.cluster.local", "A", "ok | 10.96.3.5"),
        ("plain.shop.svc.cluster.local", "AAAA", "ok"),
        ("plain.shop.svc.cluster.local", "MX", "ok"),
        ("web.empty.svc.cluster.local", "A", "NXDomain"),
        ("gone.shop.svc.cluster.local", "A", "NXDomain"),
        ("gone.shop.svc.cluster.local", "AAAA", "NXDomain"),
        (
            "_http._tcp.web.shop.svc.cluster.local",
            "SRV",
            "ok | 0 100 80 web.shop.svc.cluster.local. | +10.96.3.4 | +fd00:96::34",
        ),
        ("_http._tcp.web.shop.svc.cluster.local", "A", "ok"),
        ("_tcp.web.shop.svc.cluster.local", "SRV", "ok"),
        ("_http._udp.web.shop.svc.cluster.local", "SRV", "NXDomain"),
        ("_https._tcp.web.shop.svc.cluster.local", "SRV", "NXDomain"),
        // A port without a name has no name.
        ("_tcp.plain.shop.svc.cluster.local", "SRV", "NXDomain"),
        (
            "10-244-1-9.web.shop.svc.cluster.local",
            "A",
            "ok | 10.244.1.9",
        ),
    ]);
}

#[test]
fn headless_services() {
    assert_told(&[
        (
            "db.shop.svc.cluster.local",
            "A",
            "ok | 10.244.1.2 | 10.244.2.3",
        ),
        ("db.shop.svc.cluster.local", "AAAA", "ok | fd00:244::2"),
        ("db-0.db.shop.svc.cluster.local", "A", "ok | 10.244.1.2"),
        ("db-0.db.shop.svc.cluster.local", "AAAA", "ok | fd00:244::2"),
        (
            "10-244-2-3.db.shop.svc.cluster.local",
            "A",
            "ok | 10.244.2.3",
        ),
        ("10-244-2-3.db.shop.svc.cluster.local", "AAAA", "ok"),
        // It has another name, and one that isn't ready has none.
        ("10-244-1-2.db.shop.svc.cluster.local", "A", "NXDomain"),
        ("db-1.db.shop.svc.cluster.local", "A", "NXDomain"),
        ("early.shop.svc.cluster.local", "A", "ok | 10.244.1.7"),
        ("nobody.shop.svc.cluster.local", "A", "ok"),
        ("_http._tcp.nobody.shop.svc.cluster.local", "SRV", "ok"),
        (
            "_http._tcp.db.shop.svc.cluster.local",
            "SRV",
            "ok | 0 100 8080 db-0.db.shop.svc.cluster.local. \
             | 0 100 8080 10-244-2-3.db.shop.svc.cluster.local. \
             | 0 100 8080 db-0.db.shop.svc.cluster.local. \
             | +10.244.1.2 | +10.244.2.3",
        ),
    ]);
}

#[test]
fn aliases() {
    assert_told(&[
        (
            "outside.shop.svc.cluster.local",
            "CNAME",
            "ok | example.com.",
        ),
        ("outside.shop.svc.cluster.local", "A", "ok | example.com."),
        ("x.outside.shop.svc.cluster.local", "A", "NXDomain"),
    ]);
    let authority = authority();
    let alias = |name: &str, kind| {
        let name = crate::names::parse(name).unwrap();
        authority.answer(&name, kind).unwrap().alias
    };
    let inside = "inside.shop.svc.cluster.local";
    let web = crate::names::parse("web.shop.svc.cluster.local");
    assert_eq!(alias(inside, RecordType::A), web);
    assert_eq!(alias(inside, RecordType::CNAME), None);
}

#[test]
fn the_zone_and_what_is_between() {
    assert_told(&[
        ("dns-version.cluster.local", "TXT", "ok | 1.1.0"),
        (
            "cluster.local",
            "NS",
            "ok | web.shop.svc.cluster.local. | +10.96.3.4 | +fd00:96::34",
        ),
        ("cluster.local", "A", "ok"),
        ("svc.cluster.local", "A", "ok"),
        ("shop.svc.cluster.local", "A", "ok"),
        ("empty.svc.cluster.local", "A", "ok"),
        ("gone.svc.cluster.local", "A", "NXDomain"),
        ("other.cluster.local", "A", "NXDomain"),
        ("10-244-1-2.shop.pod.cluster.local", "A", "ok | 10.244.1.2"),
        ("10-244-1-2.shop.pod.cluster.local", "AAAA", "ok"),
        (
            "fd00-244--2.shop.pod.cluster.local",
            "AAAA",
            "ok | fd00:244::2",
        ),
        ("10-244-1.shop.pod.cluster.local", "A", "NXDomain"),
        ("10-244-1-2.gone.pod.cluster.local", "A", "NXDomain"),
    ]);
    let soa = ask(&authority(), "cluster.local", "SOA");
    assert!(soa.starts_with("ok | web.shop.svc.cluster.local. hostmaster.cluster.local. "));
    assert!(soa.ends_with(" 7200 1800 86400 5"), "{soa}");
}

#[test]
fn addresses_have_names() {
    assert_told(&[
        (
            "4.3.96.10.in-addr.arpa",
            "PTR",
            "ok | web.shop.svc.cluster.local.",
        ),
        ("4.3.96.10.in-addr.arpa", "A", "ok"),
        (
            "2.1.244.10.in-addr.arpa",
            "PTR",
            "ok | db-0.db.shop.svc.cluster.local.",
        ),
        (
            "3.2.244.10.in-addr.arpa",
            "PTR",
            "ok | 10-244-2-3.db.shop.svc.cluster.local.",
        ),
        // Behind a Service with an address of its own, not ready, unknown.
        ("9.1.244.10.in-addr.arpa", "PTR", "NXDomain"),
        ("4.2.244.10.in-addr.arpa", "PTR", "NXDomain"),
        ("1.1.96.10.in-addr.arpa", "PTR", "NXDomain"),
        ("1.0.0.127.in-addr.arpa", "PTR", "others"),
        ("10.in-addr.arpa", "PTR", "others"),
    ]);
}

#[test]
fn search_paths_stay_here() {
    assert_told(&[
        ("example.com.shop.svc.cluster.local", "A", "NXDomain"),
        ("example.com.svc.cluster.local", "A", "NXDomain"),
        ("example.com.cluster.local", "AAAA", "NXDomain"),
        ("web.shop.svc.cluster.local.lan", "A", "NXDomain"),
        ("example.com.lan", "A", "others"),
        ("example.com", "A", "others"),
    ]);
}

/// The budget is a millisecond on a busy machine; a debug build keeps it too.
#[test]
fn an_answer_takes_no_time() {
    let authority = authority();
    let records = authority.records.clone();
    let ports = json!([{"name": "http", "port": 80}]);
    for n in 0..2000 {
        let ip = format!("10.96.{}.{}", 8 + n / 250, n % 250);
        service(
            &records,
            &format!("s{n}"),
            json!({"clusterIP": ip, "ports": ports}),
        );
    }
    let name = crate::names::parse("s1234.shop.svc.cluster.local").unwrap();
    let began = Instant::now();
    const COUNT: u32 = 2000;
    for _ in 0..COUNT {
        let answer = authority.answer(&name, RecordType::A).unwrap();
        assert_eq!(answer.answers.len(), 1);
    }
    let each = began.elapsed() / COUNT;
    println!("an answer among 2000 Services takes {each:?}");
    assert!(each.as_micros() < 500, "{each:?}");
}
