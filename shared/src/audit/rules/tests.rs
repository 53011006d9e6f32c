use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::audit::facts::{
    AccelOption, AccelPpp, Conntrack, ControlSocket, Interface, KernelVersion, Modules, Poptop,
    SecretsFile,
};
use crate::audit::finding::Severity;
use crate::audit::firewall::{Backend, Fate, Firewall, Place};
use crate::audit::known::Known;
use crate::gateway::conntrack::GreFlow;
use crate::gateway::options::{Setting, Settings};

const PPTPD: &str = "option /etc/ppp/options.pptpd
connections 10
localip 192.168.77.1
remoteip 192.168.77.10-19";

const PPPD: &str = "name pptpd
auth
refuse-pap
refuse-chap
refuse-mschap
require-mschap-v2
require-mppe-128
mtu 1400
mru 1400
nodefaultroute
lcp-echo-interval 30
lcp-echo-failure 4
ms-dns 192.168.77.1";

const ACCEL: &str = "[modules]
pptp
auth_mschap_v2
[ppp]
mtu=1400
mru=1400
lcp-echo-interval=30
lcp-echo-failure=3
mppe=require
[pptp]
echo-interval=60
[dns]
dns1=192.168.78.1
[client-ip-range]
10.78.0.0/24";

/// One option a line, as both daemons' files have them here.
fn settings(text: &str, file: &str) -> Settings {
    let file: Arc<Path> = Path::new(file).into();
    let parsed = |(line, number): (&str, u32)| {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let arguments = if value.is_empty() { Vec::new() } else { vec![value.as_bytes().into()] };
        Setting { name: name.as_bytes().into(), arguments, file: Some(file.clone()), line: number }
    };
    let list = text.lines().zip(1..).filter(|(line, _)| !line.is_empty()).map(parsed).collect();
    Settings { list, ..Settings::default() }
}

fn poptop(pptpd: &str, pppd: &str, capacity: u32) -> Known<Poptop> {
    Known::Is(Poptop {
        runs: true,
        pptpd: settings(pptpd, "/etc/pptpd.conf"),
        pppd: settings(pppd, "/etc/ppp/options.pptpd"),
        capacity: Some(capacity),
        calls: Default::default(),
    })
}

fn accel_ppp(text: &str) -> Known<AccelPpp> {
    let mut section = "";
    let mut options = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.as_bytes().into())),
            None => (line, None),
        };
        options.push(AccelOption {
            section: section.as_bytes().into(),
            name: name.as_bytes().into(),
            value,
            file: b"/etc/accel-ppp.conf".as_slice().into(),
            line: number,
        });
    }
    Known::Is(AccelPpp { runs: true, options, trouble: None })
}

fn place(chain: &str, rule: Option<u32>, text: &str, packets: Option<u64>) -> Place {
    Place {
        backend: Backend::Nft,
        table: "inet filter".to_owned(),
        chain: chain.to_owned(),
        rule,
        text: text.to_owned(),
        packets,
    }
}

fn wall() -> Firewall {
    Firewall {
        backends: vec![Backend::Nft],
        control_in: Fate::Accepted,
        gre_in: Fate::Accepted,
        gre_out: Fate::Accepted,
        established_in: Fate::Accepted,
        forward_from_ppp: Fate::Accepted,
        forward_to_ppp: Fate::Accepted,
        established_rules: vec![place(
            "input",
            Some(1),
            "ct state established,related accept",
            None,
        )],
        gre_needs_helper: false,
        helper_rules: Vec::new(),
        helper_in_output: false,
        helper_in_prerouting: false,
        drops: Vec::new(),
        mss_clamp: vec![(None, place("forward", Some(1), "maxseg size set rt mtu", None))],
        notrack: Vec::new(),
        troubles: Vec::new(),
    }
}

fn seconds(seconds: u64) -> Known<Duration> {
    Known::Is(Duration::from_secs(seconds))
}

