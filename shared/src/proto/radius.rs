//! The client's side of RADIUS (RFC 2865, RFC 2866, RFC 5997), as a PPTP
//! gateway is one.
//!
//! [`client`] sends requests and finds the replies that are meant for them,
//! [`access`] is one login and what the reply to it means for a PPTP session,
//! [`exchange`] is a whole task: logins, a session in accounting, a question
//! for the server's state. None of them owns a socket or a clock.
//!
//! The phases are those of the session that a gateway would make of it:
//! `auth` for the answer to a login, `ccp` for the MPPE keys in it, `data` for
//! accounting, `control` for the server's state.
//!
//! Real servers: one that does not know the client, or that requires a
//! Message-Authenticator it finds wrong, is as silent as one that is down.

pub mod access;
pub mod client;
pub mod exchange;
