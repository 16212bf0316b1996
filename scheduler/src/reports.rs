//! Says of pods that fit nowhere why that is, and evicts those that have to go for them: a few
//! at a time, however many wait. Of a pod only the newest is said, and it is kept until it has
//! been, or until the pod has a node or is gone.

use crate::pod_info::PodInfo;
use hardway_client::Client;
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::WorkQueue;
use hardway_client::shrink::Shrink;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// So many are sent at the same time.
const WORKERS: usize = 16;
/// What an apiserver that is away or busy doesn't take is sent again within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What there is to say of a pod that fits nowhere.
pub struct Report {
    pod: Arc<PodInfo>,
    message: String,
    /// The node where room is kept for it.
    nominated: Option<String>,
    /// Those that have to go from there.
    victims: Vec<Arc<PodInfo>>,
    /// Whether there has been an event.
    is_announced: bool,
}

impl Report {
    /// Why the pod fits nowhere, where room is kept for it, and who has to go from there.
    pub fn new(
        pod: Arc<PodInfo>,
        message: String,
        nominated: Option<String>,
        victims: Vec<Arc<PodInfo>>,
    ) -> Self {
        Self {
            pod,
            message,
            nominated,
            victims,
            is_announced: false,
        }
    }

    /// Whether the pod's status says the same already.
    fn is_known(&self) -> bool {
        let Some(status) = &self.pod.pod.status else {
            return false;
        };
        let mut conditions = status.conditions.iter().flatten();
        let says_why = conditions.any(|c| {
            c.type_ == "PodScheduled" && c.message.as_deref() == Some(self.message.as_str())
        });
        let nominated = status.nominated_node_name.as_deref().unwrap_or_default();
        says_why && nominated == self.nominated.as_deref().unwrap_or_default()
    }
}

/// The reports that are yet to be sent.
pub struct Reports {
    client: Client,
    recorder: Recorder,
    /// Events and victims name the scheduler by this.
    name: &'static str,
    newest: Mutex<HashMap<ObjectKey, Report>>,
    queue: WorkQueue<ObjectKey>,
}

impl Reports {
    /// There are none yet.
    pub fn new(client: Client, recorder: Recorder, name: &'static str) -> Self {
        Self {
            client,
            recorder,
            name,
            newest: Mutex::default(),
            queue: WorkQueue::new().retrying_within(LONGEST_PAUSE),
        }
    }

    /// Takes one in, in place of an older one of the pod.
    pub fn add(&self, report: Report) {
        let key = report.pod.key.clone();
        self.newest.lock().insert(key.clone(), report);
        self.queue.add(key);
    }

    /// Forgets that of a pod which has a node now, or is gone.
    pub fn withdraw(&self, pod: &ObjectKey) {
        self.take(pod);
    }

    fn take(&self, pod: &ObjectKey) -> Option<Report> {
        let mut newest = self.newest.lock();
        let report = newest.remove(pod);
        newest.shrink_if_sparse();
        report
    }

    /// Sends them until dropped.
    pub async fn send(&self) {
        let queue = self.queue.clone();
        controller::run("report", queue, WORKERS, |pod| self.send_newest(pod)).await;
    }

    async fn send_newest(&self, pod: ObjectKey) -> Result<Next, Status> {
        let Some(mut report) = self.take(&pod) else {
            return Ok(Next::Done);
        };
        let of = report.pod.clone();
        match of.traced(self.send_one(&mut report)).await {
            Err(status) if is_passing(&status) => {
                // Unless there is a newer one meanwhile.
                self.newest.lock().entry(pod).or_insert(report);
                Err(status)
            }
            Err(status) if !status.is_not_found() => {
                tracing::warn!(%pod, %status, "status not written; the next attempt will");
                Ok(Next::Done)
            }
            _ => Ok(Next::Done),
        }
    }

    async fn send_one(&self, report: &mut Report) -> Result<(), Status> {
        if !report.is_announced {
            report.is_announced = true;
            let about = reference(report.pod.pod.as_ref());
            let message = report.message.as_str();
            self.recorder
                .event(about, EventType::Warning, "FailedScheduling", message);
        }
        if !report.is_known() {
            self.write_status(report).await?;
        }
        for victim in &report.victims {
            match self.evict(victim, report).await {
                Err(status) if is_passing(&status) => return Err(status),
                Err(status) if !status.is_not_found() => {
                    tracing::warn!(pod = %victim.key, %status, "not evicted; the next attempt will");
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn write_status(&self, report: &Report) -> Result<(), Status> {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": report.message, "lastProbeTime": null,
            "lastTransitionTime": Time(Timestamp::now()),
        });
        let status = json!({"conditions": [condition], "nominatedNodeName": report.nominated});
        self.patch_status(&report.pod, status).await
    }

    /// Of this pod, and not of another that has its name by now.
    async fn patch_status(&self, pod: &PodInfo, status: serde_json::Value) -> Result<(), Status> {
        let api = self.client.namespaced::<Pod>(&pod.key.namespace);
        let patch = json!({"metadata": {"uid": pod.pod.uid()}, "status": status});
        let patch = Patch::Strategic(&patch);
        api.dynamic().patch(&pod.key.name, "status", patch).await?;
        Ok(())
    }

    async fn evict(&self, victim: &PodInfo, for_whom: &Report) -> Result<(), Status> {
        let status = json!({"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": format!("{}: preempting to accommodate a higher priority pod", self.name),
            "lastTransitionTime": Time(Timestamp::now()),
        }]});
        self.patch_status(victim, status).await?;
        let api = self.client.namespaced::<Pod>(&victim.key.namespace);
        let options = DeleteParams::of(victim.pod.uid());
        api.delete(&victim.key.name, &options).await?;
        let node = for_whom.nominated.as_deref().unwrap_or_default();
        let uid = for_whom.pod.pod.uid();
        let message = format!("Preempted by pod {uid} on node {node}");
        let about = reference(victim.pod.as_ref());
        self.recorder
            .event(about, EventType::Normal, "Preempted", message);
        Ok(())
    }
}

