use super::*;
use proptest::prelude::*;

fn octets(hex: &str, length: usize) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut octets: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    octets.resize(length, 0);
    octets
}

fn both_ways(octets: &[u8], message: &Message) {
    assert_eq!(Message::parse(octets).as_ref(), Ok(message));
    assert_eq!(message.emit(), octets);
}

#[test]
fn start_request_of_pptp_linux() {
    let mut captured =
        octets("009c00011a2b3c4d0001000001000000 0000000300000003ffff0001 6c6f63616c", 156);
    captured[92..100].copy_from_slice(b"cananian");
    both_ways(
        &captured,
        &Message::StartRequest(StartRequest {
            protocol_version: VERSION,
            framing_capabilities: FRAMING_ASYNC | FRAMING_SYNC,
            bearer_capabilities: BEARER_ANALOG | BEARER_DIGITAL,
            maximum_channels: 0xffff,
            firmware_revision: 1,
            host_name: b"local".to_vec(),
            vendor_name: b"cananian".to_vec(),
        }),
    );
}

#[test]
fn start_reply_of_pptpd() {
    let mut captured =
        octets("009c00011a2b3c4d0002000001000100 000000000000000000010001 6c6f63616c", 156);
    captured[92..97].copy_from_slice(b"linux");
    both_ways(
        &captured,
        &Message::StartReply(StartReply {
            protocol_version: VERSION,
            result: StartResult::Success,
            error: GeneralError::None,
            framing_capabilities: 0,
            bearer_capabilities: 0,
            maximum_channels: 1,
            firmware_revision: 1,
            host_name: b"local".to_vec(),
            vendor_name: b"linux".to_vec(),
        }),
    );
}

#[test]
fn outgoing_call_of_pptp_linux_and_pptpd() {
    both_ways(
        &octets("00a800011a2b3c4d00070000 d78d0000 00000960 00989680 00000003 00000003 0003", 168),
        &Message::OutgoingCallRequest(OutgoingCallRequest {
            call_id: 0xd78d,
            call_serial_number: 0,
            minimum_bps: 2400,
            maximum_bps: 10_000_000,
            bearer_type: 3,
            framing_type: 3,
            packet_recv_window_size: 3,
            packet_processing_delay: 0,
            phone_number: vec![],
            subaddress: vec![],
        }),
    );
    both_ways(
        &octets("002000011a2b3c4d000800000000d78d01000000009896800003000000000000", 32),
        &Message::OutgoingCallReply(OutgoingCallReply {
            call_id: 0,
            peer_call_id: 0xd78d,
            result: OutgoingCallResult::Connected,
            error: GeneralError::None,
            cause: CauseCode::None,
            connect_speed: 10_000_000,
            packet_recv_window_size: 3,
            packet_processing_delay: 0,
            physical_channel_id: 0,
        }),
    );
    both_ways(
        &octets("001000011a2b3c4d000c0000d78d0000", 16),
        &Message::CallClearRequest { call_id: 0xd78d },
    );
}

