//! The policy in force: loaded at start, replaced when its files change, never lost.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::policy::{Bundle, Engine, Finding, Findings, activate};

/// Files must have been quiet for this long before they are read: an editor writes more than once.
const QUIET: Duration = Duration::from_millis(300);

/// How often the files are read even though nothing was notified (network file systems, replaced directories).
const REREAD_INTERVAL: Duration = Duration::from_secs(30);

/// Stack of the thread that parses and validates rules.
const RELOAD_STACK_BYTES: usize = 8 << 20;

/// Where a policy comes from, and where its last good state is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None`: the embedded default.
    pub directory: Option<PathBuf>,
    pub state_dir: PathBuf,
}

/// Holds the engine that is in force.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    current: RwLock<Arc<Engine>>,
    /// One reload at a time; the state and the engine change together.
    state: Mutex<State>,
    generations: watch::Sender<u64>,
}

/// What is in force, and what is wrong with the files.
#[derive(Clone, Debug)]
pub struct State {
    pub generation: u64,
    pub origin: Origin,
    /// Why the files as they stand are not in force; `None` when they are.
    pub broken: Option<Findings>,
    bundle: Option<Bundle>,
}

/// Where the rules in force were taken from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    Embedded,
    Directory,
    /// The directory is broken; these are the rules that were good before.
    LastGood,
    /// There are no usable rules: everything is denied.
    Nothing,
}

impl Origin {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Directory => "directory",
            Self::LastGood => "last good",
            Self::Nothing => "nothing",
        }
    }
}

impl Store {
    /// Loads what there is. A broken directory is no reason to fail: the last good rules serve, or everything is denied.
    pub fn open(settings: Settings) -> Arc<Self> {
        let (engine, state) = first(&settings);
        let generations = watch::Sender::new(state.generation);
        Arc::new(Self { settings, current: RwLock::new(Arc::new(engine)), state: Mutex::new(state), generations })
    }

    /// The engine in force now.
    pub fn current(&self) -> Arc<Engine> {
        Arc::clone(&self.current.read())
    }

