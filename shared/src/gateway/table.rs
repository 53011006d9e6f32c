//! Sessions of one server as rows: compact, sorted by index, and persistent.
//!
//! A [`Table`] is a tree whose nodes are shared between versions. A clone is a
//! snapshot that costs one counter, and a change of one session copies one
//! leaf and the path to it. So whoever walks an old version is not disturbed,
//! and what did not change is there once.
//!
//! A row keeps what a [`Session`] says in 112 octets; its strings stand one
//! behind the other in their leaf. Strings beyond [`LONGEST`] are cut, and an
//! MTU beyond 65535 reads as that.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::session::{AuthMethod, Control, Encryption, Key, Quality, Session, State, Traffic};

/// Octets of a string that are kept: those of an SnmpAdminString.
pub const LONGEST: usize = 255;

/// Rows of a leaf, and children of a node. The strings of a full leaf are
/// below 2^16 octets together even if each is of the longest.
const FULL: usize = 50;

/// What is known of one session: what its source says, and what was seen over
/// time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the session on its server, from 1.
    pub index: u32,
    /// What the source says.
    pub session: Session,
    /// What was seen over time.
    pub watched: Watched,
}

/// What shows only when a session is looked at again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// When its counters began, from the start of whoever watches, in
    /// hundredths of a second modulo 2^32.
    pub began: u32,
    /// When the last octet was seen, seconds since 1970.
    pub active: Option<u32>,
    /// Times that it was negotiated again while open.
    pub renegotiations: u16,
    /// The furthest it ever came, at most [`State::Open`].
    pub furthest: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    key: Key,
    /// Milliseconds since 1970.
    start: u64,
    traffic: Traffic,
    index: u32,
    began: u32,
    active: u32,
    if_index: u32,
    rtt: u32,
    retransmits: u32,
    peer: Ipv4Addr,
    assigned: Ipv4Addr,
    known: u16,
    /// Where its strings begin in the leaf.
    text: u16,
    peer_port: u16,
    local_call_id: u16,
    peer_call_id: u16,
    local_mru: u16,
    remote_mru: u16,
    mtu: u16,
    renegotiations: u16,
    /// Octets of user, interface, accounting id, vendor, host.
    lengths: [u8; 5],
    state: State,
    auth_method: Option<AuthMethod>,
    encryption: Option<Encryption>,
    stateless: Option<bool>,
    furthest: State,
}

/// What a row may lack, by its bit in `known`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// [`RowRef::start`].
    Start,
    /// [`RowRef::traffic`].
    Traffic,
    /// [`Watched::active`].
    Active,
    /// [`RowRef::if_index`].
    IfIndex,
    /// [`RowRef::control`].
    Control,
    /// [`RowRef::peer`].
    Peer,
    /// [`RowRef::assigned`].
    Assigned,
    /// [`RowRef::peer_port`].
    PeerPort,
    /// [`RowRef::local_call_id`].
    LocalCallId,
    /// [`RowRef::peer_call_id`].
    PeerCallId,
    /// [`RowRef::local_mru`].
    LocalMru,
    /// [`RowRef::remote_mru`].
    RemoteMru,
    /// [`RowRef::mtu`].
    Mtu,
    /// [`RowRef::stateless`].
    Stateless,
    /// [`RowRef::quality`], any part of it.
    Quality,
}

impl Field {
    fn bit(self, there: bool) -> u16 {
        u16::from(there) << self as u16
    }
}

#[derive(Debug, Clone, Default)]
struct Leaf {
    rows: Vec<Row>,
    text: Vec<u8>,
    /// By index; few sessions have one.
    quality: Vec<(u32, Quality)>,
}

#[derive(Debug, Clone)]
struct Child {
    /// The lowest index below it.
    first: u32,
    /// What any row below it has.
    known: u16,
    node: Arc<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Leaf),
    /// Never empty, all of one depth.
    Inner(Vec<Child>),
}

/// Sessions by index.
#[derive(Debug, Clone)]
pub struct Table {
    root: Arc<Node>,
    length: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Leaf::default())), length: 0 }
    }
}

/// One session in a table.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    row: &'a Row,
    leaf: &'a Leaf,
}

