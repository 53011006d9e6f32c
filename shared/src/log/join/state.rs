//! A joiner as octets and back. Numbers are in network order; what is there or
//! not has an octet in front that says so. The form has a version, and nothing
//! of another version is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::table::{Live, MOST, Place};
use super::{GivenUp, Joiner, Last, MOST_LOOSE, Waiting};
use crate::gateway::session::{AuthMethod, Encryption};
use crate::gateway::tracker::TerminateCause;
use crate::log::daemon::pptpd::ControlEnd;
use crate::log::event::{LONGEST, Program, Session, What};
use crate::reason::{Phase, Reason};
use crate::wire::{Reader, Result as WireResult, Writer};

/// Of this form.
const VERSION: u32 = 0x504a_0002;

const PROGRAMS: [Program; 4] = [Program::Pptpd, Program::Pppd, Program::AccelPpp, Program::Kernel];
const METHODS: [AuthMethod; 6] = [
    AuthMethod::None,
    AuthMethod::Pap,
    AuthMethod::ChapMd5,
    AuthMethod::MsChapV1,
    AuthMethod::MsChapV2,
    AuthMethod::Eap,
];
const ENCRYPTIONS: [Encryption; 4] =
    [Encryption::None, Encryption::Mppe40, Encryption::Mppe56, Encryption::Mppe128];
const CAUSES: [TerminateCause; 16] = [
    TerminateCause::UserRequest,
    TerminateCause::LostCarrier,
    TerminateCause::LostService,
    TerminateCause::IdleTimeout,
    TerminateCause::SessionTimeout,
    TerminateCause::AdminReset,
    TerminateCause::NasError,
    TerminateCause::NasRequest,
    TerminateCause::NasReboot,
    TerminateCause::Unknown,
    TerminateCause::LcpTimeout,
    TerminateCause::EchoTimeout,
    TerminateCause::GreSilent,
    TerminateCause::MppeLost,
    TerminateCause::CtrlReset,
    TerminateCause::CtrlStop,
];
/// What may be told again, in the order of its number here.
const REPEATED: [What; 7] = [
    What::ControlRefused,
    What::PoolExhausted,
    What::AuthFailure,
    What::RadiusError,
    What::GreError,
    What::ConntrackFull,
    What::KernelError,
];

impl Joiner {
    /// Octets from which [`Joiner::resume`] makes the same joiner again: all
    /// that matters for entries yet to come.
    pub fn save(&self) -> Vec<u8> {
        let mut all: Vec<&Live> = self.table.iter().collect();
        all.sort_unstable_by_key(|live| live.birth);
        let mut writer = Writer::with_capacity(64 + all.len() * 128);
        writer.u32(VERSION);
        put_u64(&mut writer, self.table.last_number);
        put_u64(&mut writer, self.latest.cast_unsigned());
        writer.u8(self.pppd_writes.into());
        put_text(&mut writer, &self.refuted);
        // Sessions are told by where they stand here.
        let at = |place: &Place| {
            let at = all.binary_search_by_key(&place.birth, |live| live.birth).ok()?;
            u32::try_from(at).ok()
        };
        let last = self.last.as_ref();
        put_last(&mut writer, last, last.and_then(|last| at(last.place.as_ref()?)));
        writer.u32(u32::try_from(all.len()).unwrap_or(u32::MAX));
        for live in &all {
            put_live(&mut writer, live);
        }
        put_places(&mut writer, self.calls.iter().filter_map(at));
        put_places(&mut writer, self.nameless.iter().filter_map(at));
        put_places(&mut writer, self.waiting.iter().filter_map(|waiting| at(&waiting.place)));
        writer.u32(u32::try_from(self.given_up.len()).unwrap_or(u32::MAX));
        for session in &self.given_up {
            put_given_up(&mut writer, session);
        }
        writer.finish()
    }

    /// The joiner that wrote `octets`; `None` if none of this version did.
    pub fn resume(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader::new("joiner", octets);
        let joiner = read(&mut reader).ok()??;
        reader.finish().ok()?;
        Some(joiner)
    }
}

