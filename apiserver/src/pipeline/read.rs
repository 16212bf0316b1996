//! get and list.

use super::continuation::Token;
use super::options::list;
use super::{Held, Object, Pipeline, Request, Selection, Target, present};
use crate::cache::{Entry, ResourceCache};
use crate::store::StoreError;
use hardway_proto::Status;
use std::sync::Arc;

/// A list: cached objects, to be written out as they are.
pub struct Listing {
    /// What was asked for.
    pub target: Target,
    /// The objects, in key order.
    pub items: Vec<Arc<Entry>>,
    /// The revision they show.
    pub revision: i64,
    /// Where the next page starts.
    pub next: Option<String>,
    /// How many follow, if that is known.
    pub remaining: Option<i64>,
    /// Kept until it is written.
    pub seat: Option<Held>,
}

/// How new a list has to be.
enum Age {
    Fresh,
    NotOlderThan(i64),
    Exact(i64),
}

/// Why objects can't be listed as they were.
enum NotListed {
    Store(StoreError),
    Conversion(Status),
}

impl From<StoreError> for NotListed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Status> for NotListed {
    fn from(status: Status) -> Self {
        Self::Conversion(status)
    }
}

impl From<NotListed> for Status {
    fn from(why: NotListed) -> Self {
        match why {
            NotListed::Store(error) => error.into(),
            NotListed::Conversion(status) => status,
        }
    }
}

/// Keys fetched at once from etcd while looking for selected ones.
const SCAN: i64 = 2_000;

impl Pipeline {
    /// The cache of a target's resource.
    pub fn cache_of(&self, target: &Target) -> Result<Arc<ResourceCache>, Status> {
        self.cache
            .of(target.resource.kept_group(), target.plural())
            .ok_or_else(Status::no_such_resource)
    }

    /// The object a request is about, as new as it asks.
    pub(super) async fn get(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let cache = self.cache_of(target)?;
        match request.options.resource_version.as_str() {
            "" => drop(self.cache.fresh().await?),
            version => drop(self.cache.wait_for(parse_version(version)?).await?),
        }
        let key = target.key();
        let entry = cache
            .get(&key)
            .ok_or_else(|| match cache.unreadable(&key) {
                Some(error) => error.into(),
                None => target.not_found(),
            })?;
        let (resource, version) = (&target.resource, &target.version);
        let entry = self.conversion.entry(resource, entry, version).await?;
        Ok(Object {
            json: present::serve(target, entry.bytes()),
            created: false,
            cached: (!present::converts(target)).then_some(entry),
        })
    }

    /// A list, or a page of it.
    pub(super) async fn list(&self, request: &Request) -> Result<Listing, Status> {
        let mut listing = self.list_stored(request).await?;
        let items = std::mem::take(&mut listing.items);
        listing.items = self.shown(&request.target, items).await?;
        Ok(listing)
    }

