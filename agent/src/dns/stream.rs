//! DNS over TCP: a connection of a workload to port 53 (RFC 7766).

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{IDLE_TIMEOUT, QUERY_MAX, Relay, Transport, exchange::framed};

/// Answers one question after the other until the workload closes, is silent too long, or says what is no question.
pub async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    relay: &Relay,
    workload: &Arc<str>,
) -> io::Result<()> {
    while let Some(message) = timeout(IDLE_TIMEOUT, read(&mut stream)).await?? {
        let Some(answer) = relay.answer(&message, workload, Transport::Stream).await else { break };
        timeout(IDLE_TIMEOUT, stream.write_all(&framed(&answer)?)).await??;
    }
    stream.shutdown().await
}

/// The next message; `None` at the end.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > QUERY_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a query of {length} bytes: {QUERY_MAX} at most"),
        ));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}
