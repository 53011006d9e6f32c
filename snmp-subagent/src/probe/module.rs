//! What `/probe` runs for whoever asks: the modules of the configuration, whom
//! they may be turned against, and one run.
//!
//! Everything but the target comes from the configuration. A target has to be
//! listed there as well, else a port on this page would be a scanner, and a
//! module's password would go to any host that a stranger names. A listed
//! network holds addresses only: a name is compared with names and never
//! resolved to find out whether it may be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::time::{Duration, Instant};

use pptp_plugins::run::Run as Runnable;
use pptp_probe::output::{Format, State, escape, render};

use super::{AnyCheck, Arguments, Kind, Probe, arguments, as_keys};
use crate::config::{Config, Free, Network, Reader, Setting, Visitor, any, quoted, spelled};

/// A scrape takes no longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(100);
/// What a scraper's own timeout keeps for the way of the answer.
const MARGIN: Duration = Duration::from_millis(500);
/// Stands for the target while the configuration is tried.
const ANY_HOST: &str = "gateway.invalid";

/// `[modules.NAME]`: a check that lacks its target.
#[derive(Clone)]
pub struct Module {
    kind: Kind,
    /// Empty for the hosts of `[[probe]]`.
    targets: Vec<Allowed>,
    /// The check's command line without a host.
    argv: Vec<OsString>,
    /// The keys that are the check's, with their values in TOML.
    options: Vec<(String, String)>,
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.targets, &self.options) == (other.kind, &other.targets, &other.options)
    }
}

/// Whom a module may be turned against.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    One(Target),
    /// Every address in it, at the module's own port.
    All(Network),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains('/') {
            true => text.parse().map(Self::All),
            false => text.parse().map(Self::One),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(target) => target.fmt(f),
            Self::All(network) => network.fmt(f),
        }
    }
}

spelled! {
    Allowed: "a name, an address or a network such as \"192.0.2.0/24\"";
}

/// A host and, where it is not the module's own, the port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Address(IpAddr),
    /// In lower case.
    Name(String),
}

impl FromStr for Target {
    type Err = String;

