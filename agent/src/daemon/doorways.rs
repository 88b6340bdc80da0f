//! Doorways: Unix sockets on which the daemon listens where workloads expect a target's server.
//!
//! ```text
//! /run/portcullis/<instance>/doorways/run/<cgroup id>/run/postgresql/.s.PGSQL.5432    of a jail, which mounts it
//! /run/portcullis/<instance>/doorways/enrolled/<name>/run/postgresql/.s.PGSQL.5432    of one captured where it is
//! ```
//!
//! Below a workload's directory the paths are those that it dials. The directories stay when the daemon goes, so that
//! a mount of one leads to the sockets of the next daemon; until that listens, a connect is refused.

mod place;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry},
    fs, io,
    os::unix::net::UnixListener as StdListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::{net::UnixListener, task::JoinSet};

pub use place::remove;

use super::rest::rest;
use crate::{
    accept::{Doorway, Keeper},
    capture::UnixName,
    config::{Config, UnixSockets},
    connection::{self, Gatehouse},
    control::{self, Leads},
    socket::{self, Keepers},
    target::{SOCKET_PATH_MAX, SocketPath},
};

/// The doorways of every workload.
pub(super) struct Doorways {
    gatehouse: Arc<Gatehouse>,
    /// Of jails: nobody else may enter.
    jails: PathBuf,
    /// Of workloads that were captured where they are, which dial into it.
    enrolled: PathBuf,
    allowed: UnixSockets,
    /// By cgroup.
    open: Mutex<HashMap<u64, Open>>,
    /// By the name of a workload that was captured where it is.
    standing: Mutex<BTreeMap<Arc<str>, Open>>,
    /// By where they are: those of the daemon that this one takes over from, until they are needed.
    left: Mutex<HashMap<PathBuf, StdListener>>,
}

/// The open doorways of one workload; they close with this.
#[derive(Debug, Default)]
struct Open {
    tasks: JoinSet<()>,
    /// For the next daemon, with who waits to be accepted.
    listeners: Vec<(PathBuf, StdListener)>,
}

impl Doorways {
    pub(super) fn new(
        gatehouse: Arc<Gatehouse>,
        config: &Config,
        left: HashMap<PathBuf, StdListener>,
    ) -> anyhow::Result<Self> {
        let root = place::of_instance(&config.instance());
        let (jails, enrolled) = (root.join("run"), root.join("enrolled"));
        place::make_directory(&root, 0o711)?;
        place::make_directory(&jails, 0o700)?;
        place::make_directory(&enrolled, 0o711)?;
        let allowed = config.unix.clone();
        let (open, standing) = (Mutex::default(), Mutex::default());
        Ok(Self { gatehouse, jails, enrolled, allowed, open, standing, left: Mutex::new(left) })
    }

    /// Listens again for the workloads that are there already.
    pub(super) fn adopt(&self) -> anyhow::Result<()> {
        self.allowed.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        self.remove_left_over()?;
        for workload in self.gatehouse.workloads.list() {
            self.open(workload.cgroup_id, &workload.cgroup)?;
        }
        self.follow_captured()?;
        self.allow()?;
        // Those of targets that are none any more.
        self.left.lock().clear();
        Ok(())
    }

    /// Listens for the workloads that are captured where they are by now, and for no others.
    pub(super) fn follow_captured(&self) -> anyhow::Result<()> {
        let names: BTreeSet<Arc<str>> =
            self.gatehouse.capture.existing().iter().map(|existing| existing.workload().into()).collect();
        let mut standing = self.standing.lock();
        if standing.keys().eq(&names) {
            return Ok(());
        }
        for (name, _closed) in standing.extract_if(.., |name, _| !names.contains(name)) {
            place::remove_directory(&self.enrolled.join(&*name))?;
        }
        for name in names {
            if let Entry::Vacant(place) = standing.entry(name) {
                let name = place.key();
                let open = self.stand(name).with_context(|| format!("failed to open the doorways of `{name}`"))?;
                place.insert(open);
            }
        }
        drop(standing);
        self.allow()
    }

    fn stand(&self, name: &Arc<str>) -> anyhow::Result<Open> {
        let mut open = Open::default();
        for path in self.gatehouse.targets.sockets() {
            let place = place::of_socket(&self.enrolled.join(&**name), path);
            let length = place.as_os_str().len();
            if length > SOCKET_PATH_MAX {
                // Nobody could dial it. What is not there is not reached.
                let place = place.display();
                tracing::error!(workload = %name, %place, length, "no doorway: its path would be too long for a socket");
                continue;
            }
            self.serve(Doorway::new(path.clone(), Keeper::Workload(name.clone())), &place, 0o711, &mut open)?;
            tracing::info!(workload = %name, target_path = %path, doorway = %place.display(), "listening");
        }
        Ok(open)
    }

    /// Tells the kernel which paths processes without a jail may dial: the allowed sockets, and their doorways.
    fn allow(&self) -> anyhow::Result<()> {
        let allowed = self.allowed.allowed.iter().flat_map(place::spellings);
        let standing = self.standing.lock();
        let doorways = standing.values().flat_map(|open| &open.listeners).map(|(place, _)| place.display().to_string());
        let names = allowed.chain(doorways).map(|name| name.parse()).collect::<Result<Vec<UnixName>, _>>()?;
        Ok(self.gatehouse.capture.set_unix_allowed(&names)?)
    }