fn tracked() -> Conntrack {
    Conntrack {
        count: Known::Is(100),
        max: Known::Is(65_536),
        gre_timeout: seconds(30),
        gre_timeout_stream: seconds(180),
        tcp_timeout_established: seconds(432_000),
        helper_by_itself: Known::Absent,
        gre: Known::Is(vec![flow(3, 2), flow(2, 3)]),
        dropped: Known::Is(0),
    }
}

/// GRE that saw no answer, as each direction is without the helper.
fn flow(from: u8, to: u8) -> GreFlow {
    GreFlow {
        source: Ipv4Addr::new(10, 77, 0, from),
        destination: Ipv4Addr::new(10, 77, 0, to),
        source_key: 0,
        destination_key: 7,
        packets: None,
        reply_packets: None,
        timeout: Duration::from_secs(30),
        assured: false,
        replied: false,
    }
}

fn interface(name: &str, mtu: u32) -> Interface {
    Interface {
        name: name.to_owned(),
        mtu,
        is_ppp: name.starts_with("ppp"),
        is_uplink: name.starts_with("eth"),
        rp_filter: Known::Is(0),
    }
}

fn socket(keepalive: bool) -> ControlSocket {
    ControlSocket { peer: SocketAddr::from(([10, 77, 0, 3], 40_000)), keepalive }
}

fn no_modules() -> Modules {
    Modules { built_in: Some(BTreeSet::new()), ..Modules::default() }
}

fn secrets(mode: u32) -> SecretsFile {
    SecretsFile { path: "/etc/ppp/chap-secrets".to_owned(), mode, owner: 0 }
}

/// A host with pptpd on which nothing is wrong.
fn good() -> Facts {
    Facts {
        host: "vpn1".to_owned(),
        kernel: Known::Is(KernelVersion { major: 6, minor: 1 }),
        poptop: poptop(PPTPD, PPPD, 10),
        accel_ppp: Known::Absent,
        secrets_files: vec![secrets(0o600)],
        tcp_keepalive_time: seconds(7200),
        tcp_keepalive_interval: seconds(75),
        tcp_keepalive_probes: Known::Is(9),
        control_sockets: Known::Is(vec![socket(false)]),
        modules: Known::Is(no_modules()),
        conntrack: Known::Is(tracked()),
        ip_forward: Known::Is(true),
        interfaces: Known::Is(vec![interface("eth0", 1500), interface("ppp0", 1396)]),
        firewall: Known::Is(wall()),
        shared_addresses: Default::default(),
    }
}

fn good_accel() -> Facts {
    Facts { poptop: Known::Absent, accel_ppp: accel_ppp(ACCEL), ..good() }
}

fn ids(facts: &Facts) -> Vec<&'static str> {
    audit(facts).findings.iter().map(|finding| finding.rule.id).collect()
}

/// The only finding.
#[track_caller]
fn only(facts: &Facts, id: &str) -> Finding {
    let mut findings = audit(facts).findings;
    let found: Vec<_> = findings.iter().map(|finding| finding.rule.id).collect();
    assert_eq!(found, [id]);
    findings.remove(0)
}

