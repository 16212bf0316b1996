//! Against an apiserver of its own, in a fifth of Kubernetes' times.

#![expect(
    clippy::disallowed_methods,
    reason = "holding threads is what is tested, and a test sends a handful of words"
)]

use super::*;
use crate::api::Patch;
use crate::fake::Fake;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

const TIMING: Timing = Timing {
    lease: Duration::from_secs(3),
    renew: Duration::from_secs(2),
    retry: Duration::from_millis(200),
};

fn elector(client: &Client, identity: &str) -> Elector {
    let elector = Elector::new(client, "test", identity).unwrap();
    elector.timing(TIMING)
}

fn renewed(fake: &Fake) -> Timestamp {
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    lease["spec"]["renewTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn work_that_lets_nobody_have_a_turn_keeps_the_lease() {
    let (fake, client) = Fake::start(Vec::new());
    let work = || async {
        // Longer than the lease, on the only thread of this runtime.
        std::thread::sleep(TIMING.lease * 2);
        let age = Timestamp::now().duration_since(renewed(&fake));
        age < TIMING.renew.try_into().unwrap()
    };
    assert!(
        elector(&client, "busy").run(work, pending()).await,
        "the lease is old"
    );
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    assert_eq!(lease["spec"]["holderIdentity"], "", "given up at the end");
}

#[tokio::test]
async fn who_cannot_renew_stops_and_stands_again() {
    let (fake, client) = Fake::start(Vec::new());
    let (sender, mut leads) = mpsc::unbounded_channel();
    let work = move || {
        // Dropped with the work.
        let guard = working(sender.clone());
        async move {
            let _working = guard;
            pending::<()>().await;
        }
    };
    let running = tokio::spawn(elector(&client, "me").run(work, pending()));
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(30), leads.recv());
        next.await.expect("nothing more happens").unwrap()
    };
    assert_eq!(next().await, "leads");
    fake.answer(false);
    assert_eq!(next().await, "stopped");
    fake.answer(true);
    assert_eq!(next().await, "leads");
    running.abort();
}

#[tokio::test]
async fn a_renewal_is_one_request_and_survives_that_others_touch_the_lease() {
    let (fake, client) = Fake::start(Vec::new());
    let running = tokio::spawn(elector(&client, "me").run(pending::<()>, pending()));
    let renewals = async |more: usize| {
        let enough = fake.calls("update leases") + more;
        let so = |fake: &Fake| fake.calls("update leases") >= enough;
        fake.wait_until("the lease is renewed", so).await;
    };
    renewals(3).await;
    assert_eq!(fake.calls("get leases"), 1, "only before it was taken");
    let annotated = serde_json::json!({"metadata": {"annotations": {"by": "others"}}});
    let leases: Api<Lease> = client.namespaced("kube-system");
    let patched = leases.patch("test", Patch::Merge(&annotated)).await;
    patched.unwrap();
    renewals(3).await;
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    assert_eq!(lease["metadata"]["annotations"]["by"], "others");
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
    running.abort();
}

struct Working(mpsc::UnboundedSender<&'static str>);

fn working(sender: mpsc::UnboundedSender<&'static str>) -> Working {
    let _ = sender.send("leads");
    Working(sender)
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.0.send("stopped");
    }
}

#[tokio::test]
async fn a_lease_that_lapsed_goes_to_the_next() {
    let (fake, client) = Fake::start(Vec::new());
    let lease = serde_json::json!({"metadata": {"name": "test", "namespace": "kube-system"},
        "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 1, "leaseTransitions": i32::MAX,
            "renewTime": "2024-01-01T00:00:00.000000Z"}});
    fake.create("coordination.k8s.io", "leases", lease);
    elector(&client, "next").run(|| async {}, pending()).await;
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    assert_eq!(lease["spec"]["leaseTransitions"], i32::MAX, "no overflow");
}

#[tokio::test]
async fn who_is_told_to_stop_gives_the_lease_up() {
    let (fake, client) = Fake::start(Vec::new());
    let (sender, mut leads) = mpsc::unbounded_channel();
    let candidate = |name: &'static str, stop: oneshot::Receiver<()>| {
        let sender = sender.clone();
        let lead = move || {
            let _ = sender.send(name);
            pending::<()>()
        };
        // A lease that would hold for longer than this test.
        let timing = Timing {
            lease: Duration::from_secs(600),
            renew: Duration::from_secs(400),
            ..TIMING
        };
        let elector = elector(&client, name).timing(timing);
        tokio::spawn(elector.run(lead, async move { drop(stop.await) }))
    };
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), leads.recv());
        next.await.expect("nobody leads").unwrap()
    };
    let (stop, stopping) = oneshot::channel();
    let first = candidate("first", stopping);
    assert_eq!(next().await, "first");
    let (_go_on, never) = oneshot::channel();
    let second = candidate("second", never);
    let told = Instant::now();
    stop.send(()).unwrap();
    first.await.unwrap();
    assert_eq!(next().await, "second");
    let elapsed = told.elapsed();
    assert!(elapsed < TIMING.retry * 20, "{elapsed:?} without a leader");
    second.abort();

    // Who only stands has nothing to give up.
    let (stop, stopping) = oneshot::channel();
    let third = candidate("third", stopping);
    stop.send(()).unwrap();
    third.await.unwrap();
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    assert_eq!(lease["spec"]["holderIdentity"], "second");
}

#[tokio::test]
async fn a_lease_that_was_given_up_holds_for_nobody() {
    let (fake, client) = Fake::start(Vec::new());
    elector(&client, "done").run(|| async {}, pending()).await;
    let lease = &fake.objects("coordination.k8s.io", "leases")[0];
    assert_eq!(lease["spec"]["holderIdentity"], "");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 1);
    // The apiserver is away: the end comes all the same.
    let gone = fake.clone();
    let lead = || async { gone.answer(false) };
    let end = elector(&client, "cut off").run(lead, pending());
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, end).await.expect("it hangs");
}

static STUCK: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn work_that_does_not_stop_with_the_lease_ends_the_process() {
    let (fake, client) = Fake::start(Vec::new());
    let work = || async {
        fake.answer(false);
        let start = Instant::now();
        while !STUCK.load(Ordering::Acquire) && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        fake.answer(true);
    };
    let elector = elector(&client, "stubborn");
    let elector = elector.on_stuck(|| STUCK.store(true, Ordering::Release));
    elector.run(work, pending()).await;
    assert!(STUCK.load(Ordering::Acquire), "it goes on without a lease");
}
