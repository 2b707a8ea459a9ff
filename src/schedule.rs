//! Several units at a time, each on its own share of the threads.
//!
//! A step of a small network does not fill two cores; two networks side by side do. Every unit of a batch has the same number of threads,
//! so that their times can be compared, and no result depends on how many there are. On a GPU they go one after another: it is filled by one,
//! and its memory is not that of the processor's threads.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use burn::tensor::Device;

use crate::device::is_cpu;
use crate::error::{Error, Result};

/// A piece of work that makes a `T`.
pub type Job<'a, T> = Box<dyn FnOnce() -> Result<T> + Send + 'a>;

/// Trainings on `device`: [`side_by_side`] on the CPU, one after another on a GPU.
pub fn trainings<'a, T: Send>(jobs: Vec<Job<'a, T>>, device: &Device) -> Result<Vec<T>> {
    if is_cpu(device) { side_by_side(jobs) } else { jobs.into_iter().map(|job| job()).collect() }
}

/// [`trainings`], but those that would be left over from full rounds come afterwards, each with its share of all threads: for jobs of equal
/// length of which the others' times are enough.
pub fn in_full_rounds<'a, T: Send>(mut jobs: Vec<Job<'a, T>>, device: &Device) -> Result<Vec<T>> {
    let left_over = jobs.split_off(jobs.len() - jobs.len() % rayon::current_num_threads());
    let mut results = trainings(jobs, device)?;
    results.extend(trainings(left_over, device)?);
    Ok(results)
}

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

    #[test]
    fn what_is_left_over_has_all_threads() {
        let device = Device::flex();
        let threads = |count: usize, of: usize| {
            let jobs: Vec<Job<'_, usize>> = (0..count).map(|_| Box::new(|| Ok(rayon::current_num_threads())) as Job<'_, usize>).collect();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(of).build().expect("a pool");
            pool.install(|| in_full_rounds(jobs, &device)).expect("all succeed")
        };
        assert_eq!(threads(5, 2), [1, 1, 1, 1, 2]);
        assert_eq!(threads(4, 2), [1, 1, 1, 1]);
        assert_eq!(threads(6, 4), [1, 1, 1, 1, 2, 2]);
        assert_eq!(threads(3, 8), [2, 2, 2]);
        assert!(threads(0, 2).is_empty());
    }
}
