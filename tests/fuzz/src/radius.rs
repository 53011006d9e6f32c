//! RADIUS: packets and their framing, what a capture shows of them, the names
//! of attributes, and what a shared secret hides.

use pptp_probe::crypto::radius::SharedSecret;
use pptp_probe::secret::Secret;
use pptp_probe::wire::radius::dictionary::{self, Expectation, Kind};
use pptp_probe::wire::radius::mask::mask_radius;
use pptp_probe::wire::radius::{
    AttributeId, Code, Draft, Framer, HEADER_LENGTH, MAX_VALUE, MAX_VENDOR_VALUE, Packet, id,
};

use crate::script::Cursor;

/// Vendors with a name.
const VENDORS: [u32; 4] = [311, 9, 14988, 11344];
/// Attributes that show a password, a key or a proof: of the RFCs, of
/// Microsoft (RFC 2548), of Cisco and MikroTik. What a vendor has in a format
/// of its own could be one, too.
const SECRETS: [(u32, &[u8]); 4] = [
    (0, &[2, 3, 26, 69, 79, 80]),
    (311, &[1, 3, 4, 5, 6, 12, 16, 17, 25, 26, 27]),
    (9, &[249]),
    (14988, &[7, 16, 20]),
];
/// Attributes of one packet whose names are looked at.
const NAMED: usize = 8;

/// RADIUS packets as they come, and all that is done with their octets.
pub fn radius(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        assert!(data.starts_with(packet.octets()));
        complete(&packet);
        signature(&packet);
        rewritten(&packet);
        packet.attributes().take(NAMED).for_each(|found| names(found.id, found.value));
    }
    framing(data);
    masked(data);
    written(data);
    if let Ok(text) = str::from_utf8(data) {
        texts(text);
    }
    hidden(data);
}

/// Between two values are one header or, where an attribute of a vendor begins,
/// two and the vendor.
fn complete(packet: &Packet<'_>) {
    let start = packet.octets().as_ptr() as usize;
    let mut end = HEADER_LENGTH;
    for found in packet.attributes() {
        let at = found.value.as_ptr() as usize - start;
        let begins = found.id.vendor != 0 && at == end + 8;
        assert!(begins || at == end + 2, "something in front of {} is left out", found.id);
        end = at + found.value.len();
    }
    assert_eq!(end, packet.octets().len(), "something at the end is left out");
}

fn signature(packet: &Packet<'_>) {
    let found = packet.find(id::MESSAGE_AUTHENTICATOR);
    match packet.message_authenticator() {
        Ok(Some(at)) => {
            assert_eq!(packet.octets()[at - 2..at], [80, 18]);
            assert_eq!(found, packet.octets().get(at..at + 16));
        }
        Ok(None) => assert_eq!(found, None),
        Err(_) => assert!(found.is_some()),
    }
}

/// The same attributes, each with a header of its own.
fn rewritten(packet: &Packet<'_>) {
    let mut draft = Draft::new(packet.code, packet.identifier, &packet.authenticator);
    packet.attributes().for_each(|found| draft.attribute(found.id, found.value));
    // Several in one attribute of a vendor become longer.
    let Ok(octets) = draft.finish() else { return };
    let again = Packet::parse(&octets).expect("what was written is read");
    assert_eq!(
        (again.code, again.identifier, again.authenticator),
        (packet.code, packet.identifier, packet.authenticator)
    );
    assert!(again.attributes().eq(packet.attributes()), "attributes have changed");
}

/// Attributes of any name and length, written and read.
fn written(data: &[u8]) {
    let mut input = Cursor::new(data);
    let mut draft = Draft::new(Code::AccessRequest, 7, &[7; 16]);
    let mut expected = Vec::new();
    while let Some(number) = input.u8() {
        let vendor = match input.u8().unwrap_or(0) {
            chosen @ 0..0x80 => VENDORS.get(usize::from(chosen % 8)).copied().unwrap_or(0),
            _ => u32::from_be_bytes([0, 0, input.u8().unwrap_or(0), 1]),
        };
        let id = AttributeId { vendor, number };
        let length = usize::from(input.u8().unwrap_or(0)) + usize::from(number & 7);
        let value = input.take(length);
        // What is in this one is read as the attribute of a vendor.
        if id != id::VENDOR_SPECIFIC {
            draft.attribute(id, value);
            let longest = if vendor == 0 { MAX_VALUE } else { MAX_VENDOR_VALUE };
            expected.push((id, &value[..value.len().min(longest)]));
        }
    }
    let Ok(octets) = draft.finish() else { return };
    let packet = Packet::parse(&octets).expect("what was written is read");
    let read: Vec<_> = packet.attributes().map(|found| (found.id, found.value)).collect();
    assert_eq!(read, expected);
    masked(&octets);
    expected.into_iter().take(NAMED).for_each(|(id, value)| names(id, value));
}

