//! What pppd says, its plugins for RADIUS, winbind and pptpd's wtmp among it
//! (pppd 2.4.5 to 2.5: auth.c, chap-new.c, upap.c, eap.c, lcp.c, fsm.c, ccp.c,
//! ipcp.c, main.c, utils.c; radius.so: sendserver.c; pptpd-logwtmp.c).
//!
//! Up to 2.4.9 the name that a caller proved is told with PAP only; 2.5 tells
//! it always. A failed proof is told with its name. A Reply-Message of RADIUS
//! comes as a message of its own without anything around it, so a RADIUS
//! server can say what pppd says; whoever has it is trusted with more.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::{address, between};
use crate::gateway::session::{AuthMethod, Encryption};
use crate::gateway::tracker::TerminateCause;
use crate::log::octets::leading;
use crate::reason::Reason;

/// One sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Said<'a> {
    /// The process starts.
    Starts,
    /// Its interface.
    Interface(&'a [u8]),
    /// The link begins on an interface.
    Connects(&'a [u8]),
    /// One of the two Configure-Acks of LCP, and what we ask the caller to
    /// prove itself with.
    LcpAcked { ours: bool, method: Option<AuthMethod> },
    /// The caller's name before it is proved, or when it was.
    Name { user: &'a [u8], method: Option<AuthMethod> },
    /// The caller may go on; the number is its address.
    Authorized(Option<Ipv4Addr>),
    /// The caller proved who it is.
    Proved { user: &'a [u8], method: Option<AuthMethod> },
    /// It did not, or would not.
    Refuted { user: &'a [u8], method: Option<AuthMethod>, reason: Reason },
    /// RADIUS does not work.
    Radius(Reason),
    /// MPPE is on.
    MppeUp { encryption: Encryption, stateless: bool },
    /// MPPE could not be agreed.
    MppeFailed(Reason),
    /// MPPE is lost, or goes with the link.
    MppeDown,
    /// IPCP did not come to an end, or to none that is allowed.
    AddressFailed(Reason),
    /// The caller has an address.
    Assigned(Ipv4Addr),
    /// LCP came to no end.
    LcpFailed(Reason),
    /// LCP echoes stayed unanswered.
    EchoSilent,
    /// The caller ends the link, and says this of it.
    TerminatedByPeer(&'a [u8]),
    /// What else ends the link.
    Ends(TerminateCause),
    /// The line broke, or the control connection's process let go.
    Hangup,
    /// Octets to the caller, and from it.
    Counted { sent: u64, received: u64 },
    /// The link is over.
    Terminated,
    /// The process is over.
    Exits,
}

/// The sentence that a message is, if it matters.
pub(in crate::log) fn said(message: &[u8]) -> Option<Said<'_>> {
    match message.first()? {
        b'C' => match message {
            b"Connection terminated." => Some(Said::Terminated),
            b"Connect time expired" => Some(Said::Ends(TerminateCause::SessionTimeout)),
            b"Could not determine local IP address" => Some(Said::AddressFailed(Reason::NoAddress)),
            b"CHAP authentication timed out" => Some(refuted(b"", None, Reason::Silent)),
            _ if message.starts_with(b"Connect: ") => {
                let rest = &message[9..];
                let end = rest.iter().position(|octet| *octet == b' ')?;
                rest[end..].starts_with(b" <--> ").then(|| Said::Connects(&rest[..end]))
            }
            _ if message.starts_with(b"Could not determine remote IP address") => {
                Some(Said::AddressFailed(Reason::NoAddress))
            }
            _ => None,
        },
        b'E' => match message {
            b"Exit." => Some(Said::Exits),
            b"EAP: no response to Requests" | b"EAP: too many Requests sent" => {
                Some(refuted(b"", Some(AuthMethod::Eap), Reason::Silent))
            }
            b"EAP authentication of peer failed on Protocol-Reject" => {
                Some(refuted(b"", Some(AuthMethod::Eap), Reason::AuthOfferedUnacceptable))
            }
            _ => eap(message.strip_prefix(b"EAP: ")?),
        },
        b'F' => {
            message.starts_with(b"Fatal signal ").then_some(Said::Ends(TerminateCause::NasError))
        }
        b'H' => (message == b"Hangup (SIGHUP)").then_some(Said::Hangup),
        b'I' => match message {
            b"IPCP: timeout sending Config-Requests" => Some(Said::AddressFailed(Reason::Silent)),
            b"Interface configuration failed" => Some(Said::AddressFailed(Reason::Local)),
            _ => None,
        },
        b'L' => match message {
            b"LCP: timeout sending Config-Requests" => Some(Said::LcpFailed(Reason::Silent)),
            b"LCP terminated by peer" => Some(Said::TerminatedByPeer(b"")),
            _ => between(message, b"LCP terminated by peer (", b")").map(Said::TerminatedByPeer),
        },
        b'M' => match message {
            b"Modem hangup" => Some(Said::Hangup),
            b"MPPE 128-bit stateless compression enabled" => {
                Some(Said::MppeUp { encryption: Encryption::Mppe128, stateless: true })
            }
            b"MPPE disabled" | b"MPPE disabled, closing LCP" => Some(Said::MppeDown),
            _ if message.starts_with(b"MPPE required") => {
                // "refused" or "negotiation failed".
                Some(Said::MppeFailed(if message.starts_with(b"MPPE required but peer ") {
                    Reason::MppeRequired
                } else {
                    Reason::MppeRefused
                }))
            }
            _ => mppe(message.strip_prefix(b"MPPE ")?),
        },
        b'N' => {
            let count = message.strip_prefix(b"No response to ");
            match count {
                Some(rest) => (leading(rest)?.1 == b" echo-requests").then_some(Said::EchoSilent),
                None => {
                    let user = message.strip_prefix(b"No CHAP secret found for authenticating ")?;
                    (!user.starts_with(b"us to ")).then_some(Said::Name { user, method: None })
                }
            }
        }
        b'P' => peer(message),
        b'S' if message == b"Serial line is looped back." => Some(Said::LcpFailed(Reason::LcpLoop)),
        b'S' => {
            let (sent, rest) = leading(message.strip_prefix(b"Sent ")?)?;
            let (received, rest) = leading(rest.strip_prefix(b" bytes, received ")?)?;
            (rest == b" bytes.").then_some(Said::Counted { sent, received })
        }
        b'T' => match message {
            b"Terminating connection due to lack of activity." => {
                Some(Said::Ends(TerminateCause::IdleTimeout))
            }
            b"Too many MPPE errors, closing LCP" => Some(Said::MppeDown),
            _ if message.starts_with(b"Terminating on signal ") => {
                Some(Said::Ends(TerminateCause::AdminReset))
            }
            _ => message
                .starts_with(b"Traffic limit reached.")
                .then_some(Said::Ends(TerminateCause::NasRequest)),
        },
        b'U' => message.strip_prefix(b"Using interface ").map(Said::Interface),
        b'p' => lower_p(message),
        // `remote IP address` has one blank where `local  IP` has two.
        b'r' if message.starts_with(b"remote ") => {
            address(message.strip_prefix(b"remote IP address ")?).map(Said::Assigned)
        }
        b'r' => match message {
            _ if message.starts_with(b"rcvd [") => received(&message[6..]),
            b"rc_check_reply: received invalid reply digest from RADIUS server" => {
                Some(Said::Radius(Reason::RadiusSecretMismatch))
            }
            _ if message.starts_with(b"rc_send_server: no reply from RADIUS server") => {
                Some(Said::Radius(Reason::RadiusSilent))
            }
            _ => (message.starts_with(b"rc_send_server: ")
                || message.starts_with(b"rc_check_reply: "))
            .then_some(Said::Radius(Reason::Malformed)),
        },
        b's' => message
            .starts_with(b"sent [LCP ConfAck ")
            .then_some(Said::LcpAcked { ours: true, method: None }),
        b'u' => {
            // Written by login; tty and interface are not the caller's words.
            let rest = message.strip_prefix(b"user ")?;
            let end = memchr::memmem::rfind(rest, b" logged in on tty ")?;
            Some(Said::Name { user: &rest[..end], method: None })
        }
        _ => None,
    }
}

fn refuted(user: &[u8], method: Option<AuthMethod>, reason: Reason) -> Said<'_> {
    Said::Refuted { user, method, reason }
}

fn peer(message: &[u8]) -> Option<Said<'_>> {
    if let Some(rest) = message.strip_prefix(b"Peer ") {
        if let Some(user) = rest
            .strip_suffix(b" failed CHAP authentication")
            .or_else(|| rest.strip_suffix(b" failed CHAP Session verification"))
        {
            return Some(refuted(user, None, Reason::AuthRejected));
        }
        for (end, method) in [
            (&b" authenticated with PAP"[..], Some(AuthMethod::Pap)),
            (b" authenticated with CHAP", None),
            (b" authenticated with EAP", Some(AuthMethod::Eap)),
        ] {
            if let Some(user) = rest.strip_suffix(end) {
                return Some(Said::Proved { user, method });
            }
        }
        return match rest {
            b"refused to agree to his IP address" | b"refused to agree to our IP address" => {
                Some(Said::AddressFailed(Reason::IpcpRefused))
            }
            _ => rest
                .starts_with(b"is not authorized to use remote address ")
                .then_some(Said::AddressFailed(Reason::AddressUnexpected)),
        };
    }
    let pap = Some(AuthMethod::Pap);
    let rest = message.strip_prefix(b"PAP ")?;
    if let Some(user) = rest.strip_prefix(b"peer authentication succeeded for ") {
        return Some(Said::Proved { user, method: pap });
    }
    if let Some(user) = rest.strip_prefix(b"peer authentication failed for ") {
        return Some(refuted(user, pap, Reason::AuthRejected));
    }
    (rest == b"authentication of peer failed (protocol-reject)")
        .then(|| refuted(b"", pap, Reason::AuthOfferedUnacceptable))
}

fn eap(text: &[u8]) -> Option<Said<'_>> {
    let method = Some(AuthMethod::Eap);
    if let Some(user) = between(text, b"unauthenticated peer name \"", b"\"") {
        return Some(Said::Name { user, method });
    }
    if let Some(user) = text.strip_prefix(b"MSCHAPv2 success for peer ") {
        return Some(Said::Name { user, method });
    }
    text.strip_prefix(b"MSCHAPv2 failure for peer ")
        .map(|user| refuted(user, method, Reason::AuthRejected))
}

/// `128-bit stateless compression enabled`, also in the form for the case that
/// the two directions differ.
fn mppe(text: &[u8]) -> Option<Said<'_>> {
    let (bits, rest) = leading(text)?;
    let rest = rest.strip_prefix(b"-bit ")?;
    let encryption = match bits {
        40 => Encryption::Mppe40,
        56 => Encryption::Mppe56,
        128 => Encryption::Mppe128,
        _ => return None,
    };
    text.ends_with(b" compression enabled")
        .then(|| Said::MppeUp { encryption, stateless: rest.starts_with(b"stateless ") })
}

