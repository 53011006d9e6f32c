//! The TCP connection to the gateway.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};

use crate::reason::Reason;

/// Connects, with small segments sent at once. Gives up at `deadline`.
///
/// # Errors
/// The reason and a sentence.
pub async fn connect(
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    established(TcpStream::connect(address), address, deadline).await
}

/// The same from an address of ours, where the system shall not choose.
///
/// # Errors
/// The reason and a sentence.
pub async fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    let Some(source) = source else { return connect(address, deadline).await };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let bound = socket.and_then(|socket| {
        socket.bind(SocketAddr::new(source, 0))?;
        Ok(socket)
    });
    match bound {
        Ok(socket) => established(socket.connect(address), address, deadline).await,
        Err(error) => Err((Reason::Local, format!("cannot send from {source}: {}", plain(&error)))),
    }
}

async fn established(
    connect: impl Future<Output = std::io::Result<TcpStream>>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    match tokio::time::timeout_at(deadline.into(), connect).await {
        Ok(Ok(stream)) => match stream.set_nodelay(true) {
            Ok(()) => Ok(stream),
            Err(error) => Err((Reason::Closed, format!("{address} hung up at once: {error}"))),
        },
        Ok(Err(error)) => Err(refusal(address, &error)),
        Err(_) => Err((Reason::Silent, format!("no answer from {address} to TCP"))),
    }
}

/// The reason and a sentence for an error of a TCP connection.
pub fn refusal(address: SocketAddr, error: &std::io::Error) -> (Reason, String) {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            (Reason::Refused, format!("{address} refuses TCP connections"))
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (Reason::Unreachable, format!("no way to {address}: {}", plain(error)))
        }
        ErrorKind::TimedOut => (Reason::Silent, format!("no answer from {address} to TCP")),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            (Reason::Closed, format!("{address} reset the TCP connection"))
        }
        _ => (Reason::Local, format!("cannot connect to {address}: {}", plain(error))),
    }
}

/// The system's words without "(os error N)".
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
