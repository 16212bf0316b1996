//! The examples the tutorial points to: the guestbook, the update demo and the blog. The
//! replicated store is in `storage`.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardway_tests::{Lab, Namespace, http, pods, until, wait, within};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/examples")
        .join(name)
}

fn page(address: &str, path: &str) -> Result<String, String> {
    let answer = http::get(address, path).map_err(|error| error.to_string())?;
    wait::holds(answer.status == 200, format!("{answer:?}"))?;
    Ok(answer.body)
}

/// Sends the guestbook's form, as a browser does.
fn post(address: &str, form: &str) -> Result<String, String> {
    let sent = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    sent().map_err(|error: std::io::Error| error.to_string())
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn guests_write_to_the_leader_and_read_from_the_followers() {
    let workers = Lab::open().workers();
    let address = format!("{}:30063", workers[0].address);
    let other = format!("{}:30063", workers[1].address);
    let namespace = Namespace::new("guestbook");
    namespace.run(&format!("apply -f {}", example("guestbook").display()));
    pods::wait_ready(&namespace, "app=redis,role=leader", 1);
    let followers = pods::wait_ready(&namespace, "app=redis,role=follower", 2);
    pods::wait_ready(&namespace, "app=guestbook", 3);

    // The leader is found by its Service's name, in this namespace's search path.
    until("the guestbook takes a word", || {
        let answer = post(&address, "message=hello+from+the+lab")?;
        wait::holds(answer.starts_with("HTTP/1.1 303 "), answer)
    });
    // What is read comes from the followers, wherever they are and whoever asks; each of
    // them hears of it in its own time.
    for address in [&address, &other] {
        for (path, line) in [
            ("/messages", "hello from the lab\n"),
            ("/", "<li>hello from the lab</li>"),
        ] {
            until(&format!("the guestbook shows it at {path}"), || {
                let read = page(address, path)?;
                wait::holds(read.contains(line), read)
            });
        }
    }

    // Followers refuse to be written to.
    for follower in &followers {
        until("a follower refuses to be written to", || {
            let script = "printf 'SET a b\\r\\nQUIT\\r\\n' | nc 127.0.0.1 6379";
            let answer = pods::try_sh(&namespace, &follower.name(), script).ok()?;
            wait::holds(answer.starts_with("-READONLY "), answer)
        });
    }

    // A follower that is lost is replaced by one that knows everything.
    namespace.run(&format!("delete pod {}", followers[0].name()));
    let replaced = pods::wait_ready(&namespace, "app=redis,role=follower", 2);
    assert!(replaced.iter().any(|pod| {
        followers
            .iter()
            .all(|follower| follower.name() != pod.name())
    }));
    for pod in &replaced {
        until("the follower has caught up", || {
            let script = "printf 'LRANGE guestbook 0 -1\\r\\nQUIT\\r\\n' | nc 127.0.0.1 6379";
            let output = pods::try_sh(&namespace, &pod.name(), script).ok()?;
            wait::holds(output.contains("hello from the lab"), output)
        });
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn herons_become_otters_before_everybodys_eyes() {
    let workers = Lab::open().workers();
    let addresses: Vec<String> = workers
        .iter()
        .map(|worker| format!("{}:30064", worker.address))
        .collect();
    let namespace = Namespace::new("update-demo");
    let apply = |file: &str| {
        let path = example("update-demo").join(file);
        namespace.run(&format!("apply -f {}", path.display()))
    };
    apply("service.yml");
    apply("heron.yml");
    pods::wait_ready(&namespace, "creature=heron", 4);
    until("herons are seen", || {
        let name = page(&addresses[0], "/name")?;
        wait::holds(name == "heron\n", name)
    });

    apply("otter.yml");
    // Everybody who comes meanwhile sees one or the other, and in the end otters only.
    let mut seen = BTreeSet::new();
    let mut row = 0;
    let mut turn = addresses.iter().cycle();
    within(Duration::from_secs(120), "only otters are seen", || {
        let address = turn.next().expect("two workers");
        // A visitor who is turned away is a failure, not something to wait out.
        let name = page(address, "/name").unwrap_or_else(|error| panic!("{address}: {error}"));
        row = if name == "otter\n" { row + 1 } else { 0 };
        seen.insert(name);
        let deployment = namespace.try_json("get deployment update-demo")?;
        let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or(0);
        assert!(
            ready >= 4,
            "never fewer than four: {}",
            deployment["status"]
        );
        wait::holds(row >= 20, format!("{row} otters in a row"))
    });
    assert!(
        seen.contains("heron\n"),
        "the update came at once: {seen:?}"
    );
    pods::wait_ready(&namespace, "app=update-demo", 4);
    // The last heron may still have had visitors.
    until("an otter is drawn", || {
        let drawn = page(&addresses[0], "/")?;
        wait::holds(drawn.contains(">otter</text>"), drawn)
    });
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_blog_keeps_what_was_written_in_its_volume() {
    let workers = Lab::open().workers();
    let address = format!("{}:30065", workers[0].address);
    let namespace = Namespace::new("blog");
    namespace.run(&format!("apply -f {}", example("blog").display()));
    let database = pods::wait_ready(&namespace, "app=blog,tier=database", 1).remove(0);
    pods::wait_ready(&namespace, "app=blog,tier=frontend", 2);
    until("the blog takes a line", || {
        let answer = post(&address, "message=still+here")?;
        wait::holds(answer.starts_with("HTTP/1.1 303 "), answer)
    });
    let shown = |what: &str| {
        until(what, || {
            let read = page(&address, "/messages")?;
            wait::holds(read == "still here\n", read)
        });
    };
    shown("the blog shows it");
    assert!(page(&address, "/").is_ok_and(|page| page.contains("<h1>A blog</h1>")));
    // Nobody gets at the database without the password.
    let script = "printf 'LRANGE guestbook 0 -1\\r\\nQUIT\\r\\n' | nc 127.0.0.1 6379";
    let refusal = pods::sh(&namespace, &database.name(), script);
    assert!(refusal.starts_with("-NOAUTH "), "{refusal}");

    namespace.run(&format!("delete pod {}", database.name()));
    let replaced = pods::wait_ready(&namespace, "app=blog,tier=database", 1).remove(0);
    assert_ne!(replaced.uid(), database.uid());
    assert_eq!(
        replaced.node(),
        database.node(),
        "it goes where its data is"
    );
    shown("the line is still there");
}
