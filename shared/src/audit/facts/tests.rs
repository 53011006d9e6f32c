use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{FileType, Mode};

use super::super::command::ask;
use super::super::firewall::{Backend, Fate};
use super::super::sources::COMMANDS;
use super::*;
use crate::gateway::options::{Setting, Settings};
use crate::gateway::scratch::Scratch;

/// A tree that may be changed.
pub(in crate::audit) fn tree(name: &str) -> Scratch {
    Scratch::of(&format!("../audit/{name}"))
}

pub(in crate::audit) fn gathered(root: &Root) -> Facts {
    Facts::gather(root, shown, Instant::now() + Duration::from_secs(60))
}

/// A firewall that shows what it was made of.
fn shown(nft: Option<&[u8]>, iptables: Option<&[u8]>) -> Result<Firewall, String> {
    let texts = [(Backend::Nft, nft), (Backend::Iptables, iptables)];
    let texts = texts.into_iter().filter_map(|(backend, text)| Some((backend, text?)));
    let (backends, troubles) =
        texts.map(|(backend, text)| (backend, String::from_utf8_lossy(text).into_owned())).unzip();
    Ok(Firewall {
        backends,
        control_in: Fate::Accepted,
        gre_in: Fate::Accepted,
        gre_out: Fate::Accepted,
        established_in: Fate::Accepted,
        forward_from_ppp: Fate::Accepted,
        forward_to_ppp: Fate::Accepted,
        established_rules: Vec::new(),
        gre_needs_helper: false,
        helper_rules: Vec::new(),
        helper_in_output: false,
        helper_in_prerouting: false,
        drops: Vec::new(),
        mss_clamp: Vec::new(),
        notrack: Vec::new(),
        troubles,
    })
}

/// Arguments of all settings of a name, with the file and line of each.
fn all(settings: &Settings, name: &str) -> Vec<(String, String, u32)> {
    let list = settings.list.iter().filter(|setting| *setting.name == *name.as_bytes());
    let shown = |setting: &Setting| {
        let file = setting.file.as_deref().unwrap_or(Path::new("command line"));
        let value = String::from_utf8_lossy(setting.value()).into_owned();
        (value, file.display().to_string(), setting.line)
    };
    list.map(shown).collect()
}

fn one(value: &str, file: &str, line: u32) -> Vec<(String, String, u32)> {
    vec![(value.to_owned(), file.to_owned(), line)]
}

#[test]
fn debian_with_pptpd_is_understood() {
    let facts = gathered(&tree("debian-poptop").root());
    assert_eq!(facts.host, "gateway");
    assert_eq!(facts.kernel, Known::Is(KernelVersion { major: 6, minor: 1 }));
    let poptop = facts.poptop.get().unwrap();
    assert!(poptop.runs);
    assert_eq!(poptop.capacity, Some(10));
    assert_eq!(poptop.pppd.trouble, None);
    assert_eq!(all(&poptop.pppd, "lcp-echo-interval"), one("30", "/etc/ppp/options", 9));
    assert_eq!(all(&poptop.pppd, "mtu"), one("1400", "/etc/ppp/pptpd-options", 15));
    assert_eq!(all(&poptop.pppd, "local"), one("", "command line", 1));
    let plugin = "/usr/lib/pptpd/pptpd-logwtmp.so";
    assert_eq!(all(&poptop.pppd, "plugin"), one(plugin, "command line", 5));
    assert_eq!(poptop.calls.keys().copied().collect::<Vec<_>>(), [819, 823]);
    let call = &poptop.calls[&823];
    assert_eq!(all(call, "remotenumber"), one("10.77.0.4", "command line", 12));
    assert_eq!(all(call, "mtu"), [], "that is the same for all");
    assert_eq!(facts.accel_ppp, Known::Absent);
    let socket = |last, port| ControlSocket {
        peer: SocketAddr::from(([10, 77, 0, last], port)),
        keepalive: false,
    };
    assert_eq!(facts.control_sockets, Known::Is(vec![socket(3, 0x9255), socket(4, 0x84ad)]));
    assert_eq!(facts.shared_addresses, BTreeMap::new());
    assert_eq!(facts.tcp_keepalive_time, Known::Is(Duration::from_secs(7200)));
    assert_eq!(facts.tcp_keepalive_interval, Known::Is(Duration::from_secs(75)));
    assert_eq!(facts.tcp_keepalive_probes, Known::Is(9));
    let modules = facts.modules.get().unwrap();
    assert_eq!([modules.has("nf_conntrack_pptp"), modules.has("mii_core")], [Some(true); 2]);
    assert_eq!(modules.has("iptable_filter"), Some(false));
    assert!(!modules.loaded.contains("mii_core"));
    let conntrack = facts.conntrack.get().unwrap();
    assert_eq!((&conntrack.count, &conntrack.max), (&Known::Is(7), &Known::Is(262_144)));
    assert_eq!(conntrack.gre_timeout, Known::Is(Duration::from_secs(30)));
    assert_eq!(conntrack.gre_timeout_stream, Known::Is(Duration::from_secs(180)));
    assert_eq!(conntrack.helper_by_itself, Known::Absent);
    assert_eq!(conntrack.dropped, Known::Is(0));
    let callers: Vec<_> =
        conntrack.gre.get().unwrap().iter().map(|flow| flow.source.octets()[3]).collect();
    assert_eq!(callers, [3, 4]);
    assert_eq!(facts.ip_forward, Known::Is(true));
    let interfaces = facts.interfaces.get().unwrap();
    let names: Vec<_> = interfaces.iter().map(|interface| &*interface.name).collect();
    assert_eq!(names, ["eth0", "lo", "ppp0", "ppp1"]);
    let uplink = Interface {
        name: "eth0".to_owned(),
        mtu: 1500,
        is_ppp: false,
        is_uplink: true,
        rp_filter: Known::Is(0),
    };
    assert_eq!(interfaces[0], uplink);
    assert!(interfaces[2].is_ppp && !interfaces[2].is_uplink);
    let firewall = facts.firewall.get().unwrap();
    assert_eq!(firewall.backends, [Backend::Nft], "without ip_tables nothing of it is asked");
    assert!(firewall.troubles[0].starts_with("{\"nftables\""));
    assert!(facts.secrets_files.iter().all(|file| (file.mode, file.owner) == (0o600, 0)));
    assert_eq!(facts.secrets_files.len(), 2);
}

