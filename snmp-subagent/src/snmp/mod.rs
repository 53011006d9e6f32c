//! The agent of our own, for a host without a master: what snmpd would do with
//! our variables, and no more.
//!
//! [`engine`] answers requests of SNMPv2c and SNMPv3, read only; [`notifier`]
//! sends traps and informs; [`usm`] is the User-based Security Model of both,
//! and [`system`] what every agent serves of itself. None of them owns a
//! socket or looks at a clock. Views other than ours, access by user or
//! community, and setting anything are left out, and so is SNMPv1.
//!
//! An owner brings datagrams and time:
//!
//! ```
//! use std::net::{SocketAddr, UdpSocket};
//! use std::time::Instant;
//!
//! use pptp_snmp_subagent::config::Config;
//! use pptp_snmp_subagent::snmp::engine::Engine;
//! use pptp_snmp_subagent::snmp::notifier::Notifier;
//! use pptp_snmp_subagent::snmp::system::Identity;
//! use pptp_snmp_subagent::snmp::usm::{Boots, EngineId, Local};
//! use pptp_snmp_subagent::view::MapView;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (config, random, stored) = (Config::default(), [7; 8], String::new());
//! # let now = Instant::now();
//! // At the start: `stored` is the file of the last run, empty at the first.
//! let boots = match stored.parse::<Boots>() {
//!     Ok(last) => last.next(),
//!     Err(_) => Boots::first(EngineId::new(8072, random)),
//! };
//! // Written before the first datagram is answered.
//! let stored = boots.to_string();
//! let local = Local::new(boots, now);
//! let identity = Identity::new("a gateway", [1, 3, 6, 1, 4, 1, 8072, 9999].into());
//! let seed = u64::from_be_bytes(random);
//! let mut engine = Engine::new(&config.responder, identity, local.clone(), seed);
//! let receivers = &config.notifications.receivers;
//! let mut notifier = Notifier::new(receivers, &config.responder.users, local, seed);
//!
//! // A request; `view` is the snapshot of this moment.
//! # let (view, octets, from) = (MapView::default(), [0; 9], SocketAddr::from(([127, 0, 0, 1], 9)));
//! # let socket = UdpSocket::bind("127.0.0.1:0")?;
//! if let Some(answer) = engine.handle_datagram(&octets, from, &view, now) {
//!     socket.send_to(&answer, from)?;
//! }
//!
//! // A notification, and what a receiver of an inform says to it.
//! notifier.notify([1, 3, 6, 1, 4, 1, 8072, 9999, 0, 1].into(), Vec::new(), now);
//! notifier.handle_datagram(&octets, from, now);
//! if notifier.poll_timeout().is_some_and(|due| due <= now) {
//!     notifier.handle_timeout(now);
//! }
//! while let Some((to, octets)) = notifier.poll_transmit() {
//!     socket.send_to(&octets, to)?;
//! }
//! while let Some(event) = notifier.poll_event() {
//!     eprintln!("{event}");
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(test)]
mod captures;
pub mod engine;
mod message;
pub mod notifier;
pub mod system;
pub mod usm;
