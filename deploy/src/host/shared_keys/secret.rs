//! The Secret in which shared files wait for the control planes that are to join. It goes
//! with a bootstrap token that nobody can join with, and which ends after two hours.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CertificateKey, SharedKeys};
use crate::api::{self, Api};
use crate::failure::{Failure, Result};
use crate::host::discovery::Found;
use crate::host::token::{self, Token};
use crate::http;

/// Name of the Secret, and of the Role that lets those who join read it.
const NAME: &str = "hardway-certs";
const ROLE: &str = "hardway:certs";
/// How long the files can be fetched: kubeadm's time.
const LIFE: Duration = Duration::from_secs(2 * 3600);
const DESCRIPTION: &str = "ends the Secret hardway-certs";
const GROUP: &str = "rbac.authorization.k8s.io";
const ANOTHER: &str = "make a new line on a control plane:  hardway token create --control-plane";

/// Puts the shared files of this host into the Secret, in place of what was in it, and
/// gives the new key that opens it.
///
/// # Errors
/// If a file is missing, or in the apiserver's words.
pub fn upload(api: &Api, etc: &Path, now: Timestamp) -> Result<CertificateKey> {
    let keys = SharedKeys::read(etc)?;
    let key = CertificateKey::random()?;
    let data = keys.seal(&key)?;
    let owner = api.create(token::PATH, &owner(&Token::random()?, now))?;
    let roles = format!("/apis/{GROUP}/v1/namespaces/kube-system");
    let [role, binding] = reading();
    api.apply(&format!("{roles}/roles/{ROLE}"), &role)?;
    api.apply(&format!("{roles}/rolebindings/{ROLE}"), &binding)?;
    api.delete(&path())?;
    api.create(
        token::PATH,
        &secret(Value::Object(data), &owner["metadata"]),
    )?;
    Ok(key)
}

/// Fetches the shared files, as whoever has the token.
///
/// # Errors
/// If they aren't there any more, the key isn't theirs, or they are of another cluster.
pub fn fetch(
    server: SocketAddr,
    found: &Found,
    token: &Token,
    key: &CertificateKey,
) -> Result<SharedKeys> {
    let token = token.to_string();
    let answer = http::get_without_certificate(server, &path(), Some(&found.ca), Some(&token))?;
    let what = format!("fetch the keys that control planes share from {server}");
    if answer.status == 404 {
        let why = format!("the Secret kube-system/{NAME} is gone: it stays for two hours");
        return Err(Failure::new(what, why).way_out(ANOTHER));
    }
    let secret = api::read(&what, &answer).map_err(|failure| failure.way_out(ANOTHER))?;
    let keys =
        SharedKeys::open(&secret["data"], key).map_err(|failure| failure.way_out(ANOTHER))?;
    if token::ca_hash(&keys.cluster_ca()?)? != token::ca_hash(&found.ca)? {
        return Err(Failure::new(what, "the CA among them isn't this cluster's").way_out(ANOTHER));
    }
    Ok(keys)
}

/// Fetches the shared files as the administrator.
///
/// # Errors
/// If they aren't there any more, or the key isn't theirs.
pub fn fetch_as(api: &Api, key: &CertificateKey) -> Result<SharedKeys> {
    let secret = api.get(&path())?.ok_or_else(|| {
        Failure::new(
            "fetch the keys that control planes share",
            format!("the Secret kube-system/{NAME} is gone: it stays for two hours"),
        )
        .way_out("where this was begun, have them uploaded again:  --upload")
    })?;
    SharedKeys::open(&secret["data"], key)
}

fn path() -> String {
    format!("{}/{NAME}", token::PATH)
}

/// The token that the Secret goes with. It is good for nothing else.
fn owner(token: &Token, now: Timestamp) -> Value {
    let mut secret = token.secret(now, Some(LIFE), DESCRIPTION);
    if let Some(data) = secret["stringData"].as_object_mut() {
        data.retain(|name, _| !name.starts_with("usage-") && name != "auth-extra-groups");
    }
    secret
}

/// The Secret, owned by the token with this metadata.
fn secret(data: Value, owner: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": NAME,
            "namespace": "kube-system",
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Secret",
                "name": owner["name"],
                "uid": owner["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "type": "Opaque",
        "data": data,
    })
}

/// Who joins may read it; without the key it says nothing.
fn reading() -> [Value; 2] {
    let metadata = json!({"name": ROLE, "namespace": "kube-system"});
    [
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": [NAME],
                "verbs": ["get"],
            }],
        }),
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": ROLE},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": token::GROUP}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_with_a_token_that_nobody_joins_with() {
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        let owner = owner(&token, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(owner["type"], "bootstrap.kubernetes.io/token");
        let data = owner["stringData"].as_object().unwrap();
        let names: Vec<&str> = data.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["description", "expiration", "token-id", "token-secret"]
        );
        assert_eq!(data["expiration"], "2026-01-01T02:00:00Z");
        let stored = json!({"name": "bootstrap-token-abcdef", "uid": "u"});
        let secret = secret(json!({"ca.key": "x"}), &stored);
        let owners = &secret["metadata"]["ownerReferences"];
        assert_eq!(owners[0]["name"], "bootstrap-token-abcdef");
        assert_eq!(owners[0]["controller"], true);
        let [role, binding] = reading();
        assert_eq!(role["rules"][0]["resourceNames"], json!([NAME]));
        assert_eq!(binding["subjects"][0]["name"], token::GROUP);
    }
}
