//! `check_pptp_host` on real hosts: the gateway of the test bed, whose kernel
//! has iptables-legacy, and one of namespaces on this machine's own kernel,
//! which has nf_tables (`tests/testbed`). Each in a good configuration, and
//! with one thing wrong at a time.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "support/bed.rs"]
mod bed;
#[path = "support/seen.rs"]
mod seen;

use bed::Bed;
use seen::Seen;

const HOST: &str = env!("CARGO_BIN_EXE_check_pptp_host");

/// What pppd of the guest needs beside the bed's defaults.
const GOOD_PPPD: [&str; 4] = ["mtu 1400", "mru 1400", "lcp-echo-interval 30", "lcp-echo-failure 4"];
/// A firewall with nothing wrong. The bed's commands come by 8079.
const GOOD_RULES: &str = "\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8079 -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 1723 -j ACCEPT
-A INPUT -p gre -j ACCEPT
-A FORWARD -i ppp+ -j ACCEPT
-A FORWARD -o ppp+ -j ACCEPT
COMMIT
";
/// The same for nft.
const GOOD_NFT: &str = "\
table inet gateway {
    ct helper callers { type \"pptp\" protocol tcp; }
    chain prerouting {
        type filter hook prerouting priority filter; policy accept;
        tcp dport 1723 ct helper set \"callers\"
    }
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        tcp dport 1723 accept
        meta l4proto gre accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        tcp flags syn tcp option maxseg size set rt mtu
        iifname \"ppp*\" accept
        oifname \"ppp*\" accept
    }
}
";
/// Shell functions for the guest. `option` adds a line to what pppd is told, of
/// which the last one counts, `without` takes one away; `daemon` changes one of
/// pptpd's, of which the first one counts; `fill_table` tracks connections,
/// `rules` edits the firewall.
const TOOLS: &str = "\
good() {
    cp /run/good/options.pptpd /etc/ppp/
    cp /run/good/pptpd.conf /run/
    chmod 600 /etc/ppp/chap-secrets
    iptables-legacy-restore </run/good/rules
}
option() { echo \"$*\" >>/etc/ppp/options.pptpd; }
daemon() { sed -i \"s/^$1 .*/$*/\" /run/pptpd.conf; }
without() { sed -i \"/^$1/d\" /etc/ppp/options.pptpd; }
fill_table() {
    local port
    echo 1000 >/proc/sys/net/netfilter/nf_conntrack_max
    for port in $(seq 1001 1900); do
        echo \"-A -s 198.51.100.7 -d 10.77.0.2 -p udp --sport $port --dport 53 -t 60\"
    done >/run/entries
    conntrack --load-file /run/entries
}
empty_table() {
    conntrack -D -p udp
    cat /run/good/max >/proc/sys/net/netfilter/nf_conntrack_max
}
rules() { sed \"$@\" /run/good/rules | iptables-legacy-restore; }
# As the alternatives of a host with such a kernel have it.
iptables() { iptables-legacy \"$@\"; }
";

/// What is done to a good guest, how it is undone where putting the files and
/// the firewall back is not enough, and what is found then.
const BROKEN: [(&str, &str, &[&str]); 34] = [
    ("without lcp-echo", "", &["lcp-echo-missing"]),
    ("without lcp-echo-failure", "", &["lcp-echo-failure-missing"]),
    ("option lcp-echo-interval 5", "", &["lcp-echo-interval-range"]),
    ("option lcp-echo-failure 20", "", &["lcp-echo-failure-range"]),
    ("option lcp-echo-interval 240", "", &["lcp-echo-interval-range"]),
    (
        "rules '/INPUT -p gre/d'; echo 20 >/proc/sys/net/netfilter/nf_conntrack_gre_timeout_stream",
        "echo 180 >/proc/sys/net/netfilter/nf_conntrack_gre_timeout_stream",
        &["lcp-echo-conntrack"],
    ),
    ("option idle 600", "", &["idle-disconnect"]),
    ("option maxconnect 3600", "", &["session-time-limit"]),
    ("option persist", "", &["persist-on-server"]),
    ("option noauth", "", &["auth-missing"]),
    ("option require-pap", "", &["pap-allowed", "refuse-misunderstood"]),
    ("option require-chap", "", &["chap-md5-allowed", "refuse-misunderstood"]),
    ("option require-mschap", "", &["mschapv1-allowed", "refuse-misunderstood"]),
    ("without require-mppe", "", &["mppe-missing"]),
    ("option require-mppe-40", "", &["mppe-40-allowed"]),
    ("option mppe-stateful", "", &["mppe-stateful"]),
    ("option noccp", "", &["mppe-without-ccp"]),
    ("option debug", "", &["debug-log"]),
    ("option mtu 1500", "", &["mtu-too-large"]),
    ("without ms-dns", "", &["dns-missing"]),
    ("daemon connections 50", "", &["pool-too-small"]),
    ("daemon localip 192.168.77.12", "", &["pool-overlap"]),
    (
        "echo 0 >/proc/sys/net/ipv4/ip_forward",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        &["ip-forward-off"],
    ),
    (
        "echo 1 >/proc/sys/net/ipv4/conf/vec0/rp_filter",
        "echo 0 >/proc/sys/net/ipv4/conf/vec0/rp_filter",
        &["rp-filter-strict"],
    ),
    (
        "echo 60 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
        "echo 432000 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
        &["tcp-timeout-short"],
    ),
    ("fill_table", "empty_table", &["conntrack-full"]),
    (
        "conntrack -I -p gre -s 198.51.100.7 -d 10.77.0.2 --srckey 1 --dstkey 2 -t 60",
        "conntrack -D -p gre",
        &["gre-unreplied"],
    ),
    ("rules '/dport 1723 -j ACCEPT/d'", "", &["control-blocked"]),
    ("rules '/-p gre -j ACCEPT/d; /CT --helper/d'", "", &["gre-helper-missing"]),
    (
        "rules '/-A INPUT.*RELATED/d; /INPUT -p gre/a -A INPUT -p tcp -j DROP'",
        "",
        &["established-blocked"],
    ),
    (
        "rules 's/:OUTPUT ACCEPT/&/; /INPUT -p gre/a -A OUTPUT -p gre -j DROP'",
        "",
        &["gre-out-blocked"],
    ),
    ("rules '/CT --helper/d'", "", &["helper-unassigned"]),
    ("rules /TCPMSS/d", "", &["mss-clamp-missing"]),
    ("chmod 644 /etc/ppp/chap-secrets", "", &["secrets-readable"]),
];

fn findings(seen: &Seen) -> impl Iterator<Item = &serde_json::Value> {
    seen.json["facts"]["findings"].as_array().into_iter().flatten()
}

/// The identifiers of all findings.
fn found(seen: &Seen) -> Vec<String> {
    let ids = findings(seen).filter_map(|finding| finding["id"].as_str());
    let mut ids: Vec<_> = ids.map(str::to_owned).collect();
    ids.sort();
    ids
}

#[track_caller]
fn must_find(row: &str, seen: &Seen, expected: &[&str]) {
    if expected.is_empty() {
        seen.must_be(row, "OK done/none");
    }
    assert_eq!(found(seen), expected, "{row}: {}", seen.json);
    assert_eq!(seen.json["facts"]["unread"], serde_json::json!([]), "{row}: {}", seen.json);
}

/// A gateway in a guest with everything as it should be.
struct Gateway {
    bed: Bed,
    /// The directory that the guest shares with the host: its `/run/state`.
    state: PathBuf,
}

impl Gateway {
    fn up(name: &str) -> Self {
        let options: Vec<&str> = GOOD_PPPD.iter().flat_map(|line| ["--pppd", line]).collect();
        let bed = Bed::up(name, &[&["--conntrack"], &options[..]].concat());
        let told = bed.must(&["env"]);
        let state = told.lines().find_map(|line| line.strip_prefix("STATE="));
        let state = PathBuf::from(state.expect("the bed says where"));
        // What the host has in /tmp the guests do not see.
        std::fs::copy(HOST, state.join("check")).expect("there is room");
        std::fs::write(state.join("tools"), TOOLS).expect("there is room");
        std::fs::write(state.join("rules"), GOOD_RULES).expect("there is room");
        bed.must(&[
            "vm",
            // What is configured on the machine itself is not the guest's.
            "[ ! -d /etc/radcli ] || mount -t tmpfs tmpfs /etc/radcli
             guest_modules iptable_mangle xt_TCPMSS
             ip route add default via 10.77.0.1
             mkdir /run/good
             cp /etc/ppp/options.pptpd /run/pptpd.conf /run/state/rules /run/good
             cat /proc/sys/net/netfilter/nf_conntrack_max >/run/good/max",
        ]);
        Self { bed, state }
    }

    fn vm(&self, line: &str) -> std::process::Output {
        let line = format!(". /run/state/tools\n{line}");
        self.bed.command(&["vm", &line]).output().expect("the guest answers")
    }

    /// Changes a good guest and runs a check in it.
    fn check_as(&self, check: &str, change: &str) -> Seen {
        let quiet = "</dev/null >/dev/null 2>&1";
        Seen::new(&self.vm(&format!("{{ good; {change}\n}} {quiet}\n{check} -o json")))
    }

    fn check(&self, change: &str) -> Seen {
        self.check_as("/run/state/check", change)
    }

    fn check_as_it_is(&self) -> Seen {
        Seen::new(&self.vm("/run/state/check -o json"))
    }
}

/// Each fault is found and nothing else; and whoever runs the commands that are
/// given for it has mended it, and has broken nothing.
#[test]
fn each_fault_of_a_gateway_is_found_and_mended() {
    let gateway = Gateway::up("faults");
    let seen = gateway.check("");
    must_find("nothing changed", &seen, &[]);
    assert_eq!(seen.fact("host"), "gateway");
    let mut mends = 0;
    for (change, undo, expected) in BROKEN {
        let seen = gateway.check(change);
        must_find(change, &seen, expected);
        for mend in findings(&seen).filter_map(|finding| finding["mend"].as_str()) {
            mends += usize::from(!mend.is_empty());
            let output = gateway.vm(mend);
            assert!(output.status.success(), "{change}: {mend}: {output:?}");
        }
        let left = gateway.check_as_it_is();
        let had_none =
            |id: &str| findings(&seen).any(|finding| finding["id"] == *id && finding["mend"] == "");
        for finding in findings(&left) {
            let id = finding["id"].as_str().expect("a finding has one");
            // What is now worth a word is no fault.
            let is_word = finding["severity"] == "info" && !expected.contains(&id);
            assert!(had_none(id) || is_word, "{change}: not mended: {finding}");
        }
        gateway.vm(&format!("{{ :; {undo}\n}} </dev/null >/dev/null 2>&1"));
    }
    assert!(mends > 25, "only {mends} commands were tried");
    must_find("everything undone", &gateway.check(""), &[]);
}

/// What was gathered on a host, by the check or by its script where nothing
/// may be installed, says elsewhere what the check says there.
#[test]
fn collected_hosts_are_judged_as_live_ones() {
    let gateway = Gateway::up("collected");
    let script = Command::new(HOST).arg("--collect-script").output().expect("the check runs");
    std::fs::write(gateway.state.join("collect.sh"), &script.stdout).expect("there is room");
    let several =
        "without lcp-echo; option noauth; chmod 644 /etc/ppp/chap-secrets; rules /TCPMSS/d";
    for (name, change) in [("good", ""), ("several", several)] {
        let live = gateway.check(change);
        assert_eq!(found(&live).is_empty(), change.is_empty(), "{name}: {}", live.json);
        // Its kernel and firewall are as the check has just left them.
        let output = gateway.vm(&format!(
            "/run/state/check --collect /run/state/{name} &&
             mkdir /run/state/{name}-by-script &&
             busybox sh /run/state/collect.sh | busybox tar -x -C /run/state/{name}-by-script"
        ));
        assert!(output.status.success(), "{name}: {output:?}");
        for tree in [name.to_owned(), format!("{name}-by-script")] {
            let root = gateway.state.join(&tree);
            assert!(!holds(&root, "Pr0be-secret"), "{tree}: a password was collected");
            let mut command = Command::new(HOST);
            command.arg("--root").arg(&root).args(["-o", "json"]);
            let seen = Seen::new(&command.output().expect("the check runs"));
            assert_eq!(found(&seen), found(&live), "{tree}: {}", seen.json);
            assert_eq!(
                seen.json["facts"]["unread"], live.json["facts"]["unread"],
                "{tree}: {}",
                seen.json
            );
        }
    }
}

/// Whether a file below a directory holds a text.
fn holds(directory: &Path, text: &str) -> bool {
    let mut command = Command::new("grep");
    command.args(["-rqF", text]).arg(directory);
    command.status().expect("grep runs").success()
}

/// Whoever may read less says what he could not read, and finds nothing wrong
/// that is right.
#[test]
fn nobody_says_what_he_could_not_read() {
    let gateway = Gateway::up("nobody");
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups /run/state/check";
    let seen = gateway.check_as(nobody, "");
    assert_eq!(found(&seen), [""; 0], "{}", seen.json);
    assert_eq!(seen.word("state"), "UNKNOWN", "{}", seen.json);
    let unread = seen.json["facts"]["unread"].as_array().cloned().unwrap_or_default();
    assert!(!unread.is_empty(), "{}", seen.json);
    for one in &unread {
        assert!(one["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{one}");
    }
    // What may be read is judged all the same.
    let seen = gateway.check_as(nobody, "without lcp-echo");
    assert_eq!(found(&seen), ["lcp-echo-missing"], "{}", seen.json);
    assert_eq!(seen.word("state"), "CRITICAL", "{}", seen.json);
}

/// What is put in whose place.
type Replacements<'a> = &'a [(&'a str, &'a str)];

/// Runs the check beside a pptpd of its own on this machine's kernel.
fn check_behind(backend: &str, rules: &str) -> Seen {
    let name = format!("pptp-rules-{}-{:p}.{backend}", std::process::id(), &rules);
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, rules).expect("it can be written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/testbed/namespace-gateway");
    let mut command = Command::new(script);
    command.arg("--rules").arg(&file).args([HOST, "-o", "json"]).stdin(Stdio::null());
    let output = command.output().expect("the script runs");
    let _ = std::fs::remove_file(&file);
    Seen::new(&output)
}

#[test]
fn each_fault_of_a_firewall_is_found_and_nothing_else() {
    // Where, what is replaced, by what, and what is found then.
    let gre = "meta l4proto gre accept";
    let helper = "tcp dport 1723 ct helper set \"callers\"";
    let established = "ct state established,related accept";
    let of_nft: [(Replacements, &[&str]); 10] = [
        (&[], &[]),
        (&[("tcp dport 1723 accept", "")], &["control-blocked"]),
        (&[("tcp dport 1723 accept", "tcp dport { 22, 1720-1730 } accept")], &[]),
        // The helper announces GRE, which is related then.
        (&[(gre, "")], &[]),
        (&[(gre, ""), (helper, "")], &["gre-helper-missing"]),
        (
            &[(
                gre,
                "ip saddr 192.0.2.0/24 meta l4proto gre counter packets 7 bytes 400 drop\nip protocol gre accept",
            )],
            &["firewall-drops"],
        ),
        (&[(established, "")], &["established-blocked"]),
        (&[("tcp flags syn tcp option maxseg size set rt mtu", "")], &["mss-clamp-missing"]),
        (&[("size set rt mtu", "size set 1400")], &["mss-clamp-too-large"]),
        (&[("iifname \"ppp*\" accept", "")], &["forward-blocked"]),
    ];
    for (changes, expected) in of_nft {
        let rules = changes.iter().fold(GOOD_NFT.to_owned(), |rules, (what, by)| {
            assert!(rules.contains(what), "{what}");
            rules.replace(what, by)
        });
        must_find(&format!("nft: {changes:?}"), &check_behind("nft", &rules), expected);
    }
    let lo = "-A INPUT -i lo -j ACCEPT";
    let drop_first = format!("-A INPUT -p gre -j DROP\n{lo}");
    let of_iptables: [(&str, &str, &[&str]); 4] = [
        ("", "", &[]),
        ("-A INPUT -p tcp -m tcp --dport 1723 -j ACCEPT\n", "", &["control-blocked"]),
        // The GRE of a session that stands is an answer too.
        (lo, &drop_first, &["established-blocked", "gre-in-blocked"]),
        ("-A FORWARD -o ppp+ -j ACCEPT\n", "", &["forward-blocked"]),
    ];
    for backend in ["iptables-nft", "iptables-legacy"] {
        for (what, by, expected) in of_iptables {
            let rules = GOOD_RULES.replace(what, by);
            must_find(&format!("{backend}: {what:?}"), &check_behind(backend, &rules), expected);
        }
    }
}
