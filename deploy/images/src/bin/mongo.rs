//! The tutorial's database server: a line in, a line out, state in /data/db.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hardway_images::store::Store;
use hardway_images::{log, run_until_terminated};

fn main() -> nix::Result<()> {
    run_until_terminated(|| {
        if let Err(error) = serve() {
            log(&format!("the database ends: {error}"));
        }
    })
}

fn serve() -> io::Result<()> {
    let store = Arc::new(Mutex::new(Store::open(Path::new("/data/db"))?));
    let listener = TcpListener::bind(("0.0.0.0", 27017))?;
    log("waiting for connections on port 27017, state in /data/db");
    for stream in listener.incoming() {
        let (stream, store) = (stream?, Arc::clone(&store));
        std::thread::spawn(move || {
            if let Err(error) = converse(&stream, &store) {
                log(&format!("connection ended: {error}"));
            }
        });
    }
    Ok(())
}

fn converse(mut stream: &TcpStream, store: &Mutex<Store>) -> io::Result<()> {
    log(&format!("connection accepted from {}", stream.peer_addr()?));
    for line in BufReader::new(stream).lines() {
        let answer = store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(&line?)?;
        stream.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}
