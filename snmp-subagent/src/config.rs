//! The configuration file: TOML, every value with a default.
//!
//! Owns what can be set, its defaults and what is permitted. A key that is not
//! known is refused by name, with its line and the nearest key that is. Secrets
//! stand in files of their own, read here once; `subagent.toml` beside this
//! package's manifest describes every key.

mod served;
mod text;
mod witness;

pub use served::{History, Metrics, Subnets, Users};
pub(crate) use text::{Free, Reader, Setting, Visitor, any, between, named, quoted, spelled};
pub(crate) use witness::UNREAD;
pub use witness::{Audit, Log};

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use pptp_probe::net::file;
use pptp_probe::secret::{Secret, refuse_public};
use toml::de::DeValue;

use self::text::{Fields, read, text, write};
use crate::oid::Oid;
use crate::probe::Probe;
use crate::probe::module::{Module, Modules};
use crate::{ENTERPRISES, ROOT};

/// Where the file is, unless the command line names another one.
pub const DEFAULT_PATH: &str = "/etc/pptp-monitor/subagent.toml";

/// What an operator names who wants no file: it counts as an empty one.
const NO_FILE: &str = "/dev/null";
/// Longest file in octets.
const LONGEST_FILE: u64 = 1 << 20;
/// Longest text of one value in octets: DisplayString ends there.
const LONGEST_TEXT: usize = 255;
/// Logs that are followed at most; each has a thread.
const MOST_LOGS: usize = 16;
/// Sub-identifiers below the root that the longest name needs.
const LONGEST_BELOW: usize = 64;

/// Everything that can be set.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Root of everything that is served.
    pub oid_base: Oid,
    /// The session with an AgentX master.
    pub agentx: AgentX,
    /// The agent of our own.
    pub responder: Responder,
    /// What is told without being asked for.
    pub notifications: Notifications,
    /// Where sessions are read.
    pub collect: Collect,
    /// Logs of the gateway's daemons.
    pub logs: Vec<Log>,
    /// The audit of the gateway's host.
    pub audit: Audit,
    /// Sessions that ended.
    pub history: History,
    /// What is kept of each user.
    pub users: Users,
    /// What is kept of each network that callers come from.
    pub subnets: Subnets,
    /// The page for Prometheus.
    pub metrics: Metrics,
    /// What is probed.
    pub probes: Vec<Probe>,
    /// What `/probe` runs when it is asked to, by name.
    pub modules: BTreeMap<String, Module>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            oid_base: ROOT.into(),
            agentx: AgentX::default(),
            responder: Responder::default(),
            notifications: Notifications::default(),
            collect: Collect::default(),
            logs: Vec::new(),
            audit: Audit::default(),
            history: History::default(),
            users: Users::default(),
            subnets: Subnets::default(),
            metrics: Metrics::default(),
            probes: Vec::new(),
            modules: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads a file; without `path` that of [`DEFAULT_PATH`], which need not
    /// be there.
    ///
    /// # Errors
    /// One line for each thing that is wrong, `FILE:LINE: ...` where there is
    /// a line.
    pub fn load(path: Option<&Path>) -> Result<Self, Vec<String>> {
        let named = path.unwrap_or(Path::new(DEFAULT_PATH));
        let octets = match file::read(named, LONGEST_FILE + 1) {
            _ if named == Path::new(NO_FILE) => Vec::new(),
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(vec![format!("cannot read {}: {error}", named.display())]),
            Ok(octets) if octets.len() as u64 > LONGEST_FILE => {
                return Err(vec![format!(
                    "{} is longer than {LONGEST_FILE} octets",
                    named.display()
                )]);
            }
            Ok(octets) => octets,
        };
        let lines = |faults: Vec<(usize, String)>| {
            let line = |(line, text)| format!("{}:{line}: {text}", named.display());
            faults.into_iter().map(line).collect::<Vec<_>>()
        };
        match std::str::from_utf8(&octets) {
            Ok(source) => Self::parse(source).map_err(lines),
            Err(error) => {
                let before = &octets[..error.valid_up_to()];
                let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
                Err(lines(vec![(line, "this is not UTF-8".into())]))
            }
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong, each with the number of its line.
    pub fn parse(source: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut config = Self::default();
        match read(source, &mut config) {
            Ok(()) => Ok(config),
            Err(faults) => Err(faults.lines(source)),
        }
    }

    /// The file that would give this configuration, without secrets.
    pub fn print(&self) -> String {
        write(&mut self.clone())
    }
}

impl Fields for Config {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("oid_base", &mut self.oid_base, check_root);
        visitor.section("agentx", &mut self.agentx);
        visitor.section("responder", &mut self.responder);
        visitor.section("notifications", &mut self.notifications);
        visitor.section("collect", &mut self.collect);
        visitor.section("audit", &mut self.audit);
        visitor.section("history", &mut self.history);
        visitor.section("users", &mut self.users);
        visitor.section("subnets", &mut self.subnets);
        visitor.section("metrics", &mut self.metrics);
        visitor.list("log", &mut self.logs, MOST_LOGS);
        visitor.free_list("probe", &mut self.probes, 1000);
        visitor.free_table("modules", &mut self.modules);
    }

    fn check(&self) -> Result<(), String> {
        let users = || self.responder.users.iter().map(|user| &user.name);
        for receiver in &self.notifications.receivers {
            if receiver.version == Version::V3 && !users().any(|name| *name == receiver.user) {
                let name = &receiver.user;
                return Err(format!(
                    "[notifications.receivers] names the user {name:?}, who is none of \
                     [[responder.users]]"
                ));
            }
        }
        let (interval, stale_after) = (self.collect.interval, self.notifications.stale_after);
        if stale_after <= interval {
            return Err(format!(
                "[collect] interval is {}, but must be below [notifications] stale_after, {}: \
                 sessions would be old before they are read again",
                interval.write().unwrap_or_default(),
                stale_after.write().unwrap_or_default(),
            ));
        }
        unique("[[responder.users]]", users())?;
        unique("[[probe]]", self.probes.iter().map(|probe| &probe.name))?;
        Modules::of(self).check()
    }
}

