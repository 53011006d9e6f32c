//! One of the checks as part of this program: what `[[probe]]` says, in the
//! words of the check's own command line, and one run of it.
//!
//! Every option of a check is a key here, with `_` for `-`, and means the same;
//! only output and what a daemon has no use for is left out. Nothing about a
//! probe is judged here: the check does that.

pub mod module;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::{Arg, ArgAction, Command};
use pptp_plugins::check_pptp_auth::AuthArgs;
use pptp_plugins::check_pptp_control::ControlArgs;
use pptp_plugins::check_pptp_gre::GreArgs;
use pptp_plugins::check_pptp_tunnel::TunnelArgs;
use pptp_plugins::check_radius::RadiusArgs;
use pptp_plugins::run::Run as Runnable;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::{Format, Identity, Report, State, Thresholds, render};
use pptp_probe::plugin::{self, Check, Context};
use pptp_probe::probe::Observation;
use pptp_probe::probe::figures::{jitter, median};
use pptp_probe::probe::radius::{self, Mode};
use pptp_probe::probe::tunnel::{Found, StepSeen};
use pptp_probe::proto::radius::exchange::Outcome;
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::wire::radius::Code;
use toml::de::DeValue;

use crate::config::{Free, Reader, Setting, Visitor, any, between, named, quoted, spelled};

/// Options of the checks that are for a process of its own, and those that
/// read a secret from anything but a file.
const LEFT_OUT: [&str; 8] =
    ["help", "version", "extra-opts", "verbose", "output", "pcap", "password-env", "secret-env"];

/// Longest name in octets: SnmpAdminString ends there.
const LONGEST_NAME: usize = 255;
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// A probe as configured.
#[derive(Clone)]
pub struct Probe {
    /// What an operator calls it.
    pub name: String,
    /// From the start of one run to the start of the next; 1 s to 1 day.
    pub interval: Duration,
    kind: Kind,
    /// The keys that are the check's, with their values in TOML.
    options: Vec<(String, String)>,
    check: Arc<AnyCheck>,
}

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        let own = |probe: &Self| (probe.interval, probe.kind);
        own(self) == own(other) && self.name == other.name && self.options == other.options
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which check it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Control,
    Gre,
    Auth,
    Tunnel,
    Radius,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("control", Self::Control),
        ("gre", Self::Gre),
        ("auth", Self::Auth),
        ("tunnel", Self::Tunnel),
        ("radius", Self::Radius),
    ];

    /// The check's definition, and its program's name.
    fn command(self) -> Command {
        match self {
            Self::Control => plugin::command::<ControlArgs>(),
            Self::Gre => plugin::command::<GreArgs>(),
            Self::Auth => plugin::command::<AuthArgs>(),
            Self::Tunnel => plugin::command::<TunnelArgs>(),
            Self::Radius => plugin::command::<RadiusArgs>(),
        }
    }

    fn check(self, argv: &[OsString]) -> Result<AnyCheck, String> {
        Ok(match self {
            Self::Control => AnyCheck::Control(Arguments::read(argv)?),
            Self::Gre => AnyCheck::Gre(Arguments::read(argv)?),
            Self::Auth => AnyCheck::Auth(Arguments::read(argv)?),
            Self::Tunnel => AnyCheck::Tunnel(Box::new(Arguments::read(argv)?)),
            Self::Radius => AnyCheck::Radius(Box::new(Arguments::read(argv)?)),
        })
    }

    /// The check, if every secret that it needs can be read.
    fn tried(self, argv: &[OsString]) -> Result<AnyCheck, String> {
        let check = self.check(argv)?;
        match &check {
            AnyCheck::Control(check) => check.try_secrets(),
            AnyCheck::Gre(check) => check.try_secrets(),
            AnyCheck::Auth(check) => check.try_secrets(),
            AnyCheck::Tunnel(check) => check.try_secrets(),
            AnyCheck::Radius(check) => check.try_secrets(),
        }?;
        Ok(check)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(word, _)| *word == text);
        let words = || Self::ALL.map(|(word, _)| word).join(" ");
        known.map(|(_, kind)| *kind).ok_or_else(|| format!("known are {}", words()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, kind)| kind == self);
        f.write_str(known.map_or("", |(word, _)| word))
    }
}

