//! `check_radius`: the RADIUS servers behind a PPTP gateway.

mod report;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use pptp_probe::cli::{Common, Login, RadiusSecret, check_host, literal};
use pptp_probe::crypto::radius::SharedSecret;
use pptp_probe::method::Method;
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::resolve::Family;
use pptp_probe::net::tap::Tap;
use pptp_probe::net::tls;
use pptp_probe::output::{Report, State};
use pptp_probe::plugin::{Check, Context};
use pptp_probe::probe::Gateway;
use pptp_probe::probe::radius::{self, Carrier, Mode, Observation, Plan, Server};
use pptp_probe::proto::auth::Credentials;
use pptp_probe::proto::radius::access::{self, KeyPolicy};
use pptp_probe::proto::radius::client::{Retransmission, Signature};
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::secret::{Secret, Unread, refuse_public};
use pptp_probe::wire::radius::AttributeId;
use pptp_probe::wire::radius::dictionary::{Expectation, parse_assignment};

use crate::run::{self, Run};
use crate::session;

/// Most servers in one run.
const MOST_SERVERS: usize = 16;
/// Most requests of one kind to one server.
const MOST_REQUESTS: i64 = 1_000_000;
/// The user of a session in accounting, where none is named.
const ACCOUNTING_USER: &[u8] = b"pptp-monitor";

/// Values of FreeRADIUS-Statistics-Type.
mod statistics {
    pub(super) const AUTH: u32 = 0x01;
    pub(super) const ACCT: u32 = 0x02;
    /// Start time and queue lengths.
    pub(super) const INTERNAL: u32 = 0x10;
    /// Those of the proxy too.
    const ALL: u32 = 0x1f;

    pub(super) const WORDS: &[(&str, u32)] = &[("auth", AUTH), ("acct", ACCT), ("all", ALL)];
}

/// The command line.
#[derive(Debug, Clone, Args)]
pub struct RadiusArgs {
    /// Name or address of a RADIUS server; repeat it for each server
    #[arg(short = 'H', long, value_name = "HOST", required = true)]
    hostname: Vec<String>,

    /// Port for logins [default: 1812; with TLS 2083]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Port for accounting [default: the one behind --port; with TLS the same]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    acct_port: Option<u16>,

    /// Ask for the state on this port instead of those for logins and accounting
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    status_port: Option<u16>,

    /// Send from this address of ours: servers tell their clients by it
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// What to do, of auth acct status, with commas [default: auth]; acct writes
    /// one session into the server's accounting
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    #[arg(value_parser = one_of(&[("auth", Kind::Auth), ("acct", Kind::Acct), ("status", Kind::Status)]))]
    mode: Vec<Kind>,

    /// What carries the packets: udp, tcp or tls (RadSec) [default: udp]
    #[arg(long, value_name = "CARRIER")]
    #[arg(value_parser = one_of(&[("udp", Carriage::Udp), ("tcp", Carriage::Tcp), ("tls", Carriage::Tls)]))]
    transport: Option<Carriage>,

    /// Authorities that may have signed the server's certificate, in PEM [default: this host's]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Our certificate for TLS, in PEM, with its chain
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,

    /// The key of our certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,

    /// The name in the server's certificate [default: the one of -H]
    #[arg(long, value_name = "NAME")]
    tls_name: Option<String>,

    #[command(flatten)]
    secret: RadiusSecret,
    #[command(flatten)]
    login: Login,

    /// How to log in: pap chap mschapv1 or mschapv2 [default: mschapv2]
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<Method>,

    /// Missing MPPE keys after MS-CHAP are critical, not a warning
    #[arg(long, conflicts_with = "ignore_mppe_keys")]
    require_mppe_keys: bool,

    /// The gateway does not encrypt: MPPE keys do not matter
    #[arg(long)]
    ignore_mppe_keys: bool,

    /// Send this attribute, in the place of ours if we have one; repeatable
    // Read by hand, for clap repeats what it refuses, and that may be a password.
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Vec<String>,

    /// Alert unless an accepted login comes with this attribute; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    expect: Vec<String>,

