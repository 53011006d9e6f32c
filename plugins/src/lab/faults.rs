//! The faults a gateway can be given, by name: what `--fault` takes, what is
//! typed while the lab runs, and what `pptp-lab faults` prints.
//!
//! A [`Fault`] is a value; [`Faults`] is the set that is in force. Sessions
//! look into the set at every step, so a fault can be switched in the middle
//! of one.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use pptp_probe::reason::Phase;

/// Everything that `pptp-lab faults` says about one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Name, before the `=` where there is a value.
    pub name: &'static str,
    /// How the value is written, empty where there is none.
    pub value: &'static str,
    /// The phase of a session that it spoils; `None` where the value says it.
    pub phase: Option<Phase>,
    /// What happens, in one line.
    pub effect: &'static str,
}

macro_rules! faults {
    ($($variant:ident $(($($kind:ty),+))? = $name:literal, $value:literal, $phase:expr, $effect:literal;)*) => {
        /// One way to go wrong, with its value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $effect] $variant $(($($kind),+))?,)*
        }

        /// Every fault: the gateway's in the order in which a session would meet
        /// them, then those of its RADIUS server.
        pub const DEFINITIONS: &[Definition] = &[
            $(Definition { name: $name, value: $value, phase: $phase, effect: $effect },)*
        ];

        impl Fault {
            /// Its name, without a value.
            pub fn name(&self) -> &'static str {
                match self { $(faults!(@pattern $variant $(($($kind),+))?) => $name,)* }
            }
        }
    };
    (@pattern $variant:ident) => { Self::$variant };
    (@pattern $variant:ident ($($kind:ty),+)) => { Self::$variant(..) };
}