spelled! { Kind: "a word for a check"; }

enum AnyCheck {
    Control(Arguments<ControlArgs>),
    Gre(Arguments<GreArgs>),
    Auth(Arguments<AuthArgs>),
    Tunnel(Box<Arguments<TunnelArgs>>),
    Radius(Box<Arguments<RadiusArgs>>),
}

struct Arguments<C> {
    args: C,
    thresholds: Thresholds,
}

impl<C: Runnable> Arguments<C> {
    fn read(argv: &[OsString]) -> Result<Self, String> {
        let (args, thresholds) = plugin::arguments::<C>(argv)?;
        Ok(Self { args, thresholds })
    }

    /// Whether everything that a run reads from files is there.
    fn try_secrets(&self) -> Result<(), String> {
        let read = self.args.secrets(Instant::now());
        read.map(drop).map_err(|report| report.headline().into_owned())
    }

    /// What a run that begins now is given.
    fn context(&self) -> Context {
        Context::new(self.args.common(), Instant::now(), self.thresholds.clone())
    }

    /// One run on this thread; the end of `interrupt` ends it.
    fn run(&self, interrupt: OwnedFd) -> (Option<C::Seen>, Conclusion) {
        let (seen, report) = self.report(&self.context(), interrupt);
        let conclusion = self.identified(|identity| Conclusion::of(&report, identity));
        (seen, conclusion)
    }

    fn identified<T>(&self, say: impl FnOnce(&Identity<'_>) -> T) -> T {
        let target = self.args.target();
        say(&Identity { name: C::NAME, program: C::PROGRAM, target: &target })
    }

    /// What was seen, and the verdict with the exchange as `context` wants it.
    fn report(&self, context: &Context, interrupt: OwnedFd) -> (Option<C::Seen>, Report) {
        let prepared = self.args.secrets(context.deadline);
        let prepared = prepared.and_then(|secrets| Ok((secrets, self.args.socket()?)));
        let (secrets, socket) = match prepared {
            Ok(prepared) => prepared,
            Err(report) => return (None, report),
        };
        let ended = plugin::run_until(context, async {
            let interrupt = Interrupt::on_close(interrupt);
            let mut tap = Tap::new(context.started, context.verbosity, None);
            let (seen, report) = self.args.run(secrets, socket, interrupt, &mut tap, context).await;
            let lines = tap.into_lines().into_iter();
            (seen, lines.fold(report, |report, (level, line)| report.detail(level, line)))
        });
        match ended {
            Ok((seen, report)) => (Some(seen), report),
            Err(report) => (None, report),
        }
    }
}

/// What a report comes down to.
struct Conclusion {
    state: State,
    failure: Option<(Phase, Reason)>,
    text: String,
    phases: Vec<(Phase, Duration)>,
}

impl Conclusion {
    fn of(report: &Report, identity: &Identity<'_>) -> Self {
        let (text, _) = render(report, identity, Format::Nagios, 0);
        // No text of a check has a bar of its own.
        let line = text.split(['|', '\n']).next().unwrap_or_default().trim_end();
        Self {
            state: report.state(),
            failure: report.verdict().map(|verdict| (verdict.phase, verdict.reason)),
            text: line.to_owned(),
            phases: report.phases().to_vec(),
        }
    }
}

/// One run of a probe.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was run.
    pub probe: Arc<Probe>,
    /// When it began.
    pub started: SystemTime,
    /// The address that was used; nothing for RADIUS, whose servers have one
    /// each.
    pub address: Option<SocketAddr>,
    /// The verdict.
    pub state: State,
    /// Where and why it is not OK.
    pub failure: Option<(Phase, Reason)>,
    /// The first line as the check would say it, without performance data.
    pub text: String,
    /// From the start to the goal, where it was reached.
    pub time: Option<Duration>,
    /// The phases that were passed, with the time that each took.
    pub phases: Vec<(Phase, Duration)>,
    /// Median round trip of LCP echoes.
    pub lcp_rtt: Option<Duration>,
    /// Mean difference of one round trip and the next.
    pub lcp_jitter: Option<Duration>,
    /// Median round trip of echoes on the control connection.
    pub echo_rtt: Option<Duration>,
    /// LCP echoes sent and those that stayed unanswered.
    pub loss: Option<Loss>,
    /// What each RADIUS server showed in each service.
    pub radius: Vec<RadiusRun>,
}

