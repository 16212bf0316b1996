//! Letting requests in: permission, asked once, and what is done with those that have it.

use super::decode;
use super::seats::Seat;
use super::{Answer, Body, Pipeline, Record, Request, Target, Verb, heavy};
use crate::background::OTHERS;
use crate::metrics;
use hardway_access::{Attributes, Decision, Operation, User};
use hardway_client::serving::caught;
use hardway_proto::Status;
use hardway_proto::fields::FieldSelector;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Group and resource of definitions.
const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
/// How long a refusal waits for what may have been written through other apiservers.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A request that was let in: its sender may do this, and its target knows the verb. Made
/// by [`Pipeline::admit`] alone, so who has one need not ask again.
pub struct Admitted {
    request: Request,
    record: Record,
    /// From when its turn has come. Streams take none, as in Kubernetes.
    seat: Option<Seat>,
}

/// A request that was not let in, and why.
pub struct Refused {
    /// What was asked.
    pub request: Request,
    /// The answer.
    pub status: Status,
}

impl Admitted {
    /// Who may do what.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// With what, as far as it is known.
    pub fn target(&self) -> &Target {
        &self.request.target
    }

    /// Its record in the audit log.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Takes in what is sent along; to a deletion these are options.
    fn bring(&mut self, body: Body) -> Result<(), Status> {
        self.record.brought(&body);
        match self.request.verb {
            Verb::Delete | Verb::DeleteCollection => {
                let options = decode::delete_options(&body)?;
                self.request.options.apply_delete_body(&options)?;
            }
            _ => self.request.body = body,
        }
        Ok(())
    }
}

impl Pipeline {
    /// Lets a request in whose sender may do this to what its options select, and whose
    /// target knows the verb. A refusal is no way past the queues of others: it is
    /// answered in its turn.
    pub async fn admit(&self, request: Request, record: &Record) -> Result<Admitted, Box<Refused>> {
        let mut permitted = self.permit_selected(&request, record);
        if permitted.is_err() && self.sees_more().await {
            permitted = self.permit_selected(&request, record);
        }
        if let Err(why) = permitted.and_then(|()| allows(&request)) {
            let seat = self.seats.take_plain(&request).await;
            let status = seat.err().unwrap_or(why);
            record.failed(&status);
            request.story.turned_away(&self.steps, &request, &status);
            return Err(Box::new(Refused { request, status }));
        }
        let target = &request.target;
        if let Some(removed) = target.resource.removed {
            metrics::outdated(
                target.group(),
                &target.version,
                target.plural(),
                &target.subresource,
                removed,
            );
            record.outdated(removed);
        }
        Ok(Admitted {
            request,
            record: record.clone(),
            seat: None,
        })
    }

    /// Catches up with what was written through other apiservers, if there may be any: who was
    /// given a permission through one of them has it here. Says whether there was something.
    async fn sees_more(&self) -> bool {
        if !self.store.has_other_members() {
            return false;
        }
        let seen = self.cache.revision();
        let caught_up = tokio::time::timeout(CATCH_UP, self.cache.fresh()).await;
        matches!(caught_up, Ok(Ok(now)) if now > seen)
    }

    /// The same for a resource that there is not. Says whether there are other ones by now.
    pub async fn defines_more(&self) -> bool {
        if !self.store.has_other_members() {
            return false;
        }
        let before = self.registry.snapshot().generation();
        let defined = async {
            self.cache.fresh().await.ok()?;
            let definitions = self.cache.of(DEFINITIONS.0, DEFINITIONS.1)?;
            let latest = *definitions.changes().borrow();
            let mut defined = self.defined.subscribe();
            defined.wait_for(|defined| *defined >= latest).await.ok()?;
            Some(())
        };
        let defined = tokio::time::timeout(CATCH_UP, defined).await;
        matches!(defined, Ok(Some(()))) && self.registry.snapshot().generation() != before
    }