/// pppd with lines replaced (`old => new`) or added.
fn pppd(changes: &[(&str, &str)]) -> Facts {
    let mut text = PPPD.to_owned();
    for (old, new) in changes {
        if old.is_empty() {
            text = format!("{text}\n{new}");
        } else {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
    }
    Facts { poptop: poptop(PPTPD, &text, 10), ..good() }
}

fn accel(old: &str, new: &str) -> Facts {
    assert!(ACCEL.contains(old), "{old}");
    Facts { accel_ppp: accel_ppp(&ACCEL.replace(old, new)), ..good_accel() }
}

fn walled(change: impl FnOnce(&mut Firewall)) -> Facts {
    let mut wall = wall();
    change(&mut wall);
    Facts { firewall: Known::Is(wall), ..good() }
}

fn tracking(change: impl FnOnce(&mut Conntrack)) -> Facts {
    let mut conntrack = tracked();
    change(&mut conntrack);
    Facts { conntrack: Known::Is(conntrack), ..good() }
}

#[test]
fn nothing_is_found_on_a_good_host() {
    for facts in [good(), good_accel()] {
        let audit = audit(&facts);
        assert_eq!(audit.findings, []);
        assert_eq!((audit.unread, audit.untold), (vec![], vec![]));
    }
}

#[test]
fn identifiers_are_unique_and_texts_fit_a_line() {
    let mut seen = BTreeSet::new();
    for rule in rules() {
        assert!(seen.insert(rule.id), "{} twice", rule.id);
        let plain =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        assert!(rule.id.bytes().all(plain), "{}", rule.id);
        for text in [rule.should, rule.harm, rule.explanation] {
            assert!(text.is_ascii() && !text.contains("  "), "{}: {text}", rule.id);
        }
        assert!(rule.harm.len() <= 72 && rule.should.len() <= 72, "{}", rule.id);
    }
}

#[test]
fn every_rule_passes_or_does_not_apply_where_all_is_well() {
    for facts in [good(), good_accel()] {
        let audit = audit(&facts);
        assert_eq!(audit.passed.len() + audit.inapplicable.len(), rules().count());
    }
}

#[test]
fn each_change_of_pppd_gives_its_finding_alone() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("lcp-echo-interval 30\nlcp-echo-failure 4\n", "")], "lcp-echo-missing"),
        (&[("lcp-echo-interval 30", "lcp-echo-interval 0")], "lcp-echo-missing"),
        (&[("lcp-echo-failure 4\n", "")], "lcp-echo-failure-missing"),
        (&[("lcp-echo-interval 30", "lcp-echo-interval 300")], "lcp-echo-interval-range"),
        (&[("lcp-echo-interval 30", "lcp-echo-interval 5")], "lcp-echo-interval-range"),
        (&[("lcp-echo-failure 4", "lcp-echo-failure 1")], "lcp-echo-failure-range"),
        (&[("lcp-echo-failure 4", "lcp-echo-failure 30")], "lcp-echo-failure-range"),
        (&[("", "idle 600")], "idle-disconnect"),
        (&[("", "maxconnect 3600")], "session-time-limit"),
        (&[("", "persist")], "persist-on-server"),
        (&[("", "demand")], "persist-on-server"),
        (&[("", "noauth")], "auth-missing"),
        (&[("refuse-pap\n", ""), ("", "require-pap")], "pap-allowed"),
        (&[("refuse-chap\n", ""), ("", "require-chap")], "chap-md5-allowed"),
        (&[("refuse-mschap\n", ""), ("", "require-mschap")], "mschapv1-allowed"),
        (&[("require-mppe-128\n", "")], "mppe-missing"),
        (&[("require-mppe-128", "require-mppe")], "mppe-40-allowed"),
        (&[("", "mppe-stateful")], "mppe-stateful"),
        (&[("", "noccp")], "mppe-without-ccp"),
        (&[("", "debug")], "debug-log"),
        (&[("", "show-password")], "debug-log"),
        (&[("mtu 1400", "mtu 1500")], "mtu-too-large"),
        (&[("mru 1400", "mru 1500")], "mru-too-large"),
        (&[("ms-dns 192.168.77.1", "")], "dns-missing"),
        (&[("ms-dns 192.168.77.1", "ms-dns 127.0.0.1")], "dns-unreachable"),
        (&[("nodefaultroute", "defaultroute")], "default-route"),
    ];
    for (changes, id) in table {
        assert_eq!(ids(&pppd(changes)), [*id], "{changes:?}");
    }
}

