//! `--targets` and `--all-addresses` against labs on loopback, in a network
//! namespace of their own.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;

const LAB: &str = env!("CARGO_BIN_EXE_pptp-lab");
const CONTROL: &str = env!("CARGO_BIN_EXE_check_pptp_control");
const GRE: &str = env!("CARGO_BIN_EXE_check_pptp_gre");
const AUTH: &str = env!("CARGO_BIN_EXE_check_pptp_auth");
const RADIUS: &str = env!("CARGO_BIN_EXE_check_radius");

/// Runs a shell script beside a healthy lab at 127.0.0.1; in it, `lab N FAULT`
/// starts another one at 127.0.0.N, `$control`, `$gre`, `$auth` and `$radius`
/// are the checks, and `told N` waits until a lab has so many callers.
fn run(script: &str) -> Output {
    let script = format!(
        "labs= ; scratch=$(mktemp -d); trap 'kill $labs; rm -r $scratch' EXIT
         lab() {{ {LAB} serve --listen 127.0.0.$1 ${{2:+--fault $2}} --control $scratch/$1 \
             >/dev/null 2>&1 & labs=\"$labs $!\"
             for n in {{1..300}}; do {LAB} ctl --control $scratch/$1 sessions >/dev/null 2>&1 \
             && break; sleep 0.02; done; }}
         told() {{ for n in {{1..300}}; do [ $({LAB} ctl sessions | grep -c .) -ge $1 ] && break
             sleep 0.02; done; }}
         gone() {{ for n in {{1..300}}; do [ \"$({LAB} ctl sessions)\" = 'no caller' ] && break
             done; {LAB} ctl sessions; }}
         control={CONTROL} gre={GRE} radius={RADIUS}
         auth=\"{AUTH} -u $LAB_USER --password-env LAB_PASSWORD\"
         {script}"
    );
    // An address is free a moment after its caller has gone; of these there are enough.
    let pool = ["run", "--pool", "192.168.72.0/22", "--"];
    let shell = ["bash", "-c", &script];
    Command::new(LAB).args(pool).args(shell).output().expect("the lab starts")
}

/// Standard output of a script.
fn text(script: &str) -> String {
    let output = run(script);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("panicked") && !error.contains("line "), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What each target came to, by its name: `CRITICAL connect/refused`, and the
/// whole answer.
fn results(script: &str) -> BTreeMap<String, (String, Value)> {
    let said = text(script);
    let read = |line: &str| {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let word = |key: &str| json[key].as_str().unwrap_or("-").to_owned();
        let verdict = format!("{} {}/{}", word("state"), word("phase"), word("reason"));
        (word("target"), (verdict, json))
    };
    said.lines().map(read).collect()
}

#[test]
fn one_line_has_the_counts_and_every_other_line_a_target_that_is_not_well() {
    let said = text(
        "printf '%s\\n' '# all' 127.0.0.1 127.0.0.9 '127.0.0.1 --name slow -w 0.0000001' \
         '127.0.0.1 --name wrong -t 5x' | $control --targets -; echo $?",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "PPTP CONTROL CRITICAL - 1 of 4 gateways ok, 1 critical: 127.0.0.9 [connect/refused], \
         1 warning: slow [done/threshold], 1 unknown: wrong [resolve/local]"
    );
    assert_eq!(
        lines[1],
        "127.0.0.9 CRITICAL - 127.0.0.9:1723 refuses TCP connections [connect/refused]"
    );
    assert!(lines[2].starts_with("slow WARNING - time is "), "{}", lines[2]);
    assert!(lines[3].starts_with("wrong UNKNOWN - line 5, column 27: invalid value '5x'"));
    let counts = "| 'targets'=4;;;0 'ok'=1;;;0;4 'warning'=1;;;0 'critical'=1;;;0 'unknown'=1;;;0";
    assert!(lines[3].contains(counts), "{}", lines[3]);
    assert_eq!(lines[4..], ["2"]);
}

#[test]
fn a_mistake_keeps_its_name_and_takes_none_from_a_target_that_is_probed() {
    let results = results(
        "printf '%s\\n' '127.0.0.1 -t 5x' 127.0.0.1 '127.0.0.9 --bogus' '127.0.0.1 --name a -p 0' \
         '127.0.0.1 --name a' '[::1] --bogus' | $control --targets - -o json",
    );
    let names: Vec<&str> = results.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "127.0.0.1:1723",
            "127.0.0.9:1723",
            "[::1]:1723",
            "a",
            "line 1, column 14",
            "line 4, column 20"
        ]
    );
    for good in ["127.0.0.1:1723", "a"] {
        assert_eq!(results[good].0, "OK done/none");
    }
    for wrong in ["127.0.0.9:1723", "[::1]:1723", "line 1, column 14", "line 4, column 20"] {
        assert_eq!(results[wrong].0, "UNKNOWN resolve/local", "{wrong}");
    }
}