    /// The login must be rejected; alert when it is accepted
    #[arg(long, conflicts_with_all = ["expect", "require_mppe_keys", "count"])]
    expect_reject: bool,

    /// Message-Authenticator in replies: require, auto or off [default: auto]
    #[arg(long, value_name = "RULE")]
    #[arg(value_parser = one_of(&[
        ("require", Signature::Required),
        ("auto", Signature::Checked),
        ("off", Signature::Ignored),
    ]))]
    message_authenticator: Option<Signature>,

    /// What replies without Message-Authenticator mean (CVE-2024-3596) [default: warning]
    #[arg(long, value_name = "STATE")]
    unsigned_state: Option<State>,

    /// How many servers have to be well: all, any or a number [default: all]
    #[arg(long, value_name = "N")]
    quorum: Option<Quorum>,

    /// What it means when enough servers are well, but not all [default: warning]
    #[arg(long, value_name = "STATE")]
    degraded_state: Option<State>,

    /// How many logins or status requests to each server [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_REQUESTS))]
    count: Option<u32>,

    /// How many of them at once, up to 256 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    parallel: Option<u32>,

    /// Ask FreeRADIUS for its counters: auth, acct or all
    #[arg(long, value_name = "WHICH", value_parser = one_of(statistics::WORDS))]
    statistics: Option<u32>,

    /// Send again after this time, then after twice the time [default: 2, at most a quarter of -t]
    #[arg(long, value_name = "SECS", value_parser = time)]
    retry: Option<Duration>,

    #[command(flatten)]
    common: Common,
}

