//! What belongs to what is followed, of all that happens in a cluster.
//!
//! Followed is what a marked request wrote, or what somebody named; then what that owns
//! (by the owners that are stored with an object), again and again. Work on a key, a
//! controller's for example, belongs to the requests that were made for it: their audit IDs
//! begin with its name.

use crate::line::{Object, Step, seconds};
use crate::moment::Moment;
use std::collections::{HashMap, HashSet, VecDeque};

/// So much that belongs to nothing yet is remembered: who owns something may come later.
const MOST_OTHERS: usize = 8192;

/// An object that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Which.
    pub object: Object,
    /// Its UID, once it is known.
    pub uid: String,
    /// How many owners are between it and what was asked for.
    pub depth: usize,
}

/// A moment that belongs to the story.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// How far it is from what was asked for.
    pub depth: usize,
    /// Whether it is a request of the command that is followed.
    pub is_cause: bool,
    /// What happened.
    pub moment: Moment,
}

impl Entry {
    /// When it is told of, in seconds since 1970: a request when it came, for it is a cause;
    /// all else when it was done.
    pub fn at(&self) -> f64 {
        let head = self.moment.head();
        match self.moment.is_request() {
            true => seconds(head.time),
            false => head.end(),
        }
    }

    /// Whether it is news of the same version of an object as the other is.
    pub fn is_same_news(&self, other: &Self) -> bool {
        let (one, other) = (self.moment.head(), other.moment.head());
        let news = |step: &Step| {
            (
                step.detail("change").to_owned(),
                step.detail("revision").to_owned(),
            )
        };
        one.what == "heard"
            && other.what == "heard"
            && one.object == other.object
            && news(one) == news(other)
    }
}

/// Which requests are those of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// None: objects are followed that somebody names.
    Nothing,
    /// Those whose client calls itself by this name.
    Agent(String),
    /// Those of this user.
    User(String),
}

impl Cause {
    fn is(&self, moment: &Moment) -> bool {
        let head = moment.head();
        let agent = head.detail("agent");
        let program = agent.split('/').next().unwrap_or_default();
        moment.is_request()
            && match self {
                Self::Nothing => false,
                Self::Agent(name) => program == name,
                Self::User(user) => head.detail("user") == user,
            }
    }
}

/// What has become of it so far.
pub struct Story {
    cause: Cause,
    followed: Vec<Followed>,
    by_uid: HashMap<String, usize>,
    by_object: HashMap<Object, usize>,
    /// Names of work, and how far from what was asked for its requests were.
    work: HashMap<String, usize>,
    causes: HashSet<String>,
    others: VecDeque<Moment>,
}

impl Story {
    /// Nothing yet.
    pub fn new(cause: Cause) -> Self {
        Self {
            cause,
            followed: Vec::new(),
            by_uid: HashMap::new(),
            by_object: HashMap::new(),
            work: HashMap::new(),
            causes: HashSet::new(),
            others: VecDeque::new(),
        }
    }

    /// All objects that are followed.
    pub fn followed(&self) -> &[Followed] {
        &self.followed
    }

    /// Whether a request of the command was seen.
    pub fn has_cause(&self) -> bool {
        !self.causes.is_empty()
    }

    /// Forgets all that belongs to nothing: it was before.
    pub fn begin(&mut self) {
        self.others.clear();
    }

    /// Follows the requests of somebody else; gives those that came before.
    pub fn look_for(&mut self, cause: Cause) -> Vec<Entry> {
        self.cause = cause;
        self.found()
    }

    /// Follows an object; gives what was known of it before, oldest first.
    pub fn follow(&mut self, object: Object, uid: &str, depth: usize) -> Vec<Entry> {
        self.adopt(&object, uid, depth);
        self.found()
    }

    /// Takes what happened; gives what belongs to the story now, oldest first.
    pub fn take(&mut self, moment: Moment) -> Vec<Entry> {
        let known = self.followed.len();
        match self.place(&moment) {
            None => {
                self.others.push_back(moment);
                if self.others.len() > MOST_OTHERS {
                    self.others.pop_front();
                }
                Vec::new()
            }
            Some(entry) => {
                let entry = Entry { moment, ..entry };
                let leads_on = self.followed.len() > known || entry.moment.is_request();
                let mut entries = if leads_on { self.found() } else { Vec::new() };
                entries.push(entry);
                sort(&mut entries);
                entries
            }
        }
    }