#[test]
fn flooding_silent_and_mute_gateways_delay_nobody() {
    let results = results(
        "lab 2 gre-flood; lab 3 sccrp-flood; lab 4 tcp-silent; lab 5 gre-lost-out; lab 6 inner-flood
         for n in {1..6}; do echo 127.0.0.$n; done > $scratch/list
         for n in {1..20}; do echo 127.0.0.1 --name good$n; done >> $scratch/list
         $auth --targets $scratch/list -t 3 -o json",
    );
    let verdict = |target: &str| results[target].0.as_str();
    assert_eq!(verdict("127.0.0.2:1723"), "CRITICAL gre/flooded");
    assert_eq!(verdict("127.0.0.3:1723"), "CRITICAL call/flooded");
    assert_eq!(verdict("127.0.0.4:1723"), "CRITICAL control/silent");
    assert_eq!(verdict("127.0.0.5:1723"), "CRITICAL gre/gre_inbound_silent");
    for number in 1..=20 {
        let (verdict, json) = &results[&format!("good{number}")];
        assert_eq!(verdict, "OK done/none", "{json}");
        let times = json["metrics"].as_array().expect("metrics").iter();
        let time = times.filter(|metric| metric["label"] == "time").map(|metric| &metric["value"]);
        let time = time.filter_map(Value::as_f64).next().expect("a time");
        // The silent one holds its place for three seconds.
        assert!(time < 1.5, "{json}");
    }
}

#[test]
fn raw_sockets_go_from_one_gateway_to_the_next() {
    let results = results(
        "lab 2 gre-unreachable; lab 3 gre-lost-after=3
         for n in {1..12}; do for m in 1 2 3; do echo 127.0.0.$m --name $m.$n; done; done \
             > $scratch/list
         $gre --targets $scratch/list -t 2 --echoes 2 --concurrency 4 -o json",
    );
    for number in 1..=12 {
        let verdict = |lab: &str| results[&format!("{lab}.{number}")].0.clone();
        assert_eq!(verdict("1"), "OK done/none");
        assert_eq!(verdict("2"), "CRITICAL gre/gre_unreachable");
        assert!(verdict("3").starts_with("CRITICAL "), "{}", verdict("3"));
    }
}

#[test]
fn two_hundred_sessions_stand_at_once_and_a_signal_ends_them_all() {
    let said = text(&format!(
        "for n in {{1..500}}; do echo 127.0.0.1 --name $n; done > $scratch/list
             $auth --targets $scratch/list --concurrency 200 | head -n 1
             {LAB} ctl fault delay=ipcp:8000 >/dev/null
             $auth --targets $scratch/list --concurrency 200 -o json -t 20 > $scratch/out & pid=$!
             told 200; before=$(date +%s%N); kill -TERM $pid; wait $pid; code=$?
             echo $code $((($(date +%s%N) - before) / 1000000)); gone; cat $scratch/out"
    ));
    let mut lines = said.lines();
    let first = lines.next().expect("a line");
    assert!(first.starts_with("PPTP AUTH OK - 500 of 500 gateways ok"), "{first}");
    let (code, took) = lines.next().and_then(|line| line.split_once(' ')).expect("two numbers");
    assert_eq!(code, "3");
    // A tenth of a second, and what two more programs take to start on a busy host.
    assert!(took.parse::<u32>().expect("milliseconds") <= 250, "{took} ms");
    assert_eq!(lines.next(), Some("no caller"), "every session was taken down");
    let told: Vec<&str> = lines.collect();
    assert_eq!(told.len(), 500, "each target is told");
    assert!(told.iter().filter(|line| line.contains("\"reason\":\"interrupted\"")).count() > 300);
}

