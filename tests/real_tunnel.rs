//! `check_pptp_tunnel` against a real gateway: pptpd, pppd and the kernel's
//! PPP and MPPE in a guest (`tests/testbed`) with services inside; and its
//! figures held against those of a real client, pptp-linux with pppd, on the
//! same gateway.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "support/bed.rs"]
mod bed;
#[path = "support/caller.rs"]
mod caller;
#[path = "support/seen.rs"]
mod seen;

use bed::Bed;
use caller::{PASSWORD, USER, login, metric};
use seen::Seen;

const TUNNEL: &str = env!("CARGO_BIN_EXE_check_pptp_tunnel");
/// Nothing here takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(30);
/// pptpd's configuration, what the check asks for, and what comes of it.
const ENCRYPTIONS: [(&str, &str, &str); 3] = [
    ("required", "--mppe 128,stateless", "128 bit stateless"),
    ("stateful", "--mppe 128,stateful", "128 bit stateful"),
    ("none", "--mppe any", "none"),
];

impl Bed {
    fn tunnel(&self, arguments: &str) -> Seen {
        self.check(TUNNEL, &login(arguments), PASSWORD)
    }

    /// A check that has brought its session up and now uses it.
    fn tunnel_in_use(&self, arguments: &str) -> Child {
        let mut command = self.check_command(TUNNEL, &login(arguments), PASSWORD);
        let check = command.stdout(Stdio::piped()).spawn().expect("check runs");
        self.wait_for(&["log", "--last"], "remote IP address");
        check
    }

    /// Does something to the gateway while a check uses it.
    fn tunnel_during(&self, arguments: &str, act: &[&str]) -> Seen {
        let check = self.tunnel_in_use(arguments);
        self.must(act);
        Seen::new(&check.wait_with_output().expect("check ends"))
    }

    fn wait_for(&self, teller: &[&str], text: &str) {
        let started = Instant::now();
        while !self.must(teller).contains(text) {
            assert!(started.elapsed() < PATIENCE, "{teller:?} never said {text:?}");
        }
    }

    fn must_be_empty(&self, row: &str) {
        assert_eq!(self.sessions(), "0", "{row}: something is left in the gateway");
    }
}

/// What a user does, with each encryption, here and from afar.
#[test]
fn traffic_with_each_encryption() {
    let bed = Bed::up("traffic", &[]);
    for (daemon_mppe, wish, mppe) in ENCRYPTIONS {
        bed.must(&["reconfigure", "--mppe", daemon_mppe]);
        let all = "--dns www.inside.test --tcp 192.168.77.1:9 --http http://192.168.77.1/1M \
                   --http http://host.inside.test/ --throughput 1MB --throughput-to 192.168.77.1:9";
        let far = "--ping 10.99.0.10 --http http://192.168.77.1/1M";
        let rows = [
            (all, "OK done/none", ""),
            ("--count 0 --dns nobody.test", "CRITICAL data/dns_failed", "(NXDOMAIN)"),
            ("--count 0 --tcp 192.168.77.1:81", "CRITICAL data/refused", "192.168.77.1:81 refuses"),
            (
                "--count 0 --http http://192.168.77.1/ --expect-string gateway",
                "OK done/none",
                "http://192.168.77.1/ in ",
            ),
            (
                "--count 0 --http http://192.168.77.1/ --expect-string moose",
                "CRITICAL data/http_failed",
                "does not hold the text",
            ),
            (
                "--count 0 --http http://192.168.77.1/absent",
                "CRITICAL data/http_failed",
                "/absent answers 404",
            ),
            ("--ping 10.99.0.99", "CRITICAL data/inner_silent", "10.99.0.99"),
            (far, "OK done/none", ""),
        ];
        for (arguments, verdict, sentence) in rows {
            let row = format!("MPPE {daemon_mppe}: {arguments}");
            // From afar the last time.
            let is_far = arguments == far;
            if is_far {
                bed.must(&["delay", "20", "20"]);
            }
            let seen = bed.tunnel(&format!("{wish} -t 20 {arguments}"));
            seen.must_be(&row, verdict);
            assert!(seen.word("headline").contains(sentence), "{row}: {}", seen.json);
            assert_eq!(seen.fact("mppe"), mppe, "{row}: {}", seen.json);
            for label in ["gre_lost", "gre_duplicates", "gre_reordered"] {
                assert_eq!(metric(&seen, label), 0.0, "{row}: {label}: {}", seen.json);
            }
            if is_far {
                let (inside, outside) = (metric(&seen, "rtt"), metric(&seen, "outer_rtt"));
                assert!(inside >= 0.04 && outside >= 0.04, "{row}: {}", seen.json);
                assert_eq!(metric(&seen, "http_size"), 1e6, "{row}: {}", seen.json);
            }
            bed.must_be_empty(&row);
        }
    }
}