faults! {
    TcpRefused = "tcp-refused", "", Some(Phase::Connect), "nothing listens: TCP resets the caller";
    TcpSilent = "tcp-silent", "", Some(Phase::Control), "the connection is accepted, nothing is ever answered";
    TcpCloseAfter(u32) = "tcp-close-after", "OCTETS", Some(Phase::Control), "the connection is closed after so many octets to the caller";
    TcpOneOctet = "tcp-one-octet", "", Some(Phase::Control), "every octet of an answer is a TCP segment of its own";
    TcpTrickle(Duration) = "tcp-trickle", "MS", Some(Phase::Control), "one octet of an answer every so many milliseconds";
    Garbage = "garbage", "", Some(Phase::Control), "random octets instead of the first reply";
    Banner = "banner", "", Some(Phase::Control), "a line like an SSH server's, at once";
    WrongMagic = "wrong-magic", "", Some(Phase::Control), "the first reply has a wrong magic cookie";
    WrongVersion = "wrong-version", "", Some(Phase::Control), "the first reply says protocol version 2.0";
    SccrpResult(u8, u8) = "sccrp-result", "R[:E]", Some(Phase::Control), "Start-Control-Connection-Reply with this result and error code";
    SccrpFlood = "sccrp-flood", "", Some(Phase::Control), "the first reply again and again, and no other";
    NoEchoReply = "no-echo-reply", "", Some(Phase::Control), "control Echo-Requests are not answered";
    EchoWrongId = "echo-wrong-id", "", Some(Phase::Control), "control Echo-Replies carry another identifier";
    OcrpResult(u8, u8, u16) = "ocrp-result", "R[:E[:C]]", Some(Phase::Call), "Outgoing-Call-Reply with this result, error and cause code";
    OcrpSilent = "ocrp-silent", "", Some(Phase::Call), "Outgoing-Call-Requests are not answered";
    GreLostIn = "gre-lost-in", "", Some(Phase::Gre), "GRE from the caller is lost";
    GreLostOut = "gre-lost-out", "", Some(Phase::Gre), "GRE to the caller is lost";
    GreLostBoth = "gre-lost-both", "", Some(Phase::Gre), "GRE is lost both ways";
    GreLostAfter(u32) = "gre-lost-after", "PACKETS", Some(Phase::Gre), "GRE is lost both ways after so many packets of a call";
    GreWrongCallId = "gre-wrong-call-id", "", Some(Phase::Gre), "GRE to the caller carries another call id";
    GreDuplicated = "gre-duplicated", "", Some(Phase::Gre), "GRE to the caller is sent twice";
    GreReordered = "gre-reordered", "", Some(Phase::Gre), "GRE to the caller is swapped in pairs";
    GreUnreachable = "gre-unreachable", "", Some(Phase::Gre), "GRE is answered with ICMP protocol unreachable";
    GreFlood = "gre-flood", "", Some(Phase::Gre), "GRE packets to the caller without end";
    LcpSilent = "lcp-silent", "", Some(Phase::Lcp), "GRE is acknowledged, but PPP never speaks";
    LcpNeverConverging = "lcp-never-converging", "", Some(Phase::Lcp), "every LCP Configure-Request is answered with another Nak";
    LcpLoop = "lcp-loop", "", Some(Phase::Lcp), "every PPP frame of the caller comes back";
    LcpTerminate = "lcp-terminate", "", Some(Phase::Lcp), "Terminate-Request in the middle of LCP";
    NoAuth = "no-auth", "", Some(Phase::Auth), "no authentication is asked for";
    AuthSilent = "auth-silent", "", Some(Phase::Auth), "authentication is agreed on, then nothing comes";
    AuthFailure(u32) = "auth-failure", "CODE", Some(Phase::Auth), "every login fails with this code: 646 647 648 649 691 709";
    AcceptAny = "accept-any", "", Some(Phase::Auth), "any password is accepted";
    WrongProof = "wrong-proof", "", Some(Phase::Auth), "the gateway's own proof (S=) is wrong";
    CcpRefused = "ccp-refused", "", Some(Phase::Ccp), "MPPE is rejected";
    CcpSilent = "ccp-silent", "", Some(Phase::Ccp), "CCP is not answered";
    WrongMppeKey = "wrong-mppe-key", "", Some(Phase::Data), "MPPE is agreed on, with keys that do not match";
    IpcpRefused = "ipcp-refused", "", Some(Phase::Ipcp), "LCP Protocol-Reject of IPCP";
    IpcpSilent = "ipcp-silent", "", Some(Phase::Ipcp), "IPCP is not answered";
    NoAddress = "no-address", "", Some(Phase::Ipcp), "the address option is rejected: the caller gets no address";
    OnePerAddress = "one-per-address", "", Some(Phase::Gre), "a further session from the same address gets no GRE";
    GreIdleDrop(Duration) = "gre-idle-drop", "SECONDS", Some(Phase::Data), "after so long without GRE either way, GRE is lost both ways for good";
    GreIdleIn(Duration) = "gre-idle-in", "SECONDS", Some(Phase::Data), "after so long without GRE either way, GRE to the caller is lost until the caller sends some";
    ControlIdleDrop(Duration) = "control-idle-drop", "SECONDS", Some(Phase::Data), "after so long without an octet either way, the control connection is dead: nothing passes, nothing closes";
    BlackHole(u16) = "black-hole", "OCTETS", Some(Phase::Data), "GRE both ways is lost that carries an IP datagram or LCP packet of more octets";
    BlackHoleIn(u16) = "black-hole-in", "OCTETS", Some(Phase::Data), "the same of GRE from the caller alone";
    BlackHoleOut(u16) = "black-hole-out", "OCTETS", Some(Phase::Data), "the same of GRE to the caller alone";
    MppeKeyAfter(u32) = "mppe-key-after", "N", Some(Phase::Data), "the MPPE keys do not match any more after so many encrypted packets, both ways together";
    LcpReopen(Duration) = "lcp-reopen", "SECONDS", Some(Phase::Data), "LCP is negotiated again, once, so long after the link was up, with all that follows";
    CcpReopen(Duration) = "ccp-reopen", "SECONDS", Some(Phase::Data), "the same with CCP";
    IpcpReopen(Duration) = "ipcp-reopen", "SECONDS", Some(Phase::Data), "the same with IPCP";
    CcpResetStorm = "ccp-reset-storm", "", Some(Phase::Data), "a CCP Reset-Request a hundred times a second";
    TooBig(u16) = "too-big", "OCTETS", Some(Phase::Data), "datagrams of more octets are answered with ICMP fragmentation needed";
    InnerLoss(u8) = "inner-loss", "PERCENT", Some(Phase::Data), "so many percent of the datagrams to the caller are lost, at random";
    InnerReorder = "inner-reorder", "", Some(Phase::Data), "datagrams to the caller are swapped in pairs";
    InnerDuplicate = "inner-duplicate", "", Some(Phase::Data), "datagrams to the caller come twice";
    InnerDelay(Duration) = "inner-delay", "MS", Some(Phase::Data), "datagrams to the caller come so much later; what is no datagram does not wait";
    InnerJitter(Duration) = "inner-jitter", "MS", Some(Phase::Data), "the same by a random time up to this, so that the order changes";
    DnsSilent = "dns-silent", "", Some(Phase::Data), "the name server inside does not answer";
    DnsServfail = "dns-servfail", "", Some(Phase::Data), "the name server inside answers SERVFAIL";
    Http500 = "http-500", "", Some(Phase::Data), "the web server inside answers 500";
    HttpSlow(Duration) = "http-slow", "MS", Some(Phase::Data), "the web server inside waits so long before the first octet";
    HttpSilent = "http-silent", "", Some(Phase::Data), "the web server inside takes the request and does not answer";
    InnerFlood = "inner-flood", "", Some(Phase::Data), "datagrams to the caller without end, from the inner address and from elsewhere";
    InnerFragments = "inner-fragments", "", Some(Phase::Data), "every datagram to the caller comes as fragments";
    InnerBadChecksum = "inner-bad-checksum", "", Some(Phase::Data), "datagrams to the caller have a wrong checksum, of the header and of the rest by turns";
    InnerRedirects = "inner-redirects", "", Some(Phase::Data), "every datagram of the caller is answered with an ICMP redirect too";
    InnerOversized = "inner-oversized", "", Some(Phase::Data), "with every datagram to the caller comes a frame of twice its receive unit";
    InnerForeign = "inner-foreign", "", Some(Phase::Data), "with every datagram to the caller comes one for another address";
    StopAt(Phase) = "stop-at", "PHASE", None, "Stop-Control-Connection-Request in the middle of control, call, lcp, auth, ccp or ipcp";
    DisconnectAt(Phase) = "disconnect-at", "PHASE", None, "Call-Disconnect-Notify in the middle of control, call, lcp, auth, ccp or ipcp";
    Delay(Phase, Duration) = "delay", "PHASE:MS", None, "answers of control (RADIUS: status), call, gre, lcp, auth, ccp, ipcp or data (RADIUS: accounting) come so much later";
    RadiusSilent = "radius-silent", "", Some(Phase::Auth), "no RADIUS request is answered";
    RadiusLose(u32) = "radius-lose", "N", Some(Phase::Auth), "the first so many transmissions of every RADIUS request are lost";
    RadiusWrongPort = "radius-wrong-port", "", Some(Phase::Auth), "RADIUS replies come from another port";
    RadiusWrongIdentifier = "radius-wrong-identifier", "", Some(Phase::Auth), "RADIUS replies carry another identifier";
    RadiusWrongSecret = "radius-wrong-secret", "", Some(Phase::Auth), "RADIUS replies are signed with another secret";
    RadiusWrongAuthenticator = "radius-wrong-authenticator", "", Some(Phase::Auth), "RADIUS replies have a wrong Response Authenticator";
    RadiusNoMessageAuthenticator = "radius-no-message-authenticator", "", Some(Phase::Auth), "RADIUS replies have no Message-Authenticator";
    RadiusWrongMessageAuthenticator = "radius-wrong-message-authenticator", "", Some(Phase::Auth), "RADIUS replies have a wrong Message-Authenticator";
    RadiusTruncated = "radius-truncated", "", Some(Phase::Auth), "the last attribute of a RADIUS reply is longer than its room";
    RadiusDuplicate = "radius-duplicate", "", Some(Phase::Auth), "every RADIUS reply comes twice";
    RadiusForged = "radius-forged", "", Some(Phase::Auth), "a forged RADIUS reply that grants everything, the right one 50 ms later";
    RadiusFlood = "radius-flood", "", Some(Phase::Auth), "forged RADIUS replies without end, and no right one";
    RadiusReject = "radius-reject", "", Some(Phase::Auth), "every RADIUS login is rejected";
    RadiusExpired = "radius-expired", "", Some(Phase::Auth), "every RADIUS login is rejected with E=648, password expired";
    RadiusChallenge = "radius-challenge", "", Some(Phase::Auth), "every RADIUS login is answered with an Access-Challenge";
    RadiusNoProof = "radius-no-proof", "", Some(Phase::Auth), "MS-CHAPv2 is accepted without the server's proof (MS-CHAP2-Success)";
    RadiusWrongProof = "radius-wrong-proof", "", Some(Phase::Auth), "MS-CHAPv2 is accepted with a wrong proof of the server";
    RadiusNoMppeKeys = "radius-no-mppe-keys", "", Some(Phase::Auth), "MS-CHAP is accepted without MPPE keys";
    RadiusWrongMppeKeys = "radius-wrong-mppe-keys", "", Some(Phase::Auth), "MS-CHAP is accepted with MPPE keys that do not match";
}

