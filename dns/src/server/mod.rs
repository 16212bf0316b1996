//! Sockets.

mod tcp;
mod udp;

use crate::resolver::Resolver;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

/// Listens on one address over UDP and TCP.
pub struct Server {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Server {
    /// Binds both; port 0 takes one that is free for both.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let what =
            |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
        let mut attempts = 0;
        loop {
            let tcp = TcpListener::bind(address).await.map_err(what)?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { udp, tcp }),
                Err(_) if address.port() == 0 && attempts < 10 => attempts += 1,
                Err(error) => return Err(what(error)),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until dropped.
    pub async fn run(self, resolver: Arc<Resolver>) {
        tokio::join!(
            udp::serve(self.udp, resolver.clone()),
            tcp::serve(self.tcp, resolver),
        );
    }
}
