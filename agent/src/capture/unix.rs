//! Names of Unix sockets, as the programs compare them: byte for byte.

use std::{
    fmt,
    path::{Component, Path},
    str::FromStr,
};

use portcullis_common::{UNIX_PATH_MAX, UnixName as Kept};
use thiserror::Error;

/// Longest path in bytes: behind it stands a zero.
const PATH_MAX: usize = UNIX_PATH_MAX - 1;

/// What stands for the zero before an abstract name, in text.
const ABSTRACT: char = '@';

/// The exact name of a Unix socket: an absolute path, or an abstract name.
///
/// A path is compared as text. A workload that can write its directory, or mount over it, decides what it leads to:
/// allow paths in directories that only trusted users write.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixName(Kept);

/// Why a text names no Unix socket that can be allowed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UnixNameError {
    #[error("`{0}` is neither an absolute path nor an abstract name behind `@`")]
    Relative(String),
    #[error("`{0}` is no path to compare with: write it without `.`, `..`, `//` and a slash at its end")]
    Indirect(String),
    #[error(
        "the name is {0} bytes long: {PATH_MAX} fit of a path, and {UNIX_PATH_MAX} of an abstract name with its `@`"
    )]
    TooLong(usize),
    #[error("the name is empty")]
    Empty,
    #[error("the path holds a zero")]
    Zero,
}

impl FromStr for UnixName {
    type Err = UnixNameError;

    /// Reads `/run/x.sock`, or `@name` for an abstract one.
    fn from_str(text: &str) -> Result<Self, UnixNameError> {
        match text.strip_prefix(ABSTRACT) {
            Some("") => Err(UnixNameError::Empty),
            Some(name) => Self::of(&[b"\0", name.as_bytes()].concat()),
            None => Self::path(text),
        }
    }
}

impl UnixName {
    fn path(text: &str) -> Result<Self, UnixNameError> {
        if !text.starts_with('/') {
            return Err(UnixNameError::Relative(text.into()));
        }
        if text.contains('\0') {
            return Err(UnixNameError::Zero);
        }
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        // What `Path` leaves out of its parts makes another text of the same path.
        let said_plainly = Path::new(text).components().collect::<std::path::PathBuf>().as_os_str() == text;
        if !Path::new(text).components().all(plain) || !said_plainly {
            return Err(UnixNameError::Indirect(text.into()));
        }
        if text.len() > PATH_MAX {
            return Err(UnixNameError::TooLong(text.len()));
        }
        Self::of(text.as_bytes())
    }

    fn of(name: &[u8]) -> Result<Self, UnixNameError> {
        let too_long = || UnixNameError::TooLong(name.len());
        let mut kept = Kept::NONE;
        kept.bytes.get_mut(..name.len()).ok_or_else(too_long)?.copy_from_slice(name);
        kept.length = u32::try_from(name.len()).map_err(|_| too_long())?;
        Ok(Self(kept))
    }

    /// As a program told it; `None` where there is no name.
    pub(super) fn told(kept: Kept) -> Option<Self> {
        (kept.length > 0).then_some(Self(kept))
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.0
    }

    fn name(&self) -> &[u8] {
        self.0.bytes.get(..self.0.length as usize).unwrap_or(&self.0.bytes)
    }
}

impl fmt::Display for UnixName {
    /// As `FromStr` reads it; bytes that are no text are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            [0, name @ ..] => write!(f, "{ABSTRACT}{}", name.escape_ascii()),
            path => write!(f, "{}", path.escape_ascii()),
        }
    }
}

impl fmt::Debug for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let longest = format!("/{}", "x".repeat(UNIX_PATH_MAX - 2));
        for text in ["/run/x.sock", "@/tmp/.X11-unix/X0", "/", &longest] {
            assert_eq!(text.parse::<UnixName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_exact_name_is_refused() {
        for text in ["", "x.sock", "./x", "/run/../x", "/run/./x", "/run//x", "/run/x/", "@", "/run\0x"] {
            assert!(text.parse::<UnixName>().is_err(), "{text:?}");
        }
        assert_eq!(format!("/{}", "x".repeat(UNIX_PATH_MAX)).parse::<UnixName>(), Err(UnixNameError::TooLong(109)));
        assert!(format!("@{}", "x".repeat(UNIX_PATH_MAX)).parse::<UnixName>().is_err());
    }

    #[test]
    fn zeros_at_the_end_of_an_abstract_name_count() {
        assert_ne!(UnixName::of(b"\0x").unwrap(), UnixName::of(b"\0x\0").unwrap());
    }
}