/// Whether a tree can hang there.
///
/// # Errors
/// The rest of a sentence that begins with the name of the value.
pub(crate) fn check_root(root: &Oid) -> Result<(), String> {
    let most = crate::oid::MAX_LENGTH - LONGEST_BELOW;
    match root.as_slice().strip_prefix(&ENTERPRISES) {
        None | Some([]) => Err(format!("is {root}, but must lie below 1.3.6.1.4.1 (enterprises)")),
        Some(_) if root.len() > most => {
            Err(format!("has {} sub-identifiers, but must have {most} at most", root.len()))
        }
        Some(_) => Ok(()),
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} has the name {name:?} twice"));
        }
    }
    Ok(())
}

/// `[agentx]`: the session with a master (RFC 2741).
#[derive(Clone, PartialEq)]
pub struct AgentX {
    /// Whether there is one.
    pub enabled: bool,
    /// Where the master listens.
    pub socket: Address,
    /// The context of everything; empty for the default context.
    pub context: String,
    /// How long the master shall wait for an answer, in whole seconds up to
    /// 255; 0 for its own default.
    pub timeout: Duration,
    /// How long an answer of the master is waited for; 1 s to 1 min.
    pub patience: Duration,
    /// A master that was silent for so long is asked whether it is there; 1 s
    /// to 1 h.
    pub ping_interval: Duration,
    /// r.priority, 1 to 255; the lowest of several subagents is asked.
    pub priority: u8,
    /// Notifications that wait for the master at most.
    pub queue: u32,
}

impl Default for AgentX {
    fn default() -> Self {
        Self {
            enabled: true,
            socket: Address::Unix("/var/agentx/master".into()),
            context: String::new(),
            timeout: Duration::ZERO,
            patience: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            priority: 127,
            queue: 256,
        }
    }
}

