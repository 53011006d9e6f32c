//! What the gateway is like while nothing is broken: users, methods,
//! encryption, addresses. Every setting has the same name and spelling as a
//! flag and as a key of a TOML file; flags win.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

use pptp_probe::method::{Method, MppePolicy};
use pptp_probe::wire::control;
use serde::{Deserialize, Deserializer, de};

use super::faults::Fault;

/// Longest configuration file in octets.
const MAX_FILE: u64 = 1 << 20;
/// Longest user name and password: what fits into a PAP packet.
const MAX_CREDENTIAL: usize = 255;

/// Settings as given; what was left out is `None` or empty.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Address to listen on, for TCP, GRE and RADIUS [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<Ipv4Addr>,
    /// TCP port [default: 1723]
    #[arg(long)]
    pub port: Option<u16>,
    /// A user who may log in; repeatable [default: probe:Pr0be-secret]. The lab's passwords are no
    /// secrets: they stand in ps, do not use real ones
    #[arg(long, value_name = "NAME:PASSWORD")]
    #[serde(deserialize_with = "texts")]
    pub user: Vec<User>,
    /// Authentication methods, the one to offer first at the front [default: mschapv2]
    #[arg(long, value_name = "LIST")]
    #[serde(deserialize_with = "text")]
    pub auth: Option<Methods>,
    /// Encryption: required, optional or none [default: required where a method is MS-CHAP]
    #[arg(long, value_name = "WHEN")]
    #[serde(deserialize_with = "text")]
    pub mppe: Option<MppeUse>,
    /// What encryption may be, of 40 56 128 any, with commas, and stateless or stateful [default: any]
    #[arg(long, value_name = "LIST")]
    #[serde(deserialize_with = "text")]
    pub mppe_mode: Option<MppePolicy>,
    /// Addresses for callers [default: 192.168.77.10-192.168.77.254]
    #[arg(long, value_name = "CIDR or A-B")]
    #[serde(deserialize_with = "text")]
    pub pool: Option<Pool>,
    /// The gateway's own address inside the tunnel; it answers ping, DNS, HTTP, discard and
    /// chargen [default: 192.168.77.1]
    #[arg(long, value_name = "ADDR")]
    pub inner: Option<Ipv4Addr>,
    /// A DNS server for callers, at most two [default: none]
    #[arg(long, value_name = "ADDR")]
    pub dns: Vec<Ipv4Addr>,
    /// A WINS server for callers, at most two [default: none]
    #[arg(long, value_name = "ADDR")]
    pub wins: Vec<Ipv4Addr>,
    /// Maximum receive unit to ask for, in octets [default: none asked for]
    #[arg(long, value_name = "OCTETS")]
    pub mru: Option<u16>,
    /// Host name in the control connection and in challenges [default: lab]
    #[arg(long, value_name = "TEXT")]
    pub host_name: Option<String>,
    /// Vendor text of the control connection [default: pptp-lab]
    #[arg(long, value_name = "TEXT")]
    pub vendor: Option<String>,
    /// UDP and TCP port of the RADIUS server; accounting is on the next one [default: 1812]
    #[arg(long, value_name = "PORT")]
    pub radius_port: Option<u16>,
    /// Secret that the RADIUS server shares with every client [default: testing123]. Like the
    /// passwords it is no secret
    #[arg(long, value_name = "TEXT")]
    pub radius_secret: Option<String>,
    /// A fault to begin with; repeatable; 'pptp-lab faults' lists them
    #[arg(long, value_name = "NAME[=VALUE]")]
    #[serde(deserialize_with = "texts")]
    pub fault: Vec<Fault>,
}