impl Table {
    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The session with this index.
    pub fn get(&self, index: u32) -> Option<RowRef<'_>> {
        self.at_or_behind(index).filter(|row| row.index() == index)
    }

    /// The first session whose index is `index` or more.
    pub fn at_or_behind(&self, index: u32) -> Option<RowRef<'_>> {
        self.root.place(index, 0).map(|(leaf, at)| RowRef { row: &leaf.rows[at], leaf })
    }

    /// All sessions in the order of their index.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        self.from(0, None)
    }

    /// Those whose index is `index` or more, of these those that have `field`.
    /// Whole branches without it are passed over, so a field that no session
    /// has costs no search.
    pub fn from(&self, index: u32, field: Option<Field>) -> impl Iterator<Item = RowRef<'_>> {
        let wanted = field.map_or(0, |field| field.bit(true));
        let mut next = Some(index);
        let leaves = std::iter::from_fn(move || {
            let (leaf, at) = self.root.place(next?, wanted)?;
            next = leaf.rows.last()?.index.checked_add(1);
            Some((leaf, at))
        });
        leaves.flat_map(move |(leaf, at)| {
            let rows = leaf.rows[at..].iter().filter(move |row| row.known & wanted == wanted);
            rows.map(move |row| RowRef { row, leaf })
        })
    }

    /// Puts a session in, or in the place of the one with its index. Nothing
    /// is copied when that one says the same.
    pub fn put(&mut self, record: &Record) {
        if self.get(record.index).is_some_and(|row| row.says(record)) {
            return;
        }
        let (added, split) = put(&mut self.root, record);
        self.length += usize::from(added);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Inner(Vec::new())));
            self.root = Arc::new(Node::Inner([left, right].map(Child::new).into()));
        }
    }

    /// Takes a session out.
    pub fn remove(&mut self, index: u32) {
        if self.get(index).is_none() {
            return;
        }
        self.length -= 1;
        if remove(&mut self.root, index) {
            self.root = Table::default().root;
        }
    }
}

impl Child {
    fn new(node: Arc<Node>) -> Self {
        let (first, known) = node.summary();
        Self { first, known, node }
    }

    fn renew(&mut self) {
        (self.first, self.known) = self.node.summary();
    }
}

impl Node {
    /// The lowest index, and what any row has.
    fn summary(&self) -> (u32, u16) {
        match self {
            Self::Leaf(leaf) => (
                leaf.rows.first().map_or(0, |row| row.index),
                leaf.rows.iter().fold(0, |known, row| known | row.known),
            ),
            Self::Inner(children) => (
                children.first().map_or(0, |child| child.first),
                children.iter().fold(0, |known, child| known | child.known),
            ),
        }
    }

    /// Where the first row with `index` or more stands that has all of `wanted`.
    fn place(&self, index: u32, wanted: u16) -> Option<(&Leaf, usize)> {
        match self {
            Self::Leaf(leaf) => {
                let from = leaf.position(index);
                let mut rows = leaf.rows[from..].iter();
                let behind = rows.position(|row| row.known & wanted == wanted)?;
                Some((leaf, from + behind))
            }
            Self::Inner(children) => children[child_of(children, index)..]
                .iter()
                .filter(|child| child.known & wanted == wanted)
                .find_map(|child| child.node.place(index, wanted)),
        }
    }
}

/// The child below which `index` is, if it is anywhere. Most tables have few
/// gaps, so it is most often where it would be without any.
fn child_of(children: &[Child], index: u32) -> usize {
    let (Some(first), Some(last)) = (children.first(), children.last()) else { return 0 };
    let (low, high) = (first.first, last.first);
    if index <= low {
        return 0;
    }
    if index >= high {
        return children.len() - 1;
    }
    let (above, span) = (u64::from(index - low), u64::from(high - low));
    let guess = (above * (children.len() as u64 - 1) / span) as usize;
    let next = children.get(guess + 1).map_or(u32::MAX, |child| child.first);
    if children[guess].first <= index && index < next {
        return guess;
    }
    children.partition_point(|child| child.first <= index).saturating_sub(1)
}

/// Whether a row was added, and what does not fit into `node` any more.
fn put(node: &mut Arc<Node>, record: &Record) -> (bool, Option<Arc<Node>>) {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            let added = leaf.put(record);
            let right = added.and_then(|at| leaf.split(at));
            (added.is_some(), right.map(|right| Arc::new(Node::Leaf(right))))
        }
        Node::Inner(children) => {
            let at = child_of(children, record.index);
            let (added, split) = put(&mut children[at].node, record);
            children[at].renew();
            if let Some(right) = split {
                children.insert(at + 1, Child::new(right));
            }
            if children.len() <= FULL {
                return (added, None);
            }
            let right = children.split_off(split_point(children.len(), at + 1));
            (added, Some(Arc::new(Node::Inner(right))))
        }
    }
}

