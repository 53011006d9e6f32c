use super::*;
use crate::oid::MAX_LENGTH;
use proptest::prelude::*;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// The one PDU in `octets`.
fn parse<T>(octets: &[u8], see: impl FnOnce(Result<Pdu<'_>>) -> T) -> T {
    let mut framer = Framer::default();
    framer.push(octets);
    let seen = see(framer.next_frame().unwrap().expect("a whole PDU").parse());
    assert_eq!(framer.next_frame(), Ok(None));
    seen
}

fn emit(pdu: &Pdu<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    pdu.emit(&mut out);
    out
}

fn both_ways(octets: &[u8], header: Header, message: Message<'_>) {
    let pdu = Pdu { header, context: None, message };
    parse(octets, |parsed| assert_eq!(parsed, Ok(pdu.clone())));
    assert_eq!(emit(&pdu), octets);
}

/// As Net-SNMP writes it on a little-endian machine.
fn header(session_id: u32, transaction_id: u32, packet_id: u32) -> Header {
    Header { byte_order: ByteOrder::Little, session_id, transaction_id, packet_id }
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

fn varbind<'a>(name: &str, value: Value<'a>) -> VarBind<'a> {
    VarBind { name: oid(name), value }
}

#[test]
fn session_of_agentxtrap() {
    both_ways(
        &octets("01010000 00000000 00000000 01000000 0c000000 00000000 00000000 00000000"),
        header(0, 0, 1),
        Message::Open { timeout: 0, id: Oid::default(), description: Octets::copy(b"") },
    );
    let mut notify = octets(
        "010c0000 06000000 00000000 02000000 a0000000
         06000000 06060000 03000000 01000000 01000000 04000000 01000000 00000000
         07040100 01000000 881f0000 0f270000 0f270000 bb060000 00000000 01000000
         02000000 08040000 01000000 881f0000 0f270000 0f270000 bb060000 01000000 01000000
         00000000 f9ffffff
         04000000 08040000 01000000 881f0000 0f270000 0f270000 bb060000 01000000 02000000
         00000000 06000000 6f637465 74730000",
    );
    let varbinds = vec![
        varbind(
            "1.3.6.1.6.3.1.1.4.1.0",
            Value::ObjectIdentifier(oid("1.3.6.1.4.1.8072.9999.9999.1723.0.1")),
        ),
        varbind("1.3.6.1.4.1.8072.9999.9999.1723.1.1.0", Value::Integer(-7)),
        varbind("1.3.6.1.4.1.8072.9999.9999.1723.1.2.0", Value::from("octets")),
    ];
    let message = Message::Notify { varbinds };
    parse(&notify, |parsed| assert_eq!(parsed.unwrap().message, message));
    // Net-SNMP sets the include field in a value, where it says nothing.
    assert_eq!(std::mem::take(&mut notify[54]), 1);
    both_ways(&notify, header(6, 0, 2), message);
    both_ways(
        &octets("01020000 06000000 00000000 03000000 04000000 05000000"),
        header(6, 0, 3),
        Message::Close { reason: CloseReason::Shutdown },
    );
    both_ways(
        &octets("01120000 06000000 00000000 03000000 08000000 0f000000 00000000"),
        header(6, 0, 3),
        Message::Response { sys_up_time: 15, error: ErrorStatus::None, index: 0, varbinds: vec![] },
    );
}

#[test]
fn session_of_snmpd_as_subagent() {
    both_ways(
        &octets(
            "01010000 00000000 00000000 1f886441 3c000000 01000000
             05040000 01000000 881f0000 03000000 02000000 0a000000
             19000000 4e65742d 534e4d50 20416765 6e745820 7375622d 6167656e 74000000",
        ),
        header(0, 0, 0x4164_881f),
        Message::Open {
            timeout: 1,
            id: oid("1.3.6.1.4.1.8072.3.2.10"),
            description: Octets::copy(b"Net-SNMP AgentX sub-agent"),
        },
    );
    let region = |priority, subtree| Region { priority, subtree: oid(subtree), range: None };
    both_ways(
        &octets(
            "01030000 08000000 00000000 20886441 14000000 007f0000
             03020000 01000000 01000000 01000000",
        ),
        header(8, 0, 0x4164_8820),
        Message::Register { instance: false, timeout: 0, region: region(127, "1.3.6.1.2.1.1.1") },
    );
    both_ways(
        &octets(
            "01030100 08000000 00000000 27886441 28000000 00ff0000
             08040000 01000000 881f0000 0f270000 0f270000 bb060000 09000000 01000000 00000000",
        ),
        header(8, 0, 0x4164_8827),
        Message::Register {
            instance: true,
            timeout: 0,
            region: region(255, "1.3.6.1.4.1.8072.9999.9999.1723.9.1.0"),
        },
    );
}

