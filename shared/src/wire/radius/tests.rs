use proptest::prelude::*;

use super::samples::*;
use super::*;

fn list(packet: &Packet<'_>) -> Vec<(String, Vec<u8>)> {
    packet.attributes().map(|found| (found.id.to_string(), found.value.to_vec())).collect()
}

#[test]
fn rfc_2865_section_7_1_access_request_both_ways() {
    let octets = hex(TELNET_REQUEST);
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!((packet.code, packet.identifier), (Code::AccessRequest, 0));
    assert_eq!(packet.authenticator[..4], [0x0f, 0x40, 0x3f, 0x94]);
    assert_eq!(packet.find(id::USER_NAME), Some(&b"nemo"[..]));
    assert_eq!(packet.find(id::USER_PASSWORD).map(<[u8]>::len), Some(16));
    assert_eq!(packet.find(id::NAS_IP_ADDRESS), Some(&[192, 168, 1, 16][..]));
    let mut draft = Draft::new(packet.code, packet.identifier, &packet.authenticator);
    for attribute in packet.attributes() {
        draft.attribute(attribute.id, attribute.value);
    }
    assert_eq!(draft.finish().unwrap(), octets);
}

#[test]
fn rfc_2865_section_7_3_access_challenge() {
    let octets = hex(CHALLENGE);
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!((packet.code, packet.identifier), (Code::AccessChallenge, 2));
    let text = b"Challenge 32769430.  Enter response at prompt.";
    assert_eq!(packet.find(id::REPLY_MESSAGE), Some(&text[..]));
    assert_eq!(packet.find(id::STATE), Some(&b"32769430"[..]));
}

#[test]
fn octets_behind_the_length_are_padding() {
    let mut octets = hex(TELNET_REQUEST);
    octets.extend([7; 9]);
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.octets().len(), 56);
    assert_eq!(list(&packet).len(), 4);
}