/// Echoes of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Sent.
    pub sent: u32,
    /// Not answered.
    pub lost: u32,
}

/// What a RADIUS server is asked for; the numbers are those of
/// pptpRadiusService.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Logins.
    Auth = 2,
    /// Accounting.
    Acct = 3,
    /// Its state.
    Status = 4,
}

impl Service {
    /// The word of check_radius for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Acct => "acct",
            Self::Status => "status",
        }
    }
}

/// What one RADIUS server showed in one service and run. Everything but the
/// first six is a count of this run.
#[derive(Debug, Clone)]
pub struct RadiusRun {
    /// Name or address, as configured.
    pub name: String,
    /// What it was asked for.
    pub service: Service,
    /// What the name led to.
    pub address: Option<IpAddr>,
    /// The port that was asked.
    pub port: u16,
    /// Why it is not well.
    pub failure: Option<(Phase, Reason)>,
    /// Shortest time from a request to its reply.
    pub round_trip_time: Option<Duration>,
    /// Requests made, retransmissions not counted.
    pub requests: u32,
    /// Requests sent again.
    pub retransmissions: u32,
    /// Access-Accepts; for accounting and state every valid reply.
    pub accepts: u32,
    /// Access-Rejects.
    pub rejects: u32,
    /// Access-Challenges.
    pub challenges: u32,
    /// Replies that are no RADIUS packet.
    pub malformed: u32,
    /// Replies with a wrong authenticator or Message-Authenticator.
    pub bad_authenticators: u32,
    /// Replies without a Message-Authenticator.
    pub unsigned: u32,
    /// Runs that time ended.
    pub timeouts: u32,
    /// Replies of a code that is no answer.
    pub unknown_types: u32,
    /// Replies thrown away for any other reason.
    pub dropped: u32,
}

impl Probe {
    /// What it probes, in the operator's words.
    pub fn target(&self) -> String {
        match &*self.check {
            AnyCheck::Control(check) => check.args.target(),
            AnyCheck::Gre(check) => check.args.target(),
            AnyCheck::Auth(check) => check.args.target(),
            AnyCheck::Tunnel(check) => check.args.target(),
            AnyCheck::Radius(check) => check.args.target(),
        }
    }

    /// What its RADIUS servers are asked for and on which port, in the order of
    /// the configuration; nothing where it asks none.
    pub fn radius(&self) -> Vec<(String, Service, u16)> {
        let AnyCheck::Radius(check) = &*self.check else { return Vec::new() };
        let modes = check.args.modes();
        let of = |host: &String| {
            let host = host.clone();
            modes.iter().map(move |&(mode, port)| (host.clone(), service(mode), port))
        };
        check.args.hosts().iter().flat_map(of).collect()
    }

    /// One run on this thread, which needs no runtime. When the other end of the
    /// pipe `interrupt` is closed, the run ends, and says good-bye to whom it
    /// speaks with.
    pub fn run(self: &Arc<Self>, interrupt: OwnedFd) -> Run {
        let started = SystemTime::now();
        let new = |conclusion: Conclusion| Run {
            probe: Arc::clone(self),
            started,
            address: None,
            state: conclusion.state,
            failure: conclusion.failure,
            text: conclusion.text,
            time: None,
            phases: conclusion.phases,
            lcp_rtt: None,
            lcp_jitter: None,
            echo_rtt: None,
            loss: None,
            radius: Vec::new(),
        };
        let session = |(seen, conclusion): (Option<Observation>, Conclusion)| {
            let run = new(conclusion);
            match seen {
                Some(seen) => observed(run, &seen),
                None => run,
            }
        };
        match &*self.check {
            AnyCheck::Control(check) => session(check.run(interrupt)),
            AnyCheck::Gre(check) => session(check.run(interrupt)),
            AnyCheck::Auth(check) => session(check.run(interrupt)),
            AnyCheck::Tunnel(check) => {
                let (seen, conclusion) = check.run(interrupt);
                match seen.flatten() {
                    Some((seen, found)) => used(observed(new(conclusion), &seen), &found),
                    None => new(conclusion),
                }
            }
            AnyCheck::Radius(check) => {
                let (seen, conclusion) = check.run(interrupt);
                let mut run = new(conclusion);
                let servers = || seen.iter().flatten();
                let modes = check.args.modes();
                for (name, seen) in servers() {
                    run.radius.extend(radius_runs(name, seen, &modes));
                }
                let parts = || servers().flat_map(|(_, seen)| &seen.parts);
                // The slowest reply, while everything is well.
                if run.state == State::Ok {
                    run.time = parts().filter_map(|part| part.outcome.times.last()).max().copied();
                }
                run
            }
        }
    }
}

