//! The environment of a container.

use crate::downward::{self, Facts};
use crate::expansion;
use crate::objects::{self, Objects};
use crate::pod;
use hardway_proto::Kind;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod, Service, ServicePort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a container's configuration can't be made (yet); shown as
/// `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl From<objects::Error> for ConfigError {
    fn from(error: objects::Error) -> Self {
        Self(error.to_string())
    }
}

/// Names and values, in order; a name occurs once.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let entry = self.0.iter().find(|(n, _)| n == name);
        entry.map(|(_, value)| value.as_str())
    }
}

/// Makes the environment: `envFrom`, then `env`, then what tells of services.
pub async fn build(
    pod: &Pod,
    container: &Container,
    objects: &dyn Objects,
    facts: &Facts,
) -> Result<Vec<(String, String)>, ConfigError> {
    let links = pod.spec.as_ref().and_then(|s| s.enable_service_links);
    let services = match objects.services() {
        // Static pods don't wait for an apiserver: it may be one of them.
        Err(objects::Error::NotSynced) if pod::is_static(pod) => Vec::new(),
        known => known?,
    };
    let services = of_services(&services, pod.namespace(), links != Some(false));
    let mut variables = Variables::default();
    env_from(pod, container, objects, &mut variables).await?;
    for variable in container.env.iter().flatten() {
        let literal = variable.value.as_deref().unwrap_or_default();
        let value = match &variable.value_from {
            Some(source) if literal.is_empty() => {
                match from_source(pod, container, source, objects, facts).await? {
                    Some(value) => value,
                    None => continue,
                }
            }
            _ => {
                let service = |name: &str| services.get(name).map(String::as_str);
                expansion::expand(literal, |name| {
                    variables.get(name).or_else(|| service(name))
                })
            }
        };
        variables.set(&variable.name, value);
    }
    for (name, value) in services {
        if variables.get(&name).is_none() {
            variables.0.push((name, value));
        }
    }
    Ok(variables.0)
}

/// Command and arguments with references to the environment replaced.
pub fn command(
    container: &Container,
    environment: &[(String, String)],
) -> (Vec<String>, Vec<String>) {
    let expand = |list: &Option<Vec<String>>| {
        let list = list.iter().flatten();
        list.map(|text| expansion::expand(text, expansion::in_list(environment)))
            .collect()
    };
    (expand(&container.command), expand(&container.args))
}

async fn env_from(
    pod: &Pod,
    container: &Container,
    objects: &dyn Objects,
    variables: &mut Variables,
) -> Result<(), ConfigError> {
    let namespace = pod.namespace();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            let found = objects.config_map(namespace, &reference.name).await;
            let Some(map) = objects::optional(found, reference.optional)? else {
                continue;
            };
            for (key, value) in map.data.iter().flatten() {
                variables.set(&format!("{prefix}{key}"), value.clone());
            }
        }
        if let Some(reference) = &source.secret_ref {
            let found = objects.secret(namespace, &reference.name).await;
            let Some(secret) = objects::optional(found, reference.optional)? else {
                continue;
            };
            for (key, value) in secret.data.iter().flatten() {
                variables.set(&format!("{prefix}{key}"), text(value));
            }
        }
    }
    Ok(())
}

fn text(bytes: &ByteString) -> String {
    String::from_utf8_lossy(&bytes.0).into_owned()
}

/// The value a `valueFrom` stands for; `None` if it is optional and absent.
async fn from_source(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    objects: &dyn Objects,
    facts: &Facts,
) -> Result<Option<String>, ConfigError> {
    let namespace = pod.namespace();
    if let Some(reference) = &source.field_ref {
        let value = downward::field(pod, reference, facts).map_err(ConfigError)?;
        return Ok(Some(value));
    }
    if let Some(reference) = &source.resource_field_ref {
        let value = downward::resource(pod, Some(container), reference, facts);
        return value.map(Some).map_err(ConfigError);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let found = objects.config_map(namespace, &reference.name).await;
        let Some(map) = objects::optional(found, reference.optional)? else {
            return Ok(None);
        };
        let value = map.data.as_ref().and_then(|d| d.get(&reference.key));
        let missing = || ("ConfigMap", &reference.name, &reference.key);
        return required(value.cloned(), reference.optional, namespace, missing());
    }
    if let Some(reference) = &source.secret_key_ref {
        let found = objects.secret(namespace, &reference.name).await;
        let Some(secret) = objects::optional(found, reference.optional)? else {
            return Ok(None);
        };
        let value = secret.data.as_ref().and_then(|d| d.get(&reference.key));
        let missing = ("Secret", &reference.name, &reference.key);
        return required(value.map(text), reference.optional, namespace, missing);
    }
    Ok(Some(String::new()))
}

fn required(
    value: Option<String>,
    optional: Option<bool>,
    namespace: &str,
    (kind, name, key): (&str, &String, &String),
) -> Result<Option<String>, ConfigError> {
    if value.is_none() && optional != Some(true) {
        return Err(ConfigError(format!(
            "couldn't find key {key} in {kind} {namespace}/{name}"
        )));
    }
    Ok(value)
}

/// Variables that tell where services are: those of the pod's namespace, if
/// wanted, and always the apiserver's.
fn of_services(
    services: &[Arc<Service>],
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    // A service "kubernetes" of the pod's own namespace comes last and wins.
    let master = services
        .iter()
        .filter(|s| s.namespace() == "default" && s.name() == "kubernetes");
    let own = services
        .iter()
        .filter(|s| links && s.namespace() == namespace);
    for service in master.chain(own) {
        of_service(service, &mut variables);
    }
    variables
}

