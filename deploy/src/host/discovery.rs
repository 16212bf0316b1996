//! How a host that knows nothing but an address and a token finds out whom to believe:
//! the ConfigMap cluster-info in kube-public, signed with the token, as kubeadm has it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anstream::println;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::Value;

use super::token::{self, Token};
use crate::failure::{Failure, OrFail, Result};
use crate::{api, http};

/// Where cluster-info is.
pub const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// How long cluster-info may lack the token's signature: a controller manager that was
/// stopped without giving its lease up is followed by another one after 15 s.
const UNTIL_SIGNED: Duration = Duration::from_secs(30);

/// What a host needs to know of a cluster to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where its API is.
    pub server: String,
    /// Its CA, as PEM.
    pub ca: String,
}

impl Found {
    /// The address of its API; none where it has a name, which may be of several hosts.
    pub fn address(&self) -> Option<SocketAddr> {
        let (_, host) = self.server.split_once("://")?;
        host.trim_end_matches('/').parse().ok()
    }

    /// The same cluster, asked where it has answered: what it says of itself may be the
    /// address of a control plane that is down. A name stays.
    pub fn at(mut self, answered: SocketAddr) -> Self {
        if self.address().is_some() {
            self.server = format!("https://{answered}");
        }
        self
    }
}

/// Asks the apiserver at an address, and believes only what the token vouches for, and CAs
/// whose hashes are all named, if there are hashes.
///
/// # Errors
/// If it can't be reached, or isn't the cluster that the token is of.
pub fn discover(address: SocketAddr, token: &Token, hashes: &[String]) -> Result<Found> {
    let what = || format!("find the cluster at {address}");
    let ask = |ca| -> Result<Value> {
        let answer = http::get_without_certificate(address, PATH, ca, None)?;
        api::read(&what(), &answer)
    };
    let text = once_signed(|| ask(None), token)?;
    let found = read(&text)?;
    pinned(&found.ca, hashes).map_err(|why| {
        Failure::new(what(), why).way_out(
            "`hardway token create` on a control plane prints the present line, with all hashes: type that one. If this hash isn't in it, somebody is between this host and the cluster",
        )
    })?;
    // Now from a server that can prove to be of this CA.
    match signed(&ask(Some(&found.ca))?, token)? {
        Some(again) if again == text => Ok(found),
        _ => Err(Failure::new(what(), "it says other things to others")),
    }
}

/// Refuses CAs of which one isn't named: all of them would be believed, so that one which is
/// named must not vouch for a stranger beside it. Without hashes the token alone vouches.
fn pinned(ca: &str, hashes: &[String]) -> std::result::Result<(), String> {
    if hashes.is_empty() {
        return Ok(());
    }
    let served = token::ca_hashes(ca).map_err(|failure| failure.to_string())?;
    match served.iter().find(|hash| !hashes.contains(hash)) {
        None => Ok(()),
        Some(hash) => Err(format!(
            "it says that its CA is {hash}, which isn't among those that were named"
        )),
    }
}

