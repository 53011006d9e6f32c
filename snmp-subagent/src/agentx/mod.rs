//! The subagent's side of AgentX (RFC 2741): what stands between our variables
//! and a master such as Net-SNMP's snmpd.
//!
//! [`pdu`] turns octets into PDUs and back; [`session`] is the machine that
//! opens a session, registers, answers and reconnects. Neither owns a socket
//! or looks at a clock.

mod codec;
pub mod pdu;
pub mod session;
