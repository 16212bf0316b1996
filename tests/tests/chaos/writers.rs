//! Writers that create, change, patch and delete objects of their own all the time, and
//! note what came of each write.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hardway_tests::Lab;
use hardway_tests::http::Request;
use hardway_tests::tls::{Client, Failure};
use serde_json::{Value, json};

use crate::ledger::{Found, Ledger, Outcome};
use hardway_tests::dice::Dice;

/// Longer than the server takes to give up.
const PATIENCE: Duration = Duration::from_secs(70);
/// A writer that is turned away comes back after this long.
const PAUSE: Duration = Duration::from_millis(100);
/// Label of objects whose name the server chose: the request they were made by.
const REQUEST: &str = "chaos.example/request";

/// Where the writers' objects are.
#[derive(Debug, Clone)]
pub struct Place {
    client: Client,
    path: String,
}

impl Place {
    /// ConfigMaps of a namespace, as the administrator.
    pub fn new(lab: &Lab, namespace: &str) -> Self {
        let address = format!("{}:6443", lab.control_plane());
        Self {
            client: Client::new(lab, "ca", &address, Some("admin"), PATIENCE),
            path: format!("/api/v1/namespaces/{namespace}/configmaps"),
        }
    }

    /// Sends a write; tells what came of it and the code of the answer.
    fn write(&self, method: &str, name: &str, kind: &str, body: &Value) -> (Outcome, u16) {
        let content = format!("Content-Type: {kind}");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let path = if name.is_empty() {
            self.path.clone()
        } else {
            format!("{}/{name}", self.path)
        };
        let request = Request {
            method,
            path: &path,
            headers: &[&content],
            body: &body,
        };
        match self.client.send(&request) {
            Ok(answer) => (outcome(answer.status), answer.status),
            Err(Failure::Unsent(_)) => (Outcome::Refused, 0),
            Err(Failure::Unanswered(_)) => (Outcome::Unknown, 0),
        }
    }

    /// The value of an object, where that can be read.
    fn read(&self, name: &str) -> Option<Option<String>> {
        let path = format!("{}/{name}", self.path);
        let answer = self.client.send(&Request::get(&path)).ok()?;
        match answer.status {
            200 => {
                let object: Value = serde_json::from_str(&answer.body).ok()?;
                Some(object["data"]["value"].as_str().map(str::to_owned))
            }
            404 => Some(None),
            _ => None,
        }
    }

    /// All objects of the writers.
    pub fn read_all(&self) -> Result<Vec<Found>, String> {
        let answer = self.client.send(&Request::get(&self.path));
        let answer = answer.map_err(|failure| format!("{failure:?}"))?;
        let list: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let items = list["items"].as_array().ok_or(answer.body)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let found = |item: &Value| Found {
            name: text(&item["metadata"]["name"]).unwrap_or_default(),
            value: text(&item["data"]["value"]).unwrap_or_default(),
            request: text(&item["metadata"]["labels"][REQUEST]),
        };
        let ours = |item: &&Value| item["data"]["value"].is_string();
        Ok(items.iter().filter(ours).map(found).collect())
    }
}

/// What an answer's code says of a write. An unknown outcome must not be told as
/// something that invites to repeat (503), so what is told so was not done.
fn outcome(code: u16) -> Outcome {
    match code {
        200..300 => Outcome::Done,
        500 | 504 => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

/// What a writer noted.
#[derive(Debug, Default)]
pub struct Notes {
    /// Its writes.
    pub ledger: Ledger,
    /// Reads that didn't show what was acknowledged, and answers that can't be.
    pub complaints: Vec<String>,
}

/// Writes until it is over. Nobody else writes objects of this writer's name.
pub fn write(
    place: &Place,
    writer: usize,
    mut dice: Dice,
    over: &AtomicBool,
    notes: &Mutex<Notes>,
) {
    let mut names: Vec<String> = Vec::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{writer}-{number}");
        let object = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}});
        let name = dice.pick(&names).cloned();
        let lock = |work: &mut dyn FnMut(&mut Notes)| {
            work(
                &mut notes
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            );
        };
        let (outcome, name) = match (dice.below(8), name) {
            (0, _) => {
                let mut object = object("");
                object["metadata"] =
                    json!({"generateName": "made-", "labels": {REQUEST: format!("r{value}")}});
                let (outcome, _) = place.write("POST", "", "application/json", &object);
                lock(&mut |notes| notes.ledger.requested(&format!("r{value}"), outcome));
                (outcome, None)
            }
            (1, Some(name)) => {
                let (outcome, code) =
                    place.write("DELETE", &name, "application/json", &Value::Null);
                lock(&mut |notes| {
                    notes.ledger.wrote(&name, None, outcome);
                    if code == 404 {
                        notes
                            .complaints
                            .push(format!("{name} is not there to delete"));
                    }
                });
                (outcome, Some(name))
            }
            (2..=4, Some(name)) => {
                let (outcome, code) = place.write("PUT", &name, "application/json", &object(&name));
                lock(&mut |notes| {
                    notes.ledger.wrote(&name, Some(&value), outcome);
                    if [404, 409].contains(&code) {
                        notes
                            .complaints
                            .push(format!("{name} can't be changed: {code}"));
                    }
                });
                (outcome, Some(name))
            }
            (5 | 6, Some(name)) => {
                let patch = json!({"data": {"value": value}});
                let (outcome, code) =
                    place.write("PATCH", &name, "application/merge-patch+json", &patch);
                lock(&mut |notes| {
                    notes.ledger.wrote(&name, Some(&value), outcome);
                    if [404, 409].contains(&code) {
                        notes
                            .complaints
                            .push(format!("{name} can't be patched: {code}"));
                    }
                });
                (outcome, Some(name))
            }
            _ => {
                let name = format!("w{value}");
                let (outcome, code) = place.write("POST", "", "application/json", &object(&name));
                lock(&mut |notes| {
                    notes.ledger.wrote(&name, Some(&value), outcome);
                    if code == 409 {
                        notes
                            .complaints
                            .push(format!("{name} is told to exist when it is first made"));
                    }
                });
                (outcome, Some(name))
            }
        };
        if let Some(name) = name {
            names.retain(|known| *known != name);
            let mut right = None;
            lock(&mut |notes| {
                right = notes
                    .ledger
                    .certain(&name)
                    .map(|v| v.map(str::to_owned))
                    .ok()
            });
            // Who read may see nothing older than what was acknowledged.
            if outcome == Outcome::Done
                && dice.below(4) == 0
                && let Some(read) = place.read(&name)
                && Some(&read) != right.as_ref()
            {
                lock(&mut |notes| {
                    notes
                        .complaints
                        .push(format!("{name} is read as {read:?} after {right:?}"));
                });
            }
            if let Some(Some(_)) = right {
                names.push(name);
            }
        }
        if outcome != Outcome::Done {
            std::thread::sleep(PAUSE);
        }
    }
}