/// The kubeconfig in cluster-info as soon as it is signed with the token: the controller
/// manager that leads does this a moment after the token was made.
fn once_signed(ask: impl Fn() -> Result<Value>, token: &Token) -> Result<String> {
    let deadline = Instant::now() + UNTIL_SIGNED;
    let mut waits = false;
    loop {
        if let Some(text) = signed(&ask()?, token)? {
            return Ok(text);
        }
        if Instant::now() > deadline {
            return Err(refused(
                "it isn't signed with this token, which may be over or unknown",
            ));
        }
        if !std::mem::replace(&mut waits, true) {
            let patience = UNTIL_SIGNED.as_secs();
            println!(
                "cluster-info isn't signed with this token: waiting for it, {patience} s at most"
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn refused(why: &str) -> Failure {
    Failure::new("check cluster-info", why)
        .way_out("make a new token on the control plane:  hardway token create")
}

/// The kubeconfig in cluster-info; none if no signature has the token's name.
fn signed(cluster_info: &Value, token: &Token) -> Result<Option<String>> {
    let data = &cluster_info["data"];
    let text = api::text(&data["kubeconfig"]);
    match data[format!("jws-kubeconfig-{}", token.id)].as_str() {
        None => Ok(None),
        Some(signature) if is_signature(signature, text, token) => Ok(Some(text.to_owned())),
        Some(_) => Err(refused("its signature isn't this token's")),
    }
}

/// Whether a detached JWS (RFC 7515, appendix F) is the token's for a text.
fn is_signature(signature: &str, text: &str, token: &Token) -> bool {
    let parts: Vec<&str> = signature.split('.').collect();
    let [header, "", mac] = parts.as_slice() else {
        return false;
    };
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let fields: Value = serde_json::from_slice(&decode(header)).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.encode(text);
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret.as_bytes());
    fields["alg"] == "HS256"
        && hmac::verify(&key, format!("{header}.{payload}").as_bytes(), &decode(mac)).is_ok()
}

/// The cluster in a kubeconfig.
///
/// # Errors
/// If it names none.
pub fn read(kubeconfig: &str) -> Result<Found> {
    let what = || "read the kubeconfig in cluster-info";
    let value: Value = serde_yaml::from_str(kubeconfig).or_fail(what)?;
    let cluster = &value["clusters"][0]["cluster"];
    let data = api::text(&cluster["certificate-authority-data"]);
    let ca = BASE64_STANDARD.decode(data).or_fail(what)?;
    let ca = String::from_utf8(ca).or_fail(what)?;
    let server = api::text(&cluster["server"]).to_owned();
    match ca.is_empty() || server.is_empty() {
        true => Err(Failure::new(what(), "it lacks the server or its CA")),
        false => Ok(Found { server, ca }),
    }
}

/// What cluster-info says, without a signature: those are the controller manager's.
pub fn kubeconfig(found: &Found) -> String {
    let ca = BASE64_STANDARD.encode(&found.ca);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: \"\"
  cluster:
    certificate-authority-data: {ca}
    server: {}
contexts: null
current-context: \"\"
preferences: {{}}
users: null
",
        found.server
    )
}

/// A kubeconfig to ask for the first certificates with.
pub fn bootstrap_kubeconfig(found: &Found, token: &Token) -> String {
    let ca = BASE64_STANDARD.encode(&found.ca);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: hardway
  cluster:
    certificate-authority-data: {ca}
    server: {}
users:
- name: bootstrap
  user:
    token: {token}
contexts:
- name: bootstrap@hardway
  context:
    cluster: hardway
    user: bootstrap
current-context: bootstrap@hardway
",
        found.server
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;
    use crate::{pki, shell};

    fn token() -> Token {
        "abcdef.0123456789abcdef".parse().unwrap()
    }

    /// Made with openssl:
    /// `printf '%s.%s' HEADER PAYLOAD | openssl dgst -sha256 -hmac 0123456789abcdef -binary`.
    const SIGNED: &str =
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..MxsnbCjBaYzcbNIFa06F-wuF9LX26rhMlrL4zA1511s";

    #[test]
    fn only_what_the_token_signed_is_believed() {
        let info = |text: &str, signature: &str| json!({"data": {"kubeconfig": text, "jws-kubeconfig-abcdef": signature}});
        let hello = Some("hello".to_owned());
        assert_eq!(signed(&info("hello", SIGNED), &token()).unwrap(), hello);
        assert!(signed(&info("hallo", SIGNED), &token()).is_err());
        let none = SIGNED.replace(
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9",
            "eyJhbGciOiJub25lIn0",
        );
        assert!(signed(&info("hello", &none), &token()).is_err());
        for bad in [
            "",
            "..",
            "a.b.c",
            SIGNED.trim_end_matches(char::is_alphanumeric),
        ] {
            assert!(signed(&info("hello", bad), &token()).is_err(), "{bad}");
        }
        let other: Token = "abcdef.0123456789abcdeg".parse().unwrap();
        assert!(signed(&info("hello", SIGNED), &other).is_err());
        let unsigned = json!({"data": {"kubeconfig": "hello"}});
        assert_eq!(signed(&unsigned, &token()).unwrap(), None);
    }

    #[test]
    fn a_ca_that_is_named_does_not_vouch_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let ca = |name: &str| {
            let pki = pki::Pki::new(&folder.path().join(name));
            pki.ensure(&[], SystemTime::now()).unwrap();
            shell::read_text(&pki.certificate(pki::CLUSTER_CA)).unwrap()
        };
        let (real, other) = (ca("real"), ca("other"));
        let hash = |pem: &str| token::ca_hashes(pem).unwrap().remove(0);
        let named = [hash(&real)];
        pinned(&real, &named).unwrap();
        pinned(&other, &[]).unwrap();
        let both = format!("{real}{other}");
        for served in [both.clone(), format!("{other}{real}"), other.clone()] {
            let why = pinned(&served, &named).unwrap_err();
            assert!(why.contains(&hash(&other)), "{why}");
            assert!(!why.contains(&named[0]), "{why}");
        }
        // While a CA is replaced there are two, and both are named; at its end one is left.
        let during = token::ca_hashes(&both).unwrap();
        pinned(&both, &during).unwrap();
        pinned(&other, &during).unwrap();
        assert!(pinned("", &named).is_err());
    }

    #[test]
    fn a_signature_may_come_later() {
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            let mut info = json!({"data": {"kubeconfig": "hello"}});
            if asked.get() == 2 {
                info["data"]["jws-kubeconfig-abcdef"] = SIGNED.into();
            }
            Ok(info)
        };
        assert_eq!(once_signed(ask, &token()).unwrap(), "hello");
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn a_cluster_is_asked_where_it_has_answered_unless_it_has_a_name() {
        let answered = "10.0.0.2:6443".parse().unwrap();
        let asked = |server: &str| {
            let found = Found {
                server: server.to_owned(),
                ca: String::new(),
            };
            found.at(answered).server
        };
        assert_eq!(asked("https://10.0.0.1:6443"), "https://10.0.0.2:6443");
        let name = "https://api.example.com:6443";
        assert_eq!(asked(name), name);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let found = Found {
            server: "https://10.0.0.1:6443".to_owned(),
            ca: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        };
        assert_eq!(read(&kubeconfig(&found)).unwrap(), found);
        assert_eq!(
            read(&bootstrap_kubeconfig(&found, &token())).unwrap(),
            found
        );
        assert!(read("clusters: []").is_err());
    }
}
