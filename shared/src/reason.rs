//! The two words that every verdict carries: the phase in which it happened
//! and the reason. They are the same in text, JSON, Prometheus, Zabbix, the
//! MIB and the log, and their names and numbers never change.

use std::fmt;

use crate::output::State;

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $number:literal, $word:literal;)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$inner])* $variant = $number,)* }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that stands in every output.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The number that stands in the MIB.
            pub fn number(self) -> u8 {
                self as u8
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// How far a session got; in the order in which a session passes them.
    Phase {
        /// Name to address.
        Resolve = 1, "resolve";
        /// TCP to port 1723.
        Connect = 2, "connect";
        /// Start-Control-Connection and Echo.
        Control = 3, "control";
        /// Outgoing-Call-Request and its reply.
        Call = 4, "call";
        /// The GRE path in both directions.
        Gre = 5, "gre";
        /// PPP link configuration.
        Lcp = 6, "lcp";
        /// PAP, CHAP or EAP.
        Auth = 7, "auth";
        /// Compression control: MPPE.
        Ccp = 8, "ccp";
        /// Address and name servers.
        Ipcp = 9, "ipcp";
        /// User traffic.
        Data = 10, "data";
        /// Everything that was asked for.
        Done = 11, "done";
    }
}

words! {
    /// Why a phase did not end well. [`Reason::meaning`] is the operator's
    /// sentence, [`Reason::mend`] the first step.
    Reason {
        /// Nothing is wrong.
        None = 1, "none";
        /// The name has no address.
        NameNotFound = 2, "name_not_found";
        /// No name server could be asked.
        ResolverFailed = 3, "resolver_failed";
        /// TCP reset in answer to the connection attempt.
        Refused = 4, "refused";
        /// A router or host says that there is no way.
        Unreachable = 5, "unreachable";
        /// No answer in the time given.
        Silent = 6, "silent";
        /// The peer ended the TCP connection in the middle.
        Closed = 7, "closed";
        /// A message that is not what the RFC says.
        Malformed = 8, "malformed";
        /// What answers is not a PPTP server.
        NotPptp = 9, "not_pptp";
        /// Another version of the PPTP protocol.
        WrongVersion = 10, "wrong_version";
        /// Start-Control-Connection-Reply with an error.
        ControlRefused = 11, "control_refused";
        /// Stop-Control-Connection-Request from the gateway.
        Stopped = 12, "stopped";
        /// Control Echo-Requests stay unanswered.
        EchoSilent = 13, "echo_silent";
        /// Outgoing-Call-Reply with an error.
        CallRefused = 14, "call_refused";
        /// Call-Disconnect-Notify in the middle.
        CallDisconnected = 15, "call_disconnected";
        /// No GRE arrives from the gateway.
        GreInboundSilent = 16, "gre_inbound_silent";
        /// The gateway's GRE arrives, ours does not reach it.
        GreOutboundSilent = 17, "gre_outbound_silent";
        /// ICMP says that GRE is not accepted.
        GreUnreachable = 18, "gre_unreachable";
        /// GRE arrives under another call id.
        GreWrongCallId = 19, "gre_wrong_call_id";
        /// GRE worked, then stopped.
        GreStopped = 20, "gre_stopped";
        /// GRE packets overtake each other.
        GreReordered = 21, "gre_reordered";
        /// GRE packets arrive twice.
        GreDuplicated = 22, "gre_duplicated";
        /// Part of the LCP echoes is lost.
        GreLossy = 23, "gre_lossy";
        /// Our own packets come back.
        LcpLoop = 24, "lcp_loop";
        /// The two sides never agree on link options.
        LcpNotConverging = 25, "lcp_not_converging";
        /// Terminate-Request from the gateway.
        Terminated = 26, "terminated";
        /// The gateway wants a method that is not allowed or not possible here.
        AuthOfferedUnacceptable = 27, "auth_offered_unacceptable";
        /// The gateway asks for no authentication at all.
        AuthNotRequested = 28, "auth_not_requested";
        /// Wrong user name or password.
        AuthRejected = 29, "auth_rejected";
        /// E=648: the password has expired.
        AuthExpired = 30, "auth_expired";
        /// E=647: the account is disabled.
        AuthDisabled = 31, "auth_disabled";
        /// E=646: not at this hour.
        AuthHours = 32, "auth_hours";
        /// E=649: no permission to dial in.
        AuthNoDialin = 33, "auth_no_dialin";
        /// E=709: a password change went wrong.
        AuthChangeFailed = 34, "auth_change_failed";
        /// A login that must fail was accepted.
        AuthAccepted = 35, "auth_accepted";
        /// The gateway could not prove that it knows the password.
        MutualAuthFailed = 36, "mutual_auth_failed";
        /// A method that is forbidden would be accepted.
        AuthForbidden = 37, "auth_forbidden";
        /// The gateway will not encrypt as asked.
        MppeRefused = 38, "mppe_refused";
        /// The gateway insists on encryption that was excluded.
        MppeRequired = 39, "mppe_required";
        /// Both sides encrypt, with different keys.
        MppeKeyMismatch = 40, "mppe_key_mismatch";
        /// The gateway rejects IP.
        IpcpRefused = 41, "ipcp_refused";
        /// The gateway gives no address.
        NoAddress = 42, "no_address";
        /// The address is not the expected one.
        AddressUnexpected = 43, "address_unexpected";
        /// A name server is missing or not the expected one.
        DnsUnexpected = 44, "dns_unexpected";
        /// A metric is outside its threshold.
        Threshold = 45, "threshold";
        /// More messages than any gateway would send.
        Flooded = 46, "flooded";
        /// The process lacks a right.
        Permission = 47, "permission";
        /// Something on the probing host.
        Local = 48, "local";
        /// A signal ended the run.
        Interrupted = 49, "interrupted";
        /// A mistake in pptp-monitor.
        Internal = 50, "internal";
        /// No RADIUS reply.
        RadiusSilent = 51, "radius_silent";
        /// A RADIUS reply that is signed with another secret.
        RadiusSecretMismatch = 52, "radius_secret_mismatch";
        /// Access-Challenge.
        RadiusChallenge = 53, "radius_challenge";
        /// A RADIUS reply from an address or port that was not asked.
        RadiusWrongSource = 54, "radius_wrong_source";
        /// RADIUS replies without Message-Authenticator (CVE-2024-3596).
        RadiusUnsigned = 55, "radius_unsigned";
        /// A login that was accepted, but without MPPE keys.
        MppeKeysMissing = 56, "mppe_keys_missing";
        /// A reply attribute is missing or not the expected one.
        AttributeUnexpected = 57, "attribute_unexpected";
        /// TLS did not come up.
        TlsFailed = 58, "tls_failed";
        /// Nothing inside the tunnel answers.
        InnerSilent = 59, "inner_silent";
        /// Part of the echoes inside the tunnel is lost.
        InnerLossy = 60, "inner_lossy";
        /// The name servers that the gateway gave do not resolve a name.
        DnsFailed = 61, "dns_failed";
        /// A page inside is not as it should be.
        HttpFailed = 62, "http_failed";
        /// Packets above a size vanish without a word.
        MtuBlackHole = 63, "mtu_black_hole";
        /// The path forgets a tunnel that is idle.
        MappingDropped = 64, "mapping_dropped";
        /// Fewer sessions than asked for came up.
        SessionsShort = 65, "sessions_short";
        /// Echoes inside the tunnel overtake each other.
        InnerReordered = 66, "inner_reordered";
        /// Echoes inside the tunnel come back twice.
        InnerDuplicated = 67, "inner_duplicated";
        /// The kernel drops packets, for its table of connections is full.
        ConntrackFull = 68, "conntrack_full";
        /// Callers stop answering LCP echoes.
        LcpEchoSilent = 69, "lcp_echo_silent";
        /// Control connections break while sessions stand on them.
        ControlLost = 70, "control_lost";
        /// One user or one address fails again and again.
        RepeatedFailures = 71, "repeated_failures";
        /// One user connects again and again.
        Flapping = 72, "flapping";
        /// A setting of the gateway's host makes sessions fail or drop.
        SettingHarmful = 73, "setting_harmful";
        /// A setting of the gateway's host weakens security.
        SettingInsecure = 74, "setting_insecure";
    }
}