#[test]
fn ubuntu_with_accel_ppp_is_understood() {
    let facts = gathered(&tree("ubuntu-accel-ppp").root());
    assert_eq!(facts.poptop, Known::Absent);
    let accel_ppp = facts.accel_ppp.get().unwrap();
    assert!(accel_ppp.runs);
    assert_eq!(accel_ppp.trouble, None);
    assert_eq!(accel_ppp.first("ppp", "lcp-echo-interval"), Some(&b"20"[..]));
    assert_eq!(accel_ppp.first("modules", "pptp"), Some(&b""[..]));
    assert_eq!(accel_ppp.first("radius", "server"), Some(&b"192.0.2.9,********"[..]));
    let included = accel_ppp.options.iter().find(|option| *option.name == *b"nas-identifier");
    let included = included.unwrap();
    assert_eq!(&*included.section, b"radius", "the section goes on");
    assert_eq!((&*included.file, included.line), (&b"/etc/accel-ppp/more.conf"[..], 1));
    let socket = |port, keepalive| ControlSocket {
        peer: SocketAddr::from(([10, 77, 0, 3], port)),
        keepalive,
    };
    assert_eq!(
        facts.control_sockets,
        Known::Is(vec![socket(0x9255, true), socket(0x9256, false)]),
        "one that waits for an answer does not tell"
    );
    assert_eq!(facts.shared_addresses, [(Ipv4Addr::new(10, 77, 0, 3).into(), 2)].into());
    let conntrack = facts.conntrack.get().unwrap();
    assert_eq!(conntrack.helper_by_itself, Known::Is(false));
    assert_eq!(conntrack.gre, Known::Is(Vec::new()));
    let firewall = facts.firewall.get().unwrap();
    assert_eq!(firewall.backends, [Backend::Iptables]);
    assert!(firewall.troubles[0].starts_with("*filter"));
    let public = SecretsFile { path: "/etc/accel-ppp/main.conf".to_owned(), mode: 0o644, owner: 0 };
    assert_eq!(facts.secrets_files[0], public);
    assert_eq!(facts.secrets_files[1].mode, 0o640);
}

