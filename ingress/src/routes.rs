//! Which Service a request is for.

use crate::path::RulePath;
use hardway_proto::meta::ObjectKey;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// By its name.
    Name(String),
    /// By its number.
    Number(u16),
}

/// A Service's port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend {
    /// The Service.
    pub service: ObjectKey,
    /// Its port.
    pub port: Port,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Port::Name(name) => write!(f, "{}:{name}", self.service),
            Port::Number(number) => write!(f, "{}:{number}", self.service),
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Ingress that says so.
    pub ingress: ObjectKey,
    /// Who answers; none where what the Ingress names can't.
    pub backend: Option<Backend>,
    /// Whoever comes over HTTP is sent to HTTPS.
    pub to_https: bool,
}

/// Hosts that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// This one.
    Exact(String),
    /// All with one label before this: `*.example.com` has `example.com`.
    Wildcard(String),
    /// All.
    Any,
}

impl Host {
    /// As an Ingress names it.
    pub fn new(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => Host::Wildcard(parent.to_owned()),
            None if name.is_empty() => Host::Any,
            None => Host::Exact(name),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Exact(name) => f.write_str(name),
            Host::Wildcard(parent) => write!(f, "*.{parent}"),
            Host::Any => f.write_str("*"),
        }
    }
}

/// The paths of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// Those that go first are in front.
    rules: Vec<(RulePath, Arc<Target>)>,
    /// For all other paths.
    fallback: Option<Arc<Target>>,
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Arc<Target>> {
        let mut rules = self.rules.iter();
        rules
            .find(|(rule, _)| rule.matches(path))
            .map(|(_, target)| target)
    }

    fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        let rules = self.rules.iter().map(|(_, target)| target);
        rules.chain(&self.fallback)
    }
}

/// From hosts and paths to targets.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    hosts: HashMap<Host, Paths>,
    default: Option<Arc<Target>>,
}

impl Routes {
    /// Adds a path of a host. Where another Ingress has it already, nothing changes, and that
    /// Ingress' target is returned.
    pub fn add(&mut self, host: Host, path: RulePath, target: Arc<Target>) -> Option<Arc<Target>> {
        let rules = &mut self.hosts.entry(host).or_default().rules;
        if let Some((_, other)) = rules.iter().find(|(other, _)| *other == path) {
            return Some(other.clone());
        }
        let at = rules.partition_point(|(other, _)| other.precedence() <= path.precedence());
        rules.insert(at, (path, target));
        None
    }

    /// Who gets what no path of a host matches; the first stays.
    pub fn add_fallback(&mut self, host: Host, target: Arc<Target>) {
        let paths = self.hosts.entry(host).or_default();
        paths.fallback.get_or_insert(target);
    }

    /// Who gets what nobody else does. The first stays, and is returned.
    pub fn add_default(&mut self, target: Arc<Target>) -> Option<Arc<Target>> {
        match &self.default {
            Some(first) => Some(first.clone()),
            None => {
                self.default = Some(target);
                None
            }
        }
    }

