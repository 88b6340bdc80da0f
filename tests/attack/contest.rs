//! One attempt after another, in every place: who it was, what it said, and where it was heard.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use portcullis_tests::guard::{Guard, Refusals};
use serde_json::Value;

use crate::{
    attempts::{Attempt, Entry, Evidence},
    field::{Callers, Field, Listeners},
    outside::{Doors, Luggage, USER, Victim},
    scene::{INHERITED_ESTABLISHED, INHERITED_TCP, INHERITED_UDP, RESOLVER, Scene},
    sys,
};

/// Longest that an attacker may take; it ends itself earlier.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
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

/// Who tries, and from where.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Outside of every workload: whether it works here at all.
    FreeRoot,
    FreeUser,
    /// In a captured cgroup, as any unit might be, with all capabilities.
    CgroupRoot,
    /// In a captured cgroup, without privileges.
    CgroupUser,
    /// Started by `portcullis run`.
    Jail,
}

impl Place {
    pub const ALL: [Self; 5] = [Self::FreeRoot, Self::FreeUser, Self::CgroupRoot, Self::CgroupUser, Self::Jail];

    pub fn name(self) -> &'static str {
        match self {
            Self::FreeRoot => "free, root",
            Self::FreeUser => "free, user",
            Self::CgroupRoot => "captured cgroup, root",
            Self::CgroupUser => "captured cgroup, user",
            Self::Jail => "portcullis run",
        }
    }

    pub fn governed(self) -> bool {
        match self {
            Self::FreeRoot | Self::FreeUser => false,
            Self::CgroupRoot | Self::CgroupUser | Self::Jail => true,
        }
    }

    pub fn root(self) -> bool {
        match self {
            Self::FreeRoot | Self::CgroupRoot => true,
            Self::FreeUser | Self::CgroupUser | Self::Jail => false,
        }
    }

    /// The same process, were it not governed.
    pub fn freed(self) -> Self {
        if self.root() { Self::FreeRoot } else { Self::FreeUser }
    }
}

/// What the attacker said of its attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// Every step went through.
    Went,
    /// The step, and the error's number: zero where it has none.
    Refused { step: String, errno: i32 },
    /// It said nothing: it hung, or was killed.
    Died,
    /// The launcher did not let it begin.
    NotStarted,
    /// It is for other machines, or makes no sense in this place.
    NotTried,
}

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

/// Everything that attempts need, set up once.
pub struct Contest {
    guard: Guard,
    _doors: Doors,
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
        let setuid = doors_directory.join("setuid");
        fs::copy(&program, &setuid)?;
        fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755))?;
        let victims = [Victim::start(&program, 0, &field)?, Victim::start(&program, USER, &field)?];
        let guard = Guard::start(portcullis, directory.path(), &instance, DAEMON_PORT, RESOLVER)
            .context("starting the daemon")?;
        let mut contest = Self {
            guard,
            _doors: doors,
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
        let callers = if called { Some(Callers::start(&self.field, scene.port)?) } else { None };

        let mut command = self.attacker(attempt, &scene, place, &luggage)?;
        let mut child = command.spawn().context("starting an attacker")?;
        let said = self.follow(attempt, place, &mut child)?;
        drop(callers);
        thread::sleep(if self.guest { SETTLE * GUEST_FACTOR } else { SETTLE });
        self.field.pass_fence()?;
        if let Some(listeners) = listeners {
            listeners.collect();
        }
        self.victims.iter().for_each(|victim| victim.listen(&self.field.ear));
        let heard = self.field.ear.close();
        let refusals = self.refused_since(&before, place)?;
        if attempt.breaks && place == Place::CgroupRoot {
            self.guard.restart().context("putting the guard back")?;
        }
        Ok(Outcome { said, heard, refusals })
    }

    /// The layers that `portcullis doctor` says are there.
    pub fn layers(&self) -> Result<BTreeSet<String>> {
        let output = self.guard.command(&["doctor", "--json"]).output()?;
        let facts: Value = serde_json::from_slice(&output.stdout).context("portcullis doctor")?;
        let listed = facts.as_array().or_else(|| facts.get("facts")?.as_array()).context("no facts")?;
        let present = listed.iter().filter(|fact| fact.get("present").and_then(Value::as_bool) == Some(true));
        let names = present.filter_map(|fact| fact.get("name")?.as_str()?.strip_prefix("layer "));
        Ok(names.map(str::to_owned).collect())
    }

    /// Whether `portcullis run` lets a command be root.
    pub fn root_may_enter(&self) -> Result<bool> {
        let output = self.guard.command(&["run", "--user", "root", "--", "true"]).output()?;
        Ok(output.status.success())
    }

    fn scene(&self, place: Place) -> Result<Scene> {
        let port = self.ports.fetch_add(1, Ordering::SeqCst);
        let mut scene = Scene {
            marker: format!("marker-{port:05}-{}", self.instance.len() ^ usize::from(port)),
            port,
            daemon_port: self.guard.port,
            directory: self.directory.path().join("doors").display().to_string(),
            instance: self.instance.clone(),
            free_cgroup: self.guard.free.display().to_string(),
            own_cgroup: if place.governed() { &self.guard.captured } else { &self.guard.free }.display().to_string(),
            far_namespace: self.directory.path().join("far").display().to_string(),
            links: self.guard.links()?.display().to_string(),
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

    fn attacker(&self, attempt: &Attempt, scene: &Scene, place: Place, luggage: &Luggage) -> Result<Command> {
        let mut command = match place {
            Place::Jail => {
                let mut command = self.run();
                command.arg(&self.program);
                command
            }
            Place::FreeRoot | Place::FreeUser | Place::CgroupRoot | Place::CgroupUser => Command::new(&self.program),
        };
        command.args(["try", attempt.name]).arg(scene.to_json().to_string()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut brought = Vec::new();
        match attempt.entry {
            Entry::WithSockets => {
                brought.push((luggage.tcp.as_raw_fd(), INHERITED_TCP));
                brought.push((luggage.udp.as_raw_fd(), INHERITED_UDP));
                brought.push((luggage.connection.as_raw_fd(), INHERITED_ESTABLISHED));
            }
            Entry::WithConnectionAsInput => drop(command.stdin(luggage.as_input()?)),
            Entry::Started | Entry::Moved | Entry::Called => {}
        }
        let captured = matches!(place, Place::CgroupRoot | Place::CgroupUser) && attempt.entry != Entry::Moved;
        let cgroup = match captured {
            true => Some(File::options().write(true).open(self.guard.captured.join("cgroup.procs"))?),
            false => None,
        };
        let user = matches!(place, Place::FreeUser | Place::CgroupUser);
        // SAFETY: system calls only, nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                for (from, to) in &brought {
                    sys::checked(libc::dup2(*from, *to).into())?;
                }
                if let Some(mut cgroup) = cgroup.as_ref() {
                    cgroup.write_all(b"0")?;
                }
                if user {
                    become_nobody()?;
                }
                Ok(())
            });
        }
        Ok(command)
    }

    /// Waits for an attacker's last word.
    fn follow(&self, attempt: &Attempt, place: Place, child: &mut Child) -> Result<Said> {
        let output = BufReader::new(child.stdout.take().context("an attacker's output")?);
        let errors = child.stderr.take().context("an attacker's errors")?;
        let errors = thread::spawn(move || std::io::read_to_string(errors));
        let input = child.stdin.take();
        let cgroup = (attempt.entry == Entry::Moved && place.governed()).then(|| self.guard.captured.clone());
        let pid = child.id();
        let words = thread::spawn(move || listen(output, input, cgroup, pid));
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > ATTEMPT_MAX {
                child.kill()?;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let words = words.join().map_err(|_| anyhow::anyhow!("an attacker's listener panicked"))?;
        let errors = errors.join().map_err(|_| anyhow::anyhow!("an attacker's listener panicked"))??;
        match words.last().map(String::as_str) {
            Some("went") => Ok(Said::Went),
            Some(line) if line.starts_with("refused ") => refused(line),
            _ if status.code() == Some(126) => Ok(Said::NotStarted),
            _ if status.code().is_none() || words.iter().any(|word| word == "trying") => Ok(Said::Died),
            _ => bail!("{} said nothing ({status}): {}", attempt.name, errors.trim()),
        }
    }
}