#[test]
fn requests_of_snmpd() {
    let name = "08040000 01000000 881f0000 0f270000 0f270000 bb060000 09000000";
    let ours = "1.3.6.1.4.1.8072.9999.9999.1723.9";
    let range = |start: &str, include, end: Option<&str>| SearchRange {
        start: oid(&format!("{ours}.{start}")),
        include,
        end: end.map(|end| oid(&format!("{ours}.{end}"))),
    };
    both_ways(
        &octets(&format!(
            "01050000 08000000 01000000 02000000 50000000
             {name} 01000000 00000000 00000000 {name} 02000000 00000000 00000000",
        )),
        header(8, 1, 2),
        Message::Get { ranges: vec![range("1.0", false, None), range("2.0", false, None)] },
    );
    let included = name.replacen("0804000", "0804010", 1);
    both_ways(
        &octets(&format!(
            "01060000 08000000 03000000 05000000 48000000
             {included} 01000000 00000000 {name} 01000000 01000000",
        )),
        header(8, 3, 5),
        Message::GetNext { ranges: vec![range("1.0", true, Some("1.1"))] },
    );
    both_ways(
        &octets(&format!(
            "01080000 08000000 0d000000 0e000000 2c000000
             02000000 {name} 01000000 00000000 05000000",
        )),
        header(8, 13, 14),
        Message::TestSet { varbinds: vec![varbind(&format!("{ours}.1.0"), Value::Integer(5))] },
    );
    both_ways(
        &octets("01090000 08000000 0d000000 0f000000 00000000"),
        header(8, 13, 15),
        Message::CommitSet,
    );
    both_ways(
        &octets("010b0000 08000000 0d000000 10000000 00000000"),
        header(8, 13, 16),
        Message::CleanupSet,
    );
}

#[test]
fn snmpd_in_network_byte_order() {
    let header = |transaction_id, packet_id| Header {
        byte_order: ByteOrder::Network,
        session_id: 6,
        transaction_id,
        packet_id,
    };
    let name = "00000001 00001f88 0000270f 0000270f 000006bb 00000009";
    let ours = "1.3.6.1.4.1.8072.9999.9999.1723.9";
    both_ways(
        &octets(&format!(
            "01051000 00000006 00000001 00000002 00000028
             08040000 {name} 00000001 00000000 00000000",
        )),
        header(1, 2),
        Message::Get {
            ranges: vec![SearchRange {
                start: oid(&format!("{ours}.1.0")),
                include: false,
                end: None,
            }],
        },
    );
    both_ways(
        &octets(&format!(
            "01061000 00000006 00000003 00000004 00000040
             06040000 {name} 08040000 {name} 00000005 00000001",
        )),
        header(3, 4),
        Message::GetNext {
            ranges: vec![SearchRange {
                start: oid(ours),
                include: false,
                end: Some(oid(&format!("{ours}.5.1"))),
            }],
        },
    );
    both_ways(
        &octets(&format!(
            "01081000 00000006 00000005 00000006 00000030
             00400000 08040000 {name} 00000001 00000000 00000004 c0000201",
        )),
        header(5, 6),
        Message::TestSet {
            varbinds: vec![varbind(&format!("{ours}.1.0"), Value::IpAddress([192, 0, 2, 1]))],
        },
    );
}