impl Settings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// One line that names the file and what is wrong; unknown keys are wrong.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let wrong = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
        let length = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
        if length > MAX_FILE {
            return Err(wrong(&"longer than a megabyte"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        Self::from_toml(&text).map_err(|error| wrong(&error))
    }

    /// Reads TOML text.
    ///
    /// # Errors
    /// One line with the place and what is wrong there.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                1 + text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|octet| **octet == b'\n')
                    .count()
            });
            format!("line {line}: {}", error.message().replace('\n', " "))
        })
    }

    /// These settings, and `other` for what is left out here.
    pub fn or(self, other: Self) -> Self {
        fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
            if first.is_empty() { second } else { first }
        }
        Self {
            listen: self.listen.or(other.listen),
            port: self.port.or(other.port),
            user: list(self.user, other.user),
            auth: self.auth.or(other.auth),
            mppe: self.mppe.or(other.mppe),
            mppe_mode: self.mppe_mode.or(other.mppe_mode),
            pool: self.pool.or(other.pool),
            inner: self.inner.or(other.inner),
            dns: list(self.dns, other.dns),
            wins: list(self.wins, other.wins),
            mru: self.mru.or(other.mru),
            host_name: self.host_name.or(other.host_name),
            vendor: self.vendor.or(other.vendor),
            radius_port: self.radius_port.or(other.radius_port),
            radius_secret: self.radius_secret.or(other.radius_secret),
            fault: list(self.fault, other.fault),
        }
    }
}

/// What the gateway is like.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of TCP, GRE and RADIUS.
    pub listen: Ipv4Addr,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Who may log in.
    pub users: Vec<User>,
    /// Methods in the order of preference, at least one.
    pub methods: Vec<Method>,
    /// Whether sessions are encrypted.
    pub mppe: MppeUse,
    /// How they may be encrypted: at least one length; whether they are at all
    /// is up to `mppe`.
    pub mppe_modes: MppePolicy,
    /// Addresses for callers.
    pub pool: Pool,
    /// Own address inside the tunnel.
    pub inner: Ipv4Addr,
    /// DNS servers, at most two.
    pub dns: Vec<Ipv4Addr>,
    /// WINS servers, at most two.
    pub wins: Vec<Ipv4Addr>,
    /// Maximum receive unit to ask for.
    pub mru: Option<u16>,
    /// Host name, at most 64 octets.
    pub host_name: String,
    /// Vendor text, at most 64 octets.
    pub vendor: String,
    /// RADIUS port for authentication, below 65535; accounting is on the next
    /// one. 0 takes two that are free.
    pub radius_port: u16,
    /// RADIUS shared secret, at least one octet.
    pub radius_secret: String,
}

impl Config {
    /// Fills in the defaults.
    ///
    /// # Errors
    /// One line for what cannot be.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let s = settings.clone();
        let methods = s.auth.map_or_else(|| vec![Method::MsChapV2], |methods| methods.0);
        let keyed = |method: &Method| {
            matches!(method, Method::MsChapV1 | Method::MsChapV2 | Method::EapMsChapV2)
        };
        let mppe = match (s.mppe, methods.iter().any(keyed)) {
            (Some(MppeUse::Required), false) => {
                return Err("--mppe required needs a method that gives keys: mschapv1, mschapv2 \
                            or eap-mschapv2"
                    .into());
            }
            (None, true) => MppeUse::Required,
            (None, false) => MppeUse::None,
            (Some(mppe), _) => mppe,
        };
        let config = Self {
            listen: s.listen.unwrap_or(Ipv4Addr::LOCALHOST),
            port: s.port.unwrap_or(control::PORT),
            users: if s.user.is_empty() {
                vec![User { name: "probe".into(), password: "Pr0be-secret".into() }]
            } else {
                s.user
            },
            methods,
            mppe,
            mppe_modes: s.mppe_mode.unwrap_or(MppePolicy::ANY),
            pool: s.pool.unwrap_or(Pool { first: 0xC0A8_4D0A, last: 0xC0A8_4DFE }),
            inner: s.inner.unwrap_or(Ipv4Addr::new(192, 168, 77, 1)),
            dns: s.dns,
            wins: s.wins,
            mru: s.mru,
            host_name: s.host_name.unwrap_or_else(|| "lab".into()),
            vendor: s.vendor.unwrap_or_else(|| "pptp-lab".into()),
            radius_port: s.radius_port.unwrap_or(1812),
            radius_secret: s.radius_secret.unwrap_or_else(|| "testing123".into()),
        };
        for (what, list) in [("--dns", &config.dns), ("--wins", &config.wins)] {
            if list.len() > 2 {
                return Err(format!("{what}: at most two servers can be told to a caller"));
            }
        }
        for (what, text) in [("--host-name", &config.host_name), ("--vendor", &config.vendor)] {
            if text.len() > 64 {
                return Err(format!("{what}: at most 64 octets fit"));
            }
        }
        if !config.mppe_modes.allows_encryption() {
            return Err("--mppe-mode needs a key length; without encryption say --mppe none".into());
        }
        if config.mru.is_some_and(|mru| mru < 128) {
            return Err("--mru: at least 128 octets".into());
        }
        if config.radius_port == u16::MAX {
            return Err("--radius-port: accounting needs the port after it".into());
        }
        if config.radius_secret.is_empty() {
            return Err("--radius-secret: at least one octet".into());
        }
        Ok(config)
    }

    /// The user of that name, else of that name without `DOMAIN\`.
    pub fn user(&self, name: &[u8]) -> Option<&User> {
        let named = |name: &[u8]| self.users.iter().find(|user| user.name.as_bytes() == name);
        named(name).or_else(|| {
            let backslash = name.iter().position(|octet| *octet == b'\\')?;
            named(&name[backslash + 1..])
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        match Self::new(&Settings::default()) {
            Ok(config) => config,
            Err(error) => unreachable!("the defaults are valid: {error}"),
        }
    }
}

/// Name and password of one who may log in; both 1 to 255 octets of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                if name.len().max(password.len()) > MAX_CREDENTIAL {
                    return Err("a name or password has at most 255 octets".into());
                }
                Ok(Self { name: name.into(), password: password.into() })
            }
            _ => Err("a user is written NAME:PASSWORD".into()),
        }
    }
}

