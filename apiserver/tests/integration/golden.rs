//! Facts of Kubernetes' API, kept in files beside this one that say where each comes from:
//! what discovery tells of each kind, the columns of its table, what defaults add to an
//! object, and what is told of faulty ones.

mod columns;
mod defaults;
mod discovery;
mod facts;
mod faults;

use crate::common::Lab;
use facts::Client;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_that_of_kubernetes() {
    let lab = Lab::start().await;
    let mut client = Client::new(&lab).await;
    let mut differences = discovery::compare(&mut client).await;
    differences.extend(columns::compare(&mut client).await);
    // Whom the pods run as.
    let account = json!({"metadata": {"name": "sa"}});
    lab.create("/api/v1/namespaces/default/serviceaccounts", &account)
        .await;
    differences.extend(defaults::compare(&mut client).await);
    differences.extend(faults::compare(&mut client).await);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
