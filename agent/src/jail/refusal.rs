//! What answers in place of a container daemon: that there is none for a workload, in words that its client shows.
//!
//! A container that a daemon starts for a workload would be outside of its cgroup, so the socket never leads there.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use super::error::{LaunchError, at};

/// Where clients look for Docker and Podman.
const SOCKETS: &[&str] = &["/run/docker.sock", "/run/podman/podman.sock"];
const MESSAGE: &str = "portcullis: containers cannot be started from a governed workload, because they would run \
                       outside of it; ask an operator of this host to start it";
/// Most bytes of a request that are read.
const REQUEST_MAX: usize = 16 * 1024;
/// Longest wait for one client, which is one of the workload's own.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the sockets where nothing else stands. For anybody in the jail.
pub(super) fn listen() -> Result<Vec<UnixListener>, LaunchError> {
    let free = SOCKETS.iter().filter(|path| !Path::new(path).exists());
    free.map(|path| bind(Path::new(path)).map_err(at("listen on", *path))).collect()
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Answers every client with a refusal, for ever.
pub(super) fn answer(listener: &UnixListener) -> ! {
    loop {
        match listener.accept() {
            // A client that does not wait for its answer knows it already.
            Ok((client, _)) => drop(refuse(client)),
            Err(_) => std::thread::sleep(PATIENCE),
        }
    }
}

fn refuse(mut client: UnixStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    // Whole: what is closed unread resets the connection.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_MAX {
        match client.read(&mut buffer)? {
            0 => break,
            length => request.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    client.write_all(&response(request.starts_with(b"HEAD ")))
}

/// The error that the Docker Engine API has, <https://docs.docker.com/reference/api/engine/>.
fn response(without_body: bool) -> Vec<u8> {
    let body = format!("{{\"message\":\"{MESSAGE}\"}}\n");
    let head = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (head + if without_body { "" } else { &body }).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_why_and_a_head_request_no_body() {
        for (request, hears) in
            [("GET /v1.44/containers/json HTTP/1.1\r\n\r\n", true), ("HEAD /_ping HTTP/1.1\r\n\r\n", false)]
        {
            let (mut client, server) = UnixStream::pair().unwrap();
            client.write_all(request.as_bytes()).unwrap();
            refuse(server).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
            assert_eq!(answer.contains("governed workload"), hears, "{answer}");
        }
    }
}
