//! Keeps a certificate new.

use super::identities::{Identities, IdentityError};
use super::{Authorities, CertificateFile, FileError, Held, Request, Subject};
use crate::clock;
use crate::notify::Watch;
use crate::queue::backoff;
use jiff::Timestamp;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// First pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Those of many nodes are renewed within this time when another CA begins to sign.
const SPREAD: Duration = Duration::from_secs(10);
/// First pause after a renewal that still was of the former CA, and the longest: not every
/// controller manager may sign with the other one by then.
const STILL_FORMER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));

/// A certificate that is kept new for as long as the process runs.
pub struct Renewal {
    /// Where it is kept.
    pub file: CertificateFile,
    /// Who signs it.
    pub signer: &'static str,
    /// Whether it is to serve with.
    pub serving: bool,
    /// Whom it is for; nothing while that isn't known. When that changes, it
    /// is renewed at once.
    pub subject: watch::Receiver<Option<Subject>>,
    /// Who asks for it.
    pub identities: Identities,
    /// The file with the cluster's CA. When another CA is the first in it, a certificate of one
    /// of the others is renewed.
    pub authorities: Option<PathBuf>,
}

/// Why a renewal failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Ask(#[from] IdentityError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing for so long.
    Wait(Duration),
    /// Ask for another; why.
    Ask(&'static str),
}

/// When a certificate of a CA that doesn't sign any more is renewed.
struct Former {
    authorities: Authorities,
    /// Not before this.
    at: Instant,
    /// How many renewals were in vain.
    renewals: u32,
}

impl Former {
    fn new(file: Option<&Path>) -> Self {
        Self {
            authorities: file.map(Authorities::read).unwrap_or_default(),
            at: Instant::now(),
            renewals: 0,
        }
    }

    /// Looks at the file again.
    fn look(&mut self, file: Option<&Path>) {
        let other = Self::new(file);
        if other.authorities != self.authorities {
            let at = other.at + SPREAD.mul_f64(chance());
            *self = Self { at, ..other };
        }
    }

    /// How long until a certificate is to be renewed; nothing if there is no reason to.
    fn left(&self, held: Option<&Held>) -> Option<Duration> {
        let is_former = held.is_some_and(|held| self.authorities.is_former(held));
        is_former.then(|| self.at.saturating_duration_since(Instant::now()))
    }

    /// A certificate was renewed for this reason, and may be of the former CA again.
    fn renewed(&mut self) {
        self.renewals += 1;
        self.at = Instant::now() + backoff(self.renewals, STILL_FORMER.0, STILL_FORMER.1);
    }
}

/// What is to be done about the certificate that is there.
fn step(held: Option<&Held>, subject: Option<&Subject>, chance: f64, now: SystemTime) -> Step {
    let Some(subject) = subject else {
        return Step::Wait(Duration::MAX);
    };
    match held {
        None => Step::Ask("there is none"),
        Some(held) if held.subject != *subject => Step::Ask("it is for other names or addresses"),
        Some(held) if held.life.is_over(now) => Step::Ask("it has expired"),
        Some(held) if held.life.is_early(now) => Step::Ask("it isn't good yet"),
        Some(held) => match held.life.left(chance, now) {
            Duration::ZERO => Step::Ask("its life nears its end"),
            left => Step::Wait(left),
        },
    }
}

/// A number between 0 and 1.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

