//! Notifications: which there are, what each carries, and how many of a kind
//! go out.
//!
//! Whoever sees that something happened raises an [`Alarm`] with a row; the
//! objects of its notification are read from that row when it goes out. The
//! end of a session brings its row along. Of each kind only so many go out in a window. The rest are counted, and when the
//! window is over a notification says how many there were.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::agentx::pdu::VarBind;
use crate::facts::{HistoryRow, Live};
use crate::mib_text::Base;
use crate::oid::Oid;
use crate::served::{Served, history};
use crate::value::{Octets, Value};
use crate::view::View;

/// The notifications by their number in the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A server's status became down.
    ServerDown = 1,
    /// It is up or degraded again.
    ServerUp,
    /// A session became open.
    SessionUp,
    /// A session ended.
    SessionDown,
    /// A user's sessions end and begin again.
    SessionFlapping,
    /// Too many logins were rejected.
    AuthFailureRateExceeded,
    /// Not any more.
    AuthFailureRateCleared,
    /// Nearly as many sessions as a server takes.
    CapacityExceeded,
    /// Not any more.
    CapacityCleared,
    /// A RADIUS server's status became down.
    RadiusDown,
    /// It answers again.
    RadiusUp,
    /// A probe became critical.
    ProbeFailed,
    /// It is well again.
    ProbeRecovered,
    /// The data of a server could not be refreshed.
    DataStale,
    /// It could.
    DataFresh,
    /// More of one kind than its rate allows.
    NotificationsSuppressed,
}