/// A path that loses packets costs those packets, and with a cipher that has
/// to be set back what follows them, but not the session.
#[test]
fn data_flows_on_after_loss() {
    let bed = Bed::up("lossy", &[]);
    for (daemon_mppe, wish, _) in ENCRYPTIONS {
        bed.must(&["reconfigure", "--mppe", daemon_mppe, "--debug"]);
        let arguments = format!("{wish} -t 40 --count 400 --http http://192.168.77.1/1k");
        let seen = bed.tunnel_during(&arguments, &["loss", "2", "2"]);
        bed.must(&["loss", "0", "0"]);
        seen.must_be(daemon_mppe, "WARNING gre/gre_lossy");
        assert_eq!(metric(&seen, "http_size"), 1000.0, "{daemon_mppe}: {}", seen.json);
        let (inside, outside) = (metric(&seen, "loss"), metric(&seen, "outer_loss"));
        assert!(0.0 < outside && outside < 20.0, "{daemon_mppe}: {}", seen.json);
        let log = bed.must(&["log", "--last"]);
        let (asked, was_asked) = ("rcvd [CCP ResetReq", "sent [CCP ResetReq");
        if daemon_mppe == "stateful" {
            // A third of a second is lost with each packet: so long pptpd holds
            // what follows, and all of it is undecipherable.
            assert!(outside < inside && inside < 90.0, "{}", seen.json);
            assert!(log.contains(asked) && log.contains(was_asked), "{log}");
        } else {
            assert!(0.0 < inside && inside < 20.0, "{daemon_mppe}: {}", seen.json);
            assert!(!log.contains(asked) && !log.contains(was_asked), "{daemon_mppe}: {log}");
        }
        bed.must_be_empty(daemon_mppe);
    }
}

/// Sizes are those of the datagram inside; outside there are 44 octets more, up
/// to the gateway 41 where nothing has to be acknowledged.
#[test]
fn black_holes_are_found() {
    let bed = Bed::up("sizes", &[]);
    let hole = "CRITICAL data/mtu_black_hole";
    let behind = "--ping 10.99.0.10";
    let rows: [(&[&str], &str, &str, &str, f64); 6] = [
        (&["black-hole", "off"], "", "OK done/none", "mtu_fragmented", 1496.0),
        (&["black-hole", "1300"], "", hole, "mtu_fragmented", 1256.0),
        (&["black-hole", "1300", "out"], "", hole, "mtu_down", 1256.0),
        (&["black-hole", "1300", "in"], "", hole, "mtu_up", 1259.0),
        (&["inner-mtu", "1200", "silent"], behind, hole, "mtu_host", 1200.0),
        (&["inner-mtu", "1200"], behind, "OK done/none", "mtu_host", 1200.0),
    ];
    for (condition, host, verdict, label, octets) in rows {
        let row = condition.join(" ");
        bed.must(&["reconfigure"]);
        bed.must(condition);
        let seen = bed.tunnel(&format!("-t 20 --count 1 --mtu {host}"));
        seen.must_be(&row, verdict);
        assert_eq!(metric(&seen, label), octets, "{row}: {}", seen.json);
        assert_eq!(metric(&seen, "mtu_negotiated"), 1496.0, "{row}: {}", seen.json);
        if verdict == hole {
            let smallest =
                ["mtu_fragmented", "mtu_host"].map(|label| metric(&seen, label)).into_iter();
            let smallest = smallest.fold(f64::NAN, f64::min);
            let advice = format!("set MRU {smallest}, MSS clamp {}", smallest - 40.0);
            assert!(seen.word("headline").contains(&advice), "{row}: {}", seen.json);
        }
        bed.must_be_empty(&row);
    }
}

