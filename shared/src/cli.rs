//! Arguments that every check shares, with the same names and help texts.
//!
//! A check flattens the groups it needs into its own arguments. Nothing here
//! reads the network or the clock; the only files read are secrets, by
//! [`Login::resolve`], and the ini file of `--extra-opts`.

mod extra_opts;

pub(crate) use extra_opts::expand as expand_extra_opts;

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};

use crate::method::{Method, MppePolicy};
use crate::output::{Format, Range, State, Thresholds, is_label};
use crate::secret::{AuthFile, Secret, Unread, refuse_public};

/// Longest user name and longest password, in octets: in PAP the length of
/// either is one octet (RFC 1334, section 2.2.1), and pppd keeps no longer
/// password for the other methods.
const LONGEST_CREDENTIAL: usize = 255;

/// The value of an option as it stands in the raw arguments, where they are
/// not parsed yet or cannot be; the last of several, if it can be read.
/// `short` and `long` are its names without hyphens.
pub(crate) fn raw_option<T: FromStr>(argv: &[OsString], short: u8, long: &str) -> Option<T> {
    let mut found = None;
    let arguments = argv.iter().skip(1).take_while(|argument| *argument != "--");
    let mut arguments = arguments.map(|argument| argument.as_bytes());
    while let Some(argument) = arguments.next() {
        let rest = match argument.strip_prefix(b"--") {
            Some(name) => match name.strip_prefix(long.as_bytes()) {
                Some(rest @ ([] | [b'=', ..])) => rest,
                _ => continue,
            },
            None => {
                // Flags that take no value may stand before it: -vo json.
                let Some(letters) = argument.strip_prefix(b"-") else { continue };
                let flags = letters.iter().take_while(|letter| b"v46".contains(letter)).count();
                match letters[flags..].strip_prefix(&[short]) {
                    Some(rest) => rest,
                    None => continue,
                }
            }
        };
        let value = match rest {
            [] => arguments.next(),
            _ => Some(rest.strip_prefix(b"=").unwrap_or(rest)),
        };
        found = value.or(found);
    }
    std::str::from_utf8(found?).ok()?.parse().ok()
}

/// Where the gateway is.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Name or address of the gateway; resolved once
    #[arg(short = 'H', long, value_name = "HOST")]
    pub hostname: String,

    /// Port of the service
    #[arg(short, long, value_name = "PORT", default_value = "1723")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,
}

impl Target {
    /// What no single argument can say about itself.
    ///
    /// # Errors
    /// As for [`check_host`].
    pub fn validate(&self) -> Result<(), String> {
        check_host(&self.hostname, self.ipv4, self.ipv6)
    }

    /// The address, where one is given instead of a name.
    pub fn literal(&self) -> Option<IpAddr> {
        literal(&self.hostname)
    }
}

/// Whether `--hostname`, `-4` and `-6` can name a host together.
///
/// # Errors
/// A sentence for what is neither a name nor an address, and for an address
/// of the family that is not wanted.
pub fn check_host(host: &str, ipv4: bool, ipv6: bool) -> Result<(), String> {
    if host.is_empty() {
        return Err("--hostname is empty".into());
    }
    match (literal(host), ipv4, ipv6) {
        (Some(IpAddr::V4(_)), _, true) => Err(format!("{host} is IPv4, but --ipv6 is given")),
        (Some(IpAddr::V6(_)), true, _) => Err(format!("{host} is IPv6, but --ipv4 is given")),
        (None, ..) if host.contains([':', '[', ']']) => {
            Err(format!("'{host}' is neither a name nor an address; a port is given by --port"))
        }
        (None, ..) if !is_name(host) => Err(format!("'{host}' is neither a name nor an address")),
        _ => Ok(()),
    }
}

/// Whether DNS could have such a name (RFC 1035, section 2.3.4). What else a
/// resolver makes of it is its own business.
fn is_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.len() <= 253
        && labels.split('.').all(|label| (1..=63).contains(&label.len()))
        && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
}

/// The address, where one is given instead of a name; with brackets or an
/// interface (`fe80::1%eth0`) too.
pub fn literal(host: &str) -> Option<IpAddr> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let (address, interface) = host.split_once('%').unwrap_or((host, ""));
    address.parse().ok().filter(|address: &IpAddr| interface.is_empty() || address.is_ipv6())
}

