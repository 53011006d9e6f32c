use std::io::{Read as _, pipe};
use std::net::TcpListener;

use proptest::prelude::*;

use super::*;

fn modules(source: &str) -> Modules {
    Modules::of(&Config::parse(source).unwrap_or_else(|faults| panic!("{faults:?}")))
}

fn fault(source: &str) -> String {
    match Config::parse(source) {
        Ok(_) => panic!("taken: {source}"),
        Err(faults) => faults.into_iter().map(|(line, text)| format!("{line}: {text}\n")).collect(),
    }
}

/// Why there is no run, or nothing.
fn refusal(modules: &Modules, module: &str, target: &str) -> String {
    modules.find(module, target).err().unwrap_or_default()
}

#[test]
fn only_what_is_listed_is_probed() {
    let modules = modules(
        "[modules.listed]
         check = 'control'
         targets = ['VPN.example.net', '192.0.2.0/28', '198.51.100.1:1724', '2001:db8::1']",
    );
    for target in [
        "vpn.example.net",
        "vpn.EXAMPLE.net",
        "192.0.2.15",
        "::ffff:192.0.2.1",
        "198.51.100.1:1724",
        "2001:db8:0::1",
        "[2001:db8::1]",
    ] {
        assert_eq!(refusal(&modules, "listed", target), "", "{target}");
    }
    for target in [
        "192.0.2.16",
        "192.0.2.1:22",
        "vpn.example.net:22",
        "vpn.example.net.",
        "198.51.100.1",
        "198.51.100.1:1723",
        "[2001:db8::1]:1723",
        "2001:db8::2",
        "::ffff:127.0.0.1",
        "localhost",
        "192.0.2.0x1",
    ] {
        let said = refusal(&modules, "listed", target);
        assert_eq!(said, format!("{target} is none of the targets of module listed"));
    }
}

#[test]
fn what_is_neither_name_nor_address_is_told_without_its_octets() {
    let modules = modules("[modules.m]\ncheck = 'control'\ntargets = ['a']");
    for target in ["a b", "-a", "a/b", "http://a/", "a:0", "a:65536", "a:b", "fe80::1%eth0", ".a"] {
        let said = refusal(&modules, "m", target);
        assert!(said.starts_with(&format!("target {target}: ")), "{said}");
    }
    let said = refusal(&modules, "m", "a\n\u{1b}[2J");
    assert_eq!(said, r"target a\x0a\x1b[2J: this is neither a name nor an address");
    assert_eq!(refusal(&modules, "m", ""), "the target is missing");
    assert_eq!(refusal(&modules, "", "a"), "the module is missing; known are m");
    assert_eq!(refusal(&modules, "<b>\n", "a"), r"unknown module <b>\x0a; known are m");
    let none = self::modules("");
    assert!(refusal(&none, "m", "a").starts_with("there are no modules"));
}