    /// The target of a request. `host` is in small letters and without a port; `path` is one
    /// of [`crate::path::asked`]. A host that is named goes before one of a wildcard, and that
    /// before rules for all hosts; then come default backends, in the same order.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Target>> {
        let wildcard = host.split_once('.').map(|(_, parent)| parent);
        let hosts = [
            self.hosts.get(&Host::Exact(host.to_owned())),
            wildcard.and_then(|parent| self.hosts.get(&Host::Wildcard(parent.to_owned()))),
            self.hosts.get(&Host::Any),
        ];
        let all = || hosts.iter().flatten();
        all()
            .find_map(|paths| paths.find(path))
            .or_else(|| all().find_map(|paths| paths.fallback.as_ref()))
            .or(self.default.as_ref())
    }

    /// The namespaces of the Ingresses that serve each host, but for those that serve all.
    pub fn namespaces(&self) -> HashMap<Host, HashSet<String>> {
        let named = self.hosts.iter().filter(|(host, _)| **host != Host::Any);
        let namespaces = named.map(|(host, paths)| {
            let namespaces = paths.targets().map(|it| it.ingress.namespace.to_string());
            (host.clone(), namespaces.collect())
        });
        namespaces.collect()
    }

    /// All that it leads to.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        let hosts = self.hosts.values().flat_map(Paths::targets);
        hosts.chain(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathType::{self, Exact, Prefix};

    fn target(name: &str) -> Arc<Target> {
        Arc::new(Target {
            ingress: ObjectKey::new("d", name),
            backend: None,
            to_https: false,
        })
    }

    fn routes(rules: &[(&str, PathType, &str)]) -> Routes {
        let mut routes = Routes::default();
        for (host, kind, path) in rules {
            let name = format!("{kind:?} {path}");
            let rule = RulePath::new(*kind, path);
            assert_eq!(routes.add(Host::new(host), rule, target(&name)), None);
        }
        routes
    }

    fn found<'a>(routes: &'a Routes, host: &str, path: &str) -> &'a str {
        let target = routes.find(host, path);
        target.map_or("nobody", |target| &target.ingress.name)
    }

    /// The rest of the table "Examples", and "Multiple matches".
    #[test]
    fn the_longest_path_wins_then_the_exact_one() {
        let two = routes(&[("", Prefix, "/"), ("", Prefix, "/aaa")]);
        assert_eq!(found(&two, "h", "/aaa/ccc"), "Prefix /aaa");
        let three = routes(&[
            ("", Prefix, "/aaa"),
            ("", Prefix, "/aaa/bbb"),
            ("", Prefix, "/"),
        ]);
        assert_eq!(found(&three, "h", "/aaa/bbb"), "Prefix /aaa/bbb");
        assert_eq!(found(&three, "h", "/ccc"), "Prefix /");
        let mut one = routes(&[("", Prefix, "/aaa")]);
        assert_eq!(found(&one, "h", "/ccc"), "nobody");
        one.add_default(target("default"));
        assert_eq!(found(&one, "h", "/ccc"), "default");
        let mixed = routes(&[("", Prefix, "/foo"), ("", Exact, "/foo")]);
        assert_eq!(found(&mixed, "h", "/foo"), "Exact /foo");
        assert_eq!(found(&mixed, "h", "/foo/"), "Prefix /foo");
    }

    /// The table "Hostname wildcards".
    #[test]
    fn a_wildcard_is_one_label() {
        let wild = routes(&[("*.foo.com", Prefix, "/")]);
        assert_eq!(found(&wild, "bar.foo.com", "/"), "Prefix /");
        assert_eq!(found(&wild, "baz.bar.foo.com", "/"), "nobody");
        assert_eq!(found(&wild, "foo.com", "/"), "nobody");
    }

    #[test]
    fn the_host_that_is_named_goes_first() {
        let all = routes(&[
            ("", Prefix, "/any"),
            ("*.foo.com", Prefix, "/wild/long"),
            ("bar.foo.com", Prefix, "/wild"),
        ]);
        assert_eq!(found(&all, "bar.foo.com", "/wild/long"), "Prefix /wild");
        assert_eq!(found(&all, "x.foo.com", "/wild/long"), "Prefix /wild/long");
        assert_eq!(found(&all, "x.foo.com", "/any"), "Prefix /any");
        assert_eq!(found(&all, "other", "/wild"), "nobody");
    }

    #[test]
    fn an_ingress_default_is_for_its_hosts_before_all() {
        let mut routes = routes(&[("a.b", Prefix, "/x"), ("", Prefix, "/any")]);
        routes.add_fallback(Host::new("a.b"), target("of a.b"));
        assert_eq!(routes.add_default(target("of all")), None);
        assert_eq!(
            routes.add_default(target("late")).unwrap().ingress.name,
            "of all"
        );
        assert_eq!(found(&routes, "a.b", "/y"), "of a.b");
        assert_eq!(found(&routes, "a.b", "/any"), "Prefix /any");
        assert_eq!(found(&routes, "c", "/y"), "of all");
    }

    #[test]
    fn who_comes_second_is_told_who_was_first() {
        let mut routes = routes(&[("a", Prefix, "/x")]);
        let again = RulePath::new(Prefix, "/x/");
        let first = routes.add(Host::new("A"), again, target("second"));
        assert_eq!(first.unwrap().ingress.name, "Prefix /x");
        assert_eq!(found(&routes, "a", "/x"), "Prefix /x");
    }
}