#[test]
fn secrets_are_for_their_owner_and_group() {
    let found = only(&Facts { secrets_files: vec![secrets(0o644)], ..good() }, "secrets-readable");
    assert_eq!(found.found, "/etc/ppp/chap-secrets 0644");
    assert_eq!(found.mend, "chmod 600 /etc/ppp/chap-secrets");
    assert_eq!(ids(&Facts { secrets_files: vec![secrets(0o640)], ..good() }), [""; 0]);
    // accel-ppp's own file has a secret where it names a RADIUS server.
    let mut facts = good_accel();
    facts.secrets_files[0] =
        SecretsFile { path: "/etc/accel-ppp.conf".to_owned(), ..secrets(0o644) };
    assert_eq!(ids(&facts), [""; 0]);
    facts.accel_ppp = accel_ppp(&format!("{ACCEL}\n[radius]\nserver=192.0.2.10,x"));
    only(&facts, "secrets-readable");
    // That of the RADIUS client, where pppd has one.
    let client = SecretsFile { path: "/etc/radcli/servers".to_owned(), ..secrets(0o644) };
    assert_eq!(ids(&Facts { secrets_files: vec![client.clone()], ..good() }), [""; 0]);
    let with_client = pppd(&[("", "plugin /usr/lib/pppd/2.4.9/radius.so")]);
    only(&Facts { secrets_files: vec![client], ..with_client }, "secrets-readable");
}

#[test]
fn each_change_of_accel_ppp_gives_its_finding_alone() {
    let table = [
        ("lcp-echo-interval=30\n", "", "lcp-echo-missing"),
        ("lcp-echo-failure=3\n", "", "lcp-echo-failure-missing"),
        ("lcp-echo-interval=30", "lcp-echo-interval=90", "lcp-echo-interval-range"),
        ("lcp-echo-failure=3", "lcp-echo-failure=1", "lcp-echo-failure-range"),
        (
            "lcp-echo-failure=3",
            "lcp-echo-failure=3\nlcp-echo-timeout=60",
            "lcp-echo-interval-range",
        ),
        ("echo-interval=60", "session-timeout=60\necho-interval=60", "session-time-limit"),
        ("echo-interval=60", "", "control-echo-missing"),
        ("[ppp]", "[auth]\nnoauth=1\n[ppp]", "auth-missing"),
        ("[ppp]", "[auth]\nany-login=1\n[ppp]", "auth-missing"),
        ("auth_mschap_v2", "auth_mschap_v2\nauth_pap", "pap-allowed"),
        ("auth_mschap_v2", "auth_mschap_v2\nauth_chap_md5", "chap-md5-allowed"),
        ("auth_mschap_v2", "auth_mschap_v2\nauth_mschap_v1", "mschapv1-allowed"),
        ("mppe=require", "mppe=prefer", "mppe-missing"),
        ("echo-interval=60", "mppe=allow\necho-interval=60", "mppe-missing"),
        ("mppe=require", "ccp=0\nmppe=require", "mppe-without-ccp"),
        ("[ppp]\nmtu=1400", "[pptp]\nppp-max-mtu=1480\n[ppp]\nmtu=1480", "mtu-too-large"),
        ("10.78.0.0/24", "", "client-range-missing"),
        ("dns1=192.168.78.1", "", "dns-missing"),
        ("dns1=192.168.78.1", "dns1=0.0.0.0", "dns-unreachable"),
    ];
    for (old, new, id) in table {
        assert_eq!(ids(&accel(old, new)), [id], "{old} => {new}");
    }
}

#[test]
fn each_change_of_the_pool_gives_its_finding_alone() {
    let with = |conf: &str, capacity| Facts { poptop: poptop(conf, PPPD, capacity), ..good() };
    let small = PPTPD.replace("connections 10", "connections 50");
    let found = only(&with(&small, 10), "pool-too-small");
    assert_eq!(found.arithmetic, "50 connections - 10 addresses = 40 too few");
    let unset = PPTPD.replace("connections 10\n", "");
    assert_eq!(ids(&with(&unset, 10)), [""; 0], "the default is no wish");
    let overlap = PPTPD.replace("localip 192.168.77.1", "localip 192.168.77.12");
    let found = only(&with(&overlap, 10), "pool-overlap");
    assert_eq!(found.arithmetic, "192.168.77.12 is in both (1 in all)");
}

