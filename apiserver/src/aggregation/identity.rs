//! Who asks, told to aggregated servers: headers that they believe because they come over a
//! connection with the front proxy's certificate
//! (`k8s.io/apiserver/pkg/authentication/request/headerrequest`).

use hardway_access::User;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The header that names the user.
pub const USER: &str = "X-Remote-User";
/// The header that has the user's UID, where it is known.
pub const UID: &str = "X-Remote-Uid";
/// The header that names one of their groups.
pub const GROUP: &str = "X-Remote-Group";
/// How the headers begin that name further facts.
pub const EXTRA: &str = "X-Remote-Extra-";

/// All that may not be in a header's name (RFC 7230's tokens are left), and `%`.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// Puts a user into headers, in place of whoever is named there.
///
/// # Errors
/// If something of it can't stand in a header: the user without it would be another.
pub fn announce(user: &User, headers: &mut HeaderMap) -> Result<(), http::Error> {
    let named: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-remote-"))
        .cloned()
        .collect();
    for name in named {
        headers.remove(name);
    }
    let extra = user.extra.iter().flat_map(|(key, values)| {
        let name = format!("{EXTRA}{}", utf8_percent_encode(key, ENCODED)).to_ascii_lowercase();
        values.iter().map(move |value| (name.clone(), value))
    });
    let uid = Some(&user.uid).filter(|uid| !uid.is_empty());
    let uid = uid.map(|uid| (UID.to_ascii_lowercase(), uid));
    let own = [(USER.to_ascii_lowercase(), &user.name)];
    let groups = user
        .groups
        .iter()
        .map(|it| (GROUP.to_ascii_lowercase(), it));
    for (name, value) in own.into_iter().chain(uid).chain(groups).chain(extra) {
        // As Go writes them: names of users may have any letters.
        let value = HeaderValue::from_bytes(value.as_bytes())?;
        headers.append(name.parse::<HeaderName>()?, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_names_themselves() {
        let mut user = User::new("jane", ["dev", "ops"]);
        let pod = "authentication.kubernetes.io/pod-name";
        user.extra.insert(pod.into(), vec!["a".into(), "b".into()]);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-scopes", "all"),
            ("x-remote-uid", "0"),
            ("accept", "application/json"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        announce(&user, &mut headers).unwrap();
        let all = |name: &str| -> Vec<&str> {
            let values = headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("x-remote-user"), ["jane"]);
        assert_eq!(
            all("x-remote-group"),
            ["dev", "ops", "system:authenticated"]
        );
        assert_eq!(
            all("x-remote-extra-authentication.kubernetes.io%2fpod-name"),
            ["a", "b"]
        );
        assert!(all("x-remote-extra-scopes").is_empty() && all("x-remote-uid").is_empty());
        assert_eq!(all("accept"), ["application/json"]);
        // Where it is known it is told (RemoteRequestHeaderUID, on since 1.33).
        announce(&User::service_account("shop", "till", "7f3a"), &mut headers).unwrap();
        assert_eq!(headers["x-remote-uid"], "7f3a");
        announce(&user, &mut headers).unwrap();
        assert!(!headers.contains_key("x-remote-uid"));
    }

    #[test]
    fn names_of_any_letters_arrive_and_none_is_lost() {
        let mut headers = HeaderMap::new();
        announce(&User::new("jürgen", ["größe"]), &mut headers).unwrap();
        assert_eq!(headers["x-remote-user"].as_bytes(), "jürgen".as_bytes());
        assert_eq!(headers["x-remote-group"].as_bytes(), "größe".as_bytes());
        assert!(announce(&User::new("a\nb", ["x"]), &mut headers).is_err());
    }
}
