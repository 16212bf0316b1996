//! Paths of a kubelet's API, and which container is meant.

use crate::pipeline::{Target, pairs};
use crate::rest::body::{Body, READ_TIME};
use hardway_proto::Status;
use http::Response;
use http_body_util::BodyExt;
use serde_json::Value;

/// The longest refusal that is passed on.
const LONGEST: usize = 64 << 10;

/// Where a kubelet listens: its internal address and the port it tells.
pub fn address(node: &Value) -> Option<(String, u64)> {
    let addresses = node["status"]["addresses"].as_array()?;
    let of = |kind: &str| {
        addresses
            .iter()
            .find(|address| address["type"] == kind)
            .and_then(|address| address["address"].as_str())
    };
    let host = of("InternalIP")
        .or_else(|| of("Hostname"))
        .or_else(|| of("ExternalIP"))?;
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        .as_u64()
        .filter(|port| *port > 0);
    Some((host.to_owned(), port.unwrap_or(10250)))
}

/// What a kubelet says in plain text when it refuses, as clients expect it.
pub async fn refused(answer: Response<Body>) -> Result<Response<Body>, Status> {
    let code = answer.status().as_u16();
    if (100..300).contains(&code) {
        return Ok(answer);
    }
    let text = tokio::time::timeout(READ_TIME, text(answer.into_body())).await;
    let text = text.map_err(|_| Status::timeout("the kubelet did not finish its answer"))?;
    Err(match code {
        400 => Status::bad_request(text),
        404 => Status::failure(404, "NotFound", text),
        500 => Status::internal(text),
        _ => Status::failure(code, "", text),
    })
}

/// A body as text, as far as it can be read.
async fn text(mut body: Body) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await
        && bytes.len() < LONGEST
    {
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// The container asked for, or the only (or the default) one.
fn container(target: &Target, pod: &Value, asked: &str) -> Result<String, Status> {
    let names = |field: &str| -> Vec<&str> {
        pod["spec"][field]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|container| container["name"].as_str())
            .collect()
    };
    let (main, init, ephemeral) = (
        names("containers"),
        names("initContainers"),
        names("ephemeralContainers"),
    );
    let name = &target.name;
    if asked.is_empty() {
        if let [only] = main.as_slice() {
            return Ok((*only).to_owned());
        }
        let annotated = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
            .as_str()
            .filter(|container| main.contains(container));
        if let Some(container) = annotated {
            return Ok(container.to_owned());
        }
        let mut message = format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            main.join(" ")
        );
        if !init.is_empty() {
            message.push_str(&format!(
                " or one of the init containers: [{}]",
                init.join(" ")
            ));
        }
        if !ephemeral.is_empty() {
            message.push_str(&format!(
                " or one of the ephemeral containers: [{}]",
                ephemeral.join(" ")
            ));
        }
        return Err(Status::bad_request(message));
    }
    let known = [&main, &init, &ephemeral]
        .iter()
        .any(|list| list.contains(&asked));
    match known {
        true => Ok(asked.to_owned()),
        false => Err(Status::bad_request(format!(
            "container {asked} is not valid for pod {name}"
        ))),
    }
}

