use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn assigned(text: &str) -> (String, Vec<u8>) {
    let (id, octets) = parse_assignment(text).unwrap();
    (id.to_string(), octets)
}

fn refused(text: &str) -> String {
    parse_assignment(text).unwrap_err()
}

fn is_met(expected: &str, octets: &[u8]) -> bool {
    expected.parse::<Expectation>().unwrap().matches(octets)
}

/// What an operator would write to get these octets of this attribute.
fn written(id: AttributeId, octets: &[u8]) -> String {
    let text = describe(id, octets);
    match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (tag ")) {
        Some((value, tag)) => format!("{}:{tag}={value}", name(id)),
        None => format!("{}={text}", name(id)),
    }
}

#[test]
fn attributes_are_sorted_so_that_each_is_there_once() {
    assert!(DEFINITIONS.is_sorted_by(|a, b| a.id < b.id));
    for known in DEFINITIONS {
        assert_eq!(by_id(known.id).unwrap().name, known.name);
    }
}

#[test]
fn every_name_leads_to_its_own_attribute_in_any_case() {
    for known in DEFINITIONS {
        assert_eq!(parse_id(known.name), Ok(known.id));
        assert_eq!(parse_id(&known.name.to_ascii_uppercase()), Ok(known.id));
    }
}

#[test]
fn only_integers_have_named_values_and_every_one_is_read() {
    for known in DEFINITIONS {
        let values: Vec<_> = known.values().collect();
        assert_eq!(values.len(), known.values.split_whitespace().count(), "{}", known.name);
        assert!(values.is_empty() || known.kind == Kind::Integer, "{}", known.name);
        assert!(values.is_sorted_by_key(|value| value.1), "{}", known.name);
        for (at, (name, _)) in values.iter().enumerate() {
            assert!(values[..at].iter().all(|(other, _)| !other.eq_ignore_ascii_case(name)));
            assert!(number(name.as_bytes()).is_none(), "{name}");
        }
    }
}

#[test]
fn names_fall_back_to_numbers() {
    for (text, number) in [
        ("27", "27"),
        ("Session-Timeout", "27"),
        ("attr-27", "27"),
        ("26.14988.8", "26.14988.8"),
        ("mikrotik-rate-limit", "26.14988.8"),
        ("Attr-26.9.77", "26.9.77"),
        ("26", "26"),
    ] {
        assert_eq!(parse_id(text).unwrap().to_string(), number, "{text}");
    }
    assert_eq!(name(AttributeId { vendor: 9, number: 77 }), "Attr-26.9.77");
    assert_eq!(name(AttributeId { vendor: 0, number: 250 }), "Attr-250");
    assert_eq!(name(id::FRAMED_IP_ADDRESS), "Framed-IP-Address");
    for text in ["", "256", "26.9", "26.0.1", "26.9.256", "27.9.1", "26.9.1.1", "+27", "Attr-", "é"]
    {
        assert!(parse_id(text).is_err(), "{text}");
    }
}

#[test]
fn misspelt_names_and_values_get_the_nearest() {
    for (text, error) in [
        (
            "Framed-IP-Adress=192.0.2.1",
            "no attribute \"Framed-IP-Adress\" is known, did you mean Framed-IP-Address?",
        ),
        (
            "sesion-timeout=1",
            "no attribute \"sesion-timeout\" is known, did you mean Session-Timeout?",
        ),
        (
            "Frobnication-Level=1",
            "no attribute \"Frobnication-Level\" is known, give its number: N or 26.VENDOR.N",
        ),
        (
            "Service-Type=Framed",
            "Service-Type takes a number up to 4294967295 or a name like Login-User",
        ),
        (
            "Service-Type=FramedUser",
            "Service-Type takes a number or a name, did you mean Framed-User?",
        ),
        ("Session-Timeout=soon", "Session-Timeout takes a number up to 4294967295"),
    ] {
        assert_eq!(refused(text), error);
    }
}

