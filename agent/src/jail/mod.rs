//! The jail: what a command that `portcullis run` starts can no longer do, before its first instruction.
//!
//! Capture holds what a process sends; the jail takes away what would reach around capture: privileges, system calls,
//! sockets made elsewhere.

pub mod launcher;

mod seccomp;