fn framing(data: &[u8]) {
    let mut at_once = Framer::default();
    at_once.push(data);
    let mut trickle = Framer::default();
    let (mut whole, mut rest) = (data, data);
    loop {
        let expected = at_once.next_packet();
        let mut got = trickle.next_packet();
        while got == Ok(None)
            && let Some(&first) = rest.first()
        {
            let (piece, after) = rest.split_at(rest.len().min(usize::from(first % 64) + 1));
            rest = after;
            trickle.push(piece);
            got = trickle.next_packet();
        }
        assert_eq!(got, expected);
        let Ok(Some(packet)) = expected else { return };
        whole = whole.strip_prefix(&packet[..]).expect("packets in their order");
    }
}

/// Of the same length, zero or as it was, with nothing left to mask; and no
/// secret that a reader would find.
fn masked(data: &[u8]) {
    let masked = mask_radius(data);
    assert_eq!(masked.len(), data.len());
    assert_eq!(mask_radius(&masked), masked);
    let Ok(packet) = Packet::parse(data) else {
        assert!(masked.iter().skip(4).all(|octet| *octet == 0));
        return;
    };
    let shown = Packet::parse(&masked).expect("a packet stays one");
    if matches!(packet.code, Code::AccessRequest | Code::StatusServer) {
        assert_eq!(shown.authenticator, packet.authenticator);
    } else {
        assert_eq!(shown.authenticator, [0; 16]);
    }
    assert_eq!(shown.attributes().count(), packet.attributes().count());
    for (new, old) in shown.attributes().zip(packet.attributes()) {
        assert_eq!((new.id, new.value.len()), (old.id, old.value.len()));
        if is_secret(old.id) {
            assert!(new.value.iter().all(|octet| *octet == 0), "{} is shown", old.id);
        } else {
            assert_eq!(new.value, old.value);
        }
    }
    assert!(masked[shown.octets().len()..].iter().all(|octet| *octet == 0));
}

fn is_secret(id: AttributeId) -> bool {
    SECRETS.iter().any(|(vendor, numbers)| *vendor == id.vendor && numbers.contains(&id.number))
}

/// Names and values as a report has them.
fn names(id: AttributeId, value: &[u8]) {
    let (name, text) = (dictionary::name(id), dictionary::describe(id, value));
    assert!(is_printable(&name) && name.len() <= 64, "{name:?}");
    assert!(is_printable(&text) && text.len() <= 4 * MAX_VALUE + 20, "{text:?}");
    assert_eq!(dictionary::parse_id(&name), Ok(id));
    let Some(known) = dictionary::by_id(id) else { return };
    if known.secret {
        assert!(is_secret(id) && text == "(hidden)", "{name} is shown");
    } else if !matches!(known.kind, Kind::Text | Kind::Octets) {
        // What is shown is what can be asked for, unless it is not of its kind.
        match format!("{name}={text}").parse::<Expectation>() {
            _ if text.starts_with("0x") => {}
            Ok(expected) => assert!(expected.matches(value), "{text} is something else"),
            Err(_) => assert!(
                text.contains(" (tag ") || known.kind == Kind::Prefix6,
                "{text} cannot be asked for"
            ),
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'|')
}

/// Names and values as an operator writes them.
fn texts(text: &str) {
    let expected = text.parse::<Expectation>();
    if let Ok(expected) = &expected {
        assert_eq!(dictionary::parse_id(&dictionary::name(expected.id)), Ok(expected.id));
        assert!(is_printable(&expected.to_string()));
        expected.matches(text.as_bytes());
    }
    if let Ok((id, octets)) = dictionary::parse_assignment(text) {
        assert!(!octets.is_empty() && octets.len() <= MAX_VALUE);
        let expected = expected.expect("what can be sent can be asked for");
        assert!(expected.id == id && expected.matches(&octets), "{text:?} is not {octets:?}");
        names(id, &octets);
    }
}

/// Passwords and keys: of any octets, what comes out can be hidden again.
fn hidden(data: &[u8]) {
    let mut input = Cursor::new(data);
    let length = usize::from(input.u8().unwrap_or(0)) % 80;
    let secret = SharedSecret::new(Secret::new(input.take(length).to_vec()));
    let mut authenticator = [0; 16];
    authenticator.fill_with(|| input.u8().unwrap_or(0));
    let rest = input.take(data.len());
    if let Some(password) = secret.reveal_password(rest, &authenticator) {
        assert!(rest.starts_with(&secret.hide_password(&password, &authenticator)));
    }
    if let Some(key) = secret.reveal_key(rest, &authenticator)
        && key.len() <= 239
    {
        let again = secret.hide_key(&key, [rest[0], rest[1]], &authenticator);
        assert_eq!(secret.reveal_key(&again, &authenticator), Some(key));
    }
    let mut signed = data.to_vec();
    let digest = secret.response_authenticator(&signed, &authenticator);
    if let Some(place) = signed.get_mut(4..HEADER_LENGTH) {
        place.copy_from_slice(&digest);
    }
    assert_eq!(secret.is_response(&signed, &authenticator), data.len() >= HEADER_LENGTH);
    let at = data.len() / 2;
    let digest = secret.message_authenticator(&signed, &authenticator, at);
    if at >= HEADER_LENGTH {
        signed[at..at + 16].copy_from_slice(&digest);
        assert!(secret.is_signed(&signed, &authenticator, at));
    }
}
