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

/// [`trainings`] with as many threads each as most of `others` jobs have [`in_full_rounds`], so that their times compare; with none they go as they
/// are fastest.
pub fn trainings_like<'a, T: Send>(jobs: Vec<Job<'a, T>>, others: usize, device: &Device) -> Result<Vec<T>> {
    if is_cpu(device) && others > 0 { on_threads(jobs, share_of(others)) } else { trainings(jobs, device) }
}

/// Runs `jobs` and gives their results in the order of the jobs. After a failure no further job is begun; the first failure in that order
/// is the result.
pub fn side_by_side<T: Send>(jobs: Vec<Job<'_, T>>) -> Result<Vec<T>> {
    let each = share_of(jobs.len());
    on_threads(jobs, each)
}

/// Threads for each of `jobs` side by side, at least 1.
fn share_of(jobs: usize) -> usize {
    let threads = rayon::current_num_threads();
    threads / jobs.clamp(1, threads)
}

/// [`side_by_side`] with `each` threads a job.
fn on_threads<T: Send>(jobs: Vec<Job<'_, T>>, each: usize) -> Result<Vec<T>> {
    let workers = (rayon::current_num_threads() / each).clamp(1, jobs.len().max(1));
    let count = jobs.len();
    let queue: Mutex<VecDeque<(usize, Job<'_, T>)>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..count).map(|_| None).collect());
    let work = || -> Result<()> {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(each).build().map_err(|e| Error::failed("threads", e.to_string(), "give --threads 1"))?;
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

    #[test]
    fn methods_have_the_threads_of_the_oracles() {
        let device = Device::flex();
        let threads = |count: usize, others: usize, of: usize| {
            let jobs = || (0..count).map(|_| Box::new(|| Ok(rayon::current_num_threads())) as Job<'_, usize>).collect::<Vec<_>>();
            let oracles = || (0..others).map(|_| Box::new(|| Ok(rayon::current_num_threads())) as Job<'_, usize>).collect::<Vec<_>>();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(of).build().expect("a pool");
            pool.install(|| (trainings_like(jobs(), others, &device).expect("all"), in_full_rounds(oracles(), &device).expect("all")))
        };
        for (count, others, of, each) in [(3, 6, 2, 1), (1, 6, 2, 1), (3, 6, 4, 1), (3, 6, 8, 1), (3, 6, 16, 2), (9, 4, 16, 4)] {
            let (methods, oracles) = threads(count, others, of);
            assert_eq!((methods, oracles[0]), (vec![each; count], each), "{count} methods, {others} others, {of} threads");
        }
        assert_eq!(threads(2, 0, 8).0, [4, 4], "no oracles to compare with");
    }
}
