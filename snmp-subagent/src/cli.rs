//! The command line, and what it changes in the configuration.
//!
//! A daemon's conventions, not those of a check: misuse is on standard error
//! with status 2, help and version end with 0.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;

use crate::config::{Address, Auth, Community, Config, Privacy, User, check_root};
use crate::mib_text::{PROBE_TC_MIB, SESSION_MIB, moved};
use crate::oid::Oid;

/// The arguments.
#[derive(Debug, Parser)]
#[command(
    name = "pptp-snmp-subagent",
    version = concat!("v", env!("CARGO_PKG_VERSION"), " (pptp-monitor ", env!("CARGO_PKG_VERSION"), ")"),
    about = "Serves the sessions of a PPTP gateway to SNMP and Prometheus, and probes gateways.",
    after_help = "Examples:\n  \
                  pptp-snmp-subagent --standalone\n  \
                  pptp-snmp-subagent --config /etc/pptp-monitor/subagent.toml --check-config"
)]
pub struct Arguments {
    /// Configuration file, in TOML [default: /etc/pptp-monitor/subagent.toml, which need not be there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Read the configuration, say what is wrong, and exit
    #[arg(long, group = "action")]
    pub check_config: bool,

    /// Print the configuration in effect, without secrets, and exit
    #[arg(long, group = "action")]
    pub print_config: bool,

    /// Print one of the MIB modules, or all of them, and exit
    #[arg(long, value_name = "MODULE", num_args = 0..=1, default_missing_value = "all")]
    #[arg(group = "action")]
    pub print_mib: Option<Module>,

    /// Collect once, print the sessions, and exit
    #[arg(long, group = "action")]
    pub once: bool,

    /// How --once prints: table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table", requires = "once")]
    pub output: Output,

    /// Root of everything that is served
    #[arg(long, value_name = "OID")]
    oid_base: Option<Root>,

    /// Where the AgentX master listens: /path, unix:/path or tcp:ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS")]
    agentx: Option<Address>,

    /// Answer SNMP without a master, on udp 127.0.0.1:1161 unless told otherwise
    #[arg(long, conflicts_with = "agentx")]
    standalone: bool,

    /// Answer SNMP on this UDP address; repeatable
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,

    /// Serve /metrics for Prometheus on this TCP address
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,

    /// Serve so many invented sessions instead of real ones, for load tests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub synthetic_rows: Option<u32>,

    /// Log more
    #[arg(short, long)]
    pub verbose: bool,
}

impl Arguments {
    /// The configuration with what the command line says in its place.
    ///
    /// # Errors
    /// One line for each thing that is wrong.
    pub fn load(&self) -> Result<Config, Vec<String>> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(root) = &self.oid_base {
            config.oid_base = root.0.clone();
        }
        if let Some(address) = &self.agentx {
            config.agentx.enabled = true;
            config.agentx.socket = address.clone();
        }
        if self.standalone {
            config.agentx.enabled = false;
            config.responder.enabled = true;
        }
        if !self.listen.is_empty() {
            config.responder.enabled = true;
            config.responder.listen.clone_from(&self.listen);
        }
        config.metrics.listen = self.metrics.or(config.metrics.listen);
        Ok(config)
    }
}

/// A root that is possible.
#[derive(Debug, Clone)]
struct Root(Oid);

impl FromStr for Root {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let root = text.parse::<Oid>().map_err(|error| error.to_string())?;
        check_root(&root).map(|()| Self(root))
    }
}

/// A module of the MIB, by its name or that of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Both, the one that the other imports from first.
    All,
    /// PPTP-SESSION-MIB.
    Session,
    /// PPTP-PROBE-TC-MIB.
    ProbeTc,
}

impl Module {
    /// The text, for the tree below `root`.
    pub fn text(self, root: &Oid) -> String {
        match self {
            Self::All => format!("{}\n{}", Self::ProbeTc.text(root), Self::Session.text(root)),
            Self::Session => moved(SESSION_MIB, root.as_slice()),
            Self::ProbeTc => moved(PROBE_TC_MIB, root.as_slice()),
        }
    }
}

impl FromStr for Module {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
        match name.strip_suffix(".txt").unwrap_or(name) {
            "all" => Ok(Self::All),
            "PPTP-SESSION-MIB" => Ok(Self::Session),
            "PPTP-PROBE-TC-MIB" => Ok(Self::ProbeTc),
            _ => Err("known are all PPTP-SESSION-MIB PPTP-PROBE-TC-MIB".into()),
        }
    }
}

/// How `--once` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err("known are table json".into()),
        }
    }
}

/// The command with which an operator sees what the responder serves; secrets
/// are named by their files.
pub fn snmpwalk(config: &Config, address: SocketAddr) -> String {
    let access = match (config.responder.communities.first(), config.responder.users.first()) {
        (Some(Community(name)), _) if name == "public" => "-v2c -c public".to_owned(),
        (Some(_), _) => "-v2c -c COMMUNITY".to_owned(),
        (None, Some(user)) => user_options(user),
        (None, None) => "-v2c -c COMMUNITY".to_owned(),
    };
    let address = match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => {
            format!("127.0.0.1:{}", address.port())
        }
        SocketAddr::V4(address) => address.to_string(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => {
            format!("udp6:[::1]:{}", address.port())
        }
        SocketAddr::V6(address) => format!("udp6:{address}"),
    };
    format!("snmpwalk {access} {address} .{}", config.oid_base)
}