/// A firewall on the way that forgets GRE after four seconds without any.
#[test]
fn mapping_that_is_forgotten_is_told_with_its_bounds() {
    let bed = Bed::up("idle", &[]);
    bed.must(&["gre-idle", "4"]);
    let seen = bed.tunnel("-t 20 --idle 2,6");
    seen.must_be("between", "CRITICAL gre/mapping_dropped");
    assert_eq!(
        seen.word("headline"),
        "GRE mapping dropped on the way to the gateway between 2 and 6 s; \
         set lcp-echo-interval below 2; control connection kept for 6 s"
    );
    assert_eq!((metric(&seen, "idle_kept"), metric(&seen, "idle_dropped")), (2.0, 6.0));
    let seen = bed.tunnel("-t 20 --idle 1,2");
    seen.must_be("shorter", "OK done/none");
    assert_eq!(metric(&seen, "idle_kept"), 2.0, "{}", seen.json);
    bed.must_be_empty("idle");
}

/// Ten at once, where there is room for them and where there is for five.
#[test]
fn sessions_at_once_up_to_the_pool() {
    let bed = Bed::up("crowd", &["--sessions", "12"]);
    let seen = bed.tunnel("-t 20 --sessions 10");
    seen.must_be("room for twelve", "OK done/none");
    assert_eq!(metric(&seen, "sessions"), 10.0, "{}", seen.json);
    assert_eq!(metric(&seen, "loss"), 0.0, "{}", seen.json);
    bed.must_be_empty("room for twelve");
    bed.must(&["reconfigure", "--sessions", "5"]);
    let seen = bed.tunnel("-t 6 --sessions 10");
    seen.must_be("room for five", "CRITICAL control/sessions_short");
    let sentence = "pool or licenses exhausted after 5 of 10 sessions: ";
    assert!(seen.word("headline").starts_with(sentence), "{}", seen.json);
    assert_eq!((metric(&seen, "sessions"), metric(&seen, "sessions_failed")), (5.0, 5.0));
    bed.must_be_empty("room for five");
}

/// Whoever ends a session that is kept, its end is told when it comes.
#[test]
fn end_of_a_kept_session_is_told_at_once() {
    let bed = Bed::up("ends", &[]);
    let keep = "-t 120 --count 0 --keep 100";
    // pppd with MPPE takes LCP or CCP opened anew for the end of encryption.
    let rows: [(&[&str], &str); 4] = [
        (&["kill-pppd", "soft"], "CRITICAL data/terminated"),
        (&["kill-pppd", "hard"], "CRITICAL data/closed"),
        (&["renegotiate", "lcp"], "CRITICAL data/terminated"),
        (&["renegotiate", "ccp"], "CRITICAL data/terminated"),
    ];
    for (act, verdict) in rows {
        let row = act.join(" ");
        bed.must(&["reconfigure"]);
        let started = Instant::now();
        let seen = bed.tunnel_during(keep, act);
        seen.must_be(&row, verdict);
        assert!(started.elapsed() < PATIENCE, "{row}: at the end of its time only");
        bed.must_be_empty(&row);
    }
    // All that is left to say is said at once, and pptpd may act on the cleared
    // call before pppd has read the Terminate-Request: once in three is proof.
    let said = (0..3).any(|_| {
        bed.must(&["reconfigure"]);
        let check = bed.tunnel_in_use(keep);
        // The script became the check by exec, so its process id is the check's.
        let id = check.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let seen = Seen::new(&check.wait_with_output().expect("check ends"));
        seen.must_be("SIGTERM", "UNKNOWN data/interrupted");
        bed.must_be_empty("SIGTERM");
        bed.must(&["log", "--last"]).contains("LCP terminated by peer")
    });
    assert!(said, "no good-bye: {}", bed.must(&["log", "--last"]));
}

/// What the gateway opens anew is followed and counted.
#[test]
fn renegotiation_of_a_kept_session_is_followed() {
    let bed = Bed::up("anew", &[]);
    let rows = [("required", "ipcp"), ("none", "lcp"), ("none", "ccp"), ("none", "ipcp")];
    for (daemon_mppe, protocol) in rows {
        let row = format!("{protocol} with MPPE {daemon_mppe}");
        bed.must(&["reconfigure", "--mppe", daemon_mppe]);
        let seen = bed.tunnel_during("-t 20 --count 0 --keep 4", &["renegotiate", protocol]);
        seen.must_be(&row, "OK done/none");
        assert_eq!(metric(&seen, "renegotiated"), 1.0, "{row}: {}", seen.json);
        assert!(metric(&seen, "kept") >= 4.0, "{row}: {}", seen.json);
        bed.must_be_empty(&row);
    }
}