impl Check for RadiusArgs {
    const NAME: &'static str = "RADIUS";
    const PROGRAM: &'static str = "check_radius";
    const ABOUT: &'static str = "Asks RADIUS servers what a PPTP gateway asks them: a login with \
        its proof and MPPE keys verified, accounting, status. One login per server and run unless \
        --count says otherwise; the first rejected one ends the run. Alerts when a server is \
        silent, rejects, signs wrongly, or answers in a way with which no session comes up, or a \
        metric is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_radius -H 192.0.2.10 --secret-file /etc/pptp-monitor/radius -u probe \
        --password-file /etc/pptp-monitor/probe --require-mppe-keys\n  \
        check_radius -H 192.0.2.10 -H 192.0.2.11 --quorum any --mode status \
        --secret-file /etc/pptp-monitor/radius";
    const METRICS: &'static [&'static str] = report::METRICS;
    const MAIN_METRIC: &'static str = "time";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.hostname.join(",")
    }

    fn excludes(&self, label: &str) -> Option<&'static str> {
        let lacks = |kind| (!self.kinds().contains(&kind)).then_some("this --mode");
        let one_by_one = || (self.count.unwrap_or(1) == 1).then_some("--count 1");
        let uncounted = |which| match self.statistics {
            None => Some("no --statistics"),
            Some(asked) => (asked & which == 0).then_some("this --statistics"),
        };
        match label {
            "time" | "resolve_time" | "retransmissions" | "discarded" => None,
            "servers" | "servers_ok" => (self.hostname.len() == 1).then_some("one --hostname"),
            "connect_time" => (self.carriage() == Carriage::Udp).then_some("--transport udp"),
            "tls_cert_days" => (self.carriage() != Carriage::Tls).then_some("no --transport tls"),
            "auth_time" => lacks(Kind::Auth),
            "auth_p95" | "auth_max" | "auth_rate" => lacks(Kind::Auth).or_else(one_by_one),
            "acct_time" => lacks(Kind::Acct),
            "status_time" => lacks(Kind::Status),
            "status_p95" | "status_max" | "status_rate" => lacks(Kind::Status).or_else(one_by_one),
            "acct_status_time" => lacks(Kind::Status).or_else(|| {
                let is_asked = self.modes().iter().any(|(mode, _)| *mode == Mode::AcctStatus);
                (!is_asked).then_some("one port for all")
            }),
            counter if counter.starts_with("auth_") => uncounted(statistics::AUTH),
            counter if counter.starts_with("acct_") => uncounted(statistics::ACCT),
            _ => uncounted(statistics::INTERNAL),
        }
    }

    fn validate(&self) -> Result<(), String> {
        if self.hostname.len() > MOST_SERVERS {
            return Err(format!("at most {MOST_SERVERS} servers in one run"));
        }
        for (index, host) in self.hostname.iter().enumerate() {
            check_host(host, self.ipv4, self.ipv6)?;
            if self.hostname[..index].contains(host) {
                return Err(format!("--hostname {host} is given twice"));
            }
        }
        self.validate_source()?;
        if let Some(Quorum::AtLeast(needed)) = self.quorum
            && usize::from(needed) > self.hostname.len()
        {
            return Err(format!("--quorum {needed} of {} servers", self.hostname.len()));
        }
        let does = |kind| self.kinds().contains(&kind);
        if !does(Kind::Auth) && (self.expect_reject || !self.expect.is_empty()) {
            return Err("--expect and --expect-reject are about logins: add auth to --mode".into());
        }
        let gives_keys = match self.auth_method {
            None | Some(Method::MsChapV1 | Method::MsChapV2) => does(Kind::Auth),
            Some(_) => false,
        };
        if self.require_mppe_keys && !gives_keys {
            return Err("--require-mppe-keys needs a login by mschapv1 or mschapv2".into());
        }
        let is_checked = self.message_authenticator.is_none_or(|rule| rule == Signature::Checked);
        if self.unsigned_state.is_some() && !is_checked {
            return Err("--unsigned-state is for --message-authenticator auto".into());
        }
        let secret_files =
            [&self.secret.secret_file, &self.login.password_file, &self.login.authfile];
        let from_input = secret_files.into_iter().flatten().filter(|path| *path == Path::new("-"));
        if from_input.count() > 1 {
            return Err("standard input holds one secret only".into());
        }
        self.attributes()?;
        self.expectations()?;
        let has_files = self.ca_file.is_some() || self.cert_file.is_some();
        if self.carriage() != Carriage::Tls && (has_files || self.tls_name.is_some()) {
            return Err(
                "--ca-file, --cert-file, --key-file, --tls-name need --transport tls".into()
            );
        }
        if self.statistics.is_some() && !does(Kind::Status) {
            return Err("--statistics needs status in --mode".into());
        }
        if self.count.is_some_and(|count| count > 1) && does(Kind::Acct) {
            return Err("--count is for logins and status: leave acct out of --mode".into());
        }
        if let Some(method) =
            self.auth_method.filter(|method| !access::Login::METHODS.contains(method))
        {
            return Err(format!("--auth-method {method} is none of pap chap mschapv1 mschapv2"));
        }
        Ok(())
    }
}

impl RadiusArgs {
    /// Names or addresses of the servers.
    pub fn hosts(&self) -> &[String] {
        &self.hostname
    }

    /// The address to send from and those to send to are of one family.
    fn validate_source(&self) -> Result<(), String> {
        let Some(source) = self.source else { return Ok(()) };
        let (family, other) = if source.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
        let unwanted = if source.is_ipv4() { self.ipv6 } else { self.ipv4 };
        if unwanted {
            let option = other.to_lowercase();
            return Err(format!("--source {source} is {family}, but --{option} is given"));
        }
        let differs = |host: &&String| {
            literal(host).is_some_and(|address| address.is_ipv4() != source.is_ipv4())
        };
        match self.hostname.iter().find(differs) {
            Some(host) => Err(format!("--source {source} is {family}, but {host} is {other}")),
            None => Ok(()),
        }
    }

    fn kinds(&self) -> &[Kind] {
        if self.mode.is_empty() { &[Kind::Auth] } else { &self.mode }
    }

    fn attributes(&self) -> Result<Vec<(AttributeId, Vec<u8>)>, String> {
        let parsed = self.attribute.iter().map(|text| parse_assignment(text));
        parsed.collect::<Result<_, _>>().map_err(|what| format!("--attribute: {what}"))
    }