/// A list of methods, as `--auth` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods(pub Vec<Method>);

impl FromStr for Methods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut methods = Vec::new();
        for word in text.split(',') {
            let method: Method = word.parse()?;
            if methods.contains(&method) {
                return Err(format!("{method} is there twice"));
            }
            methods.push(method);
        }
        if methods.len() > 1 && methods.contains(&Method::None) {
            return Err("none excludes every other method".into());
        }
        Ok(Self(methods))
    }
}

/// Whether sessions are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MppeUse {
    /// Without encryption the link is terminated.
    Required,
    /// Asked for; a caller may refuse.
    Optional,
    /// Not asked for, and rejected where the caller asks.
    None,
}

impl FromStr for MppeUse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            "none" => Ok(Self::None),
            _ => Err("encryption is one of required optional none".into()),
        }
    }
}

impl fmt::Display for MppeUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::None => "none",
        })
    }
}

/// A range of addresses, both ends included, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The lowest.
    pub first: u32,
    /// The highest, not below the lowest.
    pub last: u32,
}

impl Pool {
    /// The addresses from the lowest up.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first..=self.last).map(Ipv4Addr::from)
    }
}

impl FromStr for Pool {
    type Err = String;

    /// Reads `A-B` or a prefix; of a prefix shorter than 31 bits its lowest
    /// and highest address are left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "a pool is written A-B or ADDRESS/BITS".to_string();
        if let Some((first, last)) = text.split_once('-') {
            let first = first.parse::<Ipv4Addr>().map_err(|_| form())?;
            let last = last.parse::<Ipv4Addr>().map_err(|_| form())?;
            if last < first {
                return Err(format!("{last} comes before {first}"));
            }
            return Ok(Self { first: first.into(), last: last.into() });
        }
        let (address, bits) = text.split_once('/').ok_or_else(form)?;
        let address = u32::from(address.parse::<Ipv4Addr>().map_err(|_| form())?);
        let bits = bits.parse::<u32>().ok().filter(|bits| (8..=32).contains(bits));
        let Some(bits) = bits else {
            return Err("a prefix has 8 to 32 bits".into());
        };
        let size = (1u64 << (32 - bits)) as u32;
        let first = address & !(size - 1);
        let last = first + (size - 1);
        Ok(if bits < 31 { Self { first: first + 1, last: last - 1 } } else { Self { first, last } })
    }
}