/// The kubelet's path for a container's log.
pub fn log_path(target: &Target, pod: &Value, query: &str) -> Result<String, Status> {
    let asked = pairs(query).find(|(name, _)| name == "container");
    let container = container(
        target,
        pod,
        &asked.map(|(_, value)| value).unwrap_or_default(),
    )?;
    let mut forwarded = Vec::new();
    for (name, value) in pairs(query) {
        let wants_number = matches!(name.as_str(), "tailLines" | "limitBytes" | "sinceSeconds");
        if wants_number {
            let least = if name == "tailLines" { 0 } else { 1 };
            let number = value.parse::<i64>().ok().filter(|number| *number >= least);
            if number.is_none() {
                return Err(Status::invalid(
                    "",
                    "PodLogOptions",
                    &target.name,
                    vec![hardway_proto::status::Cause {
                        reason: "FieldValueInvalid".into(),
                        message: format!(
                            "Invalid value: {value:?}: must be greater than or equal to {least}"
                        ),
                        field: name,
                    }],
                ));
            }
        }
        let known = matches!(
            name.as_str(),
            "follow"
                | "previous"
                | "sinceSeconds"
                | "sinceTime"
                | "timestamps"
                | "tailLines"
                | "limitBytes"
                | "stream"
        );
        if known {
            forwarded.push(format!("{name}={}", encode(&value)));
        }
    }
    let (namespace, name) = (&target.namespace, &target.name);
    let mut path = format!("/containerLogs/{namespace}/{name}/{container}");
    if !forwarded.is_empty() {
        path.push('?');
        path.push_str(&forwarded.join("&"));
    }
    Ok(path)
}

/// The kubelet's path for exec and attach.
pub fn command_path(
    command: &str,
    target: &Target,
    pod: &Value,
    query: &str,
) -> Result<String, Status> {
    let mut asked = String::new();
    let mut forwarded = Vec::new();
    let mut commands = 0;
    let mut streams = 0;
    for (name, value) in pairs(query) {
        let on = matches!(value.as_str(), "true" | "1");
        let stream = match name.as_str() {
            "stdin" => "input",
            "stdout" => "output",
            "stderr" => "error",
            "tty" => "tty",
            "container" => {
                asked = value;
                continue;
            }
            "command" => {
                commands += 1;
                forwarded.push(format!("command={}", encode(&value)));
                continue;
            }
            _ => continue,
        };
        if on {
            streams += usize::from(stream != "tty");
            forwarded.push(format!("{stream}=1"));
        }
    }
    let container = container(target, pod, &asked)?;
    if command == "exec" && commands == 0 {
        return Err(Status::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    if streams == 0 {
        return Err(Status::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Status::bad_request(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let (namespace, name) = (&target.namespace, &target.name);
    let query = forwarded.join("&");
    Ok(format!("/{command}/{namespace}/{name}/{container}?{query}"))
}

/// Percent-encodes a query value.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;
    use serde_json::json;

    fn target() -> Target {
        Target {
            resource: Registry::new().resource("", "pods").unwrap(),
            version: "v1".into(),
            namespace: "default".into(),
            name: "web".into(),
            subresource: "exec".into(),
        }
    }

    #[test]
    fn the_container_must_be_clear() {
        let two = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        let status = log_path(&target(), &two, "").unwrap_err();
        assert_eq!(
            status.message,
            "a container name must be specified for pod web, choose one of: [a b]"
        );
        let status = log_path(&target(), &two, "container=c").unwrap_err();
        assert_eq!(status.message, "container c is not valid for pod web");
        assert_eq!(
            log_path(&target(), &two, "container=b&follow=true&tailLines=5&x=y").unwrap(),
            "/containerLogs/default/web/b?follow=true&tailLines=5"
        );
    }

    #[test]
    fn commands_keep_their_words() {
        let one = json!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(
            command_path(
                "exec",
                &target(),
                &one,
                "command=sh&command=-c&command=a+b%26&stdin=true&stdout=true&tty=true"
            )
            .unwrap(),
            "/exec/default/web/a?command=sh&command=-c&command=a%20b%26&input=1&output=1&tty=1"
        );
        assert_eq!(
            command_path("exec", &target(), &one, "stdout=true")
                .unwrap_err()
                .code,
            400
        );
    }

    #[test]
    fn kubelets_tell_where_they_listen() {
        let node = json!({"status": {"addresses": [{"type": "Hostname", "address": "n"},
            {"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}}}});
        assert_eq!(address(&node), Some(("10.0.0.1".into(), 10251)));
        assert_eq!(address(&json!({})), None);
    }
}