#[test]
fn every_prefix_is_truncated() {
    let octets = hex(TELNET_REQUEST);
    for length in 0..octets.len() {
        let error = Packet::parse(&octets[..length]).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn impossible_lengths_are_named() {
    for (at, value, error) in [
        (3, 19, "length 19 is impossible for RADIUS packet"),
        (2, 0x20, "length 8248 is impossible for RADIUS packet"),
        (21, 1, "length 1 is impossible for RADIUS attribute"),
        (21, 0, "length 0 is impossible for RADIUS attribute"),
        (51, 9, "RADIUS packet needs 7 octets, 4 are there"),
    ] {
        let mut octets = hex(TELNET_REQUEST);
        octets[at] = value;
        assert_eq!(Packet::parse(&octets).unwrap_err().to_string(), error);
    }
}

fn packet_of(attributes: &[u8]) -> Vec<u8> {
    let mut octets = vec![2, 7, 0, (20 + attributes.len()) as u8];
    octets.extend([0; 16]);
    octets.extend(attributes);
    octets
}

#[test]
fn attributes_of_vendors_are_taken_apart() {
    // Two of Microsoft in one, then one of MikroTik.
    let octets = packet_of(
        b"\x1a\x0f\0\0\x01\x37\x07\x03A\x08\x06\0\0\0\x06\x1a\x0a\0\0\x3a\x8c\x08\x04ab\x01\x03u",
    );
    let packet = Packet::parse(&octets).unwrap();
    let expected =
        [("26.311.7", &b"A"[..]), ("26.311.8", &[0, 0, 0, 6]), ("26.14988.8", b"ab"), ("1", b"u")];
    let expected = expected.map(|(id, value)| (id.to_owned(), value.to_vec()));
    assert_eq!(list(&packet), expected);
}

#[test]
fn vendor_in_a_format_of_its_own_stays_whole() {
    for (inner, why) in [
        (&b"\0\0\x01\x37"[..], "no sub-attribute"),
        (b"\0\0\x01\x37\x07", "half a header"),
        (b"\0\0\x01\x37\x07\x01", "length below the header"),
        (b"\0\0\x01\x37\x07\x09A", "longer than its room"),
        (b"\0\0\x01\x37\x07\x03A\x07", "octets left over"),
        (b"\0\0\0\0\x07\x03A", "vendor 0"),
        (b"\0\0\x01", "no vendor"),
        (b"", "nothing"),
    ] {
        let mut attribute = vec![26, inner.len() as u8 + 2];
        attribute.extend(inner);
        attribute.extend(b"\x01\x03u");
        let octets = packet_of(&attribute);
        let packet = Packet::parse(&octets).unwrap();
        let expected = [("26".to_owned(), inner.to_vec()), ("1".to_owned(), b"u".to_vec())];
        assert_eq!(list(&packet), expected, "{why}");
    }
}

#[test]
fn message_authenticator_is_found_where_it_stands() {
    let mut draft = Draft::new(Code::AccessRequest, 1, &[9; 16]);
    draft.attribute(id::USER_NAME, b"u");
    let at = draft.message_authenticator();
    let octets = draft.clone().finish().unwrap();
    assert_eq!((at, octets.len()), (25, 41));
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.message_authenticator(), Ok(Some(at)));
    draft.message_authenticator();
    let twice = draft.finish().unwrap();
    assert!(Packet::parse(&twice).unwrap().message_authenticator().is_err());
    let short = packet_of(&[80, 4, 0, 0]);
    assert!(Packet::parse(&short).unwrap().message_authenticator().is_err());
    let none = packet_of(&[]);
    assert_eq!(Packet::parse(&none).unwrap().message_authenticator(), Ok(None));
}

#[test]
fn long_values_are_cut_and_long_packets_refused() {
    let mut draft = Draft::new(Code::AccessRequest, 1, &[0; 16]);
    draft.attribute(id::USER_NAME, &[b'a'; 300]);
    draft.attribute(id::MS_CHAP_ERROR, &[b'b'; 300]);
    let octets = draft.clone().finish().unwrap();
    let packet = Packet::parse(&octets).unwrap();
    let lengths: Vec<_> = packet.attributes().map(|attribute| attribute.value.len()).collect();
    assert_eq!(lengths, [MAX_VALUE, MAX_VENDOR_VALUE]);
    for _ in 0..16 {
        draft.attribute(id::USER_NAME, &[b'a'; 300]);
    }
    assert!(draft.finish().is_err());
}

#[test]
fn stream_is_cut_however_it_comes() {
    let packets = [hex(TELNET_REQUEST), packet_of(&[]), hex(CHALLENGE)];
    let stream = packets.concat();
    for piece in [1, 3, 19, 20, 21, 60, 200] {
        let mut framer = Framer::default();
        let mut found = Vec::new();
        for octets in stream.chunks(piece) {
            framer.push(octets);
            while let Some(packet) = framer.next_packet().unwrap() {
                found.push(packet);
            }
        }
        assert_eq!(found, packets, "pieces of {piece}");
    }
}

#[test]
fn stream_with_an_impossible_length_is_lost() {
    for length in [0u16, 19, 4097, 65535] {
        let mut framer = Framer::default();
        framer.push(&[2, 1]);
        framer.push(&length.to_be_bytes());
        assert!(framer.next_packet().is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::parse(&octets) {
            let _ = packet.message_authenticator();
            prop_assert!(packet.attributes().map(|found| found.value.len()).sum::<usize>() <= 300);
        }
        let mut framer = Framer::default();
        framer.push(&octets);
        while let Ok(Some(_)) = framer.next_packet() {}
    }

    #[test]
    fn drafts_read_back(
        code: u8,
        identifier: u8,
        authenticator: [u8; 16],
        given in prop::collection::vec(
            (prop_oneof![Just(0u32), 1..=u32::MAX], any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)),
            0..12,
        ),
    ) {
        let mut draft = Draft::new(code.into(), identifier, &authenticator);
        let mut expected = Vec::new();
        for (vendor, number, value) in given {
            // What looks like a vendor's would come back taken apart.
            if (vendor, number) != (0, 26) {
                draft.attribute(AttributeId { vendor, number }, &value);
                expected.push((AttributeId { vendor, number }.to_string(), value));
            }
        }
        let octets = draft.finish().unwrap();
        let packet = Packet::parse(&octets).unwrap();
        prop_assert_eq!((u8::from(packet.code), packet.identifier), (code, identifier));
        prop_assert_eq!(packet.authenticator, authenticator);
        prop_assert_eq!(list(&packet), expected);
    }
}
