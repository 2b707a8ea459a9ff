//! Pieces of work made ahead of need, in the caller's own share of the threads.
//!
//! The pieces are jobs of the rayon pool that the caller runs in, so that a unit of work keeps to its share, and there is no thread to
//! end. A piece that no thread has begun when it is needed is made by the one that needs it: nobody ever waits for a job in a queue,
//! so there is nothing to deadlock, and with one thread everything is made on demand.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// `make(0)`, `make(1)`, … in this order, of which the next ones are being made.
pub(super) struct Ahead<T> {
    make: Arc<dyn Fn(usize) -> T + Send + Sync>,
    next: usize,
    count: usize,
    window: usize,
    queued: VecDeque<Queued<T>>,
}

/// A piece that was given to the pool.
struct Queued<T> {
    /// Set by the thread that makes the piece, or by the owner to keep others from it.
    taken: Arc<AtomicBool>,
    made: Receiver<Result<T, Box<dyn Any + Send>>>,
}

impl<T: Send + 'static> Ahead<T> {
    /// `count` pieces, of which at most `window` are made before they are asked for. `make` neither waits nor uses the pool itself.
    pub(super) fn new(count: usize, window: usize, make: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        // A single thread could only make now what it makes later anyway.
        let window = if rayon::current_num_threads() > 1 { window } else { 0 };
        Self { make: Arc::new(make), next: 0, count, window, queued: VecDeque::new() }
    }

    /// The next `count` pieces, or what is left of them.
    pub(super) fn take(&mut self, count: usize) -> Vec<T> {
        let count = count.min(self.count - self.next);
        self.fill();
        // Others begin at the front, so we begin at the back.
        let mut ours: Vec<Option<T>> = (0..count).rev().map(|i| self.claim(i).then(|| (self.make)(self.next + i))).collect();
        let pieces = (self.next..self.next + count).map(|i| match (ours.pop().flatten(), self.queued.pop_front()) {
            (Some(piece), _) => piece,
            // Another thread is at it and waits for nothing, so it is there soon.
            (None, Some(queued)) => match queued.made.recv() {
                Ok(Ok(piece)) => piece,
                Ok(Err(panic)) => resume_unwind(panic),
                Err(_) => (self.make)(i),
            },
            (None, None) => (self.make)(i),
        });
        let pieces = pieces.collect();
        self.next += count;
        self.fill();
        pieces
    }

    /// True if the piece `i` after the next one is ours to make.
    fn claim(&self, i: usize) -> bool {
        self.queued.get(i).is_none_or(|q| !q.taken.swap(true, Ordering::AcqRel))
    }

    /// Gives the pool what is missing from the pieces `self.next` to `self.next + window`.
    fn fill(&mut self) {
        while self.queued.len() < self.window && self.next + self.queued.len() < self.count {
            let (i, make) = (self.next + self.queued.len(), self.make.clone());
            let taken = Arc::new(AtomicBool::new(false));
            let (send, made) = sync_channel(1);
            self.queued.push_back(Queued { taken: taken.clone(), made });
            rayon::spawn(move || {
                if !taken.swap(true, Ordering::AcqRel) {
                    // A panic in the pool would end the program; it belongs to whoever asks for the piece. Nobody may.
                    let _ = send.send(catch_unwind(AssertUnwindSafe(|| make(i))));
                }
            });
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        for piece in &self.queued {
            piece.taken.store(true, Ordering::Release);
        }
    }
}

impl<T> fmt::Debug for Ahead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ahead({} of {}, {} queued)", self.next, self.count, self.queued.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
    }

    #[test]
    fn pieces_come_once_each_and_in_order() {
        for threads in [1, 2, 3] {
            for (window, take) in [(0, 1), (1, 1), (4, 1), (4, 3), (4, 7), (100, 5)] {
                let calls = Arc::new(AtomicUsize::new(0));
                let counter = calls.clone();
                let work = move |i| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    i * i
                };
                let made: Vec<Vec<usize>> = pool(threads).install(|| {
                    let mut ahead = Ahead::new(23, window, work);
                    std::iter::from_fn(|| Some(ahead.take(take)).filter(|pieces| !pieces.is_empty())).collect()
                });
                assert!(made[..made.len() - 1].iter().all(|pieces| pieces.len() == take));
                assert_eq!(made.concat(), (0..23).map(|i| i * i).collect::<Vec<_>>());
                assert_eq!(calls.load(Ordering::Relaxed), 23, "{threads} threads, window {window}");
            }
        }
    }

    /// Waits until `done`; a test that hangs says nothing.
    #[track_caller]
    fn soon(done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited for a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Counts the calls.
    fn counted(counter: &Arc<AtomicUsize>) -> impl Fn(usize) -> usize + Send + Sync + use<> {
        let counter = counter.clone();
        move |i| {
            counter.fetch_add(1, Ordering::AcqRel);
            i
        }
    }

    #[test]
    fn pieces_are_made_before_they_are_asked_for_but_no_more_than_the_window() {
        let made = Arc::new(AtomicUsize::new(0));
        pool(2).install(|| {
            let mut ahead = Ahead::new(50, 4, counted(&made));
            assert_eq!(made.load(Ordering::Acquire), 0, "nothing before the first is asked for");
            for asked in (2..=20).step_by(2) {
                assert_eq!(ahead.take(2), [asked - 2, asked - 1]);
                soon(|| made.load(Ordering::Acquire) == asked + 4);
            }
            drop(ahead);
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(made.load(Ordering::Acquire), 24);
        });
    }

    #[test]
    fn one_thread_makes_nothing_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        pool(1).install(|| Ahead::new(9, 4, counted(&made)).take(2));
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn dropped_early_it_frees_what_it_held_and_the_pool_ends() {
        let held = Arc::new(());
        let hold = held.clone();
        let pool = pool(2);
        pool.install(|| {
            let mut ahead = Ahead::new(1000, 6, move |i| {
                let _held = &hold;
                i
            });
            ahead.take(1);
        });
        drop(pool);
        // Threads that nobody waits for end in their own time.
        soon(|| Arc::strong_count(&held) == 1);
    }

    #[test]
    fn a_panic_reaches_whoever_asks() {
        let work = |i| {
            assert!(i != 5, "piece five");
            i
        };
        let outcome = catch_unwind(|| pool(2).install(|| Ahead::new(9, 4, work).take(9)));
        let message = outcome.expect_err("it panics");
        assert!(message.downcast_ref::<&str>().is_some_and(|m| m.contains("piece five")));
    }
}
