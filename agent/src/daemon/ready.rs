//! Tells the service manager how far the daemon is (sd_notify(3)).

use std::{env, os::unix::net::UnixDatagram};

/// Workloads may come.
pub fn tell() {
    notify("READY=1");
}

/// No new work.
pub fn tell_stopping() {
    notify("STOPPING=1");
}

/// Another process of this service goes on in this one's place.
pub fn tell_main_pid(pid: u32) {
    notify(&format!("MAINPID={pid}"));
}

fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(state.as_bytes(), &path));
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