    /// Of what belonged to nothing, that which belongs now.
    fn found(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            let before = entries.len();
            for moment in std::mem::take(&mut self.others) {
                match self.place(&moment) {
                    Some(entry) => entries.push(Entry { moment, ..entry }),
                    None => self.others.push_back(moment),
                }
            }
            if entries.len() == before {
                sort(&mut entries);
                return entries;
            }
        }
    }

    /// Where a moment belongs; the moment in it is a placeholder.
    fn place(&mut self, moment: &Moment) -> Option<Entry> {
        let head = moment.head();
        let is_cause = self.causes.contains(&head.audit_id) || self.cause.is(moment);
        let depth = match head.object.resource.is_empty() {
            true => *self.work.get(&head.audit_id)?,
            false => self.depth_of(moment, is_cause)?,
        };
        if is_cause {
            self.causes.insert(head.audit_id.clone());
        }
        if let Some((name, _)) = head.audit_id.split_once('.') {
            self.work.entry(name.to_owned()).or_insert(depth);
        }
        Some(Entry {
            depth,
            is_cause: is_cause && moment.is_request(),
            moment: Moment::of(Step::default()),
        })
    }

    /// How far the object of a moment is from what was asked for; it is followed from now on.
    fn depth_of(&mut self, moment: &Moment, is_cause: bool) -> Option<usize> {
        let head = moment.head();
        // Of many objects, or of one that has got no name: those have their own moments.
        if head.object.name.is_empty() {
            return is_cause.then_some(0);
        }
        if let Some(at) = self.known(head) {
            if self.followed[at].uid.is_empty() && !head.uid.is_empty() {
                self.followed[at].uid.clone_from(&head.uid);
                self.by_uid.insert(head.uid.clone(), at);
            }
            return Some(self.followed[at].depth);
        }
        let depth = match is_cause {
            true => 0,
            false => {
                let owner = moment.owners().find_map(|uid| self.by_uid.get(uid))?;
                self.followed[*owner].depth + 1
            }
        };
        self.adopt(&head.object, &head.uid, depth);
        Some(depth)
    }

    /// The object that a step is about, if it is followed. One that came in the place of
    /// another of its name is followed as that was. A UID is that of one kind of objects:
    /// whoever reports it for others is mistaken.
    fn known(&self, step: &Step) -> Option<usize> {
        let by_uid = self.by_uid.get(&step.uid).filter(|at| {
            !step.uid.is_empty() && self.followed[**at].object.resource == step.object.resource
        });
        by_uid.or_else(|| self.by_object.get(&step.object)).copied()
    }

    fn adopt(&mut self, object: &Object, uid: &str, depth: usize) {
        if self.by_object.contains_key(object) {
            return;
        }
        let at = self.followed.len();
        self.followed.push(Followed {
            object: object.clone(),
            uid: uid.to_owned(),
            depth,
        });
        self.by_object.insert(object.clone(), at);
        if !uid.is_empty() {
            self.by_uid.insert(uid.to_owned(), at);
        }
    }
}

