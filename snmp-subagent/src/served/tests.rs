use std::collections::BTreeMap;

use pptp_probe::gateway::session::{Key, Session};
use pptp_probe::gateway::tracker::Tracker;
use proptest::prelude::*;

use super::*;
use crate::ROOT;
use crate::facts::Counted;
use crate::mib_text::{Mib, PROBE_TC_MIB, SESSION_MIB};
use crate::synthetic;
use crate::view::MapView;

fn with<T>(rows: u32, look: impl FnOnce(&Served<'_>) -> T) -> T {
    let now = Instant::now();
    let facts = synthetic::facts(rows, now, SystemTime::now());
    let served = Served {
        facts: &facts,
        live: &Live::default(),
        root: &ROOT.into(),
        now: now + Duration::from_secs(1),
        clock: Clock { uptime: 100_000, at: now },
    };
    look(&served)
}

fn walk<'a>(served: &'a Served<'_>) -> BTreeMap<Oid, Value<'a>> {
    let mut found = BTreeMap::new();
    let mut at = Oid::default();
    while let Some((name, value)) = served.next(&at, false, None) {
        assert!(name > at, "{name} comes behind {at}");
        at = name.clone();
        found.insert(name, value);
    }
    found
}

/// The first variables of a walk.
fn some<'v>(view: &'v impl View, start: &Oid, include: bool, end: &Oid) -> Vec<(Oid, Value<'v>)> {
    let mut found = Vec::new();
    view.walk(start, include, Some(end), &mut |name, value| {
        found.push((name.clone(), value));
        found.len() < 9
    });
    found
}

#[test]
fn what_is_served_is_what_the_mib_defines() {
    let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).unwrap();
    with(3, |served| {
        let found = walk(served);
        assert_eq!(mib.misfits(&found), [""; 0]);
        assert_eq!(mib.unserved(&found.keys().collect::<Vec<_>>()), [""; 0]);
    });
}

/// What is known of a gateway that tells as little as possible.
fn taciturn(now: Instant) -> Facts {
    let wall = SystemTime::now();
    let facts = synthetic::facts(1, now, wall);
    let mut tracker = Tracker::new(now);
    tracker.update([Session::new(Key::counted(1))], now, wall);
    let mut history = HistoryRow::clone(&facts.history[0]);
    history.ended.record.index = 0;
    history.ended.record.session = Session::new(Key::counted(1));
    let seen = Seen { auth_failures: None, quota: None, ..facts.users[0].seen };
    let phase = PhaseRow { time: None, ..facts.probes[0].phases[0] };
    Facts {
        servers: vec![Server {
            listen: None,
            start: None,
            memory: None,
            cpu: None,
            maximum: None,
            gre_packets: None,
            counted: Counted::default(),
            sessions: tracker.table().clone(),
            ..facts.servers[0].clone()
        }],
        history: [history.into()].into(),
        users: [UserRow { seen, ..facts.users[0].clone() }].into(),
        subnets: [SubnetRow { seen, ..facts.subnets[0].clone() }].into(),
        probes: [ProbeRow {
            address: None,
            last: None,
            state: None,
            failure: None,
            time: None,
            lcp_rtt: None,
            lcp_jitter: None,
            loss: None,
            echo_rtt: None,
            phases: vec![phase],
            ..facts.probes[0].clone()
        }]
        .into(),
        radius: [RadiusRow { address: None, rtt: None, ..facts.radius[0].clone() }].into(),
        ..facts
    }
}

#[test]
fn what_may_be_absent_is_so_by_its_description() {
    let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).unwrap();
    let (now, live, root) = (Instant::now(), Live::default(), ROOT.into());
    let facts = Facts { stale_after: Duration::from_secs(15), ..taciturn(now) };
    let clock = Clock { uptime: 100_000, at: now };
    let absent = |facts: &Facts, later| {
        let served = Served { facts, live: &live, root: &root, now: now + later, clock };
        let found = walk(&served).into_keys().collect::<Vec<_>>();
        mib.unserved(&found.iter().collect::<Vec<_>>())
    };
    let mut names = absent(&facts, Duration::ZERO);
    assert!(names.len() > 50, "{names:?}");
    let full = Facts { servers: synthetic::facts(1, now, facts.wall).servers, ..facts };
    let stale = absent(&full, Duration::from_secs(16)).into_iter();
    // That its sessions have no rows is said of the table.
    names.extend(stale.filter(|name| name.starts_with("pptpServer")));
    for name in names {
        let (_, definition) = SESSION_MIB.split_once(&format!("\n{name} OBJECT-TYPE")).unwrap();
        let (definition, _) = definition.split_once("::=").unwrap();
        assert!(definition.to_ascii_lowercase().contains("absent"), "{name}");
    }
}

