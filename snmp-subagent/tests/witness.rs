//! The collector over a recorded gateway whose log grows and whose sessions
//! end, as far as what is served: enrichment, causes, failures, the audit.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::Encryption;
use pptp_probe::gateway::tracker::TerminateCause;
use pptp_probe::reason::{Phase, Reason};
use pptp_snmp_subagent::ROOT;
use pptp_snmp_subagent::collector::{Collector, Work};
use pptp_snmp_subagent::config::Config;
use pptp_snmp_subagent::daemon::{ByClock, Source};
use pptp_snmp_subagent::facts::Facts;
use pptp_snmp_subagent::log::Log;
use pptp_snmp_subagent::mib_text::{Mib, PROBE_TC_MIB, SESSION_MIB};
use pptp_snmp_subagent::oid::Oid;
use pptp_snmp_subagent::sources::Looks;
use pptp_snmp_subagent::view::View;
use tokio::sync::mpsc;

/// Nothing takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of this test; it goes with its value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Seconds since 1970, so long ago.
fn ago(seconds: u64) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later");
    since.as_secs() - seconds
}

/// RFC 3339.
fn stamp(seconds: u64) -> String {
    let said = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%FT%TZ"]).output();
    String::from_utf8(said.expect("it runs").stdout).expect("digits").trim_end().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("it is there").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            copy(&from, &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(from).expect("a link"), to).expect("a link");
        } else {
            fs::copy(from, to).expect("a file");
        }
    }
}

/// A copy of the gateway with two sessions, as if it had booted ten seconds
/// ago: they began four and five seconds later.
fn gateway() -> (Scratch, u64) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gateway");
    let scratch =
        Scratch(std::env::temp_dir().join(format!("pptp-witness-{}", std::process::id())));
    copy(&fixtures.join("poptop-two-sessions"), &scratch.0);
    let boot = ago(10);
    fs::write(scratch.0.join("proc/stat"), format!("btime {boot}\n")).expect("a file");
    (scratch, boot)
}

fn collector(scratch: &Scratch) -> Collector {
    let config = Config::parse(&format!(
        "[collect]\nroot = {root:?}\nsources = ['poptop']\ninterval = '100ms'\n\
         [[log]]\nfile = '{}/var/log/syslog'\n",
        scratch.0.display(),
        root = scratch.0,
    ));
    let config = Arc::new(config.unwrap_or_else(|faults| panic!("{faults:?}")));
    let work = Work {
        looks: Looks::new(&config.collect),
        config,
        notifications: mpsc::channel(64).0,
        status: Arc::default(),
        own: Arc::default(),
        log: Arc::new(Log::stderr(false)),
    };
    Collector::start(work).expect("threads")
}

/// The facts as soon as `wanted` is so.
fn when(collector: &Collector, wanted: impl Fn(&Facts) -> bool) -> Arc<Facts> {
    let until = Instant::now() + PATIENCE;
    loop {
        let facts = collector.facts();
        if wanted(&facts) {
            return facts;
        }
        assert!(Instant::now() < until, "{facts:#?}");
        std::thread::yield_now();
    }
}

