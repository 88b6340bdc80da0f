//! How many connections the daemon serves at once: so many of each workload, so many in all. One that opens without end
//! takes no place from others, and never the daemon's last descriptor.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most connections of one workload at once; fewer where the daemon may open few files.
pub const WORKLOAD_CONNECTIONS_MAX: usize = 1024;
/// Most connections at once of which it is not known yet whose they are; what comes meanwhile waits in the backlog.
pub const UNKNOWN_MAX: usize = 128;
/// Descriptors that a connection may need: its own, one upstream, and one while either is set up.
const DESCRIPTORS_PER_CONNECTION: usize = 3;
/// Descriptors that connections leave to the rest of the daemon.
const DESCRIPTORS_KEPT: usize = 256 + UNKNOWN_MAX;
/// How often it is told that a workload has no place left.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Why a connection has no place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{workload}` has {limit} connections already")]
pub struct NoPlace {
    workload: Arc<str>,
    limit: usize,
    /// How many of its connections were refused since it was last told; `None`: it was told a moment ago.
    pub tell: Option<u64>,
}

/// The places of all workloads.
#[derive(Debug)]
pub struct Places {
    of_workload: usize,
    in_all: usize,
    taken: Mutex<Taken>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_workload: HashMap<Arc<str>, Count>,
}

#[derive(Debug, Default)]
struct Count {
    taken: usize,
    refused: u64,
    told: Option<Instant>,
}

/// A connection's place; dropping it leaves.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    workload: Arc<str>,
}

/// A connection's turn to be identified.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held until it is dropped")] Option<OwnedSemaphorePermit>);

impl Places {
    /// As many as this process may open files for, which is raised to what the kernel allows it.
    pub fn of_process() -> Self {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let files = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard);
        Self::with_files(usize::try_from(files).unwrap_or(usize::MAX))
    }
}

impl Places {
    fn with_files(files: usize) -> Self {
        let in_all = (files.saturating_sub(DESCRIPTORS_KEPT) / DESCRIPTORS_PER_CONNECTION).max(1);
        let turns = Arc::new(Semaphore::new(UNKNOWN_MAX));
        // Half at most, so that one workload alone leaves room for another.
        Self { of_workload: WORKLOAD_CONNECTIONS_MAX.min(in_all.div_ceil(2)), in_all, taken: Mutex::default(), turns }
    }

    /// Serves an accepted connection in a task of its own, which gives its turn back once it is known whose it is.
    /// Waits until it has a turn: accept no other before.
    ///
    /// Cancel safe: the connection is served in any case.
    pub async fn in_turn<F>(&self, serve: impl FnOnce(Turn) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            tokio::spawn(serve(Turn(Some(turn))));
            return;
        }
        let (turns, (begin, begun)) = (self.turns.clone(), oneshot::channel());
        tokio::spawn(async move {
            // Nobody closes the turns; if somebody did, connections would only not wait.
            let turn = Turn(turns.acquire_owned().await.ok());
            let _ = begin.send(());
            serve(turn).await;
        });
        // Ends early only with the runtime.
        let _ = begun.await;
    }

    /// A place for one more connection of a workload.
    pub fn take(self: &Arc<Self>, workload: &Arc<str>) -> Result<Place, NoPlace> {
        let mut taken = self.taken.lock();
        let all = taken.in_all;
        let count = taken.by_workload.entry(workload.clone()).or_default();
        if count.taken >= self.of_workload || all >= self.in_all {
            count.refused += 1;
            let due = count.told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL);
            let tell = due.then(|| std::mem::take(&mut count.refused));
            if due {
                count.told = Some(Instant::now());
            }
            return Err(NoPlace { workload: workload.clone(), limit: count.taken, tell });
        }
        count.taken += 1;
        taken.in_all += 1;
        Ok(Place { places: self.clone(), workload: workload.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.in_all -= 1;
        if let Some(count) = taken.by_workload.get_mut(&self.workload) {
            count.taken -= 1;
            let forgotten = count.told.is_none_or(|told| told.elapsed() >= TELL_INTERVAL);
            if count.taken == 0 && forgotten {
                taken.by_workload.remove(&self.workload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Room for ten connections.
    fn places() -> Arc<Places> {
        Arc::new(Places::with_files(DESCRIPTORS_KEPT + 10 * DESCRIPTORS_PER_CONNECTION))
    }

    #[test]
    fn one_workload_leaves_places_to_another() {
        let (places, greedy, modest) = (places(), "greedy".into(), "modest".into());
        let held: Vec<_> = (0..100).map_while(|_| places.take(&greedy).ok()).collect();
        assert_eq!(held.len(), 5);
        assert!(places.take(&modest).is_ok());
        drop(held);
        assert!(places.take(&greedy).is_ok());
    }

    #[test]
    fn all_together_never_take_the_last_descriptor() {
        let places = places();
        let held: Vec<_> = (0..100).filter_map(|number| places.take(&format!("w{number}").into()).ok()).collect();
        assert_eq!(held.len(), 10);
        drop(held);
        assert_eq!(places.taken.lock().in_all, 0);
        assert!(places.taken.lock().by_workload.values().all(|count| count.taken == 0));
    }

    #[tokio::test]
    async fn who_is_not_known_yet_waits_for_a_turn_and_is_served_after_all() {
        let places = places();
        let (held, mut turns) = mpsc::unbounded_channel();
        let hold = || {
            let held = held.clone();
            places.in_turn(|turn| async move { drop(held.send(turn)) })
        };
        for _ in 0..UNKNOWN_MAX {
            hold().await;
        }
        let first = turns.recv().await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(20), hold());
        assert!(waited.await.is_err(), "every turn is taken");
        drop(first);
        for _ in 0..UNKNOWN_MAX {
            drop(turns.recv().await.unwrap());
        }
    }

    #[test]
    fn a_flood_is_told_once() {
        let (places, greedy) = (places(), "greedy".into());
        let _held: Vec<_> = (0..5).map(|_| places.take(&greedy).unwrap()).collect();
        let told: Vec<_> = (0..1000).filter_map(|_| places.take(&greedy).unwrap_err().tell).collect();
        assert_eq!(told, [1]);
    }

    #[test]
    fn a_process_that_may_open_next_to_nothing_serves_one() {
        let places = Arc::new(Places::with_files(0));
        let held = places.take(&"a".into());
        assert!(held.is_ok() && places.take(&"b".into()).is_err());
    }
}
