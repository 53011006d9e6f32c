//! [`Facts`] as a page for Prometheus: text format 0.0.4, or OpenMetrics 1.0.
//!
//! The same facts as in the MIB, in base units: seconds, bytes, ratios. Single
//! sessions are no time series; users are, where that is asked for, the busiest
//! first. What is not known has no sample, and a server whose data is stale has
//! none that could pose as living.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{Kind, OperStatus};
use pptp_probe::output::State;
use pptp_probe::reason::Phase;

use crate::facts::{Facts, Live, ProbeRow, RadiusRow, Server, Severity};
use crate::http::Exposition;

/// The page. So many users at most are named; none where it is 0.
pub fn page(facts: &Facts, live: &Live, users: usize, format: Exposition, now: Instant) -> String {
    let mut page = Page { text: String::with_capacity(8192), format };
    agent(&mut page, facts, live);
    servers(&mut page, facts, now);
    people(&mut page, facts, users);
    probes(&mut page, facts);
    radius(&mut page, facts);
    audit(&mut page, facts);
    if format == Exposition::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

struct Page {
    text: String,
    format: Exposition,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Everything of one name: help, type and samples, or nothing without a
    /// sample.
    fn family<'a, T: 'a>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        rows: impl IntoIterator<Item = T>,
        mut sample: impl FnMut(T, &mut dyn FnMut(Labels<'_>, f64)),
    ) {
        // OpenMetrics names a counter without the suffix of its samples.
        let family = match self.format {
            Exposition::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            Exposition::Prometheus => name,
        };
        let mut begun = false;
        for row in rows {
            sample(row, &mut |labels, value| {
                if !std::mem::replace(&mut begun, true) {
                    let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
                }
                self.text.push_str(name);
                for (i, (label, value)) in labels.iter().enumerate() {
                    self.text.push_str(if i == 0 { "{" } else { "," });
                    self.text.push_str(label);
                    self.text.push_str("=\"");
                    escape(&mut self.text, value);
                    self.text.push('"');
                }
                self.text.push_str(if labels.is_empty() { " " } else { "} " });
                let _ = writeln!(self.text, "{value}");
            });
        }
    }

    fn counter<'a, T: 'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = T>,
        sample: impl FnMut(T, &mut dyn FnMut(Labels<'_>, f64)),
    ) {
        self.family((name, "counter", help), rows, sample);
    }

    fn gauge<'a, T: 'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = T>,
        sample: impl FnMut(T, &mut dyn FnMut(Labels<'_>, f64)),
    ) {
        self.family((name, "gauge", help), rows, sample);
    }
}

fn escape(page: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            // Permitted, but they would play tricks on a terminal.
            _ if letter.is_control() => page.push('\u{fffd}'),
            _ => page.push(letter),
        }
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn agent(page: &mut Page, facts: &Facts, live: &Live) {
    let one = [&facts.agent];
    let version = env!("CARGO_PKG_VERSION");
    page.gauge(
        "pptp_agent_info",
        "The agent: its version and what it serves.",
        one,
        |agent, put| {
            put(&[("version", version), ("description", &agent.description)], 1.0);
        },
    );
    let help = "When the agent started, seconds since 1970.";
    page.gauge("pptp_agent_start_time_seconds", help, one, |agent, put| {
        put(&[], seconds(agent.start));
    });
    let help = "Times that all sources were read.";
    page.counter("pptp_agent_collects_total", help, one, |agent, put| {
        put(&[], agent.collects.into());
    });
    let help = "Times that a source could not be read.";
    page.counter("pptp_agent_collect_errors_total", help, one, |agent, put| {
        put(&[], agent.collect_errors.into());
    });
    for (name, help, counter) in [
        (
            "pptp_agent_notifications_sent_total",
            "Notifications handed to the master or sent.",
            &live.notifications_sent,
        ),
        (
            "pptp_agent_notifications_suppressed_total",
            "Notifications above the rate of their kind.",
            &live.notifications_suppressed,
        ),
        (
            "pptp_agent_notifications_dropped_total",
            "Notifications lost in a full queue.",
            &live.notifications_dropped,
        ),
        (
            "pptp_agent_master_reconnects_total",
            "Connections to the AgentX master beyond the first.",
            &live.master_reconnects,
        ),
    ] {
        page.counter(name, help, [counter], |counter, put| {
            put(&[], counter.load(Ordering::Relaxed).into());
        });
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Poptop => "poptop",
        Kind::AccelPpp => "accel-ppp",
        Kind::Pppd => "pppd",
    }
}

fn servers(page: &mut Page, facts: &Facts, now: Instant) {
    let age = |server: &Server| now.saturating_duration_since(server.read);
    let is_fresh = |server: &&Server| age(server) <= facts.stale_after;
    let all = || facts.servers.iter();
    let fresh = || facts.servers.iter().filter(is_fresh);
    let help = "A server: its software and where it listens.";
    page.gauge("pptp_server_info", help, all(), |server, put| {
        let listen = server.listen.map(|listen| listen.to_string()).unwrap_or_default();
        put(&[("server", &server.name), ("kind", kind(server.kind)), ("listen", &listen)], 1.0);
    });
    let help = "Whether the server does its work; no sample where nobody can tell.";
    page.gauge("pptp_server_up", help, fresh(), |server, put| {
        let up = match server.status {
            OperStatus::Up | OperStatus::Degraded => 1.0,
            OperStatus::Down => 0.0,
            OperStatus::Unknown => return,
        };
        put(&[("server", &server.name)], up);
    });
    let help = "Time since the data of the server was read.";
    page.gauge("pptp_server_data_age_seconds", help, all(), |server, put| {
        put(&[("server", &server.name)], age(server).as_secs_f64());
    });
    let help = "Times that a source of the server could not be read.";
    page.counter("pptp_server_collect_errors_total", help, all(), |server, put| {
        put(&[("server", &server.name)], server.errors.into());
    });
    let help = "Sessions by how far they are.";
    page.gauge("pptp_server_sessions", help, fresh(), |server, put| {
        put(&[("server", &server.name), ("state", "open")], server.totals.open.into());
        put(&[("server", &server.name), ("state", "starting")], server.totals.starting.into());
    });
    type Value = fn(&Server) -> Option<f64>;
    let gauges: [(&str, &str, Value); 5] = [
        ("pptp_server_sessions_peak", "Most sessions that were open at once.", |server| {
            Some(server.totals.peak.into())
        }),
        ("pptp_server_sessions_limit", "Sessions that the server accepts at once.", |server| {
            server.maximum.map(f64::from)
        }),
        ("pptp_server_users", "Different users among the open sessions.", |server| {
            Some(server.totals.users.into())
        }),
        ("pptp_server_start_time_seconds", "When the server started, since 1970.", |server| {
            server.start.map(seconds)
        }),
        ("pptp_server_memory_bytes", "Resident memory of the server and its children.", |server| {
            server.memory.map(|memory| memory as f64)
        }),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, fresh(), |server, put| {
            if let Some(value) = value(server) {
                put(&[("server", &server.name)], value);
            }
        });
    }
    let counters: [(&str, &str, Value); 15] = [
        (
            "pptp_server_cpu_seconds_total",
            "Processor time of the server and its children.",
            |server| server.cpu.map(|cpu| cpu.as_secs_f64()),
        ),
        (
            "pptp_server_control_connections_total",
            "Control connections that were accepted.",
            |server| Some(server.totals.accepted.into()),
        ),
        (
            "pptp_server_control_failures_total",
            "Control connections that ended without a call.",
            |server| Some(server.totals.failed.into()),
        ),
        ("pptp_server_calls_total", "Sessions that reached open.", |server| {
            Some(server.totals.calls_up.into())
        }),
        ("pptp_server_auth_failures_total", "Logins that were rejected.", |server| {
            server.counted.auth_failures.map(f64::from)
        }),
        (
            "pptp_server_control_attempts_total",
            "Control connections that were begun, as a log tells.",
            |server| server.counted.control_attempted.map(f64::from),
        ),
        (
            "pptp_server_control_refusals_total",
            "Control connections that were refused, as a log tells.",
            |server| server.counted.control_refused.map(f64::from),
        ),
        ("pptp_server_auth_successes_total", "Logins that were accepted.", |server| {
            server.counted.auth_successes.map(f64::from)
        }),
        ("pptp_server_lcp_timeouts_total", "Sessions that never agreed LCP.", |server| {
            server.counted.lcp_timeouts.map(f64::from)
        }),
        (
            "pptp_server_mppe_failures_total",
            "Sessions whose encryption was refused or lost.",
            |server| server.counted.mppe_failures.map(f64::from),
        ),
        (
            "pptp_server_echo_timeouts_total",
            "Sessions whose LCP echoes stayed unanswered.",
            |server| server.counted.echo_timeouts.map(f64::from),
        ),
        ("pptp_server_receive_bytes_total", "Octets from callers.", |server| {
            Some(server.totals.octets_in as f64)
        }),
        ("pptp_server_transmit_bytes_total", "Octets to callers.", |server| {
            Some(server.totals.octets_out as f64)
        }),
        ("pptp_server_gre_receive_packets_total", "GRE packets from callers.", |server| {
            server.gre_packets.map(|(packets, _)| packets as f64)
        }),
        ("pptp_server_gre_transmit_packets_total", "GRE packets to callers.", |server| {
            server.gre_packets.map(|(_, packets)| packets as f64)
        }),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, all(), |server, put| {
            if let Some(value) = value(server) {
                put(&[("server", &server.name)], value);
            }
        });
    }
    let help = "Sessions and logins that came to nothing, by reason.";
    page.counter("pptp_failures_total", help, facts.failures.iter(), |row, put| {
        let server = facts.servers.iter().find(|server| server.index == row.server);
        let name = server.map(|server| &*server.name).unwrap_or_default();
        put(&[("server", name), ("reason", row.reason.word())], row.count.into());
    });
}

/// A name as text; what is no UTF-8 as `\xff`.
fn readable(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

fn people(page: &mut Page, facts: &Facts, most: usize) {
    let mut users: Vec<_> = facts.users.iter().collect();
    users
        .sort_by_key(|row| std::cmp::Reverse(row.seen.octets_in.wrapping_add(row.seen.octets_out)));
    users.truncate(most);
    let mut named: Vec<_> = users.iter().map(|row| (readable(&row.name), &row.seen)).collect();
    // Two that read the same would be one series twice.
    let mut said = std::collections::BTreeSet::new();
    named.retain(|(name, _)| said.insert(name.clone()));
    page.gauge("pptp_user_sessions", "Open sessions of a user.", &named, |(name, seen), put| {
        put(&[("user", name)], seen.active.into());
    });
    let help = "Octets from a user.";
    page.counter("pptp_user_receive_bytes_total", help, &named, |(name, seen), put| {
        put(&[("user", name)], seen.octets_in as f64);
    });
    let help = "Octets to a user.";
    page.counter("pptp_user_transmit_bytes_total", help, &named, |(name, seen), put| {
        put(&[("user", name)], seen.octets_out as f64);
    });
}

fn probes(page: &mut Page, facts: &Facts) {
    let ran = || facts.probes.iter().filter(|probe| probe.state.is_some());
    let with = |probe: &ProbeRow, more: Labels<'_>, put: &mut dyn FnMut(Labels<'_>, f64), value| {
        let own = [("probe", &*probe.name), ("target", &*probe.target)];
        put(&[&own, more].concat(), value);
    };
    let help = "Whether the last run ended in OK or WARNING.";
    page.gauge("pptp_probe_success", help, ran(), |probe, put| {
        let success = match probe.state {
            Some(State::Ok | State::Warning) => 1.0,
            Some(State::Critical) => 0.0,
            // It could not run, which says nothing of the gateway.
            Some(State::Unknown) | None => return,
        };
        with(probe, &[], put, success);
    });
    let help = "Where and why the last run did not end well.";
    page.gauge("pptp_probe_failure", help, ran(), |probe, put| {
        if let Some((phase, reason)) = probe.failure {
            with(probe, &[("phase", phase.word()), ("reason", reason.word())], put, 1.0);
        }
    });
    let help = "How long each phase took in the last run that passed it.";
    page.gauge("pptp_probe_phase_duration_seconds", help, ran(), |probe, put| {
        for row in &probe.phases {
            if let Some(time) = row.time {
                with(probe, &[("phase", row.phase.word())], put, time.last.as_secs_f64());
            }
        }
    });
    type Time = fn(&ProbeRow) -> Option<Duration>;
    let times: [(&str, &str, Time); 5] = [
        ("pptp_probe_duration_seconds", "How long the last successful run took.", |probe| {
            Some(probe.time?.last)
        }),
        ("pptp_connect_duration_seconds", "How long the TCP connection took.", |probe| {
            let row = probe.phases.iter().find(|row| row.phase == Phase::Connect)?;
            Some(row.time?.last)
        }),
        ("pptp_probe_lcp_rtt_seconds", "Median round trip of LCP echoes over GRE.", |probe| {
            probe.lcp_rtt
        }),
        ("pptp_probe_lcp_jitter_seconds", "Mean difference of successive round trips.", |probe| {
            probe.lcp_jitter
        }),
        (
            "pptp_probe_echo_rtt_seconds",
            "Median round trip of control connection echoes.",
            |probe| probe.echo_rtt,
        ),
    ];
    for (name, help, time) in times {
        page.gauge(name, help, ran(), |probe, put| {
            if let Some(time) = time(probe) {
                with(probe, &[], put, time.as_secs_f64());
            }
        });
    }
    let help = "Part of the LCP echoes that stayed unanswered.";
    page.gauge("pptp_probe_lcp_loss_ratio", help, ran(), |probe, put| {
        if let Some(loss) = probe.loss {
            with(probe, &[], put, f64::from(loss) / 100.0);
        }
    });
    let help = "Whether GRE packets pass in both directions, by the last run that got so far.";
    page.gauge("pptp_gre_data_ok", help, ran(), |probe, put| {
        let row = probe.phases.iter().find(|row| row.phase == Phase::Gre);
        let Some(row) = row else { return };
        with(probe, &[], put, f64::from(u8::from(row.reason.is_none())));
    });
    let help = "Runs whose login was accepted.";
    page.counter("pptp_auth_success_total", help, ran(), |probe, put| {
        if let Some(row) = probe.phases.iter().find(|row| row.phase == Phase::Auth) {
            with(probe, &[], put, row.successes.into());
        }
    });
    let help = "When the last run began, seconds since 1970.";
    page.gauge("pptp_probe_last_run_timestamp_seconds", help, ran(), |probe, put| {
        if let Some(last) = probe.last {
            with(probe, &[], put, seconds(last));
        }
    });
    let help = "Runs by what they came to.";
    page.counter("pptp_probe_runs_total", help, facts.probes.iter(), |probe, put| {
        with(probe, &[("result", "success")], put, probe.successes.into());
        with(probe, &[("result", "failure")], put, probe.failures.into());
    });
}

fn radius(page: &mut Page, facts: &Facts) {
    let asked = || facts.radius.iter().filter(|row| row.status != OperStatus::Unknown);
    let with = |row: &RadiusRow, put: &mut dyn FnMut(Labels<'_>, f64), value| {
        let server = format!("{}:{}", row.name, row.port);
        put(&[("server", &server), ("service", row.service.word())], value);
    };
    let help = "Whether the RADIUS server answers.";
    page.gauge("pptp_radius_up", help, asked(), |row, put| {
        with(row, put, if row.status == OperStatus::Down { 0.0 } else { 1.0 });
    });
    let help = "Round trip of the last answered request.";
    page.gauge("pptp_radius_rtt_seconds", help, asked(), |row, put| {
        if let Some(rtt) = row.rtt {
            with(row, put, rtt.as_secs_f64());
        }
    });
    type Count = fn(&RadiusRow) -> u32;
    let counters: [(&str, &str, Count); 5] = [
        ("pptp_radius_requests_total", "Requests sent for the first time.", |row| {
            row.counters.requests
        }),
        ("pptp_radius_retransmissions_total", "Requests sent again.", |row| {
            row.counters.retransmissions
        }),
        ("pptp_radius_timeouts_total", "Requests not answered in time.", |row| {
            row.counters.timeouts
        }),
        ("pptp_radius_bad_authenticators_total", "Replies signed with another secret.", |row| {
            row.counters.bad_authenticators
        }),
        ("pptp_radius_unsigned_responses_total", "Replies without Message-Authenticator.", |row| {
            row.counters.unsigned
        }),
    ];
    for (name, help, count) in counters {
        page.counter(name, help, asked(), |row, put| with(row, put, count(row).into()));
    }
}

/// A finding whose row comes and goes with a number in it is one series.
fn audit(page: &mut Page, facts: &Facts) {
    // Without any finding nobody knows whether there was an audit.
    let severities = [Severity::Unknown, Severity::Info, Severity::Warning, Severity::Critical];
    let severities = severities.into_iter().filter(|_| facts.audited);
    let help = "Findings of the last audit; unknown is what it could not read.";
    page.gauge("pptp_audit_findings", help, severities, |severity, put| {
        let count = facts.audit.iter().filter(|row| row.severity == severity).count();
        put(&[("severity", severity.word())], count as f64);
    });
    let mut worst = std::collections::BTreeMap::new();
    for row in &*facts.audit {
        let severity = worst.entry(&*row.id).or_insert(row.severity);
        *severity = row.severity.max(*severity);
    }
    let help = "What the last audit found, by identifier.";
    page.gauge("pptp_audit_finding_info", help, worst, |(id, severity), put| {
        put(&[("id", id), ("severity", severity.word())], 1.0);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::synthetic;

    fn made_up() -> Facts {
        synthetic::facts(2, Instant::now(), SystemTime::now())
    }

    fn lines(facts: &Facts, users: usize, format: Exposition) -> Vec<String> {
        let page = page(facts, &Live::default(), users, format, facts.taken);
        assert!(page.ends_with('\n'));
        page.lines().map(str::to_owned).collect()
    }

    #[test]
    fn page_says_what_the_mib_says() {
        let lines = lines(&made_up(), 0, Exposition::Prometheus);
        for wanted in [
            "pptp_server_info{server=\"synthetic\",kind=\"poptop\",listen=\"192.0.2.1:1723\"} 1",
            "pptp_server_up{server=\"synthetic\"} 1",
            "pptp_server_sessions{server=\"synthetic\",state=\"open\"} 2",
            "pptp_server_cpu_seconds_total{server=\"synthetic\"} 0.12",
            "pptp_server_gre_receive_packets_total{server=\"synthetic\"} 34359738368",
            "pptp_failures_total{server=\"synthetic\",reason=\"auth_rejected\"} 2",
            "pptp_probe_success{probe=\"synthetic\",target=\"192.0.2.1\"} 0",
            "pptp_probe_failure{probe=\"synthetic\",target=\"192.0.2.1\",phase=\"gre\",reason=\"gre_inbound_silent\"} 1",
            "pptp_connect_duration_seconds{probe=\"synthetic\",target=\"192.0.2.1\"} 0.038",
            "pptp_gre_data_ok{probe=\"synthetic\",target=\"192.0.2.1\"} 0",
            "pptp_radius_up{server=\"192.0.2.2:1812\",service=\"auth\"} 1",
            "pptp_server_echo_timeouts_total{server=\"synthetic\"} 1",
            "pptp_audit_findings{severity=\"critical\"} 0",
            "pptp_audit_findings{severity=\"info\"} 1",
            "pptp_audit_finding_info{id=\"synthetic\",severity=\"info\"} 1",
        ] {
            assert!(lines.iter().any(|line| line == wanted), "{wanted} in {lines:#?}");
        }
    }

    #[test]
    fn users_are_named_only_where_that_is_asked_for() {
        let named = |users| {
            let lines = lines(&made_up(), users, Exposition::Prometheus);
            lines.iter().filter(|line| line.contains("user-0")).count()
        };
        assert_eq!((named(0), named(1)), (0, 3));
    }

    #[test]
    fn hostile_name_stays_in_its_label() {
        let mut facts = made_up();
        let mut rows = facts.users.to_vec();
        rows[0].name = Arc::from(&b"a\"} 7\n# \\\xff\x1b[2J"[..]);
        facts.users = rows.into();
        let lines = lines(&facts, 9, Exposition::Prometheus);
        let expected = "pptp_user_sessions{user=\"a\\\"} 7\\n# \\\\\\\\xff\u{fffd}[2J\"} 1";
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }

    #[test]
    fn stale_server_shows_its_age_and_nothing_that_could_pose_as_living() {
        let facts = Facts { stale_after: Duration::from_secs(15), ..made_up() };
        let now = facts.taken + Duration::from_secs(20);
        let page = page(&facts, &Live::default(), 0, Exposition::Prometheus, now);
        assert!(page.contains("pptp_server_data_age_seconds{server=\"synthetic\"} 20\n"));
        assert!(!page.contains("pptp_server_up") && !page.contains("pptp_server_sessions"));
    }

    #[test]
    fn every_family_has_one_block_and_openmetrics_an_end() {
        for format in [Exposition::Prometheus, Exposition::OpenMetrics] {
            let lines = lines(&made_up(), 9, format);
            let families: Vec<_> =
                lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
            let mut unique = families.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), families.len());
            let end = lines.last().is_some_and(|line| line == "# EOF");
            assert_eq!(end, format == Exposition::OpenMetrics);
            let suffixed = families.iter().any(|family| family.ends_with("_total counter"));
            assert_eq!(suffixed, format == Exposition::Prometheus);
        }
    }
}
