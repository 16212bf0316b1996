//! The Lease by which an apiserver says that it lives: `apiserver-ADDRESS` in kube-system. That of
//! one which stops in order goes with it; that of a lost host stays until somebody takes it away.

use std::net::IpAddr;

use serde_json::Value;

use crate::api::{Api, text};
use crate::failure::Result;

/// All Leases of kube-system, those of controllers among them.
pub const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
/// What the names of apiservers' Leases begin with; their addresses follow.
const PREFIX: &str = "apiserver-";

/// Its name.
pub fn name(address: IpAddr) -> String {
    format!("{PREFIX}{address}")
}

/// The address of the apiserver whose Lease this is; none for that of something else.
pub fn address(lease: &Value) -> Option<IpAddr> {
    let address = text(&lease["metadata"]["name"]).strip_prefix(PREFIX)?;
    address.parse().ok()
}

/// Takes the Leases of apiservers away that are gone for good, by which their hosts would be
/// waited for. Gives their addresses.
///
/// # Errors
/// In the apiserver's words.
pub fn forget(api: &Api, is_gone: impl Fn(IpAddr) -> bool) -> Result<Vec<IpAddr>> {
    let leases = api.get(PATH)?.unwrap_or_default();
    let gone = addresses(&leases).filter(|it| is_gone(*it));
    let gone: Vec<IpAddr> = gone.collect();
    for address in &gone {
        api.delete(&format!("{PATH}/{}", name(*address)))?;
    }
    Ok(gone)
}

/// The addresses of all apiservers that have a Lease in a list.
pub fn addresses(leases: &Value) -> impl Iterator<Item = IpAddr> {
    let all = leases["items"].as_array().into_iter().flatten();
    all.filter_map(address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn apiservers_are_known_by_the_names_of_their_leases() {
        let lease = |name: &str| json!({"metadata": {"name": name}});
        let leases = json!({"items": [
            lease("apiserver-10.0.0.1"),
            lease("kube-scheduler"),
            lease("apiserver-of-others"),
            lease("apiserver-10.0.0.2"),
        ]});
        let found: Vec<String> = addresses(&leases).map(name).collect();
        assert_eq!(found, ["apiserver-10.0.0.1", "apiserver-10.0.0.2"]);
        assert_eq!(addresses(&Value::Null).count(), 0);
    }
}
