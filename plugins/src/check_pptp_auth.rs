//! `check_pptp_auth`: a login, all the way to an address.

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Instant;

use clap::Args;
use pptp_probe::cli::{AuthMethods, Common, Login, MppeChoice, Target};
use pptp_probe::method::Method;
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::{Metric, Report, escape};
use pptp_probe::plugin::{Check, Context};
use pptp_probe::probe::auth::{self, Wish};
use pptp_probe::probe::{Gateway, Observation};
use pptp_probe::proto::auth::Credentials;
use pptp_probe::proto::tunnel::Proof;
use pptp_probe::reason::{Phase, Reason};

use crate::run::{self, Run};
use crate::session;

/// The command line.
#[derive(Debug, Clone, Args)]
pub struct AuthArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    login: Login,
    #[command(flatten)]
    methods: AuthMethods,
    #[command(flatten)]
    mppe: MppeChoice,
    /// Alert unless the address given lies in this network; repeatable
    #[arg(long, value_name = "CIDR")]
    expect_address: Vec<Network>,
    /// Alert unless the gateway gives this DNS server; repeatable
    #[arg(long, value_name = "ADDRESS")]
    expect_dns: Vec<Ipv4Addr>,
    /// The login must be rejected; alert when it is accepted
    #[arg(long)]
    expect_reject: bool,
}

impl Check for AuthArgs {
    const NAME: &'static str = "PPTP AUTH";
    const PROGRAM: &'static str = "check_pptp_auth";
    const ABOUT: &'static str = "Logs in to a PPTP gateway: call, GRE, LCP, authentication, MPPE, \
        address; then logs out. One authentication attempt, no pppd, no route. Needs CAP_NET_RAW. \
        Alerts when any layer fails, the gateway does not prove that it knows the password, \
        encryption or address are not as asked for, or a metric is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_auth -H 192.0.2.1 -u probe --password-file /etc/pptp-monitor/probe --mppe 128\n  \
        PW=wrong check_pptp_auth -H 192.0.2.1 -u probe --password-env PW --expect-reject";
    const METRICS: &'static [&'static str] = &[
        "time",
        "resolve_time",
        "connect_time",
        "control_time",
        "call_time",
        "gre_time",
        "lcp_time",
        "auth_time",
        "ccp_time",
        "ipcp_time",
        "data_time",
        "mppe_bits",
        "gre_sent",
        "gre_received",
        "gre_lost",
        "gre_duplicates",
        "gre_reordered",
    ];
    const MAIN_METRIC: &'static str = "time";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.target.to_string()
    }

    fn excludes(&self, label: &str) -> Option<&'static str> {
        match label {
            "time" | "auth_time" | "ccp_time" | "ipcp_time" | "data_time" | "mppe_bits"
                if self.expect_reject =>
            {
                Some("--expect-reject")
            }
            "data_time" if !self.mppe.mppe.allows_encryption() => Some("--mppe none"),
            "data_time" if self.methods.allowed() == [Method::None] => Some("--auth-method none"),
            _ => None,
        }
    }

    fn validate(&self) -> Result<(), String> {
        session::validate_ipv4(&self.target)?;
        let only_none = self.methods.allowed() == [Method::None];
        if only_none && !self.mppe.mppe.allow_none {
            return Err("--mppe needs a key, but --auth-method none gives none".into());
        }
        if only_none && self.expect_reject {
            return Err("--expect-reject needs an authentication method".into());
        }
        if self.expect_reject && !(self.expect_address.is_empty() && self.expect_dns.is_empty()) {
            return Err(
                "--expect-reject leaves no session for --expect-address or --expect-dns".into()
            );
        }
        Ok(())
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    run::main::<AuthArgs>(argv)
}

impl Run for AuthArgs {
    type Secrets = Option<Credentials>;
    type Socket = RawGre;
    type Seen = Observation;

    fn secrets(&self, deadline: Instant) -> Result<Option<Credentials>, Report> {
        session::credentials(&self.login, &self.methods, deadline)
    }

    fn raw_sockets(&self) -> usize {
        1
    }

    fn sockets(&self, mut open: impl FnMut() -> Result<RawGre, Report>) -> Result<RawGre, Report> {
        open()
    }

    fn aim(&mut self, host: &str, port: Option<u16>) {
        session::aim(&mut self.target, host, port);
    }

    fn gateway(&self) -> Gateway {
        session::gateway(&self.target, true)
    }

