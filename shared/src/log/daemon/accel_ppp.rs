//! What accel-pppd says (1.12 to 1.14: pptp.c, ppp.c, ppp_auth.c, ppp_lcp.c,
//! ppp_ccp.c, ppp_ipcp.c, session.c, radius/), in its own file and by syslog.
//!
//! A line of a session has its interface in front, `ppp0: ` in the file,
//! `ppp0:USER: ` by syslog; both are empty at first. At level 3 nothing is said
//! of a connection before its proof, nor when it has an address. The octets of
//! names are not guarded.

use std::net::Ipv4Addr;

use super::{address, between};
use crate::gateway::session::{AuthMethod, Encryption};
use crate::log::octets::leading;

/// One sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Said<'a> {
    /// The daemon starts.
    ServerUp,
    /// It ends.
    ServerDown,
    /// A control connection came.
    ControlUp(Ipv4Addr),
    /// What came on it was not PPTP of this version, or from a forbidden place.
    Refused,
    /// A call was accepted.
    CallUp,
    /// A Configure-Request of LCP went out or came in.
    LcpAsked,
    /// A Configure-Ack of LCP went out or came in.
    LcpAcked { ours: bool },
    /// The caller's name before it is proved.
    Name { user: &'a [u8], method: AuthMethod },
    /// The session has an interface now; the address is that of a PPTP caller.
    Connects(Option<Ipv4Addr>),
    /// The caller proved who it is.
    Proved(&'a [u8]),
    /// It did not.
    Refuted(&'a [u8]),
    /// It did not answer.
    AuthSilent,
    /// A Configure-Ack of CCP, and what MPPE it has.
    CcpAcked { ours: bool, mppe: Option<(Encryption, bool)> },
    /// MPPE cannot be.
    MppeFailed,
    /// The caller asks for an address.
    AddressAsked(Ipv4Addr),
    /// A Configure-Ack of IPCP.
    IpcpAcked { ours: bool },
    /// IPCP is up.
    Opened,
    /// There is no address left.
    PoolExhausted,
    /// The address asked for cannot be.
    AddressFailed,
    /// LCP echoes stayed unanswered.
    EchoSilent,
    /// Our own packets came back.
    Looped,
    /// What ends the session.
    Ends(Ending),
    /// The session, or the bare control connection, is over.
    Disconnected,
    /// A RADIUS server does not answer; whether that ends the session.
    Radius { ends: bool },
    /// The kernel's socket for GRE could not be had.
    GreFailed,
    /// A line of the more talkative levels that has nothing to tell.
    Talk,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Ending {
    /// LCP Terminate-Request or Call-Clear-Request of the caller.
    ByPeer,
    /// Stop-Control-Connection-Request of the caller.
    ControlStopped,
    /// The caller closed TCP.
    ControlClosed,
    /// Control Echo-Requests stayed unanswered.
    ControlSilent,
    /// Terminate-Request or Call-Disconnect-Notify of the gateway.
    ByGateway,
    /// Nothing was sent for too long.
    Idle,
    /// Its time was over.
    TimeOver,
}

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Place<'a> {
    /// The daemon's own line.
    Daemon,
    /// A session without an interface yet.
    Nameless,
    /// The session with this interface.
    Interface(&'a [u8]),
}

/// Place and text of a line in the daemon's own file.
pub(in crate::log) fn in_file(message: &[u8]) -> (Place<'_>, &[u8]) {
    match message.strip_prefix(b": ") {
        Some(text) => (Place::Nameless, text),
        None => match interface(message, b": ") {
            Some((name, text)) => (Place::Interface(name), text),
            None => (Place::Daemon, message),
        },
    }
}

/// Place and text of a line by syslog, with the user's name still in front if
/// there is one.
pub(in crate::log) fn by_syslog(message: &[u8]) -> (Place<'_>, &[u8]) {
    match message.strip_prefix(b":") {
        Some(text) => (Place::Nameless, text),
        None => match interface(message, b":") {
            Some((name, text)) => (Place::Interface(name), text),
            None => (Place::Daemon, message),
        },
    }
}

/// An interface in front: letters, digits and `-_.` up to `end`. What the
/// daemon says for itself has the name of a part of it there.
fn interface<'a>(message: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // IFNAMSIZ is 16.
    let length = message
        .iter()
        .take(16)
        .take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'))
        .count();
    let (name, rest) = message.split_at(length);
    let ours: [&[u8]; 8] =
        [b"pptp", b"radius", b"ippool", b"main", b"log", b"cli", b"chap-secrets", b"ccp"];
    let text = rest.strip_prefix(end)?;
    (!name.is_empty() && !ours.contains(&name)).then_some((name, text))
}

/// The text behind the user's name of a syslog line: what that name is must be
/// known, else it is told by what stands behind it.
pub(in crate::log) fn behind_user<'a>(text: &'a [u8], known: &[u8]) -> &'a [u8] {
    if let Some(text) = text.strip_prefix(b": ") {
        return text;
    }
    if !known.is_empty()
        && let Some(text) = text.strip_prefix(known).and_then(|rest| rest.strip_prefix(b": "))
    {
        return text;
    }
    for end in [&b": authentication succeeded"[..], b": authentication failed"] {
        // `USER: USER: authentication failed`
        if let Some(names) = text.strip_suffix(end) {
            let half = names.len().saturating_sub(2) / 2;
            if names.len() >= 2
                && names.len() % 2 == 0
                && names[..half] == names[half + 2..]
                && &names[half..half + 2] == b": "
            {
                return &text[half + 2..];
            }
        }
    }
    // What follows holds no name, so the last place is the right one.
    match memchr::memmem::rfind(text, b": connect: ") {
        Some(at) => &text[at + 2..],
        None => text,
    }
}