#[test]
fn each_change_of_the_kernel_gives_its_finding_alone() {
    let off = Facts { ip_forward: Known::Is(false), ..good() };
    assert_eq!(only(&off, "ip-forward-off").mend, "sysctl -w net.ipv4.ip_forward=1");
    let strict = |names: &[&str]| {
        let one = |name: &&str| Interface { rp_filter: Known::Is(1), ..interface(name, 1500) };
        Facts { interfaces: Known::Is(names.iter().map(one).collect()), ..good() }
    };
    assert_eq!(only(&strict(&["eth0"]), "rp-filter-strict").severity, Severity::Info);
    let found = only(&strict(&["eth0", "eth1"]), "rp-filter-strict");
    assert_eq!(found.severity, Severity::Warning);
    let tuned = |keepalive| Facts {
        tcp_keepalive_time: seconds(60),
        control_sockets: Known::Is(vec![socket(keepalive)]),
        ..good()
    };
    assert!(only(&tuned(false), "tcp-keepalive-no-effect").found.contains("none of 1 control"));
    assert_eq!(ids(&tuned(true)), [""; 0]);
}

#[test]
fn each_change_of_connection_tracking_gives_its_finding_alone() {
    let full = |count| tracking(|table| table.count = Known::Is(count));
    assert_eq!(only(&full(52_429), "conntrack-full").severity, Severity::Warning);
    let found = only(&full(62_260), "conntrack-full");
    assert_eq!(found.severity, Severity::Critical);
    assert_eq!(found.arithmetic, "62260 of 65536 = 95.0 %");
    assert_eq!(ids(&full(52_000)), [""; 0]);
    only(&tracking(|table| table.dropped = Known::Is(7)), "conntrack-dropped");
    let lonely = tracking(|table| table.gre = Known::Is(vec![flow(3, 2), flow(2, 3), flow(2, 4)]));
    let found = only(&lonely, "gre-unreplied");
    assert_eq!(found.found, "GRE without an answer from 10.77.0.2 to 10.77.0.4");
    assert_eq!(found.arithmetic, "1 of 3 entries of GRE go one way");
    only(&tracking(|table| table.tcp_timeout_established = seconds(100)), "tcp-timeout-short");
    let mut nat = good();
    nat.shared_addresses.insert(IpAddr::from([203, 0, 113, 7]), 3);
    assert_eq!(only(&nat, "callers-behind-nat").found, "callers: 3 from 203.0.113.7");
}

#[test]
fn each_change_of_the_firewall_gives_its_finding_alone() {
    let policy = || Fate::Dropped(place("input", None, "policy drop", Some(12)));
    let found = only(&walled(|wall| wall.control_in = policy()), "control-blocked");
    assert_eq!(found.found, "TCP 1723 is dropped: policy of inet filter input");
    assert_eq!(found.arithmetic, "12 packets counted there");
    assert_eq!(found.mend, "nft insert rule inet filter input tcp dport 1723 accept");
    only(&walled(|wall| wall.gre_in = policy()), "gre-in-blocked");
    only(&walled(|wall| wall.gre_out = policy()), "gre-out-blocked");
    only(&walled(|wall| wall.established_in = policy()), "established-blocked");
    only(&walled(|wall| wall.forward_to_ppp = policy()), "forward-blocked");
    only(&walled(|wall| wall.mss_clamp.clear()), "mss-clamp-missing");
    let size = |wall: &mut Firewall| wall.mss_clamp[0].0 = Some(1460);
    let found = only(&walled(size), "mss-clamp-too-large");
    assert_eq!(found.arithmetic, "1400 (mtu) - 20 (IP) - 20 (TCP) = 1360; 1460 is more");
    let drop = place("input", Some(4), "meta l4proto gre counter drop", Some(9));
    let found = only(&walled(|wall| wall.drops = vec![drop]), "firewall-drops");
    assert!(found.found.contains("9 by meta l4proto gre counter drop"), "{}", found.found);
    let notrack = |wall: &mut Firewall| {
        wall.gre_needs_helper = true;
        wall.helper_in_prerouting = true;
        wall.notrack = vec![place("raw", Some(1), "meta l4proto gre notrack", None)];
    };
    only(&walled(notrack), "gre-notrack");
}