#[test]
fn values_are_written_by_kind() {
    for (text, id, octets) in [
        ("Service-Type=framed-user", "6", &[0, 0, 0, 2][..]),
        ("NAS-Port=4294967295", "5", &[255; 4]),
        ("Framed-IP-Address=192.0.2.1", "8", &[192, 0, 2, 1]),
        ("NAS-Identifier=vpn=1", "32", b"vpn=1"),
        ("NAS-Identifier=0x00ff", "32", &[0, 255]),
        ("Session-Timeout=0x0000000a", "27", &[0, 0, 0, 10]),
        ("Class=0xABcd", "25", &[0xab, 0xcd]),
        ("26.9.77=0x05", "26.9.77", &[5]),
        ("Cisco-AVPair=ip:addr-pool=vpn", "26.9.1", b"ip:addr-pool=vpn"),
        ("Framed-IPv6-Prefix=2001:db8::/33", "97", &[0, 33, 0x20, 1, 0x0d, 0xb8, 0]),
        ("Framed-IPv6-Prefix=::/0", "97", &[0, 0]),
        ("Framed-Interface-Id=1:2:abc:d", "96", &[0, 1, 0, 2, 0x0a, 0xbc, 0, 0x0d]),
        ("Event-Timestamp=1000000000", "55", &[0x3b, 0x9a, 0xca, 0]),
        ("Event-Timestamp=2001-09-09T01:46:40Z", "55", &[0x3b, 0x9a, 0xca, 0]),
        ("Event-Timestamp=2106-02-07T06:28:15Z", "55", &[255; 4]),
        ("Event-Timestamp=2000-02-29T00:00:00Z", "55", &[0x38, 0xbb, 0x0c, 0]),
    ] {
        assert_eq!(assigned(text), (id.to_owned(), octets.to_vec()), "{text}");
    }
}

