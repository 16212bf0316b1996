//! Services, endpoints and what leads to them.

use super::Spec;
use super::cells::*;
use serde_json::Value;

pub fn spec(_group: &str, _version: &str, kind: &str) -> Option<Spec> {
    Some(match kind {
        "Service" => (
            "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector+",
            service,
        ),
        "Endpoints" => ("Name|Endpoints|Age", endpoints),
        "EndpointSlice" => ("Name|AddressType|Ports|Endpoints|Age", endpoint_slice),
        "Ingress" => ("Name|Class|Hosts|Address|Ports|Age", ingress),
        "IngressClass" => ("Name|Controller|Parameters|Age", ingress_class),
        "NetworkPolicy" => ("Name|Pod-Selector|Age", |object| {
            let pods = selector(&object["spec"]["podSelector"]);
            vec![name(object), pods.into(), age(object)]
        }),
        "IPAddress" => ("Name|ParentRef", ip_address),
        "ServiceCIDR" => ("Name|CIDRs|Age", |object| {
            let cidrs: Vec<&str> = list(&object["spec"]["cidrs"]).iter().map(text).collect();
            vec![name(object), cidrs.join(",").into(), age(object)]
        }),
        _ => return None,
    })
}

fn service(object: &Value) -> Cells {
    let spec = &object["spec"];
    let ports: Vec<String> = list(&spec["ports"])
        .iter()
        .map(|port| {
            let protocol = text_or(&port["protocol"], "TCP");
            match int(&port["nodePort"]) {
                0 => format!("{}/{protocol}", int(&port["port"])),
                node_port => format!("{}:{node_port}/{protocol}", int(&port["port"])),
            }
        })
        .collect();
    vec![
        name(object),
        text_or(&spec["type"], "ClusterIP").into(),
        text_or(&spec["clusterIP"], NONE).into(),
        external(object).into(),
        joined(&ports, ",").into(),
        age(object),
        selector(&spec["selector"]).into(),
    ]
}

fn external(object: &Value) -> String {
    let spec = &object["spec"];
    let mut addresses = Vec::new();
    match text(&spec["type"]) {
        "ExternalName" => return text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            addresses.extend(load_balancer(&object["status"]));
            addresses.extend(
                list(&spec["externalIPs"])
                    .iter()
                    .map(|ip| text(ip).to_owned()),
            );
            if addresses.is_empty() {
                return "<pending>".to_owned();
            }
        }
        _ => addresses.extend(
            list(&spec["externalIPs"])
                .iter()
                .map(|ip| text(ip).to_owned()),
        ),
    }
    joined(&addresses, ",")
}

fn load_balancer(status: &Value) -> Vec<String> {
    let mut addresses: Vec<String> = list(&status["loadBalancer"]["ingress"])
        .iter()
        .map(|ingress| text_or(&ingress["ip"], text(&ingress["hostname"])).to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

fn host_port(address: &str, port: i64) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn endpoints(object: &Value) -> Cells {
    let mut all = Vec::new();
    for subset in list(&object["subsets"]) {
        let addresses = || list(&subset["addresses"]).iter().map(|a| text(&a["ip"]));
        let ports = list(&subset["ports"]);
        if ports.is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            all.extend(addresses().map(|ip| host_port(ip, int(&port["port"]))));
        }
    }
    vec![name(object), first_three(&all).into(), age(object)]
}

fn endpoint_slice(object: &Value) -> Cells {
    let unset = |texts: Vec<String>| match texts.len() {
        0 => UNSET.to_owned(),
        _ => first_three(&texts),
    };
    let ports = list(&object["ports"])
        .iter()
        .map(|port| match &port["port"] {
            Value::Null => "*".to_owned(),
            number => number.to_string(),
        });
    let addresses = list(&object["endpoints"])
        .iter()
        .flat_map(|endpoint| list(&endpoint["addresses"]))
        .map(|address| text(address).to_owned());
    vec![
        name(object),
        object["addressType"].clone().into(),
        unset(ports.collect()).into(),
        unset(addresses.collect()).into(),
        age(object),
    ]
}

fn ingress(object: &Value) -> Cells {
    let spec = &object["spec"];
    let hosts: Vec<String> = list(&spec["rules"])
        .iter()
        .map(|rule| text_or(&rule["host"], "*").to_owned())
        .collect();
    let ports = if list(&spec["tls"]).is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        name(object),
        text_or(&spec["ingressClassName"], NONE).into(),
        if hosts.is_empty() {
            "*".into()
        } else {
            first_three(&hosts).into()
        },
        load_balancer(&object["status"]).join(",").into(),
        ports.into(),
        age(object),
    ]
}

fn ingress_class(object: &Value) -> Cells {
    let parameters = &object["spec"]["parameters"];
    let shown = if parameters.is_object() {
        let kind = match text(&parameters["apiGroup"]) {
            "" => text(&parameters["kind"]).to_owned(),
            group => format!("{}.{group}", text(&parameters["kind"])),
        };
        format!("{kind}/{}", text(&parameters["name"]))
    } else {
        NONE.to_owned()
    };
    vec![
        name(object),
        object["spec"]["controller"].clone().into(),
        shown.into(),
        age(object),
    ]
}

fn ip_address(object: &Value) -> Cells {
    let parent = &object["spec"]["parentRef"];
    let parts = ["group", "resource", "namespace", "name"].map(|field| text(&parent[field]));
    let resource = match parts[0] {
        "" => parts[1].to_owned(),
        group => format!("{}.{group}", parts[1]),
    };
    let shown: Vec<&str> = [resource.as_str(), parts[2], parts[3]]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    vec![name(object), shown.join("/").into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_of_each_type() {
        let row = |spec: Value, status: Value| {
            let object = json!({"metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": spec, "status": status});
            let cells = shown(service(&object));
            cells[1..5]
                .iter()
                .map(|c| text(c).to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            row(
                json!({"type": "NodePort", "clusterIP": "10.96.0.5",
                "ports": [{"port": 3000, "nodePort": 30061, "protocol": "TCP"}]}),
                json!({})
            ),
            "NodePort 10.96.0.5 <none> 3000:30061/TCP"
        );
        assert_eq!(
            row(
                json!({"type": "LoadBalancer", "clusterIP": "10.96.0.6"}),
                json!({})
            ),
            "LoadBalancer 10.96.0.6 <pending> <none>"
        );
        assert_eq!(
            row(
                json!({"type": "ExternalName", "externalName": "a.b"}),
                json!({})
            ),
            "ExternalName <none> a.b <none>"
        );
    }

    #[test]
    fn endpoints_are_cut_after_three() {
        let object = json!({"metadata": {"name": "e"}, "subsets": [{
            "addresses": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.2"}], "ports": [{"port": 80}, {"port": 81}]}]});
        assert_eq!(
            shown(endpoints(&object))[1],
            "1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 1 more..."
        );
        assert_eq!(
            shown(endpoints(&json!({"metadata": {"name": "e"}})))[1],
            "<none>"
        );
    }
}
