//! The renderers against literal output, and against hostile text.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::reason::{Phase, Reason};

const GRE: Identity<'static> =
    Identity { name: "PPTP GRE", program: "check_pptp_gre", target: "192.0.2.1:1723" };

fn healthy() -> Report {
    let mut thresholds = Thresholds::new();
    thresholds.set("lcp_rtt", "0.2".parse().ok(), "inside:1:5".parse().ok());
    Report::ok("GRE passes both ways, 5 of 5 LCP echoes came back")
        .metric(Metric::seconds("connect_time", Duration::from_micros(38_214)).min(0.0))
        .metric(Metric::seconds("lcp_rtt", Duration::from_micros(21_000)).judged_by(&thresholds))
        .metric(Metric::percent("lcp_loss", 0.0).min(0.0).max(100.0))
        .metric(Metric::counter("gre_received", 12))
        .phase(Phase::Connect, Duration::from_micros(38_214))
        .phase(Phase::Gre, Duration::from_millis(120))
        .fact("vendor", escape(b"linux"))
        .fact("firmware", 1u16)
        .fact("loopback", false)
        .fact("addresses", vec!["192.0.2.1".to_owned()])
        .detail(1, "vendor linux, firmware 1")
        .detail(2, "LCP Configure-Ack after 80 ms")
        .detail(3, "ff03c02101")
}

fn silent() -> Report {
    Report::failed(
        Phase::Gre,
        Reason::GreInboundSilent,
        "control is up, but no GRE came back in 4 s",
    )
    .metric(Metric::seconds("connect_time", Duration::from_micros(38_214)))
    .phase(Phase::Connect, Duration::from_micros(38_214))
}

fn two_gateways() -> Report {
    Report::ok("1 of 2 gateways answers")
        .sub_result(Sub::ok("vpn1", "up").metric(Metric::seconds("rtt", Duration::from_millis(5))))
        .sub_result(
            Sub::failed("vpn2", Phase::Connect, Reason::Refused, "port closed")
                .metric(Metric::seconds("rtt", Duration::from_millis(6))),
        )
}

fn lines(report: &Report, format: Format, verbosity: u8) -> String {
    render(report, &GRE, format, verbosity).0
}

#[test]
fn states_rank_ok_unknown_warning_critical() {
    let order = [State::Ok, State::Unknown, State::Warning, State::Critical];
    for (rank, better) in order.iter().enumerate() {
        for worse in &order[rank..] {
            assert_eq!(better.worst(*worse), *worse);
            assert_eq!(worse.worst(*better), *worse);
        }
    }
}

#[test]
fn states_read_back_their_lower_case_words() {
    for (state, code) in
        [(State::Ok, 0), (State::Warning, 1), (State::Critical, 2), (State::Unknown, 3)]
    {
        assert_eq!(state.name().to_lowercase().parse(), Ok(state));
        assert_eq!(state.exit_code(), code);
    }
    assert_eq!("OK".parse::<State>().unwrap_err(), "'OK' is none of ok warning critical unknown");
}

#[test]
fn nagios_ok_is_one_line_with_performance_data() {
    assert_eq!(
        render(&healthy(), &GRE, Format::Nagios, 0),
        (
            "PPTP GRE OK - GRE passes both ways, 5 of 5 LCP echoes came back \
             | 'connect_time'=0.038214s;;;0 'lcp_rtt'=0.021000s;0.2;@1:5 'lcp_loss'=0%;;;0;100 \
             'gre_received'=12c\n"
                .to_owned(),
            0
        )
    );
}

#[test]
fn nagios_failure_names_phase_reason_and_first_step() {
    assert_eq!(
        render(&silent(), &GRE, Format::Nagios, 0),
        (
            "PPTP GRE CRITICAL - control is up, but no GRE came back in 4 s \
             [gre/gre_inbound_silent]: allow IP protocol 47 from the gateway; check NAT helpers \
             | 'connect_time'=0.038214s\n"
                .to_owned(),
            2
        )
    );
}

#[test]
fn nagios_levels_add_one_line_then_phases_then_everything() {
    let perfdata = " | 'connect_time'=0.038214s;;;0 'lcp_rtt'=0.021000s;0.2;@1:5 \
                    'lcp_loss'=0%;;;0;100 'gre_received'=12c\n";
    let first = "PPTP GRE OK - GRE passes both ways, 5 of 5 LCP echoes came back\n\
                 vendor linux, firmware 1";
    let second = "\nconnect 0.038214 s\ngre 0.120000 s";
    let facts = "\nvendor: linux\nfirmware: 1\nloopback: no\naddresses: 192.0.2.1";
    let messages = "\nLCP Configure-Ack after 80 ms";
    let report = healthy();
    assert_eq!(lines(&report, Format::Nagios, 1), format!("{first}{perfdata}"));
    assert_eq!(lines(&report, Format::Nagios, 2), format!("{first}{second}{messages}{perfdata}"));
    let all = format!("{first}{second}{facts}{messages}\nff03c02101{perfdata}");
    assert_eq!(lines(&report, Format::Nagios, 3), all);
    assert_eq!(lines(&report, Format::Nagios, 9), all);
}

