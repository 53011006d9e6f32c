use super::*;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../subagent.toml");

fn faults(source: &str) -> Vec<String> {
    match Config::parse(source) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|(line, text)| format!("{line}: {text}")).collect(),
    }
}

fn fault(source: &str) -> String {
    match faults(source).as_slice() {
        [fault] => fault.clone(),
        others => panic!("{source}: {others:?}"),
    }
}

/// A file with a secret in it, for one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let name = format!("pptp-subagent-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        let scratch = Self(path);
        scratch.allow(0o600);
        scratch
    }

    fn allow(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The example with the defaults that it shows set: they stand behind `#`
/// without a space.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Keys with their sections, of a file in which those without a value are
/// comments.
fn keys(source: &str, comment: &str) -> Vec<String> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in source.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        }
        let line = line.strip_prefix(comment).unwrap_or(line);
        let key = line.split(|end: char| end != '_' && !end.is_ascii_alphanumeric()).next();
        match key {
            Some(key) if line[key.len()..].starts_with(" = ") => {
                keys.push(format!("{section}.{key}"))
            }
            Some(key) if line[key.len()..] == *" is not set" => {
                keys.push(format!("{section}.{key}"))
            }
            _ => {}
        }
    }
    keys
}

#[test]
fn data_is_not_old_before_it_is_read_again() {
    let text = fault("[collect]\ninterval = \"30s\"\n");
    assert!(text.ends_with("sessions would be old before they are read again"), "{text}");
    let both = "[collect]\ninterval = \"60s\"\n[notifications]\nstale_after = \"61s\"\n";
    assert_eq!(faults(both), [""; 0]);
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("").unwrap();
    assert!(config == Config::default());
    assert_eq!(config.oid_base, Oid::from(ROOT));
    assert_eq!(config.agentx.socket.to_string(), "/var/agentx/master");
    assert_eq!(config.collect.interval, Duration::from_secs(5));
    assert_eq!(config.history.rows, 256);
    assert_eq!(config.subnets.prefix_v4, 24);
    let told = &config.notifications;
    assert!(!told.session_up && !told.session_down && told.server && told.probe);
    assert!(config.agentx.enabled && !config.responder.enabled && config.metrics.listen.is_none());
}

