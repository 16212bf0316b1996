//! The policies that there are, with their bindings: read and compiled when they were written,
//! not when a request comes.

use super::super::matching::{Index, REGISTRATION_GROUP};
use super::super::review::Review;
use super::binding::Binding;
use super::policy::Policy;
use crate::objects::parse;
use crate::{Objects, text};
use bytes::Bytes;
use hardway_proto::labels::SelectorError;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of policy.
pub trait Compiled: Send + Sync + Sized {
    /// Plural name of the policies.
    const POLICIES: &'static str;
    /// Plural name of their bindings.
    const BINDINGS: &'static str;

    /// Compiles a policy. What is wrong with an expression is told when it is evaluated.
    ///
    /// # Errors
    /// If a selector is none.
    fn compile(policy: &Value) -> Result<Self, SelectorError>;

    /// What it has in common with other kinds.
    fn common(&self) -> &Policy;
}

/// All policies of a kind, as they are now.
pub struct Followed<P> {
    current: RwLock<Arc<Set<P>>>,
    /// Held by who reads them anew, so that each is compiled once.
    reading: Mutex<()>,
}

/// Policies at some time, by name. Those that nothing binds are not among them.
pub struct Set<P> {
    /// Revisions of policies and bindings.
    at: Option<(u64, u64)>,
    /// What all policies were compiled of, and to.
    compiled: BTreeMap<String, (Bytes, Arc<P>)>,
    bound: Vec<Bound<P>>,
    index: Index,
}

/// A policy and its bindings, by name.
pub struct Bound<P> {
    /// The policy.
    pub policy: Arc<P>,
    /// What binds it.
    pub bindings: Vec<Binding>,
}

impl<P> Default for Followed<P> {
    fn default() -> Self {
        Self {
            current: RwLock::new(Arc::new(Set::default())),
            reading: Mutex::new(()),
        }
    }
}

impl<P> Default for Set<P> {
    fn default() -> Self {
        Self {
            at: None,
            compiled: BTreeMap::new(),
            bound: Vec::new(),
            index: Index::default(),
        }
    }
}

impl<P: Compiled> Followed<P> {
    /// The policies that are in `objects` now. Compiles those that have changed.
    pub fn get(&self, objects: &dyn Objects) -> Arc<Set<P>> {
        let now = || {
            let of = |resource| objects.revision(REGISTRATION_GROUP, resource);
            Some((of(P::POLICIES), of(P::BINDINGS)))
        };
        let current = self.current.read().clone();
        if current.at == now() {
            return current;
        }
        let _reading = self.reading.lock();
        let current = self.current.read().clone();
        // What is read may be newer than this, which costs but another reading.
        let at = now();
        if current.at == at {
            return current;
        }
        let new = Arc::new(current.read_anew(at, objects));
        *self.current.write() = new.clone();
        new
    }
}

impl<P: Compiled> Set<P> {
    fn read_anew(&self, at: Option<(u64, u64)>, objects: &dyn Objects) -> Self {
        let mut compiled = BTreeMap::new();
        for bytes in objects.list(REGISTRATION_GROUP, P::POLICIES, None) {
            let Some(policy) = parse(&bytes) else {
                continue;
            };
            let name = text(&policy, "/metadata/name").to_owned();
            let known = self.compiled.get(&name).filter(|(old, _)| *old == bytes);
            let made = match known {
                Some((_, same)) => Ok(same.clone()),
                None => P::compile(&policy).map(Arc::new),
            };
            match made {
                Ok(policy) => drop(compiled.insert(name, (bytes, policy))),
                Err(error) => tracing::error!(%name, %error, "a stored policy can't be read"),
            }
        }
        let mut bindings: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
        for binding in objects.parse_all(REGISTRATION_GROUP, P::BINDINGS, None) {
            match Binding::read(&binding) {
                Ok(read) => {
                    let policy = text(&binding, "/spec/policyName").to_owned();
                    bindings.entry(policy).or_default().push(read);
                }
                Err(error) => {
                    let name = text(&binding, "/metadata/name");
                    tracing::error!(name, %error, "a stored binding can't be read");
                }
            }
        }
        let bound: Vec<Bound<P>> = bindings
            .into_iter()
            .filter_map(|(policy, mut bindings)| {
                bindings.sort_by(|a, b| a.name.cmp(&b.name));
                let (_, policy) = compiled.get(&policy)?;
                let policy = policy.clone();
                Some(Bound { policy, bindings })
            })
            .collect();
        let index = Index::of(bound.iter().map(|bound| &bound.policy.common().constraints));
        Self {
            at,
            compiled,
            bound,
            index,
        }
    }
}

impl<P> Set<P> {
    /// Those that a request may concern.
    pub fn candidates<'s>(&'s self, review: &Review<'_>) -> impl Iterator<Item = &'s Bound<P>> {
        let places = match self.index.is_empty() {
            true => Vec::new(),
            false => self.index.candidates(review),
        };
        places.into_iter().filter_map(|place| self.bound.get(place))
    }
}
