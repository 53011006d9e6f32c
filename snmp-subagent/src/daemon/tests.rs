use std::net::TcpListener as StdListener;
use std::path::PathBuf;

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::log::tests::Lines;
use crate::value::Value;
use crate::view::MapView;

/// A source whose runs, configurations and clock the test has in its hands.
struct Fixture {
    view: Arc<MapView>,
    collected_at: Mutex<Instant>,
    runs: Mutex<Vec<Run>>,
    configured: Mutex<Vec<Config>>,
}

impl Source for Fixture {
    type View = MapView;

    fn view(&self, _: ByClock) -> Arc<MapView> {
        self.view.clone()
    }

    fn metrics(&self, _: Exposition) -> String {
        "pptp_sessions 2\n".into()
    }

    fn collected_at(&self) -> Instant {
        *self.collected_at.lock().unwrap()
    }

    fn probed(&self, run: Run) {
        self.runs.lock().unwrap().push(run);
    }

    fn configure(&self, config: &Config) {
        self.configured.lock().unwrap().push(config.clone());
    }

    fn summary(&self) -> String {
        "2 sessions".into()
    }
}

/// Answers everything with the first value.
struct First;

impl Responder for First {
    fn handle_datagram(
        &mut self,
        _: &[u8],
        _: SocketAddr,
        view: &impl View,
        _: Instant,
    ) -> Option<Vec<u8>> {
        let (name, _) = view.next(&crate::oid::Oid::default(), true, None)?;
        Some(name.to_string().into())
    }
}

/// A daemon on the thread of the test, with a configuration that can change.
struct Fixtures {
    source: Arc<Fixture>,
    lines: Lines,
    file: PathBuf,
    _notify: mpsc::Sender<Notification>,
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn daemon(name: &str, toml: &str) -> (Daemon<Fixture>, Fixtures) {
    let file = format!("pptp-daemon-{}-{name}.toml", std::process::id());
    let file = std::env::temp_dir().join(file);
    std::fs::write(&file, toml).unwrap();
    let argv = ["pptp-snmp-subagent", "--config", file.to_str().unwrap()];
    let arguments = Arguments::try_parse_from(argv).unwrap();
    let config = arguments.load().unwrap_or_else(|faults| panic!("{faults:?}"));
    let mut view = MapView::default();
    view.insert([1, 3, 5].into(), Value::Gauge32(2));
    let source = Arc::new(Fixture {
        view: Arc::new(view),
        collected_at: Mutex::new(Instant::now()),
        runs: Mutex::default(),
        configured: Mutex::default(),
    });
    let lines = Lines::default();
    let (notify, notifications) = mpsc::channel(1);
    let parts = Parts {
        source: source.clone(),
        responder: Some(First),
        notifier: None,
        notifications,
        status: Arc::new(Status::default()),
        log: lines.log(),
    };
    let daemon = Daemon::start(arguments, config, parts).await.unwrap();
    (daemon, Fixtures { source, lines, file, _notify: notify })
}

fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn get(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn what_is_configured_is_served() {
    let (udp, tcp) = (free_port(), free_port());
    let toml = format!(
        "[agentx]\nenabled = false\n[responder]\nenabled = true\nlisten = ['127.0.0.1:{udp}']\n\
         [metrics]\nlisten = '127.0.0.1:{tcp}'"
    );
    let (daemon, fixtures) = daemon("serves", &toml).await;
    assert!(get(tcp, "/metrics").await.unwrap().ends_with("\r\n\r\npptp_sessions 2\n"));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"?", ("127.0.0.1", udp)).await.unwrap();
    let mut buffer = [0; 16];
    let length = client.recv(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"1.3.5");
    let said = fixtures.lines.text();
    let walk = format!("responder: try: snmpwalk -v2c -c public 127.0.0.1:{udp} .1.3.6.1.4.1.");
    assert!(said.contains(&walk), "{said}");
    daemon.end().await;
    assert!(get(tcp, "/metrics").await.is_err());
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing() {
    let port = free_port();
    let toml = format!("[agentx]\nenabled = false\n[metrics]\nlisten = '127.0.0.1:{port}'");
    let (mut daemon, fixtures) = daemon("wrong", &toml).await;
    std::fs::write(&fixtures.file, "[metrics]\nlisten = 'nowhere'\nuser = true").unwrap();
    daemon.reload().await;
    assert!(get(port, "/metrics").await.is_ok());
    assert!(fixtures.source.configured.lock().unwrap().is_empty());
    let said = fixtures.lines.text();
    for part in [
        ":2: metrics.listen must be an IP address with a port",
        ":3: unknown key \"user\" in [metrics]; did you mean users?",
        "daemon: the old configuration stays",
    ] {
        assert!(said.contains(part), "{said}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn what_can_change_does_and_what_cannot_is_named() {
    let [old, new] = [free_port(), free_port()];
    let toml = format!("[agentx]\nenabled = false\n[metrics]\nlisten = '127.0.0.1:{old}'");
    let (mut daemon, fixtures) = daemon("change", &toml).await;
    let port = free_port();
    let toml = format!(
        "[agentx]\nenabled = false\nqueue = 5\n[metrics]\nlisten = '127.0.0.1:{new}'\n\
         [collect]\ninterval = '7s'\n[notifications]\ncapacity_percent = 80\n\
         [[probe]]\nname = 'a'\ntype = 'control'\nhostname = '127.0.0.1'\nport = {port}\n\
         interval = '1s'"
    );
    std::fs::write(&fixtures.file, toml).unwrap();
    daemon.reload().await;
    assert!(get(old, "/metrics").await.is_err());
    assert!(get(new, "/metrics").await.is_ok());
    let said = fixtures.lines.text();
    for name in ["[agentx]", "[collect]"] {
        assert!(said.contains(&format!("{name} changed; that needs a restart")), "{said}");
    }
    assert!(!said.contains("[responder] changed"), "{said}");
    {
        let configured = fixtures.source.configured.lock().unwrap();
        let [config] = configured.as_slice() else { panic!("configured once") };
        assert_eq!(config.notifications.capacity_percent, 80);
        assert_eq!(config.collect.interval, Duration::from_secs(5), "not before a restart");
    }
    while fixtures.source.runs.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixtures.source.runs.lock().unwrap()[0].probe.name, "a");
    daemon.end().await;
}

#[tokio::test]
async fn modules_change_beside_runs_and_runs_are_bounded() {
    let port = free_port();
    let gateway = StdListener::bind("127.0.0.1:0").unwrap();
    let to = gateway.local_addr().unwrap().port();
    let common = format!(
        "[agentx]\nenabled = false\n[metrics]\nlisten = '127.0.0.1:{port}'\nmax_probes = 1\n"
    );
    let (mut daemon, fixtures) = daemon("modules", &common).await;
    let answer = get(port, "/probe?module=m&target=127.0.0.1").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("no modules"), "{answer}");
    let module = format!(
        "[modules.m]\ncheck = 'control'\ntargets = ['127.0.0.0/8']\nport = {to}\ntimeout = 90"
    );
    std::fs::write(&fixtures.file, common.clone() + &module).unwrap();
    daemon.reload().await;
    // It waits for a gateway that says nothing.
    let first = tokio::spawn(get(port, "/probe?module=m&target=127.0.0.1"));
    let (stream, _) = tokio::task::spawn_blocking(move || gateway.accept()).await.unwrap().unwrap();
    let answer = get(port, "/probe?module=m&target=127.0.0.1").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("max_probes"), "{answer}");
    assert!(get(port, "/metrics").await.unwrap().starts_with("HTTP/1.1 200 "));
    std::fs::write(&fixtures.file, common + &module.replace("[modules.m]", "[modules.n]")).unwrap();
    daemon.reload().await;
    let answer = get(port, "/probe?module=m&target=127.0.0.1").await.unwrap();
    assert!(answer.contains("unknown module m; known are n"), "{answer}");
    let probing = daemon.probing.clone();
    assert_eq!(*probing.under_way.borrow(), 1);
    // The end of the daemon is that of the run, with a good-bye.
    daemon.end().await;
    assert_eq!(*probing.under_way.borrow(), 0);
    assert_eq!(first.await.unwrap().unwrap_or_default(), "");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut &stream, &mut rest).unwrap();
    assert!(!rest.is_empty());
}