/// Requests that snmpd took, or refused for what they ask, and its answers.
#[test]
fn requests_that_snmpd_understood() {
    let header = |packet_id| Header {
        byte_order: ByteOrder::Network,
        session_id: 6,
        transaction_id: 0,
        packet_id,
    };
    let name = "00000001 00001f88 0000270f 0000270f 000006bb 00000009";
    let ours = "1.3.6.1.4.1.8072.9999.9999.1723.9";
    let region = |subtree: &str, range| Region { priority: 127, subtree: oid(subtree), range };
    let index = "05020000 00000001 00000002 00000002 00000001 00000001 00000007";
    let varbinds = || vec![varbind("1.3.6.1.2.1.2.2.1.1", Value::Integer(7))];
    let requests = [
        (
            3,
            format!("01031000 00000006 00000000 00000003 00000020 007f0000 06040000 {name}"),
            Message::Register { instance: false, timeout: 0, region: region(ours, None) },
            ErrorStatus::DuplicateRegistration,
            format!(
                "01121000 00000006 00000000 00000003 00000028
                 00000009 01070000 00050000 06040000 {name}",
            ),
            varbind(ours, Value::Null),
        ),
        (
            5,
            format!(
                "01101000 00000006 00000000 00000005 00000028
                 06040000 {name} 00000005 7461626c 65000000",
            ),
            Message::AddAgentCaps { id: oid(ours), description: Octets::copy(b"table") },
            ErrorStatus::None,
            format!(
                "01121000 00000006 00000000 00000005 00000034 00000009 00000000
                 00040000 06040000 {name} 00000005 7461626c 65000000",
            ),
            varbind(ours, Value::from("table")),
        ),
        (
            6,
            format!(
                "01041000 00000006 00000000 00000006 00000024
                 007f0000 07040000 {name} 00000007",
            ),
            Message::Unregister { region: region(&format!("{ours}.7"), None) },
            ErrorStatus::UnknownRegistration,
            format!(
                "01121000 00000006 00000000 00000006 0000002c
                 00000009 01080000 00050000 07040000 {name} 00000007",
            ),
            varbind(&format!("{ours}.7"), Value::Null),
        ),
        (
            7,
            format!("01111000 00000006 00000000 00000007 00000020 07040000 {name} 00000007"),
            Message::RemoveAgentCaps { id: oid(&format!("{ours}.7")) },
            ErrorStatus::UnknownAgentCaps,
            format!(
                "01121000 00000006 00000000 00000007 0000002c
                 00000009 01090000 00050000 07040000 {name} 00000007",
            ),
            varbind(&format!("{ours}.7"), Value::Null),
        ),
        (
            11,
            format!("010e1000 00000006 00000000 0000000b 00000020 00020000 {index}"),
            Message::IndexAllocate { new_index: false, any_index: false, varbinds: varbinds() },
            ErrorStatus::IndexNoneAvailable,
            format!(
                "01121000 00000006 00000000 0000000b 00000028
                 00000009 01040000 00020000 {index}",
            ),
            varbinds().remove(0),
        ),
        (
            12,
            format!("010f1000 00000006 00000000 0000000c 00000020 00020000 {index}"),
            Message::IndexDeallocate { varbinds: varbinds() },
            ErrorStatus::None,
            format!(
                "01121000 00000006 00000000 0000000c 00000028
                 00000009 00000000 00020000 {index}",
            ),
            varbinds().remove(0),
        ),
    ];
    for (packet_id, request, message, error, response, echoed) in requests {
        both_ways(&octets(&request), header(packet_id), message);
        let varbinds = vec![echoed];
        let message = Message::Response { sys_up_time: 9, error, index: 0, varbinds };
        both_ways(&octets(&response), header(packet_id), message);
    }
    both_ways(&octets("010d1000 00000006 00000000 00000008 00000000"), header(8), Message::Ping);
    let range = Some(Range { subid: 12, upper_bound: 9 });
    both_ways(
        &octets(&format!(
            "01031000 00000006 00000000 00000009 0000002c
             007f0c00 08040000 {name} 00000005 00000001 00000009",
        )),
        header(9),
        Message::Register {
            instance: false,
            timeout: 0,
            region: region(&format!("{ours}.5.1"), range),
        },
    );
}