/// The sentence that the text of a session's line is, if it matters.
pub(in crate::log) fn of_session(text: &[u8]) -> Option<Said<'_>> {
    if let Some(user) = text.strip_suffix(b": authentication succeeded") {
        return Some(Said::Proved(user));
    }
    if let Some(user) = text.strip_suffix(b": authentication failed") {
        return Some(Said::Refuted(user));
    }
    match text.first()? {
        b'P' if text.starts_with(b"PPTP version mismatch: ") => Some(Said::Refused),
        b'a' if text == b"authentication failed" => Some(Said::Refuted(b"")),
        b'c' => match text {
            b"chap-md5: timeout" => Some(Said::AuthSilent),
            _ => {
                let rest = text.strip_prefix(b"connect: ")?;
                let rest = &rest[memchr::memmem::find(rest, b" <--> ")? + 6..];
                Some(Said::Connects(between(rest, b"pptp(", b")").and_then(address)))
            }
        },
        b'd' if text == b"disconnected" => Some(Said::Disconnected),
        b'f' => ["create", "bind", "connect"]
            .iter()
            .any(|verb| {
                text.strip_prefix(b"failed to ")
                    .and_then(|rest| rest.strip_prefix(verb.as_bytes()))
                    .is_some_and(|rest| rest.starts_with(b" PPTP socket "))
            })
            .then_some(Said::GreFailed),
        b'i' => match text {
            b"idle timeout" => Some(Said::Ends(Ending::Idle)),
            b"ipcp_layer_started" => Some(Said::Opened),
            _ => None,
        },
        b'l' => match text {
            b"lcp: no echo reply" => Some(Said::EchoSilent),
            b"lcp: echo: loop-back detected" => Some(Said::Looped),
            b"lcp_layer_init" => Some(Said::Talk),
            _ => None,
        },
        b'm' => match text {
            b"mschap-v1: timeout" | b"mschap-v2: timeout" => Some(Said::AuthSilent),
            _ => text.starts_with(b"mppe: ").then_some(Said::MppeFailed),
        },
        b'p' => match text {
            b"pap: timeout" => Some(Said::AuthSilent),
            b"ppp: no free IPv4 address" => Some(Said::PoolExhausted),
            b"pptp: invalid magic"
            | b"pptp: invalid message length"
            | b"pptp: message is too short"
            | b"pptp: message is too long" => Some(Said::Refused),
            b"pptp: disconnect by peer" => Some(Said::Ends(Ending::ControlClosed)),
            b"pptp: no echo reply" => Some(Said::Ends(Ending::ControlSilent)),
            _ if text.starts_with(b"pptp: read: ") => Some(Said::Ends(Ending::ControlClosed)),
            _ => (text.starts_with(b"ppp: requested IPv4 address already assigned")
                || text.starts_with(b"ppp:ipcp: to avoid kernel soft lockup"))
            .then_some(Said::AddressFailed),
        },
        b'r' if text.starts_with(b"radius: ") || text.starts_with(b"radius:acct: ") => radius(text),
        b'r' => packet(text.strip_prefix(b"recv [")?, false),
        b's' if text == b"session timeout" => Some(Said::Ends(Ending::TimeOver)),
        b's' => packet(text.strip_prefix(b"send [")?, true),
        _ => None,
    }
}