/// Phases in the middle of which the gateway may hang up.
const INTERRUPTIBLE: [Phase; 6] =
    [Phase::Control, Phase::Call, Phase::Lcp, Phase::Auth, Phase::Ccp, Phase::Ipcp];
/// Phases whose answers may be late.
const DELAYABLE: [Phase; 8] = [
    Phase::Control,
    Phase::Call,
    Phase::Gre,
    Phase::Lcp,
    Phase::Auth,
    Phase::Ccp,
    Phase::Ipcp,
    Phase::Data,
];
/// The failure codes of RFC 2759, section 6.
const FAILURE_CODES: [u32; 6] = [646, 647, 648, 649, 691, 709];
/// Longest delay, an hour.
const MAX_MILLISECONDS: u64 = 3_600_000;

impl Fault {
    /// What is known about it.
    pub fn definition(&self) -> &'static Definition {
        let name = self.name();
        DEFINITIONS.iter().find(|definition| definition.name == name).unwrap_or(&DEFINITIONS[0])
    }

    /// The phase that it spoils.
    pub fn phase(&self) -> Phase {
        match *self {
            Self::StopAt(phase) | Self::DisconnectAt(phase) | Self::Delay(phase, _) => phase,
            _ => self.definition().phase.unwrap_or(Phase::Data),
        }
    }
}

