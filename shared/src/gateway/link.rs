//! ppp interfaces with their 64-bit counters: by rtnetlink on the live system,
//! else recorded answers or `/sys/class/net`, and what happens to them from
//! then on.
//!
//! pppd makes an interface when its link comes up, and takes it away at the
//! end; the kernel says then what it has carried. IPV6CP may bring the
//! interface up before IPCP has given it addresses.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::session::Traffic;
use super::{Root, number};
use crate::net::netlink::{Protocol, Subscription, dump, recorded};
use crate::wire;
use crate::wire::netlink::{self, Address};

/// ARPHRD_PPP.
const PPP: u16 = 512;
const IFF_UP: u32 = 1;
/// Interfaces looked at below `/sys`; gateways have fewer.
const MOST: usize = 1 << 20;

/// A ppp interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: Box<[u8]>,
    /// Whether it takes packets; `None` where that is not told.
    pub up: Option<bool>,
    /// Octets of an IP packet.
    pub mtu: u32,
    /// Its counters.
    pub traffic: Traffic,
    /// Its addresses.
    pub addresses: Option<Addresses>,
}

/// The two ends of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Our own.
    pub local: Ipv4Addr,
    /// The other end's. pppd tells it a moment after our own.
    pub peer: Option<Ipv4Addr>,
}

/// Every ppp interface.
///
/// # Errors
/// Of the last source that was asked.
pub fn links(root: &Root) -> io::Result<Vec<Link>> {
    let answers = if root.is_live() { asked(PPP) } else { found(root) };
    match answers {
        Ok(links) => Ok(links),
        Err(_) => listed(root),
    }
}

/// What happens to a ppp interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// It takes packets from now on. Addresses may still come.
    Up(Link),
    /// It was made, got another address, name or MTU, or was taken down.
    Changed(Link),
    /// It is no more: its last counters, and the addresses it had.
    Gone(Link),
    /// Events were lost: look at everything again.
    Overrun,
}

/// Tells what happens to ppp interfaces from its opening on. For a thread of
/// its own; nothing is lost between two calls but what [`LinkEvent::Overrun`]
/// tells of.
#[derive(Debug)]
pub struct LinkEvents {
    subscription: Subscription,
    hardware: u16,
    known: HashMap<u32, Link>,
}

impl LinkEvents {
    /// Begins to listen.
    ///
    /// # Errors
    /// Those of the socket and of a first dump.
    pub fn open() -> io::Result<Self> {
        Self::of_hardware(PPP)
    }

    /// The events until now; where there is none, waits for one, at most
    /// `timeout`. An empty answer means that time is up, or a signal came.
    ///
    /// # Errors
    /// Those of poll and of the socket.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Vec<LinkEvent>> {
        let timeout = timeout.try_into().ok();
        match poll(&mut [PollFd::new(&self.subscription, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        self.read()
    }

    /// The events until now, at most some thousands at once.
    ///
    /// # Errors
    /// Those of the socket, or of opening another: look at everything again.
    pub fn read(&mut self) -> io::Result<Vec<LinkEvent>> {
        const AT_ONCE: usize = 4096;
        let mut events = Vec::new();
        for _ in 0..AT_ONCE {
            let lost = match self.subscription.receive() {
                Ok(Some(octets)) => {
                    take(&mut self.known, self.hardware, octets, &mut events).is_err()
                }
                Ok(None) => break,
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => true,
                Err(error) => return Err(error),
            };
            if lost {
                // What still waits is older than what was lost: a new socket,
                // so that nothing gone comes back.
                *self = Self::of_hardware(self.hardware)?;
                events.push(LinkEvent::Overrun);
                break;
            }
        }
        Ok(events)
    }

    fn of_hardware(hardware: u16) -> io::Result<Self> {
        /// RTNLGRP_LINK and RTNLGRP_IPV4_IFADDR.
        const GROUPS: u32 = 1 | 1 << 4;
        // Listen first: what happens during the dump is then told twice, and
        // never lost.
        let subscription = Subscription::open(GROUPS)?;
        let known = asked(hardware)?.into_iter().map(|link| (link.index, link)).collect();
        Ok(Self { subscription, hardware, known })
    }
}

/// Readable when an event waits. The descriptor is another one after an
/// [`LinkEvent::Overrun`].
impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.subscription.as_fd()
    }
}