/// Reads an attacker's lines; one that is ready is moved into the cgroup, and told to go on.
fn listen(
    output: BufReader<ChildStdout>,
    mut input: Option<std::process::ChildStdin>,
    cgroup: Option<PathBuf>,
    pid: u32,
) -> Vec<String> {
    let mut words = Vec::new();
    for line in output.lines().map_while(Result::ok) {
        if line == "ready" {
            if let Some(cgroup) = &cgroup {
                let _ = fs::write(cgroup.join("cgroup.procs"), pid.to_string());
            }
            if let Some(input) = &mut input {
                let _ = input.write_all(b".");
            }
        }
        words.push(line);
    }
    words
}

fn refused(line: &str) -> Result<Said> {
    let mut words = line.splitn(3, ' ').skip(1);
    let errno = words.next().and_then(|word| word.parse().ok()).with_context(|| format!("`{line}`"))?;
    Ok(Said::Refused { step: words.next().unwrap_or_default().to_owned(), errno })
}

fn difference(after: &Refusals, before: &Refusals) -> Refusals {
    let more = after.iter().map(|(name, count)| (name, count.saturating_sub(before.get(name).copied().unwrap_or(0))));
    more.filter(|(_, count)| *count > 0).map(|(name, count)| (name.clone(), count)).collect()
}

fn become_nobody() -> std::io::Result<()> {
    // SAFETY: numbers only.
    unsafe {
        sys::checked(libc::setgroups(0, std::ptr::null()).into())?;
        sys::checked(libc::setresgid(USER, USER, USER).into())?;
        sys::checked(libc::setresuid(USER, USER, USER).into()).map(drop)
    }
}

/// The attacker's own process: makes one attempt, and says what came of it.
pub fn attack(name: &str, scene: &str) -> Result<()> {
    let attempt = crate::attempts::find(name).with_context(|| format!("there is no attempt `{name}`"))?;
    let scene = Scene::from_json(scene)?;
    println!("trying");
    std::io::stdout().flush()?;
    // SAFETY: a number; the alarm ends what hangs.
    unsafe { libc::alarm(if scene.guest { 20 } else { 4 }) };
    match (attempt.how)(&scene) {
        Ok(()) => println!("went"),
        Err(refused) => {
            println!("refused {} {}", refused.error.raw_os_error().unwrap_or_default(), refused.step);
            eprintln!("{}: {}", refused.step, refused.error);
        }
    }
    Ok(())
}

/// The kernel's release.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