    async fn run(
        &self,
        credentials: Option<Credentials>,
        raw: RawGre,
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> (Observation, Report) {
        let gateway = self.gateway();
        let wish = Wish {
            methods: self.methods.allowed(),
            credentials,
            mppe: self.mppe.mppe,
            ask_nbns: false,
        };
        let allowance = session::allowance(context);
        let seen = auth::probe(&gateway, wish, raw, allowance, interrupt, tap).await;
        let report = report(self, context, &seen);
        (seen, report)
    }
}

/// Judges what the gateway showed; touches neither the network nor the clock.
fn report(args: &AuthArgs, context: &Context, seen: &Observation) -> Report {
    let facts = &seen.seen;
    let mut report = match verdict(args, seen) {
        Some((phase, reason, text)) => Report::failed(phase, reason, text),
        None if args.expect_reject => {
            let text = facts.failure.as_ref().map_or("", |failure| failure.detail.as_str());
            Report::ok(format!("login was rejected as expected: {text}"))
        }
        None => session::begin(context, seen, Phase::Ipcp, || success(seen)),
    };
    let time = seen.time_to(Phase::Ipcp).max(seen.time_to(Phase::Ccp));
    if let Some(time) = time.filter(|_| facts.phase(Phase::Ipcp).is_some()) {
        report = report.metric(Metric::seconds("time", time).judged_by(&context.thresholds));
    }
    report = session::describe(report, context, seen);
    report = session::describe_gre(report, context, seen);
    report = session::describe_login(report, context, seen);
    if !facts.message.is_empty() {
        report = report.detail(1, format!("gateway says '{}'", escape(&facts.message)));
    }
    report
}

/// What is wrong beside a failure of the session itself.
fn verdict(args: &AuthArgs, seen: &Observation) -> Option<(Phase, Reason, String)> {
    let facts = &seen.seen;
    if args.expect_reject {
        return expect_reject(seen);
    }
    if facts.failure.is_some() || facts.phase(Phase::Ipcp).is_none() {
        return None;
    }
    // A gateway may negotiate once more and take the address back.
    let Some(address) = facts.address else {
        return Some((Phase::Ipcp, Reason::NoAddress, "gateway gave no address".into()));
    };
    if !args.expect_address.is_empty()
        && !args.expect_address.iter().any(|network| network.contains(address))
    {
        let text = format!("gateway gave the address {address}, which is not an expected one");
        return Some((Phase::Ipcp, Reason::AddressUnexpected, text));
    }
    if let Some(missing) = args.expect_dns.iter().find(|server| !facts.dns.contains(server)) {
        let text = match facts.dns.as_slice() {
            [] => format!("gateway gave no DNS server, expected was {missing}"),
            given => {
                let given: Vec<_> = given.iter().map(ToString::to_string).collect();
                format!("gateway gave DNS {}, expected was {missing}", given.join(" "))
            }
        };
        return Some((Phase::Ipcp, Reason::DnsUnexpected, text));
    }
    session::gre_complaint(seen).map(|(reason, text)| (Phase::Gre, reason, text))
}

/// The negative test: `None` when the login was rejected.
fn expect_reject(seen: &Observation) -> Option<(Phase, Reason, String)> {
    let accepted = |how: &str| {
        let text = format!("a login that must fail was accepted{how}");
        Some((Phase::Auth, Reason::AuthAccepted, text))
    };
    match &seen.seen.failure {
        _ if seen.seen.method == Some(Method::None) => accepted(": nothing was asked for"),
        _ if seen.seen.method.is_some() => accepted(""),
        None => accepted(""),
        Some(failure) => match failure.reason {
            // An account that is expired, disabled or shut out says nothing
            // about the password: the last arm alerts.
            Reason::AuthRejected => None,
            // The gateway said yes; that it could not prove itself does not help.
            Reason::MutualAuthFailed => accepted(", by a gateway that proves nothing"),
            Reason::AuthNotRequested => accepted(": nothing was asked for"),
            reason => Some((failure.phase, reason, failure.detail.clone())),
        },
    }
}

fn success(seen: &Observation) -> String {
    let facts = &seen.seen;
    let method = facts.method.map_or("", Method::word);
    let encryption = match facts.mppe.flatten() {
        Some(mode) if matches!(facts.proof, Proof::Proved(_)) => {
            format!("MPPE {}", session::describe_mode(mode))
        }
        Some(mode) => format!("MPPE {} (keys not proved)", session::describe_mode(mode)),
        None => "no encryption".into(),
    };
    let address = facts.address.map(|address| address.to_string()).unwrap_or_default();
    let time = seen.time_to(Phase::Ipcp).max(seen.time_to(Phase::Ccp)).unwrap_or(seen.time);
    let time = session::span(time);
    format!("{} gave {address} in {time}, {method}, {encryption}", session::name(seen))
}

/// An IPv4 network: `192.0.2.0/24`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: u32,
    mask: u32,
}

impl Network {
    fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask == self.base
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr =
            address.parse().map_err(|_| format!("'{address}' is no IPv4 address"))?;
        let length: u32 = match length.parse() {
            Ok(length) if length <= 32 => length,
            _ => return Err(format!("'{length}' is no prefix length from 0 to 32")),
        };
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        Ok(Self { base: u32::from(address) & mask, mask })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pptp_probe::crypto::mppe::KeyLength;
    use pptp_probe::output::State;
    use pptp_probe::proto::Failure;
    use pptp_probe::proto::mppe::Mode;