#[test]
fn answers_of_snmpd_as_subagent() {
    let name = "08040000 01000000 881f0000 0f270000 0f270000 bb060000 09000000";
    let ours = "1.3.6.1.4.1.8072.9999.9999.1723.9";
    let found = octets(&format!(
        "01120000 08000000 01000000 02000000 68000000 00000000 00000000
         02000000 {name} 01000000 00000000 2a000000
         04000000 {name} 02000000 00000000 07000000 73657665 6e373700",
    ));
    let varbinds = vec![
        varbind(&format!("{ours}.1.0"), Value::Integer(42)),
        varbind(&format!("{ours}.2.0"), Value::from("seven77")),
    ];
    let mut out = Vec::new();
    let mut response = ResponseWriter::new(&mut out, &header(8, 1, 2));
    for VarBind { name, value } in &varbinds {
        assert!(response.varbind(name, value, MAX_PDU));
    }
    response.finish();
    assert_eq!(out, found);
    let message =
        Message::Response { sys_up_time: 0, error: ErrorStatus::None, index: 0, varbinds };
    both_ways(&found, header(8, 1, 2), message);

    let end = octets(&format!(
        "01120000 08000000 07000000 08000000 30000000 00000000 00000000
         82000000 {name} 01000000 00000000",
    ));
    let varbinds = vec![varbind(&format!("{ours}.1.0"), Value::EndOfMibView)];
    let message =
        Message::Response { sys_up_time: 0, error: ErrorStatus::None, index: 0, varbinds };
    both_ways(&end, header(8, 7, 8), message);

    let failed = octets("01120000 08000000 11000000 13000000 08000000 00000000 11000100");
    let mut out = Vec::new();
    let mut response = ResponseWriter::new(&mut out, &header(8, 17, 19));
    assert!(response.varbind(&oid("1.3"), &Value::Null, MAX_PDU));
    response.fail(ErrorStatus::NotWritable, 1);
    response.finish();
    assert_eq!(out, failed);
}

#[test]
fn a_variable_without_room_leaves_no_octet() {
    let (name, value) = (oid("1.3.6.1.2.1"), Value::from("0123456789"));
    let mut whole = Vec::new();
    let mut response = ResponseWriter::new(&mut whole, &header(1, 1, 1));
    assert!(response.varbind(&name, &value, MAX_PDU));
    response.finish();

    let mut out = Vec::new();
    let mut response = ResponseWriter::new(&mut out, &header(1, 1, 1));
    assert!(response.varbind(&name, &value, whole.len()));
    assert!(!response.varbind(&name, &value, whole.len() * 2 - RESPONSE_LENGTH - 1));
    response.finish();
    assert_eq!(out, whole);
}

#[test]
fn headers_that_end_the_stream() {
    let cases = [
        ("02", Error::BadValue { what: "h.version", value: 2 }),
        ("00", Error::BadValue { what: "h.version", value: 0 }),
        (
            "010d0000 01000000 01000000 01000000 06000000",
            Error::BadLength { what: "h.payload_length", length: 6 },
        ),
        (
            "010d1000 00000001 00000001 00000001 fffffffc",
            Error::BadLength { what: "h.payload_length", length: 0xffff_fffc },
        ),
    ];
    for (hex, error) in cases {
        let mut framer = Framer::default();
        framer.push(&octets(hex));
        assert_eq!(framer.next_frame(), Err(error.clone()));
        // Nothing that follows mends it.
        framer.push(&[1; 64]);
        assert_eq!(framer.next_frame(), Err(error));
    }
}

#[test]
fn payloads_that_are_refused() {
    let cases = [
        // A type nobody knows.
        ("01130000 01000000 01000000 01000000 00000000", "value 0x13 is impossible for h.type"),
        ("01ff0000 01000000 01000000 01000000 00000000", "value 0xff is impossible for h.type"),
        // An IpAddress of five octets.
        (
            "01080000 01000000 01000000 01000000 14000000
             40000000 00000000 05000000 01020304 05000000",
            "length 5 is impossible for IpAddress",
        ),
        // A value of a type that SNMP has no more.
        (
            "01080000 01000000 01000000 01000000 08000000 45000000 00000000",
            "value 0x45 is impossible for v.type",
        ),
        // An Octet String of 2^32 - 1 octets.
        (
            "010d0800 01000000 01000000 01000000 04000000 ffffffff",
            "payload needs 4294967295 octets, 0 are there",
        ),
        // A Register whose running sub-identifier is not there.
        (
            "01030000 01000000 01000000 01000000 10000000 007f0200 01000000 01000000 09000000",
            "value 0x2 is impossible for r.range_subid",
        ),
        // Something behind the end.
        (
            "010d0000 01000000 01000000 01000000 04000000 00000000",
            "4 octets left over behind payload",
        ),
    ];
    for (hex, text) in cases {
        parse(&octets(hex), |parsed| assert_eq!(parsed.unwrap_err().to_string(), text));
    }
}

