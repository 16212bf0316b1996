//! Admission webhooks: what a user of kubectl sees of them, and what becomes of requests when
//! their server dies or never answers.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hardway_tests::kubectl::Kubectl;
use hardway_tests::{pods, until, wait};
use serde_json::Value;

use crate::hooks::{Hooks, config_map};

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

/// One webhook sets a label, one refuses, one warns.
pub fn changed_and_refused(hooks: &Hooks) {
    let namespace = &hooks.namespace;
    let _labels = hooks.configure(MUTATING, "labels", "label/team/blue", "Fail", 10);
    let _refuses = hooks.configure(VALIDATING, "refuses", "deny/no-more", "Fail", 10);
    let _warns = hooks.configure(VALIDATING, "warns", "warn/careful", "Fail", 10);
    namespace.create(&config_map("changed", "labels"));
    let team = namespace.run("get configmap changed -o jsonpath={.metadata.labels.team}");
    assert_eq!(team, "blue");
    let refused = config_map("refused", "refuses").to_string();
    assert_eq!(
        namespace.refused("create -f -", &refused),
        format!(
            "Error from server (Forbidden): error when creating \"STDIN\": \
             admission webhook \"{}\" denied the request: no-more\n",
            hooks.unique("refuses")
        )
    );
    let absent = namespace.refused("get configmap refused", "");
    assert!(absent.contains("NotFound"), "{absent}");
    let warned = namespace.try_feed("create -f -", &config_map("warned", "warns").to_string());
    assert!(warned.success, "{warned:?}");
    assert_eq!(warned.stderr, "Warning: careful\n");
}

/// Who is concerned waits for the timeout, and nobody else does.
pub fn never_answers(hooks: &Hooks) {
    let seconds = 2;
    let _hangs = hooks.configure(VALIDATING, "hangs", "hang", "Fail", seconds);
    let begun = Instant::now();
    let (code, status) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| hooks.post(&config_map("waits", "hangs")));
        let (code, _) = hooks.post(&config_map("goes", "on"));
        assert_eq!(code, 201);
        assert!(!waits.is_finished(), "who isn't concerned goes on at once");
        waits.join().expect("the request is answered")
    });
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(seconds.into()), "{took:?}");
    // The default would be 10 s, the longest 30 s.
    assert!(took < Duration::from_secs(8), "{took:?}");
    let webhook = hooks.unique("hangs");
    let message = format!(
        "Internal error occurred: failed calling webhook {webhook:?}: failed to call webhook: \
         Post \"https://hooks.{}.svc:443/hang?timeout=2s\": context deadline exceeded",
        hooks.namespace.name
    );
    assert_eq!((code, status["message"].as_str()), (500, Some(&*message)));
}

/// What became of ConfigMaps of one webhook.
#[derive(Default)]
struct Outcomes {
    made: BTreeSet<String>,
    /// Name and message.
    refused: Vec<(String, String)>,
}

impl Outcomes {
    fn note(&mut self, name: &str, (code, answer): &(u16, Value)) {
        let message = answer["message"].as_str().unwrap_or_default().to_owned();
        match code {
            201 => drop(self.made.insert(name.to_owned())),
            _ => self.refused.push((name.to_owned(), message)),
        }
    }
}

/// The server is killed, taken away, and comes back while objects are made all the time, for
/// one webhook that has to be asked and one that need not be.
pub fn killed_amid_requests(hooks: &Hooks) {
    let namespace = &hooks.namespace;
    let _closed = hooks.configure(MUTATING, "closed", "label/team/blue", "Fail", 2);
    let _open = hooks.configure(MUTATING, "open", "label/team/blue", "Ignore", 2);
    let (closed, open) = (Mutex::<Outcomes>::default(), Mutex::<Outcomes>::default());
    let over = AtomicBool::new(false);
    let counted = |of: &Mutex<Outcomes>| {
        let of = of.lock().expect("nobody panicked");
        (of.made.len(), of.refused.len())
    };
    let more = |what: &str, of: &Mutex<Outcomes>, before: (usize, usize), made: bool| {
        until(what, || {
            let now = counted(of);
            let more = if made {
                now.0 > before.0 + 2
            } else {
                now.1 > before.1
            };
            wait::holds(more, format!("{now:?}"))
        });
    };
    std::thread::scope(|scope| {
        let _ends = hardway_tests::defer(|| over.store(true, Ordering::Relaxed));
        for (hook, outcomes) in [("closed", &closed), ("open", &open)] {
            let over = &over;
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("{hook}-{number}");
                    let answer = hooks.post(&config_map(&name, hook));
                    let mut outcomes = outcomes.lock().expect("nobody panicked");
                    outcomes.note(&name, &answer);
                }
            });
        }
        more("objects are made", &closed, (0, 0), true);
        let pod = pods::wait_ready(namespace, "app=hooks", 1).remove(0).name();
        namespace.run(&format!("exec {pod} -- killall -9 hooks"));
        until("the server is started again", || {
            let restarts = pods::get(namespace, &pod).containers()[0].1;
            wait::holds(restarts == 1, restarts)
        });
        more("objects are made again", &closed, counted(&closed), true);
        namespace.run("scale deployment hooks --replicas=0");
        more("one is refused", &closed, counted(&closed), false);
        more("others are made", &open, counted(&open), true);
        namespace.run("scale deployment hooks --replicas=1");
        pods::wait_ready(namespace, "app=hooks", 1);
        more("all are made", &closed, counted(&closed), true);
    });
    let closed = closed.into_inner().expect("nobody panicked");
    let open = open.into_inner().expect("nobody panicked");
    assert_eq!(open.refused, [], "what may go on does");
    let webhook = hooks.unique("closed");
    let start = format!(
        "Internal error occurred: failed calling webhook {webhook:?}: failed to call webhook: \
         Post \"https://hooks.{}.svc:443/label/team/blue?timeout=2s\": ",
        namespace.name
    );
    for (name, message) in &closed.refused {
        assert!(message.starts_with(&start), "{name}: {message}");
    }
    let nobody = format!("{start}no endpoints available for service \"hooks\"");
    assert!(
        closed.refused.iter().any(|(_, message)| *message == nobody),
        "{:?}",
        closed.refused
    );
    // What was acknowledged is there, as the webhook wanted it; what was refused isn't.
    for (hook, outcomes) in [("closed", &closed), ("open", &open)] {
        let list = namespace.json(&format!("get configmaps -l hook={hook}"));
        let items = list["items"].as_array().expect("a list");
        let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
        let there: BTreeSet<String> = items.iter().filter_map(name).collect();
        assert_eq!(there, outcomes.made);
        let bare = items
            .iter()
            .find(|it| it["metadata"]["labels"]["team"] != "blue");
        match hook {
            "closed" => assert_eq!(bare, None),
            _ => assert!(bare.is_some(), "some went on without the webhook"),
        }
    }
    let metrics = Kubectl::stock().run("get --raw /metrics");
    let counter = format!(
        "apiserver_admission_webhook_fail_open_count{{name=\"{}\",type=\"admit\"}}",
        hooks.unique("open")
    );
    assert!(metrics.contains(&counter), "{counter}");
}
