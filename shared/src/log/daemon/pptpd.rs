//! What pptpd's manager and its children, pptpctrl, say (pptpd 1.3 to 1.5:
//! pptpmanager.c, pptpctrl.c, ctrlpacket.c, pptpgre.c).
//!
//! A child that ends its call without any complaint got a Call-Clear-Request:
//! every other way out has a sentence of its own, also where `debug` is off.

use std::net::Ipv4Addr;

use super::{address, between, decimal};

/// How a control connection came to its end, by pptpctrl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::log) enum ControlEnd {
    /// A Call-Clear-Request.
    Cleared = 1,
    /// A Stop-Control-Connection-Request while the call was open.
    Stopped = 2,
    /// TCP ended, or what came on it was no message.
    Closed = 3,
    /// Its Echo-Request stayed unanswered.
    EchoSilent = 4,
    /// A signal.
    Signal = 5,
    /// GRE could not be sent or received.
    Gre = 6,
    /// pppd was gone, or GRE could not be sent.
    Terminal = 7,
}

impl ControlEnd {
    /// All of them.
    pub(in crate::log) const ALL: [Self; 7] = [
        Self::Cleared,
        Self::Stopped,
        Self::Closed,
        Self::EchoSilent,
        Self::Signal,
        Self::Gre,
        Self::Terminal,
    ];
}

/// One sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Said {
    /// The manager runs.
    ManagerUp,
    /// The manager cannot listen.
    ManagerFailed,
    /// All slots or addresses are taken.
    PoolExhausted,
    /// A caller did not begin as PPTP says.
    Refused,
    /// A control connection is up.
    ControlUp(Ipv4Addr),
    /// It is over.
    ControlDown(Ipv4Addr),
    /// A call was accepted: pppd starts.
    CallUp,
    /// Why it will be over.
    Ends(ControlEnd),
    /// Its pppd, which it waits for.
    Reaps(u32),
    /// GRE could not be sent or received.
    GreFailed,
}

/// The sentence that a message is, if it matters.
pub(in crate::log) fn said(message: &[u8]) -> Option<Said> {
    let (from, text) = message.split_first_chunk::<5>()?;
    match from {
        b"CTRL:" => control(text.strip_prefix(b" ")?),
        b"GRE: " => gre(text),
        b"MGR: " => manager(text),
        _ => None,
    }
}

fn control(text: &[u8]) -> Option<Said> {
    match text.first()? {
        b'B' if text.starts_with(b"Bad magic cookie") => Some(Said::Ends(ControlEnd::Closed)),
        b'C' => {
            let text = text.strip_prefix(b"Client ")?;
            match between(text, b"", b" control connection started") {
                Some(peer) => Some(Said::ControlUp(address(peer)?)),
                None => between(text, b"", b" control connection finished")
                    .and_then(address)
                    .map(Said::ControlDown),
            }
        }
        b'E' if text.starts_with(b"EOF or bad error reading")
            || text.starts_with(b"Error reading ctrl packet")
            || text == b"Error sending GRE, aborting call" =>
        {
            Some(Said::Ends(ControlEnd::Closed))
        }
        b'E' if text.starts_with(b"Exiting on signal ") => Some(Said::Ends(ControlEnd::Signal)),
        b'P' if text.starts_with(b"PTY read or GRE write failed") => {
            Some(Said::Ends(ControlEnd::Terminal))
        }
        b'G' if text.starts_with(b"GRE read or PTY write failed")
            || text.starts_with(b"GRE-tunnel has collapsed") =>
        {
            Some(Said::Ends(ControlEnd::Gre))
        }
        b'G' if text == b"GRE re-xmit failed" => Some(Said::GreFailed),
        b'R' => match text {
            b"Received CALL CLR request (closing call)" => Some(Said::Ends(ControlEnd::Cleared)),
            b"Request to close control connection when call is open, closing" => {
                Some(Said::Ends(ControlEnd::Stopped))
            }
            _ => {
                let pid = decimal(between(text, b"Reaping child PPP[", b"]")?)?;
                u32::try_from(pid).ok().filter(|pid| *pid > 0).map(Said::Reaps)
            }
        },
        b'S' if text.starts_with(b"Starting call (") => Some(Said::CallUp),
        b'S' if text == b"Session timed out, ending call" => {
            Some(Said::Ends(ControlEnd::EchoSilent))
        }
        _ => None,
    }
}