#[test]
fn helper_is_needed_only_where_gre_depends_on_it() {
    let needs = |change: fn(&mut Firewall)| {
        walled(|wall| {
            wall.gre_needs_helper = true;
            wall.gre_in = Fate::Dropped(place("input", None, "policy drop", None));
            change(wall);
        })
    };
    let loaded = |facts| {
        let modules = Modules { loaded: ["nf_conntrack_pptp".to_owned()].into(), ..no_modules() };
        Facts { modules: Known::Is(modules), ..facts }
    };
    let found = only(&needs(|_| {}), "gre-helper-missing");
    assert_eq!(found.mend, "nft insert rule inet filter input meta l4proto gre accept");
    // Who has no list of what is built in still knows that no rule assigns it.
    let unlisted = Facts { modules: Known::Is(Modules::default()), ..needs(|_| {}) };
    only(&unlisted, "gre-helper-missing");
    let found = only(&loaded(needs(|_| {})), "gre-helper-missing");
    assert!(found.found.ends_with("that the module is loaded is not enough"));
    assert_eq!(ids(&needs(|wall| wall.helper_in_prerouting = true)), [""; 0]);
    only(&loaded(good()), "helper-unassigned");
    // An old kernel assigns it, once the module is there.
    let mut old = loaded(needs(|_| {}));
    let by_itself = Conntrack { helper_by_itself: Known::Is(true), ..tracked() };
    old.conntrack = Known::Is(by_itself);
    assert_eq!(ids(&old), [""; 0]);
    old.modules = Known::Is(no_modules());
    only(&old, "gre-helper-missing");
}

#[test]
fn echoes_are_held_against_conntrack_where_gre_lives_by_it() {
    let mut facts = pppd(&[("lcp-echo-interval 30", "lcp-echo-interval 60")]);
    let short = Conntrack { gre_timeout_stream: seconds(60), ..tracked() };
    facts.conntrack = Known::Is(short);
    assert_eq!(ids(&facts), [""; 0], "GRE is accepted anyway");
    let mut wall = wall();
    (wall.gre_needs_helper, wall.helper_in_prerouting) = (true, true);
    facts.firewall = Known::Is(wall);
    let found = only(&facts, "lcp-echo-conntrack");
    assert_eq!(
        found.arithmetic,
        "silent for up to 60 s, but nf_conntrack_gre_timeout_stream is 60 s"
    );
    assert!(found.mend.contains("lcp-echo-interval 30"), "{}", found.mend);
    facts.conntrack = Known::Is(Conntrack { gre_timeout_stream: seconds(30), ..tracked() });
    let found = only(&facts, "lcp-echo-conntrack");
    assert_eq!(found.mend, "sysctl -w net.netfilter.nf_conntrack_gre_timeout_stream=180");
}