fn sort(entries: &mut [Entry]) {
    entries.sort_by(|one, other| one.at().total_cmp(&other.at()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Assembler;
    use jiff::Timestamp;

    fn object(resource: &str, name: &str) -> Object {
        Object {
            resource: resource.into(),
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    fn step(at: i64, what: &str, resource: &str, name: &str, audit_id: &str) -> Step {
        Step {
            time: Timestamp::from_millisecond(at).unwrap(),
            what: what.into(),
            object: object(resource, name),
            uid: format!("uid-{name}"),
            audit_id: audit_id.into(),
            ..Step::default()
        }
    }

    /// Somebody creates an object that others own.
    fn create(
        at: i64,
        resource: &str,
        name: &str,
        audit_id: &str,
        agent: &str,
        owner: &str,
    ) -> Moment {
        let mut request = step(at, "request", resource, name, audit_id);
        request.details.insert("agent".into(), agent.into());
        request.details.insert("user".into(), "jane".into());
        let mut stored = step(at, "stored", resource, name, audit_id);
        if !owner.is_empty() {
            stored
                .details
                .insert("owners".into(), format!("uid-{owner}"));
        }
        let mut assembler = Assembler::default();
        assembler.push(request);
        assembler.push(stored);
        assembler.flush().unwrap()
    }

    fn shown(entries: &[Entry]) -> Vec<(usize, &str, &str)> {
        let all = entries.iter().map(|entry| {
            let head = entry.moment.head();
            (entry.depth, head.what.as_str(), head.object.name.as_str())
        });
        all.collect()
    }

    #[test]
    fn a_deployment_is_followed_down_to_its_pods() {
        let mut story = Story::new(Cause::Agent("kubectl.1".into()));
        let other = create(0, "pods", "stranger", "x", "kubectl/v1", "");
        assert_eq!(shown(&story.take(other)), []);
        let deployment = create(1, "deployments.apps", "web", "a", "kubectl.1/v1", "");
        let entries = story.take(deployment);
        assert_eq!(shown(&entries), [(0, "request", "web")]);
        assert!(entries[0].is_cause && story.has_cause());
        // The pod is told of before its owner is known.
        let pod = create(4, "pods", "web-1-a", "rs.1", "controllers", "web-1");
        assert_eq!(shown(&story.take(pod)), []);
        let heard = Moment::of(step(5, "heard", "pods", "web-1-a", ""));
        assert_eq!(shown(&story.take(heard)), []);
        let replicas = create(
            2,
            "replicasets.apps",
            "web-1",
            "dep.1",
            "controllers",
            "web",
        );
        let entries = story.take(replicas);
        let expected = [
            (1, "request", "web-1"),
            (2, "request", "web-1-a"),
            (2, "heard", "web-1-a"),
        ];
        assert_eq!(shown(&entries), expected);
        assert!(entries.iter().all(|entry| !entry.is_cause));
        // What the controller did for it all, known by the name of the work alone.
        for (name, depth) in [("dep", 1), ("rs", 2)] {
            let mut work = step(6, "reconciled", "", "", name);
            work.object = Object::default();
            work.uid = String::new();
            assert_eq!(
                shown(&story.take(Moment::of(work))),
                [(depth, "reconciled", "")]
            );
        }
        let depths: Vec<usize> = story.followed().iter().map(|it| it.depth).collect();
        assert_eq!(depths, [0, 1, 2]);
    }

    #[test]
    fn the_past_of_an_object_is_found() {
        let mut story = Story::new(Cause::Nothing);
        for at in [2, 1] {
            story.take(Moment::of(step(at, "heard", "pods", "web", "")));
        }
        story.take(Moment::of(step(3, "heard", "pods", "other", "")));
        let entries = story.follow(object("pods", "web"), "", 0);
        assert_eq!(entries.len(), 2);
        assert!(entries[0].moment.head().time < entries[1].moment.head().time);
        assert_eq!(story.followed()[0].uid, "uid-web");
        let again = Moment::of(step(4, "status", "pods", "web", "uid-web"));
        assert_eq!(shown(&story.take(again)), [(0, "status", "web")]);
    }

    #[test]
    fn requests_of_a_user_are_found_where_no_name_marks_them() {
        let mut story = Story::new(Cause::Agent("kubectl.1".into()));
        story.take(create(0, "pods", "before", "x", "curl/8", ""));
        story.begin();
        story.take(create(1, "pods", "web", "a", "curl/8", ""));
        assert!(!story.has_cause());
        let entries = story.look_for(Cause::User("jane".into()));
        assert_eq!(shown(&entries), [(0, "request", "web")]);
        assert_eq!(story.look_for(Cause::User("joe".into())), []);
    }

    #[test]
    fn what_belongs_to_nothing_is_bounded() {
        let mut story = Story::new(Cause::Nothing);
        for at in 0..MOST_OTHERS as i64 + 10 {
            story.take(Moment::of(step(at, "heard", "pods", "other", "")));
        }
        assert_eq!(story.others.len(), MOST_OTHERS);
    }

    #[test]
    fn a_uid_is_that_of_one_kind_of_objects() {
        let mut story = Story::new(Cause::Nothing);
        story.follow(object("pods", "web"), "uid-web", 0);
        let mut odd = step(1, "status", "services", "odd", "a");
        odd.uid = "uid-web".into();
        assert_eq!(story.take(Moment::of(odd)), []);
        let own = step(2, "status", "pods", "web", "a");
        assert_eq!(story.take(Moment::of(own)).len(), 1);
    }

    #[test]
    fn a_request_about_many_is_shown_and_its_objects_are_followed() {
        let mut story = Story::new(Cause::Agent("me".into()));
        for (at, name) in ["a", "b", ""].into_iter().enumerate() {
            let mut request = step(at as i64, "request", "configmaps", name, "many");
            request.details.insert("agent".into(), "me/v1".into());
            assert_eq!(story.take(Moment::of(request)).len(), 1, "{name:?}");
        }
        let followed = story.followed().iter();
        let names: Vec<&str> = followed.map(|one| one.object.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
