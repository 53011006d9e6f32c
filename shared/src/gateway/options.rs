//! Options of pptpd and of pppd, as each reads them itself: pptpd.conf(5),
//! `/etc/ppp/options`, what a command line names with `file` and `call`, and
//! the command line.
//!
//! pptpd 1.4.0 takes the first line with a keyword, ignores lines that begin
//! with a blank, and lets its command line win except over `connections`.
//! pppd 2.4.9 takes words, lets the last one win, and its `refuse-` options
//! are about what pppd proves itself, not about what a caller may use.
//!
//! Not read are the options behind `--` in a line of pppd's secrets files.
//! [`required`] tells only what every open session of such a pppd must have.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::session::{AuthMethod, Encryption};
use super::{Root, number};
use crate::secret::in_words;

/// Octets of a file that is read.
const LARGEST: u64 = 64 << 10;
/// Files inside files.
const DEEPEST: usize = 8;
/// Options of one process.
const MOST: usize = 4096;
/// Octets of a word that pppd keeps (`MAXWORDLEN`).
const LONGEST_WORD: usize = 1023;
/// Octets of a line of pptpd.conf that pptpd reads.
const LONGEST_LINE: usize = 509;

/// Options of pppd 2.4.7 to 2.5.3 and of its plugins that have an argument.
const WITH_ARGUMENT: &[&str] = &[
    "+ua",
    "-as",
    "active-filter",
    "allow-ip",
    "allow-number",
    "asyncmap",
    "auth-down-script",
    "auth-up-script",
    "avpair",
    "bsdcomp",
    "bundle",
    "ca",
    "call",
    "callback",
    "capath",
    "cert",
    "chap-interval",
    "chap-max-challenge",
    "chap-restart",
    "chap-secrets",
    "chap-timeout",
    "child-timeout",
    "connect",
    "connect-delay",
    "crl",
    "crl-dir",
    "datarate",
    "defaultroute-metric",
    "defaultroute6-metric",
    "deflate",
    "dhcpv6-metric",
    "dhcpv6-ra-intvl",
    "dhcpv6-server",
    "disconnect",
    "domain",
    "eap-interval",
    "eap-max-rreq",
    "eap-max-sreq",
    "eap-restart",
    "eap-timeout",
    "endpoint",
    "escape",
    "file",
    "holdoff",
    "host-uniq",
    "idle",
    "ifname",
    "init",
    "ip-down-script",
    "ip-pre-up-script",
    "ip-up-script",
    "ipcp-max-configure",
    "ipcp-max-failure",
    "ipcp-max-terminate",
    "ipcp-restart",
    "ipparam",
    "ipv6",
    "ipv6-down-script",
    "ipv6-up-script",
    "ipv6cp-max-configure",
    "ipv6cp-max-failure",
    "ipv6cp-max-terminate",
    "ipv6cp-restart",
    "ipx-network",
    "ipx-node",
    "ipx-router-name",
    "ipx-routing",
    "ipxcp-max-configure",
    "ipxcp-max-failure",
    "ipxcp-max-terminate",
    "ipxcp-restart",
    "kdebug",
    "key",
    "lcp-echo-failure",
    "lcp-echo-interval",
    "lcp-max-configure",
    "lcp-max-failure",
    "lcp-max-terminate",
    "lcp-restart",
    "lcp-rtt-file",
    "linkname",
    "logfd",
    "logfile",
    "max-tls-version",
    "maxconnect",
    "maxfail",
    "maxoctets",
    "minconnect",
    "mo",
    "mo-direction",
    "mo-timeout",
    // Of OpenWrt's pppd.
    "mppe",
    "mrru",
    "mru",
    "ms-dns",
    "ms-wins",
    "mschap-challenge",
    "mschap2-peer-challenge",
    "mtu",
    "name",
    "net-down-script",
    "net-init-script",
    "net-pre-up-script",
    "netmask",
    "ntlm_auth-helper",
    "pap-max-authreq",
    "pap-restart",
    "pap-secrets",
    "pap-timeout",
    "pass-filter",
    "password",
    "passwordfd",
    "pkcs12",
    "plugin",
    "pppoe-ac",
    "pppoe-host-uniq",
    "pppoe-mac",
    "pppoe-padi-attempts",
    "pppoe-padi-timeout",
    "pppoe-service",
    "pppoe-sess",
    "pppoe-verbose",
    "pppol2tp",
    "pppol2tp_debug_mask",
    "pppol2tp_ifname",
    "pppol2tp_reorderto",
    "pppol2tp_session_id",
    "pppol2tp_tunnel_id",
    "pptpd-original-ip",
    "privgroup",
    "promptprog",
    "pty",
    "qos",
    "radius-config-file",
    "realms-config-file",
    "record",
    "remotename",
    "remotenumber",
    "rp_pppoe_ac",
    "rp_pppoe_service",
    "rp_pppoe_sess",
    "rp_pppoe_verbose",
    "set",
    "socket",
    "srp-interval",
    "srp-pn-secret",
    "stop-bits",
    "tls-verify-method",
    "unit",
    "unset",
    "user",
    "vj-max-slots",
    "vrf",
    "welcome",
];