impl Renewal {
    /// Renews until dropped.
    pub async fn run(mut self) {
        let current = self.file.current();
        let file = current.display();
        let mut chance_of_this = chance();
        let mut failures = 0;
        // How long to wait follows from the time of day.
        let mut clock = clock::Changes::new();
        let authorities = self.authorities.clone();
        let folder = authorities
            .as_deref()
            .and_then(Path::parent)
            .map(Watch::new);
        let mut former = Former::new(authorities.as_deref());
        loop {
            former.look(authorities.as_deref());
            if let Err(error) = self.file.fall_back(SystemTime::now()) {
                tracing::warn!(%file, %error, "no former certificate can be used");
            }
            let subject = self.subject.borrow_and_update().clone();
            let held = self.file.read().unwrap_or_else(|error| {
                tracing::warn!(%error, "the certificate can't be used, asking for another");
                None
            });
            let now = SystemTime::now();
            let of_age = step(held.as_ref(), subject.as_ref(), chance_of_this, now);
            let of_former = former.left(held.as_ref()).filter(|_| subject.is_some());
            let pause = match with_former(of_age, of_former) {
                Step::Wait(left) => left,
                Step::Ask(why) => {
                    if why == OTHER_SIGNS {
                        former.renewed();
                    }
                    tracing::info!(%file, why, "asking for a certificate");
                    let mut news = self.subject.clone();
                    // Nobody waits for a certificate whose subject is out of date.
                    let renewed = tokio::select! {
                        renewed = self.renew(subject.unwrap_or_default()) => renewed,
                        () = changed(&mut news) => continue,
                    };
                    match renewed {
                        Ok(()) => {
                            failures = 0;
                            chance_of_this = chance();
                            tracing::info!(%file, "there is a new certificate");
                            continue;
                        }
                        Err(error) => {
                            failures += 1;
                            let pause = backoff(failures, PAUSES.0, PAUSES.1);
                            tracing::warn!(%file, %error, again_in = ?pause, "no new certificate");
                            pause
                        }
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = clock.next() => failures = 0,
                () = changed(&mut self.subject) => failures = 0,
                () = any_change(folder.as_ref()) => {}
            }
        }
    }

    async fn renew(&self, subject: Subject) -> Result<(), Error> {
        let request = Request {
            signer: self.signer,
            subject,
            serving: self.serving,
        };
        let (certificate, key) = self.identities.ask(&request).await?;
        Ok(self.file.write(&certificate, &key, Timestamp::now())?)
    }
}

/// Why a certificate is renewed whose CA is being replaced.
const OTHER_SIGNS: &str = "another CA signs now";

/// What is to be done when one of a former CA is to be renewed after a while, if it is.
fn with_former(step: Step, left: Option<Duration>) -> Step {
    match (step, left) {
        (Step::Wait(_), Some(Duration::ZERO)) => Step::Ask(OTHER_SIGNS),
        (Step::Wait(wait), Some(left)) => Step::Wait(wait.min(left)),
        (step, _) => step,
    }
}

/// Waits until something changes in a folder; for ever without one.
async fn any_change(folder: Option<&Watch>) {
    match folder {
        Some(folder) => folder.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits until the subject is another one; for ever if nobody changes it.
async fn changed(subject: &mut watch::Receiver<Option<Subject>>) {
    if subject.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::Life;
    use super::*;

    #[test]
    fn asked_for_when_missing_different_expired_or_old() {
        let now = SystemTime::now();
        let minute = Duration::from_secs(60);
        let subject = Subject::node("n1");
        let held = |since: u32, left: u32| Held {
            subject: subject.clone(),
            authority: None,
            life: Life {
                from: now - since * minute,
                good_from: now - since * minute,
                to: now + left * minute,
            },
        };
        let at = |held: &Held| step(Some(held), Some(&subject), 0.0, now);
        assert_eq!(step(None, None, 0.0, now), Step::Wait(Duration::MAX));
        assert_eq!(
            step(None, Some(&subject), 0.0, now),
            Step::Ask("there is none")
        );
        let Step::Wait(left) = at(&held(10, 90)) else {
            panic!("it is young");
        };
        assert_eq!(left.as_secs_f64().round(), 3600.0);
        assert_eq!(at(&held(70, 30)), Step::Ask("its life nears its end"));
        assert_eq!(at(&held(70, 0)), Step::Ask("it has expired"));
        let mut early = held(10, 90);
        early.life.good_from = now + minute;
        early.life.from = now + 2 * minute;
        assert_eq!(at(&early), Step::Ask("it isn't good yet"));
        let mut moved = subject.clone();
        moved.addresses.insert("10.0.0.2".parse().unwrap());
        let step = step(Some(&held(10, 90)), Some(&moved), 0.0, now);
        assert_eq!(step, Step::Ask("it is for other names or addresses"));
    }

    #[test]
    fn one_of_a_former_ca_is_renewed_and_not_again_at_once() {
        let hour = Duration::from_secs(3600);
        let after = |left| with_former(Step::Wait(hour), left);
        assert_eq!(after(None), Step::Wait(hour));
        assert_eq!(after(Some(Duration::ZERO)), Step::Ask(OTHER_SIGNS));
        assert_eq!(after(Some(SPREAD)), Step::Wait(SPREAD));
        assert_eq!(after(Some(2 * hour)), Step::Wait(hour));
        let ask = || Step::Ask("it has expired");
        assert_eq!(with_former(ask(), Some(hour)), ask());
        let mut former = Former::new(None);
        for _ in 0..2 {
            let before = former.at;
            former.renewed();
            assert!(former.at > before);
        }
        assert!(former.at > Instant::now() + STILL_FORMER.0);
    }

    #[test]
    fn chances_differ() {
        let all: Vec<f64> = (0..20).map(|_| chance()).collect();
        assert!(all.iter().all(|c| (0.0..=1.0).contains(c)));
        assert!(all.iter().any(|c| *c != all[0]));
    }
}