/// What an operator calls the target: `vpn.example.net:1723`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.hostname.contains(':') && !self.hostname.starts_with('[') {
            write!(f, "[{}]:{}", self.hostname, self.port)
        } else {
            write!(f, "{}:{}", self.hostname, self.port)
        }
    }
}

/// Thresholds, deadline and output.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Warning range of the main metric; in seconds where it is a time
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    pub warning: Option<Range>,

    /// Critical range of the main metric; in seconds where it is a time
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    pub critical: Option<Range>,

    /// Ranges of any metric by its perfdata label; either may be empty; repeatable
    #[arg(long, value_name = "METRIC=WARN/CRIT")]
    pub threshold: Vec<MetricThreshold>,

    // A default that clap parses costs thousands of instructions in every run;
    // for these two, methods fill it in.
    /// Deadline of the whole run, such as 5, 2.5 or 1500ms; STATE is what a timeout means [default: 10:critical]
    #[arg(short, long, value_name = "SECS[:STATE]")]
    timeout: Option<Timeout>,

    /// Show more: -v a line of detail, -vv phases and messages, -vvv octets
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Output: nagios, json, prometheus, zabbix or influx [default: nagios]
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,

    /// Write the exchange to FILE for Wireshark, secrets masked
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

impl Common {
    /// The deadline of the run; 10 seconds and critical unless given.
    pub fn timeout(&self) -> Timeout {
        self.timeout.unwrap_or_default()
    }

    /// How the report is printed; for Nagios unless given.
    pub fn output(&self) -> Format {
        self.output.unwrap_or_default()
    }

    /// The ranges of the run: `-w` and `-c` for the main metric, then each
    /// `--threshold` in the order given.
    ///
    /// # Errors
    /// A sentence for a label that is not among `metrics`; it lists them.
    pub fn thresholds(&self, metrics: &[&str], main: &str) -> Result<Thresholds, String> {
        debug_assert!(metrics.iter().all(|label| is_label(label)));
        debug_assert!(metrics.contains(&main));
        let mut thresholds = Thresholds::new();
        if self.warning.is_some() || self.critical.is_some() {
            thresholds.set(main, self.warning.clone(), self.critical.clone());
        }
        for threshold in &self.threshold {
            if !metrics.contains(&threshold.label.as_str()) {
                let known = metrics.join(" ");
                return Err(format!(
                    "--threshold knows no metric '{}'; known are {known}",
                    threshold.label
                ));
            }
            let (warning, critical) = (threshold.warning.clone(), threshold.critical.clone());
            thresholds.set(&threshold.label, warning, critical);
        }
        Ok(thresholds)
    }
}

/// One `--threshold`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricThreshold {
    /// The perfdata label.
    pub label: String,
    /// The warning range.
    pub warning: Option<Range>,
    /// The critical range.
    pub critical: Option<Range>,
}

impl FromStr for MetricThreshold {
    type Err = String;

    /// # Errors
    /// A sentence that names the part that is wrong.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "the form is METRIC=WARN/CRIT".to_owned();
        let (label, ranges) = text.split_once('=').ok_or_else(form)?;
        let (warning, critical) = ranges.split_once('/').ok_or_else(form)?;
        let side = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<Range>().map(Some),
        };
        if warning.is_empty() && critical.is_empty() {
            return Err("both ranges are empty".into());
        }
        Ok(Self { label: label.to_owned(), warning: side(warning)?, critical: side(critical)? })
    }
}

/// The deadline of a run and what missing it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// From the start of the process; 1 ms to 1 day.
    pub duration: Duration,
    /// The state of a run that the deadline ended.
    pub state: State,
}

impl Default for Timeout {
    fn default() -> Self {
        Self { duration: Duration::from_secs(10), state: State::Critical }
    }
}

impl FromStr for Timeout {
    type Err = String;

