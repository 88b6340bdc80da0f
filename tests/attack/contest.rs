//! One attempt after another, in every place: who it was, what it said, and where it was heard.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::guard::{Guard, Refusals};
use serde_json::Value;

use crate::{
    attacker::{self, Said},
    attempts::{Attempt, Entry, Evidence, needs},
    field::{Callers, Field, Listeners},
    fuse::Served,
    outside::{Doors, Luggage, Squatters, USER, Victim},
    place::Place,
    scene::{RESOLVER, Scene},
};

/// From here on `splice` sends as `sendmsg` does, so that security modules are asked.
const SPLICES_ARE_SENT: (u32, u32) = (6, 5);
/// How long helpers get to hear what was said to them.
const SETTLE: Duration = Duration::from_millis(20);
/// How much longer on a machine without acceleration.
const GUEST_FACTOR: u32 = 10;
/// In a network namespace of our own nobody else has it.
const DAEMON_PORT: u16 = 15_001;
/// So many reasons for one attempt are a canary's.
const CANARY_REASONS: usize = 2;
/// The first port of attempts; each has its own.
const PORTS: u16 = 7_000;

/// What came of one attempt in one place.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub said: Said,
    pub heard: BTreeSet<String>,
    /// What the kernel refused meanwhile.
    pub refusals: Refusals,
}

impl Outcome {
    pub fn leaked(&self, attempt: &Attempt) -> bool {
        !self.heard.is_empty() || (attempt.evidence == Evidence::Consent && self.said == Said::Went)
    }
}

/// What `portcullis doctor` says of the daemon's layers, and of whatever else of the kernel.
#[derive(Clone, Debug)]
pub struct Layers {
    pub present: BTreeSet<String>,
    /// Those that this kernel lacks, and without which the daemon starts when the configuration allows it.
    pub allowed: Vec<String>,
}

impl Layers {
    fn of(portcullis: &Path) -> Result<Self> {
        let output = Command::new(portcullis).args(["doctor", "--json"]).output()?;
        let facts: Value = serde_json::from_slice(&output.stdout).context("portcullis doctor")?;
        let facts = facts.as_array().context("no facts")?;
        let (mut present, mut allowed) = (BTreeSet::new(), Vec::new());
        for fact in facts {
            let name = fact.get("name").and_then(Value::as_str).context("a fact's name")?;
            let is_present = fact.get("present").and_then(Value::as_bool).context("whether it is there")?;
            match name.strip_prefix("layer ") {
                layer if is_present => drop(present.insert(layer.unwrap_or(name).to_owned())),
                // Nothing promises security hooks, so nobody has to allow that they are missing.
                Some("lsm") | None => {}
                Some(layer) => allowed.push(layer.to_owned()),
            }
        }
        if present.contains("lsm") && release().is_some_and(|release| release >= SPLICES_ARE_SENT) {
            present.insert(needs::LSM_SEES_SPLICES.to_owned());
        }
        Ok(Self { present, allowed })
    }
}

/// Everything that attempts need, set up once.
pub struct Contest {
    pub layers: Layers,
    guard: Guard,
    _doors: Doors,
    /// Dropped before its directory is.
    _served: Option<Served>,
    victims: [Victim; 2],
    program: PathBuf,
    directory: tempfile::TempDir,
    field: Field,
    instance: String,
    ports: AtomicU16,
    guest: bool,
    /// What `portcullis run` itself tries and is refused, before its command begins.
    probing: Refusals,
}

