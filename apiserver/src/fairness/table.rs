//! The configuration in force: which schemas there are, and which levels.

use super::defaults::{self, CONTROL_PLANE, SCHEMA};
use super::level::{Level, State, Tag, grant};
use super::metrics::{self, Counted};
use super::{Classified, Fairness};
use crate::background::Lane;
use hardway_fairness::{
    Digest, Distinguisher, FlowSchema, LimitResponse, Limits, PriorityLevel, QueueSet, Stats,
    borrow, limits, matches, max_seats,
};
use hardway_resources::rules::flow_control::{CATCH_ALL, EXEMPT};
use parking_lot::Mutex;
use std::sync::Arc;

/// The configuration in force.
#[derive(Default)]
pub(super) struct Table {
    /// In the order in which they are asked.
    schemas: Vec<Schema>,
    pub levels: Vec<Arc<Level>>,
}

/// A flow schema in force.
pub(super) struct Schema {
    pub name: Arc<str>,
    spec: FlowSchema,
    pub level: Arc<Level>,
    level_uid: Arc<str>,
    /// The most seats that a request is counted as.
    pub widest: Option<usize>,
    /// Whether the level's queues part its flows.
    parted: bool,
    pub counted: Arc<Counted>,
}

impl Table {
    /// The schema of a request.
    pub fn classify(&self, asked: &Digest<'_>) -> &Schema {
        let found = self.schemas.iter().find(|s| matches(&s.spec, asked));
        // The last one is for everybody.
        found
            .or(self.schemas.last())
            .expect("a table has the mandatory schemas")
    }
}

impl Schema {
    /// The flow that a request is part of.
    pub fn flow<'a>(&self, asked: &Digest<'a>) -> &'a str {
        match self.spec.distinguisher.filter(|_| self.parted) {
            Some(Distinguisher::User) => asked.user,
            Some(Distinguisher::Namespace) => asked.namespace,
            None => "",
        }
    }

    pub fn classified(&self) -> Classified {
        Classified {
            schema: self.spec.uid.clone(),
            level: self.level_uid.clone(),
            schema_name: self.name.clone(),
            level_name: self.level.name.clone(),
        }
    }
}

/// Those given, and the mandatory ones that are missing.
fn with_mandatory(
    levels: &[PriorityLevel],
    schemas: &[FlowSchema],
) -> (Vec<PriorityLevel>, Vec<FlowSchema>) {
    let (mut levels, mut schemas) = (levels.to_vec(), schemas.to_vec());
    for default in defaults::all().into_iter().filter(|d| d.mandatory) {
        let json = default.object.to_string();
        if default.object["kind"] == SCHEMA {
            if let Ok(schema) = FlowSchema::parse(json.as_bytes())
                && schemas.iter().all(|s| s.name != schema.name)
            {
                schemas.push(schema);
            }
        } else if let Ok(level) = PriorityLevel::parse(json.as_bytes())
            && levels.iter().all(|l| l.name != level.name)
        {
            levels.push(level);
        }
    }
    // Whoever is exempt stays so, and whoever matches nothing else has a place.
    let place = |s: &FlowSchema| match &*s.name {
        EXEMPT => 0,
        CATCH_ALL => 2,
        _ => 1,
    };
    schemas.sort_by(|a, b| {
        let key = |s: &FlowSchema| (place(s), s.precedence);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    (levels, schemas)
}

impl Fairness {
    /// Follows another configuration. Requests that wait keep their places.
    /// Levels that are gone are kept until their requests are.
    pub fn configure(&self, levels: &[PriorityLevel], schemas: &[FlowSchema]) {
        let _one_at_a_time = self.configuring.lock();
        let (specs, schemas) = with_mandatory(levels, schemas);
        let before = self.levels();
        let mut levels: Vec<Arc<Level>> = Vec::new();
        for spec in &specs {
            let known = before.iter().find(|level| level.name == spec.name);
            levels.push(match known {
                Some(level) => {
                    let mut state = level.state.lock();
                    state.spec = spec.clone();
                    state.quiescing = false;
                    level.clone()
                }
                None => Arc::new(Level::new(spec)),
            });
        }
        let wanted = levels.clone();
        for level in before {
            if wanted.iter().all(|w| w.name != level.name) {
                let mut state = level.state.lock();
                state.quiescing = true;
                match state.set.is_idle() {
                    true => metrics::forget_level(&level.name),
                    false => levels.push(level.clone()),
                }
            }
        }
        self.share_out(&levels);
        let schemas = schemas.into_iter().filter_map(|spec| {
            let level = wanted.iter().find(|level| *level.name == *spec.level)?;
            let state = level.state.lock();
            let queued = matches!(state.spec.response, LimitResponse::Queue(q) if q.queues > 1);
            Some(Schema {
                name: spec.name.clone(),
                counted: Arc::new(Counted::new(&level.name, &spec.name)),
                level_uid: state.spec.uid.clone(),
                widest: max_seats(&state.spec, state.limits.nominal),
                parted: queued,
                level: level.clone(),
                spec,
            })
        });
        let schemas = schemas.collect();
        move_seats(&levels, self.now());
        *self.table.write() = Arc::new(Table { schemas, levels });
    }

    /// Moves seats to the levels that need them most. Whether a level is to be
    /// forgotten, because it is gone and so are its requests.
    pub fn adjust(&self) -> bool {
        let _one_at_a_time = self.configuring.lock();
        let levels = self.levels();
        move_seats(&levels, self.now());
        levels.iter().any(|level| {
            let state = level.state.lock();
            state.quiescing && state.set.is_idle()
        })
    }

    /// Computes what each level has by its configuration.
    fn share_out(&self, levels: &[Arc<Level>]) {
        let specs: Vec<PriorityLevel> = levels
            .iter()
            .map(|level| level.state.lock().spec.clone())
            .collect();
        let refs: Vec<&PriorityLevel> = specs.iter().collect();
        for (level, limits) in levels.iter().zip(limits(self.total, &refs)) {
            level.state.lock().limits = limits;
            metrics::limits(&level.name, limits);
        }
    }
}

/// Moves seats between levels by their demand.
fn move_seats(levels: &[Arc<Level>], now: std::time::Duration) {
    let known: Vec<(Limits, Stats)> = levels
        .iter()
        .map(|level| {
            let mut state = level.state.lock();
            let seen = state.set.take_demand(now);
            state.stats.update(seen);
            (state.limits, state.stats)
        })
        .collect();
    let shares = borrow(&known);
    if shares.is_none() {
        tracing::warn!("the limits of priority levels can't be adjusted: they stay as they are");
    }
    for (i, level) in levels.iter().enumerate() {
        let mut state = level.state.lock();
        let seats = match &shares {
            Some(shares) => shares.seats[i].round() as usize,
            None => state.set.limit(),
        };
        let response = state.spec.response;
        state.set.configure(now, response, seats, grant);
        let (limits, stats) = known[i];
        metrics::adjusted(&level.name, &stats, stats.bounds(limits).target, seats);
    }
    if let Some(shares) = shares {
        metrics::fair_fraction(shares.fair_fraction);
    }
}

impl Level {
    fn new(spec: &PriorityLevel) -> Self {
        let set: QueueSet<Tag> = QueueSet::new(spec.response, 0);
        Self {
            name: spec.name.clone(),
            lane: (!CONTROL_PLANE.contains(&&*spec.name)).then(|| Arc::new(Lane::default())),
            state: Mutex::new(State {
                set,
                spec: spec.clone(),
                limits: Limits::default(),
                stats: Stats::default(),
                quiescing: false,
            }),
        }
    }
}