    fn expectations(&self) -> Result<Vec<Expectation>, String> {
        let parsed = self.expect.iter().map(|text| text.parse());
        parsed.collect::<Result<_, _>>().map_err(|what: String| format!("--expect: {what}"))
    }

    fn carriage(&self) -> Carriage {
        self.transport.unwrap_or(Carriage::Udp)
    }

    fn carrier(&self) -> Result<Carrier, String> {
        Ok(match self.carriage() {
            Carriage::Udp => Carrier::Udp,
            Carriage::Tcp => Carrier::Tcp,
            Carriage::Tls => {
                if let Some(key) = &self.key_file {
                    refuse_public(key)?;
                }
                Carrier::Tls(tls::Client::new(&tls::Settings {
                    ca_file: self.ca_file.clone(),
                    identity: self.cert_file.clone().zip(self.key_file.clone()),
                    server_name: self.tls_name.clone(),
                })?)
            }
        })
    }

    /// The shared secret; with TLS it is a public word (RFC 6614, section 2.3),
    /// unless the operator has another one.
    fn shared_secret(&self, deadline: Instant) -> Result<SharedSecret, Unread> {
        let is_given = self.secret.secret_file.is_some() || self.secret.secret_env.is_some();
        let secret = match self.carriage() {
            Carriage::Tls if !is_given => Secret::new(b"radsec".to_vec()),
            _ => self.secret.resolve(deadline)?,
        };
        Ok(SharedSecret::new(secret))
    }

    /// What is done with each server, and on which of its ports.
    pub fn modes(&self) -> Vec<(Mode, u16)> {
        let is_tls = self.carriage() == Carriage::Tls;
        let auth_port = self.port.unwrap_or(if is_tls { 2083 } else { 1812 });
        let acct_port = self.acct_port.unwrap_or(match self.carriage() {
            Carriage::Udp | Carriage::Tcp => auth_port.saturating_add(1),
            Carriage::Tls => auth_port,
        });
        let mut modes = Vec::new();
        let does = |kind| self.kinds().contains(&kind);
        if does(Kind::Auth) {
            modes.push((Mode::Auth, auth_port));
        }
        if does(Kind::Acct) {
            modes.push((Mode::Acct, acct_port));
        }
        if does(Kind::Status) {
            modes.push((Mode::Status, self.status_port.unwrap_or(auth_port)));
            if self.status_port.is_none() && acct_port != auth_port {
                modes.push((Mode::AcctStatus, acct_port));
            }
        }
        modes
    }

    fn servers(&self) -> Vec<Server> {
        let family = match (self.ipv4, self.ipv6, self.source) {
            (true, ..) | (false, false, Some(IpAddr::V4(_))) => Family::V4,
            (false, true, _) | (false, false, Some(IpAddr::V6(_))) => Family::V6,
            (false, false, None) => Family::Any,
        };
        self.hostname.iter().map(|host| Server { host: host.clone(), family }).collect()
    }

    /// Everything that is asked over `carrier`, secrets read until `deadline`.
    fn plan(&self, carrier: Carrier, deadline: Instant) -> Result<Plan, Unread> {
        let secret = self.shared_secret(deadline)?;
        let mut username = ACCOUNTING_USER.to_vec();
        let login = if self.kinds().contains(&Kind::Auth) {
            let (name, password) = self.login.resolve(deadline)?;
            username.clone_from(&name);
            let login = access::Login {
                credentials: Credentials { username: name, password },
                method: self.auth_method.unwrap_or(Method::MsChapV2),
                keys: match (self.require_mppe_keys, self.ignore_mppe_keys) {
                    (true, _) => KeyPolicy::Required,
                    (false, true) => KeyPolicy::Ignored,
                    (false, false) => KeyPolicy::Wanted,
                },
                expectations: self.expectations()?,
                expect_reject: self.expect_reject,
            };
            login.check()?;
            Some(login)
        } else {
            if let Some(name) = &self.login.username {
                username = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()).to_vec();
                access::check_username(&username)?;
            }
            None
        };
        let signature = self.message_authenticator.unwrap_or(Signature::Checked);
        // A quarter of a short run: it is to see the second transmission answered.
        let standard = Retransmission::default().initial.min(self.common.timeout().duration / 4);
        let initial = self.retry.unwrap_or(standard);
        Ok(Plan {
            carrier,
            source: self.source,
            secret,
            signature,
            retransmission: Retransmission { initial, ..Retransmission::default() },
            login,
            username,
            attributes: self.attributes()?,
            statistics: self.statistics,
            count: self.count.unwrap_or(1),
            parallel: self.parallel.unwrap_or(1),
            modes: self.modes(),
        })
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    run::main::<RadiusArgs>(argv)
}