/// Whether `node` is empty now.
fn remove(node: &mut Arc<Node>, index: u32) -> bool {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            leaf.remove(index);
            leaf.rows.is_empty()
        }
        Node::Inner(children) => {
            let at = child_of(children, index);
            if remove(&mut children[at].node, index) {
                children.remove(at);
            } else {
                children[at].renew();
            }
            children.is_empty()
        }
    }
}

/// Where to cut what became too long by what was put in at `added`: new
/// sessions come at the end, and there what is full stays full.
fn split_point(length: usize, added: usize) -> usize {
    if added + 1 >= length { length - 1 } else { length / 2 }
}

/// In the order of [`Row::lengths`].
fn strings(session: &Session) -> [&[u8]; 5] {
    let Session { user, if_name, accounting_id, peer_vendor, peer_host, .. } = session;
    [user, if_name, accounting_id, peer_vendor, peer_host].map(|string| {
        let octets = string.as_deref().unwrap_or_default();
        &octets[..octets.len().min(LONGEST)]
    })
}

impl Leaf {
    /// Where the first row with `index` or more stands, or would.
    fn position(&self, index: u32) -> usize {
        let first = self.rows.first().map_or(0, |row| row.index);
        let guess = index.saturating_sub(first) as usize;
        match self.rows.get(guess) {
            Some(row) if row.index == index => guess,
            _ => self.rows.partition_point(|row| row.index < index),
        }
    }

    /// Where the row stands, if there was none with its index.
    fn put(&mut self, record: &Record) -> Option<usize> {
        let at = self.position(record.index);
        let there = self.rows.get(at).is_some_and(|row| row.index == record.index);
        if there {
            let old = self.rows[at];
            if (RowRef { row: &old, leaf: self }).strings() == strings(&record.session) {
                self.rows[at] = Row { text: old.text, ..Row::of(record) };
                self.put_quality(record);
                return None;
            }
            self.remove(record.index);
        }
        let row = Row { text: self.text.len() as u16, ..Row::of(record) };
        for string in strings(&record.session) {
            self.text.extend_from_slice(string);
        }
        if self.rows.capacity() == 0 {
            self.rows.reserve_exact(FULL + 1);
        }
        self.rows.insert(at, row);
        self.put_quality(record);
        (!there).then_some(at)
    }

    fn put_quality(&mut self, record: &Record) {
        self.quality.retain(|(index, _)| *index != record.index);
        if let Some(quality) = &record.session.quality {
            self.quality.push((record.index, **quality));
        }
    }

    fn remove(&mut self, index: u32) {
        let Ok(at) = self.rows.binary_search_by_key(&index, |row| row.index) else { return };
        let row = self.rows.remove(at);
        let from = usize::from(row.text);
        let octets = row.octets();
        self.text.drain(from..from + octets);
        for other in &mut self.rows {
            if other.text > row.text {
                other.text -= octets as u16;
            }
        }
        self.quality.retain(|(other, _)| *other != index);
    }

    /// What does not fit any more, after a row was added at `added`.
    fn split(&mut self, added: usize) -> Option<Leaf> {
        if self.rows.len() <= FULL {
            return None;
        }
        let at = split_point(self.rows.len(), added);
        let records: Vec<_> =
            self.rows[at..].iter().map(|row| RowRef { row, leaf: self }.record()).collect();
        let mut right = Leaf::default();
        for record in &records {
            right.put(record);
            self.remove(record.index);
        }
        // An exact copy: shrunk in place, each would leave a gap nobody fills.
        self.text = self.text.as_slice().into();
        Some(right)
    }
}