fn user_options(user: &User) -> String {
    let auth = match user.auth {
        Auth::None => None,
        Auth::Sha1 => Some("SHA"),
        Auth::Sha224 => Some("SHA-224"),
        Auth::Sha256 => Some("SHA-256"),
        Auth::Sha384 => Some("SHA-384"),
        Auth::Sha512 => Some("SHA-512"),
    };
    let level = match (auth, user.privacy) {
        (None, _) => "noAuthNoPriv",
        (Some(_), Privacy::None) => "authNoPriv",
        (Some(_), Privacy::Aes128) => "authPriv",
    };
    let mut options = format!("-v3 -l {level} -u {}", Quoted(&user.name));
    if let (Some(auth), Some(file)) = (auth, &user.auth_password_file) {
        let file = file.path.display().to_string();
        options.push_str(&format!(" -a {auth} -A \"$(cat {})\"", Quoted(&file)));
    }
    if let (Privacy::Aes128, Some(file)) = (user.privacy, &user.priv_password_file) {
        let file = file.path.display().to_string();
        options.push_str(&format!(" -x AES -X \"$(cat {})\"", Quoted(&file)));
    }
    options
}

/// A word for the shell.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/._-".contains(&octet);
        if self.0.bytes().all(is_plain) {
            return f.write_str(self.0);
        }
        write!(f, "'{}'", self.0.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(arguments: &str) -> Arguments {
        let argv = ["pptp-snmp-subagent", "--config=/dev/null"].into_iter();
        Arguments::try_parse_from(argv.chain(arguments.split_whitespace())).unwrap()
    }

    fn refused(arguments: &str) -> String {
        let argv = ["pptp-snmp-subagent"].into_iter().chain(arguments.split_whitespace());
        let error = Arguments::try_parse_from(argv).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_command_line_wins() {
        let config = parsed(
            "--agentx tcp:192.0.2.1:705 --metrics 127.0.0.1:9723 --oid-base .1.3.6.1.4.1.99999",
        )
        .load()
        .unwrap();
        assert!(config.agentx.enabled && !config.responder.enabled);
        assert_eq!(config.agentx.socket.to_string(), "tcp:192.0.2.1:705");
        assert_eq!(config.metrics.listen, Some("127.0.0.1:9723".parse().unwrap()));
        assert_eq!(config.oid_base.to_string(), "1.3.6.1.4.1.99999");
        let config =
            parsed("--standalone --listen [::1]:1161 --listen 127.0.0.1:1161").load().unwrap();
        assert!(!config.agentx.enabled && config.responder.enabled);
        assert_eq!(config.responder.listen.len(), 2);
    }

    #[test]
    fn misuse_is_refused() {
        for (arguments, part) in [
            ("--standalone --agentx /a", "cannot be used with"),
            ("--check-config --print-config", "cannot be used with"),
            ("--agentx master", "a socket's path begins with /"),
            ("--oid-base 1.3.6.1.4.1.x", "numbers from 0 to 4294967295"),
            ("--oid-base 1.3.6.1.2.1", "must lie below 1.3.6.1.4.1"),
            ("--print-mib IF-MIB", "known are all"),
            ("-o json", "--once"),
            ("--synthetic-rows 0", "not in 1..="),
            ("--listen 1161", "invalid socket address"),
            ("surplus", "unexpected argument"),
        ] {
            let said = refused(arguments);
            assert!(said.contains(part), "{arguments}: {said}");
        }
    }

    #[test]
    fn the_walk_that_is_shown_works_in_a_shell() {
        let mut config = Config::default();
        let any = "0.0.0.0:1161".parse().unwrap();
        let expected = format!("snmpwalk -v2c -c public 127.0.0.1:1161 .{}", config.oid_base);
        assert_eq!(snmpwalk(&config, any), expected);
        config.responder.communities = vec![Community("hush".into())];
        assert!(!snmpwalk(&config, any).contains("hush"));
        config.responder.communities.clear();
        let user = |name: &str| User {
            name: name.into(),
            auth: Auth::None,
            privacy: Privacy::None,
            ..User::default()
        };
        config.responder.users = vec![user("a'b")];
        let said = snmpwalk(&config, "[::1]:161".parse().unwrap());
        assert!(
            said.starts_with(r"snmpwalk -v3 -l noAuthNoPriv -u 'a'\''b' udp6:[::1]:161 "),
            "{said}"
        );
    }

    #[test]
    fn modules_are_known_by_name_and_file() {
        for (text, module) in [
            ("PPTP-SESSION-MIB", Module::Session),
            ("mibs/PPTP-PROBE-TC-MIB.txt", Module::ProbeTc),
            ("all", Module::All),
        ] {
            assert_eq!(text.parse(), Ok(module));
        }
        assert_eq!(parsed("--print-mib").print_mib, Some(Module::All));
        assert_eq!(parsed("--print-mib PPTP-SESSION-MIB").print_mib, Some(Module::Session));
    }
}
