//! Work on rows, split over the cores of a CPU.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use crate::device::is_cpu;

/// A number of parts that only [`most_parts`] limits.
pub(crate) const ALL_CORES: usize = usize::MAX;

/// The value of [`set_most_parts`]; 0 before its first call.
static MOST_PARTS: AtomicUsize = AtomicUsize::new(0);

/// Sets the largest number of parts into which this process splits work on a CPU, which is the number of cores
/// by default. If there are fewer cores than parts, the parts share them.
///
/// Sums are rounded part by part, so a run that is resumed on another machine must keep its number of parts to
/// give the same bits. One number for the whole process is enough, because a process works on one run.
pub(crate) fn set_most_parts(parts: usize) {
    MOST_PARTS.store(parts, Ordering::Relaxed);
}

/// Does `work` on `rows` rows, split into at most `parts` ranges that together cover them, and returns the
/// results in order.
///
/// The CPU backends compute most operations on one core, so each range gets cores of its own there. On other
/// backends one range has all rows.
pub(crate) fn in_parts<T: Send>(
    device: &Device,
    rows: usize,
    parts: usize,
    work: impl Fn(Range<usize>) -> T + Sync,
) -> Vec<T> {
    let most = most_parts(device);
    let pools = pools(parts.min(most).min(rows));
    match pools.len() {
        0 | 1 if most > 1 => return vec![inside_pool(|| work(0..rows))],
        0 | 1 => return vec![work(0..rows)],
        _ => {}
    }
    let size = rows.div_ceil(pools.len());
    let work = &work;
    std::thread::scope(|scope| {
        let ranges = (0..rows).step_by(size).map(|first| first..(first + size).min(rows));
        let running: Vec<_> =
            ranges.zip(pools.iter()).map(|(range, pool)| scope.spawn(move || pool.install(|| work(range)))).collect();
        running.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Does `work` on a thread of the pool that operations share. On another thread, each operation would have to
/// wake one of the pool and wait for it.
fn inside_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Returns the largest number of parts into which [`in_parts`] splits its work.
pub(crate) fn most_parts(device: &Device) -> usize {
    match MOST_PARTS.load(Ordering::Relaxed) {
        _ if !is_cpu(device) => 1,
        0 => cores(),
        set => set,
    }
}

/// Returns the number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Returns `count` thread pools that share the cores; work in one pool does not spread over the others.
fn pools(count: usize) -> Arc<Vec<rayon::ThreadPool>> {
    static POOLS: Mutex<BTreeMap<usize, Arc<Vec<rayon::ThreadPool>>>> = Mutex::new(BTreeMap::new());
    if count < 2 {
        return Arc::default();
    }
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = pools.entry(count).or_insert_with(|| {
        let threads = (cores() / count).max(1);
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        Arc::new((0..count).filter_map(pool).collect())
    });
    Arc::clone(made)
}
