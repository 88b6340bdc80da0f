//! A ring of io_uring with one entry in it, by system calls alone.
//!
//! Source: `io_uring(7)`, `linux/io_uring.h`.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::libc;

use crate::sys;

/// `IORING_SETUP_SQPOLL`: a thread of the kernel's takes the entries.
pub const SQPOLL: u32 = 1 << 1;

pub const SENDMSG: u8 = 9;
pub const CONNECT: u8 = 16;
pub const SEND: u8 = 26;
pub const SOCKET: u8 = 45;
pub const SEND_ZC: u8 = 47;
const URING_CMD: u8 = 46;

const ENTRY_SIZE: usize = 64;
const OFFSET_RINGS: i64 = 0;
const OFFSET_ENTRIES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u64 = 1;
const ENTER_WAKEUP: u64 = 2;

/// How long one entry may take.
const DONE_MAX: Duration = Duration::from_millis(1500);

/// One submission, `struct io_uring_sqe`.
pub struct Entry([u8; ENTRY_SIZE]);

impl Entry {
    pub fn new(operation: u8, descriptor: i32) -> Self {
        Self([0; ENTRY_SIZE]).with(0, &[operation]).with(4, &descriptor.to_ne_bytes())
    }

    /// `SOCKET_URING_OP_SETSOCKOPT`.
    pub fn option(descriptor: i32, level: i32, name: i32, value: &[u8]) -> Self {
        const SETSOCKOPT: u64 = 3;
        let levels = [level.to_ne_bytes(), name.to_ne_bytes()].concat();
        let entry = Self::new(URING_CMD, descriptor).offset(SETSOCKOPT).with(16, &levels);
        entry.with(44, &(value.len() as u32).to_ne_bytes()).with(48, &(value.as_ptr() as u64).to_ne_bytes())
    }

    pub fn offset(self, value: u64) -> Self {
        self.with(8, &value.to_ne_bytes())
    }

    pub fn address(self, value: u64) -> Self {
        self.with(16, &value.to_ne_bytes())
    }

    pub fn length(self, value: u32) -> Self {
        self.with(24, &value.to_ne_bytes())
    }

    /// Of a send: `addr2` and `addr_len`.
    pub fn destination(self, address: u64, length: u16) -> Self {
        self.offset(address).with(44, &length.to_ne_bytes())
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        for (place, byte) in self.0.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
        self
    }
}

/// `struct io_uring_params`, in words; the offsets of the rings begin at words 10 and 20.
type Parameters = [u32; 30];

const FEATURES: usize = 5;
const SUBMISSION_TAIL: usize = 11;
const SUBMISSION_ARRAY: usize = 16;
const COMPLETION_HEAD: usize = 20;
const COMPLETION_TAIL: usize = 21;
const COMPLETION_ENTRIES: usize = 25;

pub struct Ring {
    descriptor: OwnedFd,
    parameters: Parameters,
    flags: u32,
    rings: *mut u8,
    entries: *mut u8,
}

impl Ring {
    pub fn new(flags: u32) -> io::Result<Self> {
        const SINGLE_MMAP: u32 = 1;
        let mut parameters: Parameters = [0; 30];
        if let Some(place) = parameters.get_mut(2) {
            *place = flags;
        }
        let descriptor = sys::opening(libc::SYS_io_uring_setup, [4, parameters.as_mut_ptr() as u64, 0, 0, 0])?;
        let mut ring = Self { descriptor, parameters, flags, rings: ptr::null_mut(), entries: ptr::null_mut() };
        if ring.parameter(FEATURES) & SINGLE_MMAP == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        ring.rings = ring.map(OFFSET_RINGS)?;
        ring.entries = ring.map(OFFSET_ENTRIES)?;
        Ok(ring)
    }

    /// Submits one entry and waits for its result.
    pub fn run(&self, entry: Entry) -> io::Result<i32> {
        // SAFETY: the kernel mapped the entries and the rings, and says where in them each part is.
        unsafe {
            ptr::copy_nonoverlapping(entry.0.as_ptr(), self.entries, ENTRY_SIZE);
            self.word(SUBMISSION_ARRAY).store(0, Ordering::Relaxed);
            self.word(SUBMISSION_TAIL).store(1, Ordering::Release);
        }
        let polled = self.flags & SQPOLL != 0;
        let (wait, how) = if polled { (0, ENTER_WAKEUP) } else { (1, ENTER_GETEVENTS) };
        let ring = self.descriptor.as_raw_fd() as u64;
        sys::call(libc::SYS_io_uring_enter, [ring, 1, wait, how, 0])?;
        let begun = Instant::now();
        // SAFETY: as above.
        while unsafe { self.word(COMPLETION_TAIL).load(Ordering::Acquire) } == 0 {
            if begun.elapsed() > DONE_MAX {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: as above; the result stands eight bytes into the first completion.
        let result = unsafe {
            let at = self.rings.add(self.parameter(COMPLETION_ENTRIES) as usize + 8).cast::<i32>().read_volatile();
            self.word(COMPLETION_HEAD).store(1, Ordering::Release);
            at
        };
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
    }

    fn parameter(&self, index: usize) -> u32 {
        self.parameters.get(index).copied().unwrap_or_default()
    }

    /// # Safety
    /// The parameter is the offset of a word in the rings.
    unsafe fn word(&self, parameter: usize) -> &AtomicU32 {
        // SAFETY: as the caller promises; the mapping lives as long as this, and is a page at least.
        unsafe { AtomicU32::from_ptr(self.rings.add(self.parameter(parameter) as usize).cast()) }
    }

    fn map(&self, offset: i64) -> io::Result<*mut u8> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of the ring's own pages; four entries fit into one.
        let mapped = unsafe {
            libc::mmap(ptr::null_mut(), 4096, protection, libc::MAP_SHARED, self.descriptor.as_raw_fd(), offset)
        };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(mapped.cast()) }
    }
}