/// What a notification carries: a column of a table, or one of the objects
/// that exist in notifications only.
#[derive(Debug, Clone, Copy)]
enum Object {
    /// Number of the table, column, and the type it has where the row says
    /// nothing.
    Cell(u32, u32, Base),
    Count,
    Limit,
    Window,
    SessionsLimit,
    KindName,
    Text,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ServerDown,
        Self::ServerUp,
        Self::SessionUp,
        Self::SessionDown,
        Self::SessionFlapping,
        Self::AuthFailureRateExceeded,
        Self::AuthFailureRateCleared,
        Self::CapacityExceeded,
        Self::CapacityCleared,
        Self::RadiusDown,
        Self::RadiusUp,
        Self::ProbeFailed,
        Self::ProbeRecovered,
        Self::DataStale,
        Self::DataFresh,
        Self::NotificationsSuppressed,
    ];

    /// Its word in the configuration and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServerDown => "server_down",
            Self::ServerUp => "server_up",
            Self::SessionUp => "session_up",
            Self::SessionDown => "session_down",
            Self::SessionFlapping => "session_flapping",
            Self::AuthFailureRateExceeded => "auth_failure_rate_exceeded",
            Self::AuthFailureRateCleared => "auth_failure_rate_cleared",
            Self::CapacityExceeded => "capacity_exceeded",
            Self::CapacityCleared => "capacity_cleared",
            Self::RadiusDown => "radius_down",
            Self::RadiusUp => "radius_up",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeRecovered => "probe_recovered",
            Self::DataStale => "data_stale",
            Self::DataFresh => "data_fresh",
            Self::NotificationsSuppressed => "notifications_suppressed",
        }
    }

    /// Its name in the MIB.
    pub fn descriptor(self) -> String {
        let label = crate::label(self.word());
        format!("pptp{}{}", label[..1].to_ascii_uppercase(), &label[1..])
    }

    fn objects(self) -> &'static [Object] {
        use Base::{Gauge32, Integer, Octets};
        use Object::{Cell, Count, KindName, Limit, SessionsLimit, Text, Window};
        const NAME: Object = Cell(2, 2, Octets);
        const KIND: Object = Cell(2, 3, Integer);
        match self {
            Self::ServerDown => &[NAME, KIND, Cell(2, 7, Integer), Cell(2, 8, Octets), Text],
            Self::ServerUp => &[NAME, KIND, Cell(2, 7, Integer), Text],
            Self::SessionUp => &[
                Cell(3, 3, Octets),
                Cell(3, 8, Integer),
                Cell(3, 9, Octets),
                Cell(3, 11, Integer),
                Cell(3, 12, Octets),
                Cell(3, 19, Integer),
                Cell(3, 20, Integer),
                Cell(3, 16, Octets),
            ],
            Self::SessionDown => &[
                Cell(4, 4, Octets),
                Cell(4, 5, Integer),
                Cell(4, 6, Octets),
                Cell(4, 7, Integer),
                Cell(4, 8, Octets),
                Cell(4, 11, Gauge32),
                Cell(4, 14, Integer),
                Cell(4, 15, Integer),
                Cell(4, 16, Octets),
            ],
            Self::SessionFlapping => &[Cell(5, 2, Octets), Count, Limit, Window, Text],
            Self::AuthFailureRateExceeded => &[NAME, KIND, Count, Limit, Window, Text],
            Self::AuthFailureRateCleared => &[NAME, KIND, Count, Limit, Window],
            Self::CapacityExceeded => {
                &[NAME, KIND, Cell(2, 12, Gauge32), Cell(2, 15, Gauge32), SessionsLimit, Text]
            }
            Self::CapacityCleared => {
                &[NAME, KIND, Cell(2, 12, Gauge32), Cell(2, 15, Gauge32), SessionsLimit]
            }
            Self::RadiusDown => &[
                Cell(10, 2, Octets),
                Cell(10, 3, Integer),
                Cell(10, 7, Integer),
                Cell(10, 8, Integer),
                Text,
            ],
            Self::RadiusUp => &[
                Cell(10, 2, Octets),
                Cell(10, 3, Integer),
                Cell(10, 7, Integer),
                Cell(10, 9, Gauge32),
            ],
            Self::ProbeFailed => &[
                Cell(8, 2, Octets),
                Cell(8, 3, Octets),
                Cell(8, 8, Integer),
                Cell(8, 9, Integer),
                Cell(8, 10, Integer),
                Cell(8, 11, Octets),
            ],
            Self::ProbeRecovered => {
                &[Cell(8, 2, Octets), Cell(8, 3, Octets), Cell(8, 8, Integer), Cell(8, 12, Gauge32)]
            }
            Self::DataStale => &[NAME, KIND, Cell(2, 31, Gauge32), Cell(2, 33, Octets)],
            Self::DataFresh => &[NAME, KIND, Cell(2, 31, Gauge32)],
            Self::NotificationsSuppressed => &[KindName, Count, Limit, Window],
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What.
    pub kind: Kind,
    /// Index of the row that it is about.
    pub row: Vec<u32>,
    /// The session that ended: its row may be gone from the history again.
    pub ended: Option<Arc<HistoryRow>>,
    /// How often it happened.
    pub count: u32,
    /// How often it may.
    pub limit: u32,
    /// In which time.
    pub window: Duration,
    /// The notification that was suppressed.
    pub suppressed: Option<Kind>,
    /// What happened and what to do first, for a person.
    pub text: String,
}

impl Alarm {
    /// One that is told by its row and a sentence.
    pub fn new(kind: Kind, row: impl Into<Vec<u32>>, text: impl Into<String>) -> Self {
        Self {
            kind,
            row: row.into(),
            ended: None,
            count: 0,
            limit: 0,
            window: Duration::ZERO,
            suppressed: None,
            text: text.into(),
        }
    }

