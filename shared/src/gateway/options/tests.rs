use super::super::scratch::Scratch;
use super::*;

fn words(text: &[u8]) -> Vec<(Vec<u8>, u32)> {
    Words { text, at: 0, line: 1 }.map(|(word, line)| (word.into(), line)).collect()
}

/// Of a pppd whose own options file is `text`.
fn required_by(text: &str) -> Required {
    let scratch = Scratch::of("poptop-two-sessions");
    scratch.change("etc/ppp/options.pptpd", |file| *file = text.as_bytes().to_vec());
    required(&Files::new(&scratch.root()).pppd(b"pppd\0file\0/etc/ppp/options.pptpd\0"))
}

fn pptpd(text: &str, title: &[u8]) -> Settings {
    let scratch = Scratch::of("poptop-two-sessions");
    scratch.change("etc/pptpd.conf", |file| *file = text.as_bytes().to_vec());
    Files::new(&scratch.root()).pptpd(title)
}

fn capacity_of(text: &str) -> Option<u32> {
    capacity(&pptpd(text, b"pptpd\0"))
}

#[test]
fn real_files_are_read_with_their_lines() {
    let scratch = Scratch::of("poptop-two-sessions");
    let title = b"/usr/sbin/pppd\0local\0file\0/etc/ppp/options.pptpd\x00115200\0\
        192.168.77.1:192.168.77.10\0ipparam\x0010.77.0.3\0plugin\0/usr/lib/pptpd/pptpd-logwtmp.so\0\
        pptpd-original-ip\x0010.77.0.3\0remotenumber\x0010.77.0.3\0";
    let settings = Files::new(&scratch.root()).pppd(title);
    assert_eq!(settings.trouble, None);
    let find = |name: &[u8]| settings.list.iter().find(|setting| *setting.name == *name);
    let required_one = find(b"require-mschap-v2").unwrap();
    assert_eq!(required_one.file.as_deref(), Some(Path::new("/etc/ppp/options.pptpd")));
    assert_eq!(required_one.line, 6);
    let dns = find(b"ms-dns").unwrap();
    assert_eq!((dns.value(), dns.line), (&b"192.168.77.1"[..], 15));
    let number = find(b"remotenumber").unwrap();
    assert_eq!((number.value(), &number.file, number.line), (&b"10.77.0.3"[..], &None, 12));
    assert_eq!(
        required(&settings),
        Required {
            auth_method: Some(AuthMethod::MsChapV2),
            encryption: Some(Encryption::Mppe128),
            stateless: Some(true),
            mru: None,
        }
    );
}

#[test]
fn words_are_split_as_pppd_does() {
    for (text, expected) in [
        (&b"auth # noauth\n mtu 1400"[..], &[(&b"auth"[..], 1), (b"mtu", 2), (b"1400", 2)][..]),
        (b"a\\\nb c", &[(b"ab", 1), (b"c", 2)]),
        (b"\\\n\\\na", &[(b"a", 3)]),
        (b"connect \"a 'b' # c\"", &[(b"connect", 1), (b"a 'b' # c", 1)]),
        (b"'a\nb'c d", &[(b"a\nbc", 1), (b"d", 2)]),
        (b"a#b\nc", &[(b"a", 1), (b"c", 2)]),
        (br"\#a \x41\102\s\qz\x4g", &[(b"#a", 1), (b"AB qz\x04g", 1)]),
        (b"\"\" a", &[(b"", 1), (b"a", 1)]),
        (b"a\x0bb", &[(b"a", 1), (b"b", 1)]),
        (b"a\0b c", &[(b"a", 1), (b"c", 1)]),
        (b"a\\", &[(b"a", 1)]),
        (b" \n#\n", &[]),
        (b"\"\"", &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(word, line)| (word.to_vec(), *line)).collect();
        assert_eq!(words(text), expected, "{}", text.escape_ascii());
    }
    assert_eq!(words(&[b'a'; 2000]), [(vec![b'a'; 1023], 1)]);
}

