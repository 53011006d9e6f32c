//! What the kernel says of connection tracking, PPTP, PPP and MPPE
//! (nf_conntrack_core.c, nf_conntrack_pptp.c, ppp_mppe.c, ppp_generic.c,
//! pptp.c).
//!
//! Up to Linux 3 the sentences begin with the function's or the module's name
//! alone, later the module's name may stand before it; some loggers keep the
//! time since boot in front.

/// One sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Said {
    /// The kernel starts: whatever ran before is over.
    Boot,
    /// The table of connections is full.
    ConntrackFull,
    /// Something of PPTP, PPP or MPPE goes wrong.
    Error,
}

/// The sentence that a message is, if it matters.
pub(in crate::log) fn said(message: &[u8]) -> Option<Said> {
    let message = behind_time(message);
    match message.first()? {
        b'L' if message.starts_with(b"Linux version ") => Some(Said::Boot),
        b'n' | b'i' => {
            let text = message
                .strip_prefix(b"nf_conntrack: ")
                .or_else(|| message.strip_prefix(b"ip_conntrack: "))?;
            let text = text.strip_prefix(b"nf_conntrack: ").unwrap_or(text);
            let rest = text.strip_prefix(b"table full")?;
            (rest.starts_with(b", dropping packet") || rest.starts_with(b" in netns "))
                .then_some(Said::ConntrackFull)
        }
        b'm' => mppe(message),
        b'p' => match message.strip_prefix(b"ppp_mppe: ") {
            Some(text) => mppe(text),
            None => interface(message),
        },
        _ => None,
    }
}

/// `[12345.678901] ` in front is not of the sentence.
fn behind_time(message: &[u8]) -> &[u8] {
    let Some(rest) = message.strip_prefix(b"[") else { return message };
    let length = rest.iter().take_while(|octet| matches!(octet, b' ' | b'.' | b'0'..=b'9')).count();
    rest[length..].strip_prefix(b"] ").unwrap_or(message)
}

/// `ppp0: ppp: compressor dropped pkt`, and what else is said of an interface.
fn interface(message: &[u8]) -> Option<Said> {
    let rest = message.strip_prefix(b"ppp")?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let text = rest[digits..].strip_prefix(b": ")?;
    let complaints = [&b"ppp: compressor dropped pkt"[..], b"PPP: no memory"];
    complaints.iter().any(|start| text.starts_with(start)).then_some(Said::Error)
}

/// The complaints; what is only told with debugging on is left out.
fn mppe(text: &[u8]) -> Option<Said> {
    let rest =
        text.strip_prefix(b"mppe_decompress[").or_else(|| text.strip_prefix(b"mppe_compress["))?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let rest = rest[digits..].strip_prefix(b"]: ")?;
    let complaints = [&b"osize too small!"[..], b"ENCRYPTED bit not set!", b"FLUSHED bit not set"];
    complaints.iter().any(|start| rest.starts_with(start)).then_some(Said::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_with_and_without_time_and_module() {
        for (message, expected) in [
            ("nf_conntrack: table full, dropping packet", Some(Said::ConntrackFull)),
            (
                "[104235.156774] nf_conntrack: nf_conntrack: table full, dropping packet",
                Some(Said::ConntrackFull),
            ),
            (
                "nf_conntrack: nf_conntrack: table full in netns 4026532000, dropping packet",
                Some(Said::ConntrackFull),
            ),
            ("ip_conntrack: table full, dropping packet.", Some(Said::ConntrackFull)),
            ("[    0.000000] Linux version 6.1.0 (gcc) #1 SMP", Some(Said::Boot)),
            ("mppe_decompress[0]: ENCRYPTED bit not set!", Some(Said::Error)),
            (
                "[   12.5] ppp_mppe: mppe_decompress[3]: FLUSHED bit not set in stateless mode!",
                Some(Said::Error),
            ),
            ("mppe_decompress[0]: ccount 12", None),
            ("[ 7.1] ppp0: ppp: compressor dropped pkt", Some(Said::Error)),
            ("ppp0: renamed from ppp1", None),
            ("[x] nf_conntrack: table full, dropping packet", None),
        ] {
            assert_eq!(said(message.as_bytes()), expected, "{message}");
        }
    }
}
