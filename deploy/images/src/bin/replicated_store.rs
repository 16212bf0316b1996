//! A replica of the replicated store. `PUT /keys/KEY` and `GET /keys/KEY` ask a majority of
//! `$PEERS`; `/local` is what this one has.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hardway_images::http::{self, Answer, Request};
use hardway_images::replicated::{Replica, Versioned, is_key, majority};
use hardway_images::{log, run_until_terminated, setting};

const PORT: &str = "7000";
/// Between attempts to hear from the others what was written while this one was away.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> nix::Result<()> {
    run_until_terminated(|| {
        if let Err(error) = serve() {
            log(&format!("the replica ends: {error}"));
        }
    })
}

struct Store {
    name: String,
    /// All replicas, this one too.
    peers: Vec<String>,
    replica: Mutex<Replica>,
}

fn serve() -> std::io::Result<()> {
    let folder = setting("FOLDER", "/data");
    let peers = setting("PEERS", "localhost");
    let store = Arc::new(Store {
        name: setting("HOSTNAME", "unknown"),
        peers: peers.split(',').map(str::to_owned).collect(),
        replica: Mutex::new(Replica::open(Path::new(&folder))?),
    });
    let behind = Arc::clone(&store);
    std::thread::spawn(move || behind.catch_up());
    http::serve("the replica", PORT, move |request| store.answer(request))
}

impl Store {
    fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Answer {
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let keyed = |prefix| path.strip_prefix(prefix).filter(|key| is_key(key));
        match (method, keyed("/keys/"), keyed("/local/")) {
            ("GET", Some(key), _) => self.get(key),
            ("PUT", Some(key), _) => self.put(key, &request.body),
            ("GET", _, Some(key)) => match self.replica().get(key) {
                Some(value) => Answer::text(format!("{}\n", value.line())),
                None => Answer::nothing_at(path),
            },
            ("PUT", _, Some(key)) => self.keep(key, &request.body),
            ("GET", None, None) if path == "/local" => Answer::text(self.replica().lines()),
            ("GET", None, None) if path == "/healthz" => Answer::text("ok\n".to_owned()),
            _ => Answer::nothing_at(path),
        }
    }

    fn keep(&self, key: &str, line: &str) -> Answer {
        let Some(value) = Versioned::parse(line) else {
            return Answer::failure("400 Bad Request", "send NUMBER BY VALUE\n".to_owned());
        };
        match self.replica().keep(key, &value) {
            Ok(()) => Answer::text("kept\n".to_owned()),
            Err(error) => Answer::failure("507 Insufficient Storage", format!("{error}\n")),
        }
    }

    /// What all replicas that answer say to a request, each in a thread of its own.
    fn ask_all(&self, method: &str, path: &str, body: &str) -> Vec<(u16, String)> {
        std::thread::scope(|scope| {
            let ask = |peer: &String| http::ask(&format!("{peer}:{PORT}"), method, path, body);
            let asked: Vec<_> = self
                .peers
                .iter()
                .map(|peer| scope.spawn(move || ask(peer)))
                .collect();
            let answers = asked.into_iter().filter_map(|one| one.join().ok()?.ok());
            answers.collect()
        })
    }

    /// The newest value that a majority knows of.
    fn newest(&self, key: &str) -> Result<Option<Versioned>, Answer> {
        let answers = self.ask_all("GET", &format!("/local/{key}"), "");
        self.enough(answers.len())?;
        let known = answers.iter().filter(|(status, _)| *status == 200);
        Ok(known.filter_map(|(_, line)| Versioned::parse(line)).max())
    }

    fn enough(&self, answers: usize) -> Result<(), Answer> {
        let needed = majority(self.peers.len());
        if answers >= needed {
            return Ok(());
        }
        let why = format!("{answers} of {} replicas answer\n", self.peers.len());
        Err(Answer::failure("503 Service Unavailable", why))
    }

    /// Has a majority keep a value.
    fn spread(&self, key: &str, value: &Versioned) -> Result<(), Answer> {
        let answers = self.ask_all("PUT", &format!("/local/{key}"), &value.line());
        self.enough(answers.iter().filter(|(status, _)| *status == 200).count())
    }

    fn get(&self, key: &str) -> Answer {
        let read = self.newest(key).and_then(|newest| {
            if let Some(value) = &newest {
                // It may have been with a minority only: who reads next must not see less.
                self.spread(key, value)?;
            }
            Ok(newest)
        });
        match read {
            Ok(Some(value)) => Answer::text(format!("{}\n", value.value)),
            Ok(None) => Answer::nothing_at(&format!("/keys/{key}")),
            Err(answer) => answer,
        }
    }

    fn put(&self, key: &str, value: &str) -> Answer {
        let written = self.newest(key).and_then(|newest| {
            let value = Versioned::after(newest.as_ref(), &self.name, value);
            self.spread(key, &value)
        });
        match written {
            Ok(()) => Answer::text("written\n".to_owned()),
            Err(answer) => answer,
        }
    }

    /// Takes over what the others have, once a majority has told.
    fn catch_up(&self) {
        loop {
            let answers = self.ask_all("GET", "/local", "");
            for (_, lines) in &answers {
                for (key, line) in lines.lines().filter_map(|line| line.split_once(' ')) {
                    let kept = Versioned::parse(line).map(|value| self.replica().keep(key, &value));
                    if let Some(Err(error)) = kept {
                        log(&format!("{key} is not kept: {error}"));
                    }
                }
            }
            if self.enough(answers.len()).is_ok() {
                return log("nothing is missed");
            }
            std::thread::sleep(PAUSE);
        }
    }
}