#[test]
fn too_few_descriptors_are_said_and_everything_is_probed() {
    let said = text(
        "for n in {1..20}; do echo 127.0.0.1 --name $n; done > $scratch/list
         ulimit -n 100; $auth --targets $scratch/list",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "PPTP AUTH OK - 20 of 20 gateways ok");
    assert!(lines[1].starts_with("9 sessions at a time, not 20: file descriptors are short"));
}

#[test]
fn long_output_is_cut_unless_it_is_asked_for() {
    let list = "for n in {1..300}; do echo 127.0.0.9 --name n$n; done > $scratch/list";
    let said = text(&format!("{list}; $control --targets $scratch/list"));
    assert!(said.len() < 8_000, "{}", said.len());
    assert!(said.contains(" and 295 more\n"), "{said}");
    let second = said.lines().nth(1).expect("a second line");
    let told = said.lines().count() - 2;
    assert_eq!(second, format!("{} more are not well: -v lists them", 300 - told));
    let said = text(&format!("{list}; $control --targets $scratch/list -v"));
    assert_eq!(said.lines().count(), 301);
}

#[test]
fn time_of_all_targets_ends_them_all() {
    let results = results(
        "lab 4 tcp-silent; for n in {1..6}; do echo 127.0.0.4 --name $n; done > $scratch/list
         $control --targets $scratch/list --concurrency 2 --total-timeout 0.5 -t 9 -o json",
    );
    assert_eq!(results.len(), 6);
    for (verdict, json) in results.values() {
        assert!(verdict.ends_with("/interrupted"), "{json}");
    }
    let begun = results.values().filter(|(verdict, _)| verdict.contains("control/"));
    assert_eq!(begun.count(), 2);
}

#[test]
fn secrets_are_read_once_and_are_in_no_output() {
    let script = "mkfifo $scratch/pipe; chmod 600 $scratch/pipe
         printf '%s' \"$LAB_PASSWORD\" > $scratch/pipe &
         cat > $scratch/list <<END
[defaults]
username = \"probe\"
password-file = \"$scratch/pipe\"
[[target]]
host = \"127.0.0.1\"
[[target]]
host = \"127.0.0.1\"
name = \"second\"
threshold = \"lcp_time=5/9\"
[[target]]
host = \"127.0.0.1\"
name = \"wrong\"
password_file = \"$scratch/other\"
END
         echo Pr0be-wrong > $scratch/other; chmod 600 $scratch/other
         ";
    for format in ["json", "prometheus", "zabbix", "influx", "nagios -vvv"] {
        let said = text(&format!("{script} {AUTH} --targets $scratch/list -o {format}"));
        let word =
            if format.starts_with("nagios") { "2 of 3 gateways ok" } else { "auth_rejected" };
        assert!(said.contains(word), "{format}: {said}");
        assert!(!said.contains("Pr0be"), "{format}: {said}");
    }
}

#[test]
fn every_address_of_a_name_is_probed() {
    // A file of names for the namespace alone, laid over the host's.
    let hosts = "lab 3; printf '127.0.0.1 vpn\\n127.0.0.2 vpn\\n127.0.0.3 vpn\\n' > $scratch/hosts
         inside() { unshare --mount bash -c 'mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"' \
             - $scratch/hosts \"$@\"; }";
    let said = text(&format!(
        "{hosts}
         inside $control -H vpn --all-addresses; echo $?
         inside $control -H vpn --all-addresses --at-least 2; echo $?
         inside $gre -H vpn --all-addresses --echoes 1 -o json
         echo vpn | inside $control --targets - --all-addresses --at-least 1"
    ));
    let lines: Vec<&str> = said.lines().collect();
    let text = "2 of 3 front ends of vpn answer: 127.0.0.2 [connect/refused] [connect/refused]";
    assert!(lines[0].starts_with(&format!("PPTP CONTROL CRITICAL - {text}")), "{said}");
    assert_eq!(lines[1], "2");
    assert!(lines[2].starts_with(&format!("PPTP CONTROL WARNING - {text}")), "{said}");
    assert_eq!(lines[3], "1");
    let json: Value = serde_json::from_str(lines[4]).expect("JSON");
    let states = json["sub"].as_array().expect("parts").iter();
    let states: Vec<_> = states.map(|sub| (sub["name"].clone(), sub["state"].clone())).collect();
    let expected = [("127.0.0.1", "OK"), ("127.0.0.2", "CRITICAL"), ("127.0.0.3", "OK")];
    assert_eq!(states, expected.map(|(name, state)| (name.into(), state.into())));
    assert!(lines[5].starts_with("PPTP CONTROL WARNING - 0 of 1 gateways ok, 1 warning: vpn"));
}

#[test]
fn radius_servers_are_targets_too() {
    let results = results(
        "printf '127.0.0.1\\n127.0.0.1:1899 --name dead -t 0.5\\n' > $scratch/list
         export LAB_RADIUS_SECRET
         $radius --targets $scratch/list -u $LAB_USER --password-env LAB_PASSWORD \
             --secret-env LAB_RADIUS_SECRET -p $LAB_RADIUS_PORT -o json",
    );
    assert_eq!(results["127.0.0.1"].0, "OK done/none");
    assert!(results["dead"].0.starts_with("CRITICAL auth/"), "{}", results["dead"].1);
}

#[test]
fn page_has_each_series_once_and_no_more_than_allowed() {
    let script = "for n in {1..30}; do echo 127.0.0.1 --name n$n; done > $scratch/list
         $control --targets $scratch/list -o prometheus";
    let whole = text(script);
    let series = |page: &str| -> Vec<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let names = samples.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned());
        names.filter(|name| !name.starts_with("pptp_fleet_")).collect()
    };
    let mut all = series(&whole);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(whole.contains("pptp_fleet_targets{check=\"check_pptp_control\",state=\"ok\"} 30\n"));
    assert!(whole.contains("pptp_fleet_series_left_out{check=\"check_pptp_control\"} 0\n"));
    let cut = text(&format!("{script} --max-series 40"));
    assert_eq!(series(&cut).len(), 40);
    let success = series(&cut).iter().filter(|name| name.starts_with("pptp_probe_success")).count();
    assert_eq!(success, 30, "whether it is well is told of every target");
    let left_out =
        format!("pptp_fleet_series_left_out{{check=\"check_pptp_control\"}} {}\n", count - 40);
    assert!(cut.contains(&left_out), "{cut}");
}

