//! Lanes: threads with a reactor of their own, on which sessions run.
//!
//! A session works for a few microseconds between two waits for a socket. Where workers share their tasks, each such
//! piece of work wakes another worker to look for more, which costs a quarter of the whole. On a lane nobody is woken
//! but the session whose socket is ready. What takes long (who connects, hashes, control) runs elsewhere.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, available_parallelism},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinError,
};

use crate::socket::Socket;

/// Most lanes; more processors than this share them.
pub const LANES_MAX: usize = 64;

/// All lanes of a daemon. Dropping them ends the sessions that still run there.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

/// Why a session did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    #[error("its socket cannot change lanes: {0}")]
    Socket(#[from] io::Error),
    #[error("it broke off: {0}")]
    Broken(#[from] JoinError),
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    sessions: Arc<AtomicUsize>,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A session's place on its lane.
struct Place(Arc<AtomicUsize>);

impl Lanes {
    /// Starts a lane for each processor.
    pub fn start() -> io::Result<Self> {
        let count = available_parallelism().map_or(1, NonZeroUsize::get).min(LANES_MAX);
        (0..count).map(Lane::start).collect::<io::Result<_>>().map(Self)
    }

    /// Serves a connection on the lane with the fewest sessions, and waits for its end. A panic ends this session alone.
    pub async fn run<S, F>(&self, socket: Socket, serve: S) -> Result<F::Output, LaneError>
    where
        S: FnOnce(Socket) -> F + Send + 'static,
        F: Future<Output: Send> + Send + 'static,
    {
        let socket = socket.detach()?;
        let lane = self.0.iter().min_by_key(|lane| lane.sessions.load(Ordering::Relaxed));
        let lane = lane.ok_or(io::ErrorKind::NotFound).map_err(io::Error::from)?;
        let place = lane.enter();
        let session = lane.runtime.spawn(async move {
            let _place = place;
            Ok(serve(socket.attach()?).await)
        });
        session.await?
    }
}

impl Lane {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            // An error says that the sender is gone, which is the sign to end.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, sessions: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }

    fn enter(&self) -> Place {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Place(self.sessions.clone())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its sessions' panics were theirs alone; the thread itself has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream, UnixStream},
    };

    use super::*;

    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0.into())
    }

    #[tokio::test]
    async fn a_connection_is_served_on_a_lane() {
        let lanes = Lanes::start().unwrap();
        let (mut tcp, accepted_tcp) = pair().await;
        let (mut unix, accepted_unix) = UnixStream::pair().unwrap();
        tcp.write_all(b"ping").await.unwrap();
        unix.write_all(b"ping").await.unwrap();
        for accepted in [accepted_tcp, accepted_unix.into()] {
            let served = lanes.run(accepted, |mut stream| async move {
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await.unwrap();
                (bytes, thread::current().name().map(str::to_owned))
            });
            let (bytes, thread) = served.await.unwrap();
            assert_eq!(&bytes, b"ping");
            assert!(thread.unwrap().starts_with("lane-"));
        }
        assert!(lanes.0.iter().all(|lane| lane.sessions.load(Ordering::Relaxed) == 0));
    }

    #[tokio::test]
    async fn a_panic_ends_one_session() {
        let lanes = Lanes::start().unwrap();
        for _ in 0..2 * lanes.0.len() {
            let broken = lanes.run(pair().await.1, |_| async { panic!("one session") }).await;
            assert!(matches!(broken, Err::<(), _>(LaneError::Broken(_))));
        }
        assert_eq!(lanes.run(pair().await.1, |_| async { 1 }).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn sessions_spread_over_lanes() {
        let lanes = Lanes::start().unwrap();
        let names: Vec<_> = (0..lanes.0.len())
            .map(|_| lanes.0.iter().min_by_key(|lane| lane.sessions.load(Ordering::Relaxed)).unwrap().enter())
            .collect();
        assert!(lanes.0.iter().all(|lane| lane.sessions.load(Ordering::Relaxed) == 1));
        drop(names);
    }
}