#[test]
fn only_one_method_that_is_left_is_known() {
    for (text, method) in [
        ("auth", None),
        ("", Some(AuthMethod::None)),
        ("noauth", Some(AuthMethod::None)),
        ("auth noauth", Some(AuthMethod::None)),
        ("require-pap", Some(AuthMethod::Pap)),
        ("+chap", Some(AuthMethod::ChapMd5)),
        ("require-mschap", Some(AuthMethod::MsChapV1)),
        ("require-eap", Some(AuthMethod::Eap)),
        ("require-mschap-v2 require-mschap-v2", Some(AuthMethod::MsChapV2)),
        ("require-mschap-v2 require-mschap", None),
        ("require-mschap-v2 noauth", Some(AuthMethod::None)),
        ("require-mschap-v2 noauth auth", Some(AuthMethod::MsChapV2)),
        ("auth refuse-pap refuse-chap refuse-mschap refuse-eap", None),
        ("user require-pap auth", None),
    ] {
        assert_eq!(required_by(text).auth_method, method, "{text}");
    }
}

#[test]
fn encryption_is_known_where_one_is_left() {
    for (text, encryption, stateless) in [
        ("", Some(Encryption::None), None),
        ("nomppe", Some(Encryption::None), None),
        ("noccp", Some(Encryption::None), None),
        ("require-mppe-128", Some(Encryption::Mppe128), Some(true)),
        ("+mppe-40", Some(Encryption::Mppe40), Some(true)),
        ("require-mppe", None, Some(true)),
        ("require-mppe nomppe-40", Some(Encryption::Mppe128), Some(true)),
        ("require-mppe-128 require-mppe-40", None, Some(true)),
        ("require-mppe-128 nomppe", Some(Encryption::None), None),
        ("require-mppe-128 mppe-stateful", Some(Encryption::Mppe128), None),
        ("require-mppe-128 mppe-stateful nomppe-stateful", Some(Encryption::Mppe128), Some(true)),
        ("require-mppe-128 noccp", None, None),
        ("require-mppe-128 plugin radius.so", None, None),
    ] {
        let required = required_by(text);
        assert_eq!((required.encryption, required.stateless), (encryption, stateless), "{text}");
    }
    assert_eq!(required_by("default-mru").mru, Some(1500));
    assert_eq!(required_by("default-mru mru 1400").mru, None);
    assert_eq!(required_by("mru 1400").mru, None);
}

#[test]
fn files_are_taken_where_they_are_named() {
    let scratch = Scratch::of("poptop-two-sessions");
    let put = |path, text: &str| scratch.change(path, |file| *file = text.as_bytes().to_vec());
    put("etc/ppp/options", "require-pap");
    put("etc/ppp/peers/work", "nomppe");
    put("etc/ppp/more", "noauth require-mppe-128 call work");
    let title = b"pppd\0file\0/etc/ppp/more\0require-chap\0";
    let settings = Files::new(&scratch.root()).pppd(title);
    let names: Vec<_> =
        settings.list.iter().map(|setting| setting.name.escape_ascii().to_string()).collect();
    assert_eq!(
        names,
        ["require-pap", "file", "noauth", "require-mppe-128", "call", "nomppe", "require-chap"]
    );
    assert_eq!(required(&settings).encryption, Some(Encryption::None));
    assert_eq!(required(&settings).auth_method, None);
}

#[test]
fn files_that_do_not_end_are_trouble() {
    let scratch = Scratch::of("poptop-two-sessions");
    let put = |path, text: Vec<u8>| scratch.change(path, |file| *file = text);
    let trouble = |title: &[u8]| {
        let settings = Files::new(&scratch.root()).pppd(title);
        assert_eq!(required(&settings), Required::default());
        assert!(settings.list.len() <= MOST);
        settings.trouble.unwrap()
    };
    put("etc/ppp/loop", b"file /etc/ppp/loop file /etc/ppp/loop".to_vec());
    assert_eq!(trouble(b"pppd\0file\0/etc/ppp/loop\0"), "/etc/ppp/loop is inside too many files");
    put("etc/ppp/large", vec![b'#'; 65537]);
    assert_eq!(
        trouble(b"pppd\0file\0/etc/ppp/large\0"),
        "cannot read /etc/ppp/large: it is too large"
    );
    put("etc/ppp/many", b"auth\n".repeat(5000));
    assert_eq!(trouble(b"pppd\0file\0/etc/ppp/many\0"), "there are more than 4096 options");
    assert_eq!(trouble(b"pppd\0call\0../options\0"), "the name behind call is not allowed");
    assert_eq!(
        trouble(b"pppd\0file\0here\0"),
        "cannot read here: the path does not begin with a slash"
    );
    assert!(trouble(b"pppd\0file\0").contains("cannot read"));
}