#[test]
fn what_a_vendor_says_is_in_no_line_of_its_own_and_in_no_key() {
    let vendor = "a|b\"\\\\,c=d{}\nx 1";
    let lab = format!("{LAB} serve --listen 127.0.0.7 --control $scratch/7 --vendor $'{}' >/dev/null 2>&1 & labs=\"$labs $!\"
         for n in {{1..300}}; do {LAB} ctl --control $scratch/7 sessions >/dev/null 2>&1 && break
         sleep 0.02; done",
        vendor.replace('\n', "\\n"));
    for format in ["json", "prometheus", "zabbix", "influx", "nagios"] {
        let said = text(&format!("{lab}; echo 127.0.0.7 | $control --targets - -vv -o {format}"));
        assert!(!said.contains("a|b"), "{format}: {said}");
        assert!(!said.lines().any(|line| line.starts_with("x 1")), "{format}: {said}");
        if matches!(format, "json" | "zabbix" | "influx") {
            assert_eq!(said.lines().count(), 1, "{format}: {said}");
        }
    }
}

#[test]
fn a_reader_who_goes_away_ends_the_run() {
    let said = text(
        "lab 4 tcp-silent
         { for n in {1..9}; do echo 127.0.0.1 --name n$n; done
           for n in {1..900}; do echo 127.0.0.4 --name s$n; done; } > $scratch/list
         SECONDS=0; $control --targets $scratch/list --concurrency 20 -o json -t 2 2>/dev/null \
             | head -n 1 >/dev/null; echo ${PIPESTATUS[0]} $((SECONDS < 20))",
    );
    assert_eq!(said, "3 1\n");
}
