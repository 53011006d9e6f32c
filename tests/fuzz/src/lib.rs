//! What the fuzz targets do with their octets: one function each.
//!
//! `decoders` takes every decoder of PPTP, `machines` the machines that are
//! worth a target of their own, `sessions` whole sessions, `inside` what is
//! behind an open one; `radius` and `radius_client` the same for RADIUS; `snmp`
//! takes what managers and receivers of notifications send, `agentx` what masters
//! do; `log_lines` what the daemons of a gateway wrote, and callers through them;
//! `firewall` what the rules of a host may be, `options` what its daemons are told.
//! Beside panics each looks for what must hold whatever a peer sends; a broken
//! promise is a panic, too.

#![forbid(unsafe_code)]

use pptp_probe as probe;

mod agentx;
mod decoders;
mod firewall;
mod gateway;
mod inside;
mod log_lines;
mod machines;
mod options;
mod radius;
mod radius_client;
mod script;
mod sessions;
mod snmp;

pub use agentx::agentx;
pub use decoders::{chap, control, cp, eap, gre, ip, mask, pap, ppp};
pub use firewall::{iptables_save, nft};
pub use inside::inside;
pub use log_lines::log_lines;
pub use machines::{auth, mppe};
pub use options::{FILE_END as OPTION_FILE_END, FILES as OPTION_FILES, options};
pub use radius::radius;
pub use radius_client::radius_client;
pub use sessions::{raw as session_raw, structured as session};
pub use snmp::snmp;

/// What a seed for [`session_raw`] is made of.
pub use script::{RAW_CALL_ID, RAW_MAGIC, Step, emit as emit_script};