impl Reason {
    /// The state that a reason means: what the gateway or the path does or
    /// fails to do is critical, what is our own fault is unknown.
    pub fn state(self) -> State {
        match self {
            Self::None => State::Ok,
            Self::GreReordered
            | Self::GreDuplicated
            | Self::GreLossy
            | Self::RadiusUnsigned
            | Self::InnerLossy
            | Self::InnerReordered
            | Self::InnerDuplicated => State::Warning,
            Self::ResolverFailed
            | Self::Permission
            | Self::Local
            | Self::Interrupted
            | Self::Internal => State::Unknown,
            _ => State::Critical,
        }
    }

    /// What it means, as one sentence for the operator.
    pub fn meaning(self) -> &'static str {
        self.texts().0
    }

    /// The first step to mend it.
    pub fn mend(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("nothing is wrong", "nothing to do"),
            Self::NameNotFound => ("the name has no address", "check the name and its DNS record"),
            Self::ResolverFailed => {
                ("no name server answered", "check /etc/resolv.conf on this host")
            }
            Self::Refused => (
                "the host answers but nothing listens on the port",
                "start the PPTP daemon or correct the port",
            ),
            Self::Unreachable => (
                "a router or the host says there is no way",
                "check routes and firewalls towards the gateway",
            ),
            Self::Silent => (
                "no answer came in time",
                "check firewall, daemon and its free slots on the gateway",
            ),
            Self::Closed => (
                "the gateway closed the connection in the middle",
                "read the gateway's log for this time",
            ),
            Self::Malformed => (
                "the gateway sent a message that breaks the protocol",
                "capture with --pcap and look for a proxy or a broken daemon",
            ),
            Self::NotPptp => (
                "what listens on the port does not speak PPTP",
                "check which service owns the port",
            ),
            Self::WrongVersion => {
                ("the gateway speaks another version of PPTP", "check the gateway's software")
            }
            Self::ControlRefused => (
                "the gateway refused the control connection",
                "read the gateway's log; check its limits and access lists",
            ),
            Self::Stopped => (
                "the gateway stopped the control connection",
                "read the gateway's log; it may be shutting down",
            ),
            Self::EchoSilent => (
                "the gateway does not answer control echoes",
                "check the load of the gateway and its daemon",
            ),
            Self::CallRefused => (
                "the gateway refused the call",
                "check free sessions, licenses and pool on the gateway",
            ),
            Self::CallDisconnected => {
                ("the gateway ended the call", "read the gateway's log; pppd may not start")
            }
            Self::GreInboundSilent => (
                "the gateway's GRE does not reach this host",
                "allow IP protocol 47 from the gateway; check NAT helpers",
            ),
            Self::GreOutboundSilent => (
                "our GRE does not reach the gateway",
                "allow IP protocol 47 to the gateway; check NAT helpers",
            ),
            Self::GreUnreachable => (
                "ICMP says that GRE is not accepted",
                "allow IP protocol 47 at the host that sent the ICMP",
            ),
            Self::GreWrongCallId => {
                ("GRE arrives under a wrong call id", "check the PPTP helper of the NAT in between")
            }
            Self::GreStopped => {
                ("GRE worked and then stopped", "check NAT and firewall timeouts for protocol 47")
            }
            Self::GreReordered => (
                "GRE packets overtake each other",
                "look for per-packet load balancing on the path",
            ),
            Self::GreDuplicated => {
                ("GRE packets arrive twice", "look for a loop or mirroring on the path")
            }
            Self::GreLossy => (
                "part of the GRE packets is lost",
                "check load and policing of protocol 47 on the path",
            ),
            Self::LcpLoop => (
                "our own PPP packets come back",
                "look for a loop or a modem echoing on the gateway",
            ),
            Self::LcpNotConverging => {
                ("link options are never agreed", "compare pppd's options; capture with --pcap")
            }
            Self::Terminated => {
                ("the gateway terminated the link", "read the gateway's log for this user and time")
            }
            Self::AuthOfferedUnacceptable => (
                "the gateway asks for a method not allowed here",
                "allow that method with --auth-method or change the gateway",
            ),
            Self::AuthNotRequested => (
                "the gateway lets callers in without authentication",
                "set auth and require-mschap-v2 on the gateway",
            ),
            Self::AuthRejected => (
                "user name or password was rejected",
                "check the account, then the RADIUS server behind it",
            ),
            Self::AuthExpired => ("the password has expired", "set a new password for the account"),
            Self::AuthDisabled => ("the account is disabled", "enable the account"),
            Self::AuthHours => {
                ("the account may not log in at this hour", "check the account's logon hours")
            }
            Self::AuthNoDialin => {
                ("the account has no dial-in permission", "grant remote access to the account")
            }
            Self::AuthChangeFailed => (
                "the gateway reports a failed password change",
                "set a new password for the account",
            ),
            Self::AuthAccepted => (
                "a login that must fail was accepted",
                "check the gateway's secrets; anyone may get in",
            ),
            Self::MutualAuthFailed => (
                "the gateway could not prove that it knows the password",
                "check for an impostor, then the gateway's secrets",
            ),
            Self::AuthForbidden => {
                ("the gateway accepts a forbidden method", "refuse that method on the gateway")
            }
            Self::MppeRefused => (
                "the gateway does not encrypt as asked",
                "set require-mppe-128 on the gateway; check its MPPE module",
            ),
            Self::MppeRequired => {
                ("the gateway insists on encryption", "allow encryption with --mppe")
            }
            Self::MppeKeyMismatch => {
                ("both sides encrypt with different keys", "check the MPPE keys that RADIUS sends")
            }
            Self::IpcpRefused => (
                "the gateway rejects IP inside the tunnel",
                "check IP settings of pppd on the gateway",
            ),
            Self::NoAddress => {
                ("the gateway gives no address", "check the address pool of the gateway")
            }
            Self::AddressUnexpected => (
                "the address is not an expected one",
                "check the address pool and the account's address",
            ),
            Self::DnsUnexpected => {
                ("name servers are missing or unexpected", "set ms-dns on the gateway")
            }
            Self::Threshold => {
                ("a metric is outside its threshold", "look at the metric's graph and at the path")
            }
            Self::Flooded => (
                "the gateway sends far more than the protocol needs",
                "capture with --pcap and look for a loop",
            ),
            Self::Permission => {
                ("this process may not open the socket", "run: setcap cap_net_raw+ep on the check")
            }
            Self::Local => ("something on this host is wrong", "mend what the message names"),
            Self::Interrupted => {
                ("a signal ended the run", "run it again; raise the timeout of the scheduler")
            }
            Self::Internal => {
                ("pptp-monitor made a mistake", "report it with the line and the version")
            }
            Self::RadiusSilent => (
                "the RADIUS server does not answer",
                "check server, port and firewall; it ignores unknown clients and wrong secrets",
            ),
            Self::RadiusSecretMismatch => (
                "the reply is signed with another shared secret",
                "set the same shared secret on server and client",
            ),
            Self::RadiusChallenge => {
                ("the server asks for one more answer", "use an account without a second factor")
            }
            Self::RadiusWrongSource => (
                "the answer comes from an address or port that was not asked",
                "bind the server to the address that its clients ask; check NAT",
            ),
            Self::RadiusUnsigned => (
                "replies carry no Message-Authenticator (CVE-2024-3596)",
                "update the RADIUS server; require Message-Authenticator on both sides",
            ),
            Self::MppeKeysMissing => (
                "accepted, but no encrypted session can come up",
                "let the server send MPPE keys (FreeRADIUS: use_mppe in mods-enabled/mschap)",
            ),
            Self::AttributeUnexpected => (
                "a reply attribute is missing or not the expected one",
                "compare the account's reply attributes on the server",
            ),
            Self::TlsFailed => {
                ("TLS did not come up", "check certificates, names and dates on both sides")
            }
            Self::InnerSilent => (
                "nothing answers through the tunnel",
                "check routes, forwarding and firewall behind the gateway",
            ),
            Self::InnerLossy => (
                "part of the packets inside the tunnel is lost",
                "compare with the loss outside; check the load behind the gateway",
            ),
            Self::DnsFailed => (
                "the name servers that the gateway gave do not resolve a name",
                "set ms-dns to servers that the tunnel reaches and that know the name",
            ),
            Self::HttpFailed => (
                "a page inside the tunnel is not as it should be",
                "look at the web server behind the gateway; its log tells what it answered",
            ),
            Self::MtuBlackHole => (
                "packets above a size vanish without a word",
                "lower MRU and clamp MSS on the gateway to what the message says",
            ),
            Self::MappingDropped => (
                "the path forgets a tunnel that is idle",
                "set lcp-echo-interval below the time that the message says",
            ),
            Self::SessionsShort => (
                "fewer sessions at once than asked for",
                "check pool, licenses and limits of the gateway, then NAT on the way",
            ),
            Self::InnerReordered => (
                "packets inside the tunnel overtake each other, but GRE keeps its order",
                "look for per-packet load balancing behind the gateway",
            ),
            Self::InnerDuplicated => (
                "packets inside the tunnel come twice, but GRE does not",
                "look for a loop or mirroring behind the gateway",
            ),
            Self::ConntrackFull => (
                "the kernel drops packets, for its table of connections is full",
                "raise net.netfilter.nf_conntrack_max; look what fills the table",
            ),
            Self::LcpEchoSilent => (
                "callers stop answering LCP echoes",
                "check the path and its timeouts for protocol 47 towards these callers",
            ),
            Self::ControlLost => (
                "control connections break while sessions stand on them",
                "check the path and its timeouts for TCP 1723 towards these callers",
            ),
            Self::RepeatedFailures => (
                "one user or one address fails again and again",
                "block the address if it is nobody's; else correct that client's settings",
            ),
            Self::Flapping => (
                "one user connects again and again",
                "check that caller's line; look for two devices with one account",
            ),
            Self::SettingHarmful => (
                "a setting of the gateway's host makes sessions fail or drop",
                "run the command that -vv shows; --explain tells the reason",
            ),
            Self::SettingInsecure => (
                "a setting of the gateway's host weakens security",
                "run the command that -vv shows; --explain tells the reason",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_reason_with_its_mend() {
        let readme = include_str!("../../README.md");
        let row = |reason: &Reason| {
            let (meaning, mend) = reason.texts();
            let state = match reason {
                Reason::Threshold | Reason::SettingHarmful | Reason::SettingInsecure => {
                    "WARNING or CRITICAL"
                }
                reason => reason.state().name(),
            };
            format!("| <a id=\"reason-{reason}\"></a>`{reason}` | {state} | {meaning} | {mend} |")
        };
        let rows: Vec<String> = Reason::ALL.iter().skip(1).map(row).collect();
        let table = rows.join("\n");
        assert!(readme.contains(&table), "README.md should contain\n{table}");
    }

    #[test]
    fn numbers_rise_and_words_are_unique() {
        assert!(Reason::ALL.is_sorted_by(|one, next| one.number() < next.number()));
        let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn every_text_fits_into_the_first_line() {
        for reason in Reason::ALL {
            let (meaning, mend) = reason.texts();
            assert!(meaning.is_ascii() && mend.is_ascii(), "{reason}");
            assert!(meaning.len() <= 80 && mend.len() <= 80, "{reason}");
        }
    }
}