fn of_service(service: &Service, variables: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    if ip.is_empty() || ip == "None" {
        return;
    }
    let prefix = variable_name(service.name());
    let mut set = |suffix: &str, value: String| {
        variables.insert(format!("{prefix}_{suffix}"), value);
    };
    set("SERVICE_HOST", ip.to_owned());
    set("SERVICE_PORT", first.port.to_string());
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            let suffix = format!("SERVICE_PORT_{}", variable_name(name));
            set(&suffix, port.port.to_string());
        }
    }
    // The same once more as Docker's links once told it.
    set("PORT", url(ip, first));
    for port in ports {
        let name = format!("PORT_{}_{}", port.port, protocol(port));
        set(&name, url(ip, port));
        set(&format!("{name}_PROTO"), protocol(port).to_lowercase());
        set(&format!("{name}_PORT"), port.port.to_string());
        set(&format!("{name}_ADDR"), ip.to_owned());
    }
}

fn protocol(port: &ServicePort) -> String {
    port.protocol.as_deref().unwrap_or("TCP").to_uppercase()
}

fn url(ip: &str, port: &ServicePort) -> String {
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port)
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use serde_json::{Value, json};

    fn objects() -> Fake {
        Fake::default()
            .with_config_map(json!({"metadata": {"namespace": "shop", "name": "cm"},
                "data": {"host": "db", "PORT_NO": "1"}}))
            .with_secret(json!({"metadata": {"namespace": "shop", "name": "sec"},
                "data": {"password": "aHVudGVyMg=="}}))
            .with_service(
                json!({"metadata": {"namespace": "default", "name": "kubernetes"},
                "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]}}),
            )
            .with_service(json!({"metadata": {"namespace": "shop", "name": "my-db"},
                "spec": {"clusterIP": "10.96.3.4", "ports": [{"port": 5432}]}}))
            .with_service(
                json!({"metadata": {"namespace": "shop", "name": "headless"},
                "spec": {"clusterIP": "None", "ports": [{"port": 1}]}}),
            )
    }

    async fn environment(container: Value, spec: Value) -> Result<Vec<(String, String)>, String> {
        let mut container = container;
        container["name"] = "main".into();
        let mut spec = spec;
        spec["containers"] = json!([container]);
        let metadata = json!({"name": "web", "namespace": "shop", "uid": "u"});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
        let container = pod.spec.as_ref().unwrap().containers[0].clone();
        build(&pod, &container, &objects(), &Facts::default())
            .await
            .map_err(|e| e.to_string())
    }

    fn value<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
        list.iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    #[tokio::test]
    async fn values_references_and_sources() {
        let list = environment(
            json!({
                "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "cm"}},
                            {"secretRef": {"name": "none", "optional": true}}],
                "env": [
                    {"name": "A", "value": "x"},
                    {"name": "B", "value": "$(A)-$(CM_host)-$(MY_DB_SERVICE_HOST)-$(LATER)"},
                    {"name": "LATER", "value": "$$(A)"},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
                    {"name": "OPT", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "no", "optional": true}}},
                    {"name": "CM_PORT_NO", "value": "2"},
                ],
            }),
            json!({}),
        )
        .await
        .unwrap();
        assert_eq!(value(&list, "B"), Some("x-db-10.96.3.4-$(LATER)"));
        assert_eq!(value(&list, "LATER"), Some("$(A)"));
        assert_eq!(value(&list, "POD"), Some("web"));
        assert_eq!(value(&list, "PW"), Some("hunter2"));
        assert_eq!(value(&list, "OPT"), None);
        assert_eq!(value(&list, "CM_PORT_NO"), Some("2"));
    }

    #[tokio::test]
    async fn services_are_told_as_kubernetes_tells_them() {
        let list = environment(json!({}), json!({})).await.unwrap();
        for (name, expected) in [
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
            ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
            ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
            ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
            ("KUBERNETES_PORT_443_TCP_PORT", "443"),
            ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
            ("MY_DB_SERVICE_HOST", "10.96.3.4"),
        ] {
            assert_eq!(value(&list, name), Some(expected), "{name}");
        }
        assert!(value(&list, "HEADLESS_SERVICE_HOST").is_none());
        let list = environment(json!({}), json!({"enableServiceLinks": false}))
            .await
            .unwrap();
        assert!(value(&list, "MY_DB_SERVICE_HOST").is_none());
        assert!(value(&list, "KUBERNETES_SERVICE_HOST").is_some());
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let of = |source: Value| json!({"env": [{"name": "X", "valueFrom": source}]});
        for (container, expected) in [
            (
                of(json!({"configMapKeyRef": {"name": "cm", "key": "no"}})),
                "couldn't find key no in ConfigMap shop/cm",
            ),
            (
                of(json!({"secretKeyRef": {"name": "sec", "key": "no"}})),
                "couldn't find key no in Secret shop/sec",
            ),
            (
                of(json!({"configMapKeyRef": {"name": "gone", "key": "no"}})),
                "configmap \"gone\" not found",
            ),
            (
                json!({"envFrom": [{"secretRef": {"name": "gone"}}]}),
                "secret \"gone\" not found",
            ),
        ] {
            assert_eq!(
                environment(container, json!({})).await.unwrap_err(),
                expected
            );
        }
    }

    #[test]
    fn commands_see_the_environment() {
        let container: Container = serde_json::from_value(json!({
            "name": "c", "command": ["echo", "$(A)"], "args": ["$$(A)", "$(NONE)"],
        }))
        .unwrap();
        let (command, args) = command(&container, &[("A".into(), "1".into())]);
        assert_eq!(command, ["echo", "1"]);
        assert_eq!(args, ["$(A)", "$(NONE)"]);
    }
}
