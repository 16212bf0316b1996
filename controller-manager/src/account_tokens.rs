//! Secrets of type `kubernetes.io/service-account-token` get the token of the
//! account they name, with the cluster's CA and the namespace beside it. Those
//! whose account is gone go, too, and an account does not go on naming one that is gone.

use crate::Work;
use crate::changed_file;
use crate::context::Context;
use crate::informers::{BY_ACCOUNT, Informers};
use hardway_client::api::DeleteParams;
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use hardway_tokens::secret::{ACCOUNT_NAME, ACCOUNT_UID, Claims, TOKEN};
use hardway_tokens::{KeyError, SigningKey};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use std::path::{Path, PathBuf};

const CA: &str = "ca.crt";
const NAMESPACE: &str = "namespace";

struct Controller {
    client: Client,
    key: PathBuf,
    ca: Option<PathBuf>,
    secrets: Store<Secret>,
    accounts: Store<ServiceAccount>,
}

/// A key file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can't be read.
    #[error("--service-account-private-key-file: cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// It holds no key that signs.
    #[error("--service-account-private-key-file {0}: {1}")]
    Key(PathBuf, KeyError),
}

/// The key that signs tokens.
pub fn read_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| KeyFileError::Read(path.to_owned(), error))?;
    SigningKey::from_pem(&text).map_err(|error| KeyFileError::Key(path.to_owned(), error))
}

/// The account that a Secret names, as `namespace/name`.
pub fn account_of(secret: &Secret) -> Option<String> {
    let name = annotation(secret, ACCOUNT_NAME);
    (!name.is_empty()).then(|| format!("{}/{name}", secret.namespace()))
}

fn annotation<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let annotations = secret.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(key))
        .map_or("", String::as_str)
}

/// A Secret that is gone, and whose token it had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Gone {
    namespace: String,
    secret: String,
    account: String,
    /// Empty if it had not been filled in yet.
    account_uid: String,
}

impl Gone {
    fn new(secret: &Secret) -> Self {
        Self {
            namespace: secret.namespace().to_owned(),
            secret: secret.name().to_owned(),
            account: annotation(secret, ACCOUNT_NAME).to_owned(),
            account_uid: annotation(secret, ACCOUNT_UID).to_owned(),
        }
    }

    /// The account without its reference to the Secret, if it is that account and has one.
    fn dropped(&self, account: &ServiceAccount) -> Option<ServiceAccount> {
        let is_it = self.account_uid.is_empty() || account.uid() == self.account_uid;
        let is_named = |name: Option<&str>| name == Some(&*self.secret);
        let secrets = account.secrets.as_ref().filter(|_| is_it)?;
        if !secrets.iter().any(|one| is_named(one.name.as_deref())) {
            return None;
        }
        let mut account = account.clone();
        if let Some(secrets) = &mut account.secrets {
            secrets.retain(|one| !is_named(one.name.as_deref()));
        }
        Some(account)
    }
}

/// What is to be done about a Secret.
#[derive(Debug, PartialEq)]
enum Plan {
    Nothing,
    /// Its account is gone.
    Remove,
    /// It lacks something.
    Fill,
}

fn plan(secret: &Secret, account: Option<&ServiceAccount>, ca: Option<&[u8]>) -> Plan {
    if secret.metadata.deletion_timestamp.is_some() {
        return Plan::Nothing;
    }
    let uid = annotation(secret, ACCOUNT_UID);
    if account.is_none_or(|account| !uid.is_empty() && account.uid() != uid) {
        return Plan::Remove;
    }
    let data = |key: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(key));
        data.map_or(&[][..], |bytes| &bytes.0)
    };
    let lacks_ca = ca.is_some_and(|ca| data(CA) != ca);
    match lacks_ca || data(NAMESPACE).is_empty() || data(TOKEN).is_empty() {
        true => Plan::Fill,
        false => Plan::Nothing,
    }
}