/// Whether it is an apiserver that is away or busy, which passes; a refusal doesn't.
fn is_passing(status: &Status) -> bool {
    status.code >= 500 || status.code == 429
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use serde_json::Value;

    fn pod(number: usize) -> Value {
        let name = format!("pod-{number}");
        json!({"metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"containers": []}})
    }

    fn info(pod: &Value) -> Arc<PodInfo> {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        Arc::new(PodInfo::new(Arc::new(pod)))
    }

    fn report(pod: &Value, message: &str) -> Report {
        Report::new(info(pod), message.to_owned(), None, Vec::new())
    }

    fn start(pods: usize) -> (Fake, Arc<Reports>) {
        let (fake, client) = Fake::start(Vec::new());
        for number in 0..pods {
            fake.create("", "pods", pod(number));
        }
        let recorder = Recorder::new(client.clone(), "test", None);
        (fake, Arc::new(Reports::new(client, recorder, "test")))
    }

    fn messages(fake: &Fake) -> Vec<String> {
        let message = |pod: &Value| pod["status"]["conditions"][0]["message"].to_string();
        fake.objects("", "pods").iter().map(message).collect()
    }

    #[tokio::test]
    async fn of_many_pods_the_newest_is_said_of_each_by_a_few_workers() {
        const PODS: usize = 200;
        let (fake, reports) = start(PODS);
        fake.answer(false);
        let sending = tokio::spawn({
            let reports = reports.clone();
            async move { reports.send().await }
        });
        for number in 0..PODS {
            reports.add(report(&pod(number), "first"));
        }
        // All workers are at it: nobody answers.
        while reports.newest.lock().len() > PODS - WORKERS {
            tokio::task::yield_now().await;
        }
        for message in ["second", "third"] {
            for number in 0..PODS {
                reports.add(report(&pod(number), message));
            }
        }
        assert_eq!(reports.newest.lock().len(), PODS);
        fake.answer(true);
        let all = |fake: &Fake| messages(fake).iter().all(|message| message == "\"third\"");
        fake.wait_until("all are said", all).await;
        assert_eq!(fake.calls("patch pods"), PODS + WORKERS);
        assert!(reports.newest.lock().is_empty());
        sending.abort();
    }

    #[tokio::test]
    async fn what_is_withdrawn_is_not_said_nor_to_another_pod_of_the_name() {
        let (fake, reports) = start(3);
        reports.add(report(&pod(0), "placed meanwhile"));
        reports.withdraw(&ObjectKey::new("d", "pod-0"));
        let mut former = pod(1);
        former["metadata"]["uid"] = "former".into();
        for one in [&former, &pod(2)] {
            reports.add(report(one, "said"));
        }
        let said = fake.wait_until("one is said", |fake| {
            fake.calls("patch pods") == 2 && messages(fake)[2] == "\"said\""
        });
        tokio::select! {
            () = reports.send() => {}
            () = said => {}
        }
        assert_eq!(messages(&fake), ["null", "null", "\"said\""]);
    }

    #[tokio::test]
    async fn who_has_to_go_is_deleted_and_says_why() {
        let (fake, reports) = start(2);
        let (node, victims) = (Some("n".to_owned()), vec![info(&pod(1))]);
        reports.add(Report::new(
            info(&pod(0)),
            "no room".to_owned(),
            node,
            victims,
        ));
        let gone = fake.wait_until("it is gone", |fake| fake.calls("delete pods") == 1);
        tokio::select! {
            () = reports.send() => {}
            () = gone => {}
        }
        let left = fake.objects("", "pods");
        assert_eq!(left[0]["status"]["nominatedNodeName"], "n");
        assert_eq!(fake.calls("patch pods"), 2);
    }

    #[test]
    fn what_the_status_says_already_is_not_said_again() {
        let mut known = pod(0);
        known["status"] = json!({"nominatedNodeName": "n", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "no room"}]});
        let is_known = |message: &str, node: Option<&str>| {
            let node = node.map(str::to_owned);
            Report::new(info(&known), message.to_owned(), node, Vec::new()).is_known()
        };
        assert!(is_known("no room", Some("n")));
        assert!(!is_known("no room at all", Some("n")));
        assert!(!is_known("no room", Some("m")));
        assert!(!is_known("no room", None), "none is kept any more");
        assert!(!report(&pod(0), "no room").is_known());
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        assert!(is_passing(&Status::internal("away")));
        assert!(!is_passing(&Status::not_found("", "pods", "p")));
        assert!(!is_passing(&Status::conflict("", "pods", "p", "other uid")));
    }
}