#[test]
fn sizes_are_computed_for_the_narrowest_uplink() {
    let found = only(&pppd(&[("mtu 1400", "mtu 1500")]), "mtu-too-large");
    assert_eq!(
        found.arithmetic,
        "1500 (eth0) - 20 (IP) - 16 (GRE) - 4 (PPP) - 4 (MPPE) = 1456; 1500 is 44 more"
    );
    assert_eq!(found.found, "mtu 1500 (/etc/ppp/options.pptpd:8)");
    assert_eq!(found.advised, "mtu 1400");
    let found = only(&pppd(&[("mtu 1400\n", "")]), "mtu-too-large");
    assert_eq!(found.found, "pppd has no mtu: 1500");
    let found = only(&pppd(&[("mtu 1400", "mtu 1459")]), "mtu-too-large");
    assert_eq!(found.severity, Severity::Info);
    assert!(found.arithmetic.ends_with("1459 fits only with compressed PPP headers"));
    let mut narrow = good();
    narrow.interfaces = Known::Is(vec![interface("eth0", 1500), interface("eth1", 1440)]);
    assert_eq!(ids(&narrow), ["mtu-too-large", "mru-too-large"]);
    assert_eq!(audit(&narrow).findings[0].advised, "mtu 1396");
}

#[test]
fn accel_ppp_is_silent_until_its_timeout_has_passed() {
    let text = "lcp-echo-interval=20\nlcp-echo-timeout=120";
    let facts = accel("lcp-echo-interval=30", text);
    let found = only(&facts, "lcp-echo-interval-range");
    // Noticed up to 20 s late, then 6 ticks.
    assert!(found.arithmetic.starts_with("silent for up to 140 s"), "{}", found.arithmetic);
}

#[test]
fn auth_alone_accepts_every_method_whatever_is_refused() {
    let facts = pppd(&[("require-mschap-v2\n", "")]);
    assert_eq!(
        ids(&facts),
        ["pap-allowed", "chap-md5-allowed", "mschapv1-allowed", "refuse-misunderstood"]
    );
    let found = &audit(&facts).findings[0];
    assert_eq!(
        found.found,
        "auth without a require- option accepts every method; \
         refuse-pap (/etc/ppp/options.pptpd:3) is about pppd's own login"
    );
}

#[test]
fn openwrt_has_an_option_of_its_own_for_mppe() {
    let with = |mppe| ids(&pppd(&[("require-mppe-128", mppe)]));
    assert_eq!(with("mppe required,no40,no56,stateless"), [""; 0]);
    assert_eq!(with("mppe required,stateless"), ["mppe-40-allowed"]);
    assert_eq!(with("mppe no40,no56,stateless"), ["mppe-missing"]);
}

#[test]
fn keys_need_a_method_that_gives_them() {
    let facts = pppd(&[("require-mschap-v2", "require-pap"), ("refuse-pap\n", "")]);
    assert_eq!(ids(&facts), ["pap-allowed", "mschapv2-missing", "mppe-impossible"]);
    let facts = accel("auth_mschap_v2", "auth_pap");
    assert_eq!(ids(&facts), ["pap-allowed", "mschapv2-missing", "mppe-impossible"]);
}

#[test]
fn commands_change_the_line_that_counts() {
    let found =
        only(&pppd(&[("lcp-echo-interval 30", "lcp-echo-interval 5")]), "lcp-echo-interval-range");
    assert_eq!(
        found.mend,
        "sed -i -E '11s/\\blcp-echo-interval[[:space:]]+[^[:space:]]+/lcp-echo-interval 30/' \
         /etc/ppp/options.pptpd"
    );
    let found = only(&pppd(&[("require-mppe-128\n", "")]), "mppe-missing");
    assert_eq!(found.mend, "echo 'require-mppe-128' >> /etc/ppp/options.pptpd");
    let found = only(&pppd(&[("", "noccp")]), "mppe-without-ccp");
    assert_eq!(found.mend, "sed -i -E '14s/\\bnoccp//' /etc/ppp/options.pptpd");
    let found = only(&accel("mppe=require", "mppe=allow"), "mppe-missing");
    assert_eq!(
        found.mend,
        "sed -i -E '9s/.*/mppe=require/' /etc/accel-ppp.conf && accel-cmd reload"
    );
    let found = only(&accel("dns1=192.168.78.1", "dns1=127.0.0.1"), "dns-unreachable");
    assert_eq!(found.mend, "");
}

