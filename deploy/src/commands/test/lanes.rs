//! Work that several do beside each other: who is free takes what comes next.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Has workers do all of the work, each a piece at a time, in the order given; what came of
/// it, in the order in which it was done.
pub fn share_out<L: Sync, W: Send, R: Send>(
    workers: &[L],
    work: impl IntoIterator<Item = W>,
    act: impl Fn(&L, W) -> R + Sync,
) -> Vec<R> {
    let left: Mutex<VecDeque<W>> = Mutex::new(work.into_iter().collect());
    let next = || {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.pop_front()
    };
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| {
                while let Some(piece) = next() {
                    let result = act(worker, piece);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_free_takes_what_comes_next() {
        // "long" ends when all the others have: these are done by the other worker.
        let (ends, end) = mpsc::channel();
        let end = Mutex::new(end);
        let done = share_out(&["a", "b"], ["long", "x", "y", "last"], |worker, piece| {
            match piece {
                "long" => {
                    let end = end.lock().unwrap();
                    end.recv_timeout(Duration::from_secs(20)).unwrap();
                }
                "last" => ends.send(()).unwrap(),
                _ => {}
            }
            (*worker, piece)
        });
        let of = |wanted: &str| {
            let all = done.iter().filter(|(_, piece)| *piece == wanted);
            all.map(|(worker, _)| *worker).collect::<Vec<_>>()
        };
        let busy = of("long");
        assert_eq!((done.len(), busy.len()), (4, 1));
        for piece in ["x", "y", "last"] {
            assert!(of(piece) != busy, "{piece} was done by {busy:?}");
        }
    }

    #[test]
    fn one_alone_keeps_to_the_order() {
        assert_eq!(share_out(&[()], [3, 1, 2], |(), piece| piece), [3, 1, 2]);
        assert!(share_out(&[(), ()], [0; 0], |(), piece| piece).is_empty());
    }
}