    /// The same, in whichever versions its objects are stored.
    async fn list_stored(&self, request: &Request) -> Result<Listing, Status> {
        let target = &request.target;
        let options = &request.options;
        list::check(options, false)?;
        let selection = Selection::of(target, options)?;
        let cache = self.cache_of(target)?;
        let token = match options.continuation.as_str() {
            "" => None,
            text => Some(Token::decode(text)?),
        };
        let start = token.as_ref().map_or("", Token::start);
        let age = match &token {
            Some(_) if !matches!(options.resource_version.as_str(), "" | "0") => {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            Some(token) => token.revision().map_or(Age::Fresh, Age::Exact),
            None => age(request)?,
        };
        let exact = match age {
            Age::Fresh => {
                self.cache.fresh().await?;
                None
            }
            Age::NotOlderThan(revision) => {
                self.cache.wait_for(revision).await?;
                None
            }
            Age::Exact(revision) => {
                self.cache.wait_for(revision).await?;
                // Unchanged since: the cache shows that revision too.
                (cache.revision() > revision).then_some(revision)
            }
        };
        if let Some(revision) = exact {
            let listing = self.list_exactly(request, &cache, &selection, start, revision);
            return listing.await.map_err(|error| match (error, &token) {
                (NotListed::Store(StoreError::Compacted(_)), Some(token)) => token.expired(),
                (error, _) => error.into(),
            });
        }
        let shown = match age {
            Age::Exact(revision) => revision,
            _ => self.cache.revision(),
        };
        cache.readable(selection.namespace())?;
        let (all, changed) = cache.list_some(&selection.interest(target), |entry| {
            selection.may_match(target, entry)
        });
        if let (Age::Exact(revision), Some(token)) = (&age, &token)
            && changed > *revision
        {
            // It changed between the two looks.
            let listing = self.list_exactly(request, &cache, &selection, token.start(), *revision);
            return listing.await.map_err(|_| token.expired());
        }
        let all = self.shown_to(&selection, target, all).await?;
        let rest = all
            .into_iter()
            .skip_while(|entry| entry.key.as_str() < start);
        Ok(page(
            target,
            &selection,
            options.limit,
            rest,
            shown.max(match age {
                Age::Exact(_) => 0,
                _ => changed,
            }),
        ))
    }

    /// A page as it was at a revision, from etcd.
    async fn list_exactly(
        &self,
        request: &Request,
        cache: &ResourceCache,
        selection: &Selection,
        start: &str,
        revision: i64,
    ) -> Result<Listing, NotListed> {
        // '0' follows '/', 0x7f every character of a name.
        let (first, end) = match selection.namespace() {
            Some(namespace) => (format!("{namespace}/"), format!("{namespace}0")),
            None => (String::new(), "\u{7f}".into()),
        };
        let mut from = first.max(start.to_owned());
        let limit = request.options.limit;
        let mut found = Vec::new();
        loop {
            let (items, more, _) = self
                .cache
                .list_at(cache, &from, &end, SCAN, revision)
                .await?;
            let last = items.last().map(|entry| entry.key.clone());
            let items = self.shown_to(selection, &request.target, items).await?;
            found.extend(items.into_iter().filter(|entry| selection.matches(entry)));
            match last {
                // The number of the rest is told only when all is selected.
                Some(last)
                    if more
                        && (limit == 0 || found.len() <= limit || selection.is_everything()) =>
                {
                    from = format!("{last}\0");
                }
                _ => break,
            }
        }
        Ok(page(
            &request.target,
            selection,
            limit,
            found.into_iter(),
            revision,
        ))
    }
}

/// The first `limit` of the selected objects.
fn page(
    target: &Target,
    selection: &Selection,
    limit: usize,
    entries: impl Iterator<Item = Arc<Entry>>,
    revision: i64,
) -> Listing {
    let mut items: Vec<_> = entries.filter(|entry| selection.matches(entry)).collect();
    let mut next = None;
    let mut remaining = None;
    if limit > 0 && items.len() > limit {
        if selection.is_everything() {
            remaining = Some((items.len() - limit) as i64);
        }
        items.truncate(limit);
        next = items
            .last()
            .map(|last| Token::after(&last.key, revision).encode());
    }
    Listing {
        target: target.clone(),
        items,
        revision,
        next,
        remaining,
        seat: None,
    }
}

/// How new a list must be whose options go together.
fn age(request: &Request) -> Result<Age, Status> {
    let options = &request.options;
    let version = options.resource_version.as_str();
    Ok(match (options.resource_version_match.as_str(), version) {
        (_, "") => Age::Fresh,
        ("Exact", version) => Age::Exact(parse_version(version)?),
        ("", version) if options.limit > 0 && version != "0" => Age::Exact(parse_version(version)?),
        (_, version) => Age::NotOlderThan(parse_version(version)?),
    })
}

/// A resource version as a revision.
pub(super) fn parse_version(text: &str) -> Result<i64, Status> {
    text.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(|| {
        Status::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}