impl Fields for AgentX {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("enabled", &mut self.enabled, any);
        visitor.value("socket", &mut self.socket, any);
        visitor.value("context", &mut self.context, text(LONGEST_TEXT));
        visitor.value("timeout", &mut self.timeout, |timeout| {
            between(Duration::ZERO, Duration::from_secs(255))(timeout)?;
            let is_whole = timeout.subsec_nanos() == 0;
            if is_whole { Ok(()) } else { Err("must be whole seconds".into()) }
        });
        visitor.value("patience", &mut self.patience, between(SECOND, MINUTE));
        visitor.value("ping_interval", &mut self.ping_interval, between(SECOND, HOUR));
        visitor.value("priority", &mut self.priority, between(1, 255));
        visitor.value("queue", &mut self.queue, between(1, 65_536));
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Longest time that is kept.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Where an AgentX master listens (RFC 2741, section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    /// Reads `/path`, `unix:/path` or `tcp:127.0.0.1:705`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("tcp:") {
            return match address.parse() {
                Ok(address) => Ok(Self::Tcp(address)),
                Err(_) => Err("behind tcp: stands an IP address and a port".into()),
            };
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        // sun_path holds 108 octets, the last of them zero (unix(7)).
        match path.starts_with('/') && path.len() < 108 && !path.contains('\0') {
            true => Ok(Self::Unix(path.into())),
            false => Err("a socket's path begins with / and has 107 octets at most".into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// `[responder]`: the agent of our own, for a host without a master.
#[derive(Clone, PartialEq)]
pub struct Responder {
    /// Whether there is one.
    pub enabled: bool,
    /// UDP addresses that it answers on.
    pub listen: Vec<SocketAddr>,
    /// Communities of SNMPv2c that may read.
    pub communities: Vec<Community>,
    /// Networks that may ask.
    pub allow: Vec<Network>,
    /// Users of SNMPv3 who may read.
    pub users: Vec<User>,
    /// sysContact.
    pub sys_contact: String,
    /// sysLocation.
    pub sys_location: String,
    /// sysName; empty for the host's name.
    pub sys_name: String,
    /// Octets of an answer at most, 484 to 65507.
    pub max_message: u16,
    /// Where the agent remembers who it is and how often it began (RFC 3414,
    /// section 2.2).
    pub state_file: PathBuf,
}

impl Default for Responder {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 1161))],
            communities: vec![Community("public".into())],
            allow: vec![
                Network { address: IpAddr::from([127, 0, 0, 0]), length: 8 },
                Network { address: std::net::Ipv6Addr::LOCALHOST.into(), length: 128 },
            ],
            users: Vec::new(),
            sys_contact: String::new(),
            sys_location: String::new(),
            sys_name: String::new(),
            max_message: 1472,
            state_file: "/var/lib/pptp-snmp-subagent/engine".into(),
        }
    }
}

impl Fields for Responder {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("enabled", &mut self.enabled, any);
        let example = "[\"127.0.0.1:1161\"]";
        visitor.value_such_as("listen", &mut self.listen, example, |listen| match listen.len() {
            1..=16 => Ok(()),
            _ => Err("must be 1 to 16 addresses".into()),
        });
        visitor.value("communities", &mut self.communities, |communities| {
            communities.iter().try_for_each(|community| named(LONGEST_TEXT)(&community.0))
        });
        visitor.value("allow", &mut self.allow, any);
        visitor.value("sys_contact", &mut self.sys_contact, text(LONGEST_TEXT));
        visitor.value("sys_location", &mut self.sys_location, text(LONGEST_TEXT));
        visitor.value("sys_name", &mut self.sys_name, text(LONGEST_TEXT));
        visitor.value("max_message", &mut self.max_message, between(484, 65_507));
        visitor.value("state_file", &mut self.state_file, any);
        visitor.list("users", &mut self.users, 100);
    }
}

/// A community: a password that travels in the clear. It is printed only when
/// everybody knows it.
#[derive(Clone, PartialEq)]
pub struct Community(pub String);

impl Setting for Community {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        String::read(value).map(Self)
    }

    fn write(&self) -> Option<String> {
        Some(quoted(if self.0 == "public" { "public" } else { "(not shown)" }))
    }
}