/// An option somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its arguments; of a line in pptpd.conf all that follows the keyword.
    pub arguments: Vec<Box<[u8]>>,
    /// Where it stands; `None` is the command line.
    pub file: Option<Arc<Path>>,
    /// Line in the file, or place on the command line, from 1.
    pub line: u32,
}

impl Setting {
    /// Its only argument; empty where it has none.
    pub(crate) fn value(&self) -> &[u8] {
        self.arguments.first().map_or(b"", |argument| argument)
    }
}

/// All options of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which the program takes them.
    pub list: Vec<Setting>,
    /// What could not be read, in one sentence: the list is then not all.
    pub trouble: Option<String>,
    /// When the youngest of the files was written: a process that is older
    /// may have read something else.
    pub written: Option<SystemTime>,
}

/// What every open session of a pppd must have, as far as its options tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Required {
    /// How the caller had to prove who it is.
    pub auth_method: Option<AuthMethod>,
    /// MPPE, or none.
    pub encryption: Option<Encryption>,
    /// Whether MPPE changes its key with each packet.
    pub stateless: Option<bool>,
    /// Maximum-Receive-Unit of both ends, octets, where it is not negotiated.
    pub mru: Option<u16>,
}

/// What stands in a file and when it was written, or why it was not read.
pub(crate) type ReadFile<'a> = Result<(&'a [Setting], Option<SystemTime>), &'a str>;

/// Files of options, each read once.
#[derive(Debug)]
pub struct Files<'a> {
    root: &'a Root,
    parsed: HashMap<PathBuf, Result<Rc<Parsed>, String>>,
}

#[derive(Debug)]
struct Parsed {
    list: Vec<Setting>,
    written: Option<SystemTime>,
}

impl<'a> Files<'a> {
    /// Nothing is read yet.
    pub fn new(root: &'a Root) -> Self {
        Self { root, parsed: HashMap::new() }
    }

    /// The files that were read so far, and those that could not be read.
    pub(crate) fn read_so_far(&self) -> impl Iterator<Item = (&Path, ReadFile<'_>)> {
        self.parsed.iter().map(|(path, parsed)| match parsed {
            Ok(parsed) => (path.as_path(), Ok((&*parsed.list, parsed.written))),
            Err(trouble) => (path.as_path(), Err(trouble.as_str())),
        })
    }

    /// The options of a pppd of root that was started with this command line,
    /// arguments ended by NUL. The file of its terminal is not among them.
    pub fn pppd(&mut self, title: &[u8]) -> Settings {
        let mut all = Settings::default();
        for path in ["/etc/ppp/options", "/root/.ppprc"] {
            self.include(Path::new(path), false, 0, &mut all);
        }
        self.take(&of_title(title), 0, &mut all);
        all
    }

    /// What a command line of pppd says by itself and with the files that it
    /// names, without those that every pppd reads.
    pub(crate) fn command_line(&mut self, title: &[u8]) -> Settings {
        let mut all = Settings::default();
        self.take(&of_title(title), 0, &mut all);
        all
    }

    /// The options of a pptpd that was started with this command line, under
    /// the keywords of pptpd.conf.
    pub fn pptpd(&mut self, title: &[u8]) -> Settings {
        let mut all = Settings::default();
        let mut path = PathBuf::from("/etc/pptpd.conf");
        match pptpd_arguments(title) {
            Some(list) => {
                if let Some(named) = list.iter().rfind(|setting| &*setting.name == b"conf") {
                    path = OsStr::from_bytes(named.value()).into();
                }
                all.list = list;
            }
            None => all.trouble = Some("pptpd's command line is not understood".to_owned()),
        }
        match self.file(&path, parse_pptpd_conf) {
            Ok(parsed) => {
                all.list.extend(parsed.list.iter().cloned());
                all.written = parsed.written;
            }
            Err(trouble) => all.trouble = Some(trouble),
        }
        all
    }

