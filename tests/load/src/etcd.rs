//! What etcd alone commits: the least that an API server asks of it for a new object, a
//! transaction that puts a key if it isn't there, without an API server before it. No API
//! server on the same etcd creates more.

use crate::api::ApiError;
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::reference::{Authority, Etcd};
use crate::workers;
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, Identity, TlsOptions, Txn, TxnOp,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub struct Writes {
    /// Keys that are put.
    pub count: u64,
    /// Transactions that wait for their answers at the same time.
    pub concurrency: usize,
    /// Bytes of each value.
    pub bytes: usize,
}

/// Puts new keys where API servers keep pods, over one connection as they do.
///
/// # Errors
/// If etcd can't be reached. A transaction that fails is counted.
pub async fn commit(
    etcd: &Etcd,
    authority: &Authority,
    writes: Writes,
    measuring: &Arc<Measuring>,
) -> Result<(), Failure> {
    let client = connect(etcd, authority).await?;
    let value = "x".repeat(writes.bytes);
    let measuring = Arc::clone(measuring);
    workers::each(writes.count, writes.concurrency, move |_, turn| {
        let mut client = client.kv_client();
        let transaction = create(&format!("/registry/pods/load/pod-{turn}"), value.as_str());
        let measuring = Arc::clone(&measuring);
        async move {
            let begun = Instant::now();
            let answer = client.txn(transaction).await;
            let result = match answer {
                Ok(answer) if answer.succeeded() => Ok(()),
                Ok(_) => Err("the key was there".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let result = result.map_err(|why| ApiError::Broken {
                call: format!("etcd: create pod-{turn}"),
                why,
            });
            measuring.took(begun.elapsed(), result);
        }
    })
    .await;
    Ok(())
}

/// Puts a key only if there is none of its name, as Kubernetes' storage creates an object
/// (k8s.io/apiserver, storage/etcd3).
fn create(key: &str, value: &str) -> Txn {
    Txn::new()
        .when([Compare::create_revision(key, CompareOp::Equal, 0)])
        .and_then([TxnOp::put(key, value, None)])
}

async fn connect(etcd: &Etcd, authority: &Authority) -> Result<Client, Failure> {
    let fail = |why: String| {
        let way_out = "it was started for this: is the machine very busy?";
        Failure::new(format!("speak with etcd at {}", etcd.url()), why, way_out)
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| fail(format!("{}: {error}", path.display())))
    };
    let certificate = read(&authority.file("admin.crt"))?;
    let key = read(&authority.file("admin.key"))?;
    let ca = Certificate::from_pem(read(&authority.file("ca.crt"))?);
    let tls = TlsOptions::new()
        .ca_certificate(ca)
        .identity(Identity::from_pem(certificate, key));
    let options = ConnectOptions::new().with_tls(tls);
    let client = Client::connect([etcd.url()], Some(options)).await;
    client.map_err(|error| fail(error.to_string()))
}
