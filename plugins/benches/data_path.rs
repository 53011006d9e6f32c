//! What the way of a datagram costs us: `cargo bench --package pptp-plugins`.
//!
//! The lab gateway sends characters over TCP through a tunnel in the same
//! thread, without sockets; only what our side does is timed: GRE, PPP, MPPE,
//! IP, TCP, and the answers. Beside it stands RC4 alone over as many octets in
//! packets of the same size, with a new key for each, as stateless MPPE has it,
//! and with one key for all, as stateful MPPE nearly has it.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pptp_plugins::lab::config::{Config, Settings};
use pptp_plugins::lab::faults::{Faults, SharedFaults};
use pptp_plugins::lab::session::{self, Lease, Session};
use pptp_probe::method::Method;
use pptp_probe::proto::auth::Credentials;
use pptp_probe::proto::automaton::Timing;
use pptp_probe::proto::lcp::AuthPolicy;
use pptp_probe::proto::stack::Stack;
use pptp_probe::proto::tunnel::{Config as TunnelConfig, Goal, Transmit, Tunnel};
use pptp_probe::proto::{control, link};
use pptp_probe::secret::Secret;
use pptp_probe::wire::gre;
use pptp_probe::wire::ip::Datagram;
use rc4::{KeyInit, Rc4, StreamCipher};

const INNER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
const MTU: u16 = 1_456;
const OCTETS: usize = 20_000_000;
const ROUNDS: usize = 5;

fn main() {
    println!("{:>16}  {:>10}  {:>10}  {:>8}", "MPPE", "path MB/s", "RC4 MB/s", "ratio");
    for mode in ["none", "128,stateless", "128,stateful"] {
        let path = median(|| Pair::up(mode).download());
        let per_packet = mode == "128,stateless";
        let alone = median(|| rc4_alone(per_packet));
        let ratio = if mode == "none" { String::new() } else { format!("{:.2}", path / alone) };
        println!("{mode:>16}  {path:>10.0}  {alone:>10.0}  {ratio:>8}");
    }
}

fn median(measure: impl FnMut() -> f64) -> f64 {
    let mut rates: Vec<f64> = std::iter::repeat_with(measure).take(ROUNDS).collect();
    rates.sort_unstable_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

fn rate(octets: usize, time: Duration) -> f64 {
    octets as f64 / time.as_secs_f64() / 1e6
}

/// RC4 over packets as long as an MPPE frame that carries a full datagram.
fn rc4_alone(key_for_each: bool) -> f64 {
    let mut packet = vec![0u8; usize::from(MTU) + 2];
    let mut key = [7u8; 16];
    let cipher_of = |key: &[u8]| Rc4::new_from_slice(key).expect("a key of 16 octets");
    let mut cipher = cipher_of(&key);
    let packets = OCTETS / packet.len();
    let begun = Instant::now();
    for number in 0..packets {
        if key_for_each {
            key[..8].copy_from_slice(&(number as u64).to_ne_bytes());
            cipher = cipher_of(&key);
        }
        cipher.apply_keystream(black_box(&mut packet));
    }
    rate(packets * packet.len(), begun.elapsed())
}

/// Both ends of a session.
struct Pair {
    tunnel: Tunnel,
    gateway: Session,
    now: Instant,
    /// What our side took.
    ours: Duration,
}

impl Pair {
    fn up(mppe: &str) -> Self {
        let settings = if mppe == "none" { "mppe = \"none\"" } else { "" };
        let settings = Settings::from_toml(settings).expect("settings");
        let config = Rc::new(Config::new(&settings).expect("configuration"));
        let faults: SharedFaults = Rc::new(Faults::default().into());
        let lease = Lease { call_ids: [4, 5], address: Some(OURS), is_further: false };
        let now = Instant::now();
        let gateway = Session::new(config, faults, lease, Box::new(|| [9; 16]), now);
        let tunnel = Tunnel::new(tunnel_config(mppe), now);
        let mut pair = Self { tunnel, gateway, now, ours: Duration::ZERO };
        while !pair.tunnel.is_open() {
            pair.exchange();
        }
        pair.ours = Duration::ZERO;
        pair
    }

    /// One turn of each side, with a millisecond for the path.
    fn exchange(&mut self) {
        self.now += Duration::from_millis(1);
        self.gateway.handle_timeout(self.now);
        let mut arrived = Vec::new();
        while let Some(transmit) = self.gateway.poll_transmit(self.now) {
            arrived.push(transmit);
        }
        let begun = Instant::now();
        for transmit in arrived {
            match transmit {
                session::Transmit::Control(octets) => {
                    self.tunnel.handle_control_input(&octets, self.now);
                }
                session::Transmit::Gre(octets) => self.tunnel.handle_gre_input(&octets, self.now),
                _ => {}
            }
        }
        self.tunnel.handle_timeout(self.now);
        self.ours += begun.elapsed();
        while let Some(transmit) = self.tunnel.poll_transmit() {
            match transmit {
                Transmit::Control(octets) => self.gateway.handle_control_input(&octets, self.now),
                Transmit::Gre(payload) => {
                    let (source, destination) = (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
                    let protocol = gre::IP_PROTOCOL;
                    let datagram = Datagram { source, destination, protocol, payload: &payload };
                    self.gateway.handle_gre_input(&datagram.emit(), self.now);
                }
            }
        }
    }

    /// Characters of the gateway's generator, in MB/s of our own time.
    fn download(&mut self) -> f64 {
        let mut stack = Stack::new(OURS, MTU, 1, self.now);
        let chargen = SocketAddrV4::new(INNER, 19);
        let socket = stack.connect(chargen, 512 << 10).expect("a socket");
        let mut buffer = vec![0; 64 << 10];
        let mut taken = 0;
        while taken < OCTETS {
            self.exchange();
            let begun = Instant::now();
            while let Some(datagram) = self.tunnel.poll_datagram() {
                stack.handle_datagram(datagram);
            }
            stack.poll(self.tunnel.room(), self.now);
            while let Ok(read) = stack.tcp(socket).recv_slice(&mut buffer) {
                if read == 0 {
                    break;
                }
                taken += read;
            }
            stack.poll(self.tunnel.room(), self.now);
            while let Some(datagram) = stack.poll_transmit() {
                self.tunnel.send_datagram(&datagram, self.now);
            }
            self.ours += begun.elapsed();
        }
        rate(taken, self.ours)
    }
}

fn tunnel_config(mppe: &str) -> TunnelConfig {
    let text = b"pptp-monitor".to_vec();
    TunnelConfig {
        goal: Goal::Open,
        call_id: 7,
        control: control::Config {
            host_name: text.clone(),
            vendor_name: text,
            farewell: Duration::from_millis(500),
        },
        link: Some(link::Config {
            goal: link::Goal::Network,
            auth: AuthPolicy::OneOf(vec![Method::MsChapV2]),
            credentials: Some(Credentials {
                username: b"probe".to_vec(),
                password: Secret::new(b"Pr0be-secret".to_vec()),
            }),
            mppe: mppe.parse().expect("encryption"),
            mru: None,
            magic: 1,
            peer_challenge: [3; 16],
            ask_dns: true,
            ask_nbns: false,
            timing: Timing::default(),
        }),
        patience: Duration::from_secs(4),
        echo_timeout: Duration::from_secs(1),
    }
}