/// A network of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of `length` bits that `address` lies in.
    pub fn of(address: IpAddr, length: u8) -> Self {
        Self { address: Self { address, length }.first(), length }
    }

    /// Whether `address` lies in it; an IPv4 address within IPv6 counts as
    /// what it is.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && Self { address, length: self.length }.first() == self.first()
    }

    /// The address without what lies behind the prefix.
    fn first(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                std::net::Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                std::net::Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

impl FromStr for Network {
    type Err = String;

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("{address:?} is no address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length.map(str::parse) {
            None => longest,
            Some(Ok(length)) if length <= longest => length,
            Some(_) => return Err(format!("a prefix length is a number from 0 to {longest}")),
        };
        Ok(Self { address: Self { address, length }.first(), length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A secret and the file that it stands in.
#[derive(Clone)]
pub struct SecretFile {
    /// The file.
    pub path: PathBuf,
    /// What it held when the configuration was read.
    pub secret: Secret,
}

impl PartialEq for SecretFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.secret.expose() == other.secret.expose()
    }
}

impl Setting for SecretFile {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let path = PathBuf::read(value)?;
        refuse_public(&path).map_err(|text| format!("cannot be used: {text}"))?;
        let secret = Secret::from_file(&path, Instant::now());
        let secret = secret.map_err(|unread| format!("cannot be used: {}", unread.text))?;
        Ok(Self { path, secret })
    }

    fn write(&self) -> Option<String> {
        self.path.write()
    }
}

/// How a user of SNMPv3 proves who it is (RFC 3414, RFC 7860).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// HMAC-SHA-96.
    Sha1,
    /// HMAC-128-SHA-224.
    Sha224,
    /// HMAC-192-SHA-256.
    Sha256,
    /// HMAC-256-SHA-384.
    Sha384,
    /// HMAC-384-SHA-512.
    Sha512,
}

/// How messages of SNMPv3 are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Not at all.
    None,
    /// AES with 128 bit in CFB mode (RFC 3826).
    Aes128,
}

/// The version of SNMP that a receiver of notifications is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// SNMPv2c.
    V2c,
    /// SNMPv3.
    V3,
}

/// A gateway whose sessions can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// pptpd with its pppd.
    Poptop,
    /// accel-ppp, by its command line port.
    AccelPpp,
    /// Any other pppd.
    Pppd,
}

macro_rules! words {
    ($($type:ident { $($variant:ident $word:literal)* })*) => {$(
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(concat!("known are", $(" ", $word),*).into()),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }
    )*};
}
words! {
    Auth {
        None "none" Sha1 "sha1" Sha224 "sha224" Sha256 "sha256" Sha384 "sha384" Sha512 "sha512"
    }
    Privacy { None "none" Aes128 "aes128" }
    Version { V2c "2c" V3 "3" }
    Source { Poptop "poptop" AccelPpp "accel-ppp" Pppd "pppd" }
}
spelled! {
    Auth: "a word for authentication";
    Privacy: "a word for encryption";
    Version: "a version of SNMP";
    Source: "a word for a source";
    Address: "\"/path\", \"unix:/path\" or \"tcp:ADDRESS:PORT\"";
    Network: "a network such as \"192.0.2.0/24\"";
}

/// `[[responder.users]]`: a user of SNMPv3.
#[derive(Clone, PartialEq)]
pub struct User {
    /// Security name, 1 to 32 octets.
    pub name: String,
    /// How it proves who it is.
    pub auth: Auth,
    /// The password for that, 8 octets or more.
    pub auth_password_file: Option<SecretFile>,
    /// How its messages are encrypted.
    pub privacy: Privacy,
    /// The password for that, 8 octets or more.
    pub priv_password_file: Option<SecretFile>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            name: String::new(),
            auth: Auth::Sha256,
            auth_password_file: None,
            privacy: Privacy::Aes128,
            priv_password_file: None,
        }
    }
}

impl Fields for User {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("name", &mut self.name, named(32));
        visitor.value("auth", &mut self.auth, any);
        visitor.value("auth_password_file", &mut self.auth_password_file, check_password);
        visitor.value("priv", &mut self.privacy, any);
        visitor.value("priv_password_file", &mut self.priv_password_file, check_password);
    }

    fn check(&self) -> Result<(), String> {
        let wrong = match self {
            _ if self.name.is_empty() => "needs a name",
            Self { auth: Auth::None, privacy: Privacy::Aes128, .. } => {
                "needs auth where there is priv (RFC 3414, section 1.4.3)"
            }
            Self { auth: Auth::None, auth_password_file: Some(_), .. } => {
                "has an auth_password_file, but auth is none"
            }
            Self { privacy: Privacy::None, priv_password_file: Some(_), .. } => {
                "has a priv_password_file, but priv is none"
            }
            Self { auth, auth_password_file: None, .. } if *auth != Auth::None => {
                "needs an auth_password_file"
            }
            Self { privacy: Privacy::Aes128, priv_password_file: None, .. } => {
                "needs a priv_password_file"
            }
            _ => return Ok(()),
        };
        Err(wrong.into())
    }
}