#[test]
fn nagios_level_one_keeps_the_sentence_that_a_metric_displaced() {
    let mut thresholds = Thresholds::new();
    thresholds.set("lcp_rtt", "0.2".parse().ok(), None);
    let slow = Metric::seconds("lcp_rtt", Duration::from_millis(231)).judged_by(&thresholds);
    let report =
        Report::ok("GRE passes both ways").metric(slow.in_phase(Phase::Gre)).detail(1, "b");
    assert_eq!(
        lines(&report, Format::Nagios, 1),
        "PPTP GRE WARNING - lcp_rtt is 0.231 s, above 0.2 s [gre/threshold]: \
         look at the metric's graph and at the path\n\
         GRE passes both ways; b | 'lcp_rtt'=0.231000s;0.2\n"
    );
}

#[test]
fn nagios_shows_sub_results_that_are_not_ok_and_a_label_once() {
    assert_eq!(
        lines(&two_gateways(), Format::Nagios, 1),
        "PPTP GRE CRITICAL - 1 of 2 gateways answers [connect/refused]: \
         start the PPTP daemon or correct the port\n\
         vpn2 CRITICAL - port closed | 'rtt'=0.005000s\n"
    );
    assert!(lines(&two_gateways(), Format::Nagios, 2).contains("\nvpn1 OK - up\n"));
}

#[test]
fn json_has_everything_in_a_fixed_order() {
    assert_eq!(
        lines(&healthy(), Format::Json, 0),
        concat!(
            r#"{"check":"check_pptp_gre","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","target":"192.0.2.1:1723","state":"OK","exit_code":0,"#,
            r#""headline":"GRE passes both ways, 5 of 5 LCP echoes came back","#,
            r#""phase":"done","reason":"none","mend":"","#,
            r#""phases":{"connect":0.038214,"gre":0.120000},"metrics":["#,
            r#"{"label":"connect_time","value":0.038214,"unit":"s","warn":null,"crit":null,"state":"OK"},"#,
            r#"{"label":"lcp_rtt","value":0.021000,"unit":"s","warn":"0.2","crit":"@1:5","state":"OK"},"#,
            r#"{"label":"lcp_loss","value":0,"unit":"%","warn":null,"crit":null,"state":"OK"},"#,
            r#"{"label":"gre_received","value":12,"unit":"c","warn":null,"crit":null,"state":"OK"}],"#,
            r#""facts":{"vendor":"linux","firmware":1,"loopback":false,"addresses":["192.0.2.1"]},"#,
            r#""sub":[]}"#,
            "\n"
        )
    );
}

#[test]
fn json_sub_results_have_the_same_two_words() {
    let json: serde_json::Value =
        serde_json::from_str(&lines(&two_gateways(), Format::Json, 0)).unwrap();
    assert_eq!(json["sub"][1]["name"], "vpn2");
    assert_eq!(json["sub"][1]["phase"], "connect");
    assert_eq!(json["sub"][1]["reason"], "refused");
    assert_eq!(json["sub"][1]["exit_code"], 2);
    assert_eq!(json["sub"][1]["metrics"][0]["value"], 0.006);
}

#[test]
fn zabbix_has_metrics_by_label_and_always_exits_with_zero() {
    let (text, code) = render(&silent(), &GRE, Format::Zabbix, 0);
    assert_eq!(code, 0);
    assert_eq!(
        text,
        concat!(
            r#"{"check":"check_pptp_gre","version":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","target":"192.0.2.1:1723","state":"CRITICAL","exit_code":2,"#,
            r#""headline":"control is up, but no GRE came back in 4 s","#,
            r#""phase":"gre","reason":"gre_inbound_silent","#,
            r#""mend":"allow IP protocol 47 from the gateway; check NAT helpers","#,
            r#""phases":{"connect":0.038214},"phase_number":5,"reason_number":16,"#,
            r#""metrics":{"connect_time":0.038214},"facts":{},"sub":[]}"#,
            "\n"
        )
    );
}

