//! Sessions of accel-ppp (1.10 to 1.14) by the command line that it offers
//! over TCP, and where that is, by `/etc/accel-ppp.conf`.
//!
//! Nothing marks the end of an answer, so an empty command follows each: its
//! `command unknown` ends it. A table has a line of names, a line of `-` with
//! a `+` between two columns, and rows as wide as that line. Values are not
//! quoted, and a user name may hold ` | ` and line breaks: only the width tells
//! where a row ends, only the places of `+` where a cell does. Blanks at the
//! end of a name cannot be told from those that fill its cell, and what is
//! beyond 127 octets of it is not shown.
//!
//! MPPE is known from the column `comp`: accel-ppp takes no other than 128 bit
//! and stateless. Interface numbers, Call IDs and the method are not told. The
//! daemon tells the load of the processor, not the time it used.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use super::accel_conf::{Part, parts};
use super::session::{
    Encryption, Key, Kind, OperStatus, Server, Session, Snapshot, Source, SourceState, State,
    Traffic,
};
use super::{Root, number};
use crate::secret::{Secret, in_words};

/// Octets of an answer: some 200,000 sessions.
const LARGEST: usize = 64 << 20;
/// Octets of what stands before the first row.
const LARGEST_HEAD: usize = 64 << 10;
/// Octets of the configuration.
const LARGEST_FILE: u64 = 1 << 20;
/// What the columns are called; 1.10 has no `uptime-raw`.
const COLUMNS: [&str; 13] = [
    "sid",
    "ifname",
    "username",
    "calling-sid",
    "ip",
    "type",
    "state",
    "comp",
    "uptime-raw",
    "rx-bytes-raw",
    "tx-bytes-raw",
    "rx-pkts",
    "tx-pkts",
];
/// Those without which there is nothing to tell.
const NEEDED: [&str; 3] = ["sid", "type", "state"];
/// The answer to an empty command.
const END: &[u8] = b"command unknown\r\n";

/// How to reach an accel-pppd, and what its configuration tells.
pub struct Access {
    /// Where its command line is (`[cli] tcp=`).
    pub address: SocketAddr,
    /// The password it wants (`[cli] password=`).
    pub password: Option<Secret>,
    /// Where it accepts control connections (`[pptp] bind=`, `port=`).
    pub listen: Option<SocketAddr>,
    /// Sessions it accepts at once, those of other protocols among them
    /// (`[common] max-sessions=`).
    pub maximum: Option<u32>,
}

/// How to reach the accel-pppd of this machine; `None` if there is none for
/// PPTP, or it offers no command line over TCP. What `$include` names is not
/// read.
pub fn access(root: &Root) -> Option<Access> {
    let text = Zeroizing::new(root.read("etc/accel-ppp.conf", LARGEST_FILE).ok()?);
    let options = parse_configuration(&text);
    let get = |section: &[u8], name: &[u8]| {
        let mut options = options.iter();
        options.find(|option| option.section == section && option.name == name)
    };
    let text = |section, name| std::str::from_utf8(get(section, name)?.value).ok();
    get(b"modules", b"pptp")?;
    let bind = text(b"pptp", b"bind").map_or(Some(Ipv4Addr::UNSPECIFIED), |bind| bind.parse().ok());
    let port = text(b"pptp", b"port").and_then(|port| port.parse().ok());
    Some(Access {
        address: parse_address(text(b"cli", b"tcp")?)?,
        password: get(b"cli", b"password").map(|password| Secret::new(password.value.to_vec())),
        listen: bind.map(|bind| SocketAddr::from((bind, port.unwrap_or(1723)))),
        maximum: text(b"common", b"max-sessions")
            .and_then(|most| most.parse().ok())
            .filter(|most| *most > 0),
    })
}