fn radius(text: &[u8]) -> Option<Said<'_>> {
    match text {
        b"radius: session timed out" => Some(Said::Ends(Ending::TimeOver)),
        b"radius: no available servers" | b"radius: no servers available" => {
            Some(Said::Radius { ends: false })
        }
        b"radius:acct: no servers available, terminating session..." => {
            Some(Said::Radius { ends: true })
        }
        _ => {
            let (_, rest) = leading(text.strip_prefix(b"radius: server(")?)?;
            match rest {
                b") not responding" => Some(Said::Radius { ends: false }),
                b") not responding, terminating session..." => Some(Said::Radius { ends: true }),
                _ => None,
            }
        }
    }
}

/// What the more talkative levels tell of a packet.
fn packet(text: &[u8], ours: bool) -> Option<Said<'_>> {
    let (protocol, rest) = text.split_at(memchr::memchr(b' ', text)?);
    let rest = &rest[1..];
    let code = &rest[..memchr::memchr2(b' ', b']', rest).unwrap_or(rest.len())];
    let said = match (protocol, code, ours) {
        (b"PPTP", b"Outgoing-Call-Reply", true)
            if memchr::memmem::find(rest, b" <Result 1> ").is_some() =>
        {
            Said::CallUp
        }
        (b"PPTP", b"Call-Clear-Request", false) => Said::Ends(Ending::ByPeer),
        (b"PPTP", b"Stop-Ctrl-Conn-Request", false) => Said::Ends(Ending::ControlStopped),
        (b"PPTP", b"Call-Disconnect-Notify", true) => Said::Ends(Ending::ByGateway),
        (b"LCP", b"TermReq", _) => {
            Said::Ends(if ours { Ending::ByGateway } else { Ending::ByPeer })
        }
        (b"LCP", b"ConfReq", _) => Said::LcpAsked,
        (b"LCP", b"ConfAck", _) => Said::LcpAcked { ours },
        (b"CCP", b"ConfAck", _) => Said::CcpAcked { ours, mppe: mppe(rest) },
        (b"IPCP", b"ConfAck", _) => Said::IpcpAcked { ours },
        (b"IPCP", b"ConfReq", false) => match option(rest, b"<addr ").and_then(address) {
            Some(asked) => Said::AddressAsked(asked),
            None => Said::Talk,
        },
        (b"CHAP" | b"MSCHAP-v1" | b"MSCHAP-v2", b"Response", false) => {
            let method = match protocol {
                b"CHAP" => AuthMethod::ChapMd5,
                b"MSCHAP-v1" => AuthMethod::MsChapV1,
                _ => AuthMethod::MsChapV2,
            };
            // Digests have no quotes, so the first one opens the name.
            match memchr::memchr(b'"', rest).and_then(|at| rest[at + 1..].strip_suffix(b"\"]")) {
                Some(user) => Said::Name { user, method },
                None => Said::Talk,
            }
        }
        _ => Said::Talk,
    };
    Some(said)
}

/// `<mppe +H -M +S -L -D -C>`: H is stateless, M 56, S 128 and L 40 bit (RFC
/// 3078, section 2.1).
fn mppe(rest: &[u8]) -> Option<(Encryption, bool)> {
    let bits = option(rest, b"<mppe ")?;
    let has = |bit: &[u8]| memchr::memmem::find(bits, bit).is_some();
    let encryption = if has(b"+S") {
        Encryption::Mppe128
    } else if has(b"+M") {
        Encryption::Mppe56
    } else if has(b"+L") {
        Encryption::Mppe40
    } else {
        return None;
    };
    Some((encryption, has(b"+H")))
}

