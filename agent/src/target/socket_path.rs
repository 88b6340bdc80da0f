use std::{
    ffi::OsStr,
    fmt,
    path::{Component, Path},
    sync::Arc,
};

/// Longest path of a Unix socket (`sun_path` in unix(7), without the NUL at its end).
pub const SOCKET_PATH_MAX: usize = 107;

/// The path of a Unix socket: absolute and in one form only, so that two paths to one socket are equal.
///
/// `/var/run` becomes `/run`, which it is a symbolic link to (Filesystem Hierarchy Standard 3.0, section 5.13).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SocketPath(Arc<Path>);

/// Why a text is no path of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SocketPathError {
    #[error("not an absolute path")]
    Relative,
    #[error("a path with `.` or `..` in it")]
    Dots,
    #[error("a directory, not a socket in one")]
    Directory,
    #[error("a path with control characters")]
    Control,
    #[error("a path longer than {SOCKET_PATH_MAX} bytes")]
    Long,
}

impl SocketPath {
    /// Reads a path. Repeated slashes become one.
    pub fn parse(text: &str) -> Result<Self, SocketPathError> {
        if !text.starts_with('/') {
            return Err(SocketPathError::Relative);
        }
        if text.contains(char::is_control) {
            return Err(SocketPathError::Control);
        }
        // `Path::components` passes over a single dot in the middle.
        if text.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(SocketPathError::Dots);
        }
        let path = match Path::new(text).strip_prefix("/var/run") {
            Ok(below) => Path::new("/run").join(below),
            Err(_) => Path::new(text).components().collect(),
        };
        if text.ends_with('/') || path.components().filter(|part| matches!(part, Component::Normal(_))).count() < 2 {
            return Err(SocketPathError::Directory);
        }
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(SocketPathError::Long);
        }
        Ok(Self(path.into()))
    }

    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The directory that the socket stands in.
    pub fn directory(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    pub fn file_name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_has_one_path() {
        for text in ["/run/postgresql/s", "/var/run/postgresql/s", "//run//postgresql///s"] {
            let path = SocketPath::parse(text).unwrap();
            assert_eq!(path.to_string(), "/run/postgresql/s", "{text}");
            assert_eq!((path.directory(), path.file_name()), (Path::new("/run/postgresql"), OsStr::new("s")));
        }
        assert_eq!(SocketPath::parse("/var/runner/s").unwrap().to_string(), "/var/runner/s");
    }

    #[test]
    fn what_is_no_socket_says_why() {
        let long = format!("/run/{}", "a".repeat(SOCKET_PATH_MAX));
        for (text, error) in [
            ("run/s", SocketPathError::Relative),
            ("", SocketPathError::Relative),
            ("/run/./s", SocketPathError::Dots),
            ("/run/x/../s", SocketPathError::Dots),
            ("/run/postgresql/", SocketPathError::Directory),
            ("/", SocketPathError::Directory),
            ("/s", SocketPathError::Directory),
            ("/run/a\nb", SocketPathError::Control),
            ("/run/a\0b", SocketPathError::Control),
            (&long, SocketPathError::Long),
        ] {
            assert_eq!(SocketPath::parse(text), Err(error), "{text:?}");
        }
    }
}