/// Asks a daemon once, until `deadline`; `now` is what its uptimes are
/// reckoned from. They are in seconds, so the start of a session may differ by
/// one from answer to answer: whoever keeps sessions keeps the first.
pub fn collect(access: &Access, now: SystemTime, deadline: Instant) -> Snapshot {
    let name = format!("accel-pppd's command line at {}", access.address);
    let asked = connect(access.address, deadline)
        .and_then(|mut stream| converse(&mut stream, access.password.as_ref(), LARGEST))
        .and_then(|answer| parse_answer(&answer, now));
    let (server, sessions, state) = match asked {
        Ok((server, sessions)) => {
            let server = Server { listen: access.listen, maximum: access.maximum, ..server };
            (server, sessions, SourceState::Ok)
        }
        Err(fault) => {
            let text = fault.sentence(access);
            let status = match fault {
                Fault::Unreachable(_) | Fault::Silent => OperStatus::Down,
                _ => OperStatus::Unknown,
            };
            let server =
                Server { status_text: text.clone(), ..Server::new(Kind::AccelPpp, status) };
            (server, Vec::new(), SourceState::Unreadable(text))
        }
    };
    Snapshot { server: Some(server), sessions, sources: vec![Source::needed(name, state)] }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Unreachable(String),
    Silent,
    ClosedAtOnce,
    Closed,
    TooLarge,
    Foreign(&'static str),
}

impl Fault {
    /// Of an error on a connection that gave `answer` so far.
    fn of(error: &io::Error, answer: &[u8]) -> Self {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Silent,
            _ if answer.is_empty() => Self::ClosedAtOnce,
            _ => Self::Closed,
        }
    }

    fn sentence(&self, access: &Access) -> String {
        let address = access.address;
        match self {
            Self::Unreachable(why) => format!("cannot connect to {address}: {why}"),
            Self::Silent => format!("no whole answer from {address} in time"),
            Self::ClosedAtOnce if access.password.is_some() => {
                format!("{address} hung up without an answer: the password is wrong")
            }
            Self::ClosedAtOnce => {
                format!("{address} hung up without an answer: it wants a password")
            }
            Self::Closed => format!("{address} hung up within its answer"),
            Self::TooLarge => format!("the answer of {address} is longer than 64 MiB"),
            Self::Foreign(what) => format!("{address} does not answer as accel-pppd: {what}"),
        }
    }
}

