//! Ordinary tools, as a person would use them in a jail.

use std::{fs, os::unix::fs::chown, path::Path, process::Command};

use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::Postgres,
};

use crate::rig::{Daemon, Project, said};

/// Runs a script in a bound project, as bash with `set -e`.
fn in_project(project: &Project, options: &[&str], script: &str) -> String {
    let daemon = Daemon::shared();
    let mut all = vec!["--bind", "."];
    all.extend(options);
    let mut command = daemon.run(&all, ["bash", "-c", &format!("set -eu -o pipefail\n{script}")]);
    said(&command.current_dir(&project.path).output().unwrap())
}

/// Puts a file of the project's owner into it.
fn put(project: &Project, name: &str, content: &str) {
    let path = project.path.join(name);
    let mut parents: Vec<_> = path.ancestors().skip(1).take_while(|parent| *parent != project.path).collect();
    parents.reverse();
    for parent in parents {
        fs::create_dir_all(parent).unwrap();
        chown(parent, Some(Project::OWNER), Some(Project::OWNER)).unwrap();
    }
    fs::write(&path, content).unwrap();
    chown(&path, Some(Project::OWNER), Some(Project::OWNER)).unwrap();
}

#[test]
fn a_shell_with_pipes_jobs_and_here_documents() {
    let project = Project::new();
    let script = "seq 1000 | sort -rn | head -1; wc -l < <(yes | head -5); cat <<< here; sleep 0.1 & wait $!; \
                  echo $((2 ** 10)) | tee file | rev; cat file; mkfifo pipe; echo through > pipe & cat pipe";
    assert_eq!(in_project(&project, &[], script), "1000\n5\nhere\n4201\n1024\nthrough");
}

#[test]
fn git_commits_and_clones() {
    let project = Project::new();
    let script = "git init -q -b main one; cd one; git config user.name w; git config user.email w@example.com
        echo text > file; git add file; git commit -qm first; cd ..; git clone -q one two; git -C two log --format=%s";
    assert_eq!(in_project(&project, &[], script), "first");
    assert!(project.path.join("two/file").exists());
}

#[test]
fn python_makes_an_environment_and_installs_a_package() {
    let project = Project::new();
    put(
        &project,
        "package/setup.py",
        "from setuptools import setup\nsetup(name='greeter', version='1', py_modules=['greeter'])\n",
    );
    put(&project, "package/greeter.py", "import getpass\ndef greet(): return 'hello ' + getpass.getuser()\n");
    let script = "/usr/bin/python3 -m venv --system-site-packages env
        env/bin/pip install --quiet --no-index --no-build-isolation ./package
        env/bin/python -c 'import greeter; print(greeter.greet())'
        env/bin/python -c 'import multiprocessing as m, threading, asyncio, tempfile
if __name__ == \"__main__\":
    print(m.Pool(2).map(abs, [-1, -2])); asyncio.run(asyncio.sleep(0)); tempfile.NamedTemporaryFile()'";
    assert_eq!(in_project(&project, &[], script), "hello workload\n[1, 2]");
}

#[test]
fn node_installs_a_package_and_runs_it() {
    let project = Project::new();
    put(&project, "greeter/package.json", "{\"name\": \"greeter\", \"version\": \"1.0.0\", \"main\": \"index.js\"}\n");
    put(&project, "greeter/index.js", "exports.greet = () => 'hello ' + require('os').userInfo().username\n");
    put(
        &project,
        "package.json",
        "{\"name\": \"app\", \"version\": \"1.0.0\", \"scripts\": {\"greet\": \"node -p 'require(`greeter`).greet()'\"}}\n",
    );
    let script = "npm install --offline --no-audit --no-fund --silent ./greeter; npm run --silent greet
        node -e 'require(\"child_process\").spawnSync(\"true\"); new (require(\"worker_threads\").Worker)(\"1\", {eval: true})'";
    assert_eq!(in_project(&project, &[], script), "hello workload");
}

#[test]
fn cargo_builds_with_a_toolchain_that_is_given_for_reading() {
    let project = Project::new();
    put(&project, "Cargo.toml", "[package]\nname = \"greeter\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
    put(&project, "src/main.rs", "fn main() {\n    println!(\"hello\");\n}\n");
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let toolchain = said(&sysroot);
    let bind = format!("{toolchain}:ro");
    let script = format!("export PATH={toolchain}/bin:$PATH; cargo run --quiet --offline");
    assert_eq!(in_project(&project, &["--bind", &bind], &script), "hello");
}

#[test]
fn chromium_reads_a_page_without_its_own_sandbox() {
    let project = Project::new();
    put(&project, "page.html", "<!doctype html><p id=p></p><script>p.textContent = 6 * 7 + ' is it'</script>\n");
    let program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let program =
        program.iter().find(|program| Path::new(program).exists()).expect("`cargo xtask test jail` installs it");
    let script =
        format!("{program} --headless --no-sandbox --disable-gpu --dump-dom file://$PWD/page.html 2>/dev/null");
    let page = in_project(&project, &[], &script);
    assert!(page.contains("42 is it"), "{page}");
}

#[test]
fn a_docker_client_hears_why_it_is_refused() {
    let daemon = Daemon::shared();
    let said = |script: &str| {
        let output = daemon.shell(&[], script);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    // As the client asks, where there is none on this machine.
    let request = "/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); \
                   s.connect(\"/var/run/docker.sock\"); s.sendall(b\"GET /v1.44/info HTTP/1.1\\r\\n\\r\\n\"); print(s.recv(4096))'";
    assert!(said(request).contains("cannot be started from a governed workload"), "{}", said(request));
    if Command::new("docker").arg("--version").output().is_ok() {
        let answer = said("docker ps");
        assert!(answer.contains("cannot be started from a governed workload"), "{answer}");
    }
}

#[test]
fn psql_reaches_its_server_through_the_gate_alone() -> anyhow::Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let output = gate.psql(&server, "select name from customers order by id limit 1")?;
    assert_eq!(said(&output), "Ada Lovelace");
    gate.leave()
}
