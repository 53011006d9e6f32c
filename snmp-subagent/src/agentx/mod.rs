//! The subagent's side of AgentX (RFC 2741): what stands between our variables
//! and a master such as Net-SNMP's snmpd.
//!
//! [`pdu`] turns octets into PDUs and back.

mod codec;
pub mod pdu;