/// An address that goes away is passed over: a link keeps the last ones, so
/// that its end tells whose it was.
fn take(
    known: &mut HashMap<u32, Link>,
    hardware: u16,
    mut octets: &[u8],
    events: &mut Vec<LinkEvent>,
) -> wire::Result<()> {
    while !octets.is_empty() {
        let (message, rest) = netlink::Message::parse(octets)?;
        octets = rest;
        if let Some(seen) = netlink::Link::parse(&message)? {
            let before = known.remove(&seen.index);
            let addresses = before.as_ref().and_then(|before| before.addresses);
            let link = link(&seen, hardware).map(|link| Link { addresses, ..link });
            if seen.gone {
                events.extend(link.or(before).map(LinkEvent::Gone));
                continue;
            }
            let Some(link) = link else { continue };
            let was_up = before.is_some_and(|before| before.up == Some(true));
            known.insert(link.index, link.clone());
            events.push(match link.up == Some(true) && !was_up {
                true => LinkEvent::Up(link),
                false => LinkEvent::Changed(link),
            });
        } else if let Some(address) = Address::parse(&message)?
            && let Some(link) = known.get_mut(&address.index)
        {
            link.addresses = Some(ends(&address));
            events.push(LinkEvent::Changed(link.clone()));
        }
    }
    Ok(())
}

/// From the kernel itself.
fn asked(hardware: u16) -> io::Result<Vec<Link>> {
    let links = dump(Protocol::Route, &netlink::Link::dump(), |message| one(message, hardware))?;
    let addresses = dump(Protocol::Route, &Address::dump(), Address::parse)?;
    Ok(with_addresses(links, &addresses))
}

/// From recorded answers.
fn found(root: &Root) -> io::Result<Vec<Link>> {
    let answers = |name: &str| root.read(format!("net/{name}.netlink"), 64 << 20);
    let links = recorded(&answers("links")?, |message| one(message, PPP))?;
    let addresses = recorded(&answers("addresses")?, Address::parse)?;
    Ok(with_addresses(links, &addresses))
}

fn one(message: &netlink::Message, hardware: u16) -> wire::Result<Option<Link>> {
    Ok(netlink::Link::parse(message)?.and_then(|seen| link(&seen, hardware)))
}

/// `None` for interfaces of other hardware.
fn link(seen: &netlink::Link, hardware: u16) -> Option<Link> {
    if seen.hardware != hardware {
        return None;
    }
    let counters = seen.counters?;
    Some(Link {
        index: seen.index,
        name: seen.name.into(),
        up: Some(seen.flags & IFF_UP != 0),
        mtu: seen.mtu?,
        traffic: Traffic {
            octets_in: counters.rx_octets,
            octets_out: counters.tx_octets,
            packets_in: counters.rx_packets,
            packets_out: counters.tx_packets,
        },
        addresses: None,
    })
}

fn with_addresses(mut links: Vec<Link>, addresses: &[Address]) -> Vec<Link> {
    let by_index: HashMap<u32, Addresses> =
        addresses.iter().map(|address| (address.index, ends(address))).collect();
    for link in &mut links {
        link.addresses = by_index.get(&link.index).copied();
    }
    links
}

/// The kernel repeats our own address where there is no other end.
fn ends(address: &Address) -> Addresses {
    let peer = (address.peer != address.local).then_some(address.peer);
    Addresses { local: address.local, peer }
}