    /// Tells each new generation, so that live sessions are judged again.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generations.subscribe()
    }

    pub fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Reads the directory again and puts it in force if it is good. Fails with what is wrong, and then the
    /// rules in force stay. Blocks while it reads, parses and tests: not for an asynchronous task.
    pub fn reload(&self) -> Result<u64, Findings> {
        let Some(directory) = &self.settings.directory else { return Ok(self.current().generation()) };
        let mut state = self.state.lock();
        match read(directory).and_then(|bundle| self.replace(&mut state, bundle)) {
            Ok(generation) => {
                state.broken = None;
                Ok(generation)
            }
            Err(findings) => {
                if state.broken.as_ref() != Some(&findings) {
                    complain(directory, state.origin, &findings);
                }
                state.broken = Some(findings.clone());
                Err(findings)
            }
        }
    }

    /// Reloads whenever the directory changes, until the guard is dropped. `None` without a directory.
    ///
    /// Where changes are not notified, the directory is still read every half minute.
    pub fn watch(self: &Arc<Self>) -> io::Result<Option<Watch>> {
        let Some(directory) = self.settings.directory.clone() else { return Ok(None) };
        let (events, changes) = mpsc::channel();
        let watcher = notifier(&directory, events.clone())
            .inspect_err(|error| tracing::warn!(%error, "changes of the policy directory are not notified"))
            .ok();
        let store = Arc::clone(self);
        let reloader = thread::Builder::new().name("policy-reload".to_owned()).stack_size(RELOAD_STACK_BYTES);
        reloader.spawn(move || store.follow(&changes))?;
        Ok(Some(Watch { _watcher: watcher, events }))
    }

    fn follow(&self, changes: &mpsc::Receiver<Event>) {
        loop {
            match changes.recv_timeout(REREAD_INTERVAL) {
                Ok(Event::Changed) => while let Ok(Event::Changed) = changes.recv_timeout(QUIET) {},
                Ok(Event::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            // What is wrong has been logged and stands in the state.
            let _ = self.reload();
        }
    }

    fn replace(&self, state: &mut State, bundle: Bundle) -> Result<u64, Findings> {
        if state.bundle.as_ref() == Some(&bundle) && state.origin == Origin::Directory {
            return Ok(state.generation);
        }
        let generation = state.generation + 1;
        let engine = activate(&bundle, generation)?;
        keep(&self.settings.state_dir, &bundle);
        *self.current.write() = Arc::new(engine);
        *state = State { generation, origin: Origin::Directory, broken: None, bundle: Some(bundle) };
        self.generations.send_replace(generation);
        tracing::info!(generation, "new policy rules are in force");
        Ok(generation)
    }
}

/// Keeps the directory watched; the reloading thread ends with it.
#[derive(Debug)]
pub struct Watch {
    _watcher: Option<notify::RecommendedWatcher>,
    events: mpsc::Sender<Event>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Changed,
    Stop,
}

fn notifier(directory: &Path, events: mpsc::Sender<Event>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event too, and must not cause the next one.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            // Whoever listened is gone: nothing to tell.
            let _ = events.send(Event::Changed);
        }
    })?;
    watcher.watch(directory, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// The engine at start, and how it came to be.
fn first(settings: &Settings) -> (Engine, State) {
    const FIRST: u64 = 1;
    let Some(directory) = &settings.directory else {
        let bundle = Bundle::embedded();
        // Its tests are run when the daemon is built.
        return match Engine::compile(&bundle, FIRST) {
            Ok(engine) => {
                (engine, State { generation: FIRST, origin: Origin::Embedded, broken: None, bundle: Some(bundle) })
            }
            Err(findings) => nothing(findings, FIRST),
        };
    };
    let findings = match read(directory).and_then(|bundle| Ok((activate(&bundle, FIRST)?, bundle))) {
        Ok((engine, bundle)) => {
            keep(&settings.state_dir, &bundle);
            return (
                engine,
                State { generation: FIRST, origin: Origin::Directory, broken: None, bundle: Some(bundle) },
            );
        }
        Err(findings) => findings,
    };
    // Its own tests have passed when it was kept, and a daemon of another version may judge them otherwise.
    let kept = recall(&settings.state_dir).and_then(|bundle| Some((Engine::compile(&bundle, FIRST).ok()?, bundle)));
    match kept {
        Some((engine, bundle)) => {
            complain(directory, Origin::LastGood, &findings);
            let state =
                State { generation: FIRST, origin: Origin::LastGood, broken: Some(findings), bundle: Some(bundle) };
            (engine, state)
        }
        None => {
            complain(directory, Origin::Nothing, &findings);
            nothing(findings, FIRST)
        }
    }
}

fn nothing(findings: Findings, generation: u64) -> (Engine, State) {
    let reason = "no usable policy is loaded, so everything is refused; `portcullis status` says what is wrong";
    let state = State { generation, origin: Origin::Nothing, broken: Some(findings), bundle: None };
    (Engine::closed(reason, generation), state)
}

fn read(directory: &Path) -> Result<Bundle, Findings> {
    Bundle::read(directory).map_err(|error| Finding::in_file(directory.display().to_string(), error.to_string()).into())
}

fn complain(directory: &Path, origin: Origin, findings: &Findings) {
    let in_force = origin.name();
    tracing::error!(
        directory = %directory.display(),
        in_force,
        "the policy directory is BROKEN and not in force:\n{findings}"
    );
}

fn kept_path(state_dir: &Path) -> PathBuf {
    state_dir.join("policy").join("last-good.json")
}

/// Keeps a good bundle for restarts. A failure is logged: the rules in force do not depend on it.
fn keep(state_dir: &Path, bundle: &Bundle) {
    if let Err(error) = write(&kept_path(state_dir), bundle) {
        tracing::warn!(%error, "failed to keep the policy for restarts");
    }
}

/// Replaces the file as a whole, or leaves it as it was.
fn write(path: &Path, bundle: &Bundle) -> io::Result<()> {
    use io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(bundle)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}

fn recall(state_dir: &Path) -> Option<Bundle> {
    let path = kept_path(state_dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(%error, "failed to read the policy that was kept");
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .inspect_err(|error| tracing::error!(%error, "the policy that was kept is unreadable"))
        .ok()
}