/// Our figures beside those of pptp-linux and pppd, through the same gateway
/// in the same weather.
#[test]
fn figures_are_those_of_a_real_client() {
    let bed = Bed::up("figures", &[]);
    bed.must(&["client-up"]);
    let client = Client::dial(&bed);

    let fetched =
        bed.must(&["client", "curl -s -o /tmp/page -w '%{size_download}' http://192.168.77.1/1M"]);
    let seen = bed.tunnel("-t 20 --count 0 --http http://192.168.77.1/1M");
    seen.must_be("page", "OK done/none");
    assert_eq!(Ok(metric(&seen, "http_size")), fetched.parse(), "{}", seen.json);

    for delay in ["0", "20"] {
        bed.must(&["delay", delay, delay]);
        // Both share two processors with everything else: the best of three.
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            let seen = bed.tunnel("-t 20 --count 50");
            seen.must_be(delay, "OK done/none");
            ours = ours.min(metric(&seen, "rtt") * 1e3);
            theirs = theirs.min(client.ping("-c 50 -i 0.02").median());
        }
        let margin = (theirs / 10.0).max(1.0);
        assert!(
            (ours - theirs).abs() <= margin,
            "with {delay} ms each way: {ours} ms here, {theirs} ms there"
        );
    }

    bed.must(&["delay", "0", "0"]);
    bed.must(&["loss", "0", "0"]);
    let check = bed.tunnel_in_use("-t 40 --count 400");
    bed.must(&["loss", "3", "3"]);
    let seen = Seen::new(&check.wait_with_output().expect("check ends"));
    seen.must_be("loss", "WARNING gre/gre_lossy");
    let ours = (metric(&seen, "loss") + metric(&seen, "outer_loss")) * 4.0;
    // As many, though the guest does not keep the pace.
    let theirs = client.ping("-c 800 -i 0.01").lost(800);
    bed.must(&["loss", "0", "0"]);
    assert!(
        is_one_chance(ours, theirs, 800.0),
        "of 800 echoes {ours} lost here, {theirs} there: {}",
        seen.json
    );
    client.hang_up();
    bed.must_be_empty("figures");
}

/// Whether two counts out of `all` may come from the same chance: they differ
/// by less than four standard deviations of their difference.
fn is_one_chance(one: f64, other: f64, all: f64) -> bool {
    let chance = (one + other) / (2.0 * all);
    (one - other).abs() < 4.0 * (2.0 * all * chance * (1.0 - chance)).sqrt()
}

/// pptp-linux with pppd, connected.
struct Client<'a> {
    bed: &'a Bed,
    dialling: Child,
}

impl<'a> Client<'a> {
    fn dial(bed: &'a Bed) -> Self {
        let dial = format!(
            "dial --hold 120 --limit 150 -- user {USER} password {PASSWORD} require-mppe-128 noipv6"
        );
        let mut command = bed.command(&["client", &dial]);
        let dialling = command.stdout(Stdio::null()).spawn().expect("client dials");
        bed.wait_for(&["client", "ip -4 addr; true"], "peer 192.168.77.1");
        Self { bed, dialling }
    }

    /// Pings the gateway's inner address. Another ping beside it ends what pptpd
    /// holds behind a lost packet, after the last one too.
    fn ping(&self, options: &str) -> Pings {
        let line = format!(
            "ping -n -q -i 0.1 192.168.77.1 >/dev/null & \
             ping -n {options} -W 2 192.168.77.1; kill $!; true"
        );
        let said = self.bed.must(&["client", &line]);
        let times = said.lines().filter_map(|line| line.split_once("time=")?.1.split_once(' '));
        Pings(times.filter_map(|(time, _)| time.parse().ok()).collect())
    }

    fn hang_up(mut self) {
        self.bed.must(&["client", "kill -TERM $(cat /run/dial.pid)"]);
        let _ = self.dialling.wait();
    }
}

/// Round trips in milliseconds.
struct Pings(Vec<f64>);

impl Pings {
    fn median(mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::INFINITY)
    }

    fn lost(&self, sent: usize) -> f64 {
        sent as f64 - self.0.len() as f64
    }
}