#[test]
fn every_variable_can_be_got_and_its_neighbours_cannot() {
    with(3, |served| {
        let found = walk(served);
        assert!(found.len() > 200, "{}", found.len());
        for (name, value) in &found {
            assert_eq!(served.get(name), *value, "{name}");
            let longer = name.child(0).unwrap();
            assert_eq!(served.get(&longer), Value::NoSuchInstance, "{longer}");
            let shorter = Oid::try_from(&name.as_slice()[..name.len() - 1]).unwrap();
            assert!(
                matches!(served.get(&shorter), Value::NoSuchInstance | Value::NoSuchObject),
                "{shorter}"
            );
        }
    });
}

#[test]
fn sessions_of_a_silent_source_do_not_pose_as_living() {
    let now = Instant::now();
    let stale_after = Duration::from_secs(15);
    let facts = Facts { stale_after, ..synthetic::facts(1, now, SystemTime::now()) };
    let live = Live::default();
    let root = ROOT.into();
    let state = |later: Duration| {
        let clock = Clock { uptime: 1, at: now };
        let served = Served { facts: &facts, live: &live, root: &root, now: now + later, clock };
        let mut name = root.clone();
        name.append(&[1, 3, 1, 4, 1, 1]).unwrap();
        format!("{:?}", served.get(&name))
    };
    assert_eq!(state(stale_after), "Integer(9)");
    assert_eq!(state(stale_after + Duration::from_millis(1)), "NoSuchInstance");
}

#[test]
fn time_stamp_is_the_same_whenever_it_is_asked_for() {
    let at = Instant::now() + Duration::from_secs(1000);
    let clock = Clock { uptime: 500, at };
    let millis = Duration::from_millis;
    assert_eq!(clock.uptime(at + millis(19)), 501);
    assert_eq!(clock.uptime(at - millis(4_990)), 1);
    assert_eq!(clock.uptime(at - millis(5_001)), 0, "before the agent started");
    let wrapping = Clock { uptime: u32::MAX, at };
    assert_eq!(wrapping.uptime(at + millis(20)), 1);
}

#[test]
fn counters_that_began_after_497_days_say_so() {
    let started = Instant::now();
    let mut facts = synthetic::facts(1, started, SystemTime::now());
    facts.agent.started = started;
    facts.taken = started + Duration::from_secs(500 * 86_400);
    let clock = Clock { uptime: 7, at: facts.taken };
    let (live, root) = (Live::default(), ROOT.into());
    let served = Served { facts: &facts, live: &live, root: &root, now: facts.taken, clock };
    let began = |ago: u64| {
        let hundredths = (500 * 8_640_000 - ago) as u32;
        facts.taken.duration_since(served.began(hundredths))
    };
    assert_eq!(began(0), Duration::ZERO);
    assert_eq!(began(123), Duration::from_millis(1230));
    assert_eq!(began(400 * 8_640_000), Duration::from_secs(400 * 86_400));
}

#[test]
fn dates_are_those_of_the_calendar() {
    // `date -u -d @SECONDS` printed these.
    for (seconds, expected) in [
        (0, [0x07, 0xb2, 1, 1, 0, 0, 0, 0, b'+', 0, 0]),
        (951_782_399, [0x07, 0xd0, 2, 28, 23, 59, 59, 0, b'+', 0, 0]),
        (951_782_400, [0x07, 0xd0, 2, 29, 0, 0, 0, 0, b'+', 0, 0]),
        (1_795_250_602, [0x07, 0xea, 11, 21, 8, 43, 22, 0, b'+', 0, 0]),
        (4_107_542_400, [0x08, 0x34, 3, 1, 0, 0, 0, 0, b'+', 0, 0]),
    ] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(date(time), Value::OctetString(Octets::copy(&expected)), "{seconds}");
    }
}

proptest! {
    #[test]
    fn walk_from_anywhere_is_that_of_a_sorted_map(
        rows in 0..4_u32,
        starts in prop::collection::vec(
            (prop::collection::vec(prop_oneof![0..5_u32, 5..45_u32, Just(u32::MAX)], 0..8), any::<bool>()),
            1..200,
        ),
    ) {
        with(rows, |served| {
            let mut map = MapView::default();
            for (name, value) in walk(served) {
                map.insert(name, value.into_owned());
            }
            for (rest, include) in &starts {
                let mut start = served.root.clone();
                start.append(&[1]).unwrap();
                start.append(rest).unwrap();
                prop_assert_eq!(
                    served.next(&start, *include, None),
                    map.next(&start, *include, None),
                    "{} {}", start, include
                );
                for (rest, _) in &starts[..starts.len().min(10)] {
                    let mut end = served.root.clone();
                    end.append(&[1]).unwrap();
                    end.append(rest).unwrap();
                    prop_assert_eq!(
                        some(served, &start, *include, &end),
                        some(&map, &start, *include, &end),
                        "{} {} {}", start, include, end
                    );
                }
            }
            Ok(())
        })?;
    }
}
