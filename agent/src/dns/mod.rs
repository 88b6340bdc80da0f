//! DNS: whatever server a workload asks, the daemon answers, by asking the resolvers that it is told to ask.
//!
//! A workload's message ends here, and is judged by the name that it asks ([`Names`]). What goes on is a message of the
//! daemon's own ([`inquiry`]), which says no more than which of the allowed names was asked, and for which kind of
//! address. What comes back is checked to be its answer; of it, the addresses that this name may stand for go on ([`Homes`]),
//! and are remembered ([`Pins`]). [`Relay::answer`] is the one place where a question with its workload stands still, before
//! anybody else has heard of it. Each is told of ([`Lookup`]).
//!
//! Limits: a workload can still choose which allowed name it asks, and when. A wildcard among them lets it spell
//! [`WILD_MAX`] characters, [`WILD_ASKED_MAX`] times and [`WILD_SPELLED_MAX`] characters in each [`PACE_WINDOW`], to whoever
//! answers for the rest.

mod answer;
mod exchange;
mod homes;
mod inquiry;
mod lookup;
mod names;
mod own;
mod pace;
mod pins;
mod query;
mod relay;
mod resolvers;
mod stream;

use std::time::Duration;

pub use answer::{ALIASES_MAX, RECORDS_MAX};
pub use homes::{Homes, Stray};
pub use lookup::{Lookup, Lookups, Outcome};
pub use names::{Names, Pattern, PatternError, WILD_MAX};
pub use own::Own;
pub use pins::{PIN_MAX, PIN_MIN, Pins};
pub use query::{Query, Transport, Unread, id_of};
pub use relay::Relay;
pub use resolvers::Resolvers;
pub use stream::serve;

/// Where DNS is spoken (RFC 1035, section 4.2).
pub const PORT: u16 = 53;

/// Most bytes of a workload's message. A longest name with type, class and options is a quarter of it.
pub const QUERY_MAX: usize = 1232;

/// Most bytes of an answer in a datagram, whatever the workload could take: more than that may arrive in fragments or
/// not at all (<https://www.dnsflagday.net/2020/>).
pub const DATAGRAM_ANSWER_MAX: u16 = 1232;

/// Most bytes of an answer in a datagram for who does not say what it can take (RFC 1035, section 4.2.1).
pub const PLAIN_ANSWER_MAX: u16 = 512;

/// Most resolvers that are asked one after the other.
pub const RESOLVERS_MAX: usize = 16;

/// Most questions of one workload that wait for an answer at one moment, and of all workloads.
pub const WAITING_OF_WORKLOAD_MAX: usize = 128;
pub const WAITING_MAX: usize = 1024;

/// Most questions of one workload that reach resolvers in one [`PACE_WINDOW`], and most of them with names that it has
/// chosen a part of.
pub const ASKED_MAX: u32 = 3000;
pub const WILD_ASKED_MAX: u32 = 60;
/// Most characters of the workload's choice in new names of one window: at most five bits each and a quarter.
pub const WILD_SPELLED_MAX: usize = 1200;
pub const PACE_WINDOW: Duration = Duration::from_secs(60);

/// Longest time that a workload is told to keep an answer, in seconds; the daemon remembers it longer ([`PIN_MIN`]).
pub const TTL_MAX: u32 = 300;

/// Most questions, of those that were refused and of those that were answered, that nobody has been told of yet; more are
/// only counted.
pub const UNTOLD_MAX: usize = 1024;

/// Longest wait for one resolver's answer.
pub const RESOLVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for an answer altogether; resolvers of libc give up after five seconds (resolv.conf(5)).
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a TCP connection may be silent (RFC 7766, section 6.2.3).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