impl Row {
    /// The row without the place of its strings.
    fn of(record: &Record) -> Self {
        let Record { index, session, watched } = record;
        let start = session.start.and_then(|start| {
            let since = start.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            u64::try_from(since.as_millis()).ok()
        });
        let known = Field::Start.bit(start.is_some())
            | Field::Traffic.bit(session.traffic.is_some())
            | Field::Active.bit(watched.active.is_some())
            | Field::IfIndex.bit(session.if_index.is_some())
            | Field::Control.bit(session.control.is_some())
            | Field::Peer.bit(session.peer.is_some())
            | Field::Assigned.bit(session.assigned.is_some())
            | Field::PeerPort.bit(session.peer_port.is_some())
            | Field::LocalCallId.bit(session.local_call_id.is_some())
            | Field::PeerCallId.bit(session.peer_call_id.is_some())
            | Field::LocalMru.bit(session.local_mru.is_some())
            | Field::RemoteMru.bit(session.remote_mru.is_some())
            | Field::Mtu.bit(session.mtu.is_some())
            | Field::Stateless.bit(session.stateless.is_some())
            | Field::Quality.bit(session.quality.is_some());
        let control = session.control.unwrap_or(Control { rtt: 0, retransmits: 0 });
        Self {
            key: session.key,
            start: start.unwrap_or(0),
            traffic: session.traffic.unwrap_or_default(),
            index: *index,
            began: watched.began,
            active: watched.active.unwrap_or(0),
            if_index: session.if_index.unwrap_or(0),
            rtt: control.rtt,
            retransmits: control.retransmits,
            peer: session.peer.unwrap_or(Ipv4Addr::UNSPECIFIED),
            assigned: session.assigned.unwrap_or(Ipv4Addr::UNSPECIFIED),
            known,
            text: 0,
            peer_port: session.peer_port.unwrap_or(0),
            local_call_id: session.local_call_id.unwrap_or(0),
            peer_call_id: session.peer_call_id.unwrap_or(0),
            local_mru: session.local_mru.unwrap_or(0),
            remote_mru: session.remote_mru.unwrap_or(0),
            mtu: session.mtu.unwrap_or(0).try_into().unwrap_or(u16::MAX),
            renegotiations: watched.renegotiations,
            lengths: strings(session).map(|string| string.len() as u8),
            state: session.state,
            auth_method: session.auth_method,
            encryption: session.encryption,
            stateless: session.stateless,
            furthest: watched.furthest,
        }
    }

    fn octets(&self) -> usize {
        self.lengths.iter().map(|length| usize::from(*length)).sum()
    }
}

impl<'a> RowRef<'a> {
    /// Number of the session on its server.
    pub fn index(self) -> u32 {
        self.row.index
    }

    /// [`Session::key`].
    pub fn key(self) -> Key {
        self.row.key
    }

    /// [`Session::state`].
    pub fn state(self) -> State {
        self.row.state
    }

    /// [`Session::start`], to the millisecond.
    pub fn start(self) -> Option<SystemTime> {
        self.known(Field::Start, SystemTime::UNIX_EPOCH + Duration::from_millis(self.row.start))
    }

