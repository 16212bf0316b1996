//! Which ConfigMaps and Secrets a pod's spec names.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, Pod, PodSpec, Volume, VolumeProjection,
};
use std::collections::BTreeSet;

/// Environment of all containers, of every sort.
fn environment(spec: &PodSpec) -> impl Iterator<Item = (&[EnvVar], &[EnvFromSource])> {
    let init = spec.init_containers.iter().flatten();
    let containers = spec.containers.iter().chain(init);
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    containers
        .map(|c| (c.env.as_deref(), c.env_from.as_deref()))
        .chain(ephemeral.map(|c| (c.env.as_deref(), c.env_from.as_deref())))
        .map(|(env, from)| (env.unwrap_or_default(), from.unwrap_or_default()))
}

fn names(
    pod: &Pod,
    of_volume: fn(&Volume) -> Option<&String>,
    of_projection: fn(&VolumeProjection) -> Option<&String>,
    of_variable: fn(&EnvVarSource) -> Option<&String>,
    of_env_from: fn(&EnvFromSource) -> Option<&String>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Some(spec) = &pod.spec else { return names };
    for volume in spec.volumes.iter().flatten() {
        names.extend(of_volume(volume).cloned());
        let projected = volume.projected.iter().flat_map(|p| &p.sources).flatten();
        names.extend(projected.filter_map(of_projection).cloned());
    }
    for (env, env_from) in environment(spec) {
        let sources = env.iter().filter_map(|v| v.value_from.as_ref());
        names.extend(sources.filter_map(of_variable).cloned());
        names.extend(env_from.iter().filter_map(of_env_from).cloned());
    }
    names
}

/// Names of the ConfigMaps the pod refers to.
pub fn config_maps(pod: &Pod) -> BTreeSet<String> {
    names(
        pod,
        |v| v.config_map.as_ref().map(|c| &c.name),
        |p| p.config_map.as_ref().map(|c| &c.name),
        |s| s.config_map_key_ref.as_ref().map(|r| &r.name),
        |f| f.config_map_ref.as_ref().map(|r| &r.name),
    )
}

/// Names of the Secrets the pod refers to, those for pulling images included.
pub fn secrets(pod: &Pod) -> BTreeSet<String> {
    let mut names = names(
        pod,
        |v| v.secret.as_ref().and_then(|s| s.secret_name.as_ref()),
        |p| p.secret.as_ref().map(|s| &s.name),
        |s| s.secret_key_ref.as_ref().map(|r| &r.name),
        |f| f.secret_ref.as_ref().map(|r| &r.name),
    );
    let pulls = pod
        .spec
        .iter()
        .flat_map(|s| &s.image_pull_secrets)
        .flatten();
    names.extend(pulls.map(|r| r.name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_place_counts() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "imagePullSecrets": [{"name": "s-pull"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "c-vol"}},
                {"name": "b", "secret": {"secretName": "s-vol"}},
                {"name": "c", "projected": {"sources": [
                    {"configMap": {"name": "c-proj"}}, {"secret": {"name": "s-proj"}}]}},
            ],
            "initContainers": [{"name": "i", "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c-env", "key": "k"}}}]}],
            "containers": [{"name": "m", "envFrom": [
                {"configMapRef": {"name": "c-from"}}, {"secretRef": {"name": "s-from"}}],
                "env": [{"name": "Y", "valueFrom": {"secretKeyRef": {"name": "s-env", "key": "k"}}}]}],
        }}))
        .unwrap();
        let all = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(all(config_maps(&pod)), "c-env c-from c-proj c-vol");
        assert_eq!(all(secrets(&pod)), "s-env s-from s-proj s-pull s-vol");
    }
}