/// Field by field from the diagrams of RFC 2637, sections 2.3 to 2.6 and
/// 2.9 to 2.15.
#[test]
fn remaining_messages_as_the_rfc_draws_them() {
    both_ways(
        &octets("001000011a2b3c4d00030000 03 000000", 16),
        &Message::StopRequest { reason: StopReason::LocalShutdown },
    );
    both_ways(
        &octets("001000011a2b3c4d00040000 02 06 0000", 16),
        &Message::StopReply { result: SimpleResult::GeneralError, error: GeneralError::PacError },
    );
    both_ways(
        &octets("001000011a2b3c4d00050000 01020304", 16),
        &Message::EchoRequest { identifier: 0x0102_0304 },
    );
    both_ways(
        &octets("001400011a2b3c4d00060000 01020304 01 00 0000", 20),
        &Message::EchoReply {
            identifier: 0x0102_0304,
            result: SimpleResult::Ok,
            error: GeneralError::None,
        },
    );
    let mut incoming =
        octets("00dc00011a2b3c4d00090000 0102 0304 00000002 05060708 0002 0003", 220);
    incoming[28..30].copy_from_slice(b"12");
    incoming[92..95].copy_from_slice(b"345");
    incoming[156..158].copy_from_slice(b"67");
    both_ways(
        &incoming,
        &Message::IncomingCallRequest(IncomingCallRequest {
            call_id: 0x0102,
            call_serial_number: 0x0304,
            bearer_type: BEARER_DIGITAL,
            physical_channel_id: 0x0506_0708,
            dialed_number: b"12".to_vec(),
            dialing_number: b"345".to_vec(),
            subaddress: b"67".to_vec(),
        }),
    );
    both_ways(
        &octets("001800011a2b3c4d000a0000 0102 0304 03 00 0010 0005 0000", 24),
        &Message::IncomingCallReply(IncomingCallReply {
            call_id: 0x0102,
            peer_call_id: 0x0304,
            result: IncomingCallResult::DoNotAccept,
            error: GeneralError::None,
            packet_recv_window_size: 16,
            packet_transit_delay: 5,
        }),
    );
    both_ways(
        &octets("001c00011a2b3c4d000b0000 0102 0000 0000fa00 0010 0005 00000001", 28),
        &Message::IncomingCallConnected(IncomingCallConnected {
            peer_call_id: 0x0102,
            connect_speed: 64_000,
            packet_recv_window_size: 16,
            packet_transit_delay: 5,
            framing_type: FRAMING_ASYNC,
        }),
    );
    let mut notify = octets("009400011a2b3c4d000d0000 0102 04 00 0010 0000", 148);
    notify[20..24].copy_from_slice(b"bye!");
    both_ways(
        &notify,
        &Message::CallDisconnectNotify(CallDisconnectNotify {
            call_id: 0x0102,
            result: DisconnectResult::Request,
            error: GeneralError::None,
            cause: CauseCode::NormalClearing,
            call_statistics: b"bye!".to_vec(),
        }),
    );
    both_ways(
        &octets(
            "002800011a2b3c4d000e0000 0102 0000 00000001 00000002 00000003 00000004 00000005 00000006",
            40,
        ),
        &Message::WanErrorNotify(WanErrorNotify {
            peer_call_id: 0x0102,
            crc_errors: 1,
            framing_errors: 2,
            hardware_overruns: 3,
            buffer_overruns: 4,
            timeout_errors: 5,
            alignment_errors: 6,
        }),
    );
    both_ways(
        &octets("001800011a2b3c4d000f0000 0102 0000 ffffffff 000a0000", 24),
        &Message::SetLinkInfo {
            peer_call_id: 0x0102,
            send_accm: 0xffff_ffff,
            receive_accm: 0x000a_0000,
        },
    );
}

#[test]
fn every_prefix_is_truncated() {
    let octets = Message::CallClearRequest { call_id: 7 }.emit();
    for n in 0..octets.len() {
        assert!(matches!(Message::parse(&octets[..n]), Err(Error::Truncated { .. })), "{n}");
    }
}

#[test]
fn a_tail_and_a_wrong_length_are_named() {
    let mut octets = Message::CallClearRequest { call_id: 7 }.emit();
    octets.push(0);
    assert_eq!(
        Message::parse(&octets),
        Err(Error::BadLength { what: "Call-Clear-Request", length: 17 })
    );
    octets[1] = 17;
    assert!(matches!(Message::parse(&octets), Err(Error::BadLength { .. })));
}

#[test]
fn framer_takes_single_octets_and_two_messages_at_once() {
    let one = Message::EchoRequest { identifier: 1 };
    let two = Message::StopRequest { reason: StopReason::None };
    let stream = [one.emit(), two.emit()].concat();
    let mut framer = Framer::new();
    framer.push(&stream);
    assert_eq!(framer.next_message(), Ok(Some(one.clone())));
    assert_eq!(framer.next_message(), Ok(Some(two.clone())));
    assert_eq!(framer.next_message(), Ok(None));
    let mut seen = vec![];
    for octet in stream {
        framer.push(&[octet]);
        seen.extend(framer.next_message().unwrap());
    }
    assert_eq!(seen, [one, two]);
    assert_eq!(framer.pending(), 0);
}

#[test]
fn framer_recognises_a_foreign_protocol_by_eight_octets() {
    let mut framer = Framer::new();
    framer.push(b"SSH-2.0-");
    assert_eq!(
        framer.next_message(),
        Err(Error::BadValue { what: "magic cookie", value: 0x322e_302d })
    );
}