fn option<'a>(rest: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let from = &rest[memchr::memmem::find(rest, start)? + start.len()..];
    Some(&from[..memchr::memchr(b'>', from)?])
}

/// The sentence that a line of the daemon itself is, if it matters.
pub(in crate::log) fn of_daemon(text: &[u8]) -> Option<Said<'_>> {
    match text.first()? {
        b'a' if text.starts_with(b"accel-ppp version ") => Some(Said::ServerUp),
        b't' if text.starts_with(b"terminate, sig = ") => Some(Said::ServerDown),
        b'p' if text == b"pptp: IP is out of client-ip-range, droping connection..." => {
            Some(Said::Refused)
        }
        b'p' => address(text.strip_prefix(b"pptp: new connection from ")?).map(Said::ControlUp),
        b'r' => match radius(text) {
            Some(Said::Radius { .. }) => Some(Said::Radius { ends: false }),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_place() {
        assert_eq!(in_file(b": disconnected"), (Place::Nameless, &b"disconnected"[..]));
        assert_eq!(
            in_file(b"ppp0: disconnected"),
            (Place::Interface(b"ppp0"), &b"disconnected"[..])
        );
        assert_eq!(in_file(b"pptp: new connection from 192.0.2.1").0, Place::Daemon);
        assert_eq!(in_file(b"a b: authentication failed").0, Place::Daemon);
        assert_eq!(by_syslog(b":: disconnected"), (Place::Nameless, &b": disconnected"[..]));
        assert_eq!(
            by_syslog(b"ppp0:probe: lcp: no echo reply"),
            (Place::Interface(b"ppp0"), &b"probe: lcp: no echo reply"[..])
        );
    }

    #[test]
    fn a_name_in_front_is_not_the_text() {
        for (text, known, expected) in [
            (": disconnected", "", "disconnected"),
            ("probe: lcp: no echo reply", "probe", "lcp: no echo reply"),
            ("a: disconnected: lcp: no echo reply", "a: disconnected", "lcp: no echo reply"),
            ("a: b: a: b: authentication failed", "", "a: b: authentication failed"),
            (
                "x: connect: ppp9 <--> pptp(1.2.3.4): connect: ppp0 <--> pptp(10.78.0.3)",
                "",
                "connect: ppp0 <--> pptp(10.78.0.3)",
            ),
            ("x: disconnected", "", "x: disconnected"),
        ] {
            let rest = behind_user(text.as_bytes(), known.as_bytes());
            assert_eq!(rest, expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn sentences_of_the_sources_are_told() {
        for (text, expected) in [
            (
                "connect: ppp0 <--> pptp(10.78.0.3)",
                Some(Said::Connects(Some(Ipv4Addr::new(10, 78, 0, 3)))),
            ),
            ("connect: ppp0 <--> l2tp(10.78.0.3)", Some(Said::Connects(None))),
            (
                "ppp0: bob: authentication succeeded: authentication failed",
                Some(Said::Refuted(b"ppp0: bob: authentication succeeded")),
            ),
            (
                "recv [MSCHAP-v2 Response id=1 <5e>, <aa>, F=0, name=\"a\"]\"]",
                Some(Said::Name { user: b"a\"]", method: AuthMethod::MsChapV2 }),
            ),
            (
                "recv [CCP ConfAck id=70 <mppe +H -M -S +L -D -C>]",
                Some(Said::CcpAcked { ours: false, mppe: Some((Encryption::Mppe40, true)) }),
            ),
            ("send [LCP TermReq id=56]", Some(Said::Ends(Ending::ByGateway))),
            (
                "recv [IPCP ConfReq id=2 <addr 192.168.78.13>]",
                Some(Said::AddressAsked(Ipv4Addr::new(192, 168, 78, 13))),
            ),
            (
                "radius: server(1) not responding, terminating session...",
                Some(Said::Radius { ends: true }),
            ),
            (
                "send [PPTP Outgoing-Call-Reply <Call-ID 6> <Peer-Call-ID e554> <Result 2> <Error 0>]",
                Some(Said::Talk),
            ),
            ("IPV6CP: discarding packet", None),
        ] {
            assert_eq!(of_session(text.as_bytes()), expected, "{text}");
        }
    }
}