fn lower_p(message: &[u8]) -> Option<Said<'_>> {
    if let Some(number) = between(message, b"peer from calling number ", b" authorized") {
        return Some(Said::Authorized(address(number)));
    }
    if message == b"peer refused to authenticate: terminating link" {
        return Some(refuted(b"", None, Reason::AuthOfferedUnacceptable));
    }
    if let Some(rest) = message.strip_prefix(b"pptpd-logwtmp.so ip-up ") {
        // Interface, name, address: only the name can hold blanks.
        let start = memchr::memchr(b' ', rest)? + 1;
        let end = memchr::memrchr(b' ', rest)?;
        let user = rest.get(start..end).filter(|user| !user.is_empty())?;
        return Some(Said::Name { user, method: None });
    }
    let rest = message.strip_prefix(b"pppd ")?;
    let end = memchr::memchr(b' ', rest)?;
    rest[end..].starts_with(b" started by ").then_some(Said::Starts)
}

/// What `debug` tells of a packet of the caller.
fn received(packet: &[u8]) -> Option<Said<'_>> {
    if let Some(rest) = packet.strip_prefix(b"CHAP Response id=0x") {
        let start = memchr::memchr(b'<', rest)? + 1;
        let digits = rest[start..].iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let user = between(&rest[start + digits..], b">, name = \"", b"\"]")?;
        return Some(Said::Name { user, method: None });
    }
    if let Some(rest) = packet.strip_prefix(b"PAP AuthReq id=0x") {
        let start = memchr::memchr(b' ', rest)? + 1;
        let quoted = rest[start..].strip_prefix(b"user=\"")?;
        let user = &quoted[..closing_quote(quoted)?];
        return Some(Said::Name { user, method: Some(AuthMethod::Pap) });
    }
    if let Some(options) = packet.strip_prefix(b"LCP ConfAck ") {
        // Of our own options, so not the caller's words.
        let method = memchr::memmem::find(options, b"<auth ").and_then(|at| {
            let end = memchr::memchr(b'>', &options[at..])?;
            match &options[at + 6..at + end] {
                b"pap" => Some(AuthMethod::Pap),
                b"chap MD5" => Some(AuthMethod::ChapMd5),
                b"chap MS" => Some(AuthMethod::MsChapV1),
                b"chap MS-v2" => Some(AuthMethod::MsChapV2),
                b"eap" => Some(AuthMethod::Eap),
                _ => None,
            }
        });
        return Some(Said::LcpAcked { ours: false, method });
    }
    None
}