/// `None` where octets are no value of their kind.
fn read(reader: &mut Reader<'_>) -> WireResult<Option<Joiner>> {
    if reader.u32()? != VERSION {
        return Ok(None);
    }
    let mut joiner = Joiner::default();
    let last_number = u64_of(reader)?;
    joiner.latest = u64_of(reader)?.cast_signed();
    joiner.pppd_writes = reader.u8()? != 0;
    joiner.refuted = text(reader)?.to_vec();
    let Some(last) = last(reader)? else { return Ok(None) };
    let count = reader.u32()?;
    if count as usize > MOST {
        return Ok(None);
    }
    let mut slots = Vec::new();
    for _ in 0..count {
        let Some(mut live) = live(reader)? else { return Ok(None) };
        live.host_key = joiner.table.host_key(&live.host);
        let slot = joiner.table.add(live);
        slots.push(joiner.table.place(slot));
    }
    joiner.table.last_number = last_number;
    let place = |at: u32| slots.get(at as usize).copied();
    let Some(calls) = places(reader, &place)? else { return Ok(None) };
    let Some(nameless) = places(reader, &place)? else { return Ok(None) };
    let Some(waiting) = places(reader, &place)? else { return Ok(None) };
    (joiner.calls, joiner.nameless) = (calls, nameless);
    let since = |place: Place| joiner.table.get(place.slot)?.waits;
    let waiting = waiting.into_iter();
    joiner.waiting =
        waiting.filter_map(|place| Some(Waiting { place, since: since(place)? })).collect();
    let count = reader.u32()?;
    if count as usize > MOST_LOOSE {
        return Ok(None);
    }
    for _ in 0..count {
        let mut session = given_up(reader)?;
        session.host_key = joiner.table.host_key(&session.host);
        joiner.given_up.push_back(session);
    }
    joiner.last = last.map(|(mut last, at)| {
        last.place = at.and_then(place);
        last
    });
    Ok(Some(joiner))
}

fn put_live(writer: &mut Writer, live: &Live) {
    let session = &live.session;
    put_u64(writer, session.number);
    writer.u8(position(&PROGRAMS, &live.program));
    writer.u16(live.flags);
    writer.u8(live.phase.number());
    put_text(writer, &live.host);
    put_text(writer, &session.user);
    put_text(writer, &session.if_name);
    for pid in [session.control_pid, session.ppp_pid] {
        put_option(writer, pid, Writer::u32);
    }
    put_option(writer, session.peer, put_address);
    for address in [session.assigned, live.asked] {
        put_option(writer, address, |writer, address| writer.slice(&address.octets()));
    }
    put_option(writer, session.method, |writer, method| {
        writer.u8(position(&METHODS, &method));
    });
    writer.u8(session.authenticated.into());
    put_option(writer, session.encryption, |writer, encryption| {
        writer.u8(position(&ENCRYPTIONS, &encryption));
    });
    put_option(writer, session.stateless, |writer, stateless| writer.u8(stateless.into()));
    for stamp in [session.started, session.opened, live.waits] {
        put_option(writer, stamp, |writer, stamp| put_u64(writer, stamp.cast_unsigned()));
    }
    for octets in [session.sent, session.received] {
        put_option(writer, octets, put_u64);
    }
    writer.u16(session.renegotiations);
    put_option(writer, live.cause, |writer, cause| writer.u8(position(&CAUSES, &cause)));
    put_option(writer, live.failure, |writer, (phase, reason)| {
        writer.u8(phase.number());
        writer.u8(reason.number());
    });
    put_option(writer, live.control_end, |writer, end| writer.u8(position(&ControlEnd::ALL, &end)));
}

fn live(reader: &mut Reader<'_>) -> WireResult<Option<Live>> {
    let number = u64_of(reader)?;
    let program = one_of(&PROGRAMS, reader)?;
    let flags = reader.u16()?;
    let phase = numbered(Phase::ALL, reader.u8()?, Phase::number);
    let (Some(program), Some(phase)) = (program, phase) else { return Ok(None) };
    let host = text(reader)?.into();
    let (user, if_name) = (text(reader)?, text(reader)?);
    if user.len() > LONGEST || if_name.len() > LONGEST {
        return Ok(None);
    }
    let session = Session {
        number,
        control_pid: option(reader, Reader::u32)?,
        ppp_pid: option(reader, Reader::u32)?,
        peer: option(reader, address)?,
        user: user.into(),
        if_name: if_name.into(),
        assigned: option(reader, |reader| Ok(Ipv4Addr::from(reader.array::<4>()?)))?,
        ..Session::default()
    };
    let asked = option(reader, |reader| Ok(Ipv4Addr::from(reader.array::<4>()?)))?;
    let session = Session {
        method: option(reader, |reader| one_of(&METHODS, reader))?.flatten(),
        authenticated: reader.u8()? != 0,
        encryption: option(reader, |reader| one_of(&ENCRYPTIONS, reader))?.flatten(),
        stateless: option(reader, |reader| Ok(reader.u8()? != 0))?,
        started: option(reader, u64_of)?.map(u64::cast_signed),
        opened: option(reader, u64_of)?.map(u64::cast_signed),
        ..session
    };
    let waits = option(reader, u64_of)?.map(u64::cast_signed);
    let session = Session {
        sent: option(reader, u64_of)?,
        received: option(reader, u64_of)?,
        renegotiations: reader.u16()?,
        ..session
    };
    let cause = option(reader, |reader| one_of(&CAUSES, reader))?.flatten();
    let failure = option(reader, |reader| {
        let phase = numbered(Phase::ALL, reader.u8()?, Phase::number);
        let reason = numbered(Reason::ALL, reader.u8()?, Reason::number);
        Ok(phase.zip(reason))
    })?;
    let control_end = option(reader, |reader| one_of(&ControlEnd::ALL, reader))?.flatten();
    Ok(Some(Live {
        birth: 0,
        session,
        host,
        host_key: 0,
        program,
        flags,
        phase,
        cause,
        failure: failure.flatten(),
        control_end,
        asked,
        waits,
    }))
}