/// A TOML string in the spelling of the flag.
fn text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// A TOML array of strings, each in the spelling of the flag.
fn texts<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    list.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_what_the_help_says() {
        let config = Config::default();
        assert_eq!((config.port, config.radius_port), (1723, 1812));
        assert_eq!(config.radius_secret, "testing123");
        assert_eq!(config.users[0].name, "probe");
        assert_eq!(config.methods, [Method::MsChapV2]);
        assert_eq!(config.pool, "192.168.77.10-192.168.77.254".parse().unwrap());
    }

    #[test]
    fn file_has_the_spelling_of_the_flags() {
        let settings = Settings::from_toml(
            r#"
            listen = "10.77.0.1"
            user = ["anna:one", "otto:two:three"]
            auth = "pap,chap"
            mppe = "optional"
            mppe-mode = "40,stateful"
            pool = "10.0.0.0/29"
            dns = ["192.0.2.53"]
            fault = ["delay=lcp:20", "banner"]
            "#,
        )
        .unwrap();
        let config = Config::new(&settings).unwrap();
        assert_eq!(config.listen, Ipv4Addr::new(10, 77, 0, 1));
        assert_eq!(config.user(b"otto").unwrap().password, "two:three");
        assert_eq!(config.methods, [Method::Pap, Method::ChapMd5]);
        assert_eq!(config.mppe, MppeUse::Optional);
        assert!(config.mppe_modes.bits40 && config.mppe_modes.stateful);
        assert!(!config.mppe_modes.bits128 && !config.mppe_modes.stateless);
        assert_eq!(config.pool.addresses().count(), 6);
        assert_eq!(settings.fault.len(), 2);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named_with_their_line() {
        let error = Settings::from_toml("port = 1723\nporto = 1\n").unwrap_err();
        assert!(error.starts_with("line 2: unknown field `porto`"), "{error}");
        let error = Settings::from_toml("mppe = \"maybe\"").unwrap_err();
        assert_eq!(error, "line 1: encryption is one of required optional none");
        assert!(Settings::from_toml("port = 70000").is_err());
        assert!(Settings::from_toml("port =").unwrap_err().starts_with("line 1: "));
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings { port: Some(1), ..Settings::default() };
        let file = Settings { port: Some(2), mru: Some(1400), ..Settings::default() };
        let settings = flags.or(file);
        assert_eq!((settings.port, settings.mru), (Some(1), Some(1400)));
    }

    #[test]
    fn pools_are_ranges_or_prefixes() {
        let ends = |text: &str| {
            text.parse::<Pool>().map(|p| (Ipv4Addr::from(p.first), Ipv4Addr::from(p.last)))
        };
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert_eq!(ends("10.1.2.3/30"), Ok((address("10.1.2.1"), address("10.1.2.2"))));
        assert_eq!(ends("10.1.2.3/32"), Ok((address("10.1.2.3"), address("10.1.2.3"))));
        assert_eq!(ends("255.0.0.0/8"), Ok((address("255.0.0.1"), address("255.255.255.254"))));
        assert_eq!(ends("10.0.0.9-10.0.0.1"), Err("10.0.0.1 comes before 10.0.0.9".into()));
        for text in ["10.0.0.1", "10.0.0.0/7", "10.0.0.0/33", "a-b", "10.0.0.0/"] {
            assert!(ends(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_that_contradict_themselves_are_refused() {
        assert!("pap,pap".parse::<Methods>().is_err());
        assert!("none,pap".parse::<Methods>().is_err());
        assert!("".parse::<Methods>().is_err());
        assert!("probe".parse::<User>().is_err());
        assert!(":x".parse::<User>().is_err());
        let mut settings = Settings { dns: vec![Ipv4Addr::LOCALHOST; 3], ..Settings::default() };
        assert!(Config::new(&settings).is_err());
        settings = Settings::from_toml("auth = \"pap\"\nmppe = \"required\"").unwrap();
        assert!(Config::new(&settings).is_err());
        settings = Settings::from_toml("mppe-mode = \"none\"").unwrap();
        assert!(Config::new(&settings).is_err());
        assert!(Settings::from_toml("mppe-mode = \"512\"").is_err());
        settings = Settings { vendor: Some("x".repeat(65)), ..Settings::default() };
        assert!(Config::new(&settings).is_err());
        for line in ["radius-port = 65535", "radius-secret = \"\""] {
            assert!(Config::new(&Settings::from_toml(line).unwrap()).is_err(), "{line}");
        }
    }

    #[test]
    fn users_are_found_with_and_without_their_domain() {
        let config = Config::default();
        assert!(config.user(b"probe").is_some());
        assert!(config.user(br"CORP\probe").is_some());
        assert!(config.user(b"PROBE").is_none());
        assert!(config.user(br"probe\").is_none());
    }
}
