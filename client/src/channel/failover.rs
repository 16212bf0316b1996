//! Going from one server to another: at once from one that doesn't answer, and without haste to
//! a better one.

use super::link::Link;
use super::{Check, Probe, Shared, metrics};
use std::future::pending;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// So long who is doubted has at least to answer before it is left for one that does.
const GRACE: Duration = Duration::from_millis(150);
/// How long an answer may take that is to show that a server is well.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Before who has been doubted in vain is doubted again.
const REST: Duration = Duration::from_millis(250);
/// What is still under way on a connection that was left without haste has so long to end; what
/// follows something, begins anew elsewhere.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether there is a better server: something in between, so that not
/// everybody goes at once.
const LOOK: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(60));
/// The same, when which servers are listed has changed.
const LOOK_AFTER_CHANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The same, when the server is listed no more: it is about to stop, or not ready.
const LOOK_AFTER_LOSS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(500));

/// Doubts the server whenever it is silent while somebody waits for it.
pub(super) async fn watch_over(shared: Weak<Shared>, link: Weak<Link>) {
    let Some((pulse, over, patience)) = link.upgrade().map(|link| {
        let pulse = link.pulse.clone();
        let over = pulse.over.clone();
        (pulse, over, link.pace.patience())
    }) else {
        return;
    };
    let Some(mut changes) = shared.upgrade().map(|shared| shared.servers.changes()) else {
        return;
    };
    loop {
        if !shared
            .upgrade()
            .is_some_and(|shared| shared.servers.are_several())
        {
            // Nobody else could be asked.
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = over.cancelled() => return,
            }
        }
        tokio::select! {
            () = pulse.silent(patience) => {}
            () = over.cancelled() => return,
        }
        let (Some(shared), Some(link)) = (shared.upgrade(), link.upgrade()) else {
            return;
        };
        if !shared.doubt(&link, "it has not answered").await {
            drop((shared, link));
            sleep(REST).await;
        }
    }
}

/// Looks for a better server now and then.
pub(super) async fn settle(shared: Weak<Shared>) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.servers.changes()) else {
        return;
    };
    loop {
        let changed = tokio::time::timeout(within(LOOK), changes.changed()).await;
        let Some(this) = shared.upgrade() else {
            return;
        };
        if let Ok(changed) = changed {
            if changed.is_err() {
                return;
            }
            let is_listed = this
                .link_now()
                .is_none_or(|l| this.servers.is_listed(&l.server));
            drop(this);
            sleep(within(match is_listed {
                true => LOOK_AFTER_CHANGE,
                false => LOOK_AFTER_LOSS,
            }))
            .await;
        } else {
            drop(this);
        }
        let Some(this) = shared.upgrade() else {
            return;
        };
        this.go_to_favourite().await;
    }
}

/// Some time between these.
fn within((least, most): (Duration, Duration)) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let lot = RandomState::new().hash_one(0) % 1000;
    least + (most - least).mul_f64(lot as f64 / 1000.0)
}

/// Whether a server is well, as far as it says so in time.
pub(super) async fn answers(check: Check, link: Arc<Link>) -> Result<(), String> {
    match tokio::time::timeout(CHECK_TIMEOUT, check(Probe(link))).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {CHECK_TIMEOUT:?}")),
    }
}

impl Shared {
    /// Asks the server for a sign of life, and another one as well. If only the other one
    /// answers, it is gone to, and what waits for the former hears that it is lost. Says whether
    /// the link is left.
    pub(super) async fn doubt(self: &Arc<Self>, link: &Arc<Link>, why: &str) -> bool {
        let asked = std::time::Instant::now();
        let mut found_out = self.doubting.lock().await;
        if self.is_current(link) && found_out.is_some_and(|at| at > asked) {
            // Another one has asked meanwhile.
            return false;
        }
        let is_left = self.find_out(link, why).await;
        *found_out = Some(std::time::Instant::now());
        is_left
    }

    async fn find_out(self: &Arc<Self>, link: &Arc<Link>, why: &str) -> bool {
        if !self.is_current(link) {
            // Somebody has gone elsewhere meanwhile; what is still on it has no use for it.
            link.pulse.cut(why);
            return true;
        }
        let others = self.servers.other_than(&link.server);
        if others.is_empty() {
            return false;
        }
        let here = async {
            if answers(self.check.clone(), link.clone()).await.is_err() {
                pending::<()>().await;
            }
        };
        let elsewhere = async {
            let begun = Instant::now();
            let found = self.first_of(others, true).await;
            sleep(GRACE.saturating_sub(begun.elapsed())).await;
            found
        };
        let found = tokio::select! {
            biased;
            () = here => return false,
            found = elsewhere => found,
        };
        let other = match found {
            Ok(other) => other,
            Err(error) => {
                tracing::debug!(server = %link.server, why, %error, "nowhere else to go");
                return false;
            }
        };
        tracing::warn!(from = %link.server, to = %other.server, why, "going to another server");
        metrics::left(self.what);
        self.servers.failed(&link.server);
        self.put(other);
        link.pulse.cut(why);
        true
    }

    /// Goes to the best server, or to one that is listed, if that is another one and answers.
    pub(super) async fn go_to_favourite(self: &Arc<Self>) {
        let Some(link) = self.link_now() else { return };
        let pace = self.pace();
        let favourite = match self.servers.favourite() {
            Some(favourite) => favourite,
            None if link.pace != pace => link.server.clone(),
            None => return,
        };
        if favourite.is_at(&link.server) && link.pace == pace {
            return;
        }
        let Ok(better) = self.first_of(vec![favourite], true).await else {
            return;
        };
        if !self.is_current(&link) {
            return;
        }
        tracing::info!(from = %link.server, to = %better.server, "going to a better server");
        self.put(better);
        link.retire();
        let over = link.pulse.over.clone();
        let pulse = link.pulse.clone();
        drop(link);
        self.runtime.spawn(async move {
            if tokio::time::timeout(LEAVE_WITHIN, over.cancelled())
                .await
                .is_err()
            {
                pulse.cut("another server was gone to");
            }
        });
    }
}