/// The spelling that reads back as the same fault.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match *self {
            Self::TcpCloseAfter(n)
            | Self::GreLostAfter(n)
            | Self::AuthFailure(n)
            | Self::MppeKeyAfter(n)
            | Self::RadiusLose(n) => {
                write!(f, "{name}={n}")
            }
            Self::BlackHole(n) | Self::BlackHoleIn(n) | Self::BlackHoleOut(n) | Self::TooBig(n) => {
                write!(f, "{name}={n}")
            }
            Self::InnerLoss(percent) => write!(f, "{name}={percent}"),
            Self::GreIdleDrop(time)
            | Self::GreIdleIn(time)
            | Self::ControlIdleDrop(time)
            | Self::LcpReopen(time)
            | Self::CcpReopen(time)
            | Self::IpcpReopen(time) => write!(f, "{name}={}", time.as_secs()),
            Self::TcpTrickle(pause)
            | Self::InnerDelay(pause)
            | Self::InnerJitter(pause)
            | Self::HttpSlow(pause) => write!(f, "{name}={}", pause.as_millis()),
            Self::SccrpResult(result, error) => write!(f, "{name}={result}:{error}"),
            Self::OcrpResult(result, error, cause) => write!(f, "{name}={result}:{error}:{cause}"),
            Self::StopAt(phase) | Self::DisconnectAt(phase) => write!(f, "{name}={phase}"),
            Self::Delay(phase, pause) => write!(f, "{name}={phase}:{}", pause.as_millis()),
            _ => f.write_str(name),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// Reads `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the name or the value.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some(definition) = DEFINITIONS.iter().find(|definition| definition.name == name) else {
            return Err(format!(
                "no fault is called '{}'; 'pptp-lab faults' lists them",
                name.escape_debug()
            ));
        };
        let value = match (value, definition.value) {
            (None, "") => "",
            (Some(_), "") => return Err(format!("the fault {name} takes no value")),
            (None, form) => return Err(format!("the fault {name} needs a value: {name}={form}")),
            (Some(value), _) => value,
        };
        Self::with_value(name, value).ok_or_else(|| {
            let allowed = match name {
                "stop-at" | "disconnect-at" => format!("; phases are {}", words(&INTERRUPTIBLE)),
                "delay" => format!("; phases are {}", words(&DELAYABLE)),
                "auth-failure" => "; codes are 646 647 648 649 691 709".to_string(),
                _ => String::new(),
            };
            let form = definition.value;
            format!("'{}' is no {form} for the fault {name}{allowed}", value.escape_debug())
        })
    }
}