#[test]
fn identifiers_longer_than_128_are_refused() {
    let get = |count: u8, prefix: u8| {
        let mut pdu = octets("01050000 01000000 01000000 01000000 00000000");
        pdu.extend([count, prefix, 0, 0]);
        pdu.extend([0; 4].repeat(count.into()));
        pdu.extend([0; 4]);
        let length = (pdu.len() - HEADER_LENGTH) as u32;
        pdu[PAYLOAD_LENGTH..HEADER_LENGTH].copy_from_slice(&length.to_le_bytes());
        pdu
    };
    for (count, prefix) in [(128, 0), (123, 4)] {
        parse(&get(count, prefix), |parsed| assert!(parsed.is_ok()));
    }
    for (count, prefix) in [(129, 0), (255, 0), (124, 4)] {
        let length = usize::from(count);
        parse(&get(count, prefix), |parsed| {
            assert_eq!(parsed, Err(Error::BadLength { what: "n_subid", length }));
        });
    }
}

fn any_oid() -> impl Strategy<Value = Oid> {
    let ids = prop::collection::vec(any::<u32>(), 0..=MAX_LENGTH);
    let free = ids.prop_map(|ids| Oid::try_from(&ids[..]).unwrap());
    let internet =
        (0..=256u32, prop::collection::vec(any::<u32>(), 0..16)).prop_map(|(arc, ids)| {
            let mut oid = Oid::from([1, 3, 6, 1, arc]);
            oid.append(&ids).unwrap();
            oid
        });
    prop_oneof![internet, free]
}

fn any_octets() -> impl Strategy<Value = Octets<'static>> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|octets| Octets::copy(&octets))
}

fn any_varbinds() -> impl Strategy<Value = Vec<VarBind<'static>>> {
    let value = prop_oneof![
        any::<i32>().prop_map(Value::Integer),
        any_octets().prop_map(Value::OctetString),
        Just(Value::Null),
        any_oid().prop_map(Value::ObjectIdentifier),
        any::<[u8; 4]>().prop_map(Value::IpAddress),
        any::<u32>().prop_map(Value::Counter32),
        any::<u32>().prop_map(Value::Gauge32),
        any::<u32>().prop_map(Value::TimeTicks),
        any_octets().prop_map(Value::Opaque),
        any::<u64>().prop_map(Value::Counter64),
        Just(Value::NoSuchObject),
        Just(Value::NoSuchInstance),
        Just(Value::EndOfMibView),
    ];
    let varbind = (any_oid(), value).prop_map(|(name, value)| VarBind { name, value });
    prop::collection::vec(varbind, 0..5)
}

fn any_ranges() -> impl Strategy<Value = Vec<SearchRange>> {
    let end = any_oid().prop_map(|end| Some(end).filter(|end| !end.is_empty()));
    let range = (any_oid(), any::<bool>(), end).prop_map(|(start, include, end)| SearchRange {
        start,
        include,
        end,
    });
    prop::collection::vec(range, 0..5)
}

fn any_region() -> impl Strategy<Value = Region> {
    (any::<u8>(), any_oid(), any::<u8>(), any::<u32>()).prop_map(
        |(priority, subtree, subid, upper_bound)| {
            let fits = subid != 0 && usize::from(subid) <= subtree.len();
            Region { priority, subtree, range: fits.then_some(Range { subid, upper_bound }) }
        },
    )
}

fn any_message() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        (any::<u8>(), any_oid(), any_octets())
            .prop_map(|(timeout, id, description)| Message::Open { timeout, id, description }),
        any::<u8>().prop_map(|reason| Message::Close { reason: reason.into() }),
        (any::<bool>(), any::<u8>(), any_region()).prop_map(|(instance, timeout, region)| {
            Message::Register { instance, timeout, region }
        }),
        any_region().prop_map(|region| Message::Unregister { region }),
        any_ranges().prop_map(|ranges| Message::Get { ranges }),
        any_ranges().prop_map(|ranges| Message::GetNext { ranges }),
        (any::<u16>(), any::<u16>(), any_ranges()).prop_map(
            |(non_repeaters, max_repetitions, ranges)| Message::GetBulk {
                non_repeaters,
                max_repetitions,
                ranges
            }
        ),
        any_varbinds().prop_map(|varbinds| Message::TestSet { varbinds }),
        Just(Message::CommitSet),
        Just(Message::UndoSet),
        Just(Message::CleanupSet),
        any_varbinds().prop_map(|varbinds| Message::Notify { varbinds }),
        Just(Message::Ping),
        (any::<bool>(), any::<bool>(), any_varbinds()).prop_map(
            |(new_index, any_index, varbinds)| Message::IndexAllocate {
                new_index,
                any_index,
                varbinds
            }
        ),
        any_varbinds().prop_map(|varbinds| Message::IndexDeallocate { varbinds }),
        (any_oid(), any_octets())
            .prop_map(|(id, description)| Message::AddAgentCaps { id, description }),
        any_oid().prop_map(|id| Message::RemoveAgentCaps { id }),
        (any::<u32>(), any::<u16>(), any::<u16>(), any_varbinds()).prop_map(
            |(sys_up_time, error, index, varbinds)| Message::Response {
                sys_up_time,
                error: error.into(),
                index,
                varbinds
            }
        ),
    ]
}

