//! Who is logged in. Pure: what time it is, and who a viewer is, callers say.
//!
//! A session's identifier is 256 random bits that only the viewer's browser keeps; here is its
//! hash. What the viewer may do is nowhere but in the [`Viewer`], in memory.

use crate::viewer::Viewer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a session may do nothing.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long it may last.
pub const LIFE: Duration = Duration::from_secs(12 * 3600);
/// How many there are at most: of all, and of one user.
pub const MOST: (usize, usize) = (256, 16);

type Key = [u8; 32];

struct Session {
    viewer: Arc<Viewer>,
    user: String,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        // What stays open, such as the page's live connection, is use.
        let idle = self.viewer.connections() == 0 && now >= self.used + IDLE;
        idle || now >= self.began + LIFE
    }
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    by_key: HashMap<Key, Session>,
}

/// There is no randomness to be had.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

impl Sessions {
    /// Begins a session of a user; gives its identifier. Where there are too many, the one that
    /// was used least recently ends: of the same user, or of all.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn begin(
        &mut self,
        user: &str,
        viewer: Arc<Viewer>,
        now: Instant,
    ) -> Result<String, NoRandomness> {
        let mut bytes = [0; 32];
        let random = SystemRandom::new();
        random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        let identifier = URL_SAFE_NO_PAD.encode(bytes);
        self.sweep(now);
        self.make_room(|session| session.user == user, MOST.1);
        self.make_room(|_| true, MOST.0);
        let session = Session {
            viewer,
            user: user.to_owned(),
            began: now,
            used: now,
        };
        self.by_key.insert(key(&identifier), session);
        Ok(identifier)
    }

    /// Whose session that is, if it is one. It has been used, now.
    pub fn viewer(&mut self, identifier: &str, now: Instant) -> Option<Arc<Viewer>> {
        let key = key(identifier);
        if self.by_key.get(&key)?.is_over(now) {
            self.remove(&key);
            return None;
        }
        let session = self.by_key.get_mut(&key)?;
        session.used = now;
        Some(session.viewer.clone())
    }

    /// Whose session that is by name. It has not been used by that.
    pub fn user(&self, identifier: &str, now: Instant) -> Option<&str> {
        let session = self.by_key.get(&key(identifier))?;
        (!session.is_over(now)).then_some(session.user.as_str())
    }

    /// Ends a session.
    pub fn end(&mut self, identifier: &str) {
        self.remove(&key(identifier));
    }

    /// Ends those whose time is over.
    pub fn sweep(&mut self, now: Instant) {
        let over = |(key, session): (&Key, &Session)| session.is_over(now).then_some(*key);
        let over: Vec<Key> = self.by_key.iter().filter_map(over).collect();
        for key in over {
            self.remove(&key);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_key.len()
    }

    fn make_room(&mut self, counts: impl Fn(&Session) -> bool, most: usize) {
        let mut there: Vec<(Instant, Key)> = self
            .by_key
            .iter()
            .filter(|(_, session)| counts(session))
            .map(|(key, session)| (session.used, *key))
            .collect();
        there.sort_unstable();
        let surplus = (there.len() + 1).saturating_sub(most);
        for (_, key) in &there[..surplus] {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(session) = self.by_key.remove(key) {
            session.viewer.leave();
        }
    }
}

fn key(identifier: &str) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, identifier.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::tests::viewer;

    #[tokio::test]
    async fn a_session_ends_when_idle_and_at_the_latest_after_its_life() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let first = viewer();
        let identifier = sessions.begin("a", first.clone(), start).unwrap();
        assert!(sessions.viewer("other", start).is_none());
        assert_eq!(sessions.user("other", start), None);
        assert_eq!(sessions.user(&identifier, start), Some("a"));
        assert_eq!(sessions.user(&identifier, start + IDLE), None);
        let later = start + IDLE - Duration::from_secs(1);
        assert!(sessions.viewer(&identifier, later).is_some());
        assert!(sessions.viewer(&identifier, later + IDLE).is_none());
        assert!(first.has_left());
        assert_eq!(sessions.count(), 0);

        let identifier = sessions.begin("a", viewer(), start).unwrap();
        let mut now = start;
        while now < start + LIFE {
            assert!(sessions.viewer(&identifier, now).is_some());
            now += IDLE / 2;
        }
        assert!(sessions.viewer(&identifier, now).is_none());
    }

    #[tokio::test]
    async fn an_open_connection_is_use_but_not_for_ever() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let viewer = viewer();
        let identifier = sessions.begin("a", viewer.clone(), start).unwrap();
        let open = viewer.connect().unwrap();
        sessions.sweep(start + IDLE * 2);
        assert!(!viewer.has_left());
        drop(open);
        assert!(sessions.viewer(&identifier, start + IDLE * 2).is_none());

        let _ = sessions.begin("a", viewer.clone(), start).unwrap();
        let _open = viewer.connect();
        sessions.sweep(start + LIFE);
        assert_eq!(sessions.count(), 0);
    }

    #[tokio::test]
    async fn their_number_is_bounded_and_the_oldest_goes() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let at = |second: usize| start + Duration::from_secs(second as u64);
        let mut of_one = Vec::new();
        for second in 0..=MOST.1 {
            of_one.push(sessions.begin("a", viewer(), at(second)).unwrap());
        }
        assert_eq!(sessions.count(), MOST.1);
        assert!(sessions.viewer(&of_one[0], at(20)).is_none());
        assert!(sessions.viewer(&of_one[1], at(20)).is_some());
        for number in 0..MOST.0 {
            sessions
                .begin(&format!("u{number}"), viewer(), at(30))
                .unwrap();
        }
        assert_eq!(sessions.count(), MOST.0);
    }

    #[tokio::test]
    async fn who_logs_out_leaves() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let viewer = viewer();
        let identifier = sessions.begin("a", viewer.clone(), now).unwrap();
        let other = sessions.begin("a", viewer.clone(), now).unwrap();
        assert_ne!(identifier, other);
        sessions.end(&identifier);
        assert!(viewer.has_left());
        assert!(sessions.viewer(&identifier, now).is_none());
    }
}
