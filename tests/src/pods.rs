//! Pods as the API shows them.

use serde_json::Value;

use crate::kubectl::{Kubectl, Output};
use crate::wait::{holds, until};

/// A pod at the moment it was looked at.
#[derive(Debug, Clone)]
pub struct Pod(Value);

impl Pod {
    /// The whole object.
    pub fn value(&self) -> &Value {
        &self.0
    }

    fn text(&self, pointer: &str) -> String {
        let text = self.0.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.text("/metadata/name")
    }

    /// Its identity.
    pub fn uid(&self) -> String {
        self.text("/metadata/uid")
    }

    /// Where it runs; empty when it isn't placed.
    pub fn node(&self) -> String {
        self.text("/spec/nodeName")
    }

    /// Its address; empty when it has none.
    pub fn ip(&self) -> String {
        self.text("/status/podIP")
    }

    /// Its phase.
    pub fn phase(&self) -> String {
        self.text("/status/phase")
    }

    /// Whether it is on its way out.
    pub fn terminating(&self) -> bool {
        !self.0["metadata"]["deletionTimestamp"].is_null()
    }

    /// Whether it serves.
    pub fn ready(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        let ready =
            |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        conditions.is_some_and(|all| all.iter().any(ready))
    }

    /// Status of a container.
    pub fn container(&self, name: &str) -> &Value {
        ["containerStatuses", "initContainerStatuses"]
            .into_iter()
            .filter_map(|list| self.0["status"][list].as_array())
            .flatten()
            .find(|status| status["name"] == name)
            .unwrap_or(&Value::Null)
    }

    /// Identities of its containers and how often each was restarted.
    pub fn containers(&self) -> Vec<(String, u64)> {
        let statuses = self.0["status"]["containerStatuses"].as_array();
        statuses
            .into_iter()
            .flatten()
            .map(|status| {
                let id = status["containerID"].as_str().unwrap_or_default();
                (id.to_owned(), status["restartCount"].as_u64().unwrap_or(0))
            })
            .collect()
    }
}

/// Pods by label selector, sorted by name; those on their way out are left out.
pub fn try_list(kubectl: &Kubectl, selector: &str) -> Result<Vec<Pod>, String> {
    let mut list = kubectl.try_json(&format!("get pods -l {selector}"))?;
    let items = list["items"].as_array_mut().map(std::mem::take);
    let pods = items.unwrap_or_default().into_iter().map(Pod);
    Ok(pods.filter(|pod| !pod.terminating()).collect())
}

/// A pod by name.
pub fn try_get(kubectl: &Kubectl, name: &str) -> Result<Pod, String> {
    kubectl.try_json(&format!("get pod {name}")).map(Pod)
}

/// A pod by name, which must be there.
#[track_caller]
pub fn get(kubectl: &Kubectl, name: &str) -> Pod {
    Pod(kubectl.json(&format!("get pod {name}")))
}

/// Waits for exactly so many pods of a selector, all of them serving.
#[track_caller]
pub fn wait_ready(kubectl: &Kubectl, selector: &str, count: usize) -> Vec<Pod> {
    until(&format!("{count} pods with {selector} are ready"), || {
        let pods = try_list(kubectl, selector)?;
        let good = pods.len() == count && pods.iter().all(Pod::ready);
        let seen = || pods.iter().map(describe).collect::<Vec<_>>().join("\n");
        holds(good, seen())?;
        Ok(pods)
    })
}

/// Waits for a pod to serve.
#[track_caller]
pub fn wait_pod(kubectl: &Kubectl, name: &str) -> Pod {
    wait_until(kubectl, name, "ready", Pod::ready)
}

/// Waits for a pod to be as asked.
#[track_caller]
pub fn wait_until(
    kubectl: &Kubectl,
    name: &str,
    what: &str,
    condition: impl Fn(&Pod) -> bool,
) -> Pod {
    until(&format!("pod {name} is {what}"), || {
        let pod = try_get(kubectl, name)?;
        holds(condition(&pod), describe(&pod))?;
        Ok(pod)
    })
}

/// Waits until a pod is gone.
#[track_caller]
pub fn wait_gone(kubectl: &Kubectl, name: &str) {
    until(&format!("pod {name} is gone"), || {
        match try_get(kubectl, name) {
            Err(error) if error.contains("(NotFound)") => Ok(()),
            Err(error) => Err(error),
            Ok(pod) => Err(describe(&pod)),
        }
    });
}

fn describe(pod: &Pod) -> String {
    format!(
        "{} on {:?}: {}",
        pod.name(),
        pod.node(),
        pod.value()["status"]
    )
}

/// Runs a script in a pod's only or first container.
pub fn try_sh(kubectl: &Kubectl, pod: &str, script: &str) -> Output {
    kubectl.try_call(&["exec", pod, "--", "sh", "-c", script], "")
}

/// Runs a script in a pod, which must succeed.
#[track_caller]
pub fn sh(kubectl: &Kubectl, pod: &str, script: &str) -> String {
    let output = try_sh(kubectl, pod, script);
    assert!(
        output.success,
        "in pod {pod}: {script}\n{}{}",
        output.stdout, output.stderr
    );
    output.stdout
}
