//! Writes into a ClusterRole that aggregates others what they add up to, so that
//! whoever reads it sees what it grants.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use std::sync::Arc;

struct Controller {
    client: Client,
    roles: Store<ClusterRole>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        roles: informers.cluster_roles.store(),
    };
    let (on_role, roles) = (queue.clone(), informers.cluster_roles.store());
    informers.cluster_roles.subscribe(move |_| {
        // Any role may be a part of any that aggregates, and these are few.
        let all = roles.list().into_iter();
        let aggregating = all.filter(|role| role.aggregation_rule.is_some());
        aggregating.for_each(|role| on_role.add(role.name().to_owned()));
    });
    let on_start = queue.clone();
    Box::pin(async move {
        controller.roles.wait_synced().await;
        for role in controller.roles.list() {
            on_start.add(role.name().to_owned());
        }
        controller::run("clusterrole-aggregation", queue, 2, |name| {
            controller.reconcile(name)
        })
        .await;
    })
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let Some(role) = self.roles.get(&ObjectKey::new("", &name)) else {
            return Ok(Next::Done);
        };
        let Some(rules) = sum(&role, &self.roles.list())? else {
            return Ok(Next::Done);
        };
        if role.rules.as_deref().unwrap_or_default() == rules {
            return Ok(Next::Done);
        }
        let mut next = ClusterRole::clone(&role);
        next.rules = Some(rules);
        match self.client.all::<ClusterRole>().update(&next).await {
            // Its event brings us back.
            Err(status) if status.is_conflict() || status.is_not_found() => Ok(Next::Done),
            outcome => outcome.map(|_| Next::Done),
        }
    }
}

/// The rules of all roles that a role aggregates, each once, in order of the
/// selectors and of the roles' names; `None` if it aggregates none.
fn sum(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Result<Option<Vec<PolicyRule>>, Status> {
    let Some(aggregation) = &role.aggregation_rule else {
        return Ok(None);
    };
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in aggregation.cluster_role_selectors.iter().flatten() {
        let selector = Selector::from_label_selector(selector).map_err(Status::internal)?;
        for part in all.iter().filter(|part| part.name() != role.name()) {
            let labels = part.metadata.labels.as_ref();
            if !selector.matches_with(|key| labels.and_then(|l| l.get(key)).map(String::as_str)) {
                continue;
            }
            for rule in part.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Ok(Some(rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn role(name: &str, label: &str, resources: &[&str]) -> Arc<ClusterRole> {
        let rules: Vec<Value> = resources
            .iter()
            .map(|r| json!({"apiGroups": [""], "resources": [r], "verbs": ["get"]}))
            .collect();
        let role = json!({"metadata": {"name": name, "labels": {label: "true"}}, "rules": rules});
        Arc::new(serde_json::from_value(role).unwrap())
    }

    #[test]
    fn rules_add_up_in_order_and_once() {
        let sum_of = |selectors: Value, all: &[Arc<ClusterRole>]| -> Vec<String> {
            let role = json!({"metadata": {"name": "sum", "labels": {"a": "true"}},
                "aggregationRule": {"clusterRoleSelectors": selectors}});
            let role: ClusterRole = serde_json::from_value(role).unwrap();
            let rules = sum(&role, all).unwrap().unwrap();
            let names = rules.into_iter().flat_map(|rule| rule.resources);
            names.flatten().collect()
        };
        let all = [
            role("b", "a", &["pods", "nodes"]),
            role("c", "a", &["nodes", "secrets"]),
            role("d", "other", &["events"]),
            role("sum", "a", &["everything"]),
        ];
        let a = json!({"matchLabels": {"a": "true"}});
        let other = json!({"matchLabels": {"other": "true"}});
        assert_eq!(sum_of(json!([a]), &all), ["pods", "nodes", "secrets"]);
        assert_eq!(
            sum_of(json!([other, a]), &all),
            ["events", "pods", "nodes", "secrets"]
        );
        assert_eq!(sum_of(json!([]), &all), [""; 0]);
        assert_eq!(sum(&all[0], &all).unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_written_follows_the_parts() {
        use crate::context::Settings;
        use hardway_client::fake::Fake;
        use hardway_client::task;
        use std::time::Duration;
        let (fake, client) = Fake::start(Vec::new());
        let group = "rbac.authorization.k8s.io";
        let put = |object: Value| fake.create(group, "clusterroles", object);
        put(json!({"metadata": {"name": "sum"}, "rules": [],
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "true"}}]}}));
        let context = Context {
            client: client.clone(),
            settings: Arc::new(Settings::default()),
        };
        let mut informers = Informers::new(&client);
        let work = register(&mut informers, &context);
        let mut tasks = task::Group::default();
        informers.start(&mut tasks);
        let work = tokio::spawn(work);
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        put(json!({"metadata": {"name": "part", "labels": {"a": "true"}}, "rules": [rule]}));
        let written = async |expected: Value| {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            loop {
                let all = fake.objects(group, "clusterroles");
                let sum = all.iter().find(|role| role["metadata"]["name"] == "sum");
                if sum.is_some_and(|sum| sum["rules"].as_array() == expected.as_array()) {
                    return;
                }
                assert!(tokio::time::Instant::now() < deadline, "{all:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        written(json!([rule])).await;
        fake.delete(group, "clusterroles", "", "part", "Background");
        written(json!([])).await;
        work.abort();
    }
}
