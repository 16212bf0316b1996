//! LimitRanger: default requests and limits, and their bounds.

use super::{Context, Operation, Plugin, Review, object_at};
use crate::objects::{fields, items};
use crate::text;
use hardway_proto::Status;
use hardway_proto::quota::{Amounts, amounts, pod_total};
use serde_json::{Value, json};
use std::sync::Arc;

/// The plugin.
pub struct LimitRanger;

impl Plugin for LimitRanger {
    fn mutate(&self, cx: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if review.creates("", "pods") {
            let ranges = ranges(cx, review);
            for limit in limits(&ranges).filter(|l| text(l, "/type") == "Container") {
                set_defaults(limit, pod);
            }
        }
        Ok(())
    }

    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        let is_claim = review.is_of("", "persistentvolumeclaims")
            && matches!(review.operation, Operation::Create | Operation::Update);
        let is_pod = review.creates("", "pods") || review.is_sub("", "pods", "resize");
        let Some(object) = new.filter(|_| is_claim || is_pod) else {
            return Ok(());
        };
        let mut problems = Vec::new();
        for limit in limits(&ranges(cx, review)) {
            match text(limit, "/type") {
                "PersistentVolumeClaim" if is_claim => {
                    let requests = amounts(object, "/spec/resources/requests");
                    check(limit, &requests, &Amounts::new(), true, &mut problems);
                }
                "Container" if !is_claim => {
                    for container in containers(object) {
                        let requests = amounts(container, "/resources/requests");
                        let limits = amounts(container, "/resources/limits");
                        check(limit, &requests, &limits, false, &mut problems);
                    }
                }
                "Pod" if !is_claim => {
                    let (requests, limits) =
                        (pod_total(object, "requests"), pod_total(object, "limits"));
                    check(limit, &requests, &limits, false, &mut problems);
                }
                _ => {}
            }
        }
        match problems.as_slice() {
            [] => Ok(()),
            [one] => Err(review.forbid(new, one)),
            many => Err(review.forbid(new, format!("[{}]", many.join(", ")))),
        }
    }
}

/// The limit ranges of the namespace.
fn ranges(cx: &Context, review: &Review) -> Vec<Arc<Value>> {
    let namespace = Some(review.namespace);
    cx.objects.read_all("", "limitranges", namespace)
}

/// All their items.
fn limits(ranges: &[Arc<Value>]) -> impl Iterator<Item = &Value> {
    ranges.iter().flat_map(|range| items(range, "/spec/limits"))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(pod, "/spec/containers")
        .iter()
        .chain(items(pod, "/spec/initContainers"))
}

fn set_defaults(limit: &Value, pod: &mut Value) {
    let mut told = Vec::new();
    for (list, word) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        for container in pod["spec"]
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let name = text(container, "/name").to_owned();
            for (defaults, field, noun) in [
                ("/defaultRequest", "requests", "request"),
                ("/default", "limits", "limit"),
            ] {
                let mut set = Vec::new();
                for (resource, amount) in fields(limit, defaults) {
                    if container
                        .pointer(&format!("/resources/{field}"))
                        .and_then(|m| m.get(resource))
                        .is_some()
                    {
                        continue;
                    }
                    object_at(container, "resources");
                    let amounts = object_at(&mut container["resources"], field);
                    amounts.insert(resource.to_owned(), amount.clone());
                    set.push(resource);
                }
                if !set.is_empty() {
                    told.push(format!("{} {noun} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !told.is_empty() {
        let told = format!("LimitRanger plugin set: {}", told.join("; "));
        object_at(&mut pod["metadata"], "annotations")
            .insert("kubernetes.io/limit-ranger".into(), json!(told));
    }
}

/// What of a limit range item the amounts break.
fn check(
    limit: &Value,
    requests: &Amounts,
    limits: &Amounts,
    requests_only: bool,
    problems: &mut Vec<String>,
) {
    let kind = text(limit, "/type");
    for (name, least) in amounts(limit, "/min") {
        let rule = format!("minimum {name} usage per {kind} is {least}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("{rule}.  No request is specified")),
            (Some(request), _) if *request < least => {
                problems.push(format!("{rule}, but request is {request}"))
            }
            (_, Some(limit)) if *limit < least => {
                problems.push(format!("{rule}, but limit is {limit}"))
            }
            _ => {}
        }
    }
    for (name, most) in amounts(limit, "/max") {
        let rule = format!("maximum {name} usage per {kind} is {most}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) if requests_only => {
                problems.push(format!("{rule}.  No request is specified"))
            }
            (_, None) if !requests_only => problems.push(format!("{rule}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => {
                problems.push(format!("{rule}, but limit is {limit}"))
            }
            (Some(request), _) if *request > most => {
                problems.push(format!("{rule}, but request is {request}"))
            }
            _ => {}
        }
    }
    for (name, most) in amounts(limit, "/maxLimitRequestRatio") {
        let rule = format!("{name} max limit to request ratio per {kind} is {most}");
        let some = |amounts: &Amounts| amounts.get(&name).filter(|a| !a.is_zero()).copied();
        match (some(requests), some(limits)) {
            (None, _) => problems.push(format!(
                "{rule}, but no request is specified or request is 0"
            )),
            (_, None) => problems.push(format!("{rule}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                if ratio > most.as_f64() {
                    problems.push(format!("{rule}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use super::*;

    fn bench(limit: Value) -> Bench {
        let bench = Bench::new();
        bench.fake.put(
            "",
            "limitranges",
            json!({
            "metadata": {"name": "l", "namespace": "shop"}, "spec": {"limits": [limit]}}),
        );
        bench
    }

    #[test]
    fn defaults_are_set_and_told() {
        let bench = bench(json!({"type": "Container",
            "defaultRequest": {"cpu": "100m", "memory": "64Mi"}, "default": {"cpu": "1"}}));
        let mut given = pod("p");
        given["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": "1Mi"}});
        let stored = bench.create("", "pods", given).unwrap();
        assert_eq!(
            stored["spec"]["containers"][0]["resources"],
            json!({"requests": {"memory": "1Mi", "cpu": "100m"}, "limits": {"cpu": "1"}})
        );
        assert_eq!(
            stored["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
        );
    }

    #[test]
    fn bounds_are_kept() {
        let bench =
            bench(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "8Mi"}}));
        let mut given = pod("p");
        given["spec"]["containers"][0]["resources"] =
            json!({"requests": {"memory": "1Mi"}, "limits": {"cpu": "2"}});
        assert_eq!(
            bench.create("", "pods", given).unwrap_err().message,
            r#"pods "p" is forbidden: [minimum memory usage per Container is 8Mi, but request is 1Mi, maximum cpu usage per Container is 1, but limit is 2]"#
        );
    }

    #[test]
    fn totals_count_init_containers_once() {
        let of = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = of("100m");
        sidecar["restartPolicy"] = json!("Always");
        let pod = json!({"spec": {
            "containers": [of("200m"), of("300m")], "initContainers": [sidecar, of("1")],
            "overhead": {"cpu": "10m"}}});
        assert_eq!(pod_total(&pod, "requests")["cpu"], "1110m".parse().unwrap());
    }
}
