//! Several units at a time, each on its own share of the threads.
//!
//! A step of a small network does not fill two cores; two networks side by side do. Every unit of a batch has the same number of threads,
//! so that their times can be compared, and no result depends on how many there are.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::error::{Error, Result};

/// A piece of work that makes a `T`.
pub type Job<'a, T> = Box<dyn FnOnce() -> Result<T> + Send + 'a>;

/// Runs `jobs` and gives their results in the order of the jobs. After a failure no further job is begun; the first failure in that order
/// is the result.
pub fn side_by_side<T: Send>(jobs: Vec<Job<'_, T>>) -> Result<Vec<T>> {
    let threads = rayon::current_num_threads();
    let workers = threads.min(jobs.len()).max(1);
    let count = jobs.len();
    let queue: Mutex<VecDeque<(usize, Job<'_, T>)>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..count).map(|_| None).collect());
    let work = || -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads((threads / workers).max(1))
            .build()
            .map_err(|e| Error::failed("threads", e.to_string(), "give --threads 1"))?;
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((i, job)) = next else { return Ok(()) };
            let result = pool.install(job);
            if result.is_err() {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            match handle.join() {
                Ok(done) => done?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), Error>(())
    })?;
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut all = Vec::with_capacity(count);
    let mut missing = false;
    for result in results {
        match result {
            Some(result) => all.push(result?),
            None => missing = true, // not begun, because another failed: that one's error is returned
        }
    }
    if missing { Err(Error::Interrupted) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_failures_stop_the_rest() {
        let jobs: Vec<Job<'_, usize>> = (0..7usize).map(|i| Box::new(move || Ok(i * i)) as Job<'_, usize>).collect();
        assert_eq!(side_by_side(jobs).expect("all succeed"), [0, 1, 4, 9, 16, 25, 36]);
        let jobs: Vec<Job<'_, usize>> =
            (0..7usize).map(|i| Box::new(move || if i == 2 { Err(Error::input("x", "bad", "mend")) } else { Ok(i) }) as Job<'_, usize>).collect();
        assert!(matches!(side_by_side(jobs), Err(Error::Input { .. })));
        assert!(side_by_side::<usize>(vec![]).expect("nothing to do").is_empty());
    }
}