impl Fault {
    fn with_value(name: &str, value: &str) -> Option<Self> {
        Some(match name {
            "tcp-refused" => Self::TcpRefused,
            "tcp-silent" => Self::TcpSilent,
            "tcp-close-after" => Self::TcpCloseAfter(number(value)?),
            "tcp-one-octet" => Self::TcpOneOctet,
            "tcp-trickle" => Self::TcpTrickle(milliseconds(value)?),
            "garbage" => Self::Garbage,
            "banner" => Self::Banner,
            "wrong-magic" => Self::WrongMagic,
            "wrong-version" => Self::WrongVersion,
            "sccrp-result" => {
                let mut codes = value.split(':');
                let result = number(codes.next()?)?;
                let error = codes.next().map_or(Some(0), number)?;
                codes.next().is_none().then_some(Self::SccrpResult(result, error))?
            }
            "sccrp-flood" => Self::SccrpFlood,
            "no-echo-reply" => Self::NoEchoReply,
            "echo-wrong-id" => Self::EchoWrongId,
            "ocrp-result" => {
                let mut codes = value.split(':');
                let result = number(codes.next()?)?;
                let error = codes.next().map_or(Some(0), number)?;
                let cause = codes.next().map_or(Some(0), number)?;
                codes.next().is_none().then_some(Self::OcrpResult(result, error, cause))?
            }
            "ocrp-silent" => Self::OcrpSilent,
            "gre-lost-in" => Self::GreLostIn,
            "gre-lost-out" => Self::GreLostOut,
            "gre-lost-both" => Self::GreLostBoth,
            "gre-lost-after" => Self::GreLostAfter(number(value)?),
            "gre-wrong-call-id" => Self::GreWrongCallId,
            "gre-duplicated" => Self::GreDuplicated,
            "gre-reordered" => Self::GreReordered,
            "gre-unreachable" => Self::GreUnreachable,
            "gre-flood" => Self::GreFlood,
            "lcp-silent" => Self::LcpSilent,
            "lcp-never-converging" => Self::LcpNeverConverging,
            "lcp-loop" => Self::LcpLoop,
            "lcp-terminate" => Self::LcpTerminate,
            "no-auth" => Self::NoAuth,
            "auth-silent" => Self::AuthSilent,
            "auth-failure" => {
                let code = number(value)?;
                FAILURE_CODES.contains(&code).then_some(Self::AuthFailure(code))?
            }
            "accept-any" => Self::AcceptAny,
            "wrong-proof" => Self::WrongProof,
            "ccp-refused" => Self::CcpRefused,
            "ccp-silent" => Self::CcpSilent,
            "wrong-mppe-key" => Self::WrongMppeKey,
            "ipcp-refused" => Self::IpcpRefused,
            "ipcp-silent" => Self::IpcpSilent,
            "no-address" => Self::NoAddress,
            "one-per-address" => Self::OnePerAddress,
            "gre-idle-drop" => Self::GreIdleDrop(seconds(value)?),
            "gre-idle-in" => Self::GreIdleIn(seconds(value)?),
            "control-idle-drop" => Self::ControlIdleDrop(seconds(value)?),
            "black-hole" => Self::BlackHole(number(value)?),
            "black-hole-in" => Self::BlackHoleIn(number(value)?),
            "black-hole-out" => Self::BlackHoleOut(number(value)?),
            "mppe-key-after" => Self::MppeKeyAfter(number(value)?),
            "lcp-reopen" => Self::LcpReopen(seconds(value)?),
            "ccp-reopen" => Self::CcpReopen(seconds(value)?),
            "ipcp-reopen" => Self::IpcpReopen(seconds(value)?),
            "ccp-reset-storm" => Self::CcpResetStorm,
            "too-big" => Self::TooBig(number(value)?),
            "inner-loss" => Self::InnerLoss(number(value).filter(|percent| *percent <= 100)?),
            "inner-reorder" => Self::InnerReorder,
            "inner-duplicate" => Self::InnerDuplicate,
            "inner-delay" => Self::InnerDelay(milliseconds(value)?),
            "inner-jitter" => Self::InnerJitter(milliseconds(value)?),
            "dns-silent" => Self::DnsSilent,
            "dns-servfail" => Self::DnsServfail,
            "http-500" => Self::Http500,
            "http-slow" => Self::HttpSlow(milliseconds(value)?),
            "http-silent" => Self::HttpSilent,
            "inner-flood" => Self::InnerFlood,
            "inner-fragments" => Self::InnerFragments,
            "inner-bad-checksum" => Self::InnerBadChecksum,
            "inner-redirects" => Self::InnerRedirects,
            "inner-oversized" => Self::InnerOversized,
            "inner-foreign" => Self::InnerForeign,
            "stop-at" => Self::StopAt(phase(&INTERRUPTIBLE, value)?),
            "disconnect-at" => Self::DisconnectAt(phase(&INTERRUPTIBLE, value)?),
            "delay" => {
                let (word, pause) = value.split_once(':')?;
                Self::Delay(phase(&DELAYABLE, word)?, milliseconds(pause)?)
            }
            "radius-silent" => Self::RadiusSilent,
            "radius-lose" => Self::RadiusLose(number(value)?),
            "radius-wrong-port" => Self::RadiusWrongPort,
            "radius-wrong-identifier" => Self::RadiusWrongIdentifier,
            "radius-wrong-secret" => Self::RadiusWrongSecret,
            "radius-wrong-authenticator" => Self::RadiusWrongAuthenticator,
            "radius-no-message-authenticator" => Self::RadiusNoMessageAuthenticator,
            "radius-wrong-message-authenticator" => Self::RadiusWrongMessageAuthenticator,
            "radius-truncated" => Self::RadiusTruncated,
            "radius-duplicate" => Self::RadiusDuplicate,
            "radius-forged" => Self::RadiusForged,
            "radius-flood" => Self::RadiusFlood,
            "radius-reject" => Self::RadiusReject,
            "radius-expired" => Self::RadiusExpired,
            "radius-challenge" => Self::RadiusChallenge,
            "radius-no-proof" => Self::RadiusNoProof,
            "radius-wrong-proof" => Self::RadiusWrongProof,
            "radius-no-mppe-keys" => Self::RadiusNoMppeKeys,
            "radius-wrong-mppe-keys" => Self::RadiusWrongMppeKeys,
            _ => return None,
        })
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

fn milliseconds(text: &str) -> Option<Duration> {
    number(text).filter(|n| *n <= MAX_MILLISECONDS).map(Duration::from_millis)
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).filter(|n| *n <= MAX_MILLISECONDS / 1000).map(Duration::from_secs)
}

fn phase(allowed: &[Phase], word: &str) -> Option<Phase> {
    allowed.iter().copied().find(|phase| phase.word() == word)
}

fn words(phases: &[Phase]) -> String {
    phases.iter().map(|phase| phase.word()).collect::<Vec<_>>().join(" ")
}

/// The set that every session of a lab looks into.
pub type SharedFaults = Rc<RefCell<Faults>>;

/// The faults in force: at most one of each name, and one delay per phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches a fault on; it replaces one of the same name (and phase, for
    /// a delay).
    pub fn set(&mut self, fault: Fault) {
        self.0.retain(|old| !same_place(old, &fault));
        self.0.push(fault);
    }

