//! Files of the host in a jail: what `--bind` gives, and what it does not.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use portcullis_tests::place;

use crate::rig::{Daemon, Project, said};

#[test]
fn what_a_workload_writes_belongs_to_the_owner_of_the_directory() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    fs::write(project.path.join("theirs"), "before").unwrap();
    std::os::unix::fs::chown(project.path.join("theirs"), Some(Project::OWNER), Some(Project::OWNER)).unwrap();
    let script = "pwd; cat theirs; echo after > theirs; mkdir -p a/b; echo new > a/b/new; stat -c %U theirs a/b/new";
    let mut command = daemon.run(&["--bind", "."], ["bash", "-c", script]);
    let output = command.current_dir(&project.path).output().unwrap();
    assert_eq!(said(&output), format!("{}\nbeforeworkload\nworkload", project.text()));

    assert_eq!(fs::read_to_string(project.path.join("theirs")).unwrap(), "after\n");
    for path in ["theirs", "a", "a/b", "a/b/new"] {
        let metadata = fs::metadata(project.path.join(path)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (Project::OWNER, Project::OWNER), "{path}");
    }
}

#[test]
fn files_of_others_in_a_bound_directory_stay_theirs() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let (open, closed) = (project.path.join("open"), project.path.join("closed"));
    for (path, mode) in [(&open, 0o644), (&closed, 0o600)] {
        fs::write(path, "root's\n").unwrap();
        place::open(path, mode).unwrap();
    }
    let script =
        format!("cd {}; stat -c %U open; cat open; echo x >> open; cat closed; chmod 777 open", project.text());
    let output = daemon.shell(&["--bind", project.text()], &script);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "nobody\nroot's\n");
    assert_eq!(fs::read_to_string(&open).unwrap(), "root's\n");
    assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn a_bind_for_reading_takes_no_writes() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    fs::write(project.path.join("file"), "as it was\n").unwrap();
    let script = format!("cd {}; cat file; echo x > file; echo x > new; rm -f file; mkdir d", project.text());
    let output = daemon.shell(&["--bind", &format!("{}:ro", project.text())], &script);
    assert!(!output.status.success());
    assert_eq!(fs::read_to_string(project.path.join("file")).unwrap(), "as it was\n");
    assert_eq!(fs::read_dir(&project.path).unwrap().count(), 1);
}

#[test]
fn what_root_alone_may_read_is_not_opened_by_a_bind_for_reading() {
    let daemon = Daemon::shared();
    let output = daemon.shell(&["--bind", "/etc:ro"], "cat /etc/hostname && cat /etc/shadow");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/etc/shadow: Permission denied"));
}

#[test]
fn what_is_not_bound_cannot_be_written() {
    let (daemon, world) = (Daemon::shared(), tempfile::Builder::new().tempdir_in("/var/lib").unwrap());
    place::open(world.path(), 0o777).unwrap();
    let output = daemon.shell(&[], &format!("echo x > {}/new", world.path().display()));
    assert!(!output.status.success());
    assert_eq!(fs::read_dir(world.path()).unwrap().count(), 0);
}

#[test]
fn temporary_files_and_the_home_are_the_workloads_own() {
    let daemon = Daemon::shared();
    let outside = place::temporary().unwrap();
    let script = format!(
        "ls -A /tmp /var/tmp /dev/shm ~; test -e {} && echo seen; echo mine > /tmp/mine; echo mine > ~/mine; \
         cat /tmp/mine ~/mine; echo $HOME $USER $LOGNAME; whoami; getent passwd \"$(id -u)\" | cut -d: -f6",
        outside.path().display()
    );
    let expected = "/dev/shm:\n\n/run/home:\n\n/tmp:\n\n/var/tmp:\nmine\nmine\n\
                    /run/home workload workload\nworkload\n/run/home";
    assert_eq!(said(&daemon.shell(&[], &script)), expected);
    assert!(!Path::new("/tmp/mine").exists());
}

#[test]
fn a_symlink_in_a_project_leads_where_it_leads_in_the_jail() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let outside = place::temporary().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path().join("secret"), project.path.join("link")).unwrap();
    symlink("/etc/shadow", project.path.join("shadow")).unwrap();
    let output = daemon.shell(&["--bind", project.text()], &format!("cd {}; cat link shadow", project.text()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn a_working_directory_out_of_reach_is_an_error_with_a_hint() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let output = daemon.run(&[], ["true"]).current_dir(&project.path).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(126));
    assert!(error.contains(project.text()) && error.contains("`--bind .`"), "{error}");
}

#[test]
fn the_host_itself_is_not_given_away() {
    let daemon = Daemon::shared();
    for (path, why) in
        [("/", "cannot be bound"), ("/run", "processes outside"), ("/etc", "reading only"), ("/nowhere", "/nowhere")]
    {
        let output = daemon.run(&["--bind", path], ["true"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(126), "{path}: {error}");
        assert!(error.contains(why), "{path}: {error}");
    }
}

#[test]
fn a_named_user_writes_at_home_and_where_it_is_let() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    let path = project.path.join("file");
    fs::write(&path, "before").unwrap();
    for own in [&project.path, &path] {
        std::os::unix::fs::chown(own, Some(65_534), None).unwrap();
    }
    place::open(project.home(), 0o755).unwrap();
    place::open(&project.home().join("home"), 0o755).unwrap();
    let script =
        format!("cat {0}; echo x > {0} || touch {0}.new || rm {0} || mkdir {0}.d || echo none", path.display());
    let output = daemon.shell(&["--user", "nobody"], &script);
    assert_eq!(said(&output), "beforenone", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
}

#[test]
fn a_named_user_has_its_own_files_and_no_privileges() {
    let (daemon, project) = (Daemon::shared(), Project::new());
    std::os::unix::fs::chown(&project.path, Some(65_534), None).unwrap();
    place::open(project.home(), 0o755).unwrap();
    place::open(&project.home().join("home"), 0o755).unwrap();
    let script = format!("id -un; echo x > {}/new && echo written", project.text());
    let output = daemon.shell(&["--user", "nobody", "--bind", project.text()], &script);
    assert_eq!(said(&output), "nobody\nwritten");
    assert_eq!(fs::metadata(project.path.join("new")).unwrap().uid(), 65_534);
    let output = daemon.run(&["--user", "root"], ["id"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must not run as root"));
}