    use super::*;
    use crate::session::tests::{parsed, passed};

    /// State, phase and reason, and the headline.
    fn judged(arguments: &str, seen: &Observation) -> (State, Option<(Phase, Reason)>, String) {
        let (args, context) = parsed::<AuthArgs>(&format!("-u probe {arguments}"));
        let report = report(&args, &context, seen);
        let verdict = report.verdict().map(|verdict| (verdict.phase, verdict.reason));
        (report.state(), verdict, report.headline().into_owned())
    }

    fn logged_in() -> Observation {
        let mut seen = passed(&[Phase::Control, Phase::Lcp, Phase::Auth, Phase::Ccp, Phase::Ipcp]);
        seen.seen.method = Some(Method::MsChapV2);
        seen.seen.mppe = Some(None);
        seen.seen.address = Some(Ipv4Addr::new(198, 51, 100, 7));
        seen
    }

    #[test]
    fn ok_with_an_address_only() {
        let (state, verdict, headline) = judged("--expect-address 198.51.100.0/24", &logged_in());
        assert_eq!((state, verdict), (State::Ok, None), "{headline}");
        let mut without = logged_in();
        without.seen.address = None;
        for arguments in ["", "--expect-address 198.51.100.0/24"] {
            let (state, verdict, _) = judged(arguments, &without);
            assert_eq!(state, State::Critical);
            assert_eq!(verdict, Some((Phase::Ipcp, Reason::NoAddress)));
        }
    }

    #[test]
    fn keys_that_were_not_proved_are_said() {
        let mut seen = logged_in();
        seen.seen.mppe = Some(Some(Mode { length: KeyLength::Bits128, stateless: true }));
        for (proof, end) in [
            (Proof::Proved(Duration::from_millis(1)), "MPPE 128 bit stateless"),
            (Proof::Silent, "MPPE 128 bit stateless (keys not proved)"),
            (Proof::NotTried, "MPPE 128 bit stateless (keys not proved)"),
        ] {
            seen.seen.proof = proof;
            let (state, _, headline) = judged("", &seen);
            assert_eq!(state, State::Ok);
            assert!(headline.ends_with(end), "{headline}");
        }
    }

    #[test]
    fn only_a_rejected_password_is_the_rejection_that_was_expected() {
        let rejected = |reason| {
            let mut seen = passed(&[Phase::Control, Phase::Lcp]);
            seen.seen.failure = Some(Failure::new(Phase::Auth, reason, "gateway rejected it"));
            let (state, verdict, _) = judged("--expect-reject", &seen);
            (state, verdict)
        };
        assert_eq!(rejected(Reason::AuthRejected), (State::Ok, None));
        for reason in [
            Reason::AuthExpired,
            Reason::AuthDisabled,
            Reason::AuthHours,
            Reason::AuthNoDialin,
            Reason::AuthChangeFailed,
        ] {
            assert_eq!(rejected(reason), (State::Critical, Some((Phase::Auth, reason))));
        }
    }

    #[test]
    fn expected_rejection_leaves_nothing_to_expect_of_a_session() {
        for more in ["--expect-address 198.51.100.0/24", "--expect-dns 198.51.100.1"] {
            let (args, _) = parsed::<AuthArgs>(&format!("-u probe --expect-reject {more}"));
            assert!(args.validate().is_err(), "{more}");
        }
    }

    #[test]
    fn unknown_when_nothing_failed_before_the_address() {
        let seen = passed(&[Phase::Control, Phase::Lcp, Phase::Auth]);
        let (state, verdict, headline) = judged("--expect-address 198.51.100.0/24", &seen);
        assert_eq!((state, verdict), (State::Unknown, Some((Phase::Ipcp, Reason::Internal))));
        assert_eq!(headline, "the session ended before ipcp was done, and nothing says why");
    }

    #[test]
    fn networks() {
        let network: Network = "192.168.77.9/24".parse().unwrap();
        assert!(network.contains(Ipv4Addr::new(192, 168, 77, 200)));
        assert!(!network.contains(Ipv4Addr::new(192, 168, 78, 1)));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(Ipv4Addr::new(8, 8, 8, 8)));
        let one: Network = "192.0.2.1".parse().unwrap();
        assert!(!one.contains(Ipv4Addr::new(192, 0, 2, 2)));
        assert_eq!(
            "192.0.2.0/33".parse::<Network>(),
            Err("'33' is no prefix length from 0 to 32".into())
        );
        assert_eq!("x/8".parse::<Network>(), Err("'x' is no IPv4 address".into()));
    }
}