/// A connection on which nothing takes longer than the deadline.
struct Patient {
    stream: TcpStream,
    deadline: Instant,
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn connect(address: SocketAddr, deadline: Instant) -> Result<Patient, Fault> {
    let stream = left(deadline).and_then(|left| TcpStream::connect_timeout(&address, left));
    match stream {
        Ok(stream) => Ok(Patient { stream, deadline }),
        Err(error) if error.kind() == ErrorKind::TimedOut => Err(Fault::Silent),
        Err(error) => Err(Fault::Unreachable(in_words(&error))),
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks for `show stat` and the table, and again without the columns that the
/// daemon does not know. What comes back is whole, and has a table.
fn converse(
    stream: &mut (impl Read + Write),
    password: Option<&Secret>,
    largest: usize,
) -> Result<Vec<u8>, Fault> {
    let mut columns = COLUMNS.to_vec();
    let mut request = Zeroizing::new(Vec::with_capacity(8192));
    if let Some(password) = password {
        request.extend(password.expose());
        request.push(b'\n');
    }
    // To a daemon that wants no password it is a command.
    let mut stray = password.is_some();
    loop {
        request.extend(b"show stat\n\nshow sessions ");
        request.extend(columns.join(",").bytes());
        request.extend(b"\n\n");
        let mut answer = Vec::new();
        stream.write_all(&request).map_err(|error| Fault::of(&error, &answer))?;
        request.clear();
        let mut chunk = vec![0; 64 << 10];
        let unknown = loop {
            match stream.read(&mut chunk) {
                Ok(0) if answer.is_empty() => return Err(Fault::ClosedAtOnce),
                Ok(0) => return Err(Fault::Closed),
                Ok(read) => answer.extend(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::of(&error, &answer)),
            }
            if stray && answer.starts_with(END) {
                answer.drain(..END.len());
                stray = false;
            }
            if answer.len() > largest {
                return Err(Fault::TooLarge);
            }
            match progress(&answer)? {
                Progress::More => {}
                Progress::UnknownColumn(name) => break name.to_vec(),
                Progress::Whole(..) => return Ok(answer),
            }
        };
        let place = columns.iter().position(|column| column.as_bytes() == unknown);
        let Some(place) = place.filter(|place| !NEEDED.contains(&columns[*place])) else {
            return Err(Fault::Foreign("it does not know the columns"));
        };
        if columns[place] == "uptime-raw" {
            columns[place] = "uptime";
        } else {
            columns.remove(place);
        }
    }
}

/// How far an answer has come.
enum Progress<'a> {
    More,
    UnknownColumn(&'a [u8]),
    Whole(&'a [u8], Table<'a>),
}

struct Table<'a> {
    names: Vec<&'a [u8]>,
    /// Where each column begins and ends in a row.
    places: Vec<(usize, usize)>,
    width: usize,
    rows: &'a [u8],
}

fn progress(answer: &[u8]) -> Result<Progress<'_>, Fault> {
    let expected = b"uptime: ";
    let begun = answer.len().min(expected.len());
    if answer[..begun] != expected[..begun] {
        return Err(Fault::Foreign("it tells no uptime"));
    }
    let more = |part: &[u8]| match part.len() {
        0..LARGEST_HEAD => Ok(Progress::More),
        _ => Err(Fault::Foreign("it shows no table")),
    };
    let is_end = |at: &usize| answer[*at..].starts_with(END) && answer[*at - 1] == b'\n';
    let Some(end) = (1..answer.len().min(LARGEST_HEAD)).find(is_end) else { return more(answer) };
    let (status, rest) = (&answer[..end], &answer[end + END.len()..]);
    let Some((names, behind)) = line(rest) else { return more(rest) };
    if let Some(column) = names.strip_prefix(b"unknown column ") {
        let whole = behind == END;
        return Ok(if whole { Progress::UnknownColumn(column) } else { Progress::More });
    }
    let Some((ruler, rows)) = line(behind) else { return more(behind) };
    let width = ruler.len();
    if names.len() != width || !ruler.iter().all(|octet| b"-+".contains(octet)) {
        return Err(Fault::Foreign("it shows no table"));
    }
    let row = width + 2;
    // A row begins with a blank, so this is not one of them.
    match rows.strip_suffix(END).filter(|rows| rows.len() % row == 0) {
        Some(rows) => {
            let mut begin = 0;
            let places: Vec<_> = ruler
                .split(|octet| *octet == b'+')
                .map(|column| {
                    let place = (begin, begin + column.len());
                    begin = place.1 + 1;
                    place
                })
                .collect();
            let names = places.iter().map(|(from, to)| names[*from..*to].trim_ascii()).collect();
            Ok(Progress::Whole(status, Table { names, places, width, rows }))
        }
        None => Ok(Progress::More),
    }
}

fn parse_answer(answer: &[u8], now: SystemTime) -> Result<(Server, Vec<Session>), Fault> {
    let Progress::Whole(status, table) = progress(answer)? else { return Err(Fault::Closed) };
    let columns: HashMap<&[u8], usize> =
        table.names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    if !NEEDED.iter().all(|name| columns.contains_key(name.as_bytes())) {
        return Err(Fault::Foreign("it does not know the columns"));
    }
    let mut sessions = Vec::new();
    for row in table.rows.chunks_exact(table.width + 2) {
        let cells = cells(row, &table).ok_or(Fault::Foreign("a row is not like its table"))?;
        let cell = |name: &str| {
            let place = columns.get(name.as_bytes())?;
            Some(cells[*place]).filter(|cell| !cell.is_empty())
        };
        if cell("type") == Some(b"pptp") {
            let session = session(&cell, columns.contains_key(&b"comp"[..]), now);
            sessions.push(session.ok_or(Fault::Foreign("a session has no identifier"))?);
        }
    }
    sessions.sort_by_key(|session| session.key);
    sessions.dedup_by_key(|session| session.key);
    Ok((parse_status(status, now), sessions))
}

/// The values of a row, without the blanks around them.
fn cells<'a>(row: &'a [u8], table: &Table<'_>) -> Option<Vec<&'a [u8]>> {
    let row = row.strip_suffix(b"\r\n")?;
    table
        .places
        .iter()
        .map(|(from, to)| {
            if row.get(*to).is_some_and(|octet| *octet != b'|') {
                return None;
            }
            let cell = row.get(*from..*to)?.strip_prefix(b" ")?.strip_suffix(b" ")?;
            let end = cell.iter().rposition(|octet| *octet != b' ').map_or(0, |last| last + 1);
            Some(&cell[..end])
        })
        .collect()
}

fn session<'a>(
    cell: &impl Fn(&str) -> Option<&'a [u8]>,
    tells_compression: bool,
    now: SystemTime,
) -> Option<Session> {
    let sid = cell("sid")?;
    let key = u64::from_str_radix(std::str::from_utf8(sid).ok()?, 16).ok()?;
    let address = |name| std::str::from_utf8(cell(name)?).ok()?.parse().ok();
    let count = |name| number::<u64>(cell(name)?);
    let uptime = count("uptime-raw").map(Duration::from_secs).or_else(|| clock(cell("uptime")?));
    let state = match cell("state") {
        // There is a name behind authentication, an address in IPCP.
        Some(b"start") if cell("username").is_some() || cell("ip").is_some() => State::Ipcp,
        Some(b"start") => State::Lcp,
        Some(b"active") => State::Open,
        Some(b"finish") => State::Closing,
        _ => State::Unknown,
    };
    let traffic = || {
        Some(Traffic {
            octets_in: count("rx-bytes-raw")?,
            octets_out: count("tx-bytes-raw")?,
            packets_in: count("rx-pkts")?,
            packets_out: count("tx-pkts")?,
        })
    };
    let encryption = match cell("comp") {
        Some(b"mppe") => Some(Encryption::Mppe128),
        None if tells_compression && state == State::Open => Some(Encryption::None),
        _ => None,
    };
    Some(Session {
        state,
        start: uptime.and_then(|uptime| now.checked_sub(uptime)),
        accounting_id: Some(sid.into()),
        user: cell("username").map(Into::into),
        peer: address("calling-sid"),
        assigned: address("ip"),
        if_name: cell("ifname").map(Into::into),
        encryption,
        stateless: (encryption == Some(Encryption::Mppe128)).then_some(true),
        traffic: traffic(),
        ..Session::new(Key::counted(key))
    })
}