    /// [`Session::accounting_id`]; empty when not known, as all strings are.
    pub fn accounting_id(self) -> &'a [u8] {
        self.strings()[2]
    }

    /// [`Session::user`].
    pub fn user(self) -> &'a [u8] {
        self.strings()[0]
    }

    /// [`Session::if_name`].
    pub fn if_name(self) -> &'a [u8] {
        self.strings()[1]
    }

    /// [`Session::peer_vendor`].
    pub fn peer_vendor(self) -> &'a [u8] {
        self.strings()[3]
    }

    /// [`Session::peer_host`].
    pub fn peer_host(self) -> &'a [u8] {
        self.strings()[4]
    }

    /// [`Session::peer`].
    pub fn peer(self) -> Option<Ipv4Addr> {
        self.known(Field::Peer, self.row.peer)
    }

    /// [`Session::peer_port`].
    pub fn peer_port(self) -> Option<u16> {
        self.known(Field::PeerPort, self.row.peer_port)
    }

    /// [`Session::assigned`].
    pub fn assigned(self) -> Option<Ipv4Addr> {
        self.known(Field::Assigned, self.row.assigned)
    }

    /// [`Session::local_call_id`].
    pub fn local_call_id(self) -> Option<u16> {
        self.known(Field::LocalCallId, self.row.local_call_id)
    }

    /// [`Session::peer_call_id`].
    pub fn peer_call_id(self) -> Option<u16> {
        self.known(Field::PeerCallId, self.row.peer_call_id)
    }

    /// [`Session::if_index`].
    pub fn if_index(self) -> Option<u32> {
        self.known(Field::IfIndex, self.row.if_index)
    }

    /// [`Session::auth_method`].
    pub fn auth_method(self) -> Option<AuthMethod> {
        self.row.auth_method
    }

    /// [`Session::encryption`].
    pub fn encryption(self) -> Option<Encryption> {
        self.row.encryption
    }

    /// [`Session::stateless`].
    pub fn stateless(self) -> Option<bool> {
        self.row.stateless
    }

    /// [`Session::local_mru`].
    pub fn local_mru(self) -> Option<u16> {
        self.known(Field::LocalMru, self.row.local_mru)
    }

    /// [`Session::remote_mru`].
    pub fn remote_mru(self) -> Option<u16> {
        self.known(Field::RemoteMru, self.row.remote_mru)
    }

    /// [`Session::mtu`], at most 65535.
    pub fn mtu(self) -> Option<u16> {
        self.known(Field::Mtu, self.row.mtu)
    }

    /// [`Session::traffic`].
    pub fn traffic(self) -> Option<&'a Traffic> {
        self.known(Field::Traffic, &self.row.traffic)
    }

    /// [`Session::control`].
    pub fn control(self) -> Option<Control> {
        let Row { rtt, retransmits, .. } = *self.row;
        self.known(Field::Control, Control { rtt, retransmits })
    }

    /// [`Session::quality`].
    pub fn quality(self) -> Option<&'a Quality> {
        self.known(Field::Quality, ())?;
        let found = self.leaf.quality.iter().find(|(index, _)| *index == self.row.index);
        found.map(|(_, quality)| quality)
    }

    /// What was seen over time.
    pub fn watched(self) -> Watched {
        Watched {
            began: self.row.began,
            active: self.known(Field::Active, self.row.active),
            renegotiations: self.row.renegotiations,
            furthest: self.row.furthest,
        }
    }

    /// Everything, to be changed and put back.
    pub fn record(self) -> Record {
        let own = |string: &[u8]| (!string.is_empty()).then(|| string.into());
        let [user, if_name, accounting_id, peer_vendor, peer_host] = self.strings().map(own);
        let session = Session {
            key: self.row.key,
            state: self.row.state,
            start: self.start(),
            accounting_id,
            user,
            peer: self.peer(),
            peer_port: self.peer_port(),
            assigned: self.assigned(),
            local_call_id: self.local_call_id(),
            peer_call_id: self.peer_call_id(),
            if_name,
            if_index: self.if_index(),
            peer_vendor,
            peer_host,
            auth_method: self.row.auth_method,
            encryption: self.row.encryption,
            stateless: self.row.stateless,
            local_mru: self.local_mru(),
            remote_mru: self.remote_mru(),
            mtu: self.mtu().map(u32::from),
            traffic: self.traffic().copied(),
            control: self.control(),
            quality: self.quality().map(|quality| Box::new(*quality)),
        };
        Record { index: self.row.index, session, watched: self.watched() }
    }

    fn says(self, record: &Record) -> bool {
        *self.row == Row { text: self.row.text, ..Row::of(record) }
            && self.strings() == strings(&record.session)
            && self.quality() == record.session.quality.as_deref()
    }

    fn strings(self) -> [&'a [u8]; 5] {
        let mut rest = self.leaf.text.get(usize::from(self.row.text)..).unwrap_or_default();
        self.row.lengths.map(|length| {
            let (string, behind) = rest.split_at_checked(length.into()).unwrap_or_default();
            rest = behind;
            string
        })
    }

    fn known<T>(self, what: Field, value: T) -> Option<T> {
        (self.row.known & what.bit(true) != 0).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const WATCHED: Watched =
        Watched { began: 0, active: None, renegotiations: 0, furthest: State::Unknown };

    fn record(index: u32, user: &[u8], octets_in: u64) -> Record {
        let session = Session {
            user: (!user.is_empty()).then(|| user.into()),
            traffic: Some(Traffic { octets_in, ..Traffic::default() }),
            mtu: (octets_in == 2).then_some(1400),
            ..Session::new(Key::process(index, 1))
        };
        Record { index, session, watched: WATCHED }
    }

    fn full(index: u32) -> Record {
        let text = |text: &str| Some(text.as_bytes().into());
        let session = Session {
            key: Key::counted(u64::MAX),
            state: State::Open,
            start: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_250_602_120)),
            accounting_id: text("f3af85b1f15b8f44"),
            user: Some(b"p\xe4ss|w"[..].into()),
            peer: Some(Ipv4Addr::new(203, 0, 113, 7)),
            peer_port: Some(0),
            assigned: Some(Ipv4Addr::UNSPECIFIED),
            local_call_id: Some(0),
            peer_call_id: Some(65535),
            if_name: text("ppp0"),
            if_index: Some(3),
            peer_vendor: text("cananian"),
            peer_host: text("local"),
            auth_method: Some(AuthMethod::MsChapV2),
            encryption: Some(Encryption::Mppe128),
            stateless: Some(true),
            local_mru: Some(1500),
            remote_mru: Some(1400),
            mtu: Some(1396),
            traffic: Some(Traffic {
                octets_in: u64::MAX,
                octets_out: 1,
                packets_in: 2,
                packets_out: 3,
            }),
            control: Some(Control { rtt: 38_000, retransmits: 2 }),
            quality: Some(Box::new(Quality { gre_lost: Some(7), ..Quality::default() })),
        };
        let watched =
            Watched { began: 9, active: Some(0), renegotiations: 4, furthest: State::Open };
        Record { index, session, watched }
    }

    fn indices(table: &Table) -> Vec<u32> {
        table.iter().map(RowRef::index).collect()
    }

    #[test]
    fn row_is_as_small_as_it_is_said_to_be() {
        assert_eq!(size_of::<Row>(), 112);
    }

    #[test]
    fn everything_comes_back() {
        let mut table = Table::default();
        for record in [full(7), record(8, b"", 0)] {
            table.put(&record);
            assert_eq!(table.get(record.index).unwrap().record(), record);
        }
    }

    #[test]
    fn older_version_does_not_change() {
        let mut table = Table::default();
        for index in 1..=1000 {
            table.put(&record(index, b"alice", 1));
        }
        let old = table.clone();
        table.put(&record(500, b"mallory", 2));
        table.remove(1);
        assert_eq!(old.get(500).unwrap().user(), b"alice");
        assert_eq!((old.len(), table.len()), (1000, 999));
        assert_eq!(table.at_or_behind(1).unwrap().index(), 2);
    }

    #[test]
    fn change_of_one_session_copies_one_leaf() {
        fn leaves(node: &Node, out: &mut Vec<*const Row>) {
            match node {
                Node::Leaf(leaf) => out.push(leaf.rows.as_ptr()),
                Node::Inner(children) => {
                    children.iter().for_each(|child| leaves(&child.node, out));
                }
            }
        }
        let mut table = Table::default();
        for index in 1..=10_000 {
            table.put(&record(index, b"alice", 1));
        }
        let old = table.clone();
        table.put(&record(5000, b"alice", 1));
        let versions = [&old, &table].map(|table| {
            let mut out = Vec::new();
            leaves(&table.root, &mut out);
            out
        });
        assert_eq!(versions[0], versions[1], "the same row again copies nothing");
        table.put(&record(5000, b"alice", 2));
        let mut changed = Vec::new();
        leaves(&table.root, &mut changed);
        assert_eq!(changed.len(), 10_000 / FULL, "leaves that are filled in order are full");
        let differ = versions[0].iter().zip(&changed).filter(|(old, new)| old != new).count();
        assert_eq!(differ, 1);
    }

    #[test]
    fn strings_of_the_longest_fit_into_a_leaf() {
        let mut table = Table::default();
        let long = vec![0xff; 300];
        for index in 1..=200 {
            let mut record = record(index, &long, 0);
            record.session.peer_host = Some(long.clone().into());
            record.session.peer_vendor = Some(long.clone().into());
            record.session.accounting_id = Some(long.clone().into());
            record.session.if_name = Some(long.clone().into());
            table.put(&record);
        }
        assert!(
            table
                .iter()
                .all(|row| row.user() == &long[..LONGEST] && row.peer_host() == &long[..LONGEST])
        );
    }

    proptest! {
        #[test]
        fn table_is_a_sorted_map(steps in prop::collection::vec(
            (1..400_u32, prop::option::weighted(0.7, (prop::collection::vec(any::<u8>(), 0..20), 0..3_u64))), 0..1500))
        {
            let mut table = Table::default();
            let mut model = BTreeMap::new();
            for (index, what) in steps {
                match what {
                    Some((user, octets)) => {
                        let record = record(index, &user, octets);
                        table.put(&record);
                        model.insert(index, record);
                    }
                    None => {
                        table.remove(index);
                        model.remove(&index);
                    }
                }
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(indices(&table), model.keys().copied().collect::<Vec<_>>());
            for index in 0..=401 {
                let found = table.at_or_behind(index).map(RowRef::record);
                prop_assert_eq!(found.as_ref(), model.range(index..).next().map(|(_, record)| record));
                let found = table.from(index, Some(Field::Mtu)).map(RowRef::index);
                let behind = model.range(index..);
                let expected = behind.filter(|(_, record)| record.session.mtu.is_some());
                prop_assert!(found.eq(expected.map(|(index, _)| *index)));
            }
        }
    }
}