    /// Its name and its objects, without sysUpTime.0 and snmpTrapOID.0.
    pub fn notification(&self, served: &Served<'_>) -> (Oid, Vec<VarBind<'static>>) {
        let name = |ids: &[u32]| {
            let mut name = served.root.clone();
            // Only an operator's root of over a hundred arcs leaves no room.
            let _ = name.append(ids);
            name
        };
        let only = |number, value| VarBind { name: name(&[1, 12, number, 0]), value };
        let seconds = u32::try_from(self.window.as_secs()).unwrap_or(u32::MAX);
        let octets = |text: &str| {
            let cut = text.floor_char_boundary(255);
            Value::OctetString(Octets::copy(&text.as_bytes()[..cut]))
        };
        let objects = self.kind.objects().iter().map(|object| match *object {
            Object::Cell(table, column, base) => {
                let mut cell = name(&[1, table, 1, column]);
                let _ = cell.append(&self.row);
                let value = match &self.ended {
                    Some(row) => history(row, column).unwrap_or(Value::NoSuchInstance),
                    None => served.get(&cell),
                };
                let value = match (value.into_owned(), base) {
                    (Value::NoSuchInstance | Value::NoSuchObject, Base::Octets) => octets(""),
                    (Value::NoSuchInstance | Value::NoSuchObject, Base::Gauge32) => {
                        Value::Gauge32(0)
                    }
                    (Value::NoSuchInstance | Value::NoSuchObject, _) => {
                        Value::Integer(unknown(table, column))
                    }
                    (value, _) => value,
                };
                VarBind { name: cell, value }
            }
            Object::Count => only(1, Value::Gauge32(self.count)),
            Object::Limit => only(2, Value::Gauge32(self.limit)),
            Object::Window => only(3, Value::Gauge32(seconds)),
            Object::SessionsLimit => only(4, Value::Gauge32(self.limit)),
            Object::KindName => {
                only(5, octets(&self.suppressed.map(Kind::descriptor).unwrap_or_default()))
            }
            Object::Text => only(6, octets(&self.text)),
        });
        (name(&[0, self.kind as u32]), objects.collect())
    }
}

/// What says that nothing is known in a column of an enumeration.
fn unknown(table: u32, column: u32) -> i32 {
    match (table, column) {
        // InetAddressType.
        (3, 8 | 11) | (4, 5 | 7) => 0,
        // PptpTerminateCause.
        (4, 14) => 101,
        // PptpOperStatus, PptpResult.
        (2 | 10, 7) | (8, 8) => 4,
        _ => 1,
    }
}

/// How many notifications go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Of one kind in a window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// Kinds that do not go out at all.
    pub off: BTreeSet<Kind>,
}

/// Lets alarms pass up to their rate.
#[derive(Debug, Default)]
pub struct Limiter {
    /// By number of the kind.
    windows: [Option<Window>; Kind::ALL.len() + 1],
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    passed: u32,
    suppressed: u32,
}