/// Where the text ends that a quote opened; a backslash guards what follows.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut guarded = false;
    text.iter().position(|octet| {
        let closes = *octet == b'"' && !guarded;
        guarded = *octet == b'\\' && !guarded;
        closes
    })
}

/// A name as the caller gave it: pppd guards quotes and backslashes, and
/// writes control octets as `\n`, `\x1b` or, in packets, `\033`.
pub(in crate::log) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        let (octet, behind) = match (octet, behind) {
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b'r', behind @ ..]) => (b'\r', behind),
            (b'\\', [b't', behind @ ..]) => (b'\t', behind),
            (b'\\', [b'b', behind @ ..]) => (8, behind),
            (b'\\', [b'f', behind @ ..]) => (12, behind),
            (b'\\', [b'x', a, b, behind @ ..]) => match (digit(*a, 16), digit(*b, 16)) {
                (Some(a), Some(b)) => (a << 4 | b, behind),
                _ => (b'\\', rest),
            },
            (b'\\', [a, b, c, behind @ ..]) if a.is_ascii_digit() => {
                match (digit(*a, 4), digit(*b, 8), digit(*c, 8)) {
                    (Some(a), Some(b), Some(c)) => (a << 6 | b << 3 | c, behind),
                    _ => (b'\\', rest),
                }
            }
            (b'\\', [guarded, behind @ ..]) => (*guarded, behind),
            (octet, behind) => (*octet, behind),
        };
        name.push(octet);
        rest = behind;
    }
    Cow::Owned(name)
}