fn observed(run: Run, seen: &Observation) -> Run {
    let facts = &seen.seen;
    let answered = u32::try_from(facts.link_echoes.len()).unwrap_or(u32::MAX);
    let sent = facts.link_echoes_sent;
    Run {
        address: seen.address,
        time: facts.failure.is_none().then_some(seen.time),
        lcp_rtt: median(&facts.link_echoes),
        lcp_jitter: jitter(&facts.link_echoes),
        echo_rtt: median(&facts.control_echoes),
        loss: (sent > 0).then_some(Loss { sent, lost: sent.saturating_sub(answered) }),
        ..run
    }
}

/// LCP echoes that went beside the traffic.
fn used(run: Run, found: &Found) -> Run {
    let outer = found.steps.iter().find_map(|step| match &step.seen {
        StepSeen::Ping { outer, .. } | StepSeen::Keep { outer, .. } => Some(outer),
        _ => None,
    });
    let Some(outer) = outer.filter(|outer| outer.sent > 0) else { return run };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let loss = Loss { sent: count(outer.received + outer.lost), lost: count(outer.lost) };
    Run { lcp_rtt: outer.median(), lcp_jitter: outer.jitter(), loss: Some(loss), ..run }
}

fn service(mode: Mode) -> Service {
    match mode {
        Mode::Auth => Service::Auth,
        Mode::Acct => Service::Acct,
        Mode::Status | Mode::AcctStatus => Service::Status,
    }
}

/// One for each mode, also where the name led nowhere.
fn radius_runs<'a>(
    name: &'a str,
    seen: &'a radius::Observation,
    modes: &'a [(Mode, u16)],
) -> impl Iterator<Item = RadiusRun> {
    modes.iter().map(move |&(mode, port)| {
        let part = seen.parts.iter().find(|part| part.mode == mode);
        let outcome = part.map_or_else(
            || Outcome { failure: seen.failure.clone(), ..Outcome::default() },
            |part| part.outcome.clone(),
        );
        let Outcome { times, discarded, access, .. } = &outcome;
        let answered = u32::try_from(times.len()).unwrap_or(u32::MAX);
        // A run ends with the first login that is not answered as it should be.
        let code = access.as_ref().map(|access| access.code);
        let is = |wanted: Code| u32::from(code == Some(wanted));
        let (rejects, challenges) = (is(Code::AccessReject), is(Code::AccessChallenge));
        RadiusRun {
            name: name.to_owned(),
            service: service(mode),
            address: seen.address,
            port,
            failure: outcome.failure.as_ref().map(|failure| (failure.phase, failure.reason)),
            round_trip_time: times.first().copied(),
            requests: outcome.requests,
            retransmissions: outcome.retransmissions,
            accepts: answered.saturating_sub(rejects + challenges),
            rejects,
            challenges,
            malformed: discarded.malformed,
            bad_authenticators: discarded.authenticator + discarded.signature,
            unsigned: outcome.unsigned + discarded.unsigned,
            timeouts: u32::from(outcome.timed_out),
            unknown_types: discarded.code,
            dropped: discarded.identifier + discarded.source + discarded.duplicate,
        }
    })
}

