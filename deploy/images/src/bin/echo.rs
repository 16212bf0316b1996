//! Answers over UDP, which no program of busybox does: with its host's name, whom it
//! answers, and what it was sent.

use std::io;
use std::net::UdpSocket;

use hardway_images::{log, run_until_terminated, setting};

fn main() -> nix::Result<()> {
    run_until_terminated(|| {
        if let Err(error) = serve() {
            log(&format!("the echo ends: {error}"));
        }
    })
}

fn serve() -> io::Result<()> {
    let host = setting("HOSTNAME", "unknown");
    let socket = UdpSocket::bind(format!("0.0.0.0:{}", setting("PORT", "5000")))?;
    log(&format!("{host} answers on {}", socket.local_addr()?));
    let mut bytes = [0; 2048];
    loop {
        let (count, peer) = socket.recv_from(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes[..count]);
        socket.send_to(format!("{host} {peer} {text}").as_bytes(), peer)?;
    }
}