#[test]
fn openwrt_collected_without_rights_says_what_is_missing() {
    let facts = gathered(&tree("openwrt-poptop").root());
    let poptop = facts.poptop.get().unwrap();
    assert_eq!(poptop.capacity, Some(11));
    let echo = |value: &str, file: &str, line| (value.to_owned(), file.to_owned(), line);
    assert_eq!(
        all(&poptop.pppd, "lcp-echo-interval"),
        [echo("1", "/etc/ppp/options", 7), echo("60", "/var/etc/options.pptpd", 9)]
    );
    let mppe = "required,no40,no56,stateless";
    assert_eq!(all(&poptop.pppd, "mppe"), one(mppe, "/var/etc/options.pptpd", 10));
    let why = |unread: Option<&Unread>| unread.map(|unread| unread.why.clone());
    assert_eq!(facts.modules.get().map(|modules| modules.built_in.clone()), Some(None));
    let conntrack = facts.conntrack.get().unwrap();
    assert_eq!(why(conntrack.gre.unread()).as_deref(), Some("Permission denied"));
    assert_eq!(
        facts.firewall.unread(),
        Some(&Unread {
            what: "rules of nftables".to_owned(),
            why: "nft: Operation not permitted (you must be root)".to_owned(),
            mend: "collect the tree again, as root".to_owned(),
        })
    );
    assert_eq!(facts.secrets_files[0].mode, 0o644);
}

#[test]
fn host_without_netfilter_has_no_netfilter_facts() {
    let tree = tree("debian-poptop");
    for name in ["count", "max", "gre_timeout", "gre_timeout_stream", "tcp_timeout_established"] {
        tree.remove(&format!("proc/sys/net/netfilter/nf_conntrack_{name}"));
    }
    tree.change("proc/modules", Vec::clear);
    let facts = gathered(&tree.root());
    assert_eq!((facts.conntrack, facts.firewall), (Known::Absent, Known::Absent));
}

#[test]
fn kernel_without_the_settings_of_gre_has_none() {
    let tree = tree("debian-poptop");
    for name in ["gre_timeout", "gre_timeout_stream"] {
        tree.remove(&format!("proc/sys/net/netfilter/nf_conntrack_{name}"));
    }
    let facts = gathered(&tree.root());
    let conntrack = facts.conntrack.get().unwrap();
    assert_eq!(conntrack.gre_timeout, Known::Absent);
    assert_eq!(conntrack.gre_timeout_stream, Known::Absent);
}

#[test]
fn tree_with_nothing_in_it_is_not_taken_for_a_host_without_anything() {
    let tree = tree("debian-poptop");
    let root = tree.root();
    let empty = Root::new(std::env::temp_dir().join("no-such-directory"));
    let facts = gathered(&empty);
    assert!(facts.kernel.unread().is_some());
    assert!(facts.poptop.unread().is_some());
    assert!(facts.accel_ppp.unread().is_some());
    assert!(facts.conntrack.unread().is_some());
    assert!(facts.control_sockets.unread().is_some());
    assert!(facts.modules.unread().is_some());
    assert!(facts.interfaces.unread().is_some());
    assert!(facts.firewall.unread().is_some());
    assert!(facts.ip_forward.unread().is_some());
    // A file that its collector could not read is not absent either.
    for (path, is_unread) in [
        ("proc", (|facts| facts.poptop.unread().is_some()) as fn(&Facts) -> bool),
        ("proc/net/tcp", |facts| facts.control_sockets.unread().is_some()),
        ("proc/net/route", |facts| facts.interfaces.unread().is_some()),
        ("proc/modules", |facts| facts.modules.unread().is_some()),
        ("proc/sys/kernel/osrelease", |facts| facts.kernel.unread().is_some()),
        ("proc/sys/net/ipv4/ip_forward", |facts| facts.ip_forward.unread().is_some()),
        ("etc/ppp/options", |facts| {
            let pppd = &facts.poptop.get().unwrap().pppd;
            pppd.trouble.as_deref() == Some("cannot read /etc/ppp/options: Permission denied")
        }),
        ("etc/pptpd.conf", |facts| {
            let pppd = &facts.poptop.get().unwrap().pppd;
            pppd.trouble.as_deref() == Some("cannot read /etc/pptpd.conf: Permission denied")
        }),
    ] {
        tree.change("pptp-monitor/manifest.txt", |text| {
            *text = format!("unread {path}: Permission denied\n").into_bytes();
        });
        assert!(is_unread(&gathered(&root)), "{path}");
    }
}

