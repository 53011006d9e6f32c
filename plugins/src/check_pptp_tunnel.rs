//! `check_pptp_tunnel`: a user's traffic, all the way through the tunnel.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use pptp_probe::cli::{AuthMethods, Common, Login, MppeChoice, Target};
use pptp_probe::method::Method;
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::net::tls;
use pptp_probe::output::Report;
use pptp_probe::plugin::{Check, Context};
use pptp_probe::probe::auth::Wish;
use pptp_probe::probe::tunnel::crowd::Crowd;
use pptp_probe::probe::tunnel::echoes::Plan;
use pptp_probe::probe::tunnel::url::{Amount, Host, HostPort, Url};
use pptp_probe::probe::tunnel::web::{Pattern, Request};
use pptp_probe::probe::tunnel::{self, BulkWish, Found, Ping, Traffic};
use pptp_probe::probe::{Gateway, Observation};
use pptp_probe::proto::auth::Credentials;

use self::crowd::CrowdArgs;
use self::idle::{IdleArgs, Setting};
use crate::run::{self, Run};
use crate::session;

mod crowd;
mod idle;
mod report;

/// The command line.
#[derive(Debug, Clone, Args)]
pub struct TunnelArgs {
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
    /// Whom to ping through the tunnel; default: the gateway's inner address
    #[arg(long, value_name = "HOST")]
    ping: Option<Host>,
    /// Echoes inside, and as many of LCP outside, 0 to 10000
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
    count: u16,
    /// From one echo to the next, 0.001 to 60 s
    #[arg(long, value_name = "SECS", default_value = "0.02")]
    interval: Seconds,
    /// Octets of an echo with its IP header, 28 to 1500
    #[arg(long, value_name = "OCTETS", default_value = "84")]
    #[arg(value_parser = clap::value_parser!(u16).range(28..=1500))]
    size: u16,
    /// Resolve this name by the DNS servers that the gateway gives; repeatable
    #[arg(long, value_name = "NAME")]
    dns: Vec<Host>,
    /// Connect TCP to this place inside; repeatable
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Vec<HostPort>,
    /// Fetch this page; http or https, names by the DNS of the tunnel; repeatable
    #[arg(long, visible_alias = "https", value_name = "URL")]
    http: Vec<Url>,
    /// Alert unless each page holds this text
    #[arg(long, value_name = "TEXT")]
    expect_string: Option<String>,
    /// Alert unless each page matches this regular expression
    #[arg(long, value_name = "REGEX")]
    expect_regex: Option<Pattern>,
    /// Redirects that are followed, 0 to 20; with 0 a redirect is an answer
    #[arg(long, value_name = "N", default_value = "5", requires = "http")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=20))]
    max_redirects: u32,
    /// PEM file of the authorities for https; default: those of this host
    #[arg(long, value_name = "FILE", requires = "http")]
    ca_file: Option<PathBuf>,
    /// Move so much, or so long, down and up: 5s, 10MB. Down is the first --http page, else
    /// chargen (port 19) of the gateway's inner address
    #[arg(long, value_name = "AMOUNT")]
    throughput: Option<Amount>,
    /// The discard service for --throughput up; without --http it is port 9 of the gateway's
    /// inner address
    #[arg(long, value_name = "HOST:PORT", requires = "throughput")]
    throughput_to: Option<HostPort>,
    /// Find the largest packets that pass each way, and what to set where LCP allows larger ones
    #[arg(long)]
    mtu: bool,
    /// Stay so long with an echo each second; renegotiations are followed
    #[arg(long, value_name = "SECS")]
    keep: Option<Seconds>,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    idle: IdleArgs,
}

/// From one echo to the next.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// A time on the command line: 0.001 s to 24 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        match text.parse::<f64>() {
            Ok(seconds) if plain && (0.001..=86_400.0).contains(&seconds) => {
                Ok(Self(Duration::from_secs_f64(seconds)))
            }
            _ => Err("expected seconds such as 0.02 or 30, 0.001 to 86400".into()),
        }
    }
}