#[test]
fn log_tells_of_sessions_their_ends_and_failures_while_it_grows() {
    let (scratch, boot) = gateway();
    let log = scratch.0.join("var/log/syslog");
    let append = |lines: &[&str]| {
        let mut file = fs::File::options().create(true).append(true).open(&log).expect("a file");
        for line in lines {
            let (after, line) = line.split_once(' ').expect("seconds and a line");
            let at = stamp(boot + after.parse::<u64>().expect("seconds"));
            writeln!(file, "{at} gateway {line}").expect("it can be written");
        }
    };
    append(&[
        "4 pptpd[818]: CTRL: Client 10.77.0.3 control connection started",
        "5 pptpd[818]: CTRL: Starting call (launching pppd, opening GRE)",
        "5 pppd[819]: pppd 2.4.9 started by root, uid 0",
        "5 pppd[819]: Using interface ppp0",
        "5 pppd[819]: Connect: ppp0 <--> /dev/pts/0",
        "5 pppd[819]: peer from calling number 10.77.0.3 authorized",
        "5 pppd[819]: MPPE 128-bit stateless compression enabled",
        "5 pppd[819]: local  IP address 192.168.77.1",
        "5 pppd[819]: remote IP address 192.168.77.10",
    ]);
    let collector = collector(&scratch);
    let facts = when(&collector, |facts| {
        let session = |index| facts.servers.first()?.sessions.get(index);
        session(1).is_some_and(|row| row.encryption() == Some(Encryption::Mppe128))
    });
    assert_eq!(facts.servers[0].counted.control_attempted, Some(0), "it came before us");

    append(&[
        "9 pptpd[900]: CTRL: Client 10.77.0.9 control connection started",
        "9 pptpd[900]: CTRL: Starting call (launching pppd, opening GRE)",
        "9 pppd[901]: pppd 2.4.9 started by root, uid 0",
        "9 pppd[901]: Using interface ppp7",
        "9 pppd[901]: Connect: ppp7 <--> /dev/pts/7",
        "9 pppd[901]: Peer mallory failed CHAP authentication",
        "9 pppd[901]: Connection terminated.",
        "9 pppd[901]: Exit.",
        "9 pptpd[900]: CTRL: Reaping child PPP[901]",
        "9 pptpd[900]: CTRL: Client 10.77.0.9 control connection finished",
    ]);
    let facts = when(&collector, |facts| !facts.failures.is_empty());
    let failure = &facts.failures[0];
    assert_eq!((failure.reason, failure.count), (Reason::AuthRejected, 1));
    assert_eq!(&*failure.user, b"mallory");
    let counted = facts.servers[0].counted;
    assert_eq!((counted.control_attempted, counted.auth_failures), (Some(1), Some(1)));

    append(&[
        "9 pppd[819]: LCP terminated by peer (MPPE disabled)",
        "9 pppd[819]: Connect time 0.1 minutes.",
        "9 pppd[819]: Sent 562 bytes, received 99999 bytes.",
        "9 pptpd[818]: CTRL: Reaping child PPP[819]",
        "9 pppd[819]: Modem hangup",
        "9 pppd[819]: Connection terminated.",
        "9 pppd[819]: Exit.",
        "9 pptpd[818]: CTRL: Client 10.77.0.3 control connection finished",
    ]);
    for gone in ["proc/818", "proc/819", "sys/class/net/ppp0"] {
        fs::remove_dir_all(scratch.0.join(gone)).expect("it was there");
    }
    let facts = when(&collector, |facts| {
        facts.history.iter().any(|row| row.ended.record.index == 1) && facts.audited
    });
    let row = facts.history.iter().find(|row| row.ended.record.index == 1).expect("as waited for");
    assert_eq!((row.ended.cause, row.ended.phase), (TerminateCause::UserRequest, Phase::Done));
    assert!(row.ended.text.starts_with("the caller hung up"), "{}", row.ended.text);
    let traffic = row.ended.record.session.traffic.expect("both told");
    assert_eq!(traffic.octets_in, 99_999);
    assert!(!facts.audit.is_empty(), "much of what an audit reads is not there");

    let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).expect("they are right");
    let (view, mut found) = (collector.view(ByClock::Master), Vec::new());
    view.walk(&Oid::from(ROOT), false, None, &mut |name, value| {
        found.push((name.clone(), value));
        true
    });
    let found: std::collections::BTreeMap<_, _> = found.into_iter().collect();
    assert_eq!(mib.misfits(&found), [""; 0]);
    let unserved = mib.unserved(&found.keys().collect::<Vec<_>>());
    let fed = ["pptpAudit", "pptpFailure", "pptpHistory"];
    let missing: Vec<_> =
        unserved.iter().filter(|name| fed.iter().any(|table| name.starts_with(table))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