    /// Reads `HOST`, `HOST:PORT`, `[2001:db8::1]:PORT` and an IPv6 address
    /// without brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_whole = |host: &str| !host.contains(':') || host.ends_with(']');
        let (host, port) = match text.rsplit_once(':').filter(|(host, _)| is_whole(host)) {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err("a port is a number from 1 to 65535".into()),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Ok(Self { host: Host::Address(address.to_canonical()), port });
        }
        let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        let is_name = (1..=253).contains(&host.len()) && host.bytes().all(is_letter);
        match is_name && !host.starts_with(['-', '.']) {
            true => Ok(Self { host: Host::Name(host.to_ascii_lowercase()), port }),
            false => Err("this is neither a name nor an address".into()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Address(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => host.fmt(f),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Free for Module {
    fn read(reader: &mut Reader<'_, '_>) -> Option<Self> {
        let before = reader.faults();
        let (mut kind, mut targets) = (None::<Kind>, Vec::new());
        reader.value("check", &mut kind, any);
        reader.value_such_as("targets", &mut targets, "[\"192.0.2.0/24\"]", any);
        let Some(kind) = kind else {
            if reader.faults() == before {
                reader.fault("needs a check");
            }
            // Which other keys there may be is not known then.
            reader.rest().iter().for_each(|(key, _)| reader.expect(key));
            return None;
        };
        let command = kind.command();
        let (argv, options) = arguments(reader, &command);
        if options.iter().any(|(key, _)| key == "hostname") {
            reader.fault_at("hostname", "comes with each request; targets says which may");
        }
        if reader.faults() > before {
            return None;
        }
        let module = Self { kind, targets, argv, options };
        match kind.tried(&module.against(&Host::Name(ANY_HOST.into()), None)) {
            Err(text) => reader.fault(&as_keys(text, &command)),
            Ok(check) if check.timeout() > LONGEST_TIMEOUT => {
                reader.fault_at("timeout", "must be 100 s at most");
            }
            Ok(_) => return Some(module),
        }
        None
    }

    fn write(&self) -> String {
        let common = [
            ("check", self.kind.write()),
            (
                "targets",
                Some(&self.targets).filter(|list| !list.is_empty()).and_then(Setting::write),
            ),
        ];
        let common = common.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let common = common.map(|(key, value)| format!("{key} = {value}"));
        let options = self.options.iter().map(|(key, value)| format!("{key} = {value}"));
        common.chain(options).collect::<Vec<_>>().join("\n")
    }
}

impl Module {
    /// The check's command line for such a host.
    fn against(&self, host: &Host, port: Option<u16>) -> Vec<OsString> {
        let mut argv = self.argv.clone();
        argv.push(format!("--hostname={host}").into());
        // The last of two counts.
        argv.extend(port.map(|port| format!("--port={port}").into()));
        argv
    }
}

/// The modules, and who may be asked where one of them does not say.
pub struct Modules {
    modules: BTreeMap<String, Module>,
    gateways: BTreeSet<Target>,
    radius: BTreeSet<Target>,
}

impl Modules {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let hosts = |is_radius| {
            let probes = config.probes.iter();
            let probes = probes.filter(move |probe| (probe.kind == Kind::Radius) == is_radius);
            let targets = probes.flat_map(Probe::hosts).filter_map(|host| host.parse().ok());
            targets.map(|target: Target| Target { port: None, ..target }).collect()
        };
        Self { modules: config.modules.clone(), gateways: hosts(false), radius: hosts(true) }
    }

    /// Whether each of them can be asked for anything.
    ///
    /// # Errors
    /// A sentence about the first that cannot.
    pub fn check(&self) -> Result<(), String> {
        let is_closed =
            |module: &Module| module.targets.is_empty() && self.hosts(module).is_empty();
        match self.modules.iter().find(|(_, module)| is_closed(module)) {
            None => Ok(()),
            Some((name, module)) => Err(format!(
                "[modules.{}] needs targets, for there is no [[probe]] of {} whose hosts it could \
                 take",
                quoted(name),
                if module.kind == Kind::Radius { "a RADIUS server" } else { "a gateway" },
            )),
        }
    }

    fn hosts(&self, module: &Module) -> &BTreeSet<Target> {
        if module.kind == Kind::Radius { &self.radius } else { &self.gateways }
    }

    /// What is to be run for such a request.
    ///
    /// # Errors
    /// A sentence on why it is not run.
    pub fn find(&self, module: &str, target: &str) -> Result<Asked, String> {
        let Some((name, found)) = self.modules.get_key_value(module) else {
            let known: Vec<_> = self.modules.keys().map(String::as_str).collect();
            return Err(match (module, known.as_slice()) {
                (_, []) => "there are no modules: [modules.NAME] in the configuration".into(),
                ("", known) => format!("the module is missing; known are {}", known.join(" ")),
                (_, known) => format!(
                    "unknown module {}; known are {}",
                    escape(module.as_bytes()),
                    known.join(" ")
                ),
            });
        };
        let shown = escape(target.as_bytes());
        let wanted: Target = match target {
            "" => return Err("the target is missing".into()),
            _ => target.parse().map_err(|text| format!("target {shown}: {text}"))?,
        };
        let is_meant = |allowed: &Allowed| match (allowed, &wanted) {
            (Allowed::One(target), wanted) => target == wanted,
            (Allowed::All(network), Target { host: Host::Address(address), port: None }) => {
                network.contains(*address)
            }
            (Allowed::All(_), _) => false,
        };
        let is_allowed = match found.targets.as_slice() {
            [] => self.hosts(found).contains(&wanted),
            targets => targets.iter().any(is_meant),
        };
        if !is_allowed {
            return Err(format!("{shown} is none of the targets of module {name}"));
        }
        let check = found.kind.check(&found.against(&wanted.host, wanted.port));
        check.map(|check| Asked { check }).map_err(|text| format!("target {shown}: {text}"))
    }
}

impl Probe {
    /// The hosts that it asks.
    fn hosts(&self) -> Vec<String> {
        match &*self.check {
            AnyCheck::Radius(check) => check.args.hosts().to_vec(),
            _ => vec![self.target()],
        }
    }
}

impl AnyCheck {
    fn timeout(&self) -> Duration {
        match self {
            Self::Control(check) => check.context().timeout.duration,
            Self::Gre(check) => check.context().timeout.duration,
            Self::Auth(check) => check.context().timeout.duration,
            Self::Tunnel(check) => check.context().timeout.duration,
            Self::Radius(check) => check.context().timeout.duration,
        }
    }
}

/// A run that somebody may have.
pub struct Asked {
    check: AnyCheck,
}

impl Asked {
    /// One run on this thread, for a scraper that waits for `patience`. Gives
    /// the page with its samples; with `is_debug` below what an operator would
    /// read. The end of `interrupt` ends it, with a good-bye.
    pub fn run(self, patience: Option<Duration>, is_debug: bool, interrupt: OwnedFd) -> String {
        match self.check {
            AnyCheck::Control(check) => page(&check, patience, is_debug, interrupt),
            AnyCheck::Gre(check) => page(&check, patience, is_debug, interrupt),
            AnyCheck::Auth(check) => page(&check, patience, is_debug, interrupt),
            AnyCheck::Tunnel(check) => page(&check, patience, is_debug, interrupt),
            AnyCheck::Radius(check) => page(&check, patience, is_debug, interrupt),
        }
    }
}

fn page<C: Runnable>(
    check: &Arguments<C>,
    patience: Option<Duration>,
    is_debug: bool,
    interrupt: OwnedFd,
) -> String {
    let mut context = check.context();
    if let Some(patience) = patience {
        let own = &mut context.timeout.duration;
        *own = (*own).min(patience - MARGIN.min(patience / 2));
        context.deadline = context.started + *own;
    }
    context.verbosity = if is_debug { 2 } else { 0 };
    let began = Instant::now();
    let (_, report) = check.report(&context, interrupt);
    let took = began.elapsed().as_secs_f64();
    let works = matches!(report.state(), State::Ok | State::Warning);
    let (samples, _) = check.identified(|own| render(&report, own, Format::Prometheus, 0));
    let page = format!(
        "# HELP probe_success Whether the check ended in OK or WARNING.\n\
         # TYPE probe_success gauge\n\
         probe_success {}\n\
         # HELP probe_duration_seconds How long the run took.\n\
         # TYPE probe_duration_seconds gauge\n\
         probe_duration_seconds {took}\n\
         {samples}",
        u8::from(works)
    );
    if !is_debug {
        return page;
    }
    let (text, _) = check.identified(|own| render(&report, own, Format::Nagios, 2));
    format!("{text}\n{page}")
}

#[cfg(test)]
mod tests;