impl Free for Probe {
    fn read(reader: &mut Reader<'_, '_>) -> Option<Self> {
        let before = reader.faults();
        let (mut name, mut kind) = (String::new(), None::<Kind>);
        let mut interval = Duration::from_secs(60);
        reader.value("name", &mut name, named(LONGEST_NAME));
        reader.value("type", &mut kind, any);
        reader.value("interval", &mut interval, between(SHORTEST_INTERVAL, LONGEST_INTERVAL));
        let Some(kind) = kind else {
            if reader.faults() == before {
                reader.fault("needs a type");
            }
            // Which other keys there may be is not known then.
            reader.rest().iter().for_each(|(key, _)| reader.expect(key));
            return None;
        };
        let command = kind.command();
        let (argv, options) = arguments(reader, &command);
        if name.is_empty() && reader.faults() == before {
            reader.fault("needs a name");
        }
        if reader.faults() > before {
            return None;
        }
        match kind.tried(&argv) {
            Ok(check) => Some(Self { name, interval, kind, options, check: Arc::new(check) }),
            Err(text) => {
                reader.fault(&format!("{name:?}: {}", as_keys(text, &command)));
                None
            }
        }
    }

    fn write(&self) -> String {
        let common = [
            ("name", self.name.write()),
            ("type", self.kind.write()),
            ("interval", self.interval.write()),
        ];
        let common = common.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let common = common.map(|(key, value)| format!("{key} = {value}"));
        let options = self.options.iter().map(|(key, value)| format!("{key} = {value}"));
        common.chain(options).collect::<Vec<_>>().join("\n")
    }
}

/// What the check's command line would be, and the keys with their values.
fn arguments(
    reader: &mut Reader<'_, '_>,
    command: &Command,
) -> (Vec<OsString>, Vec<(String, String)>) {
    let mut argv = vec![OsString::from(command.get_name())];
    let mut options = Vec::new();
    let rest = reader.rest();
    for argument in command.get_arguments() {
        let long = argument.get_long().filter(|long| !LEFT_OUT.contains(long));
        let Some(long) = long else { continue };
        let key = long.replace('-', "_");
        reader.expect(&key);
        let Some((_, value)) = rest.iter().find(|(other, _)| *other == key) else { continue };
        match given(argument, value) {
            Ok(words) => argv.extend(words.into_iter().map(OsString::from)),
            Err(text) => reader.fault_at(&key, text),
        }
        options.push((key, in_toml(value)));
    }
    (argv, options)
}

/// The value of a key as the option has it.
fn given(argument: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    let long = argument.get_long().unwrap_or_default();
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        let is_set = value.as_bool().ok_or("must be true or false")?;
        return Ok(if is_set { vec![format!("--{long}")] } else { Vec::new() });
    }
    let words = match value.as_array() {
        Some(array) => array.iter().map(|item| word(item.get_ref())).collect(),
        None => word(value).map(|word| vec![word]),
    };
    let words: Vec<String> = words.ok_or("must be text, a number, or a list of them")?;
    if long.ends_with("file") && words.iter().any(|word| !word.starts_with('/')) {
        return Err("must be a path that begins with /");
    }
    let is_list = argument.get_value_names().is_some_and(|names| names == ["LIST"]);
    if is_list {
        return Ok(vec![format!("--{long}={}", words.join(","))]);
    }
    if words.len() > 1 && !matches!(argument.get_action(), ArgAction::Append) {
        return Err("must be one value");
    }
    Ok(words.iter().map(|word| format!("--{long}={word}")).collect())
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Some(number.ok()?.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn in_toml(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(array) => {
            let texts: Vec<_> = array.iter().map(|item| in_toml(item.get_ref())).collect();
            format!("[{}]", texts.join(", "))
        }
        DeValue::Boolean(value) => value.to_string(),
        DeValue::String(text) => quoted(text),
        number => word(number).unwrap_or_default(),
    }
}

/// A sentence of the check with the options as keys, and without those that
/// are no keys.
fn as_keys(mut text: String, command: &Command) -> String {
    for long in LEFT_OUT {
        text = text.replace(&format!(", --{long}"), "");
    }
    let mut longs: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
    // One may be the beginning of another.
    longs.sort_by_key(|long| std::cmp::Reverse(long.len()));
    for long in longs {
        text = text.replace(&format!("--{long}"), &long.replace('-', "_"));
    }
    text
}
