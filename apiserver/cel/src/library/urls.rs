//! URLs: `url`, `isURL`, `getScheme`, `getHost`, `getHostname`, `getPort`,
//! `getEscapedPath`, `getQuery`. Kubernetes' `k8s.io/apiserver/pkg/cel/library/urls.go`.

pub(super) mod escape;
pub(super) mod parse;

use super::costs::{estimate_copy, read};
use crate::value::{Key, Opaque};
use crate::{Error, Overload, Type, Value};
use parse::Url;
use std::collections::BTreeMap;

pub(super) const TYPE: Type = Type::Opaque("kubernetes.URL");

impl Opaque for Url {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Url>().is_some_and(|other| self == other)
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let part = |name, id, call| Overload::member(name, id, [TYPE], Type::String, call);
    vec![
        Overload::global("url", "string_to_url", [Type::String], TYPE, url)
            .costs(read, estimate_copy),
        Overload::global("isURL", "is_url_string", [Type::String], Type::Bool, is_url),
        part("getScheme", "url_get_scheme", |args| {
            get(args, |url| url.scheme.clone())
        }),
        part("getHost", "url_get_host", |args| {
            get(args, |url| url.host.clone())
        }),
        part("getHostname", "url_get_hostname", |args| {
            get(args, |url| url.host_and_port().0.to_owned())
        }),
        part("getPort", "url_get_port", |args| {
            get(args, |url| url.host_and_port().1.to_owned())
        }),
        part("getEscapedPath", "url_get_escaped_path", |args| {
            get(args, Url::escaped_path)
        }),
        Overload::member(
            "getQuery",
            "url_get_query",
            [TYPE],
            Type::map(Type::String, Type::list(Type::String)),
            query,
        ),
    ]
}

fn url<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => match parse::request_uri(text).and_then(|_| parse::url(text)) {
            Ok(url) => Ok(Value::opaque(url)),
            Err(why) => Err(Error::function(format!(
                "URL parse error during conversion from string: {why}"
            ))),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn is_url<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => Ok(parse::request_uri(text).is_ok().into()),
        _ => Err(Error::NoSuchOverload),
    }
}

fn get<'a>(args: &[Value<'a>], part: fn(&Url) -> String) -> Result<Value<'a>, Error> {
    let url = args.first().and_then(|url| url.downcast::<Url>());
    url.map(|url| Value::string(part(url)))
        .ok_or(Error::NoSuchOverload)
}

fn query<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let url = args.first().and_then(|url| url.downcast::<Url>());
    let mut values: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for (name, value) in url.ok_or(Error::NoSuchOverload)?.query() {
        values.entry(name).or_default().push(Value::string(value));
    }
    let entries: BTreeMap<Key<'a>, Value<'a>> = values
        .into_iter()
        .map(|(name, values)| (Key::String(name.into()), Value::list(values)))
        .collect();
    Ok(Value::Map(entries.into()))
}
