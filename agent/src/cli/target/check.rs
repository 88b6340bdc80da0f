use std::{error::Error, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::lookup_host,
    time::timeout,
};

use crate::{
    credential::{Credential, Store},
    socket::Socket,
    target::{Address, OriginalDestination, Target, Verify},
    tls::Stream,
    upstream::{Dialler, TlsSetups},
};

/// For a server to say whether it speaks TLS.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// [SSLRequest](https://www.postgresql.org/docs/current/protocol-message-formats.html): its length, then its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What came of trying one place of a target.
#[derive(Debug, Serialize)]
pub struct Trial {
    pub target: Arc<str>,
    pub dialled: String,
    pub found: String,
    pub error: Option<String>,
}

impl Trial {
    pub fn is_well(&self) -> bool {
        self.error.is_none()
    }

    fn new(target: &Target, dialled: impl ToString, outcome: Result<String, String>) -> Self {
        let (found, error) = match outcome {
            Ok(found) => (found, None),
            Err(error) => (String::new(), Some(error)),
        };
        Self { target: target.name.clone(), dialled: dialled.to_string(), found, error }
    }
}

/// Tries a target where the daemon would dial it: at its upstream, or else at every address of it.
pub async fn try_target(target: &Arc<Target>, credentials: &Store) -> Vec<Trial> {
    let credential = match target.credential.as_ref().map(|name| credentials.find(name)).transpose() {
        Ok(credential) => credential,
        Err(error) => return vec![Trial::new(target, "-", Err(chain(&error)))],
    };
    let mut trials = Vec::new();
    for address in target.upstream.as_ref().map_or(target.addresses.as_slice(), std::slice::from_ref) {
        match places(address).await {
            Ok(places) => {
                for place in places {
                    let outcome = try_place(target, place.clone(), credential.clone()).await;
                    trials.push(Trial::new(target, place, outcome));
                }
            }
            Err(error) => trials.push(Trial::new(target, address, Err(format!("cannot resolve the host: {error}")))),
        }
    }
    trials
}

/// Everything that an address stands for.
async fn places(address: &Address) -> std::io::Result<Vec<OriginalDestination>> {
    match address {
        Address::Tcp(place) => {
            Ok(lookup_host((place.host.as_str(), place.port)).await?.map(OriginalDestination::Tcp).collect())
        }
        Address::Unix(path) => Ok(vec![OriginalDestination::Unix(path.clone())]),
    }
}

async fn try_place(
    target: &Arc<Target>,
    destination: OriginalDestination,
    credential: Option<Arc<Credential>>,
) -> Result<String, String> {
    let dialler = Dialler {
        // Each address of a name is tried by itself.
        target: Arc::new(Target { upstream: None, ..Target::clone(target) }),
        destination,
        credential,
        listeners: Vec::new(),
        setups: Arc::new(TlsSetups::default()),
    };
    let socket = dialler.dial().await.map_err(|error| chain(&error))?;
    if target.tls == Verify::Off {
        return Ok("reached, without TLS".into());
    }
    let socket = request_tls(&target.protocol, socket).await?;
    // The names that the server may have are those of the target as it is written.
    let dialler = Dialler { target: target.clone(), ..dialler };
    let (stream, binding) = dialler.secure(Stream::from(socket), None).await.map_err(|error| chain(&error))?;
    let version = stream.tls_version().unwrap_or("TLS");
    Ok(match binding {
        Some(_) => format!("reached, {version}, certificate verified"),
        None => format!("reached, {version}, certificate verified, no channel binding"),
    })
}

/// Brings the connection to where the handshake begins, in the protocol's way.
async fn request_tls(protocol: &str, mut socket: Socket) -> Result<Socket, String> {
    if protocol != crate::protocol::postgres::PROTOCOL.name {
        return Ok(socket);
    }
    let asked = async {
        socket.write_all(&SSL_REQUEST).await?;
        socket.read_u8().await
    };
    match timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(b'S')) => Ok(socket),
        Ok(Ok(b'N')) => Err("the server does not offer TLS: configure it there, or set `tls.verify` to \"off\"".into()),
        Ok(Ok(_)) => Err("the server does not speak PostgreSQL".into()),
        Ok(Err(error)) => Err(format!("the server closed the connection: {error}")),
        Err(_) => Err(format!("the server did not answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers the request for TLS with these bytes; with none, it hangs up.
    async fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; SSL_REQUEST.len()];
            socket.read_exact(&mut request).await.unwrap();
            assert_eq!(request, SSL_REQUEST);
            socket.write_all(answer).await.unwrap();
        });
        address
    }

    async fn tried(address: SocketAddr, tls: &str) -> Trial {
        let text = format!("[[target]]\nname = \"shop\"\nprotocol = \"postgres\"\naddress = [\"{address}\"]\n{tls}");
        let config = crate::config::parse(&text, None).unwrap();
        let mut trials = try_target(&config.targets[0], &Store::default()).await;
        assert_eq!(trials.len(), 1);
        trials.remove(0)
    }

    #[tokio::test]
    async fn what_keeps_tls_from_a_target_is_said() {
        let answers: [(&[u8], &str); 4] = [
            (b"N", "does not offer TLS"),
            (b"H", "does not speak PostgreSQL"),
            (b"", "closed the connection"),
            (b"Sno handshake", "handshake failed"),
        ];
        for (answer, reason) in answers {
            let trial = tried(server(answer).await, "").await;
            assert!(trial.error.as_ref().is_some_and(|error| error.contains(reason)), "{trial:?}");
        }
    }

    #[tokio::test]
    async fn a_target_without_tls_is_only_dialled() {
        assert!(tried(server(b"N").await, "tls = { verify = \"off\" }").await.is_well());
    }

    #[tokio::test]
    async fn a_target_whose_credential_cannot_be_read_is_not_dialled() {
        let text = "[[target]]\nname = \"shop\"\nprotocol = \"postgres\"\naddress = [\"127.0.0.1:1\"]\ncredential = \"app\"\n\
                    [[credential]]\nname = \"app\"\nuser = \"app\"\n";
        let config = crate::config::parse(text, None).unwrap();
        let trials = try_target(&config.targets[0], &Store::default()).await;
        assert_eq!(trials[0].dialled, "-");
        assert!(!trials[0].is_well());
    }
}
