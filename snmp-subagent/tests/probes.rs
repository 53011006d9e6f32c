//! Every kind of probe against the lab gateway, healthy and with a fault, and
//! without the right that some need.
//!
//! The process moves into a network namespace before it has a second thread,
//! so this is a program of its own. Where the system forbids that to users, run
//! it as root.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pptp_plugins::lab::config::{Config as LabConfig, Settings};
use pptp_plugins::lab::faults::Faults;
use pptp_plugins::lab::namespace;
use pptp_plugins::lab::server::{Lab, RawSockets};
use pptp_probe::net::privilege::drop_all;
use pptp_probe::output::State;
use pptp_probe::reason::{Phase, Reason};
use pptp_snmp_subagent::config::Config;
use pptp_snmp_subagent::log::Log;
use pptp_snmp_subagent::probe::{Loss, Run, Service};
use pptp_snmp_subagent::schedule::Scheduler;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::timeout;

/// No run takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file with a secret, for as long as it is needed.
struct SecretFile(PathBuf);

impl SecretFile {
    fn new(name: &str, secret: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pptp-probes-{}-{name}", std::process::id()));
        std::fs::write(&path, secret).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is ours");
        Self(path)
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn main() {
    let started = Instant::now();
    namespace::enter().expect("a network namespace");
    let password = SecretFile::new("password", "Pr0be-secret\n");
    let secret = SecretFile::new("secret", "testing123\n");
    let settings = Settings::from_toml("radius-secret = 'testing123'\nradius-port = 1812");
    let lab = LabConfig::new(&settings.expect("TOML")).expect("settings");
    let sockets = RawSockets::open([127, 0, 0, 1].into()).expect("raw sockets");
    let config = Config::parse(&format!(
        "[[probe]]
         name = 'control'
         type = 'control'
         hostname = '127.0.0.1'
         echoes = 3
         interval = '1s'
         [[probe]]
         name = 'gre'
         type = 'gre'
         hostname = '127.0.0.1'
         echoes = 4
         interval = '1s'
         timeout = 4
         [[probe]]
         name = 'auth'
         type = 'auth'
         hostname = '127.0.0.1'
         username = 'probe'
         password_file = '{password}'
         mppe = ['128', 'stateless']
         interval = '1s'
         timeout = 4
         [[probe]]
         name = 'radius'
         type = 'radius'
         hostname = '127.0.0.1'
         username = 'probe'
         password_file = '{password}'
         secret_file = '{secret}'
         mode = ['auth', 'acct', 'status']
         interval = '1s'",
        password = password.0.display(),
        secret = secret.0.display(),
    ));
    let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let (lab, listener) =
            Lab::new(lab, Rc::new(Faults::new().into()), sockets, false).expect("a lab");
        let (end, ended) = oneshot::channel::<()>();
        let running = lab.clone();
        let task = tokio::task::spawn_local(async move { running.run(listener, ended).await });
        let (results, mut runs) = mpsc::unbounded_channel();
        let log = Arc::new(Log::stderr(false));
        let sink = move |run| drop(results.send(run));
        let scheduler = Scheduler::start(config.probes.clone(), 0, sink, log).expect("a thread");
        healthy(&of_each(&mut runs).await);
        lab.obey("fault gre-lost-in").expect("a fault");
        with_fault(&mut runs).await;
        tokio::task::spawn_blocking(move || scheduler.stop()).await.expect("it stops");
        drop(end);
        task.await.expect("no panic").expect("the lab ends well");
    });
    drop_all().expect("rights can be given up");
    let (interrupt, _other_end) = std::io::pipe().expect("a pipe");
    without_right(&Arc::new(config.probes[1].clone()).run(interrupt.into()));
    // In the words of the standard harness, which whoever sums up tests reads:
    // healthy, with a fault, without the right.
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
         finished in {seconds:.2}s"
    );
}

async fn next(runs: &mut mpsc::UnboundedReceiver<Run>) -> Run {
    timeout(PATIENCE, runs.recv()).await.expect("a run in time").expect("the scheduler runs")
}

async fn of_each(runs: &mut mpsc::UnboundedReceiver<Run>) -> BTreeMap<String, Run> {
    let mut first = BTreeMap::new();
    while first.len() < 4 {
        let run = next(runs).await;
        first.entry(run.probe.name.clone()).or_insert(run);
    }
    first
}

fn healthy(runs: &BTreeMap<String, Run>) {
    for run in runs.values() {
        assert_eq!((run.state, run.failure), (State::Ok, None), "{}", run.text);
        assert!(run.time.is_some(), "{}", run.text);
    }
    let address = Some(([127, 0, 0, 1], 1723).into());
    assert_eq!([runs["control"].address, runs["auth"].address], [address; 2]);
    assert!(runs["control"].text.starts_with("PPTP CONTROL OK - "), "{}", runs["control"].text);
    assert!(runs["control"].echo_rtt.is_some() && runs["control"].loss.is_none());
    assert_eq!(runs["gre"].loss, Some(Loss { sent: 4, lost: 0 }));
    assert!(runs["gre"].lcp_rtt.is_some() && runs["gre"].lcp_jitter.is_some());
    assert!(runs["auth"].phases.iter().any(|(phase, _)| *phase == Phase::Ipcp));
    assert!(runs["auth"].text.contains("MPPE 128 bit stateless"), "{}", runs["auth"].text);
    let services: Vec<_> =
        runs["radius"].radius.iter().map(|run| (run.service, run.port, run.failure)).collect();
    let expected = [
        (Service::Auth, 1812, None),
        (Service::Acct, 1813, None),
        (Service::Status, 1812, None),
        (Service::Status, 1813, None),
    ];
    assert_eq!(services, expected);
    let login = &runs["radius"].radius[0];
    assert_eq!((login.requests, login.accepts, login.rejects), (1, 1, 0));
    assert!(login.round_trip_time.is_some());
}

async fn with_fault(runs: &mut mpsc::UnboundedReceiver<Run>) {
    loop {
        let run = next(runs).await;
        // One may have been under way before.
        if run.probe.name == "gre" && run.state != State::Ok {
            assert_eq!(run.state, State::Critical);
            assert_eq!(run.failure.map(|(phase, _)| phase), Some(Phase::Gre), "{}", run.text);
            assert!(run.text.contains("GRE"), "{}", run.text);
            return;
        }
    }
}

fn without_right(run: &Run) {
    assert_eq!(run.state, State::Unknown);
    assert_eq!(run.failure, Some((Phase::Gre, Reason::Permission)));
    assert!(run.text.contains("setcap cap_net_raw+ep "), "{}", run.text);
}