/// The Secret with all that it should have; a token that it has stays.
fn fill(
    secret: &Secret,
    account: &ServiceAccount,
    ca: Option<Vec<u8>>,
    key: &SigningKey,
) -> Result<Secret, Status> {
    let mut secret = secret.clone();
    let (namespace, name) = (secret.namespace().to_owned(), secret.name().to_owned());
    let data = secret.data.get_or_insert_default();
    if let Some(ca) = ca {
        data.insert(CA.to_owned(), ByteString(ca));
    }
    if data.get(NAMESPACE).is_none_or(|bytes| bytes.0.is_empty()) {
        let bytes = ByteString(namespace.clone().into_bytes());
        data.insert(NAMESPACE.to_owned(), bytes);
    }
    if data.get(TOKEN).is_none_or(|bytes| bytes.0.is_empty()) {
        let claims = Claims::new(&namespace, &name, account.name(), account.uid());
        let token = claims
            .sign(key)
            .map_err(|_| Status::internal("the service account key can't sign"))?;
        data.insert(TOKEN.to_owned(), ByteString(token.into_bytes()));
    }
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(ACCOUNT_UID.to_owned(), account.uid().to_owned());
    Ok(secret)
}

/// The controller; `None` without `--service-account-private-key-file`.
pub fn register(informers: &mut Informers, context: &Context) -> Option<Work> {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        key: context.settings.service_account_private_key_file.clone()?,
        ca: context.settings.root_ca_file.clone(),
        secrets: informers.token_secrets.store(),
        accounts: informers.service_accounts.store(),
    };
    let gone = WorkQueue::new();
    let (on_secret, on_gone) = (queue.clone(), gone.clone());
    informers.token_secrets.subscribe(move |change| {
        if let Change::Deleted(secret) = change {
            on_gone.add(Gone::new(secret));
        }
        on_secret.add(ObjectKey::of(change.object().as_ref()));
    });
    let (on_account, secrets) = (queue.clone(), controller.secrets.clone());
    informers.service_accounts.subscribe(move |change| {
        let account = ObjectKey::of(change.object().as_ref()).to_string();
        for secret in secrets.by_index(BY_ACCOUNT, &account) {
            on_account.add(ObjectKey::of(secret.as_ref()));
        }
    });
    let on_ca = queue.clone();
    Some(Box::pin(async move {
        controller.secrets.wait_synced().await;
        controller.accounts.wait_synced().await;
        let tokens = controller::run("serviceaccount-token", queue, 2, |key| {
            controller.reconcile(key)
        });
        let references = controller::run("serviceaccount-token-reference", gone, 1, |gone| {
            controller.drop_reference(gone)
        });
        // A CA that is replaced gets into every Secret that has the former one.
        let follow = async {
            let Some(file) = &controller.ca else { return };
            changed_file::follow(file, || {
                for secret in controller.secrets.list() {
                    on_ca.add(ObjectKey::of(secret.as_ref()));
                }
            })
            .await;
        };
        tokio::join!(tokens, references, follow);
    }))
}