#[test]
fn without_a_list_hosts_of_probes_of_that_kind_are_probed() {
    let modules = modules(
        "[[probe]]
         name = 'a'
         type = 'control'
         hostname = 'vpn.example.net'
         port = 1724
         [modules.m]
         check = 'gre'",
    );
    assert_eq!(refusal(&modules, "m", "vpn.example.net"), "");
    assert!(refusal(&modules, "m", "vpn.example.net:1724").contains("none of the targets"));
    let secret = std::env::temp_dir().join(format!("pptp-module-{}", std::process::id()));
    std::fs::write(&secret, "testing123\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).unwrap();
    let said = fault(&format!(
        "[[probe]]\nname = 'a'\ntype = 'control'\nhostname = 'vpn.example.net'\n\
         [modules.m]\ncheck = 'radius'\nmode = 'status'\nsecret_file = '{}'",
        secret.display()
    ));
    std::fs::remove_file(&secret).unwrap();
    assert!(said.contains("[modules.\"m\"] needs targets"), "{said}");
    assert!(said.contains("of a RADIUS server"), "{said}");
}

#[test]
fn a_module_that_cannot_run_is_told() {
    for (source, expected) in [
        ("[modules.m]", "1: [modules.m] needs a check\n"),
        ("[modules]\nm = 5", "2: [modules.m] must be a section\n"),
        ("modules = 5", "1: modules must be sections: [modules.NAME]\n"),
        (
            "[modules.m]\ncheck = 'gre'\ntargets = ['a']\nhostname = 'a'",
            "4: modules.m.hostname comes with each request; targets says which may\n",
        ),
        (
            "[modules.m]\ncheck = 'gre'\ntargets = ['a']\ntimeout = 101",
            "4: modules.m.timeout must be 100 s at most\n",
        ),
        (
            "[modules.m]\ncheck = 'gre'\ntargets = ['a']\necho = 3",
            "4: unknown key \"echo\" in [modules.m]; did you mean echoes?\n",
        ),
    ] {
        assert_eq!(fault(source), expected);
    }
    assert!(fault("[modules.m]\ncheck = 'ping'").contains("known are control gre auth"));
    assert!(fault("[modules.m]\ncheck = 'gre'\ntargets = ['a b']").contains("neither a name"));
    assert!(fault("[modules.m]\ncheck = 'auth'\ntargets = ['a']").contains("no user name"));
    assert!(
        fault("[modules.\"a\\nb\"]\ncheck = 'gre'").contains("[modules.a\\nb] must be 1 to 64")
    );
}

#[test]
fn what_is_printed_reads_back() {
    let source = "[modules.\"a b\"]\ncheck = 'control'\ntargets = ['A.example', '192.0.2.1/24', \
                  '[2001:db8::1]:1724']\nechoes = 5\nipv4 = false";
    let config = Config::parse(source).unwrap_or_else(|faults| panic!("{faults:?}"));
    let printed = config.print();
    assert!(
        printed.contains("\"a.example\", \"192.0.2.0/24\", \"[2001:db8::1]:1724\""),
        "{printed}"
    );
    let again = Config::parse(&printed).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(again == config, "{printed}");
}

/// One run against a port on which nobody says anything.
fn ran(patience: Option<Duration>, is_debug: bool) -> (String, Duration) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let modules = modules(&format!(
        "[modules.m]\ncheck = 'control'\ntargets = ['127.0.0.1']\nport = {port}\ntimeout = 1"
    ));
    let asked = modules.find("m", "127.0.0.1").unwrap_or_else(|text| panic!("{text}"));
    let (interrupt, _running) = pipe().unwrap();
    let began = Instant::now();
    (asked.run(patience, is_debug, interrupt.into()), began.elapsed())
}

#[test]
fn a_page_has_the_names_of_blackbox_exporter_and_ours() {
    let (page, _) = ran(Some(Duration::from_millis(200)), false);
    let lines: Vec<_> = page.lines().collect();
    assert!(lines.contains(&"probe_success 0"), "{page}");
    assert!(lines.iter().any(|line| line.starts_with("probe_duration_seconds 0.")), "{page}");
    let failure = "pptp_probe_failure{check=\"check_pptp_control\",target=\"127.0.0.1:";
    let failure = lines.iter().find(|line| line.starts_with(failure));
    assert!(failure.is_some_and(|line| line.ends_with("reason=\"silent\"} 1")), "{page}");
    let families = lines.iter().filter_map(|line| line.strip_prefix("# TYPE "));
    let unique: BTreeSet<_> = families.clone().collect();
    assert_eq!(unique.len(), families.count());
}

#[test]
fn the_scraper_has_its_answer_before_it_leaves() {
    let patience = Duration::from_millis(800);
    let (_, took) = ran(Some(patience), false);
    assert!(took >= Duration::from_millis(400) && took < patience, "{took:?}");
    let (_, took) = ran(Some(Duration::from_secs(60)), false);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn debug_shows_the_run() {
    let (page, _) = ran(Some(Duration::from_millis(200)), true);
    assert!(page.starts_with("PPTP CONTROL CRITICAL - "), "{page}");
    assert!(page.contains(" > Start-Control-Connection-Request\n"), "{page}");
    assert!(page.contains("\n\n# HELP probe_success "), "{page}");
}

#[test]
fn a_run_that_nobody_waits_for_says_good_bye() {
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gateway.local_addr().unwrap().port();
    let modules = modules(&format!(
        "[modules.m]\ncheck = 'control'\ntargets = ['127.0.0.1:{port}']\ntimeout = 90"
    ));
    let asked =
        modules.find("m", &format!("127.0.0.1:{port}")).unwrap_or_else(|text| panic!("{text}"));
    let (interrupt, running) = pipe().unwrap();
    let run = std::thread::spawn(move || asked.run(None, false, interrupt.into()));
    let (mut stream, _) = gateway.accept().unwrap();
    drop(running);
    stream.read_to_end(&mut Vec::new()).unwrap();
    let page = run.join().unwrap();
    assert!(page.contains("reason=\"interrupted\""), "{page}");
}

proptest! {
    #[test]
    fn targets_read_back(text in "(\\[?[0-9a-fA-F:.%-]{1,20}\\]?|[a-z.-]{1,9}|.{0,9})(:[0-9]{1,6})?") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
        }
    }
}