    /// Switches every fault of this name off, whatever its value; true when
    /// there was one.
    pub fn clear(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|fault| fault.name() != name);
        self.0.len() != before
    }

    /// Switches all off.
    pub fn clear_all(&mut self) {
        self.0.clear();
    }

    /// Those in force, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// True when exactly this fault is in force.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The first value that `of` finds.
    pub fn find<T>(&self, of: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(of)
    }

    /// How late answers of a phase come.
    pub fn delay(&self, phase: Phase) -> Duration {
        self.find(|fault| match *fault {
            Fault::Delay(at, pause) if at == phase => Some(pause),
            _ => None,
        })
        .unwrap_or_default()
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        let mut set = Self::new();
        faults.into_iter().for_each(|fault| set.set(fault));
        set
    }
}

fn same_place(a: &Fault, b: &Fault) -> bool {
    match (a, b) {
        (Fault::Delay(a, _), Fault::Delay(b, _)) => a == b,
        _ => a.name() == b.name(),
    }
}

/// The table that `pptp-lab faults` prints.
pub fn table() -> String {
    let spelling = |definition: &Definition| match definition.value {
        "" => definition.name.to_string(),
        value => format!("{}={value}", definition.name),
    };
    let width = DEFINITIONS.iter().map(|definition| spelling(definition).len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:7}  {}\n", "NAME", "PHASE", "WHAT HAPPENS");
    for definition in DEFINITIONS {
        let phase = definition.phase.map_or("PHASE", Phase::word);
        text.push_str(&format!(
            "{:width$}  {phase:7}  {}\n",
            spelling(definition),
            definition.effect
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spelling of every fault.
    fn example(definition: &Definition) -> String {
        match definition.value {
            "" => definition.name.to_string(),
            value => {
                let value = match value {
                    "OCTETS" | "PACKETS" | "MS" | "N" | "SECONDS" | "PERCENT" => "7",
                    "R[:E]" => "2:4",
                    "R[:E[:C]]" => "2:4:34",
                    "CODE" => "648",
                    "PHASE" => "auth",
                    "PHASE:MS" => "lcp:250",
                    other => panic!("no example for {other}"),
                };
                format!("{}={value}", definition.name)
            }
        }
    }

    #[test]
    fn every_fault_reads_back_its_spelling() {
        for definition in DEFINITIONS {
            let text = example(definition);
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            assert_eq!(fault.name(), definition.name);
            assert_eq!(fault.definition(), definition);
        }
    }

    #[test]
    fn codes_that_are_left_out_are_zero() {
        assert_eq!("sccrp-result=2".parse(), Ok(Fault::SccrpResult(2, 0)));
        assert_eq!("ocrp-result=4".parse(), Ok(Fault::OcrpResult(4, 0, 0)));
        assert_eq!("ocrp-result=2:6".parse(), Ok(Fault::OcrpResult(2, 6, 0)));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, error) in [
            ("gre-lost", "no fault is called 'gre-lost'; 'pptp-lab faults' lists them"),
            ("banner=1", "the fault banner takes no value"),
            ("auth-failure", "the fault auth-failure needs a value: auth-failure=CODE"),
            (
                "auth-failure=692",
                "'692' is no CODE for the fault auth-failure; codes are 646 647 648 649 691 709",
            ),
            (
                "stop-at=gre",
                "'gre' is no PHASE for the fault stop-at; phases are control call lcp auth ccp ipcp",
            ),
            ("sccrp-result=256", "'256' is no R[:E] for the fault sccrp-result"),
            ("sccrp-result=1:2:3", "'1:2:3' is no R[:E] for the fault sccrp-result"),
            ("tcp-trickle=+5", "'+5' is no MS for the fault tcp-trickle"),
            ("inner-loss=101", "'101' is no PERCENT for the fault inner-loss"),
            ("gre-idle-in=3601", "'3601' is no SECONDS for the fault gre-idle-in"),
            ("tcp-close-after=", "'' is no OCTETS for the fault tcp-close-after"),
        ] {
            assert_eq!(text.parse::<Fault>(), Err(error.to_string()));
        }
    }

    #[test]
    fn a_later_value_replaces_the_earlier_and_delays_add_up_by_phase() {
        let mut faults: Faults =
            ["gre-lost-after=3", "gre-lost-after=5", "delay=lcp:1", "delay=auth:2"]
                .into_iter()
                .map(|text| text.parse().unwrap())
                .collect();
        assert_eq!(faults.iter().count(), 3);
        assert!(faults.has(Fault::GreLostAfter(5)));
        assert_eq!(faults.delay(Phase::Auth), Duration::from_millis(2));
        assert_eq!(faults.delay(Phase::Ipcp), Duration::ZERO);
        assert!(faults.clear("delay"));
        assert!(!faults.clear("delay"));
        assert_eq!(faults.iter().count(), 1);
    }

    #[test]
    fn table_has_a_line_for_every_fault() {
        let table = table();
        assert_eq!(table.lines().count(), DEFINITIONS.len() + 1);
        assert!(table.contains("ocrp-result=R[:E[:C]]"));
    }
}
