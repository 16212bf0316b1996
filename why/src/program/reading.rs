//! What the engine asks for, of this cluster.

use hardway_why::{Resource, Snapshot, Subject, condense, follow_ups, reading};

use crate::Failure;
use crate::connection::Cluster;

/// Reads these resources, of one namespace as far as that will do, and then what else is worth it.
pub async fn read(
    cluster: &Cluster,
    resources: &[Resource],
    namespace: Option<&str>,
    subject: Option<&Subject>,
) -> Result<Snapshot, Failure> {
    // Who asks about one object is told of all of it.
    let kept: reading::Kept = match subject {
        Some(_) => reading::whole,
        None => condense,
    };
    let (lists, certificates) = tokio::join!(
        reading::lists(cluster, resources, namespace, kept),
        cluster.certificates()
    );
    let failed = |why: &str| {
        Failure::new(
            format!("ask {}", cluster.url()),
            why,
            "see whether the API server answers, and what you may read:  kubectl get --raw /readyz; kubectl auth can-i --list",
        )
    };
    let mut snapshot = lists.map_err(|refusal| failed(&refusal.why))?;
    // Where nothing at all could be read, that nothing is wrong can't be said.
    if let Some(why) = snapshot.reads_nothing() {
        return Err(failed(why));
    }
    for certificate in certificates {
        snapshot.put_certificate(certificate);
    }
    let requests = follow_ups(&snapshot, subject);
    reading::further(cluster, &mut snapshot, requests).await;
    Ok(snapshot)
}