impl Run for RadiusArgs {
    type Secrets = Plan;
    type Socket = ();
    /// Each server by its name in the arguments.
    type Seen = Vec<(String, Observation)>;

    fn secrets(&self, deadline: Instant) -> Result<Plan, Report> {
        let carrier = self.carrier();
        let carrier =
            carrier.map_err(|what| Report::failed(Phase::Connect, Reason::Local, what))?;
        self.plan(carrier, deadline).map_err(session::unread)
    }

    fn sockets(&self, _: impl FnMut() -> Result<RawGre, Report>) -> Result<(), Report> {
        Ok(())
    }

    fn aim(&mut self, host: &str, port: Option<u16>) {
        self.hostname = vec![host.to_owned()];
        self.port = port.or(self.port);
    }

    /// The first server, and the port of what is done first with it.
    fn gateway(&self) -> Gateway {
        let port = self.modes().first().map_or(0, |&(_, port)| port);
        let server = self.servers().into_iter().next();
        let Server { host, family } =
            server.unwrap_or(Server { host: String::new(), family: Family::Any });
        Gateway { host, port, family }
    }

    fn validate_addresses(&self) -> Result<(), String> {
        if self.hostname.len() > 1 {
            return Err("--all-addresses is for one --hostname".into());
        }
        if self.carriage() == Carriage::Tls && self.tls_name.is_none() {
            return Err("--all-addresses with --transport tls needs --tls-name".into());
        }
        Ok(())
    }

    async fn run(
        &self,
        plan: Plan,
        (): (),
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> (Vec<(String, Observation)>, Report) {
        // Of one plan for many servers, the ports are each server's own.
        let plan = Plan { modes: self.modes(), ..plan };
        let servers = self.servers();
        let allowance = session::allowance(context);
        let seen = radius::probe(&servers, &plan, allowance, interrupt, tap).await;
        let judge = report::Judge {
            thresholds: &context.thresholds,
            timeout: context.timeout.state,
            plan: &plan,
            quorum: self.quorum.unwrap_or(Quorum::All).of(servers.len()),
            unsigned: self.unsigned_state.unwrap_or(State::Warning),
            degraded: self.degraded_state.unwrap_or(State::Warning),
        };
        let report = judge.report(&servers, &seen);
        (servers.into_iter().map(|server| server.host).zip(seen).collect(), report)
    }
}

/// One word of `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Auth,
    Acct,
    Status,
}

/// What `--transport` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carriage {
    Udp,
    Tcp,
    Tls,
}

/// Reads one of these words.
fn one_of<T: Copy>(
    known: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| match known.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            Err(format!("known are {}", words.join(" ")))
        }
    }
}

/// How many servers have to be well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    All,
    AtLeast(u8),
}

impl Quorum {
    fn of(self, servers: usize) -> usize {
        match self {
            Self::All => servers,
            Self::AtLeast(needed) => needed.into(),
        }
    }
}

impl FromStr for Quorum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            ("any", _) => Ok(Self::AtLeast(1)),
            (_, Ok(needed)) if needed > 0 => Ok(Self::AtLeast(needed)),
            _ => Err("write all, any or a number from 1 on".into()),
        }
    }
}

/// A time as `-t` reads it, without a state.
fn time(text: &str) -> Result<Duration, String> {
    let timeout: pptp_probe::cli::Timeout = text.parse()?;
    if text.contains(':') { Err(format!("'{text}' is no time")) } else { Ok(timeout.duration) }
}

#[cfg(test)]
mod tests;
