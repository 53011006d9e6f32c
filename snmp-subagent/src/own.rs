//! The agent of our own with sockets: what it remembers from one run to the
//! next, and the task that sends its notifications.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pptp_probe::net::file;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use crate::agentx_io::Notification;
use crate::config::Config;
use crate::log::{Level, Log};
use crate::oid::Oid;
use crate::served::Clock;
use crate::snmp::engine::Engine;
use crate::snmp::notifier::{Counters, Notifier};
use crate::snmp::system::Identity;
use crate::snmp::usm::{Boots, EngineId, Local};
use crate::udp::Responder;
use crate::view::View;

/// Net-SNMP's enterprise, below which our objects are.
const ENTERPRISE: u32 = 8072;
/// Octets of what is remembered at most: an engine identifier and a number.
const LONGEST_STATE: u64 = 256;
/// Octets of an answer to an inform at most.
const LONGEST: usize = 65_507;

const TOPIC: &str = "responder";

impl Responder for Engine {
    fn handle_datagram(
        &mut self,
        octets: &[u8],
        from: SocketAddr,
        view: &impl View,
        now: Instant,
    ) -> Option<Vec<u8>> {
        Engine::handle_datagram(self, octets, from, view, now)
    }
}

/// The agent in this run: who answers, and who sends.
pub struct Own {
    /// Answers requests.
    pub engine: Engine,
    /// Sends notifications.
    pub notifier: Notifier,
    /// What the notifier counts, for others to read.
    pub status: Arc<Status>,
}

/// How the agent stands, readable from other threads.
#[derive(Debug, Default)]
pub struct Status {
    counters: Mutex<Counters>,
    started: OnceLock<Instant>,
}

impl Status {
    /// What its notifier counted so far.
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its sysUpTime; nothing where there is no such agent.
    pub fn clock(&self) -> Option<Clock> {
        self.started.get().map(|&at| Clock { uptime: 0, at })
    }

    fn set(&self, counters: Counters) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    /// It starts; only the first time counts.
    pub(crate) fn start(&self, now: Instant) {
        self.started.get_or_init(|| now);
    }
}

impl Own {
    /// The agent that `config` describes. `random` makes it another one than
    /// all others, where nothing is remembered.
    pub fn new(config: &Config, random: [u8; 8], status: Arc<Status>, log: &Log) -> Self {
        let boots = boots(&config.responder.state_file, random, |error| {
            // Whoever has no users has no use for it.
            if !config.responder.users.is_empty() {
                let path = config.responder.state_file.display();
                let text = format!(
                    "{path} cannot be kept: {error}; managers will take this for another agent \
                     after the next start"
                );
                log.say(Level::Warning, TOPIC, &text);
            }
        });
        let now = Instant::now();
        let local = Local::new(boots, now);
        status.start(now);
        let seed = u64::from_be_bytes(random);
        let mut identity = Identity::new(
            concat!("pptp-monitor ", env!("CARGO_PKG_VERSION"), ", PPTP sessions of a gateway"),
            config.oid_base.clone(),
        );
        identity.name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        identity.capabilities = vec![capability(&config.oid_base)];
        let receivers = &config.notifications.receivers;
        Self {
            engine: Engine::new(&config.responder, identity, local.clone(), seed),
            notifier: Notifier::new(receivers, &config.responder.users, local, !seed),
            status,
        }
    }
}

/// sysORID and sysORDescr of what is served.
pub fn capability(root: &Oid) -> (Oid, String) {
    (root.clone(), "PPTP-SESSION-MIB: sessions of PPTP gateways, read only".to_owned())
}

