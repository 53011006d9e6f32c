//! Logins as pptpd's logwtmp plugin writes them to `/var/log/wtmp` and, with
//! pppd 2.4.9, to `/run/utmp` (utmp(5)): who came from where on which
//! interface.
//!
//! A record of pppd 2.4.9 is a user process when the link comes up and, with
//! neither name nor host, when it goes down; one of pppd 2.5 is then a dead
//! process. A name of 32 octets fills its field and may have been longer; the
//! plugin may have cut the domain off.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::Root;
use super::session::{Source, SourceState};

/// Records that are read of a file, from its end.
const MOST: u64 = 1 << 14;

/// Seconds since 1970 that no clock shows; with them one can still reckon.
const LATEST: u64 = 1 << 40;

/// Where the fields stand whose place depends on the processor: 32-bit times
/// as on x86-64, or 64-bit times as on aarch64 (glibc's `bits/utmp.h`).
#[derive(Debug, Clone, Copy)]
struct Layout {
    size: usize,
    time: usize,
    time_octets: usize,
    address: usize,
}

const TIME_32: Layout = Layout { size: 384, time: 340, time_octets: 4, address: 348 };
const TIME_64: Layout = Layout { size: 400, time: 344, time_octets: 8, address: 360 };
const NATIVE: Layout =
    if cfg!(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64")) {
        TIME_64
    } else {
        TIME_32
    };

/// The last thing that a pppd logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    /// Interface.
    pub(super) if_name: Box<[u8]>,
    /// Name of the caller, where it is whole.
    pub(super) user: Option<Box<[u8]>>,
    /// Address the caller comes from; `None` once the link is down.
    pub(super) peer: Option<Ipv4Addr>,
    /// Address given to the caller.
    pub(super) assigned: Option<Ipv4Addr>,
    /// When it was logged.
    pub(super) time: SystemTime,
}

/// The last record of each process by its pid, and how reading went.
pub(super) fn read(root: &Root) -> (HashMap<u32, Login>, [Source; 2]) {
    let mut logins = HashMap::new();
    let sources = ["var/log/wtmp", "run/utmp"].map(|path| {
        let file = root.read_last(path, NATIVE.size as u64, MOST);
        let state = SourceState::of(&file);
        parse(&file.unwrap_or_default(), NATIVE, &mut logins);
        Source::extra(format!("logins /{path}"), state)
    });
    (logins, sources)
}

fn parse(file: &[u8], layout: Layout, logins: &mut HashMap<u32, Login>) {
    for record in file.chunks_exact(layout.size) {
        let Some((pid, login)) = parse_record(record, layout) else { continue };
        if logins.get(&pid).is_none_or(|old| old.time <= login.time) {
            logins.insert(pid, login);
        }
    }
}

fn parse_record(record: &[u8], layout: Layout) -> Option<(u32, Login)> {
    let text = |at: usize, size: usize| {
        let field = record.get(at..at + size)?;
        field.split(|octet| *octet == 0).next()
    };
    // USER_PROCESS, DEAD_PROCESS.
    let kind = i16::from_ne_bytes(*record.first_chunk()?);
    if kind != 7 && kind != 8 {
        return None;
    }
    let pid = u32::from_ne_bytes(*record.get(4..)?.first_chunk()?);
    let seconds = match layout.time_octets {
        4 => u32::from_ne_bytes(*record.get(layout.time..)?.first_chunk()?).into(),
        _ => u64::from_ne_bytes(*record.get(layout.time..)?.first_chunk()?).min(LATEST),
    };
    let user = text(44, 32)?;
    let address = Ipv4Addr::from(*record.get(layout.address..)?.first_chunk::<4>()?);
    let peer = std::str::from_utf8(text(76, 256)?).ok().and_then(|host| host.parse().ok());
    let login = Login {
        if_name: text(8, 32)?.into(),
        user: (1..32).contains(&user.len()).then(|| user.into()),
        peer: peer.filter(|_| kind == 7),
        assigned: Some(address).filter(|address| !address.is_unspecified()),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    };
    Some((pid, login))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WTMP: &[u8] =
        include_bytes!("../../../tests/fixtures/gateway/poptop-two-sessions/var/log/wtmp");

    fn logins(file: &[u8], layout: Layout) -> HashMap<u32, Login> {
        let mut logins = HashMap::new();
        parse(file, layout, &mut logins);
        logins
    }

    /// A record of x86-64 as aarch64 has it.
    fn widened(record: &[u8]) -> Vec<u8> {
        let seconds = u32::from_ne_bytes(*record[340..].first_chunk().unwrap());
        let mut wide = record[..336].to_vec();
        wide.extend([0; 8]);
        wide.extend(u64::from(seconds).to_ne_bytes());
        wide.extend([0; 8]);
        wide.extend(&record[348..364]);
        wide.resize(400, 0);
        wide
    }

    #[test]
    fn record_of_pppd_tells_user_and_addresses() {
        let logins = logins(WTMP, TIME_32);
        assert_eq!(logins.len(), 2);
        let login = logins.values().find(|login| *login.if_name == *b"ppp0").unwrap();
        assert_eq!(login.user.as_deref(), Some(&b"probe"[..]));
        assert_eq!(login.peer, Some(Ipv4Addr::new(10, 77, 0, 3)));
        assert_eq!(login.assigned, Some(Ipv4Addr::new(192, 168, 77, 10)));
    }

    #[test]
    fn wide_times_are_the_same_login() {
        let wide: Vec<u8> = WTMP.chunks_exact(384).flat_map(widened).collect();
        assert_eq!(logins(&wide, TIME_64), logins(WTMP, TIME_32));
    }

    #[test]
    fn link_that_went_down_has_no_peer() {
        let file = include_bytes!("../../../tests/fixtures/gateway/poptop-idle/var/log/wtmp");
        let logins = logins(file, TIME_32);
        assert!(!logins.is_empty());
        assert!(logins.values().all(|login| login.peer.is_none() && login.user.is_none()));
    }

    #[test]
    fn name_that_fills_its_field_may_be_cut() {
        let mut record = WTMP[..384].to_vec();
        record[44..76].fill(b'u');
        assert!(logins(&record, TIME_32).values().all(|login| login.user.is_none()));
        record[75] = 0;
        assert!(logins(&record, TIME_32).values().all(|login| login.user.is_some()));
    }

    #[test]
    fn part_of_a_record_is_left_out() {
        assert_eq!(logins(&WTMP[..767], TIME_32).len(), 1);
        assert!(logins(&WTMP[..383], TIME_32).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(0_u8.., 0..900)) {
            let _ = logins(&octets, TIME_32);
            let _ = logins(&octets, TIME_64);
        }
    }
}
