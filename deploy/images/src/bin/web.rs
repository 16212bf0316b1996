//! The tutorial's web application: a page that counts its visits in the database
//! and tells which pod it came from.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use hardway_images::http::{self, Answer};
use hardway_images::{log, run_until_terminated, setting};

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> nix::Result<()> {
    run_until_terminated(|| {
        if let Err(error) = serve() {
            log(&format!("the web server ends: {error}"));
        }
    })
}

fn serve() -> io::Result<()> {
    let title = setting("SITE_TITLE", "Busmeme");
    http::serve(&title, &setting("PORT", "3000"), |request| {
        match request.path.as_str() {
            "/" => page(),
            "/healthz" => Answer::text("ok\n".to_owned()),
            path => Answer::nothing_at(path),
        }
    })
}

fn page() -> Answer {
    let counted = count();
    let (status, visits) = match &counted {
        Ok(visits) => ("200 OK", format!("visits: {visits}")),
        Err(error) => (
            "503 Service Unavailable",
            format!("the database does not answer: {error}"),
        ),
    };
    let title = setting("SITE_TITLE", "Busmeme");
    let body = format!(
        "<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{}</p>\n<p>pod: {}</p>\n<p>version: {}</p>\n<p>{visits}</p>\n",
        setting("SITE_MOTTO", "A meme for every bus."),
        setting("HOSTNAME", "unknown"),
        setting("BUSMEME_VERSION", "unknown"),
    );
    Answer {
        status,
        ..Answer::page(body)
    }
}

/// Counts one more visit in the database.
fn count() -> io::Result<u64> {
    let address = format!(
        "{}:{}",
        setting("DATABASE_HOST", "localhost"),
        setting("DATABASE_PORT", "27017")
    );
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("INCR {}\n", setting("DATABASE_COUNTER", "visits")).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    line.trim()
        .parse()
        .map_err(|_| io::Error::other(format!("it answers {line:?}")))
}