    /// # Errors
    /// A sentence that names the part that is wrong.
    fn from_str(text: &str) -> Result<Self, String> {
        let (text, state) = match text.split_once(':') {
            Some((text, state)) => (text, state.parse()?),
            None => (text, State::Critical),
        };
        let seconds = seconds(text, &[("ms", 1e-3), ("s", 1.0)])
            .ok_or_else(|| format!("'{text}' is no time; write 5, 2.5, 10s or 1500ms"))?;
        if seconds < 0.001 {
            return Err("a run needs at least 1 ms".into());
        }
        if seconds > 86_400.0 {
            return Err("a run may take a day at most".into());
        }
        let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        Ok(Self { duration, state })
    }
}

/// A time in seconds: a plain decimal number with one of `units` behind it,
/// each with its length in seconds, or none for seconds. A unit that ends in
/// another one stands before that.
pub fn seconds(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let known = |(name, length): &(&str, f64)| Some((text.strip_suffix(name)?, *length));
    let (number, length) = units.iter().find_map(known).unwrap_or((text, 1.0));
    // The standard parser would also take signs, exponents and "inf".
    let is_plain = number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
    number.parse::<f64>().ok().filter(|_| is_plain).map(|number| number * length)
}

/// Who logs in. A secret is never a value on the command line, where `ps`
/// would show it.
#[derive(Debug, Clone, Args)]
pub struct Login {
    /// User name; without it, from the authfile or the credential pptp-username
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<OsString>,

    /// Read the password from FILE, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password_env", "authfile"])]
    pub password_file: Option<PathBuf>,

    /// Read the password from the environment variable VAR
    #[arg(long, value_name = "VAR", conflicts_with = "authfile")]
    pub password_env: Option<OsString>,

    /// Read username=, password= and domain= lines from FILE, - for standard input
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
}

impl Login {
    /// The user name and the password, from where the arguments say; failing
    /// that from `pptp-username` and `pptp-password` in
    /// `$CREDENTIALS_DIRECTORY`. Pipes are waited for until `deadline`.
    ///
    /// # Errors
    /// A sentence that names the source and what is wrong with it, that
    /// everyone can read the file, or what is missing.
    pub fn resolve(&self, deadline: Instant) -> Result<(Vec<u8>, Secret), Unread> {
        let mut files = [&self.password_file, &self.authfile].into_iter().flatten();
        files.try_for_each(|path| refuse_public(path))?;
        let authfile = match &self.authfile {
            Some(path) => AuthFile::read(path, deadline)?,
            None => AuthFile { username: None, password: None },
        };
        let username = match (&self.username, authfile.username) {
            (Some(username), _) => Some(username.as_bytes().to_vec()),
            (None, Some(username)) => Some(username),
            (None, None) => {
                let credential = Secret::from_credentials("pptp-username", deadline)?;
                credential.map(|username| username.expose().to_vec())
            }
        };
        let username = username.ok_or_else(|| {
            "no user name: give --username, --authfile or the credential pptp-username".to_owned()
        })?;
        if username.is_empty() || username.len() > LONGEST_CREDENTIAL {
            return Err(format!("a user name has 1 to {LONGEST_CREDENTIAL} octets").into());
        }
        let password = match (&self.password_file, &self.password_env, authfile.password) {
            (Some(path), _, _) => Some(Secret::from_file(path, deadline)?),
            (None, Some(variable), _) => Some(Secret::from_env(variable)?),
            (None, None, Some(password)) => Some(password),
            (None, None, None) => Secret::from_credentials("pptp-password", deadline)?,
        };
        let password = password.ok_or_else(|| {
            "no password: give --password-file, --password-env, --authfile \
             or the credential pptp-password"
                .to_owned()
        })?;
        if password.expose().len() > LONGEST_CREDENTIAL {
            return Err(format!("a password has at most {LONGEST_CREDENTIAL} octets").into());
        }
        Ok((username, password))
    }
}

/// What a RADIUS client and its server both know.
#[derive(Debug, Clone, Args)]
pub struct RadiusSecret {
    /// Read the RADIUS shared secret from FILE, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    pub secret_file: Option<PathBuf>,

    /// Read the RADIUS shared secret from the environment variable VAR
    #[arg(long, value_name = "VAR")]
    pub secret_env: Option<OsString>,
}

