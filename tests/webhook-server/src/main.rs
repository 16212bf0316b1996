//! The server as a program, for pods.

use clap::Parser;
use hardway_webhook_server::Server;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    name = "hardway-webhook-server",
    about = "Webhooks that answer as their path says, for tests"
)]
struct Arguments {
    /// Port to listen at.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    port: u16,
    /// Its certificate.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: PathBuf,
    /// The key of that.
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: PathBuf,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = fs::read_to_string(&arguments.tls_cert_file)?;
    let key = fs::read_to_string(&arguments.tls_private_key_file)?;
    let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port));
    Server::start_with(at, certificate, &key)
        .await?
        .serve()
        .await;
    Ok(())
}
