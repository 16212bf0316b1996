//! Where the servers behind a Service are.

use crate::subresources::proxyable;
use serde::Deserialize;
use serde_json::Value;

/// A Service's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service.
    pub name: String,
    /// One of its ports.
    pub port: Option<i64>,
}

impl Reference {
    /// The port's number.
    pub fn port(&self) -> i64 {
        self.port.unwrap_or(443)
    }

    /// Its key in the cache.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name that the server's certificate must have.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// Why there is nobody to ask: the reason and message of the condition `Available`, as
/// `remote_available_controller.go` of k8s.io/kube-aggregator has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// One word.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Unavailable {
    /// The same of a request that comes all the same, as `pkg/util/proxy` of
    /// k8s.io/apiserver tells it.
    pub fn unresolved(&self, of: &Reference) -> String {
        let name = &of.name;
        match self.reason {
            "ServiceNotFound" => format!("service {name:?} not found"),
            "ServicePortError" => {
                format!("no service port {} found for service {name:?}", of.port())
            }
            _ => format!("no endpoints available for service {name:?}"),
        }
    }
}

/// Where the server behind a Service is reached: `HOST:PORT` of each endpoint that is
/// ready, out of the Service and its EndpointSlices.
///
/// # Errors
/// If there is none.
pub fn addresses(
    of: &Reference,
    service: Option<&Value>,
    slices: &[Value],
) -> Result<Vec<String>, Unavailable> {
    let (name, namespace, number) = (&of.name, &of.namespace, of.port());
    let unavailable = |reason, message| Unavailable { reason, message };
    let Some(service) = service else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Err(unavailable("ServiceNotFound", message));
    };
    let spec = &service["spec"];
    if spec["type"] == "ExternalName" {
        let host = spec["externalName"].as_str().unwrap_or_default();
        return match proxyable(host) {
            Ok(()) => Ok(vec![format!("{host}:{number}")]),
            Err(status) => Err(unavailable("MissingEndpoints", status.message)),
        };
    }
    let mut ports = spec["ports"].as_array().into_iter().flatten();
    let Some(port) = ports.find(|port| port["port"] == number) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {number}");
        return Err(unavailable("ServicePortError", message));
    };
    let port = port["name"].as_str().unwrap_or_default();
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Err(unavailable("EndpointsNotFound", message));
    }
    let mut found = Vec::new();
    for slice in slices {
        let mut ports = slice["ports"].as_array().into_iter().flatten();
        let named = ports.find(|it| it["name"].as_str().unwrap_or_default() == port);
        let Some(number) = named.and_then(|port| port["port"].as_u64()) else {
            continue;
        };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let is_ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
            let host = endpoint["addresses"][0].as_str().unwrap_or_default();
            if is_ready && !host.is_empty() && proxyable(host).is_ok() {
                found.push(match host.contains(':') {
                    true => format!("[{host}]:{number}"),
                    false => format!("{host}:{number}"),
                });
            }
        }
    }
    if found.is_empty() {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port:?}"
        );
        return Err(unavailable("MissingEndpoints", message));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_said_in_kubernetes_words() {
        let of = Reference {
            namespace: "kube-system".into(),
            name: "metrics".into(),
            port: None,
        };
        let said = |service: Option<Value>, slices: &[Value]| {
            let found = addresses(&of, service.as_ref(), slices);
            found.map_err(|it| (it.reason, it.message))
        };
        let no = |reason, message: &str| Err((reason, message.to_owned()));
        assert_eq!(
            said(None, &[]),
            no(
                "ServiceNotFound",
                "service/metrics in \"kube-system\" is not present"
            )
        );
        let service =
            |port: i64| Some(json!({"spec": {"ports": [{"name": "https", "port": port}]}}));
        assert_eq!(
            said(service(80), &[]),
            no(
                "ServicePortError",
                "service/metrics in \"kube-system\" is not listening on port 443"
            )
        );
        assert_eq!(
            said(service(443), &[]),
            no(
                "EndpointsNotFound",
                "cannot find endpointslices for service/metrics in \"kube-system\""
            )
        );
        let slice = |ready: bool, port: &str, address: &str| {
            json!({"ports": [{"name": port, "port": 4443}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}]})
        };
        for slice in [
            slice(false, "https", "10.1.1.1"),
            slice(true, "other", "10.1.1.1"),
            slice(true, "https", "127.0.0.1"),
        ] {
            assert_eq!(
                said(service(443), &[slice]),
                no(
                    "MissingEndpoints",
                    "endpointslices for service/metrics in \"kube-system\" have no addresses with port name \"https\""
                )
            );
        }
        let two = [
            slice(true, "https", "fd00::1"),
            slice(true, "https", "10.1.1.1"),
        ];
        assert_eq!(
            said(service(443), &two).unwrap(),
            ["10.1.1.1:4443", "[fd00::1]:4443"]
        );
        let elsewhere =
            json!({"spec": {"type": "ExternalName", "externalName": "api.example.com"}});
        assert_eq!(said(Some(elsewhere), &[]).unwrap(), ["api.example.com:443"]);
        let itself = json!({"spec": {"type": "ExternalName", "externalName": "localhost"}});
        assert!(said(Some(itself), &[]).is_err());
    }
}
