//! The probe core of pptp-monitor: a whole PPTP session from user space.
//!
//! Read the modules in this order; each uses only those above it.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`reason`] | phases and reasons: the two words every verdict carries |
//! | [`method`] | the words for authentication methods and encryption |
//! | [`secret`] | passwords and shared secrets, wiped on drop |
//! | [`wire`] | octets to values and back; no state, no clock |
//! | [`crypto`] | MS-CHAP and MPPE arithmetic, pure functions |
//! | [`proto`] | state machines; time is an argument, nothing does I/O |
//! | [`net`] | sockets, resolver, clock, capture: carries octets between machines and the world |
//! | [`probe`] | picks the machine, runs it, returns what was seen |
//! | [`gateway`] | the sessions of a gateway, from what its system already knows |
//! | [`log`] | what the gateway's daemons wrote: entries to events to sessions |
//! | [`audit`] | settings of the gateway's host that make sessions drop or weaken them |
//! | [`output`] | states, thresholds, perfdata, and how a report is printed |
//! | [`cli`], [`plugin`] | arguments that every check shares, and the frame every check runs in |
//!
//! The direction is one way: a probe never judges, and a machine never looks
//! at the clock.

pub mod audit;
pub mod cli;
pub mod crypto;
pub mod gateway;
pub mod log;
pub mod method;
pub mod net;
pub mod output;
pub mod plugin;
pub mod probe;
pub mod proto;
pub mod reason;
pub mod secret;
pub mod wire;