/// What is remembered of the last run, one boot later, written at once.
fn boots(path: &Path, random: [u8; 8], failed: impl FnOnce(io::Error)) -> Boots {
    let first = || Boots::first(EngineId::new(ENTERPRISE, random));
    let stored = match file::read(path, LONGEST_STATE + 1) {
        Ok(octets) if octets.len() as u64 > LONGEST_STATE => {
            Err(io::Error::other("what is there is something else"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        stored => stored,
    };
    let last = stored.map(|octets| String::from_utf8(octets).ok()?.parse::<Boots>().ok());
    let (boots, written) = match last {
        Ok(last) => {
            let boots = last.map_or_else(first, |last| last.next());
            let written = file::replace(path, boots.to_string().as_bytes());
            (boots, written)
        }
        Err(error) => (first(), Err(error)),
    };
    if let Err(error) = written {
        failed(error);
    }
    boots
}

/// Sends notifications until `stop` becomes true or is dropped.
pub async fn notify(
    mut notifier: Notifier,
    status: Arc<Status>,
    mut notifications: mpsc::Receiver<Notification>,
    mut stop: watch::Receiver<bool>,
    log: Arc<Log>,
) {
    let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok();
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.ok();
    let mut buffers = [vec![0; LONGEST], vec![0; LONGEST]];
    let mut is_fed = true;
    loop {
        while let Some((to, octets)) = notifier.poll_transmit() {
            let socket = if to.is_ipv4() { &v4 } else { &v6 };
            let sent = match socket {
                Some(socket) => socket.send_to(&octets, to).await.map(drop),
                None => Err(io::Error::from(io::ErrorKind::Unsupported)),
            };
            if let Err(error) = sent {
                let text = format!("cannot send a notification to {to}: {error}");
                log.say(Level::Warning, "notify", &text);
            }
        }
        while let Some(event) = notifier.poll_event() {
            log.say(Level::Warning, &format!("notify {event:?}"), &event.to_string());
        }
        status.set(notifier.counters());
        let due = notifier.poll_timeout();
        let [buffer_v4, buffer_v6] = &mut buffers;
        tokio::select! {
            notification = notifications.recv(), if is_fed => match notification {
                Some(Notification { trap, objects }) => {
                    notifier.notify(trap, objects, Instant::now());
                }
                None => is_fed = false,
            },
            (length, from) = receive(v4.as_ref(), buffer_v4) => {
                notifier.handle_datagram(&buffers[0][..length], from, Instant::now());
            }
            (length, from) = receive(v6.as_ref(), buffer_v6) => {
                notifier.handle_datagram(&buffers[1][..length], from, Instant::now());
            }
            () = async { sleep_until(due.unwrap_or_else(Instant::now).into()).await },
                if due.is_some() => notifier.handle_timeout(Instant::now()),
            changed = stop.changed() => if changed.is_err() || *stop.borrow() {
                return;
            },
        }
    }
}

/// The next datagram; never one where there is no socket.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        // The errors of what was sent come back here too.
        if let Ok(received) = socket.recv_from(buffer).await {
            return received;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn boots_are_counted_and_the_engine_stays_itself() {
        let path = std::env::temp_dir().join(format!("own-boots-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let first = boots(&path, [1; 8], |error| panic!("{error}"));
        let second = boots(&path, [2; 8], |error| panic!("{error}"));
        assert_eq!(second, first.next());
        fs::write(&path, "garbage").unwrap();
        let third = boots(&path, [3; 8], |error| panic!("{error}"));
        assert_eq!(third, Boots::first(EngineId::new(ENTERPRISE, [3; 8])));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn place_that_cannot_be_used_is_told_and_left_alone() {
        let long = std::env::temp_dir().join(format!("own-boots-long-{}", std::process::id()));
        fs::write(&long, "x".repeat(1000)).unwrap();
        for place in [Path::new("/proc/version"), Path::new("/dev/zero"), &long] {
            let mut told = None;
            boots(place, [1; 8], |error| told = Some(error));
            assert!(told.is_some(), "{}", place.display());
        }
        assert_eq!(fs::read(&long).unwrap().len(), 1000);
        fs::remove_file(&long).unwrap();
    }
}