    /// Listens for a workload of `portcullis run`, and says what its jail has to mount.
    pub(super) fn open(&self, cgroup_id: u64, tree: &Path) -> anyhow::Result<Vec<control::Doorway>> {
        let directory = self.jails.join(cgroup_id.to_string());
        let mut open = Open::default();
        let mut doorways = self.to_host();
        for path in self.gatehouse.targets.sockets() {
            let listener = place::of_socket(&directory, path);
            self.serve(Doorway::new(path.clone(), Keeper::Jail(tree.into())), &listener, 0o755, &mut open)?;
            doorways.push(control::Doorway { path: path.as_path().into(), listener, leads: Leads::ToTarget });
        }
        self.open.lock().insert(cgroup_id, open);
        Ok(doorways)
    }

    /// The host's own sockets that are allowed, where they are and nobody else could have put them there.
    fn to_host(&self) -> Vec<control::Doorway> {
        let mut doorways = Vec::new();
        for path in &self.allowed.allowed {
            match kept_by_root(path) {
                Ok(()) => {
                    let path = path.as_path().to_owned();
                    doorways.push(control::Doorway { listener: path.clone(), path, leads: Leads::ToHost });
                }
                Err(error) => {
                    tracing::warn!(socket = %path, error = format!("{error:#}"), "an allowed socket is left out")
                }
            }
        }
        doorways
    }

    /// Accepts at `place`.
    fn serve(&self, doorway: Doorway, place: &Path, mode: u32, open: &mut Open) -> anyhow::Result<()> {
        let directory = place.parent().context("a doorway has no directory")?;
        // Each on the way: whoever dials must be able to enter, whatever this process's mask is.
        let below = directory.ancestors().take_while(|above| **above != self.jails && **above != self.enrolled);
        below.collect::<Vec<_>>().into_iter().rev().try_for_each(|directory| place::make_directory(directory, mode))?;
        let left = self.left.lock().remove(place);
        let listener = left.map_or_else(|| place::listen(place), Ok);
        let listener = listener.with_context(|| format!("failed to listen on {}", place.display()))?;
        let accepting = UnixListener::from_std(listener.try_clone()?)?;
        open.tasks.spawn(accept(accepting, Arc::new(doorway), self.gatehouse.clone()));
        open.listeners.push((place.to_owned(), listener));
        Ok(())
    }

    /// Leaves who connects from now on in the backlogs.
    pub(super) async fn stop_accepting(&self) {
        let mut tasks: Vec<_> = self.open.lock().values_mut().map(|open| std::mem::take(&mut open.tasks)).collect();
        tasks.extend(self.standing.lock().values_mut().map(|open| std::mem::take(&mut open.tasks)));
        for mut tasks in tasks {
            tasks.shutdown().await;
        }
    }

    /// Every listener, for the next daemon.
    pub(super) fn leave(&self) -> io::Result<HashMap<PathBuf, StdListener>> {
        let (open, standing) = (self.open.lock(), self.standing.lock());
        let listeners = open.values().chain(standing.values()).flat_map(|open| &open.listeners);
        listeners.map(|(place, listener)| Ok((place.clone(), listener.try_clone()?))).collect()
    }

    /// Closes the doorways of workloads that are no more.
    pub(super) fn close_released(&self) {
        let mut open = self.open.lock();
        if open.is_empty() {
            return;
        }
        let there: HashSet<u64> = self.gatehouse.workloads.list().iter().map(|workload| workload.cgroup_id).collect();
        open.retain(|cgroup_id, _| {
            if there.contains(cgroup_id) {
                return true;
            }
            if let Err(error) = place::remove_directory(&self.jails.join(cgroup_id.to_string())) {
                tracing::warn!(
                    cgroup_id,
                    error = format!("{error:#}"),
                    "doorways of a workload that has ended are left"
                );
            }
            false
        });
    }

    /// Removes the directories of jails that ended while no daemon ran.
    fn remove_left_over(&self) -> anyhow::Result<()> {
        let there: HashSet<String> =
            self.gatehouse.workloads.list().iter().map(|workload| workload.cgroup_id.to_string()).collect();
        let read = || format!("failed to read {}", self.jails.display());
        for entry in fs::read_dir(&self.jails).with_context(read)? {
            let entry = entry.with_context(read)?;
            if !entry.file_name().to_str().is_some_and(|name| there.contains(name)) {
                place::remove_directory(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn kept_by_root(path: &SocketPath) -> anyhow::Result<()> {
    let found = fs::symlink_metadata(path.as_path())?;
    anyhow::ensure!(std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()), "it is not a socket");
    Ok(socket::check(path, Keepers::Root)?)
}

async fn accept(listener: UnixListener, doorway: Arc<Doorway>, gatehouse: Arc<Gatehouse>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (doorway, served) = (doorway.clone(), gatehouse.clone());
                let serve = move |turn| connection::serve_doorway(stream, turn, doorway, served);
                gatehouse.places.in_turn(serve).await;
            }
            Err(error) => {
                tracing::error!(path = %doorway.path(), %error, "cannot accept");
                rest().await;
            }
        }
    }
}