impl RadiusSecret {
    /// The shared secret, from where the arguments say; failing that from
    /// `radius-secret` in `$CREDENTIALS_DIRECTORY`. Pipes are waited for until
    /// `deadline`.
    ///
    /// # Errors
    /// A sentence that names the source and what is wrong with it, also when
    /// everyone can read the file; or that there is none.
    pub fn resolve(&self, deadline: Instant) -> Result<Secret, Unread> {
        let secret = match (&self.secret_file, &self.secret_env) {
            (Some(path), _) => {
                refuse_public(path)?;
                Some(Secret::from_file(path, deadline)?)
            }
            (None, Some(variable)) => Some(Secret::from_env(variable)?),
            (None, None) => Secret::from_credentials("radius-secret", deadline)?,
        };
        secret.ok_or_else(|| {
            "no shared secret: give --secret-file, --secret-env or the credential radius-secret"
                .to_owned()
                .into()
        })
    }
}

/// Which methods may be used.
#[derive(Debug, Clone, Args)]
pub struct AuthMethods {
    /// Allowed methods, of none pap chap mschapv1 mschapv2 eap-md5 eap-mschapv2,
    /// with commas; default: all but none and pap, which shows the password
    #[arg(long = "auth-method", value_name = "LIST", value_delimiter = ',')]
    #[arg(action = ArgAction::Set)]
    pub auth_method: Vec<Method>,
}

impl AuthMethods {
    /// The methods that may be used, each once, weakest first. Unless asked
    /// for, a password is not sent in the clear to whoever answers.
    pub fn allowed(&self) -> Vec<Method> {
        let is_allowed = |method: &&Method| match self.auth_method.as_slice() {
            [] => !matches!(method, Method::None | Method::Pap),
            given => given.contains(method),
        };
        Method::ALL.iter().filter(is_allowed).copied().collect()
    }
}