#[test]
fn hostile_files_are_troubles() {
    let tree = tree("debian-poptop");
    let root = tree.root();
    let trouble = || gathered(&root).poptop.get().unwrap().pppd.trouble.clone().unwrap();
    tree.change("etc/ppp/pptpd-options", |text| text.extend(b"file /etc/ppp/pptpd-options\n"));
    assert_eq!(trouble(), "/etc/ppp/pptpd-options is inside too many files");
    tree.change("etc/ppp/pptpd-options", |text| text.resize(65 << 10, b' '));
    assert_eq!(trouble(), "cannot read /etc/ppp/pptpd-options: it is too large");
    tree.remove("etc/ppp/pptpd-options");
    assert_eq!(trouble(), "cannot read /etc/ppp/pptpd-options: No such file or directory");
    let place = tree.place("etc/ppp/pptpd-options");
    rustix::fs::mknodat(rustix::fs::CWD, &place, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(trouble(), "cannot read /etc/ppp/pptpd-options: this is no regular file");
    tree.remove("etc/ppp/pptpd-options");
    // The file of that name outside the tree is not the one that is meant.
    symlink("/etc/passwd", &place).unwrap();
    assert_eq!(trouble(), "cannot read /etc/ppp/pptpd-options: No such file or directory");
    tree.remove("etc/ppp/pptpd-options");
    tree.change("etc/ppp/pptpd-options", |text| text.extend((0..=255).cycle().take(60_000)));
    assert_eq!(all(&gathered(&root).poptop.get().unwrap().pppd, "mtu"), []);
}

#[test]
fn accel_ppp_that_includes_itself_is_a_trouble() {
    let tree = tree("ubuntu-accel-ppp");
    let trouble = || gathered(&tree.root()).accel_ppp.get().unwrap().trouble.clone().unwrap();
    tree.change("etc/accel-ppp/more.conf", |text| {
        text.extend(b"$include /etc/accel-ppp/more.conf\n");
    });
    assert_eq!(trouble(), "/etc/accel-ppp/more.conf is inside too many files");
    tree.change("etc/accel-ppp/more.conf", |text| text.extend(b"$include more.conf\n"));
    tree.change("etc/accel-ppp/main.conf", |text| *text = b"$include more.conf\n".to_vec());
    assert_eq!(trouble(), "cannot read more.conf: the path does not begin with a slash");
    tree.remove("etc/accel-ppp/main.conf");
    assert_eq!(trouble(), "cannot read /etc/accel-ppp/main.conf: No such file or directory");
}

#[test]
fn secrets_are_no_facts() {
    let tree = tree("debian-poptop");
    tree.change("etc/ppp/options", |text| text.extend(b"password 's3cret word'\n"));
    let facts = gathered(&tree.root());
    assert_eq!(
        all(&facts.poptop.get().unwrap().pppd, "password"),
        one("********", "/etc/ppp/options", 12)
    );
    assert_eq!(accel_ppp::masked(b"cli", b"password", b"s3cret"), MASK);
    assert_eq!(accel_ppp::masked(b"l2tp", b"secret", b"s3cret"), MASK);
    let server = accel_ppp::masked(b"radius", b"server", b"10.0.0.1,s3cret,auth-port=1812");
    assert_eq!(server, b"10.0.0.1,********");
    let file = accel_ppp::masked(b"chap-secrets", b"chap-secrets", b"/etc/ppp/chap-secrets");
    assert_eq!(file, b"/etc/ppp/chap-secrets");
}

#[test]
fn this_very_host_is_read() {
    let facts = gathered(&Root::new("/"));
    assert!(facts.kernel.get().is_some());
    assert!(facts.interfaces.get().is_some());
    assert!(facts.control_sockets.get().is_some());
}

#[test]
fn right_of_a_user_reaches_the_program() {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_res_uid,
    };
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/nft").exists() {
        return eprintln!("skipped: needs root and nft");
    }
    // A thread of its own: its user and rights are not those of the others.
    let as_nobody = |permitted| {
        let body = move || {
            let nobody = rustix::process::Uid::from_raw(65534);
            set_keep_capabilities(true).unwrap();
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: none, permitted, inheritable: none };
            set_capabilities(None, sets).unwrap();
            ask(&COMMANDS[0], Instant::now() + Duration::from_secs(60))
        };
        std::thread::spawn(body).join().unwrap()
    };
    let error = as_nobody(CapabilitySet::empty()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
    match as_nobody(CapabilitySet::NET_ADMIN) {
        Ok(text) => assert!(text.starts_with(b"{\"nftables\"")),
        // A kernel without nf_tables.
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}"),
    }
}