/// What `show stat` says.
fn parse_status(status: &[u8], now: SystemTime) -> Server {
    let find = |name: &[u8]| {
        let mut lines = status.split(|octet| *octet == b'\n');
        lines.find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    let resident = find(b"mem(rss/virt): ").and_then(|text| text.split(|o| *o == b'/').next());
    Server {
        start: find(b"uptime: ").and_then(clock).and_then(|uptime| now.checked_sub(uptime)),
        memory: resident.and_then(number::<u64>).and_then(|kib| kib.checked_mul(1024)),
        ..Server::new(Kind::AccelPpp, OperStatus::Up)
    }
}

/// `HH:MM:SS`, with days `D.HH:MM:SS`.
fn clock(text: &[u8]) -> Option<Duration> {
    let mut parts = text.split(|octet| *octet == b'.' || *octet == b':').rev().map(number::<u32>);
    let mut seconds = 0;
    for unit in [1_u64, 60, 3600, 86_400] {
        match parts.next() {
            Some(part) => seconds += unit * u64::from(part?),
            None if unit == 86_400 => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(Duration::from_secs(seconds))
}

/// The text up to the next end of a line, and what stands behind.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.windows(2).position(|window| window == b"\r\n")?;
    Some((&text[..end], &text[end + 2..]))
}

/// An option of the configuration.
struct Entry<'a> {
    section: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

/// All options, the first of a name being the one that counts; not those in
/// braces, which belong to another.
fn parse_configuration(text: &[u8]) -> Vec<Entry<'_>> {
    let mut section = &b""[..];
    let option = |(_, part)| match part {
        Part::Section(name) => {
            section = name;
            None
        }
        Part::Option(name, value) => {
            Some(Entry { section, name, value: value.unwrap_or_default() })
        }
        Part::Include(_) | Part::Inner(_) => None,
    };
    parts(text).filter_map(option).collect()
}

/// `HOST:PORT`, without a host any address of this machine.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = if bare.is_empty() { Ipv4Addr::UNSPECIFIED.into() } else { bare.parse().ok()? };
    let host = match host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    Some(SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::TcpListener;
    use std::thread;

    use super::super::scratch::Scratch;
    use super::*;

    macro_rules! fixture {
        ($situation:literal) => {
            (
                &include_bytes!(concat!(
                    "../../../tests/fixtures/gateway/accel-ppp-",
                    $situation,
                    "/cli/show-stat.txt"
                ))[..],
                &include_bytes!(concat!(
                    "../../../tests/fixtures/gateway/accel-ppp-",
                    $situation,
                    "/cli/show-sessions.txt"
                ))[..],
            )
        };
    }

    fn answer((status, table): (&[u8], &[u8])) -> Vec<u8> {
        [status, END, table, END].concat()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    fn ago(seconds: u64) -> Option<SystemTime> {
        Some(now() - Duration::from_secs(seconds))
    }

    fn parsed(situation: (&[u8], &[u8])) -> (Server, Vec<Session>) {
        parse_answer(&answer(situation), now()).unwrap()
    }

    fn fault(answer: &[u8]) -> Fault {
        parse_answer(answer, now()).unwrap_err()
    }

    /// A daemon that says this, one element to each read, and then hangs up.
    struct Script {
        said: VecDeque<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Script {
        fn new(said: impl IntoIterator<Item = Vec<u8>>) -> Self {
            Self { said: said.into_iter().collect(), heard: Vec::new() }
        }
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(said) = self.said.pop_front() else { return Ok(0) };
            buffer[..said.len()].copy_from_slice(&said);
            Ok(said.len())
        }
    }

    impl Write for Script {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.heard.extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn at(address: SocketAddr, password: Option<&str>) -> Access {
        let password = password.map(|password| Secret::new(password.into()));
        Access { address, password, listen: None, maximum: None }
    }

    #[test]
    fn sessions_are_told_whatever_their_users_are_called() {
        let (server, sessions) = parsed(fixture!("odd-names"));
        assert_eq!(server.status, OperStatus::Up);
        assert!(server.memory.is_some_and(|memory| memory % 4096 == 0));
        assert_eq!(sessions.len(), 5);
        let first = Session {
            state: State::Open,
            start: ago(26),
            accounting_id: Some(b"f3af85b1f15b8f44"[..].into()),
            user: Some(b"probe"[..].into()),
            peer: Some(Ipv4Addr::new(10, 78, 0, 3)),
            assigned: Some(Ipv4Addr::new(192, 168, 78, 10)),
            if_name: Some(b"ppp0"[..].into()),
            encryption: Some(Encryption::Mppe128),
            stateless: Some(true),
            traffic: Some(Traffic {
                octets_in: 1_090_057,
                octets_out: 1_090_562,
                packets_in: 842,
                packets_out: 841,
            }),
            ..Session::new(Key::counted(0xf3af_85b1_f15b_8f44))
        };
        assert_eq!(sessions[0], first);
        assert_eq!(sessions[4].user.as_deref(), Some(&b"eve | pipe"[..]));
        assert_eq!(sessions[4].assigned, Some(Ipv4Addr::new(192, 168, 78, 12)));
        let starting = &sessions[3];
        assert_eq!((starting.state, &starting.user, &starting.if_name), (State::Lcp, &None, &None));
        assert_eq!(starting.encryption, None);
    }

    #[test]
    fn states_are_those_of_the_daemon() {
        let states = |situation| {
            let (_, sessions) = parsed(situation);
            sessions.iter().map(|session| session.state).collect::<Vec<_>>()
        };
        use State::{Closing, Ipcp, Lcp, Open};
        assert_eq!(states(fixture!("finishing")), [Open, Closing, Open, Lcp, Open]);
        assert_eq!(states(fixture!("starting")), [Ipcp]);
        assert_eq!(states(fixture!("idle")), []);
    }

    #[test]
    fn other_protocols_are_passed_over_and_no_mppe_is_said() {
        let (status, table) = fixture!("odd-names");
        let table = String::from_utf8(table.to_vec()).unwrap();
        let table = table.replacen("pptp", "l2tp", 1).replacen(" mppe ", "      ", 2);
        let (_, sessions) = parsed((status, table.as_bytes()));
        assert_eq!(sessions.len(), 4);
        assert_eq!(sessions[0].user.as_deref(), Some(&b"alice"[..]));
        assert_eq!(sessions[0].encryption, Some(Encryption::None));
        assert_eq!(sessions[0].stateless, None);
    }

    #[test]
    fn name_with_line_breaks_forges_no_row() {
        let (status, _) = fixture!("idle");
        let name = "x\r\n 2   | pptp | active | y\r\ncommand unknown\r\n";
        let width = name.len();
        let table = [
            format!(" sid | type | state  | {:width$} ", "username"),
            format!("-----+------+--------+-{}-", "-".repeat(width)),
            format!(" 1   | pptp | active | {name} "),
            format!(" 3   | pptp | start  | {:width$} ", "z"),
            String::new(),
        ]
        .join("\r\n");
        let (_, sessions) = parsed((status, table.as_bytes()));
        let users: Vec<_> = sessions.iter().map(|session| session.user.as_deref()).collect();
        assert_eq!(users, [Some(name.as_bytes()), Some(b"z")]);
        assert_eq!(sessions[0].key, Key::counted(1));
        assert_eq!(sessions[1].key, Key::counted(3));
        let whole = answer((status, table.as_bytes()));
        for cut in 0..whole.len() {
            assert!(matches!(progress(&whole[..cut]), Ok(Progress::More)), "{cut}");
        }
    }

    #[test]
    fn name_need_not_be_utf8() {
        let (status, table) = fixture!("odd-names");
        let mut table = table.to_vec();
        let at = table.windows(5).position(|window| window == b"alice").unwrap();
        table[at..at + 5].copy_from_slice(b"\xff\xfe |\x01");
        let (_, sessions) = parsed((status, &table));
        assert_eq!(sessions[1].user.as_deref(), Some(&b"\xff\xfe |\x01"[..]));
    }

    #[test]
    fn every_prefix_waits_for_more() {
        let whole = answer(fixture!("odd-names"));
        for cut in 0..whole.len() {
            assert!(matches!(progress(&whole[..cut]), Ok(Progress::More)), "{cut}");
        }
        assert!(matches!(progress(&whole), Ok(Progress::Whole(..))));
    }

    #[test]
    fn what_is_no_answer_is_foreign() {
        let (status, table) = fixture!("odd-names");
        assert_eq!(fault(b"HTTP/1.1 400 Bad Request\r\n"), Fault::Foreign("it tells no uptime"));
        let endless = [b"uptime: ", &[b'x'; LARGEST_HEAD][..]].concat();
        assert_eq!(fault(&endless), Fault::Foreign("it shows no table"));
        let endless = [status, END, &[b'x'; LARGEST_HEAD]].concat();
        assert_eq!(fault(&endless), Fault::Foreign("it shows no table"));
        assert_eq!(
            fault(&answer((status, b"syntax error\r\nsyntax error\r\n"))),
            Fault::Foreign("it shows no table")
        );
        assert_eq!(
            fault(&answer((status, b" sid | type \r\n-----+------\r\n"))),
            Fault::Foreign("it does not know the columns")
        );
        let moved = String::from_utf8(table.to_vec()).unwrap().replacen("ppp1   |", "ppp1 |  ", 1);
        assert_eq!(
            fault(&answer((status, moved.as_bytes()))),
            Fault::Foreign("a row is not like its table")
        );
        let unnamed = String::from_utf8(table.to_vec())
            .unwrap()
            .replace("f3af85b1f15b8f45", "none            ");
        assert_eq!(
            fault(&answer((status, unnamed.as_bytes()))),
            Fault::Foreign("a session has no identifier")
        );
    }

    #[test]
    fn password_goes_first_and_octets_may_come_one_by_one() {
        let whole = answer(fixture!("odd-names"));
        let mut script = Script::new(whole.iter().map(|octet| vec![*octet]));
        let password = Secret::new(b"secret-cli".to_vec());
        let seen = converse(&mut script, Some(&password), LARGEST);
        assert_eq!(seen, Ok(whole));
        assert_eq!(
            script.heard,
            b"secret-cli\nshow stat\n\nshow sessions sid,ifname,username,calling-sid,ip,type,state,\
              comp,uptime-raw,rx-bytes-raw,tx-bytes-raw,rx-pkts,tx-pkts\n\n"
        );
    }

    #[test]
    fn needless_password_does_no_harm() {
        let whole = answer(fixture!("idle"));
        let mut script = Script::new([END.to_vec(), whole.clone()]);
        let password = Secret::new(b"secret-cli".to_vec());
        assert_eq!(converse(&mut script, Some(&password), LARGEST), Ok(whole));
    }

    #[test]
    fn columns_that_an_old_daemon_lacks_are_left_out() {
        let (status, table) = fixture!("odd-names");
        let unknown =
            |name: &str| answer((status, format!("unknown column {name}\r\n").as_bytes()));
        let old = String::from_utf8(table.to_vec()).unwrap().replace("uptime-raw", "something ");
        let old = answer((status, old.as_bytes()));
        let mut script = Script::new([unknown("uptime-raw"), unknown("comp"), old.clone()]);
        let seen = converse(&mut script, None, LARGEST);
        assert_eq!(seen.as_ref(), Ok(&old));
        let heard = String::from_utf8(script.heard).unwrap();
        let last = heard.trim_end().lines().last();
        assert_eq!(
            last,
            Some(
                "show sessions sid,ifname,username,calling-sid,ip,type,state,uptime,rx-bytes-raw,\
                 tx-bytes-raw,rx-pkts,tx-pkts"
            )
        );
        let (_, sessions) = parse_answer(&old, now()).unwrap();
        assert_eq!(sessions[0].start, ago(26));
        for needed in ["sid", "type", "nonsense"] {
            let seen = converse(&mut Script::new([unknown(needed)]), None, LARGEST);
            assert_eq!(seen, Err(Fault::Foreign("it does not know the columns")));
        }
    }

    #[test]
    fn daemon_that_hangs_up_is_told_from_one_that_sends_too_much() {
        let whole = answer(fixture!("odd-names"));
        let seen =
            |said: &[u8], largest| converse(&mut Script::new([said.to_vec()]), None, largest);
        assert_eq!(seen(b"", LARGEST), Err(Fault::ClosedAtOnce));
        assert_eq!(seen(&whole[..whole.len() - 1], LARGEST), Err(Fault::Closed));
        assert_eq!(seen(&whole, whole.len() - 1), Err(Fault::TooLarge));
        assert!(seen(&whole, whole.len()).is_ok());
    }

    #[test]
    fn wrong_password_is_said_without_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let daemon = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let seen = collect(&at(address, Some("hush")), now(), deadline);
        daemon.join().unwrap();
        let text = format!("{address} hung up without an answer: the password is wrong");
        let server = seen.server.unwrap();
        assert_eq!((server.status, &server.status_text), (OperStatus::Unknown, &text));
        assert_eq!(seen.sources[0].state, SourceState::Unreadable(text));
        assert!(seen.sources[0].needed && seen.sources[0].name.contains(&address.to_string()));
        assert!(seen.sessions.is_empty());
    }

    #[test]
    fn real_answer_over_tcp_is_a_snapshot() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let daemon = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(&answer(fixture!("finishing"))).unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let access = Access { maximum: Some(1000), ..at(address, None) };
        let seen = collect(&access, now(), deadline);
        daemon.join().unwrap();
        assert_eq!(seen.sources[0].state, SourceState::Ok);
        assert_eq!(seen.sessions.len(), 5);
        assert_eq!(seen.server.and_then(|server| server.maximum), Some(1000));
    }

    #[test]
    fn nobody_at_the_address_is_a_server_that_is_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let text = |deadline| {
            let server = collect(&at(address, None), now(), deadline).server.unwrap();
            assert_eq!(server.status, OperStatus::Down);
            server.status_text
        };
        let soon = Instant::now();
        assert_eq!(text(soon), format!("no whole answer from {address} in time"));
        drop(listener);
        let refused = text(soon + Duration::from_secs(60));
        assert_eq!(refused, format!("cannot connect to {address}: Connection refused"));
    }

    #[test]
    fn real_configuration_tells_where_to_ask() {
        let found = access(&Scratch::of("accel-ppp-odd-names").root()).unwrap();
        assert_eq!(found.address, SocketAddr::from(([127, 0, 0, 1], 2001)));
        assert!(found.password.is_none());
        assert_eq!(found.listen, Some(SocketAddr::from(([0, 0, 0, 0], 1723))));
        assert_eq!(found.maximum, None);
        assert!(access(&Scratch::of("poptop-idle").root()).is_none());
    }

    #[test]
    fn configuration_is_read_as_the_daemon_does() {
        let scratch = Scratch::of("accel-ppp-odd-names");
        let found = |text: &str| {
            scratch.change("etc/accel-ppp.conf", |file| *file = text.as_bytes().to_vec());
            access(&scratch.root())
        };
        let found_all = found(
            "[modules]\n\tpptp\n[common]\nmax-sessions = 50\n[cli]\n # tcp=10.0.0.9:1\n\
             tcp = 10.0.0.1:2001 \ntcp=10.0.0.2:1\n[pptp]\nbind=10.0.0.7\nport=1724\n\
             [cli]\npassword= a b#c \n",
        );
        let found_all = found_all.unwrap();
        assert_eq!(found_all.address, SocketAddr::from(([10, 0, 0, 1], 2001)));
        assert_eq!(
            found_all.password.map(|secret| secret.expose().to_vec()),
            Some(b"a b#c".to_vec())
        );
        assert_eq!(found_all.listen, Some(SocketAddr::from(([10, 0, 0, 7], 1724))));
        assert_eq!(found_all.maximum, Some(50));
        for (tcp, address) in [
            (":2001", Some("127.0.0.1:2001")),
            ("0.0.0.0:2001", Some("127.0.0.1:2001")),
            ("[::]:2001", Some("[::1]:2001")),
            ("[2001:db8::1]:2001", Some("[2001:db8::1]:2001")),
            ("2001", None),
            ("host.example:2001", None),
            ("127.0.0.1:0", None),
        ] {
            let found = found(&format!("[modules]\npptp\n[cli]\ntcp={tcp}\n"));
            assert_eq!(found.map(|found| found.address.to_string()).as_deref(), address, "{tcp}");
        }
        assert!(found("[modules]\npppoe\n[cli]\ntcp=127.0.0.1:2001\n").is_none());
        assert!(found("[modules]\npptp\n[cli]\ntelnet=127.0.0.1:2000\n").is_none());
        let braces = "[modules]\npptp\n[cli]\nother=x {\ntcp=10.0.0.1:1\n}\ntcp=10.0.0.2:2\n";
        assert_eq!(found(braces).unwrap().address, SocketAddr::from(([10, 0, 0, 2], 2)));
    }

    #[test]
    fn clocks_have_days_or_not() {
        let seconds = |text: &[u8]| clock(text).map(|clock| clock.as_secs());
        assert_eq!(seconds(b"00:00:26"), Some(26));
        assert_eq!(seconds(b"23:59:59"), Some(86_399));
        assert_eq!(seconds(b"12.01:02:03"), Some(12 * 86_400 + 3723));
        for text in
            [&b""[..], b"26", b"00:26", b"1.1.00:00:00", b"a:00:00", b"99999999999.00:00:00"]
        {
            assert_eq!(seconds(text), None, "{}", text.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..2000) {
            let _ = parse_answer(&octets, now());
            let _ = parse_configuration(&octets);
            let _ = clock(&octets);
            let mut whole = answer(fixture!("odd-names"));
            for (old, new) in whole[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = parse_answer(&whole, now());
        }
    }
}