    fn include(&mut self, path: &Path, must_exist: bool, depth: usize, all: &mut Settings) {
        let inside = path.strip_prefix("/").unwrap_or(path);
        if !must_exist && !self.root.exists(inside) {
            return;
        }
        if depth > DEEPEST {
            all.trouble = Some(format!("{} is inside too many files", path.display()));
            return;
        }
        match self.file(path, parse_pppd_file) {
            Ok(parsed) => {
                all.written = all.written.max(parsed.written);
                self.take(&parsed.list, depth, all);
            }
            Err(trouble) => all.trouble = Some(trouble),
        }
    }

    fn take(&mut self, list: &[Setting], depth: usize, all: &mut Settings) {
        for setting in list {
            if all.trouble.is_some() {
                return;
            }
            if all.list.len() == MOST {
                all.trouble = Some(format!("there are more than {MOST} options"));
                return;
            }
            all.list.push(setting.clone());
            let argument = Path::new(OsStr::from_bytes(setting.value()));
            match &*setting.name {
                b"file" => self.include(argument, true, depth + 1, all),
                b"call" => {
                    // Joined with an absolute path, the directory is lost.
                    let plain = argument.components().all(|c| matches!(c, Component::Normal(_)));
                    if !plain {
                        all.trouble = Some("the name behind call is not allowed".to_owned());
                        return;
                    }
                    self.include(&Path::new("/etc/ppp/peers").join(argument), true, depth + 1, all);
                }
                _ => {}
            }
        }
    }

    fn file(
        &mut self,
        path: &Path,
        parse: fn(&[u8], &Arc<Path>) -> Vec<Setting>,
    ) -> Result<Rc<Parsed>, String> {
        if let Some(parsed) = self.parsed.get(path) {
            return parsed.clone();
        }
        let parsed = self.read(path).map(|(octets, written)| {
            Rc::new(Parsed { list: parse(&octets, &path.into()), written })
        });
        self.parsed.insert(path.to_owned(), parsed.clone());
        parsed
    }

    fn read(&self, path: &Path) -> Result<(Vec<u8>, Option<SystemTime>), String> {
        let cannot = |why: &str| format!("cannot read {}: {why}", path.display());
        let unread = |error: io::Error| cannot(&in_words(&error));
        let Ok(inside) = path.strip_prefix("/") else {
            return Err(cannot("the path does not begin with a slash"));
        };
        let mut file = self.root.open(inside).map_err(unread)?;
        let mut octets = Vec::new();
        (&mut file).take(LARGEST + 1).read_to_end(&mut octets).map_err(unread)?;
        if octets.len() as u64 > LARGEST {
            return Err(cannot("it is too large"));
        }
        let written = file.metadata().and_then(|metadata| metadata.modified());
        Ok((octets, written.ok()))
    }
}

/// How many sessions a pptpd accepts at once: `connections`, or the fewest
/// addresses it has to give; `None` also where pppd gives them.
pub fn capacity(pptpd: &Settings) -> Option<u32> {
    let configured = |name: &[u8]| {
        let mut list = pptpd.list.iter();
        list.find(|setting| *setting.name == *name && setting.file.is_some()).map(Setting::value)
    };
    if pptpd.trouble.is_some() || first(pptpd, b"delegate").is_some() {
        return None;
    }
    let connections = match (configured(b"connections"), first(pptpd, b"connections")) {
        (Some(text), _) => leading_number(text).filter(|number| *number > 0).unwrap_or(100),
        (None, Some(text)) => leading_number(text).filter(|number| *number > 0)?,
        (None, None) => 100,
    };
    let remote = configured(b"remoteip").unwrap_or(b"192.168.1.1-100");
    let remote = addresses(remote, connections)?;
    let local = configured(b"localip").unwrap_or(b"192.168.0.1-100");
    match addresses(local, remote)? {
        1 => Some(remote),
        local => Some(local),
    }
}