#[test]
fn capacity_is_the_smallest_of_three() {
    for (text, expected) in [
        ("", Some(100)),
        ("connections 10\nlocalip 10.0.0.1\nremoteip 192.168.77.10-19\n", Some(10)),
        ("connections 10\nlocalip 10.0.0.1\nremoteip 192.168.77.10-14", Some(5)),
        ("connections 10\nlocalip 10.0.0.1-3\nremoteip 192.168.77.10-14", Some(3)),
        ("localip 10.0.0.1\nremoteip 192.168.0.234-238,192.168.0.245", Some(6)),
        ("localip 10.0.0.1\nremoteip 192.168-178.1.231", Some(11)),
        ("localip 10.0.0.1\nremoteip 10.0.0.1-254", Some(100)),
        ("localip 10.0.0.1\nremoteip host.example,10.0.0.9", Some(2)),
        ("localip 10.0.0.1\nremoteip 192.168.77.10-192.168.77.19", None),
        ("localip 10.0.0.1\nremoteip 10.0.0.5-2", None),
        ("localip 10.0.0.1\nremoteip 10.0.0.250-256", None),
        ("localip 10.0.0.1\nremoteip 10.0.0.1, 10.0.0.2", None),
        ("localip 10.0.0.1\nremoteip 10.0.0.1,", None),
        ("connections 2\nlocalip 10.0.0.1\nremoteip 10.0.0.1-9,bad..", Some(2)),
        ("connections 3\nconnections 7", Some(3)),
        ("connections 0", Some(100)),
        ("connections no", Some(100)),
        (" connections 3\n#connections 4\nconnections\t5 of them  ", Some(5)),
        ("connections 3\r", Some(3)),
        ("delegate\nconnections 3", None),
    ] {
        assert_eq!(capacity_of(text), expected, "{text}");
    }
    let long = format!("connections 3{}\nconnections 4", " ".repeat(500));
    assert_eq!(capacity_of(&long), Some(4));
}

#[test]
fn command_line_of_pptpd_goes_before_its_file() {
    let listen = |text, title: &[u8]| listen(&pptpd(text, title)).map(|listen| listen.to_string());
    let any = Some("0.0.0.0:1723".to_owned());
    assert_eq!(listen("", b"pptpd\0"), any);
    assert_eq!(listen("listen 10.0.0.1", b"pptpd\0"), Some("10.0.0.1:1723".to_owned()));
    assert_eq!(listen("listen gateway.example", b"pptpd\0"), None);
    for title in [
        &b"pptpd\0-l\x0010.0.0.2\0"[..],
        b"pptpd\0-dl10.0.0.2\0",
        b"pptpd\0--listen=10.0.0.2\0--debug\0",
        b"pptpd\0-l\x0010.0.0.3\0--listen\x0010.0.0.2\0",
    ] {
        assert_eq!(listen("listen 10.0.0.1", title), Some("10.0.0.2:1723".to_owned()));
    }
    assert_eq!(listen("", b"pptpd\0--unheard-of\0"), None);
    assert_eq!(listen("", b"pptpd\0-l\0"), None);
    assert_eq!(capacity(&pptpd("connections 5", b"pptpd\0-C\x009\0")), Some(5));
    assert_eq!(capacity(&pptpd("", b"pptpd\0-C\x009\0")), Some(9));
    assert_eq!(capacity(&pptpd("", b"pptpd\0-D\0")), None);
    assert_eq!(capacity(&pptpd("", b"pptpd\0-c\0/nowhere\0")), None);
}

#[test]
fn options_with_an_argument_are_sorted() {
    assert!(WITH_ARGUMENT.is_sorted());
}

proptest::proptest! {
    #[test]
    fn arbitrary_files_and_titles_never_panic(octets: Vec<u8>) {
        let file: Arc<Path> = Path::new("/f").into();
        let _ = parse_pppd_file(&octets, &file);
        let list = parse_pptpd_conf(&octets, &file);
        let _ = capacity(&Settings { list, ..Settings::default() });
        let _ = pptpd_arguments(&octets);
    }

    #[test]
    fn arbitrary_ranges_never_panic(text in "[0-9.,-]{0,40}", most: u32) {
        let count = addresses(text.as_bytes(), most);
        assert!(count.is_none_or(|count| count <= most));
    }

    #[test]
    fn every_word_is_from_the_file(text in r#"[a \n#"'\\x4]{0,60}"#) {
        let octets: usize = words(text.as_bytes()).iter().map(|(word, _)| word.len()).sum();
        assert!(octets <= text.len());
    }
}
