//! Acting as somebody else, for those who may (`kubectl --as`).

use crate::{Attributes, User, user};
use hardway_proto::Status;
use http::HeaderMap;

const AUTHENTICATION: &str = "authentication.k8s.io";
const EXTRA: &str = "impersonate-extra-";

/// A wish to act as somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// Who to act as.
    pub user: User,
    needed: Vec<Needed>,
}

/// One permission the impersonator needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needed {
    group: &'static str,
    resource: &'static str,
    subresource: String,
    namespace: String,
    name: String,
}

impl Impersonation {
    /// What the impersonator must be allowed, all of it.
    pub fn checks<'a>(&'a self, by: &'a User) -> impl Iterator<Item = Attributes<'a>> {
        self.needed.iter().map(move |needed| {
            Attributes::resource(
                by,
                "impersonate",
                needed.group,
                needed.resource,
                &needed.namespace,
                &needed.name,
            )
            .with_subresource(&needed.subresource)
        })
    }
}

/// Whom the `Impersonate-*` headers ask to act as, if they do.
pub fn impersonate(by: &User, headers: &HeaderMap) -> Result<Option<Impersonation>, Status> {
    // A value that can't be read must not count as none: the request would be
    // done in the impersonator's own name.
    let all = |name: &str| -> Result<Vec<String>, Status> {
        let mut all = Vec::new();
        for value in headers.get_all(name) {
            let text = std::str::from_utf8(value.as_bytes())
                .map_err(|_| Status::bad_request(format!("the header {name} is no UTF-8 text")))?;
            all.extend(Some(text.to_owned()).filter(|text| !text.is_empty()));
        }
        Ok(all)
    };
    let first = |name: &str| Ok::<_, Status>(all(name)?.into_iter().next().unwrap_or_default());
    let mut acting = User {
        name: first("impersonate-user")?,
        uid: first("impersonate-uid")?,
        groups: all("impersonate-group")?,
        ..User::default()
    };
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let values = all(name.as_str())?;
            acting.extra.insert(percent_decode(key), values);
        }
    }
    if acting.name.is_empty() {
        let nothing = acting.uid.is_empty() && acting.groups.is_empty() && acting.extra.is_empty();
        return match nothing {
            true => Ok(None),
            false => Err(Status::bad_request(format!(
                "user {:?} requested groups, uid or extra without impersonating a user; send Impersonate-User too",
                by.name
            ))),
        };
    }
    let needed = permissions(&acting);
    complete(&mut acting);
    Ok(Some(Impersonation {
        user: acting,
        needed,
    }))
}

fn permissions(acting: &User) -> Vec<Needed> {
    let named = |group, resource, name: &str| Needed {
        group,
        resource,
        name: name.to_owned(),
        ..Needed::default()
    };
    let mut needed = vec![match acting.as_service_account() {
        Some((namespace, name)) => Needed {
            namespace: namespace.to_owned(),
            ..named("", "serviceaccounts", name)
        },
        None => named("", "users", &acting.name),
    }];
    needed.extend(acting.groups.iter().map(|group| named("", "groups", group)));
    if !acting.uid.is_empty() {
        needed.push(named(AUTHENTICATION, "uids", &acting.uid));
    }
    for (key, values) in &acting.extra {
        needed.extend(values.iter().map(|value| Needed {
            subresource: key.clone(),
            ..named(AUTHENTICATION, "userextras", value)
        }));
    }
    needed
}

/// Adds the groups such a user would have had.
fn complete(acting: &mut User) {
    if acting.name == user::ANONYMOUS {
        if !acting.is_in(user::UNAUTHENTICATED) {
            acting.groups.push(user::UNAUTHENTICATED.into());
        }
        return;
    }
    if acting.groups.is_empty()
        && let Some((namespace, name)) = acting.as_service_account()
    {
        acting.groups = User::service_account(namespace, name, "").groups;
    }
    if !acting.is_in(user::AUTHENTICATED) && !acting.is_in(user::UNAUTHENTICATED) {
        acting.groups.push(user::AUTHENTICATED.into());
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    #[test]
    fn every_part_needs_its_permission() {
        let by = User::new("admin", ["ops"]);
        let wish = impersonate(
            &User::default(),
            &headers(&[
                ("impersonate-user", "jane"),
                ("impersonate-group", "dev"),
                ("impersonate-extra-acme.com%2fproject", "x"),
            ]),
        )
        .unwrap()
        .unwrap();
        let told: Vec<String> = wish.checks(&by).map(|a| a.refusal()).collect();
        assert_eq!(
            told,
            [
                r#"User "admin" cannot impersonate resource "users" in API group "" at the cluster scope"#,
                r#"User "admin" cannot impersonate resource "groups" in API group "" at the cluster scope"#,
                r#"User "admin" cannot impersonate resource "userextras/acme.com/project" in API group "authentication.k8s.io" at the cluster scope"#,
            ]
        );
        assert_eq!(wish.user.groups, ["dev", "system:authenticated"]);
    }

    #[test]
    fn service_accounts_get_their_groups() {
        let wish = impersonate(
            &User::default(),
            &headers(&[("impersonate-user", "system:serviceaccount:a:b")]),
        );
        let wish = wish.unwrap().unwrap();
        assert!(wish.user.is_in("system:serviceaccounts:a"));
        let by = User::default();
        let check = wish.checks(&by).next().unwrap();
        assert_eq!(
            (check.resource, check.namespace, check.name),
            ("serviceaccounts", "a", "b")
        );
    }

    #[test]
    fn names_beyond_ascii_are_read_and_garbage_is_refused() {
        let asked = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(bytes).unwrap();
            headers.insert("impersonate-user", value);
            impersonate(&User::default(), &headers)
        };
        let wish = asked("jürgen".as_bytes()).unwrap().unwrap();
        assert_eq!(wish.user.name, "jürgen");
        assert_eq!(asked(b"j\xfcrgen").unwrap_err().code, 400);
    }

    #[test]
    fn a_group_alone_is_an_error() {
        assert!(impersonate(&User::default(), &headers(&[("impersonate-group", "dev")])).is_err());
        assert_eq!(
            impersonate(&User::default(), &HeaderMap::new()).unwrap(),
            None
        );
    }
}
