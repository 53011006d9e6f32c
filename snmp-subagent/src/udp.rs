//! Datagrams for an agent that does no I/O itself: one socket, one answer at
//! most for each datagram.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::log::{Level, Log};
use crate::view::View;

/// Octets of the longest datagram (RFC 768, over IPv4).
const LONGEST: usize = 65_507;
/// How long nothing is read after an error.
const PAUSE: Duration = Duration::from_millis(100);

const TOPIC: &str = "responder";

/// What answers datagrams.
pub trait Responder: Send + 'static {
    /// The answer to what came from `from`, if it deserves one.
    fn handle_datagram(
        &mut self,
        octets: &[u8],
        from: SocketAddr,
        view: &impl View,
        now: Instant,
    ) -> Option<Vec<u8>>;
}

/// Answers what comes in on `socket` until it is dropped, from what `view`
/// gives for each datagram.
pub async fn run<V: View>(
    socket: UdpSocket,
    responder: Arc<Mutex<impl Responder>>,
    view: impl Fn() -> Arc<V>,
    log: Arc<Log>,
) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // On Linux the errors of answers come back here too.
            Err(error) => {
                log.say(Level::Warning, TOPIC, &format!("cannot receive: {error}"));
                sleep(PAUSE).await;
                continue;
            }
        };
        let answer = responder.lock().unwrap_or_else(PoisonError::into_inner).handle_datagram(
            &buffer[..length],
            from,
            &*view(),
            Instant::now(),
        );
        // An answer that cannot be sent at once is lost, as on any network.
        if let Some(answer) = answer {
            let _ = socket.try_send_to(&answer, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Lines;
    use crate::value::Value;
    use crate::view::MapView;

    /// Answers `get` with the first value there is.
    struct First;

    impl Responder for First {
        fn handle_datagram(
            &mut self,
            octets: &[u8],
            _: SocketAddr,
            view: &impl View,
            _: Instant,
        ) -> Option<Vec<u8>> {
            match view.next(&crate::oid::Oid::default(), true, None)? {
                (_, Value::Gauge32(value)) if octets == b"get" => Some(value.to_string().into()),
                _ => None,
            }
        }
    }

    #[tokio::test]
    async fn what_deserves_an_answer_gets_it_from_the_view() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut view = MapView::default();
        view.insert([1, 3].into(), Value::Gauge32(77));
        let view = Arc::new(view);
        let responder = Arc::new(Mutex::new(First));
        let task =
            tokio::spawn(run(socket, responder, move || view.clone(), Lines::default().log()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        for datagram in [&b""[..], b"garbage", b"get"] {
            client.send(datagram).await.unwrap();
        }
        let mut buffer = [0; 16];
        let length = client.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"77");
        task.abort();
    }
}