prop_compose! {
    fn any_pdu()(
        message in any_message(),
        network in any::<bool>(),
        session_id in any::<u32>(),
        transaction_id in any::<u32>(),
        packet_id in any::<u32>(),
        context in prop::option::of(any_octets()),
    ) -> Pdu<'static> {
        let byte_order = if network { ByteOrder::Network } else { ByteOrder::Little };
        Pdu {
            header: Header { byte_order, session_id, transaction_id, packet_id },
            context: context.filter(|_| has_context(message.pdu_type())),
            message,
        }
    }
}

proptest! {
    #[test]
    fn every_pdu_comes_back(pdu in any_pdu()) {
        let octets = emit(&pdu);
        prop_assert_eq!(octets.len() % 4, 0);
        parse(&octets, |parsed| {
            prop_assert_eq!(parsed, Ok(pdu));
            Ok(())
        })?;
    }

    #[test]
    fn every_prefix_waits_for_the_rest(pdu in any_pdu()) {
        let octets = emit(&pdu);
        let mut framer = Framer::default();
        for (i, &octet) in octets.iter().enumerate() {
            prop_assert_eq!(framer.next_frame(), Ok(None), "{} octets", i);
            framer.push(&[octet]);
        }
        prop_assert_eq!(framer.next_frame().unwrap().unwrap().parse(), Ok(pdu));
    }

    #[test]
    fn every_truncated_payload_is_an_error_or_a_shorter_list(pdu in any_pdu()) {
        let mut octets = emit(&pdu);
        while octets.len() > HEADER_LENGTH {
            octets.truncate(octets.len() - 4);
            let length = (octets.len() - HEADER_LENGTH) as u32;
            octets[PAYLOAD_LENGTH..HEADER_LENGTH].copy_from_slice(&match pdu.header.byte_order {
                ByteOrder::Network => length.to_be_bytes(),
                ByteOrder::Little => length.to_le_bytes(),
            });
            parse(&octets, |parsed| {
                match parsed {
                    Ok(parsed) => prop_assert_eq!(&emit(&parsed), &octets),
                    Err(error) => {
                        let truncated = matches!(error, Error::Truncated { .. });
                        prop_assert!(truncated, "{}", error);
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn two_pdus_in_one_read_are_two(first in any_pdu(), second in any_pdu(), cut in any::<prop::sample::Index>()) {
        let mut octets = emit(&first);
        second.emit(&mut octets);
        let (head, tail) = octets.split_at(cut.index(octets.len()));
        let mut framer = Framer::default();
        let mut seen = 0;
        for part in [head, tail] {
            framer.push(part);
            while let Some(frame) = framer.next_frame().unwrap() {
                prop_assert_eq!(&frame.parse().unwrap(), [&first, &second][seen]);
                seen += 1;
            }
        }
        prop_assert_eq!(seen, 2);
    }

    #[test]
    fn arbitrary_streams_do_no_harm(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let mut framer = Framer::default();
        for part in parts {
            framer.push(&part);
            while let Ok(Some(frame)) = framer.next_frame() {
                let _ = frame.parse();
            }
        }
    }

    #[test]
    fn arbitrary_payloads_do_no_harm(
        kind in 0..20u8,
        flags in any::<u8>(),
        mut payload in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..256),
    ) {
        payload.truncate(payload.len() & !3);
        let mut octets = vec![VERSION, kind, flags, 0];
        octets.extend([0; 12]);
        octets.extend(match flags & NETWORK_BYTE_ORDER {
            0 => (payload.len() as u32).to_le_bytes(),
            _ => (payload.len() as u32).to_be_bytes(),
        });
        octets.extend(payload);
        // What is taken for a PDU is one.
        parse(&octets, |parsed| {
            if let Ok(pdu) = parsed {
                parse(&emit(&pdu), |again| assert_eq!(again, Ok(pdu.clone())));
            }
        });
    }
}