fn put_given_up(writer: &mut Writer, session: &GivenUp) {
    put_text(writer, &session.host);
    writer.u32(session.ppp_pid);
    writer.u8(session.without_control.into());
    put_option(writer, session.peer, put_address);
    put_u64(writer, session.at.cast_unsigned());
}

fn given_up(reader: &mut Reader<'_>) -> WireResult<GivenUp> {
    Ok(GivenUp {
        host: text(reader)?.into(),
        host_key: 0,
        ppp_pid: reader.u32()?,
        without_control: reader.u8()? != 0,
        peer: option(reader, address)?,
        at: u64_of(reader)?.cast_signed(),
    })
}

fn put_address(writer: &mut Writer, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            writer.u8(4);
            writer.slice(&address.octets());
        }
        IpAddr::V6(address) => {
            writer.u8(6);
            writer.slice(&address.octets());
        }
    }
}

fn address(reader: &mut Reader<'_>) -> WireResult<IpAddr> {
    match reader.u8()? {
        4 => Ok(IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?))),
        _ => Ok(IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?))),
    }
}

fn put_last(writer: &mut Writer, last: Option<&Last>, at: Option<u32>) {
    put_option(writer, last, |writer, last| {
        writer.u8(position(&REPEATED, &last.what));
        writer.u8(position(&PROGRAMS, &last.program));
        put_option(writer, last.pid, Writer::u32);
        put_option(writer, at, Writer::u32);
    });
}

/// What was told last, and which session it was of.
type Told = Option<(Last, Option<u32>)>;

fn last(reader: &mut Reader<'_>) -> WireResult<Option<Told>> {
    let last = option(reader, |reader| {
        let (what, program) = (one_of(&REPEATED, reader)?, one_of(&PROGRAMS, reader)?);
        let (pid, at) = (option(reader, Reader::u32)?, option(reader, Reader::u32)?);
        Ok(what.zip(program).map(|(what, program)| (Last { what, program, pid, place: None }, at)))
    })?;
    Ok(match last {
        None => Some(None),
        Some(last) => last.map(Some),
    })
}

fn put_places(writer: &mut Writer, places: impl Iterator<Item = u32> + Clone) {
    writer.u32(u32::try_from(places.clone().count()).unwrap_or(u32::MAX));
    for at in places {
        writer.u32(at);
    }
}

fn places(
    reader: &mut Reader<'_>,
    place: &impl Fn(u32) -> Option<Place>,
) -> WireResult<Option<Vec<Place>>> {
    let count = reader.u32()? as usize;
    if count > MOST || count * 4 > reader.remaining() {
        return Ok(None);
    }
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        places.extend(place(reader.u32()?));
    }
    Ok(Some(places))
}

fn put_u64(writer: &mut Writer, value: u64) {
    writer.slice(&value.to_be_bytes());
}

fn u64_of(reader: &mut Reader<'_>) -> WireResult<u64> {
    Ok(u64::from_be_bytes(reader.array()?))
}

fn put_text(writer: &mut Writer, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    writer.u16(length);
    writer.slice(&text[..usize::from(length)]);
}

fn text<'a>(reader: &mut Reader<'a>) -> WireResult<&'a [u8]> {
    let length = reader.u16()?;
    reader.take(usize::from(length))
}

fn put_option<T>(writer: &mut Writer, value: Option<T>, put: impl FnOnce(&mut Writer, T)) {
    writer.u8(value.is_some().into());
    if let Some(value) = value {
        put(writer, value);
    }
}

fn option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> WireResult<T>,
) -> WireResult<Option<T>> {
    match reader.u8()? {
        0 => Ok(None),
        _ => read(reader).map(Some),
    }
}

fn position<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let at = all.iter().position(|one| one == value);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn one_of<T: Copy>(all: &[T], reader: &mut Reader<'_>) -> WireResult<Option<T>> {
    Ok(all.get(usize::from(reader.u8()?)).copied())
}

fn numbered<T: Copy>(all: &[T], number: u8, of: impl Fn(T) -> u8) -> Option<T> {
    all.iter().copied().find(|one| of(*one) == number)
}