impl Limiter {
    /// What of `raised` goes out, and what there is to say of windows that are
    /// over.
    pub fn pass(
        &mut self,
        raised: Vec<Alarm>,
        rates: &Rates,
        live: &Live,
        now: Instant,
    ) -> Vec<Alarm> {
        let mut out = Vec::new();
        for kind in Kind::ALL {
            let window = &mut self.windows[kind as usize];
            let over =
                |window: &Window| now.saturating_duration_since(window.since) >= rates.window;
            if let Some(over) = window.take_if(|window| over(window))
                && over.suppressed > 0
                && !rates.off.contains(&Kind::NotificationsSuppressed)
            {
                out.push(Alarm {
                    count: over.passed.saturating_add(over.suppressed),
                    limit: rates.limit,
                    window: rates.window,
                    suppressed: Some(kind),
                    ..Alarm::new(Kind::NotificationsSuppressed, [], "")
                });
            }
        }
        for alarm in raised {
            if rates.off.contains(&alarm.kind) {
                continue;
            }
            let window = self.windows[alarm.kind as usize].get_or_insert(Window {
                since: now,
                passed: 0,
                suppressed: 0,
            });
            if window.passed < rates.limit {
                window.passed += 1;
                out.push(alarm);
            } else {
                window.suppressed += 1;
                live.notifications_suppressed.fetch_add(1, Ordering::Relaxed);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::ROOT;
    use crate::facts::Facts;
    use crate::mib_text::{Mib, PROBE_TC_MIB, SESSION_MIB};
    use crate::served::Clock;
    use crate::synthetic;

    fn served(facts: &Facts, look: impl FnOnce(&Served<'_>)) {
        let (live, root) = (Live::default(), ROOT.into());
        let clock = Clock { uptime: 100, at: facts.taken };
        look(&Served { facts, live: &live, root: &root, now: facts.taken, clock });
    }

    fn rates(limit: u32) -> Rates {
        Rates { limit, window: Duration::from_secs(60), off: BTreeSet::new() }
    }

    #[test]
    fn notifications_are_those_of_the_mib_with_their_objects() {
        let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).unwrap();
        assert_eq!(mib.notifications.len(), Kind::ALL.len());
        let facts = synthetic::facts(1, Instant::now(), SystemTime::now());
        served(&facts, |served| {
            for (kind, defined) in Kind::ALL.into_iter().zip(&mib.notifications) {
                assert_eq!(kind.descriptor(), defined.name);
                let row = if kind == Kind::SessionUp { vec![1, 1] } else { vec![1] };
                let alarm = Alarm { suppressed: Some(kind), ..Alarm::new(kind, row, "text") };
                let (name, objects) = alarm.notification(served);
                assert_eq!(name.as_slice(), defined.oid, "{}", defined.name);
                let wanted = defined.objects.iter().map(|name| mib.object(name).unwrap());
                assert_eq!(objects.len(), defined.objects.len(), "{}", defined.name);
                for (object, wanted) in objects.iter().zip(wanted) {
                    assert!(object.name.as_slice().starts_with(&wanted.oid), "{}", wanted.name);
                    assert_eq!(wanted.misfit(&object.value), None, "{}", wanted.name);
                }
            }
        });
    }

    #[test]
    fn objects_without_an_instance_have_the_right_type_still() {
        let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).unwrap();
        let facts = synthetic::facts(0, Instant::now(), SystemTime::now());
        served(&facts, |served| {
            for (kind, defined) in Kind::ALL.into_iter().zip(&mib.notifications) {
                let (_, objects) = Alarm::new(kind, [77, 77], "").notification(served);
                for (object, name) in objects.iter().zip(&defined.objects) {
                    let wanted = mib.object(name).unwrap();
                    assert_eq!(wanted.misfit(&object.value), None, "{name}");
                }
            }
        });
    }

    #[test]
    fn end_of_a_session_is_told_in_full_without_its_row() {
        let facts = synthetic::facts(1, Instant::now(), SystemTime::now());
        let row = facts.history[0].clone();
        let values = |facts: &Facts, alarm: &Alarm| {
            let mut objects = Vec::new();
            served(facts, |served| objects = alarm.notification(served).1);
            objects.into_iter().map(|object| object.value).collect::<Vec<_>>()
        };
        let by_row = Alarm::new(Kind::SessionDown, [row.index], "");
        let alone = Alarm { ended: Some(row), ..by_row.clone() };
        let gone = Facts { history: Arc::from([]), ..facts.clone() };
        assert_eq!(values(&gone, &alone), values(&facts, &by_row));
        assert_ne!(values(&gone, &by_row), values(&facts, &by_row));
    }

    #[test]
    fn what_is_above_the_rate_is_counted_and_told_when_the_window_is_over() {
        let (mut limiter, live, now) = (Limiter::default(), Live::default(), Instant::now());
        let down = || Alarm::new(Kind::SessionDown, [1], "");
        let passed = limiter.pass(vec![down(), down(), down()], &rates(2), &live, now);
        assert_eq!(passed.len(), 2);
        assert_eq!(live.notifications_suppressed.load(Ordering::Relaxed), 1);
        let up = Alarm::new(Kind::ServerUp, [1], "");
        assert_eq!(limiter.pass(vec![up], &rates(2), &live, now).len(), 1, "each kind has its own");
        let later = now + Duration::from_secs(60);
        let passed = limiter.pass(vec![down()], &rates(2), &live, later);
        let kinds: Vec<_> = passed.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds, [Kind::NotificationsSuppressed, Kind::SessionDown]);
        assert_eq!((passed[0].count, passed[0].suppressed), (3, Some(Kind::SessionDown)));
        let later = later + Duration::from_secs(60);
        assert_eq!(limiter.pass(vec![], &rates(2), &live, later), [], "and told once");
    }

    #[test]
    fn kinds_that_are_off_are_neither_sent_nor_counted() {
        let (mut limiter, live) = (Limiter::default(), Live::default());
        let rates = Rates { off: [Kind::SessionDown].into(), ..rates(0) };
        let down = Alarm::new(Kind::SessionDown, [1], "");
        assert_eq!(limiter.pass(vec![down], &rates, &live, Instant::now()), []);
        assert_eq!(live.notifications_suppressed.load(Ordering::Relaxed), 0);
    }
}
