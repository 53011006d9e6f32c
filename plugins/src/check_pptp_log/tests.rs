use pptp_probe::log::event::What;
use pptp_probe::plugin::arguments;

use super::*;

fn parsed(arguments_given: &[&str]) -> Result<LogArgs, String> {
    let given = ["check_pptp_log"].iter().chain(arguments_given);
    let argv: Vec<OsString> = given.map(OsString::from).collect();
    arguments::<LogArgs>(&argv).map(|(args, _)| args)
}

#[test]
fn every_kind_of_event_is_a_metric() {
    assert_eq!(LogArgs::METRICS[..What::KINDS], What::LABELS);
}

#[test]
fn durations_have_units_and_bounds() {
    for (text, seconds) in [("90s", 90), ("90", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604_800)]
    {
        assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
    }
    for text in ["", "0", "0.5", "-1m", "1w", "inf", "1e9", "400d", "99999999999999999999d"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    assert!(parsed(&["--window", "1m"]).is_ok());
    assert!(parsed(&["--window", "7d"]).is_ok());
    for window in ["59s", "8d"] {
        assert_eq!(parsed(&["--window", window]).unwrap_err(), "--window takes 1m to 7d");
    }
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    for given in [
        ["--journal", "--file", "x"].as_slice(),
        &["--journal", "x"],
        &["--once", "--state", "x"],
        &["--once", "--follow"],
        &["--at", "end"],
        &["--pcap", "x"],
        &["--min-calls", "0"],
        &["--threshold", "logins=1/"],
    ] {
        assert!(parsed(given).is_err(), "{given:?}");
    }
}

#[test]
fn files_are_named_with_and_without_the_option() {
    let args = parsed(&["--once", "a", "--file", "b", "c"]).unwrap();
    assert_eq!(Logs::wanted(&args).words(), ["b", "a", "c"]);
    assert_eq!(Logs::wanted(&parsed(&["--journal"]).unwrap()), Logs::Journal);
}

#[test]
fn each_set_of_logs_has_a_state_of_its_own() {
    let name = |files: &[&str]| {
        let logs = Logs::Files(files.iter().map(PathBuf::from).collect());
        logs.state().map_err(|problem| problem.text).unwrap()
    };
    assert_eq!(name(&["a", "b"]), name(&["a", "b"]));
    assert_ne!(name(&["a", "b"]), name(&["ab"]));
    assert_ne!(name(&["a", "b"]), Logs::Journal.state().map_err(|problem| problem.text).unwrap());
}