#[tokio::test]
async fn a_collector_that_stands_still_is_not_well() {
    let port = free_port();
    let toml = format!("[agentx]\nenabled = false\n[metrics]\nlisten = '127.0.0.1:{port}'");
    let (daemon, fixtures) = daemon("still", &toml).await;
    assert!(get(port, "/healthz").await.unwrap().starts_with("HTTP/1.1 200 "));
    let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    *fixtures.source.collected_at.lock().unwrap() = long_ago;
    let answer = get(port, "/healthz").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("stands still"), "{answer}");
    daemon.end().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (mut daemon, fixtures) = daemon("taken", "[agentx]\nenabled = false").await;
    let said = fixtures.lines.text();
    assert!(said.contains("nothing is served"), "{said}");
    let toml = format!("[agentx]\nenabled = false\n[metrics]\nlisten = '{address}'");
    std::fs::write(&fixtures.file, toml).unwrap();
    daemon.reload().await;
    let said = fixtures.lines.text();
    assert!(said.contains(&format!("cannot listen on tcp {address}: Address already")), "{said}");
    daemon.end().await;
}

#[test]
fn the_master_is_told_what_is_configured() {
    let argv = ["pptp-snmp-subagent", "--config=/dev/null", "--synthetic-rows=5"];
    let arguments = Arguments::try_parse_from(argv).unwrap();
    let mut config = Config::default();
    config.agentx.context = "vpn".into();
    config.agentx.timeout = Duration::from_secs(9);
    config.agentx.priority = 3;
    let session = session_config(&config, &arguments);
    assert_eq!(session.context.as_deref(), Some(&b"vpn"[..]));
    assert_eq!((session.timeout, session.regions[0].priority), (9, 3));
    assert_eq!(session.max_notifications, 256);
    assert!(session.description.contains("5 SYNTHETIC ROWS"), "{}", session.description);
    assert_eq!(session_config(&Config::default(), &arguments).context, None);
}
