//! The network namespaces of workloads, in each of which the daemon listens as it does on the host.
//!
//! A jail's namespace is served when it is enrolled, one that a process makes later (a container, a pod) when a walk
//! over the governed cgroups meets it. Until then, and again after the last process has left, connects in it are
//! refused by the kernel: whatever fails here fails closed.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use super::{
    listeners::Sockets,
    walk::{Found, Step, Walk},
};
use crate::{
    accept::identity::cgroup_of,
    capture::{
        Loopback, NAMESPACES_MAX,
        namespace::{Namespace, NamespaceFile, NamespaceId, enter_and, is_loopback_up},
    },
    connection::Gatehouse,
};

/// Most namespaces that the processes of one tree may have made: one that makes them without end takes none from others.
const MADE_BY_TREE_MAX: usize = 256;

/// Most processes that wait to be looked at because the kernel refused them; the walk meets the others.
const REFUSED_MAX: usize = 16;

/// How many whole walks must miss a namespace before it counts as left: a process that forks may run from one.
const MISSED_MAX: u32 = 2;

/// Every namespace that the daemon serves beside its own.
pub(super) struct Namespaces {
    gatehouse: Arc<Gatehouse>,
    port: u16,
    own: NamespaceFile,
    served: Mutex<HashMap<NamespaceFile, Served>>,
    /// Sockets that another daemon has left, for namespaces that are not served yet.
    left: Mutex<HashMap<NamespaceFile, Sockets>>,
    refused: mpsc::Sender<u32>,
    knocking: Mutex<mpsc::Receiver<u32>>,
}