#[test]
fn what_is_printed_reads_back() {
    let printed = Config::default().print();
    assert!(Config::parse(&printed).unwrap() == Config::default(), "{printed}");
    let secret = Scratch::new("print", "correct horse");
    let path = secret.0.display();
    let source = format!(
        "oid_base = '1.3.6.1.4.1.99999'
         [agentx]
         socket = 'tcp:192.0.2.1:705'
         timeout = '2s'
         [[responder.users]]
         name = 'ops'
         auth_password_file = '{path}'
         priv_password_file = '{path}'
         [[notifications.receivers]]
         address = '192.0.2.9:162'
         version = '3'
         inform = true
         user = 'ops'
         [collect]
         interval = '1500ms'
         sources = ['poptop', 'accel-ppp']
         names = {{ poptop = \"the \\\"old\\\" one\" }}
         [users]
         quota = {{ alice = 1024 }}
         [subnets]
         quota = {{ '192.0.2.0/24' = 5 }}
         [metrics]
         listen = '127.0.0.1:9723'
         [[probe]]
         name = 'login'
         type = 'auth'
         hostname = 'vpn.example.net'
         username = 'probe'
         password_file = '{path}'
         auth_method = ['mschapv2', 'eap-mschapv2']
         expect_reject = false
         timeout = 5
         [[probe]]
         name = 'servers'
         type = 'radius'
         interval = '5m'
         hostname = ['192.0.2.10', '192.0.2.11']
         secret_file = '{path}'
         mode = 'status'"
    );
    let config = Config::parse(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    let printed = config.print();
    assert!(Config::parse(&printed).unwrap() == config, "{printed}");
    assert!(!printed.contains("correct horse"));
    assert_eq!(config.probes[1].target(), "192.0.2.10,192.0.2.11");
    assert_eq!(config.probes[1].radius().len(), 4);
    std::fs::write(&secret.0, "another secret").unwrap();
    assert!(Config::parse(&source).unwrap() != config, "another secret is another configuration");
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let config = Config::parse(EXAMPLE).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(config == Config::default());
    let uncommented = uncommented();
    let config = Config::parse(&uncommented).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(config == Config::default());
    let example = keys(&uncommented, "# ");
    for key in keys(&Config::default().print(), "# ") {
        assert!(example.contains(&key), "the example lacks {key}");
    }
}

#[test]
fn an_unknown_key_is_refused_by_name_with_the_nearest() {
    for (source, expected) in [
        (
            "[collect]\nintervall = '5s'",
            "2: unknown key \"intervall\" in [collect]; did you mean interval?",
        ),
        ("oidbase = '1.3.6'", "1: unknown key \"oidbase\"; did you mean oid_base?"),
        ("\n[agentX]", "2: unknown key \"agentX\"; did you mean agentx?"),
        ("[history]\nxyzzy = 1", "2: unknown key \"xyzzy\" in [history]; known are rows"),
        (
            "[[probe]]\nname = 'a'\ntype = 'gre'\nhostname = '192.0.2.1'\nechos = 3",
            "5: unknown key \"echos\" in [probe]; did you mean echoes?",
        ),
        (
            "[[probe]]\nname = 'a'\ntype = 'gre'\nhostname = '192.0.2.1'\nverbose = 3",
            "5: unknown key \"verbose\" in [probe]; known are ",
        ),
        (
            "[[responder.users]]\npasswrd = 'a'",
            "2: unknown key \"passwrd\" in [responder.users]; did you mean auth_password_file or \
             priv_password_file?",
        ),
        (
            "[collect.accel_ppp]\npasswrd = 'a'",
            "2: unknown key \"passwrd\" in [collect.accel_ppp]; did you mean password_file?",
        ),
        ("[metrics]\nuser = true", "2: unknown key \"user\" in [metrics]; did you mean users?"),
        (
            "[notifications]\nreceiver = 1",
            "2: unknown key \"receiver\" in [notifications]; did you mean receivers?",
        ),
    ] {
        let fault = fault(source);
        match expected.ends_with(' ') {
            true => assert!(fault.starts_with(expected), "{fault}"),
            false => assert_eq!(fault, expected),
        }
    }
}

#[test]
fn a_value_out_of_its_range_is_told_the_range() {
    for (source, expected) in [
        (
            "[collect]\ninterval = '10ms'",
            "2: collect.interval is \"10ms\", but must be from \"100ms\" to \"1h\"",
        ),
        (
            "[collect]\ninterval = 5",
            "2: collect.interval must be a time such as \"5s\", \"1500ms\", \"10m\" or \"1d\", \
             not an integer",
        ),
        (
            "[collect]\ninterval = 'soon'",
            "2: collect.interval must be a time such as \"5s\", \"1500ms\", \"10m\" or \"1d\", \
             not \"soon\"",
        ),
        ("[history]\nrows = -1", "2: history.rows must be from 0 to 4294967295"),
        ("[history]\nrows = 65537", "2: history.rows is 65537, but must be from 0 to 65536"),
        ("[agentx]\npriority = 0", "2: agentx.priority is 0, but must be from 1 to 255"),
        ("[agentx]\ntimeout = '1500ms'", "2: agentx.timeout must be whole seconds"),
        ("[agentx]\nenabled = 'yes'", "2: agentx.enabled must be true or false, not a string"),
        ("agentx = 5", "1: agentx must be a section: [agentx]"),
        ("probe = 5", "1: probe must be sections in double brackets: [[probe]]"),
        ("oid_base = '1.3'", "1: oid_base is 1.3, but must lie below 1.3.6.1.4.1 (enterprises)"),
        (
            "oid_base = '1.3.6.1.4.1'",
            "1: oid_base is 1.3.6.1.4.1, but must lie below 1.3.6.1.4.1 (enterprises)",
        ),
        (
            "[subnets]\nquota = { '192.0.2.0/25' = 1 }",
            "1: [subnets] has a quota for \
          192.0.2.0/25, but its subnets are IPv4 with a prefix of 24",
        ),
        (
            "[responder]\nlisten = []",
            "2: responder.listen must be 1 to 16 addresses; for example [\"127.0.0.1:1161\"]",
        ),
        (
            "[metrics]\nlisten = '9723'",
            "2: metrics.listen must be an IP address with a port, not \"9723\"; for example \
             \"127.0.0.1:9723\"",
        ),
        (
            "[[notifications.receivers]]\naddress = 162",
            "2: notifications.receivers.address must be text in quotation marks, not an integer; \
             for example \"192.0.2.9:162\"",
        ),
        (
            "[collect]\nsources = 'poptop'",
            "2: collect.sources must be \"auto\" or a list such as [\"poptop\", \"pppd\"]",
        ),
        (
            "[collect]\nsources = ['popptop']",
            "2: collect.sources value 1 must be a word for a source, not \"popptop\": known are \
             poptop accel-ppp pppd",
        ),
        (
            "[responder]\nallow = ['192.0.2.0/33']",
            "2: responder.allow value 1 must be a network \
          such as \"192.0.2.0/24\", not \"192.0.2.0/33\": a prefix length is a number from 0 to 32",
        ),
        (
            "[agentx]\nsocket = 'unix:master'",
            "2: agentx.socket must be \"/path\", \"unix:/path\" \
          or \"tcp:ADDRESS:PORT\", not \"unix:master\": a socket's path begins with / and has \
          107 octets at most",
        ),
        ("[collect]\nsources = []", "2: collect.sources must name one source at least"),
        ("[collect]\nroot = 'here'", "2: collect.root must be a path that begins with /"),
        (
            "[collect]\nroot = '/nonexistent'",
            "2: collect.root is \"/nonexistent\", but there is no such directory",
        ),
        ("[[responder.users]]", "1: [responder.users] needs a name"),
        (
            "[[notifications.receivers]]\naddress = '192.0.2.1:162'\nversion = '3'\nuser = 'x'",
            "1: [notifications.receivers] names the user \"x\", who is none of [[responder.users]]",
        ),
    ] {
        assert_eq!(fault(source), expected);
    }
}

#[test]
fn a_probe_says_what_its_check_would_say() {
    for (keys, expected) in [
        ("type = 'gre'", "1: [probe] needs a name"),
        ("name = 'a'", "1: [probe] needs a type"),
        (
            "name = 'a'\ntype = 'ping'",
            "3: probe.type must be a word for a check, not \"ping\": known are control gre auth tunnel radius",
        ),
        (
            "name = 'a'\ntype = 'gre'",
            "1: [probe] \"a\": the following required arguments were not provided: hostname <HOST>",
        ),
        (
            "name = 'a'\ntype = 'control'\nhostname = 'a'\nport = 0",
            "1: [probe] \"a\": port takes a number from 1 to 65535, and no option a password itself",
        ),
        (
            "name = 'a'\ntype = 'auth'\nhostname = 'a'\nusername = 'u'\nauth_method = 'none'\nmppe = '128'",
            "1: [probe] \"a\": mppe needs a key, but auth_method none gives none",
        ),
        (
            "name = 'a'\ntype = 'radius'\nhostname = 'a'",
            "1: [probe] \"a\": no shared secret: give secret_file or the credential radius-secret",
        ),
        (
            "name = 'a'\ntype = 'auth'\nhostname = 'a'\nusername = 'u'\npassword_file = '-'",
            "6: probe.password_file must be a path that begins with /",
        ),
        (
            "name = 'a'\ntype = 'auth'\nhostname = 'a'\nusername = 'u'\npassword_file = '/nonexistent'",
            "1: [probe] \"a\": cannot read /nonexistent: No such file or directory",
        ),
        (
            "name = 'a'\ntype = 'control'\nhostname = ['a', 'b']",
            "4: probe.hostname must be one value",
        ),
        (
            "name = 'a'\ntype = 'control'\nhostname = { a = 1 }",
            "4: probe.hostname must be text, a number, or a list of them",
        ),
    ] {
        assert_eq!(fault(&format!("[[probe]]\n{keys}")), expected);
    }
    let twice = "[[probe]]\nname = 'a'\ntype = 'control'\nhostname = 'a'\n".repeat(2);
    assert_eq!(fault(&twice), "1: [[probe]] has the name \"a\" twice");
}

#[test]
fn a_secret_that_everyone_can_read_is_refused() {
    let secret = Scratch::new("public", "correct horse");
    secret.allow(0o644);
    let path = secret.0.display();
    let source = format!("[collect.accel_ppp]\npassword_file = '{path}'");
    let expected = format!(
        "2: collect.accel_ppp.password_file cannot be used: {path} can be read by everyone; \
         run: chmod o= {path}"
    );
    assert_eq!(fault(&source), expected);
    secret.allow(0o640);
    assert!(faults(&source).is_empty());
    std::fs::write(&secret.0, "short").unwrap();
    let user = format!("[[responder.users]]\nname = 'a'\nauth_password_file = '{path}'");
    let expected =
        "3: responder.users.auth_password_file holds a password of less than 8 octets".to_owned();
    assert_eq!(fault(&user), expected);
}

#[test]
fn everything_that_is_wrong_is_told_in_order() {
    let source = "[collect]\ninterval = 1\nroot = 2\n[agentx]\nenable = true";
    let lines: Vec<_> = faults(source).iter().map(|fault| fault[..2].to_owned()).collect();
    assert_eq!(lines, ["2:", "3:", "5:"]);
}

#[test]
fn only_a_file_that_was_not_named_may_be_absent() {
    let absent = Path::new("/nonexistent/subagent.toml");
    let faults = Config::load(Some(absent)).err().unwrap();
    assert_eq!(
        faults,
        ["cannot read /nonexistent/subagent.toml: No such file or directory (os error 2)"]
    );
    let binary = Scratch::new("binary", "");
    std::fs::write(&binary.0, b"[collect]\n\xff").unwrap();
    let faults = Config::load(Some(&binary.0)).err().unwrap();
    assert_eq!(faults, [format!("{}:2: this is not UTF-8", binary.0.display())]);
    std::fs::write(&binary.0, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(
        Config::load(Some(&binary.0)).err().unwrap()[0].ends_with("is longer than 1048576 octets")
    );
}

#[test]
fn what_is_no_file_is_refused() {
    let (reader, _) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let faults = Config::load(Some(Path::new(&path))).err().unwrap();
    assert_eq!(faults, [format!("cannot read {path}: this is no regular file")]);
    assert!(Config::load(Some(Path::new("/dev/null"))).is_ok());
}

#[test]
fn a_log_is_a_file_or_the_journal() {
    for (source, expected) in [
        ("[[log]]\nserver = 'poptop'", "1: [log] needs a file, or journal = true"),
        (
            "[[log]]\nfile = '/var/log/syslog'\njournal = true",
            "1: [log] has a file and the journal: make two sections of it",
        ),
        (
            "[[log]]\nfile = 'syslog'",
            "2: log.file must be a path that begins with /; for example \"/var/log/syslog\"",
        ),
    ] {
        assert_eq!(fault(source), expected);
    }
}

#[test]
fn a_finding_that_there_is_not_cannot_be_ignored() {
    let fault = fault("[audit]\nignore = ['unred']");
    assert_eq!(fault, "2: audit.ignore names \"unred\", which is no finding; did you mean unread?");
    let rules: Vec<_> =
        pptp_probe::audit::rules::rules().map(|rule| format!("'{}'", rule.id)).collect();
    assert_eq!(faults(&format!("[audit]\nignore = [{}]", rules.join(", "))), [""; 0]);
}

#[test]
fn networks_hold_their_addresses() {
    let network: Network = "192.0.2.77/24".parse().unwrap();
    assert_eq!(network.to_string(), "192.0.2.0/24");
    for (network, address, holds) in [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("192.0.2.1", "192.0.2.1", true),
    ] {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), holds, "{network} {address}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    assert_eq!(faults(&format!("a = {}", "[".repeat(100_000))).len(), 1);
    assert_eq!(faults(&format!("[{}a]", "a.".repeat(100_000))).len(), 1);
}

proptest! {
    #[test]
    fn no_text_panics(source in "(\\[{1,2}[a-z_.]{0,12}\\]{1,2}\n|[a-z_]{1,10} = [^\n]{0,20}\n|.{0,20}){0,8}") {
        let _ = Config::parse(&source);
    }

    #[test]
    fn durations_read_back(millis in 0..u64::from(u32::MAX)) {
        let time = Duration::from_millis(millis);
        let text = time.write().unwrap();
        let source = format!("a = {text}");
        let table = toml::de::DeTable::parse(&source).unwrap();
        let value = table.get_ref().get("a").unwrap();
        prop_assert_eq!(Duration::read(value.get_ref()).unwrap(), time, "{}", text);
    }
}
