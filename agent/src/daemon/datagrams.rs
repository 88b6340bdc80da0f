//! DNS of workloads over UDP: each datagram has its origin, and its answer goes back to the asker alone.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::UdpSocket;

use super::rest::rest;
use crate::{
    capture::{CaptureError, namespace::NamespaceId},
    connection::Gatehouse,
    dns::{self, Transport},
};

/// Answers what arrives on a socket of the gate's in this network namespace.
pub(super) async fn serve(socket: UdpSocket, namespace: NamespaceId, gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    let socket = Arc::new(socket);
    // One byte more than a query may have, so that a longer one is seen to be.
    let mut buffer = [0; dns::QUERY_MAX + 1];
    loop {
        let (length, asker) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::error!(%error, "cannot receive");
                rest().await;
                continue;
            }
        };
        let message = buffer.get(..length).unwrap_or_default();
        let workload = match asking_workload(message, asker, namespace, &gatehouse) {
            Ok(workload) => workload,
            // Whoever sent it gets no answer: it is no workload's, or its workload is gone.
            Err(error) => {
                tracing::debug!(%asker, %error, "a datagram was dropped");
                continue;
            }
        };
        let (message, socket, gatehouse) = (message.to_vec(), socket.clone(), gatehouse.clone());
        tokio::spawn(async move {
            if let Some(answer) = gatehouse.dns.answer(&message, &workload, Transport::Datagram).await
                && let Err(error) = socket.send_to(&answer, asker).await
            {
                tracing::debug!(%asker, %error, "an answer did not go out");
            }
        });
    }
}

fn asking_workload(
    message: &[u8],
    asker: SocketAddr,
    namespace: NamespaceId,
    gatehouse: &Gatehouse,
) -> Result<Arc<str>, CaptureError> {
    let id = dns::id_of(message).ok_or(CaptureError::NoOrigin)?;
    let origin = gatehouse.capture.datagram_origin(asker, namespace.cookie(), id)?;
    let workload = gatehouse.capture.workload(origin.cgroup_id)?;
    Ok(gatehouse.workloads.find(origin.cgroup_id, &workload).name.clone())
}