/// RFC 3414, section 11.2.
fn check_password(password: &Option<SecretFile>) -> Result<(), String> {
    match password {
        Some(file) if file.secret.expose().len() < 8 => {
            Err("holds a password of less than 8 octets".into())
        }
        _ => Ok(()),
    }
}

/// `[notifications]`: what is told without being asked for, and when.
#[derive(Clone, PartialEq)]
pub struct Notifications {
    /// A server went down or came back.
    pub server: bool,
    /// A session came up.
    pub session_up: bool,
    /// A session went down.
    pub session_down: bool,
    /// A user's sessions come and go.
    pub session_flapping: bool,
    /// Authentication fails too often, or no longer.
    pub auth_failure_rate: bool,
    /// A server is nearly full, or no longer.
    pub capacity: bool,
    /// A RADIUS server does not answer, or again.
    pub radius: bool,
    /// A probe failed or recovered.
    pub probe: bool,
    /// What is known has grown old, or is fresh again.
    pub data: bool,
    /// Notifications were left out.
    pub suppressed: bool,
    /// Notifications of one kind within [`Notifications::window`], beyond
    /// which they are counted only.
    pub rate: u32,
    /// See [`Notifications::rate`]; 1 s to 1 day.
    pub window: Duration,
    /// Sessions of one user that end within
    /// [`Notifications::flapping_window`] and are then called flapping.
    pub flapping_count: u32,
    /// 1 s to 1 day.
    pub flapping_window: Duration,
    /// Failures within [`Notifications::auth_failures_window`] that are too
    /// many.
    pub auth_failures_count: u32,
    /// 1 s to 1 day.
    pub auth_failures_window: Duration,
    /// A server with this part of its sessions in use is nearly full; 1 to
    /// 100 %.
    pub capacity_percent: u8,
    /// What was not refreshed for so long is old; 1 s to 1 day.
    pub stale_after: Duration,
    /// Who is told where there is no master to tell.
    pub receivers: Vec<Receiver>,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            server: true,
            session_up: false,
            session_down: false,
            session_flapping: true,
            auth_failure_rate: true,
            capacity: true,
            radius: true,
            probe: true,
            data: true,
            suppressed: true,
            rate: 10,
            window: MINUTE,
            flapping_count: 5,
            flapping_window: 10 * MINUTE,
            auth_failures_count: 10,
            auth_failures_window: MINUTE,
            capacity_percent: 90,
            stale_after: MINUTE / 2,
            receivers: Vec::new(),
        }
    }
}

impl Fields for Notifications {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        for (key, value) in [
            ("server", &mut self.server),
            ("session_up", &mut self.session_up),
            ("session_down", &mut self.session_down),
            ("session_flapping", &mut self.session_flapping),
            ("auth_failure_rate", &mut self.auth_failure_rate),
            ("capacity", &mut self.capacity),
            ("radius", &mut self.radius),
            ("probe", &mut self.probe),
            ("data", &mut self.data),
            ("suppressed", &mut self.suppressed),
        ] {
            visitor.value(key, value, any);
        }
        visitor.value("rate", &mut self.rate, between(1, 100_000));
        visitor.value("window", &mut self.window, between(SECOND, DAY));
        visitor.value("flapping_count", &mut self.flapping_count, between(2, 100_000));
        visitor.value("flapping_window", &mut self.flapping_window, between(SECOND, DAY));
        visitor.value("auth_failures_count", &mut self.auth_failures_count, between(1, 100_000));
        visitor.value("auth_failures_window", &mut self.auth_failures_window, between(SECOND, DAY));
        visitor.value("capacity_percent", &mut self.capacity_percent, between(1, 100));
        visitor.value("stale_after", &mut self.stale_after, between(SECOND, DAY));
        visitor.list("receivers", &mut self.receivers, 16);
    }
}

