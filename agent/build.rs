//! Builds the kernel side, `agent-ebpf`, from source, and leaves the object in `OUT_DIR` for the daemon to embed.
//!
//! BPF needs a `core` for its own target. A nightly toolchain with `rust-src` compiles one; some distributions ship
//! one beside their compiler. Without either, the build ends with the commands that install them.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

const TARGET: &str = "bpfel-unknown-none";
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let workspace = Path::new("..").canonicalize().map_err(|e| format!("failed to find the workspace: {e}"))?;
    watch(&workspace);
    if env::var_os("CARGO_CFG_TARGET_ENDIAN").is_some_and(|endian| endian != "little") {
        return Err("Portcullis runs on little-endian machines only.".into());
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let linker = find_linker().ok_or_else(|| missing("bpf-linker was not found."))?;
    let toolchain = Toolchain::find().ok_or_else(|| missing("No Rust toolchain here has a `core` for BPF."))?;

    let target_dir = out.join("ebpf");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(workspace.join("agent-ebpf"))
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&linker))
        .stdin(Stdio::null());
    let output = cargo.output().map_err(|e| format!("failed to start {cargo:?}: {e}"))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        return Err(format!("failed to build agent-ebpf with {}:\n\n{messages}", toolchain.describe()));
    }

    let object = target_dir.join(TARGET).join("release/portcullis");
    fs::copy(&object, out.join("portcullis.bpf")).map_err(|e| format!("failed to copy {}: {e}", object.display()))?;
    Ok(())
}

fn watch(workspace: &Path) {
    for source in ["agent-ebpf/src", "agent-ebpf/Cargo.toml", "agent-ebpf/Cargo.lock", "agent-common"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTUP_HOME");
}

/// Where a `core` for BPF comes from.
enum Toolchain {
    /// rustup's nightly compiles `core` from `rust-src`.
    Nightly,
    /// The distribution's compiler brings a compiled one.
    Distribution,
}

impl Toolchain {
    fn find() -> Option<Self> {
        let nightly = sysroot(Command::new("rustup").args(["run", "nightly", "rustc"]));
        if nightly.is_some_and(|root| root.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()) {
            return Some(Self::Nightly);
        }
        let distribution = sysroot(&mut Command::new(DISTRIBUTION_RUSTC))?;
        has_core(&distribution.join("lib/rustlib").join(TARGET).join("lib")).ok()?.then_some(Self::Distribution)
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Nightly => {
                let mut cargo = isolated("rustup");
                cargo.args(["run", "nightly", "cargo", "-Z", "build-std=core"]);
                cargo
            }
            Self::Distribution => {
                let mut cargo = isolated(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                // The target is unstable for lack of a compiled `core`, and here there is one.
                cargo.env("RUSTC", DISTRIBUTION_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::Nightly => "rustup's nightly",
            Self::Distribution => DISTRIBUTION_RUSTC,
        }
    }
}

/// A command that knows nothing of the build around it: neither its flags, its wrapper (clippy) nor its directories.
fn isolated(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    for (name, _) in env::vars_os() {
        let inherited = name.to_string_lossy();
        let of_a_build = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CLIPPY"];
        let of_the_machine = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];
        if of_a_build.iter().any(|prefix| inherited.starts_with(prefix))
            && !of_the_machine.iter().any(|prefix| inherited.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    let output =
        rustc.env_remove("RUSTUP_TOOLCHAIN").args(["--print", "sysroot"]).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn has_core(libraries: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(libraries)? {
        if entry?.file_name().to_string_lossy().starts_with("libcore-") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks in `PATH`, then where `cargo install` puts it.
fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .map(|home| home.join("bin"));
    env::split_paths(&path).chain(installed).map(|directory| directory.join("bpf-linker")).find(|file| file.is_file())
}

/// Separated as cargo wants it, so that a path may hold spaces. `--btf` keeps the types that socket storage needs.
fn rustflags(linker: &Path) -> OsString {
    let mut flags = OsString::from("-Clinker=");
    flags.push(linker);
    flags.push("\x1f-Clink-arg=--btf");
    flags
}

fn missing(what: &str) -> String {
    format!(
        "{what}

Portcullis builds its kernel side from source. Install what that takes, either

    rustup toolchain install nightly --component rust-src
    cargo install bpf-linker

or, on Debian and Ubuntu,

    apt-get install rustc-web libstd-rust-web-dev-bpf
    cargo install bpf-linker --version 0.10.4 --locked

and build again.
"
    )
}
