use std::net::IpAddr;

use super::{Meaning, target::Seen};
use crate::{
    config::{
        SOCKETS_MAX,
        address::{self, AddressError},
        located::Located,
        mistake::Mistake,
        raw,
    },
    socket::{self, Keepers},
    target::{Address, HostPort, SocketPath, SocketPathError, Verify},
};

impl Meaning<'_> {
    /// What workloads dial.
    pub(super) fn dialled(&mut self, raw: &Located<String>, protocol: &str, seen: &mut Seen) -> Option<Address> {
        let address = self.place(raw, protocol)?;
        let twice = format!("address given twice: `{address}`");
        self.unique(&mut seen.addresses, address.clone(), &raw.span, twice, "an address belongs to one target");
        if seen.addresses.keys().filter(|address| is_socket(address)).count() == SOCKETS_MAX + 1 {
            let what = format!("too many Unix sockets: `{address}` is one more than {SOCKETS_MAX}");
            self.mistakes.push(Mistake::new(raw.span.clone(), what).hint("each workload gets one of each"));
        }
        Some(address)
    }

    /// What workloads or the daemon dial.
    pub(super) fn place(&mut self, raw: &Located<String>, protocol: &str) -> Option<Address> {
        let mistake = match address::parse(raw, protocol) {
            Ok(Address::Tcp(address)) if self.is_listener(&address) => {
                Mistake::new(raw.span.clone(), format!("the daemon's own listener: `{address}`"))
                    .hint("`[listen] port` says where the daemon listens")
            }
            Ok(Address::Unix(path)) if path.as_path() == self.control => {
                Mistake::new(raw.span.clone(), format!("the daemon's own control socket: `{path}`"))
                    .hint("`control` says where commands find the daemon")
            }
            Ok(address) => return Some(address),
            Err(error) => rejected(raw, error),
        };
        self.mistakes.push(mistake);
        None
    }

    fn is_listener(&self, address: &HostPort) -> bool {
        let loopback = address.host == "localhost" || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        loopback && address.port == self.listen_port
    }

    /// Whether the daemon dials a Unix socket for this target: always or never, so that what `tls` says holds.
    pub(super) fn ends_in_socket(
        &mut self,
        raw: &raw::Target,
        addresses: &[Address],
        upstream: Option<&Address>,
    ) -> bool {
        if let Some(upstream) = upstream {
            self.keepers_alone(raw.upstream.as_ref(), upstream);
            return is_socket(upstream);
        }
        // Where one of them is no address, which is which is not known; that is reported already.
        if raw.address.len() == addresses.len() {
            raw.address.iter().zip(addresses).for_each(|(raw, address)| self.keepers_alone(Some(raw), address));
        }
        let sockets = addresses.iter().filter(|address| is_socket(address)).count();
        if sockets > 0 && sockets < addresses.len() {
            self.mistakes.push(
                Mistake::new(raw.address.span.clone(), "Unix sockets and hosts without `upstream`")
                    .expected("one kind, or `upstream`")
                    .hint("`tls` cannot hold for both: say where the daemon dials, or make two targets"),
            );
        }
        sockets > 0
    }

    /// A credential is shown to whoever listens there: that must be the server.
    fn keepers_alone(&mut self, raw: Option<&Located<String>>, address: &Address) {
        let (Some(raw), Address::Unix(path)) = (raw, address) else { return };
        if let Some(exposure) = exposure(path) {
            self.mistakes.push(
                Mistake::new(raw.span.clone(), exposure)
                    .expected("a directory that only root and the server's user may write to")
                    .hint("who listens there gets the credential; move the socket (`unix_socket_directories`)"),
            );
        }
    }

    /// There is no TLS on Unix sockets.
    pub(super) fn no_tls(&mut self, raw: Option<&raw::Tls>) -> Verify {
        let verify = raw.and_then(|tls| tls.verify.as_ref());
        let wanted = verify.filter(|verify| verify.value != raw::Verify::Off).map(|verify| verify.span.clone());
        let authorities = raw.and_then(|tls| tls.ca.as_ref()).map(|ca| ca.span.clone());
        if let Some(span) = wanted.or(authorities) {
            self.mistakes.push(
                Mistake::new(span, "there is no TLS on a Unix socket")
                    .expected("no `tls`")
                    .hint("its directory's owner says whose server it is"),
            );
        }
        Verify::Off
    }
}

fn is_socket(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp(_) => false,
    }
}

/// Who else could listen at a path; a server that has not started yet has no directory.
fn exposure(path: &SocketPath) -> Option<String> {
    let exposure = socket::check(path, Keepers::Server).err()?;
    (!exposure.is_missing()).then(|| exposure.to_string())
}

fn rejected(raw: &Located<String>, error: AddressError) -> Mistake {
    let mistake = Mistake::new(raw.span.clone(), format!("invalid address: {error}: `{}`", raw.escape_debug()))
        .expected("`host:port`, `192.0.2.1:port`, `[2001:db8::1]:port` or the path of a Unix socket");
    match error {
        AddressError::NoPort => mistake.hint(format!("for PostgreSQL's own port: `{}:5432`", raw.escape_debug())),
        AddressError::Brackets => mistake.hint("write `[2001:db8::1]:5432`"),
        AddressError::Abstract => mistake.hint("let the server listen at a path"),
        AddressError::Socket(SocketPathError::Directory) => mistake.hint("name the socket in it"),
        AddressError::Socket(
            SocketPathError::Relative | SocketPathError::Dots | SocketPathError::Control | SocketPathError::Long,
        )
        | AddressError::Port
        | AddressError::Host => mistake,
    }
}