/// From the files that stand for the interfaces.
fn listed(root: &Root) -> io::Result<Vec<Link>> {
    let names = std::fs::read_dir(root.path("sys/class/net"))?.take(MOST).flatten();
    Ok(names.filter_map(|entry| files(root, entry.file_name().to_str()?)).collect())
}

fn files(root: &Root, name: &str) -> Option<Link> {
    let text = |file: &str| root.read(format!("sys/class/net/{name}/{file}"), 32).ok();
    let read = |file: &str| number::<u64>(&text(file)?);
    if read("type")? != u64::from(PPP) {
        return None;
    }
    let flags = || {
        let text = text("flags")?;
        let digits = std::str::from_utf8(&text).ok()?.trim().strip_prefix("0x")?;
        u32::from_str_radix(digits, 16).ok()
    };
    Some(Link {
        index: read("ifindex")?.try_into().ok()?,
        name: name.as_bytes().into(),
        up: flags().map(|flags| flags & IFF_UP != 0),
        mtu: read("mtu")?.try_into().ok()?,
        traffic: Traffic {
            octets_in: read("statistics/rx_bytes")?,
            octets_out: read("statistics/tx_bytes")?,
            packets_in: read("statistics/rx_packets")?,
            packets_out: read("statistics/tx_packets")?,
        },
        addresses: None,
    })
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::gateway::{fixture, in_namespace, run};

    /// ARPHRD_NONE, which a tun interface has: the one of this test's own that
    /// behaves as ppp does.
    const TUN: u16 = 0xfffe;
    const EVENTS: &[u8] =
        include_bytes!("../../../tests/fixtures/gateway/poptop-netlink/net/events.netlink");

    const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
    const BOTH: Option<Addresses> = Some(Addresses { local: LOCAL, peer: Some(PEER) });

    fn ppp0(index: u32, up: bool, mtu: u32, octets: (u64, u64), packets: (u64, u64)) -> Link {
        Link {
            index,
            name: b"ppp0"[..].into(),
            up: Some(up),
            mtu,
            traffic: Traffic {
                octets_in: octets.0,
                octets_out: octets.1,
                packets_in: packets.0,
                packets_out: packets.1,
            },
            addresses: None,
        }
    }

    #[test]
    fn recorded_answer_tells_ppp_interfaces_alone() {
        let expected = Link { addresses: BOTH, ..ppp0(6, true, 1496, (378, 378), (11, 11)) };
        assert_eq!(links(&fixture("poptop-netlink")).unwrap(), [expected]);
    }

    #[test]
    fn files_tell_the_same_but_addresses_and_flags() {
        let expected = Link { up: None, ..ppp0(6, true, 1496, (378, 378), (11, 11)) };
        assert_eq!(listed(&fixture("poptop-netlink")).unwrap(), [expected]);
    }

    /// One session ends; the next comes, gets its addresses after it is up, and
    /// ends.
    #[test]
    fn recorded_events_tell_two_ends_and_a_beginning() {
        let begun = found(&fixture("poptop-netlink")).unwrap();
        let mut known = begun.into_iter().map(|link| (link.index, link)).collect();
        let mut events = Vec::new();
        take(&mut known, PPP, EVENTS, &mut events).unwrap();
        let addressed = |link| Link { addresses: BOTH, ..link };
        let old = addressed(ppp0(6, false, 1496, (378, 378), (11, 11)));
        let up = ppp0(7, true, 1496, (78, 68), (7, 6));
        let alone = Some(Addresses { local: LOCAL, peer: None });
        let down = addressed(ppp0(7, false, 1496, (126, 126), (8, 8)));
        assert_eq!(
            events,
            [
                LinkEvent::Changed(old.clone()),
                LinkEvent::Gone(old),
                LinkEvent::Changed(ppp0(7, false, 1500, (0, 0), (0, 0))),
                LinkEvent::Changed(ppp0(7, false, 1496, (20, 10), (2, 1))),
                LinkEvent::Up(up.clone()),
                LinkEvent::Changed(Link { addresses: alone, ..up.clone() }),
                LinkEvent::Changed(addressed(up)),
                LinkEvent::Changed(down.clone()),
                LinkEvent::Gone(down),
            ]
        );
        assert_eq!(known, HashMap::new());
    }

    #[test]
    fn interfaces_that_are_not_ppp_make_no_event() {
        let mut events = Vec::new();
        take(&mut HashMap::new(), TUN, EVENTS, &mut events).unwrap();
        assert_eq!(events, []);
    }

    #[test]
    fn kernel_tells_what_happens() {
        in_namespace(|| {
            let mut listener = LinkEvents::of_hardware(TUN).unwrap();
            if !run("ip tuntap add t0 mode tun") {
                return eprintln!("skipped: this kernel has no tun interfaces");
            }
            for command in [
                "ip link set lo mtu 9000",
                "ip address add 192.168.77.1 peer 192.168.77.10/32 dev t0",
                "ip link set t0 up mtu 1400",
                "ip link delete t0",
            ] {
                assert!(run(command), "{command}");
            }
            let events = listener.wait(Duration::from_secs(5)).unwrap();
            let LinkEvent::Changed(first) = &events[0] else { panic!("{events:?}") };
            assert_eq!((&*first.name, first.up, first.addresses), (&b"t0"[..], Some(false), None));
            let ups: Vec<_> =
                events.iter().filter(|event| matches!(event, LinkEvent::Up(_))).collect();
            let [LinkEvent::Up(up)] = ups[..] else { panic!("{events:?}") };
            assert_eq!(up.addresses, BOTH);
            let Some(LinkEvent::Gone(gone)) = events.last() else { panic!("{events:?}") };
            assert_eq!((gone.index, gone.mtu), (first.index, 1400));
            assert_eq!(gone.addresses, BOTH);
            assert_eq!(listener.read().unwrap(), []);
            assert_eq!(listener.wait(Duration::ZERO).unwrap(), []);
        });
    }

    #[test]
    fn kernel_is_asked_for_interfaces_of_one_kind() {
        in_namespace(|| {
            if !run("ip tuntap add t0 mode tun") {
                return eprintln!("skipped: this kernel has no tun interfaces");
            }
            assert!(run("ip address add 192.168.77.1 peer 192.168.77.10/32 dev t0"));
            let seen = asked(TUN).unwrap();
            let told: Vec<_> = seen.iter().map(|link| (&*link.name, link.addresses)).collect();
            assert_eq!(told, [(&b"t0"[..], BOTH)]);
            assert_eq!(links(&Root::new("/")).unwrap(), []);
        });
    }

    #[test]
    fn lost_events_are_told_and_the_next_ones_come() {
        in_namespace(|| {
            if !run("ip tuntap add t0 mode tun") {
                return eprintln!("skipped: this kernel has no tun interfaces");
            }
            let mut listener = LinkEvents::of_hardware(TUN).unwrap();
            // Whatever the system lets wait, this is less.
            rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
            for mtu in 1000..1020 {
                assert!(run(&format!("ip link set t0 mtu {mtu}")));
            }
            let events = listener.wait(Duration::from_secs(5)).unwrap();
            assert_eq!(events.last(), Some(&LinkEvent::Overrun));
            assert!(events.len() < 20, "{}", events.len());
            assert!(run("ip link delete t0"));
            let events = listener.wait(Duration::from_secs(5)).unwrap();
            let Some(LinkEvent::Gone(gone)) = events.last() else { panic!("{events:?}") };
            assert_eq!(gone.mtu, 1019);
        });
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..8000) {
            let mut known = HashMap::new();
            let _ = take(&mut known, PPP, &octets, &mut Vec::new());
            let mut told = EVENTS.to_vec();
            for (old, new) in told[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = take(&mut known, PPP, &told, &mut Vec::new());
        }
    }
}