fn gre(text: &[u8]) -> Option<Said> {
    let failed = [
        &b"xmit failed from decaps_hdlc: "[..],
        b"re-xmit failed from decaps_hdlc: ",
        b"socket() failed",
        b"bind() failed: ",
        b"connect() failed: ",
    ];
    if failed.iter().any(|start| text.starts_with(start)) {
        return Some(Said::GreFailed);
    }
    let numbers = text.strip_prefix(b"read(")?;
    let end = memchr::memchr(b')', numbers)?;
    numbers[end..].starts_with(b") from network failed").then_some(Said::GreFailed)
}

fn manager(text: &[u8]) -> Option<Said> {
    match text.first()? {
        b'M' if text == b"Manager process started" => Some(Said::ManagerUp),
        b'C' if text == b"Couldn't create host socket" => Some(Said::ManagerFailed),
        b'N' if text.starts_with(b"No free connection slots") => Some(Said::PoolExhausted),
        b'd' | b'i'
            if text == b"dropped slow initial connection"
                || text == b"dropped small initial connection"
                || text.starts_with(b"initial packet ") =>
        {
            Some(Said::Refused)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_the_sources_are_told() {
        let peer = Ipv4Addr::new(203, 0, 113, 9);
        let table: [(&str, Option<Said>); 22] = [
            ("CTRL: Client 203.0.113.9 control connection started", Some(Said::ControlUp(peer))),
            ("CTRL: Client 203.0.113.9 control connection finished", Some(Said::ControlDown(peer))),
            ("CTRL: Client nobody control connection finished", None),
            ("CTRL: Starting call (launching pppd, opening GRE)", Some(Said::CallUp)),
            ("CTRL: Reaping child PPP[762]", Some(Said::Reaps(762))),
            ("CTRL: Reaping child PPP[0]", None),
            ("CTRL: Exiting on signal 15", Some(Said::Ends(ControlEnd::Signal))),
            ("CTRL: Session timed out, ending call", Some(Said::Ends(ControlEnd::EchoSilent))),
            (
                "CTRL: Request to close control connection when call is open, closing",
                Some(Said::Ends(ControlEnd::Stopped)),
            ),
            (
                "CTRL: PTY read or GRE write failed (pty,gre)=(6,7)",
                Some(Said::Ends(ControlEnd::Terminal)),
            ),
            (
                "CTRL: GRE read or PTY write failed (gre,pty)=(7,6)",
                Some(Said::Ends(ControlEnd::Gre)),
            ),
            (
                "CTRL: EOF or bad error reading ctrl packet length.",
                Some(Said::Ends(ControlEnd::Closed)),
            ),
            ("CTRL: couldn't read packet header (exit)", None),
            ("GRE: accepting packet #11", None),
            ("GRE: xmit failed from decaps_hdlc: Operation not permitted", Some(Said::GreFailed)),
            (
                "GRE: read(fd=7,buffer=55,len=8260) from network failed: status = -1 error = \
                 Protocol not available",
                Some(Said::GreFailed),
            ),
            (
                "GRE: read(fd=6,buffer=55,len=8196) from PTY failed: status = -1 error = \
                 Input/output error, usually caused by unexpected termination of pppd, check \
                 option syntax and pppd logs",
                None,
            ),
            ("MGR: Manager process started", Some(Said::ManagerUp)),
            (
                "MGR: No free connection slots or IPs - no more clients can connect!",
                Some(Said::PoolExhausted),
            ),
            ("MGR: dropped slow initial connection", Some(Said::Refused)),
            ("MGR: initial packet length 18245 outside (0 - 220)", Some(Said::Refused)),
            ("MGR: Maximum of 10 connections available", None),
        ];
        for (message, expected) in table {
            assert_eq!(said(message.as_bytes()), expected, "{message}");
        }
    }
}
