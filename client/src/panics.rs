//! Panics as values: who can go on without what panicked catches it, and says
//! where it was and why.

use futures_util::FutureExt;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// What is known of a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// `file:line:column`; empty if unknown.
    pub location: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.location, self.message)
    }
}

impl std::error::Error for Panic {}

thread_local! {
    /// Where this thread's latest panic was. A panic is caught in the thread
    /// it happened in.
    static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has every panic note its location, and then do what it would have done.
pub(crate) fn note_locations() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let then = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let location = info.location().map(ToString::to_string);
            LOCATION.set(location.unwrap_or_default());
            then(info);
        }));
    });
}

fn of(payload: &(dyn Any + Send)) -> Panic {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Panic {
        message: message.unwrap_or_else(|| "a value that is no text".into()),
        location: LOCATION.take(),
    }
}

/// Runs a future to its end or its panic. What they share with others must
/// bear that they stop midway: locks are freed, and what they guard may be as
/// an error would have left it.
pub async fn catch<F: Future>(future: F) -> Result<F::Output, Panic> {
    note_locations();
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.map_err(|payload| of(payload.as_ref()))
}

/// [`catch`] for what does not wait.
pub fn catch_in<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    note_locations();
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    outcome.map_err(|payload| of(payload.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_says_where_and_why() {
        fn fail(of: &str) -> u32 {
            panic!("out of {of}")
        }
        let line = line!() - 2;
        let caught = catch(async { fail("cheese") }).await.unwrap_err();
        assert_eq!(caught.message, "out of cheese");
        assert!(
            caught.location.contains(&format!("panics.rs:{line}:")),
            "{caught}"
        );
        assert_eq!(catch(async { 7 }).await, Ok(7));
        assert_eq!(catch_in(|| 7), Ok(7));
        assert!(catch_in(|| [0][usize::from(line!() > 0)]).is_err());
    }
}