#[test]
fn framer_refuses_lengths_no_message_has() {
    for length in [0u16, 11, 221, 0xffff] {
        let mut octets = Message::EchoRequest { identifier: 1 }.emit();
        octets[..2].copy_from_slice(&length.to_be_bytes());
        let mut framer = Framer::new();
        framer.push(&octets);
        assert!(framer.next_message().is_err(), "{length}");
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1u8..=255, 0..=64)
}

fn message() -> impl Strategy<Value = Message> {
    let codes = (any::<u8>(), any::<u8>(), any::<u16>());
    let words = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>());
    let longs =
        (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    (1u16..=15, codes, words, longs, name(), name(), name()).prop_map(
        |(kind, (a, b, c), (w, x, y, z), (i, j, k, l, m, n), s, t, u)| match kind {
            1 => Message::StartRequest(StartRequest {
                protocol_version: w,
                framing_capabilities: i,
                bearer_capabilities: j,
                maximum_channels: x,
                firmware_revision: y,
                host_name: s,
                vendor_name: t,
            }),
            2 => Message::StartReply(StartReply {
                protocol_version: w,
                result: a.into(),
                error: b.into(),
                framing_capabilities: i,
                bearer_capabilities: j,
                maximum_channels: x,
                firmware_revision: y,
                host_name: s,
                vendor_name: t,
            }),
            3 => Message::StopRequest { reason: a.into() },
            4 => Message::StopReply { result: a.into(), error: b.into() },
            5 => Message::EchoRequest { identifier: i },
            6 => Message::EchoReply { identifier: i, result: a.into(), error: b.into() },
            7 => Message::OutgoingCallRequest(OutgoingCallRequest {
                call_id: w,
                call_serial_number: x,
                minimum_bps: i,
                maximum_bps: j,
                bearer_type: k,
                framing_type: l,
                packet_recv_window_size: y,
                packet_processing_delay: z,
                phone_number: s,
                subaddress: t,
            }),
            8 => Message::OutgoingCallReply(OutgoingCallReply {
                call_id: w,
                peer_call_id: x,
                result: a.into(),
                error: b.into(),
                cause: c.into(),
                connect_speed: i,
                packet_recv_window_size: y,
                packet_processing_delay: z,
                physical_channel_id: j,
            }),
            9 => Message::IncomingCallRequest(IncomingCallRequest {
                call_id: w,
                call_serial_number: x,
                bearer_type: i,
                physical_channel_id: j,
                dialed_number: s,
                dialing_number: t,
                subaddress: u,
            }),
            10 => Message::IncomingCallReply(IncomingCallReply {
                call_id: w,
                peer_call_id: x,
                result: a.into(),
                error: b.into(),
                packet_recv_window_size: y,
                packet_transit_delay: z,
            }),
            11 => Message::IncomingCallConnected(IncomingCallConnected {
                peer_call_id: w,
                connect_speed: i,
                packet_recv_window_size: y,
                packet_transit_delay: z,
                framing_type: j,
            }),
            12 => Message::CallClearRequest { call_id: w },
            13 => Message::CallDisconnectNotify(CallDisconnectNotify {
                call_id: w,
                result: a.into(),
                error: b.into(),
                cause: c.into(),
                call_statistics: [s, t].concat(),
            }),
            14 => Message::WanErrorNotify(WanErrorNotify {
                peer_call_id: w,
                crc_errors: i,
                framing_errors: j,
                hardware_overruns: k,
                buffer_overruns: l,
                timeout_errors: m,
                alignment_errors: n,
            }),
            _ => Message::SetLinkInfo { peer_call_id: w, send_accm: i, receive_accm: j },
        },
    )
}

proptest! {
    #[test]
    fn parse_of_emit_is_the_message(message in message()) {
        prop_assert_eq!(Message::parse(&message.emit()), Ok(message));
    }

    #[test]
    fn a_stream_in_any_pieces_gives_the_same_messages(
        messages in proptest::collection::vec(message(), 1..5), cuts in proptest::collection::vec(1usize..200, 0..40),
    ) {
        let stream = messages.iter().flat_map(Message::emit).collect::<Vec<_>>();
        let mut rest = &stream[..];
        let mut framer = Framer::new();
        let mut seen = vec![];
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            rest = tail;
            framer.push(piece);
            while let Some(message) = framer.next_message().unwrap() {
                seen.push(message);
            }
        }
        prop_assert_eq!(seen, messages);
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&octets);
        let mut framer = Framer::new();
        framer.push(&octets);
        while let Ok(Some(_)) = framer.next_message() {}
    }
}