impl Check for TunnelArgs {
    const NAME: &'static str = "PPTP TUNNEL";
    const PROGRAM: &'static str = "check_pptp_tunnel";
    const ABOUT: &'static str = "Logs in to a PPTP gateway and acts as a user would, through the \
        tunnel: echoes, names, connections; then logs out. No pppd, no route, one \
        authentication attempt. Needs CAP_NET_RAW. Alerts when any layer fails, nothing or not \
        everything comes back through the tunnel, a name does not resolve or a connection fails \
        inside, the session ends by itself, fewer sessions stand at once than asked for, the path \
        forgets a silent one, or a metric is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_tunnel -H 192.0.2.1 -u probe --password-file /etc/pptp-monitor/probe -w 0.1 -c 0.5\n  \
        check_pptp_tunnel -H 192.0.2.1 -u probe --password-env PW --dns intra.example --tcp 198.51.100.7:443";
    const METRICS: &'static [&'static str] = report::METRICS;
    const MAIN_METRIC: &'static str = "rtt";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.target.to_string()
    }

    fn excludes(&self, label: &str) -> Option<&'static str> {
        let by_mode = self.crowd.excludes(label).or(self.idle.excludes(label));
        by_mode.or(report::excluded(self, label))
    }

    fn validate(&self) -> Result<(), String> {
        session::validate_ipv4(&self.target)?;
        if self.methods.allowed() == [Method::None] && !self.mppe.mppe.allow_none {
            return Err("--mppe needs a key, but --auth-method none gives none".into());
        }
        let expects = self.expect_string.is_some() || self.expect_regex.is_some();
        if expects && self.http.is_empty() {
            return Err("--expect-string and --expect-regex need a page: --http URL".into());
        }
        if self.count == 0 && self.ping.is_some() {
            return Err("--count 0 leaves no echo for --ping".into());
        }
        if self.interval.0 > LONGEST_INTERVAL {
            return Err("--interval is at most 60 s".into());
        }
        if let Some(path) = &self.ca_file {
            let settings = tls::Settings { ca_file: Some(path.clone()), ..Default::default() };
            tls::Client::new(&settings).map(drop)?;
        }
        let whole = self.common.timeout().duration;
        if self.idle.idle.is_some() {
            return self.idle.validate(whole);
        }
        let series = self.pace() * u32::from(self.count);
        let bulk = match self.throughput {
            // Down, and up.
            Some(Amount::Time(time)) => time * 2,
            _ => Duration::ZERO,
        };
        let keep = self.keep.map_or(Duration::ZERO, |keep| keep.0);
        let needed = series + bulk + keep + self.crowd.spread();
        if needed >= whole {
            let advice = needed.as_secs() + 5;
            return Err(format!(
                "echoes, --throughput, --keep and --ramp alone take {} s; give -t {advice} or more",
                needed.as_secs_f64()
            ));
        }
        Ok(())
    }
}

impl TunnelArgs {
    fn pages(&self) -> Vec<Request> {
        let request = |url: &Url| Request {
            expect_string: self.expect_string.clone(),
            expect_regex: self.expect_regex.clone(),
            max_redirects: self.max_redirects,
            ca_file: self.ca_file.clone(),
            ..Request::new(url.clone())
        };
        self.http.iter().map(request).collect()
    }

    /// From one echo of a session to its next.
    fn pace(&self) -> Duration {
        self.interval.0.max(self.crowd.spacing())
    }

    fn pings(&self) -> Option<Ping> {
        let plan = Plan {
            count: self.count,
            interval: self.pace(),
            timeout: Duration::from_secs(1),
            length: self.size.into(),
        };
        (self.count > 0).then(|| Ping { host: self.ping.clone(), plan })
    }

    /// Sessions beside the first.
    fn further(&self) -> usize {
        match (self.crowd.sessions, &self.idle.idle) {
            (Some(sessions), _) => usize::from(sessions) - 1,
            (None, Some(durations)) => durations.len(),
            (None, None) => 0,
        }
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            ping: self.pings(),
            names: self.dns.clone(),
            connects: self.tcp.clone(),
            pages: self.pages(),
            bulk: self.throughput.map(|amount| BulkWish {
                amount,
                page: self.pages().into_iter().next(),
                sink: self.throughput_to.clone(),
            }),
            path_mtu: self.mtu,
            keep: self.keep.map(|keep| keep.0),
        }
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    run::main::<TunnelArgs>(argv)
}

impl Run for TunnelArgs {
    type Secrets = Option<Credentials>;
    /// Of the first session, and of those beside it.
    type Socket = (RawGre, Vec<RawGre>);
    /// Of the one session that carries the steps; nothing of several.
    type Seen = Option<(Observation, Found)>;

    fn secrets(&self, deadline: Instant) -> Result<Option<Credentials>, Report> {
        session::credentials(&self.login, &self.methods, deadline)
    }

    fn raw_sockets(&self) -> usize {
        1 + self.further()
    }

    fn sockets(
        &self,
        mut open: impl FnMut() -> Result<RawGre, Report>,
    ) -> Result<(RawGre, Vec<RawGre>), Report> {
        let further: Result<_, Report> = (0..self.further()).map(|_| open()).collect();
        Ok((open()?, further?))
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
        (raw, further): (RawGre, Vec<RawGre>),
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> (Self::Seen, Report) {
        let gateway = self.gateway();
        let wish = Wish {
            methods: self.methods.allowed(),
            credentials,
            mppe: self.mppe.mppe,
            ask_nbns: false,
        };
        let allowance = session::allowance(context);
        if self.crowd.sessions.is_some() {
            let what = Crowd { ramp: self.crowd.ramp.0, ping: self.pings() };
            let sockets = std::iter::once(raw).chain(further).collect();
            let members =
                tunnel::crowd::probe(&gateway, &wish, &what, sockets, allowance, interrupt, tap);
            (None, crowd::report(context, &members.await))
        } else if let Some(list) = &self.idle.idle {
            let setting = Setting { gateway, wish, target: self.target(), context };
            let sockets = (raw, further);
            (None, idle::run(&self.idle, list, &setting, sockets, interrupt, tap).await)
        } else {
            let traffic = self.traffic();
            let (seen, found) =
                tunnel::probe(&gateway, wish, &traffic, raw, allowance, interrupt, tap).await;
            let report = report::report(context, &seen, &found);
            (Some((seen, found)), report)
        }
    }
}