/// Where a pptpd accepts control connections; `None` where it has a name to
/// look up.
pub fn listen(pptpd: &Settings) -> Option<SocketAddr> {
    if pptpd.trouble.is_some() {
        return None;
    }
    let address = match first(pptpd, b"listen") {
        Some(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
        None => Ipv4Addr::UNSPECIFIED,
    };
    Some(SocketAddr::from((address, 1723)))
}

/// What the options of a pppd of root leave no choice about. Nothing, where
/// they could not all be read.
pub fn required(pppd: &Settings) -> Required {
    let mut required = Required::default();
    if pppd.trouble.is_some() {
        return required;
    }
    let demanded = demanded(pppd);
    let mut foreign = false;
    for setting in &pppd.list {
        match &*setting.name {
            // One that speaks RADIUS may take key lengths away.
            b"plugin" => foreign |= !setting.value().ends_with(b"pptpd-logwtmp.so"),
            b"default-mru" | b"-mru" => required.mru = Some(1500),
            b"mru" => required.mru = None,
            _ => {}
        }
    }
    required.auth_method = match demanded.methods[..] {
        _ if !demanded.auth => Some(AuthMethod::None),
        [only] => Some(only),
        _ => None,
    };
    let mppe = demanded.mppe_40 || demanded.mppe_128;
    if !foreign && (demanded.ccp || !mppe) {
        required.encryption = match (demanded.mppe_40, demanded.mppe_128) {
            (false, false) => Some(Encryption::None),
            (true, false) => Some(Encryption::Mppe40),
            (false, true) => Some(Encryption::Mppe128),
            (true, true) => None,
        };
        // pppd itself always asks for stateless.
        required.stateless = (mppe && !demanded.stateful).then_some(true);
    }
    required
}

/// What a pppd of root demands of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demanded {
    /// That it proves who it is.
    pub auth: bool,
    /// By one of these methods; if there are none, by any.
    pub methods: Vec<AuthMethod>,
    /// That it encrypts, and may do so with 40 bit.
    pub mppe_40: bool,
    /// That it encrypts, and may do so with 128 bit.
    pub mppe_128: bool,
    /// Whether it may ask for stateful encryption.
    pub stateful: bool,
    /// Whether CCP, which negotiates the encryption, is spoken at all.
    pub ccp: bool,
}

/// What the options of a pppd of root demand, as far as they could be read.
pub fn demanded(pppd: &Settings) -> Demanded {
    let mut demanded = Demanded {
        auth: false,
        methods: Vec::new(),
        mppe_40: false,
        mppe_128: false,
        stateful: false,
        ccp: true,
    };
    for setting in &pppd.list {
        let method = match &*setting.name {
            b"require-pap" | b"+pap" => Some(AuthMethod::Pap),
            b"require-chap" | b"+chap" => Some(AuthMethod::ChapMd5),
            b"require-mschap" | b"+mschap" => Some(AuthMethod::MsChapV1),
            b"require-mschap-v2" | b"+mschap-v2" => Some(AuthMethod::MsChapV2),
            b"require-eap" => Some(AuthMethod::Eap),
            _ => None,
        };
        if let Some(method) = method {
            demanded.auth = true;
            if !demanded.methods.contains(&method) {
                demanded.methods.push(method);
            }
        }
        match &*setting.name {
            b"auth" => demanded.auth = true,
            b"noauth" => demanded.auth = false,
            b"require-mppe" | b"+mppe" => (demanded.mppe_40, demanded.mppe_128) = (true, true),
            b"nomppe" | b"-mppe" => (demanded.mppe_40, demanded.mppe_128) = (false, false),
            b"require-mppe-40" | b"+mppe-40" => demanded.mppe_40 = true,
            b"nomppe-40" | b"-mppe-40" => demanded.mppe_40 = false,
            b"require-mppe-128" | b"+mppe-128" => demanded.mppe_128 = true,
            b"nomppe-128" | b"-mppe-128" => demanded.mppe_128 = false,
            b"mppe-stateful" => demanded.stateful = true,
            b"nomppe-stateful" => demanded.stateful = false,
            // OpenWrt's pppd: mppe required,no40,no56,stateless.
            b"mppe" => {
                let has = |word: &[u8]| setting.value().split(|o| *o == b',').any(|w| w == word);
                demanded.mppe_40 = has(b"required") && !has(b"no40");
                demanded.mppe_128 = has(b"required") && !has(b"no128");
                demanded.stateful = !has(b"stateless");
            }
            b"noccp" | b"-ccp" => demanded.ccp = false,
            _ => {}
        }
    }
    demanded
}

/// The first setting of a name, which is the one that pptpd takes.
pub(crate) fn first<'a>(settings: &'a Settings, name: &[u8]) -> Option<&'a [u8]> {
    settings.list.iter().find(|setting| *setting.name == *name).map(Setting::value)
}