/// Which encryption may be used.
#[derive(Debug, Clone, Args)]
pub struct MppeChoice {
    /// Allowed encryption, of none 40 56 128 any, with commas, and stateless or stateful
    #[arg(long, value_name = "LIST", default_value = "any")]
    pub mppe: MppePolicy,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(args_override_self = true)]
    struct Everything {
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
    }

    fn parse(arguments: &str) -> Result<Everything, String> {
        let given = ["check", "-H", "192.0.2.1"].into_iter().chain(arguments.split_whitespace());
        Everything::try_parse_from(given).map_err(|error| error.to_string())
    }

    fn error(arguments: &str) -> String {
        parse(arguments).unwrap_err()
    }

    #[test]
    fn options_are_found_in_raw_arguments() {
        for (arguments, value) in [
            ("-o json", Some("json")),
            ("-ojson", Some("json")),
            ("-o=json", Some("json")),
            ("-vvo json -x", Some("json")),
            ("--output json", Some("json")),
            ("--output=json", Some("json")),
            ("-o json --bad -o zabbix", Some("zabbix")),
            ("-o json -o", Some("json")),
            ("-t 5 -wo", None),
            ("--outputs=json", None),
            ("-- -o json", None),
            ("json", None),
        ] {
            let argv = ["check"].into_iter().chain(arguments.split_whitespace());
            let argv: Vec<OsString> = argv.map(OsString::from).collect();
            let found = raw_option::<String>(&argv, b'o', "output");
            assert_eq!(found.as_deref(), value, "{arguments}");
        }
    }

    #[test]
    fn definitions_are_consistent() {
        use clap::CommandFactory;
        Everything::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let given = parse("").unwrap();
        assert_eq!(given.target.port, 1723);
        assert_eq!(given.target.to_string(), "192.0.2.1:1723");
        let ten_seconds = Timeout { duration: Duration::from_secs(10), state: State::Critical };
        assert_eq!(given.common.timeout(), ten_seconds);
        assert_eq!(given.common.output(), Format::Nagios);
        assert_eq!(given.common.verbose, 0);
        assert_eq!(given.mppe.mppe, MppePolicy::ANY);
        let allowed = given.methods.allowed();
        assert_eq!(allowed, Method::ALL[2..]);
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        for given in ["2001:db8::1", "[2001:db8::1]"] {
            let target = parse(&format!("-H {given} -6")).unwrap().target;
            assert_eq!(target.to_string(), "[2001:db8::1]:1723");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let error = |host: &str, more: &str| {
            let mut target = parse(more).unwrap().target;
            target.hostname = host.into();
            target.validate().err().unwrap_or_default()
        };
        assert_eq!(error("", ""), "--hostname is empty");
        assert_eq!(error("192.0.2.1", "-6"), "192.0.2.1 is IPv4, but --ipv6 is given");
        assert_eq!(error("2001:db8::1", "-4"), "2001:db8::1 is IPv6, but --ipv4 is given");
        for host in ["192.0.2.1:1723", "vpn.example.net:1723", "[2001:db8::1]:1723", "vpn:"] {
            let text = "is neither a name nor an address; a port is given by --port";
            assert_eq!(error(host, ""), format!("'{host}' {text}"));
        }
        let long = "a".repeat(64);
        let longer = ["a.".repeat(126), "ab".to_owned()].concat();
        for host in ["a b", "vpn\n", "a\tb", ".", "a..b", ".a", "192.0.2.0/24", &long, &longer] {
            assert_eq!(error(host, ""), format!("'{host}' is neither a name nor an address"));
        }
        for (host, more) in [
            ("vpn.example.net", "-6"),
            ("vpn.example.net.", ""),
            ("_gateway", ""),
            (&long[..63], ""),
            (&longer[..253], ""),
            ("192.0.2.1", "-4"),
            ("2001:db8::1", "-6"),
            ("[2001:db8::1]", ""),
            ("fe80::1%eth0", ""),
        ] {
            assert_eq!(error(host, more), "", "{host}");
        }
    }

    #[test]
    fn both_families_at_once_and_port_zero_are_refused() {
        assert!(error("-4 -6").contains("'--ipv4' cannot be used with '--ipv6'"));
        assert!(error("-p 0").contains("--port"));
        assert!(error("-p 65536").contains("--port"));
    }

    #[test]
    fn times_have_several_spellings() {
        for (text, millis) in [
            ("5", 5000),
            ("2.5", 2500),
            ("1500ms", 1500),
            ("10s", 10_000),
            (".5", 500),
            ("86400", 86_400_000),
        ] {
            let timeout: Timeout = text.parse().unwrap();
            assert_eq!(timeout.duration, Duration::from_millis(millis), "{text}");
            assert_eq!(timeout.state, State::Critical);
        }
        let unknown: Timeout = "2.5:unknown".parse().unwrap();
        assert_eq!(unknown.state, State::Unknown);
        assert_eq!(unknown.duration, Duration::from_millis(2500));
    }

    #[test]
    fn impossible_times_are_refused() {
        for (text, error) in [
            ("0", "a run needs at least 1 ms"),
            ("0.0001", "a run needs at least 1 ms"),
            ("0ms", "a run needs at least 1 ms"),
            ("86401", "a run may take a day at most"),
            ("", "'' is no time; write 5, 2.5, 10s or 1500ms"),
            ("-5", "'-5' is no time; write 5, 2.5, 10s or 1500ms"),
            ("1e3", "'1e3' is no time; write 5, 2.5, 10s or 1500ms"),
            ("inf", "'inf' is no time; write 5, 2.5, 10s or 1500ms"),
            ("5m", "'5m' is no time; write 5, 2.5, 10s or 1500ms"),
            ("5:", "'' is none of ok warning critical unknown"),
            ("5:bad", "'bad' is none of ok warning critical unknown"),
        ] {
            assert_eq!(text.parse::<Timeout>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn ranges_may_begin_with_a_hyphen() {
        let common = parse("-w -inf:5 -c -5:10").unwrap().common;
        assert_eq!(common.warning.unwrap().to_string(), "~:5");
        assert_eq!(common.critical.unwrap().to_string(), "-5:10");
        assert!(error("-w 20:10").contains("start 20 is above end 10"));
    }

    #[test]
    fn thresholds_reach_their_metrics() {
        let metrics = ["connect_time", "echo_rtt"];
        let arguments = "-w 1 -c 2 --threshold echo_rtt=0.1/ --threshold echo_rtt=/0.2 \
                         --threshold connect_time=/3";
        let thresholds = parse(arguments).unwrap().common.thresholds(&metrics, "connect_time");
        let thresholds = thresholds.unwrap();
        let texts = |label| {
            let (warning, critical) = thresholds.get(label);
            (warning.map(Range::to_string), critical.map(Range::to_string))
        };
        assert_eq!(texts("connect_time"), (Some("1".into()), Some("3".into())));
        assert_eq!(texts("echo_rtt"), (Some("0.1".into()), Some("0.2".into())));
    }

    #[test]
    fn an_unknown_metric_lists_the_known_ones() {
        let common = parse("--threshold rtt=1/2").unwrap().common;
        assert_eq!(
            common.thresholds(&["connect_time", "echo_rtt"], "echo_rtt").unwrap_err(),
            "--threshold knows no metric 'rtt'; known are connect_time echo_rtt"
        );
    }

    #[test]
    fn a_threshold_without_its_form_is_refused() {
        for (text, error) in [
            ("rtt", "the form is METRIC=WARN/CRIT"),
            ("rtt=1", "the form is METRIC=WARN/CRIT"),
            ("rtt=/", "both ranges are empty"),
            ("rtt=5:1/2", "start 5 is above end 1"),
            ("rtt=1/2/3", "unexpected character '/' in a range"),
        ] {
            assert_eq!(text.parse::<MetricThreshold>().unwrap_err(), error);
        }
    }

    #[test]
    fn output_and_verbosity() {
        for format in Format::ALL {
            assert_eq!(parse(&format!("-o {}", format.word())).unwrap().common.output(), *format);
        }
        assert!(error("-o xml").contains("known are nagios json prometheus zabbix influx"));
        assert_eq!(parse("-vvv").unwrap().common.verbose, 3);
        assert_eq!(parse("-v -v").unwrap().common.verbose, 2);
    }

    #[test]
    fn the_last_of_a_repeated_option_counts() {
        assert_eq!(parse("-p 1 -p 2").unwrap().target.port, 2);
        let lists = parse("--auth-method pap --auth-method mschapv2,chap").unwrap();
        assert_eq!(lists.methods.allowed(), [Method::ChapMd5, Method::MsChapV2]);
    }

    #[test]
    fn methods_and_encryption_are_lists() {
        let given = parse("--auth-method mschapv2,none --mppe 128,stateless").unwrap();
        assert_eq!(given.methods.allowed(), [Method::None, Method::MsChapV2]);
        assert!(given.mppe.mppe.bits128 && !given.mppe.mppe.stateful);
        assert!(error("--auth-method mschapv3").contains("known are none pap chap"));
        assert!(error("--mppe 64").contains("'64' is none of"));
    }

    #[test]
    fn a_password_has_one_source() {
        for pair in [
            "--password-file a --password-env b",
            "--password-file a --authfile b",
            "--authfile a --password-env b",
        ] {
            assert!(error(pair).contains("cannot be used with"), "{pair}");
        }
    }

    #[test]
    fn a_password_as_a_value_is_refused_and_not_repeated() {
        let error = error("--password=hunter2");
        assert!(error.contains("--password") && !error.contains("hunter2"), "{error}");
    }

    fn resolve(arguments: &str) -> Result<(Vec<u8>, Secret), Unread> {
        parse(arguments).unwrap().login.resolve(Instant::now())
    }

    #[test]
    fn login_from_the_arguments() {
        // Set wherever a test runs.
        let (username, password) = resolve("-u probe --password-env PATH").ok().unwrap();
        assert_eq!(username, b"probe");
        assert_eq!(password.expose(), std::env::var_os("PATH").unwrap().as_encoded_bytes());
    }

    #[test]
    fn a_login_that_lacks_something_says_what() {
        let error = |arguments: &str| resolve(arguments).err().unwrap().text;
        assert_eq!(
            error("--password-env PATH"),
            "no user name: give --username, --authfile or the credential pptp-username"
        );
        assert_eq!(
            error("-u probe"),
            "no password: give --password-file, --password-env, --authfile \
             or the credential pptp-password"
        );
        assert_eq!(
            error(&format!("-u {} --password-env PATH", "a".repeat(256))),
            "a user name has 1 to 255 octets"
        );
        assert_eq!(
            error("-u probe --password-file /nonexistent/secret"),
            "cannot read /nonexistent/secret: No such file or directory"
        );
    }
}