#[test]
fn prometheus_ok() {
    let labels = r#"check="check_pptp_gre",target="192.0.2.1:1723""#;
    assert_eq!(
        lines(&healthy(), Format::Prometheus, 0),
        format!(
            "# HELP pptp_probe_success Whether the check ended in OK or WARNING.\n\
             # TYPE pptp_probe_success gauge\n\
             pptp_probe_success{{{labels}}} 1\n\
             # HELP pptp_probe_phase_duration_seconds How long each phase of the session took.\n\
             # TYPE pptp_probe_phase_duration_seconds gauge\n\
             pptp_probe_phase_duration_seconds{{{labels},phase=\"connect\"}} 0.038214\n\
             pptp_probe_phase_duration_seconds{{{labels},phase=\"gre\"}} 0.120000\n\
             # HELP pptp_connect_duration_seconds How long the TCP connection to the gateway took.\n\
             # TYPE pptp_connect_duration_seconds gauge\n\
             pptp_connect_duration_seconds{{{labels}}} 0.038214\n\
             # HELP pptp_gre_data_ok Whether GRE packets pass in both directions.\n\
             # TYPE pptp_gre_data_ok gauge\n\
             pptp_gre_data_ok{{{labels}}} 1\n\
             # HELP pptp_connect_time_seconds The metric connect_time of the check.\n\
             # TYPE pptp_connect_time_seconds gauge\n\
             pptp_connect_time_seconds{{{labels}}} 0.038214\n\
             # HELP pptp_lcp_rtt_seconds The metric lcp_rtt of the check.\n\
             # TYPE pptp_lcp_rtt_seconds gauge\n\
             pptp_lcp_rtt_seconds{{{labels}}} 0.021000\n\
             # HELP pptp_lcp_loss_ratio The metric lcp_loss of the check.\n\
             # TYPE pptp_lcp_loss_ratio gauge\n\
             pptp_lcp_loss_ratio{{{labels}}} 0\n\
             # HELP pptp_gre_received_total The metric gre_received of the check.\n\
             # TYPE pptp_gre_received_total counter\n\
             pptp_gre_received_total{{{labels}}} 12\n"
        )
    );
}

#[test]
fn prometheus_failure_has_phase_and_reason_and_no_value_for_what_was_not_reached() {
    let text = lines(&silent(), Format::Prometheus, 0);
    let labels = r#"check="check_pptp_gre",target="192.0.2.1:1723""#;
    assert!(text.contains(&format!("pptp_probe_success{{{labels}}} 0\n")));
    assert!(text.contains(&format!(
        "pptp_probe_failure{{{labels},phase=\"gre\",reason=\"gre_inbound_silent\"}} 1\n"
    )));
    assert!(text.contains(&format!("pptp_gre_data_ok{{{labels}}} 0\n")));
    assert!(!text.contains("pptp_auth_success_total"));
}

#[test]
fn prometheus_keeps_the_samples_of_a_name_together() {
    let text = lines(&two_gateways(), Format::Prometheus, 0);
    let labels = r#"check="check_pptp_gre",target="192.0.2.1:1723""#;
    assert!(text.ends_with(&format!(
        "# TYPE pptp_rtt_seconds gauge\n\
         pptp_rtt_seconds{{{labels},sub=\"vpn1\"}} 0.005000\n\
         pptp_rtt_seconds{{{labels},sub=\"vpn2\"}} 0.006000\n"
    )));
}

#[test]
fn prometheus_auth_success_is_a_counter() {
    let report = Report::ok("up").phase(Phase::Auth, Duration::from_millis(3));
    let text = lines(&report, Format::Prometheus, 0);
    assert!(text.contains("# TYPE pptp_auth_success_total counter\n"));
    assert!(text.contains("target=\"192.0.2.1:1723\"} 1\n"));
    let report = Report::failed(Phase::Auth, Reason::AuthRejected, "rejected");
    let text = lines(&report, Format::Prometheus, 0);
    assert!(text.contains(
        "pptp_auth_success_total{check=\"check_pptp_gre\",target=\"192.0.2.1:1723\"} 0\n"
    ));
}