/// `[[notifications.receivers]]`: who is told where there is no master.
#[derive(Clone, PartialEq)]
pub struct Receiver {
    /// UDP address, port 162 as a rule.
    pub address: Option<SocketAddr>,
    /// The version of SNMP.
    pub version: Version,
    /// An answer is waited for, and the notification sent again without one.
    pub inform: bool,
    /// The community, with SNMPv2c.
    pub community: Community,
    /// One of [`Responder::users`], with SNMPv3.
    pub user: String,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            address: None,
            version: Version::V2c,
            inform: false,
            community: Community("public".into()),
            user: String::new(),
        }
    }
}

impl Fields for Receiver {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value_such_as("address", &mut self.address, "\"192.0.2.9:162\"", any);
        visitor.value("version", &mut self.version, any);
        visitor.value("inform", &mut self.inform, any);
        visitor
            .value("community", &mut self.community, |community| named(LONGEST_TEXT)(&community.0));
        visitor.value("user", &mut self.user, text(32));
    }

    fn check(&self) -> Result<(), String> {
        match (self.address, self.version, self.user.is_empty()) {
            (None, ..) => Err("needs an address".into()),
            (_, Version::V3, true) => Err("needs a user, for its version is 3".into()),
            (_, Version::V2c, false) => Err("has a user, but its version is 2c".into()),
            _ => Ok(()),
        }
    }
}

/// `[collect]`: where sessions are read.
#[derive(Clone, PartialEq)]
pub struct Collect {
    /// How often; 100 ms to 1 h.
    pub interval: Duration,
    /// The directory that stands for `/`.
    pub root: PathBuf,
    /// What is read; nothing for whatever is there.
    pub sources: Sources,
    /// What an operator calls the servers.
    pub names: BTreeMap<Source, String>,
    /// Whether GRE is counted by connection tracking; needs CAP_NET_ADMIN.
    pub conntrack: bool,
    /// How accel-ppp is asked.
    pub accel_ppp: AccelPpp,
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            interval: 5 * SECOND,
            root: "/".into(),
            sources: Sources(None),
            names: BTreeMap::new(),
            conntrack: true,
            accel_ppp: AccelPpp::default(),
        }
    }
}

impl Fields for Collect {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("interval", &mut self.interval, between(SECOND / 10, HOUR));
        visitor.value("root", &mut self.root, |root| match root.is_dir() {
            true => Ok(()),
            false => Err(format!("is {:?}, but there is no such directory", root.as_path())),
        });
        visitor.value("sources", &mut self.sources, any);
        visitor.value("names", &mut self.names, |names| {
            names.values().try_for_each(named(LONGEST_TEXT))
        });
        visitor.value("conntrack", &mut self.conntrack, any);
        visitor.section("accel_ppp", &mut self.accel_ppp);
    }
}

/// Which gateways are read: `"auto"` in the file where there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(pub Option<Vec<Source>>);

impl Setting for Sources {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        if value.as_str() == Some("auto") {
            return Ok(Self(None));
        }
        if !value.is_array() {
            return Err("must be \"auto\" or a list such as [\"poptop\", \"pppd\"]".into());
        }
        match Vec::<Source>::read(value)? {
            sources if sources.is_empty() => Err("must name one source at least".into()),
            sources => Ok(Self(Some(sources))),
        }
    }

    fn write(&self) -> Option<String> {
        self.0.as_ref().map_or_else(|| Some(quoted("auto")), Setting::write)
    }
}

/// `[collect.accel_ppp]`: its command line port.
#[derive(Clone, PartialEq, Default)]
pub struct AccelPpp {
    /// The `tcp` of its section `[cli]`; nothing for what its own
    /// configuration says.
    pub address: Option<SocketAddr>,
    /// The `password` of that section, if there is one.
    pub password_file: Option<SecretFile>,
}

impl Fields for AccelPpp {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value_such_as("address", &mut self.address, "\"127.0.0.1:2001\"", any);
        visitor.value("password_file", &mut self.password_file, any);
    }
}

#[cfg(test)]
mod tests;