#[test]
fn names_cannot_break_out_of_a_command() {
    let mut list = settings(PPPD, "/etc/ppp/$(reboot)'");
    list.list.retain(|setting| *setting.name != *b"nodefaultroute");
    let file: Arc<Path> = Path::new("/etc/ppp/$(reboot)'").into();
    let line = Setting {
        name: (*b"idle").into(),
        arguments: vec![(*b"9").into()],
        file: Some(file),
        line: 3,
    };
    list.list.push(line);
    let mut facts = good();
    if let Known::Is(poptop) = &mut facts.poptop {
        poptop.pppd = list;
    }
    let found = only(&facts, "idle-disconnect");
    assert_eq!(found.mend, "sed -i -E '3s/\\bidle[[:space:]]+[^[:space:]]+//' FILE");
}

#[test]
fn what_was_not_read_breaks_and_passes_no_rule() {
    let unread = |what: &str| Unread {
        what: what.to_owned(),
        why: "permission denied".to_owned(),
        mend: "run as root".to_owned(),
    };
    let facts = Facts { firewall: Known::Unread(unread("firewall rules")), ..good() };
    let audit = audit(&facts);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.unread, [unread("firewall rules")]);
    let untold: Vec<_> = audit.untold.iter().map(|rule| rule.id).collect();
    assert!(untold.contains(&"control-blocked") && untold.contains(&"mss-clamp-missing"));
    assert!(audit.passed.iter().all(|(rule, _)| !untold.contains(&rule.id)));
}

#[test]
fn options_that_could_not_all_be_read_are_not_judged() {
    let mut facts = pppd(&[("", "noauth")]);
    if let Known::Is(poptop) = &mut facts.poptop {
        poptop.pppd.trouble = Some("cannot read /etc/ppp/more: permission denied".to_owned());
    }
    let audit = audit(&facts);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.unread.len(), 1);
    assert_eq!(audit.unread[0].why, "cannot read /etc/ppp/more: permission denied");
}

#[test]
fn host_without_netfilter_is_not_asked_about_it() {
    let facts = Facts { firewall: Known::Absent, conntrack: Known::Absent, ..good() };
    let audit = audit(&facts);
    assert_eq!((audit.findings, audit.unread), (vec![], vec![]));
    let skipped: Vec<_> = audit.inapplicable.iter().map(|(rule, _)| rule.id).collect();
    assert!(skipped.contains(&"conntrack-full") && skipped.contains(&"gre-in-blocked"));
}

#[test]
fn reason_is_that_of_the_daemon_that_is_there() {
    let why = |facts: &Facts, id: &str| {
        let audit = audit(facts);
        audit.inapplicable.iter().find(|(rule, _)| rule.id == id).map(|(_, why)| *why)
    };
    let facts = accel("lcp-echo-failure=3\n", "");
    assert_eq!(why(&facts, "lcp-echo-failure-range"), Some("it is not set"));
    let facts = pppd(&[("lcp-echo-failure 4\n", "")]);
    assert_eq!(why(&facts, "lcp-echo-failure-range"), Some("it is not set"));
    assert_eq!(why(&good(), "client-range-missing"), Some("there is no accel-ppp"));
}

#[test]
fn both_daemons_are_asked_where_both_are() {
    let mut facts = pppd(&[("", "noauth")]);
    facts.accel_ppp = accel_ppp(&ACCEL.replace("[ppp]", "[auth]\nnoauth=1\n[ppp]"));
    assert_eq!(ids(&facts), ["auth-missing", "auth-missing"]);
}

#[test]
fn rule_that_is_not_understood_is_unread() {
    let rule = place("input", Some(2), "ip saddr @callers jump vpn", None);
    let facts = walled(|wall| wall.gre_in = Fate::NotUnderstood(rule));
    let audit = audit(&facts);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.unread[0].what, "what becomes of GRE coming in");
}
