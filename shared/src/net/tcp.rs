//! The TCP connection to the gateway.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::reason::Reason;

/// Connects, with small segments sent at once. Gives up at `deadline`.
///
/// # Errors
/// The reason and a sentence.
pub async fn connect(
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, (Reason, String)> {
    let connect = tokio::time::timeout_at(deadline.into(), TcpStream::connect(address));
    match connect.await {
        Ok(Ok(stream)) => match stream.set_nodelay(true) {
            Ok(()) => Ok(stream),
            Err(error) => Err((Reason::Closed, format!("{address} hung up at once: {error}"))),
        },
        Ok(Err(error)) => Err(refusal(address, &error)),
        Err(_) => Err((Reason::Silent, format!("no answer from {address} to TCP"))),
    }
}

fn refusal(address: SocketAddr, error: &std::io::Error) -> (Reason, String) {
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