#[test]
fn prometheus_escapes_label_values() {
    let identity = Identity { target: "a\"b\\c\nd", ..GRE };
    let text = render(&Report::ok("up"), &identity, Format::Prometheus, 0).0;
    assert!(text.contains(r#"target="a\"b\\c\\x0ad"}"#));
}

#[test]
fn prometheus_has_no_name_that_promtool_complains_about() {
    let report = Report::ok("").metric(Metric::number("mppe_bits", 128.0));
    let text = lines(&report, Format::Prometheus, 0);
    assert!(text.contains("\npptp_mppe_key_length{") && !text.contains("pptp_mppe_bits"));
    assert!(lines(&report, Format::Nagios, 0).ends_with("| 'mppe_bits'=128\n"));
}

#[test]
fn prometheus_writes_a_unit_suffix_once() {
    let report = Report::ok("")
        .metric(Metric::octets("sent_bytes", 1))
        .metric(Metric::days("cert_days", Duration::from_secs(2 * 86_400)))
        .metric(Metric::percent("loss", 12.5));
    let text = lines(&report, Format::Prometheus, 0);
    assert!(text.contains(
        "\npptp_cert_seconds{check=\"check_pptp_gre\",target=\"192.0.2.1:1723\"} 172800\n"
    ));
    assert!(text.contains("\npptp_sent_bytes{"));
    assert!(
        text.contains(
            "\npptp_loss_ratio{check=\"check_pptp_gre\",target=\"192.0.2.1:1723\"} 0.125\n"
        )
    );
}

/// Splits performance data by its grammar, by other code than the writer's.
fn parse_perfdata(text: &str) -> Vec<(String, f64)> {
    let item = |item: &str| {
        let (label, rest) = item.strip_prefix('\'').unwrap().split_once("'=").unwrap();
        let value = rest.split(';').next().unwrap().trim_end_matches(['s', '%', 'B', 'c']);
        (label.to_owned(), value.parse().unwrap())
    };
    text.split(' ').map(item).collect()
}

fn hostile(texts: &[String]) -> Report {
    let part = |index: usize| texts[index % texts.len()].clone();
    Report::failed(Phase::Auth, Reason::AuthRejected, part(0))
        .mend(part(1))
        .metric(Metric::seconds("connect_time", Duration::from_millis(38)))
        .metric(Metric::number("offset", f64::NAN))
        .metric(Metric::percent("lcp_loss", 3.0))
        .fact("vendor", part(2))
        .fact("list", vec![part(3), part(0)])
        .detail(1, part(1))
        .detail(2, part(2))
        .sub_result(Sub::failed(part(3), Phase::Auth, Reason::AuthRejected, part(1)))
}

proptest! {
    #[test]
    fn no_text_breaks_the_line_or_forges_performance_data(
        texts in proptest::collection::vec("\\PC{0,40}|[|'=;\n\r\0\x1b\\\\\"{}]{0,20}|.{0,600}", 4),
        verbosity in 0u8..4,
    ) {
        let report = hostile(&texts);
        let text = lines(&report, Format::Nagios, verbosity);
        let body = text.strip_suffix('\n').unwrap();
        prop_assert!(body.bytes().all(|octet| matches!(octet, b'\n' | b' '..=b'~')));
        prop_assert_eq!(body.lines().count(), [1, 3, 4, 6][usize::from(verbosity)]);
        let (shown, perfdata) = body.split_once(" | ").unwrap();
        prop_assert!(!shown.contains('|') && !perfdata.contains(['|', '\n']));
        let parsed = parse_perfdata(perfdata);
        prop_assert_eq!(parsed, vec![("connect_time".to_owned(), 0.038), ("lcp_loss".to_owned(), 3.0)]);
        prop_assert!(body.starts_with("PPTP GRE CRITICAL - "));
    }

    #[test]
    fn any_text_gives_valid_json_on_one_line(
        texts in proptest::collection::vec("\\PC{0,40}|[|'=;\n\r\0\x1b\\\\\"{}]{0,20}", 4),
    ) {
        for format in [Format::Json, Format::Zabbix] {
            let text = lines(&hostile(&texts), format, 0);
            prop_assert_eq!(text.lines().count(), 1);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&json["reason"], "auth_rejected");
            let vendor = text::clean(&texts[2], 1000);
            prop_assert_eq!(json["facts"]["vendor"].as_str(), Some(&*vendor));
        }
    }

    #[test]
    fn every_prometheus_line_is_a_comment_or_a_sample(
        target in "\\PC{0,40}|[|'=;\n\r\0\x1b\\\\\"{}]{0,20}",
    ) {
        let identity = Identity { target: &target, ..GRE };
        let text = render(&healthy(), &identity, Format::Prometheus, 0).0;
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (series, value) = line.rsplit_once("} ").unwrap();
            prop_assert!(value.parse::<f64>().is_ok());
            let (name, labels) = series.split_once('{').unwrap();
            prop_assert!(name.starts_with("pptp_"));
            let quotes = labels.replace("\\\\", "").replace("\\\"", "").matches('"').count();
            prop_assert_eq!(quotes % 2, 0);
        }
    }
}