    /// Does what an admitted request asks for, with what it brought, as soon as it has a
    /// seat among those that are worked on. A client that sends slowly keeps nobody from a
    /// seat, for by then all is there.
    ///
    /// `respond` makes of the outcome what is sent. This too is done in the background
    /// for whoever has many requests at a time.
    pub async fn run<T: Send + 'static, F: Future<Output = T> + Send>(
        self: &Arc<Self>,
        mut admitted: Admitted,
        brought: Result<Body, Status>,
        respond: impl FnOnce(Request, Result<Answer, Status>) -> F + Send + 'static,
    ) -> T {
        let begun = Instant::now();
        let taken = match brought.and_then(|body| admitted.bring(body)) {
            Ok(()) => self.seats.take(&admitted.request, &self.cache).await,
            Err(status) => Err(status),
        };
        let seat = match taken {
            Ok(seat) => seat,
            Err(status) => {
                admitted.record.failed(&status);
                let request = &admitted.request;
                request.story.turned_away(&self.steps, request, &status);
                return respond(admitted.request, Err(status)).await;
            }
        };
        admitted.request.story.seated(&admitted.request, begun);
        let lane = seat.lane();
        admitted.seat = Some(seat);
        let (behind, load) = (self.clone(), admitted.request.load.clone());
        let work = async move {
            let outcome = behind.seated(&mut admitted).await;
            respond(admitted.request, outcome).await
        };
        match lane {
            Some(lane) => {
                load.note();
                lane.run(work).await
            }
            None => {
                OTHERS.come();
                work.await
            }
        }
    }

    /// Does what is asked in the seat that was taken for it.
    async fn seated(&self, admitted: &mut Admitted) -> Result<Answer, Status> {
        let Admitted {
            request,
            record,
            seat,
        } = admitted;
        let mut outcome = caught(self.in_time(request)).await.unwrap_or_else(|panic| {
            tracing::error!(panic, "a request made the server panic");
            record.panicked(&panic);
            Err(Status::panicked())
        });
        record.annotated(request.annotations.get_mut());
        record.answered(&mut outcome);
        request.story.end(&self.steps, request, outcome.as_ref());
        outcome.map(|answer| match seat.take() {
            Some(seat) => answer.keeping(seat),
            None => answer,
        })
    }

    /// Does what is asked, or gives up.
    async fn in_time(&self, request: &Request) -> Result<Answer, Status> {
        #[cfg(debug_assertions)]
        panic_if_asked(request);
        let work = heavy::heavy(self.weight(request), self.dispatch(request));
        let done_by = request.done_by();
        match tokio::time::timeout_at(done_by.into(), work).await {
            // A webhook has as long as the request, and its failure then is the time's.
            Ok(outcome) if outcome.is_ok() || Instant::now() < done_by => outcome,
            _ => Err(match done_by < request.deadline {
                true => Status::write_out_of_time(),
                false => Status::out_of_time(),
            }),
        }
    }

    /// Bytes of what a request brings and changes.
    fn weight(&self, request: &Request) -> usize {
        let brought = match &request.body {
            Body::Empty | Body::Value(_) => 0,
            Body::Json(bytes) | Body::Yaml(bytes) | Body::Patch(_, bytes) => bytes.len(),
        };
        let stored = match request.verb {
            Verb::Update | Verb::Patch => self.cache_of(&request.target).ok(),
            _ => None,
        };
        let stored = stored.and_then(|cache| cache.get(&request.target.key()));
        brought + stored.map_or(0, |entry| entry.bytes().len())
    }

    /// May the user do this to the objects that the options select? What is
    /// limited to fields is permitted as such; a list or watch pinned to one name
    /// as that object is: kubelets follow single objects this way.
    fn permit_selected(&self, request: &Request, record: &Record) -> Result<(), Status> {
        let Request {
            user,
            verb,
            target,
            options,
            ..
        } = request;
        let fields = match verb {
            Verb::List | Verb::Watch | Verb::DeleteCollection => {
                FieldSelector::parse(&options.field_selector).unwrap_or_default()
            }
            _ => FieldSelector::default(),
        };
        let pinned = fields
            .exact("metadata.name")
            .filter(|_| *verb != Verb::DeleteCollection)
            .map(|name| target.named(&target.namespace, name));
        let target = pinned.as_ref().unwrap_or(target);
        let asked = target.attributes(user, verb.as_str());
        let begun = Instant::now();
        let reason = self.decide(&asked.limited_to(&fields), record)?;
        request.story.authorized(&reason, begun);
        Ok(())
    }

    /// May the user do this? The audit log keeps the answer.
    pub fn permit(&self, asked: &Attributes, record: &Record) -> Result<(), Status> {
        self.decide(asked, record).map(|_| ())
    }

    /// The same, with the reason why they may.
    fn decide(&self, asked: &Attributes, record: &Record) -> Result<String, Status> {
        let decision = self.authorizer.authorize(asked);
        record.decided(&decision);
        match decision {
            Decision::Allow { reason } => Ok(reason),
            refused => Err(asked.forbidden(refused.reason())),
        }
    }

    /// May the user do this, too?
    pub(super) fn authorize(&self, user: &User, target: &Target, verb: &str) -> Result<(), Status> {
        self.authorizer.check(&target.attributes(user, verb))
    }

    /// May this stream (exec, attach, proxy …) be opened with these options by whom it is
    /// permitted to? The options come back as admission has left them.
    pub async fn admit_connect(
        &self,
        admitted: &Admitted,
        options: &mut Value,
    ) -> Result<(), Status> {
        let request = &admitted.request;
        let outcome = self.admit_body(request, Operation::Connect, options).await;
        admitted.record.annotated(&mut request.annotations.lock());
        outcome
    }
}

/// Whether the resource, or its subresource, knows the verb.
fn allows(request: &Request) -> Result<(), Status> {
    let target = &request.target;
    let verb = request.verb.as_str();
    let allowed = match target.subresource.as_str() {
        "" => target.resource.allows(verb),
        name => target
            .resource
            .subresource(&target.version, name)
            .ok_or_else(Status::no_such_resource)?
            .verbs
            .iter()
            .any(|v| v == verb),
    };
    match allowed {
        true => Ok(()),
        false => Err(Status::method_not_allowed()),
    }
}

/// Panics over a request whose user agent asks for it, so that it can be seen
/// what a panic does. In debug builds only.
#[cfg(debug_assertions)]
fn panic_if_asked(request: &Request) {
    if request.agent.starts_with("hardway-debug-panic/") {
        panic!("asked to panic by {:?}", request.user.name);
    }
}