impl Controller {
    /// Kubernetes' `removeSecretReference` (`pkg/controller/serviceaccount/tokens_controller.go`).
    async fn drop_reference(&self, gone: Gone) -> Result<Next, Status> {
        let secret = ObjectKey::new(&gone.namespace, &gone.secret);
        // It was made anew meanwhile.
        if self.secrets.get(&secret).is_some() {
            return Ok(Next::Done);
        }
        let accounts = self.client.namespaced::<ServiceAccount>(&gone.namespace);
        let account = accounts.get_opt(&gone.account).await?;
        let Some(account) = account.and_then(|account| gone.dropped(&account)) else {
            return Ok(Next::Done);
        };
        match accounts.update(&account).await {
            Err(status) if status.is_not_found() => Ok(Next::Done),
            outcome => outcome.map(|_| Next::Done),
        }
    }

    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(secret) = self.secrets.get(&key) else {
            return Ok(Next::Done);
        };
        // Read each time: renewed files are taken up without a restart.
        let ca = self.ca.as_deref().map(|file| {
            std::fs::read(file).map_err(|error| {
                Status::internal(format!("--root-ca-file {}: {error}", file.display()))
            })
        });
        let ca = ca.transpose()?;
        let name = annotation(&secret, ACCOUNT_NAME);
        let account = self.accounts.get(&ObjectKey::new(secret.namespace(), name));
        let api = self.client.namespaced::<Secret>(secret.namespace());
        let outcome = match plan(&secret, account.as_deref(), ca.as_deref()) {
            Plan::Nothing => return Ok(Next::Done),
            Plan::Remove => {
                // The cache may be behind: ask before taking anything away.
                let accounts = self.client.namespaced::<ServiceAccount>(secret.namespace());
                let account = accounts.get_opt(name).await?;
                if plan(&secret, account.as_ref(), None) != Plan::Remove {
                    return Ok(Next::Done);
                }
                let options = DeleteParams {
                    resource_version: secret.metadata.resource_version.clone(),
                    ..DeleteParams::of(secret.uid())
                };
                api.delete(secret.name(), &options).await
            }
            Plan::Fill => {
                let key = read_key(&self.key).map_err(Status::internal)?;
                let account = account.ok_or_else(|| Status::internal("the account is gone"))?;
                let filled = fill(&secret, &account, ca, &key)?;
                api.update(&filled).await.map(drop)
            }
        };
        match outcome {
            Err(status) if status.is_not_found() => Ok(Next::Done),
            outcome => outcome.map(|()| Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;
    use std::collections::BTreeMap;

    fn account(uid: &str) -> ServiceAccount {
        let mut account = ServiceAccount::default();
        account.metadata.namespace = Some("shop".into());
        account.metadata.name = Some("web".into());
        account.metadata.uid = Some(uid.into());
        account
    }

    fn secret() -> Secret {
        let mut secret = Secret::default();
        secret.metadata.namespace = Some("shop".into());
        secret.metadata.name = Some("web-token".into());
        let annotations = [(ACCOUNT_NAME.to_owned(), "web".to_owned())];
        secret.metadata.annotations = Some(BTreeMap::from(annotations));
        secret
    }

    fn key() -> SigningKey {
        SigningKey::from_pem(&rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap()
    }

    #[test]
    fn a_secret_is_filled_once() {
        let (ca, account) = (Some(&b"CA"[..]), account("u-1"));
        let empty = secret();
        assert_eq!(account_of(&empty).as_deref(), Some("shop/web"));
        assert_eq!(plan(&empty, Some(&account), ca), Plan::Fill);
        let full = fill(&empty, &account, Some(b"CA".to_vec()), &key()).unwrap();
        assert_eq!(plan(&full, Some(&account), ca), Plan::Nothing);
        let data = full.data.as_ref().unwrap();
        assert_eq!(data[NAMESPACE].0, b"shop");
        let token = String::from_utf8(data[TOKEN].0.clone()).unwrap();
        let claims = Claims::new("shop", "web-token", "web", "u-1");
        assert_eq!(Claims::of(&token), Some(claims));
        assert_eq!(annotation(&full, ACCOUNT_UID), "u-1");
        // A new CA comes in; the token stays.
        assert_eq!(plan(&full, Some(&account), Some(b"new")), Plan::Fill);
        let again = fill(&full, &account, Some(b"new".to_vec()), &key()).unwrap();
        assert_eq!(again.data.unwrap()[TOKEN], data[TOKEN]);
    }

    #[test]
    fn an_account_names_no_secret_that_is_gone() {
        let naming = |names: &[&str]| {
            let mut account = account("u-1");
            let names = names.iter().map(|name| ObjectReference {
                name: Some((*name).to_owned()),
                ..ObjectReference::default()
            });
            account.secrets = Some(names.collect());
            account
        };
        let full = fill(&secret(), &account("u-1"), None, &key()).unwrap();
        let gone = Gone::new(&full);
        assert_eq!((&*gone.account, &*gone.account_uid), ("web", "u-1"));
        let both = naming(&["other", "web-token"]);
        assert_eq!(gone.dropped(&both), Some(naming(&["other"])));
        assert_eq!(gone.dropped(&naming(&["other"])), None);
        assert_eq!(gone.dropped(&account("u-1")), None);
        let mut another = both.clone();
        another.metadata.uid = Some("u-2".into());
        assert_eq!(gone.dropped(&another), None, "an account of the same name");
        // One that was deleted before it was filled in names its account only.
        assert!(Gone::new(&secret()).dropped(&both).is_some());
    }

    #[test]
    fn it_goes_with_its_account() {
        let full = fill(&secret(), &account("u-1"), None, &key()).unwrap();
        assert_eq!(plan(&full, None, None), Plan::Remove);
        assert_eq!(plan(&full, Some(&account("u-2")), None), Plan::Remove);
        assert_eq!(plan(&full, Some(&account("u-1")), None), Plan::Nothing);
        let mut going = full;
        going.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                "2026-01-01T00:00:00Z".parse().unwrap(),
            ));
        assert_eq!(plan(&going, None, None), Plan::Nothing);
    }
}