/// The number a text begins with, as atoi(3) has it.
pub(crate) fn leading_number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(text.len());
    number(&text[..end])
}

/// Addresses in a `localip` or `remoteip`, `most` at most: names, addresses,
/// and ranges in one of the four octets, with commas between. `None` for what
/// pptpd refuses to start with.
fn addresses(text: &[u8], most: u32) -> Option<u32> {
    let mut count = 0;
    for part in text.split(|octet| *octet == b',') {
        if count == most {
            break;
        }
        count += match range(part) {
            Some(size) => size?.min(most - count),
            None if is_address_or_name(part) => 1,
            None => return None,
        };
    }
    Some(count)
}

fn is_address_or_name(part: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(part) else { return false };
    text.parse::<Ipv4Addr>().is_ok()
        || text.contains(|letter: char| letter.is_ascii_alphabetic())
            && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// Size of a range; `Some(None)` if it is not a good one, `None` if it is
/// something else.
fn range(part: &[u8]) -> Option<Option<u32>> {
    let count = |wanted| part.iter().filter(|octet| **octet == wanted).count();
    let plain = part.iter().all(|octet| octet.is_ascii_digit() || b"-.".contains(octet));
    if !plain || count(b'-') != 1 || count(b'.') != 3 {
        return None;
    }
    let mut size = Some(1);
    for octet in part.split(|octet| *octet == b'.') {
        let mut ends = octet.split(|octet| *octet == b'-').map(number::<u8>);
        match (ends.next().flatten(), ends.next()) {
            (Some(lower), Some(Some(upper))) if lower <= upper => {
                size = size.map(|_| u32::from(upper - lower) + 1);
            }
            (Some(_), None) => {}
            _ => size = None,
        }
    }
    Some(size)
}

fn words_of(title: &[u8]) -> impl Iterator<Item = &[u8]> {
    title.strip_suffix(b"\0").unwrap_or(title).split(|octet| *octet == 0)
}

/// The command line of pptpd under the keywords of its file, as getopt_long(3)
/// takes it; `None` for options it does not know.
fn pptpd_arguments(title: &[u8]) -> Option<Vec<Setting>> {
    const LETTERS: &[(u8, &str, bool)] = &[
        (b'C', "connections", true),
        (b'D', "delegate", false),
        (b'V', "vrf", true),
        (b'b', "bcrelay", true),
        (b'c', "conf", true),
        (b'd', "debug", false),
        (b'e', "ppp", true),
        (b'f', "fg", false),
        (b'i', "noipparam", false),
        (b'l', "listen", true),
        (b'o', "option", true),
        (b'p', "pidfile", true),
        (b's', "speed", true),
        (b't', "stimeout", true),
        (b'w', "logwtmp", false),
    ];
    let mut list: Vec<Setting> = Vec::new();
    let mut words = words_of(title).skip(1).zip(1..);
    while let Some((word, line)) = words.next() {
        let mut give = |name: &str, argument: Option<&[u8]>| {
            // The last one wins, and stands where the first one is looked for.
            list.retain(|setting| *setting.name != *name.as_bytes());
            let arguments = argument.into_iter().map(Into::into).collect();
            list.push(Setting { name: name.as_bytes().into(), arguments, file: None, line });
        };
        if let Some(long) = word.strip_prefix(b"--") {
            let mut halves = long.splitn(2, |octet| *octet == b'=');
            let name = halves.next()?;
            let (_, name, takes) = LETTERS.iter().find(|(_, long, _)| long.as_bytes() == name)?;
            match (takes, halves.next()) {
                (true, Some(argument)) => give(name, Some(argument)),
                (true, None) => give(name, Some(words.next()?.0)),
                (false, _) => give(name, None),
            }
            continue;
        }
        let mut letters = word.strip_prefix(b"-")?;
        while let [letter, rest @ ..] = letters {
            let (_, name, takes) = LETTERS.iter().find(|(short, ..)| short == letter)?;
            letters = rest;
            if *takes {
                let argument = if rest.is_empty() { words.next()?.0 } else { rest };
                give(name, Some(argument));
                break;
            }
            give(name, None);
        }
    }
    Some(list)
}

fn parse_pptpd_conf(text: &[u8], file: &Arc<Path>) -> Vec<Setting> {
    let blank = |octet: &u8| *octet == b' ' || *octet == b'\t';
    let mut list = Vec::new();
    for (line, number) in text.split(|octet| *octet == b'\n').zip(1..) {
        if line.is_empty() || line.len() > LONGEST_LINE || line[0] == b'#' || blank(&line[0]) {
            continue;
        }
        let end = line.iter().rposition(|octet| !blank(octet)).map_or(0, |last| last + 1);
        let keyword = line[..end].iter().position(blank).unwrap_or(end);
        let value = &line[keyword..end];
        let value = &value[value.iter().position(|octet| !blank(octet)).unwrap_or(0)..];
        list.push(Setting {
            name: line[..keyword].into(),
            arguments: if value.is_empty() { Vec::new() } else { vec![value.into()] },
            file: Some(file.clone()),
            line: number,
        });
    }
    list
}

fn parse_pppd_file(text: &[u8], file: &Arc<Path>) -> Vec<Setting> {
    options(Words { text, at: 0, line: 1 }, Some(file))
}

/// Options on a command line of pppd.
fn of_title(title: &[u8]) -> Vec<Setting> {
    let words = words_of(title).skip(1).zip(1..).map(|(word, place)| (word.into(), place));
    options(words, None)
}

fn options(
    mut words: impl Iterator<Item = (Box<[u8]>, u32)>,
    file: Option<&Arc<Path>>,
) -> Vec<Setting> {
    let mut list = Vec::new();
    while let Some((name, line)) = words.next() {
        let takes = WITH_ARGUMENT.binary_search_by(|known| known.as_bytes().cmp(&name)).is_ok();
        let arguments = if takes { words.next().map(|(word, _)| word) } else { None };
        let arguments = arguments.into_iter().collect();
        list.push(Setting { name, arguments, file: file.cloned(), line });
    }
    list
}

/// Words of a file as pppd splits it, each with its line: blanks end a word
/// and `#` begins a comment, unless quoted or behind a backslash.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Words<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line = self.line.saturating_add(1);
        }
        self.at += 1;
    }

    /// Up to the word that comes next; false at the end.
    fn skip(&mut self) -> bool {
        let mut comment = false;
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => comment = false,
                _ if comment => {}
                b'#' => comment = true,
                b'\\' if self.text.get(self.at + 1) == Some(&b'\n') => self.step(),
                _ if !is_space(octet) => return true,
                _ => {}
            }
            self.step();
        }
        false
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Option<u8> {
        let octet = self.peek()?;
        let (base, most) = match octet {
            b'0'..=b'7' => (8, 3),
            b'x' => (16, 2),
            _ => {
                self.step();
                return match octet {
                    b'\n' => None,
                    b'a' => Some(7),
                    b'b' => Some(8),
                    b'f' => Some(12),
                    b'n' => Some(b'\n'),
                    b'r' => Some(b'\r'),
                    b's' => Some(b' '),
                    b't' => Some(b'\t'),
                    _ => Some(octet),
                };
            }
        };
        if base == 16 {
            self.step();
        }
        let mut value = 0_u32;
        for _ in 0..most {
            let digit = self.peek().and_then(|octet| char::from(octet).to_digit(base));
            let Some(digit) = digit else { break };
            value = value * base + digit;
            self.step();
        }
        Some(value as u8)
    }
}

impl Iterator for Words<'_> {
    type Item = (Box<[u8]>, u32);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.skip() {
            return None;
        }
        let line = self.line;
        let mut word = Vec::new();
        let mut quote = None;
        while let Some(octet) = self.peek() {
            let stored = match (octet, quote) {
                (b'\\', _) => {
                    self.step();
                    self.escaped()
                }
                (b'"' | b'\'', None) => {
                    quote = Some(octet);
                    self.step();
                    None
                }
                (_, Some(end)) if octet == end => {
                    quote = None;
                    self.step();
                    None
                }
                (_, None) if is_space(octet) || octet == b'#' => break,
                _ => {
                    self.step();
                    Some(octet)
                }
            };
            word.extend(stored.filter(|_| word.len() < LONGEST_WORD));
        }
        if word.is_empty() && self.peek().is_none() {
            return None;
        }
        // A string of C.
        word.truncate(word.iter().position(|octet| *octet == 0).unwrap_or(word.len()));
        Some((word.into(), line))
    }
}

fn is_space(octet: u8) -> bool {
    octet.is_ascii_whitespace() || octet == 0x0b
}

#[cfg(test)]
mod tests;
