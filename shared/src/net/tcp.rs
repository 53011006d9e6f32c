//! The TCP connection to the gateway.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};

use crate::reason::Reason;

/// Connects. Gives up at `deadline`.
///
/// # Errors
/// The reason and a sentence.
pub async fn connect(
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    established(TcpStream::connect(address), address, deadline).await
}

/// Sends small segments at once, which matters to whoever sends a second
/// message before the first is answered.
///
/// # Errors
/// The reason and a sentence.
pub fn send_at_once(stream: &TcpStream, address: SocketAddr) -> Result<(), (Reason, String)> {
    let hung_up = |error| (Reason::Closed, format!("{address} hung up at once: {error}"));
    stream.set_nodelay(true).map_err(hung_up)
}

/// Connects from an address of ours, where the system shall not choose, with
/// small segments sent at once.
///
/// # Errors
/// The reason and a sentence.
pub async fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    let stream = match source {
        None => connect(address, deadline).await?,
        Some(source) => {
            let socket = bound(source, address).map_err(|error| {
                (Reason::Local, format!("cannot send from {source}: {}", plain(&error)))
            })?;
            established(socket.connect(address), address, deadline).await?
        }
    };
    send_at_once(&stream, address)?;
    Ok(stream)
}

fn bound(source: IpAddr, address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}

async fn established(
    connect: impl Future<Output = std::io::Result<TcpStream>>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    match tokio::time::timeout_at(deadline.into(), connect).await {
        Ok(Ok(stream)) => Ok(stream),
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