#[test]
fn values_of_another_kind_are_refused() {
    for text in [
        "Framed-IP-Address=192.0.2",
        "Framed-IP-Address=vpn",
        "Framed-IP-Address=0xc00002",
        "Login-IPv6-Host=192.0.2.1",
        "Framed-IPv6-Prefix=2001:db8::",
        "Framed-IPv6-Prefix=2001:db8::1/64",
        "Framed-IPv6-Prefix=2001:db8::/129",
        "Framed-Interface-Id=1:2:3",
        "Framed-Interface-Id=1:2:3:4:5",
        "Framed-Interface-Id=1:2:3:12345",
        "Framed-Interface-Id=1:2:3:+4",
        "Event-Timestamp=2001-02-29T00:00:00Z",
        "Event-Timestamp=2001-00-01T00:00:00Z",
        "Event-Timestamp=2001-01-01T24:00:00Z",
        "Event-Timestamp=2001-01-4294967295T00:00:00Z",
        "Event-Timestamp=2106-02-07T06:28:16Z",
        "Event-Timestamp=1969-12-31T23:59:59Z",
        "Event-Timestamp=4294967295-01-01T00:00:00Z",
        "Session-Timeout=0x10",
        "Session-Timeout=4294967296",
        "Session-Timeout=-1",
        "Class=staff",
        "26.9.77=5",
        "NAS-Identifier=",
        "NAS-Identifier=0x",
        "NAS-Identifier=0x123",
        "NAS-Identifier",
    ] {
        refused(text);
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused() {
    let text = |length| "x".repeat(length);
    assert_eq!(assigned(&format!("Filter-Id={}", text(253))).1.len(), 253);
    assert_eq!(refused(&format!("Filter-Id={}", text(254))), "Filter-Id holds 253 octets at most");
    assert_eq!(assigned(&format!("Cisco-AVPair={}", text(247))).1.len(), 247);
    assert_eq!(
        refused(&format!("Cisco-AVPair={}", text(248))),
        "Cisco-AVPair holds 247 octets at most"
    );
    refused(&format!("Tunnel-Assignment-Id:1={}", text(253)));
}

#[test]
fn tags_stand_before_the_value() {
    for (text, octets) in [
        ("Tunnel-Type=PPTP", &[0, 0, 0, 1][..]),
        ("Tunnel-Type:31=PPTP", &[31, 0, 0, 1]),
        ("Tunnel-Type=0x000001", &[0, 0, 0, 1]),
        ("Tunnel-Type=16777215", &[0, 255, 255, 255]),
        ("Tunnel-Server-Endpoint=192.0.2.1", b"192.0.2.1"),
        ("Tunnel-Server-Endpoint:1=192.0.2.1", b"\x01192.0.2.1"),
        ("Tunnel-Private-Group-Id=0x0a", &[0, 0x0a]),
    ] {
        assert_eq!(assigned(text).1, octets, "{text}");
    }
    assert_eq!(refused("Tunnel-Type:32=PPTP"), "the tag of Tunnel-Type is a number up to 31");
    assert_eq!(refused("Session-Timeout:1=5"), "Session-Timeout takes no tag");
    refused("Tunnel-Type=16777216");
    refused("Tunnel-Type=0x00000001");
}

#[test]
fn secrets_and_what_the_client_sets_are_refused() {
    for text in
        ["User-Password=hunter2", "Tunnel-Password:1=hunter2", "MS-CHAP2-Response=0xhunter2"]
    {
        let error = refused(text);
        assert!(error.ends_with("holds a secret, its value cannot be given"), "{error}");
        assert!(!text.parse::<Expectation>().unwrap_err().contains("hunter2"));
    }
    for id in SET_BY_CLIENT {
        let error = refused(&format!("{id}=0x00000001"));
        assert_eq!(error, format!("{} is set by the client itself", by_id(id).unwrap().name));
    }
    assert_eq!(name(SET_BY_CLIENT[2]), "Proxy-State");
}

#[test]
fn what_hides_or_proves_a_password_is_secret() {
    for secret in [
        id::USER_PASSWORD,
        id::CHAP_PASSWORD,
        AttributeId::rfc(69),
        id::MESSAGE_AUTHENTICATOR,
        id::MS_CHAP_RESPONSE,
        id::MS_CHAP_MPPE_KEYS,
        id::MS_MPPE_SEND_KEY,
        id::MS_MPPE_RECV_KEY,
        id::MS_CHAP2_RESPONSE,
        id::MS_CHAP2_SUCCESS,
    ] {
        assert_eq!(describe(secret, b"hunter2"), "(hidden)");
    }
}

#[test]
fn values_are_described_by_kind() {
    let cases: [(AttributeId, &[u8], &str); 19] = [
        (id::SERVICE_TYPE, &[0, 0, 0, 2], "Framed-User"),
        (id::SERVICE_TYPE, &[0, 0, 1, 2], "258"),
        (id::ACCT_STATUS_TYPE, &[0, 0, 0, 3], "Interim-Update"),
        (id::SERVICE_TYPE, &[0, 2], "0x0002"),
        (id::FRAMED_IP_ADDRESS, &[192, 0, 2, 1], "192.0.2.1"),
        (id::FRAMED_IP_ADDRESS, &[192, 0, 2, 1, 0], "0xc000020100"),
        (id::REPLY_MESSAGE, b"Hello \xe9\n|\\n", "Hello \\xe9\\x0a\\x7c\\x5cn"),
        (id::REPLY_MESSAGE, b"", ""),
        (id::STATE, b"abc", "0x616263"),
        (id::NAS_IPV6_ADDRESS, &[0; 16], "::"),
        (AttributeId::rfc(97), &[0, 48, 0x20, 1, 0x0d, 0xb8, 0, 1], "2001:db8:1::/48"),
        (AttributeId::rfc(97), &[0, 129], "0x0081"),
        (AttributeId::rfc(55), &[0x3b, 0x9a, 0xca, 0], "2001-09-09T01:46:40Z"),
        (AttributeId::rfc(96), &[0, 0, 0, 0, 0, 0, 0, 1], "0:0:0:1"),
        (id::TUNNEL_TYPE, &[0, 0, 0, 1], "PPTP"),
        (id::TUNNEL_TYPE, &[2, 0, 0, 1], "PPTP (tag 2)"),
        (id::TUNNEL_TYPE, &[2, 0, 1], "0x020001"),
        (AttributeId::rfc(67), b"\x01192.0.2.1", "192.0.2.1 (tag 1)"),
        (AttributeId { vendor: 9, number: 77 }, &[1, 0xff], "0x01ff"),
    ];
    for (id, octets, text) in cases {
        assert_eq!(describe(id, octets), text, "{}", name(id));
    }
    let long = describe(id::STATE, &[0x5a; 33]);
    assert_eq!(long, format!("0x{}... (33 octets)", "5a".repeat(32)));
}

/// RFC 2548, section 2.4.5.
#[test]
fn encryption_types_are_the_bits_of_the_rfc() {
    let text = |bits| describe(AttributeId::microsoft(8), &[0, 0, 0, bits]);
    assert_eq!(text(2), "RC4-40bit-Allowed");
    assert_eq!(text(4), "RC4-128bit-Allowed");
    assert_eq!(text(6), "RC4-40or128-bit-Allowed");
}

#[test]
fn expectations_compare_what_values_mean() {
    assert!(is_met("Class", b"anything"));
    assert!(is_met("MS-MPPE-Send-Key", b"anything"));
    assert!(is_met("Class=0x0a", b"\x0a"));
    assert!(!is_met("Class=0x0a", b"\x0a\x00"));
    assert!(is_met("State=0x01", b"\x01"));
    assert!(is_met("Filter-Id=vpn", b"vpn"));
    assert!(!is_met("Filter-Id=vpn", b"VPN"));
    assert!(is_met("Framed-IPv6-Prefix=2001:db8::/32", &[0, 32, 0x20, 1, 0x0d, 0xb8]));
    assert!(is_met("Framed-IPv6-Prefix=2001:db8::/32", &[0, 32, 0x20, 1, 0x0d, 0xb8, 0, 0]));
    assert!(!is_met("Framed-IPv6-Prefix=2001:db8::/32", &[0, 33, 0x20, 1, 0x0d, 0xb8, 0, 0]));
    assert!(!is_met("Framed-IPv6-Prefix=2001:db8::/32", &[]));
}

#[test]
fn expectations_without_a_tag_take_any() {
    for (expected, octets, met) in [
        ("Tunnel-Type=PPTP", &[0, 0, 0, 1][..], true),
        ("Tunnel-Type=PPTP", &[5, 0, 0, 1], true),
        ("Tunnel-Type:5=PPTP", &[5, 0, 0, 1], true),
        ("Tunnel-Type:0=PPTP", &[5, 0, 0, 1], false),
        ("Tunnel-Type:5", &[5, 0, 0, 3], true),
        ("Tunnel-Type:5", &[6, 0, 0, 3], false),
        ("Tunnel-Type", &[0, 0, 1], true),
        ("Tunnel-Type=PPTP", &[0, 0, 1], false),
        ("Tunnel-Assignment-Id=a", b"a", true),
        ("Tunnel-Assignment-Id=a", b"\x00a", true),
        ("Tunnel-Assignment-Id:1=a", b"\x01a", true),
        ("Tunnel-Assignment-Id:1=a", b"a", false),
    ] {
        assert_eq!(is_met(expected, octets), met, "{expected} {octets:?}");
    }
}

#[test]
fn expectations_show_what_they_wait_for() {
    for (text, shown) in [
        ("nas-port-type=5", "Virtual"),
        ("class", "Class"),
        ("Class=0x0A", "0x0a"),
        ("tunnel-type:1", "Tunnel-Type:1"),
        ("tunnel-type:1=1", "PPTP (tag 1)"),
        ("tunnel-type=1", "PPTP"),
        ("Filter-Id=a|b", "a\\x7cb"),
    ] {
        assert_eq!(text.parse::<Expectation>().unwrap().to_string(), shown);
    }
}

fn any_id() -> impl Strategy<Value = AttributeId> {
    prop_oneof![
        select(DEFINITIONS).prop_map(|known| known.id),
        any::<(u32, u8)>().prop_map(|(vendor, number)| AttributeId { vendor, number }),
    ]
}

/// A valid value of an attribute that may be sent, as short as hexadecimal is
/// shown whole.
fn any_assigned() -> impl Strategy<Value = (AttributeId, Vec<u8>)> {
    let sendable = |known: &&Definition| !known.secret && !SET_BY_CLIENT.contains(&known.id);
    let known: Vec<_> = DEFINITIONS.iter().filter(sendable).collect();
    select(known).prop_flat_map(|known| {
        let fixed = |length| vec(any::<u8>(), length..=length).boxed();
        let value = match known.kind {
            Kind::Text => "[ -[\\]-{}~]{1,40}".prop_map(String::into_bytes).boxed(),
            Kind::Octets => vec(any::<u8>(), 1..=32).boxed(),
            Kind::Integer if known.tagged => (0..=LARGEST_TAG, any::<[u8; 3]>())
                .prop_map(|(tag, [a, b, c])| vec![tag, a, b, c])
                .boxed(),
            Kind::Integer | Kind::Address | Kind::Date => fixed(4),
            Kind::Address6 => fixed(16),
            Kind::InterfaceId => fixed(8),
            Kind::Prefix6 => (any::<u128>(), 0..=128u8)
                .prop_map(|(address, bits)| {
                    let host = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
                    let octets = (address & !host).to_be_bytes();
                    [&[0, bits][..], &octets[..usize::from(bits).div_ceil(8)]].concat()
                })
                .boxed(),
        };
        (Just(known.id), value)
    })
}

proptest! {
    #[test]
    fn what_is_described_is_read_back((id, octets) in any_assigned()) {
        prop_assume!(!octets.starts_with(b"0x"));
        let text = written(id, &octets);
        prop_assert_eq!(parse_assignment(&text), Ok((id, octets.clone())), "{}", text);
        let expected: Expectation = text.parse().unwrap();
        prop_assert!(expected.matches(&octets));
        prop_assert_eq!(expected.to_string(), describe(id, &octets));
    }

    #[test]
    fn names_are_read_back(id in any_id()) {
        prop_assert_eq!(parse_id(&name(id)), Ok(id));
        prop_assert_eq!(parse_id(&id.to_string()), Ok(id));
    }

    #[test]
    fn arbitrary_values_are_shown_in_harmless_ascii(
        id in any_id(),
        octets in vec(any::<u8>(), 0..300),
    ) {
        let text = describe(id, &octets);
        prop_assert!(text.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'|'));
        prop_assert!(text.len() <= 4 * octets.len() + 32);
        prop_assert!(is_met(&name(id), &octets));
    }

    #[test]
    fn arbitrary_text_is_read_or_refused(
        id in any_id(),
        left in "\\PC{0,20}",
        value in "(0x)?\\PC{0,300}",
    ) {
        for text in [format!("{}{left}={value}", name(id)), format!("{left}={value}")] {
            if let Ok((id, octets)) = parse_assignment(&text) {
                prop_assert!((1..=id.longest()).contains(&octets.len()));
            }
            let _ = text.parse::<Expectation>();
        }
        let _ = parse_assignment(&format!("{}={value}", name(id)));
    }
}