impl Contest {
    pub fn set_up(portcullis: &Path, guest: bool) -> Result<Self> {
        let field = Field::build().context("building the field")?;
        let instance = format!("portcullis-attack-{}", std::process::id());
        // Not in /tmp, which a jail has of its own: what is hidden has to be hidden on purpose.
        let directory = tempfile::Builder::new().prefix(&instance).tempdir_in("/var/lib")?;
        let doors_directory = directory.path().join("doors");
        fs::create_dir(&doors_directory)?;
        for open in [directory.path(), &doors_directory] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
        }
        let program = directory.path().join("attacker");
        fs::copy(std::env::current_exe()?, &program)?;
        field.name_far_host(&directory.path().join("far"))?;
        let doors = Doors::open(&doors_directory, &instance, &field).context("opening helpers' doors")?;
        let served = Served::mount(&directory.path().join("served"), &field.ear).context("serving a file system")?;
        let setuid = doors_directory.join("setuid");
        fs::copy(&program, &setuid)?;
        fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755))?;
        let layers = Layers::of(portcullis)?;
        let victims = [Victim::start(&program, 0, &field)?, Victim::start(&program, USER, &field)?];
        let start = |allowed: &[String]| {
            Guard::start_without(allowed, portcullis, directory.path(), &instance, DAEMON_PORT, RESOLVER)
        };
        if !layers.allowed.is_empty() {
            let refused = start(&[]).err().context("the daemon starts without a layer that nothing allows to miss")?;
            ensure!(format!("{refused:#}").contains("lacks the layer"), "the daemon does not start: {refused:#}");
        }
        let guard = start(&layers.allowed).context("starting the daemon")?;
        let mut contest = Self {
            layers,
            guard,
            _doors: doors,
            _served: served,
            victims,
            program,
            directory,
            field,
            instance,
            ports: AtomicU16::new(PORTS),
            guest,
            probing: Refusals::new(),
        };
        contest.probing = contest.probing()?;
        Ok(contest)
    }

    /// Makes one attempt in one place; again where the daemon's canary got between, which is refused a lot at once.
    pub fn attempt(&mut self, attempt: &Attempt, place: Place) -> Result<Outcome> {
        let outcome = self.once(attempt, place)?;
        if outcome.refusals.len() < CANARY_REASONS { Ok(outcome) } else { self.once(attempt, place) }
    }

    fn once(&mut self, attempt: &Attempt, place: Place) -> Result<Outcome> {
        let nothing = |said| Outcome { said, heard: BTreeSet::new(), refusals: Refusals::new() };
        if (attempt.guest_only && !self.guest) || (attempt.entry == Entry::Moved && place == Place::Jail) {
            return Ok(nothing(Said::NotTried));
        }
        let scene = self.scene(place)?;
        let before = self.refusals(place)?;
        let luggage = Luggage::pack(&self.field)?;
        let called = attempt.entry == Entry::Called;
        let listeners = if called { None } else { Some(Listeners::open(&self.field, scene.port)?) };
        // What is on the wire so far is the rig's own.
        self.field.pass_fence()?;
        self.field.ear.listen(&scene);
        if attempt.entry == Entry::Moved {
            // It connects while it is free; what it says counts.
            self.field.ear.overlook_events();
        }
        let callers = if called { Some(Callers::start(&self.field, scene.port)?) } else { None };

        let captured = &self.guard.captured;
        let mut command = attacker::equip(self.command(place), (attempt, place), &scene, &luggage, captured)?;
        let child = command.spawn().context("starting an attacker")?;
        let squatters = Squatters::default();
        let said = match attempt.entry {
            Entry::Moved if place.governed() => {
                let members = captured.join("cgroup.procs");
                let join = move |pid: u32| drop(fs::write(members, pid.to_string()));
                attacker::follow(child, attempt, join)?
            }
            Entry::Orphaned if place.governed() => {
                let (port, ear, squatters) = (self.guard.port, self.field.ear.clone(), squatters.clone());
                let mut daemon = self.guard.leave();
                let squat = move |_| {
                    let gone = daemon.as_mut().is_some_and(|daemon| daemon.kill().is_ok());
                    if gone { squatters.sit(port, &ear) } else { ear.notice("the daemon lives") }
                };
                attacker::follow(child, attempt, squat)?
            }
            Entry::Started
            | Entry::WithSockets
            | Entry::WithConnectionAsInput
            | Entry::Moved
            | Entry::Called
            | Entry::Orphaned => attacker::follow(child, attempt, |_| ())?,
        };
        drop(callers);
        thread::sleep(if self.guest { SETTLE * GUEST_FACTOR } else { SETTLE });
        self.field.pass_fence()?;
        if let Some(listeners) = listeners {
            listeners.collect();
        }
        self.victims.iter().for_each(|victim| victim.listen(&self.field.ear));
        squatters.leave();
        let heard = self.field.ear.close();
        if attempt.entry == Entry::Orphaned && place.governed() {
            self.guard.restart().context("starting the daemon again")?;
        }
        let mut refusals = self.refused_since(&before, place)?;
        if attempt.entry == Entry::Orphaned {
            // A daemon that starts proves each of its trees.
            refusals.retain(|reason, _| !self.probing.contains_key(reason));
        }
        if attempt.breaks && place == Place::CgroupRoot {
            self.guard.restart().context("putting the guard back")?;
        }
        Ok(Outcome { said, heard, refusals })
    }

    /// Whether `portcullis run` lets a command be root.
    pub fn root_may_enter(&self) -> Result<bool> {
        let output = self.guard.command(&["run", "--user", "root", "--", "true"]).output()?;
        Ok(output.status.success())
    }

    fn scene(&self, place: Place) -> Result<Scene> {
        let port = self.ports.fetch_add(1, Ordering::SeqCst);
        let mut scene = Scene {
            marker: format!("marker-{port:05}-{}", std::process::id()),
            port,
            daemon_port: self.guard.port,
            control: self.directory.path().join("control.sock").display().to_string(),
            directory: self.directory.path().join("doors").display().to_string(),
            instance: self.instance.clone(),
            free_cgroup: self.guard.free.display().to_string(),
            own_cgroup: if place.governed() { &self.guard.captured } else { &self.guard.free }.display().to_string(),
            far_namespace: self.directory.path().join("far").display().to_string(),
            links: self.guard.links()?.display().to_string(),
            maps: self.guard.maps()?.display().to_string(),
            served: self.directory.path().join("served").display().to_string(),
            guest: self.guest,
            governed: place.governed(),
            ..Scene::default()
        };
        let [root, user] = &self.victims;
        if place.root() { root } else { user }.introduce(&mut scene)?;
        Ok(scene)
    }

    /// Counters of the kernel's programs, and when the canary was last proven; those who are free move none.
    fn refusals(&self, place: Place) -> Result<(Refusals, Option<u64>)> {
        if place.governed() { self.guard.refusals() } else { Ok((Refusals::new(), None)) }
    }

    /// What the attempt itself was refused: not the proof before a jailed command, nor the daemon's canary.
    fn refused_since(&self, (before, proven): &(Refusals, Option<u64>), place: Place) -> Result<Refusals> {
        let (after, proven_since) = self.refusals(place)?;
        let mut refused = difference(&after, before);
        for _ in 0..usize::from(place == Place::Jail) + usize::from(*proven != proven_since) {
            refused = difference(&refused, &self.probing);
        }
        Ok(refused)
    }

    fn probing(&self) -> Result<Refusals> {
        let (before, _) = self.guard.refusals()?;
        let output = self.run().arg("true").output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`portcullis run -- true` failed: {error}");
        Ok(difference(&self.guard.refusals()?.0, &before))
    }

    /// As the user whom the victim outside belongs to: the harder case.
    fn run(&self) -> Command {
        self.guard.command(&["run", "--name", "attacker", "--user", &USER.to_string(), "--"])
    }

    /// What an attacker is started by.
    fn command(&self, place: Place) -> Command {
        match place {
            Place::Jail => {
                let mut command = self.run();
                command.arg(&self.program);
                command
            }
            Place::FreeRoot | Place::FreeUser | Place::CgroupRoot | Place::CgroupUser => Command::new(&self.program),
        }
    }
}

impl Drop for Contest {
    fn drop(&mut self) {
        // A mounted file keeps its directory from being removed.
        let _ = nix::mount::umount(&self.directory.path().join("far"));
    }
}

fn difference(after: &Refusals, before: &Refusals) -> Refusals {
    let more = after.iter().map(|(name, count)| (name, count.saturating_sub(before.get(name).copied().unwrap_or(0))));
    more.filter(|(_, count)| *count > 0).map(|(name, count)| (name.clone(), count)).collect()
}

/// The first two numbers of the kernel's release.
fn release() -> Option<(u32, u32)> {
    let kernel = kernel();
    let mut numbers = kernel.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The kernel's release.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