struct Served {
    id: NamespaceId,
    /// The cgroup whose process made it; `None` when it was enrolled.
    tree: Option<PathBuf>,
    missed: u32,
    /// The sockets that the tasks serve, for the next daemon.
    sockets: Sockets,
    /// Ends with this, and closes the listeners.
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Namespaces {
    pub(super) fn new(gatehouse: Arc<Gatehouse>, port: u16, left: HashMap<NamespaceFile, Sockets>) -> io::Result<Self> {
        let (refused, knocking) = mpsc::channel(REFUSED_MAX);
        let (own, knocking) = (Namespace::own()?.file(), knocking.into());
        Ok(Self { gatehouse, port, own, served: Mutex::default(), left: left.into(), refused, knocking })
    }

    /// Listens in the namespace of a process that is about to be enrolled, and captures there from now on.
    pub(super) async fn serve_peer(&self, pid: u32, loopback: Loopback) -> anyhow::Result<()> {
        let namespace = Namespace::of_process(pid).context("failed to open the process's network namespace")?;
        self.serve(namespace, loopback, None).await
    }

    /// Notes that the kernel refused a process because its namespace is not captured.
    pub(super) fn note_refused(&self, pid: u32) {
        // Where too many wait, the walk will come by.
        let _ = self.refused.try_send(pid);
    }

    /// Waits for a process that was refused. Cancelling it loses none; `None` never comes while this is there.
    pub(super) async fn next_refused(&self) -> Option<u32> {
        self.knocking.lock().await.recv().await
    }

    /// Serves the namespace of a process that was refused.
    pub(super) async fn serve_refused(&self, pid: u32) {
        let directory = cgroup_of(pid).and_then(|cgroup| self.gatehouse.capture.tree_directory(&cgroup).ok()?);
        if let Some(tree) = directory {
            self.serve_or_tell(Found { pid, tree }).await;
        }
    }

    async fn serve(&self, namespace: Namespace, loopback: Loopback, tree: Option<&Path>) -> anyhow::Result<()> {
        let file = namespace.file();
        if file == self.own {
            return Ok(());
        }
        let mut served = self.served.lock().await;
        if served.contains_key(&file) {
            return Ok(());
        }
        let of_tree = served.values().filter(|other| tree.is_some() && other.tree.as_deref() == tree).count();
        anyhow::ensure!(of_tree < MADE_BY_TREE_MAX, "its workload has {of_tree} network namespaces already");
        // One place is the host's own.
        anyhow::ensure!(served.len() + 1 < NAMESPACES_MAX, "{NAMESPACES_MAX} network namespaces are captured already");

        let (port, left) = (self.port, self.left.lock().await.remove(&file));
        let made = tokio::task::spawn_blocking(move || {
            let make = || match is_loopback_up()? {
                true => Sockets::make(port),
                false => Err(io::ErrorKind::NetworkDown.into()),
            };
            let sockets = left.map_or_else(|| enter_and(namespace.as_fd(), make), Ok);
            sockets.map(|sockets| (namespace, sockets))
        });
        let (namespace, sockets) = made.await?.map_err(explain).context("failed to listen in the network namespace")?;
        let mut tasks = JoinSet::new();
        sockets.try_clone()?.serve(&self.gatehouse, &mut tasks)?;
        // Not before the listeners stand: the port could be somebody else's.
        let id = self.gatehouse.capture.allow_namespace(namespace.as_fd(), loopback)?;
        tracing::info!(
            cookie = id.cookie(),
            tree = tree.map(|tree| tree.display().to_string()),
            "listening in a network namespace"
        );
        served.insert(file, Served { id, tree: tree.map(Into::into), missed: 0, sockets, tasks });
        Ok(())
    }

    /// Serves what governed processes are in already, those of an earlier daemon, and forgets the rest.
    pub(super) async fn adopt(&self) -> anyhow::Result<()> {
        let mut walk = Walk::default();
        while !self.step(&mut walk).await? {}
        let served: Vec<_> = self.served.lock().await.values().map(|served| served.id).collect();
        self.gatehouse.capture.forget_namespaces_except(&served)?;
        // Nobody is left in those that were not met.
        self.left.lock().await.clear();
        Ok(())
    }

    /// Accepts nothing any more; who connects waits in the backlogs.
    pub(super) async fn stop_accepting(&self) {
        for served in self.served.lock().await.values_mut() {
            served.tasks.shutdown().await;
        }
    }

    /// The sockets of every namespace, for the next daemon.
    pub(super) async fn leave(&self) -> io::Result<HashMap<NamespaceFile, Sockets>> {
        let served = self.served.lock().await;
        served.iter().map(|(file, served)| Ok((*file, served.sockets.try_clone()?))).collect()
    }

    /// Goes some cgroups further: serves namespaces that are new, and forgets those that are left. Answers whether
    /// that was the end of a walk over all of them.
    pub(super) async fn step(&self, walk: &mut Walk) -> anyhow::Result<bool> {
        let known: HashSet<NamespaceFile> = self.served.lock().await.keys().chain([&self.own]).copied().collect();
        let mut walking = std::mem::take(walk);
        let gatehouse = self.gatehouse.clone();
        let stepped = tokio::task::spawn_blocking(move || {
            let step = walking.step(|| gatehouse.capture.trees(), &known);
            (walking, step)
        });
        let (walked, step) = stepped.await?;
        *walk = walked;
        let Step { found, met } = step?;
        for found in found {
            self.serve_or_tell(found).await;
        }
        let ended = met.is_some();
        if let Some(met) = met {
            self.forget_missed(&met).await;
        }
        Ok(ended)
    }

    async fn serve_or_tell(&self, found: Found) {
        let (pid, tree) = (found.pid, found.tree.clone());
        if let Err(error) = self.serve_found(found).await {
            let (error, tree) = (format!("{error:#}"), tree.display());
            tracing::warn!(pid, %tree, error, "connects in a network namespace stay refused");
        }
    }

    async fn serve_found(&self, found: Found) -> anyhow::Result<()> {
        let namespace = Namespace::of_process(found.pid)?;
        // The pid may have been given to a stranger before the namespace was opened.
        let cgroup = cgroup_of(found.pid).context("the process has ended")?;
        anyhow::ensure!(self.gatehouse.capture.governs(&cgroup), "the process has left its workload");
        self.serve(namespace, Loopback::Shared, Some(&found.tree)).await
    }

    /// Notes which namespaces a whole walk has met; forgets those that it and the one before have not.
    async fn forget_missed(&self, met: &HashSet<NamespaceFile>) {
        self.served.lock().await.retain(|file, served| {
            served.missed = if met.contains(file) { 0 } else { served.missed + 1 };
            if served.missed < MISSED_MAX {
                return true;
            }
            // First the cookie, then, by dropping, the listeners.
            match self.gatehouse.capture.forget_namespace(served.id) {
                Ok(()) => {
                    tracing::info!(cookie = served.id.cookie(), "a network namespace was left");
                    false
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot forget a network namespace");
                    true
                }
            }
        });
    }
}

/// Says what the kernel's word for it means here.
fn explain(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NetworkDown => {
            anyhow::anyhow!("its loopback interface is down\n  hint: `ip link set lo up`")
        }
        io::ErrorKind::AddrInUse => anyhow::anyhow!("the daemon's port is taken in it"),
        _ => error.into(),
    }
}