fn digit(octet: u8, base: u32) -> Option<u8> {
    char::from(octet).to_digit(base).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(user: &str) -> Option<Said<'_>> {
        Some(Said::Name { user: user.as_bytes(), method: None })
    }

    #[test]
    fn sentences_of_the_sources_are_told() {
        let rejected = |user: &'static str, method| {
            Some(refuted(user.as_bytes(), method, Reason::AuthRejected))
        };
        let table: Vec<(&str, Option<Said<'_>>)> = vec![
            ("pppd 2.4.9 started by root, uid 0", Some(Said::Starts)),
            ("Using interface ppp0", Some(Said::Interface(b"ppp0"))),
            ("Connect: ppp0 <--> /dev/pts/0", Some(Said::Connects(b"ppp0"))),
            ("Connect time 0.1 minutes.", None),
            ("No CHAP secret found for authenticating nobody", name("nobody")),
            ("No CHAP secret found for authenticating us to gw", None),
            ("Peer probe failed CHAP authentication", rejected("probe", None)),
            ("PAP peer authentication failed for a b", rejected("a b", Some(AuthMethod::Pap))),
            ("EAP: MSCHAPv2 failure for peer probe", rejected("probe", Some(AuthMethod::Eap))),
            (
                "Peer probe authenticated with CHAP",
                Some(Said::Proved { user: b"probe", method: None }),
            ),
            (
                "PAP peer authentication succeeded for probe",
                Some(Said::Proved { user: b"probe", method: Some(AuthMethod::Pap) }),
            ),
            (
                "EAP: unauthenticated peer name \"probe\"",
                Some(Said::Name { user: b"probe", method: Some(AuthMethod::Eap) }),
            ),
            ("pptpd-logwtmp.so ip-up ppp0 a b 10.77.0.3", name("a b")),
            (
                "user a logged in on tty b logged in on tty pts/0 intf ppp0",
                name("a logged in on tty b"),
            ),
            ("rcvd [CHAP Response id=0x2d <c5a7>, name = \"probe\"]", name("probe")),
            (
                "rcvd [PAP AuthReq id=0x1 user=\"a\\\" b\" password=<hidden>]",
                Some(Said::Name { user: b"a\\\" b", method: Some(AuthMethod::Pap) }),
            ),
            (
                "rcvd [LCP ConfAck id=0x1 <asyncmap 0x0> <auth chap MS-v2> <magic 0x56656d1b>]",
                Some(Said::LcpAcked { ours: false, method: Some(AuthMethod::MsChapV2) }),
            ),
            ("MPPE required but peer refused", Some(Said::MppeFailed(Reason::MppeRequired))),
            (
                "MPPE required but peer negotiation failed",
                Some(Said::MppeFailed(Reason::MppeRequired)),
            ),
            (
                "MPPE required, but MS-CHAP[v2] auth not performed.",
                Some(Said::MppeFailed(Reason::MppeRefused)),
            ),
            (
                "MPPE 40-bit stateful compression enabled",
                Some(Said::MppeUp { encryption: Encryption::Mppe40, stateless: false }),
            ),
            ("No response to 3 echo-requests", Some(Said::EchoSilent)),
            (
                "LCP terminated by peer (User request)",
                Some(Said::TerminatedByPeer(b"User request")),
            ),
            (
                "Sent 562 bytes, received 439 bytes.",
                Some(Said::Counted { sent: 562, received: 439 }),
            ),
            ("Sent 99999999999999999999 bytes, received 0 bytes.", None),
            (
                "rc_send_server: no reply from RADIUS server host:1812",
                Some(Said::Radius(Reason::RadiusSilent)),
            ),
            (
                "Peer is not authorized to use remote address 192.0.2.1",
                Some(Said::AddressFailed(Reason::AddressUnexpected)),
            ),
            ("local  IP address 192.168.77.1", None),
            ("remote LL address fe80::1", None),
        ];
        for (message, expected) in table {
            assert_eq!(said(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn names_are_what_stands_between_the_fixed_ends() {
        for user in [
            "x failed CHAP authentication",
            "pppd[1]: peer from calling number 203.0.113.9 authorized",
            "x authenticated with CHAP",
            "|",
            "Exit.",
        ] {
            let message = format!("Peer {user} failed CHAP authentication");
            assert_eq!(
                said(message.as_bytes()),
                Some(refuted(user.as_bytes(), None, Reason::AuthRejected))
            );
        }
    }

    #[test]
    fn quoted_names_come_back() {
        for (text, name) in [
            (&br"DOM\\user"[..], &b"DOM\\user"[..]),
            (br#"a\"b"#, b"a\"b"),
            (br"a\nb\x1b\033", b"a\nb\x1b\x1b"),
            (br"\xzz\9", br"\xzz9"),
            (br"end\", br"end\"),
        ] {
            assert_eq!(*unquoted(text), *name);
        }
    }
}
