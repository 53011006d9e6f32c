//! How long the path keeps an idle tunnel: what sessions that were silent for
//! different times say together, and the file that keeps their results from
//! one run to the next.
//!
//! It owns the verdict and its sentence, and the state file. It leaves the
//! silence, and the probing after it, to the sessions.
//!
//! What real paths do: a NAT forgets GRE after 30 s to 10 min (Linux after
//! 30 s unanswered and 180 s answered) and TCP after hours; then the
//! gateway's packets are lost until we send again. A NAT without a helper for
//! PPTP maps by address alone, so that one session keeps the mapping of all
//! others alive: results of parallel sessions may contradict each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::net::file::replace;
use crate::secret::in_words;

/// Longest state file in octets.
const LONGEST_STATE: usize = 64 * 1024;
/// Results in a state file; the oldest make room.
const MOST_RESULTS: usize = 400;
/// What a state file says it is.
const KIND: &str = "pptp-monitor idle spans";
/// How it says it.
const VERSION: u32 = 1;

/// What a session showed after a silence; `None` is what could not be found
/// out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How long it was silent, to the millisecond.
    pub idle: Duration,
    /// Whether GRE from us still reached the gateway.
    pub outbound: Option<bool>,
    /// Whether GRE from the gateway still reached us.
    pub inbound: Option<bool>,
    /// Whether the control connection still worked.
    pub control: Option<bool>,
}

impl Span {
    fn gre(&self) -> Option<bool> {
        match (self.outbound, self.inbound) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        self.outbound.is_some() || self.inbound.is_some() || self.control.is_some()
    }
}

/// Which part of a session was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// GRE in both directions.
    Gre,
    /// GRE from the gateway to us only.
    GreInbound,
    /// GRE from us to the gateway only.
    GreOutbound,
    /// The control connection.
    Control,
}

/// How long something was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// The longest silence that was survived, of those shorter than
    /// `shortest_dropped`.
    pub longest_kept: Option<Duration>,
    /// The shortest silence that was not.
    pub shortest_dropped: Option<Duration>,
    /// What was lost in it.
    pub lost: Option<Part>,
    /// A silence no shorter than `shortest_dropped` that was survived all the
    /// same.
    pub contradicted_by: Option<Duration>,
}

impl Kept {
    fn new(results: impl Iterator<Item = (Duration, bool, Part)> + Clone) -> Self {
        let dropped = results.clone().filter(|(_, is_kept, _)| !is_kept);
        let dropped = dropped.min_by_key(|&(idle, ..)| idle);
        let shortest_dropped = dropped.map(|(idle, ..)| idle);
        let kept = results.filter(|(_, is_kept, _)| *is_kept).map(|(idle, ..)| idle);
        let is_below = |idle: &Duration| shortest_dropped.is_none_or(|dropped| *idle < dropped);
        Self {
            longest_kept: kept.clone().filter(is_below).max(),
            shortest_dropped,
            lost: dropped.map(|(.., part)| part),
            contradicted_by: kept.filter(|idle| !is_below(idle)).max(),
        }
    }

    /// The verdict for an operator and what to set; `None` where nothing is
    /// known.
    fn sentence(&self, what: &str, mend: &str) -> Option<String> {
        let Some(dropped) = self.shortest_dropped else {
            return Some(format!("{what} kept for {}", words(self.longest_kept?)));
        };
        let direction = match self.lost {
            Some(Part::GreOutbound) => " on the way to the gateway",
            _ => "",
        };
        let when = match (self.contradicted_by, self.longest_kept) {
            (Some(longer), _) => {
                format!(
                    "after {} but kept for {} in another session",
                    words(dropped),
                    words(longer)
                )
            }
            (None, Some(kept)) => format!("between {}", range(kept, dropped)),
            (None, None) => format!("within {}", words(dropped)),
        };
        let below = seconds(self.longest_kept.unwrap_or(dropped));
        Some(format!("{what} dropped{direction} {when}; set {mend} below {below}"))
    }
}

/// What all spans say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Of GRE, each way.
    pub gre: Kept,
    /// Of the control connection.
    pub control: Kept,
}

impl Verdict {
    /// One for GRE and one for the control connection, as far as anything is
    /// known. A mapping that is gone loses what comes in, so only the other
    /// direction is named.
    pub fn sentences(&self) -> Vec<String> {
        let gre = self.gre.sentence("GRE mapping", "lcp-echo-interval");
        let control =
            self.control.sentence("control connection", "TCP keepalive or the echo interval");
        gre.into_iter().chain(control).collect()
    }
}

/// Judges spans in any order.
pub fn judge(spans: &[Span]) -> Verdict {
    let gre = spans.iter().filter_map(|span| {
        let part = match (span.outbound, span.inbound) {
            (Some(false), Some(false)) => Part::Gre,
            (Some(false), _) => Part::GreOutbound,
            _ => Part::GreInbound,
        };
        Some((span.idle, span.gre()?, part))
    });
    let control = spans.iter().filter_map(|span| Some((span.idle, span.control?, Part::Control)));
    Verdict { gre: Kept::new(gre), control: Kept::new(control) }
}

/// A silence as operators say it: `90 s`, `5 min`, `1 h`.
pub fn words(idle: Duration) -> String {
    let (number, unit) = number_and_unit(idle);
    format!("{number} {unit}")
}

fn number_and_unit(idle: Duration) -> (String, &'static str) {
    match idle.as_secs() {
        secs if idle.subsec_nanos() > 0 || secs < 300 => (seconds(idle), "s"),
        secs if secs % 3600 == 0 => ((secs / 3600).to_string(), "h"),
        secs if secs % 60 == 0 => ((secs / 60).to_string(), "min"),
        _ => (seconds(idle), "s"),
    }
}

fn range(from: Duration, to: Duration) -> String {
    let ((low, low_unit), (high, unit)) = (number_and_unit(from), number_and_unit(to));
    let low = if low_unit == unit { low } else { format!("{low} {low_unit}") };
    format!("{low} and {high} {unit}")
}

fn seconds(idle: Duration) -> String {
    idle.as_secs_f64().to_string()
}

/// Results of earlier runs against one target, by duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    target: String,
    /// By silence in milliseconds.
    results: BTreeMap<u64, Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    span: Span,
    /// Unix time in seconds.
    measured: u64,
}

/// The file. Whoever is logged in does not stand in it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: String,
    version: u32,
    target: String,
    results: Vec<WrittenResult>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenResult {
    idle_ms: u64,
    outbound: Option<bool>,
    inbound: Option<bool>,
    control: Option<bool>,
    /// Unix time in seconds.
    measured: u64,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u32,
}

impl State {
    /// Reads the results for `target`, the gateway's name and port; there are
    /// none if there is no file.
    ///
    /// # Errors
    /// A sentence, when the file cannot be read, is a link or no regular file,
    /// belongs to another user or target, is longer than 64 KiB, or was not
    /// written by [`State::save`]. It repeats nothing of what the file holds.
    pub fn load(path: &Path, target: &str) -> Result<Self, String> {
        let mut state = Self { target: target.to_owned(), results: BTreeMap::new() };
        let of_file = |what: String| format!("state file {} {what}", path.display());
        let Some(octets) = read(path).map_err(of_file)? else { return Ok(state) };
        let written = parse(&octets).map_err(of_file)?;
        if written.target != target {
            let what = format!("is of another target than {target}: give each a file of its own");
            return Err(of_file(what));
        }
        for result in written.results {
            let WrittenResult { idle_ms, outbound, inbound, control, measured } = result;
            let idle = Duration::from_millis(idle_ms);
            state.add(Outcome { span: Span { idle, outbound, inbound, control }, measured });
        }
        Ok(state)
    }

    /// Writes the file anew, for its owner alone.
    ///
    /// # Errors
    /// A sentence, when it cannot be written; an old file is as it was.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let results = self.results.iter().map(|(&idle_ms, outcome)| {
            let Span { outbound, inbound, control, .. } = outcome.span;
            WrittenResult { idle_ms, outbound, inbound, control, measured: outcome.measured }
        });
        let written = Written {
            kind: KIND.to_owned(),
            version: VERSION,
            target: self.target.clone(),
            results: results.collect(),
        };
        let cannot =
            |error| format!("cannot write the state file {}: {}", path.display(), in_words(&error));
        let mut octets = serde_json::to_vec(&written).map_err(io::Error::from).map_err(cannot)?;
        octets.push(b'\n');
        replace(path, &octets).map_err(cannot)
    }

    /// Takes a result measured at `measured`. One that found nothing out does
    /// not displace one that did.
    pub fn merge(&mut self, span: Span, measured: SystemTime) {
        let idle = Duration::from_millis(millis(span.idle));
        self.add(Outcome { span: Span { idle, ..span }, measured: unix(measured) });
    }

    /// The results no older than `max_age`, the shortest silence first. What
    /// was measured later than `now` is of a clock that went wrong.
    pub fn spans(&self, max_age: Duration, now: SystemTime) -> Vec<Span> {
        let now = unix(now);
        let is_fresh = |outcome: &&Outcome| {
            now.checked_sub(outcome.measured).is_some_and(|age| age <= max_age.as_secs())
        };
        self.results.values().filter(is_fresh).map(|outcome| outcome.span).collect()
    }

    /// Those of `durations` of which no such result tells anything.
    pub fn missing(
        &self,
        durations: &[Duration],
        max_age: Duration,
        now: SystemTime,
    ) -> Vec<Duration> {
        let spans = self.spans(max_age, now);
        let is_missing = |idle: &Duration| {
            !spans.iter().any(|span| millis(span.idle) == millis(*idle) && span.is_known())
        };
        durations.iter().copied().filter(is_missing).collect()
    }

    fn add(&mut self, outcome: Outcome) {
        let idle = millis(outcome.span.idle);
        let displaces = |old: &Outcome| {
            let news = (outcome.span.is_known(), outcome.measured);
            news >= (old.span.is_known(), old.measured)
        };
        if self.results.get(&idle).is_none_or(displaces) {
            self.results.insert(idle, outcome);
        }
        if self.results.len() > MOST_RESULTS {
            let oldest = self.results.iter().min_by_key(|(_, outcome)| outcome.measured);
            if let Some(idle) = oldest.map(|(&idle, _)| idle) {
                self.results.remove(&idle);
            }
        }
    }
}

/// The octets of a state file, if there is one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let cannot = |error: io::Error| format!("cannot be read: {}", in_words(&error));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err("is a symbolic link: name the file itself".into());
        }
        Err(error) => return Err(cannot(error)),
    };
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err("is no regular file".into());
    }
    let (owner, we) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != we {
        return Err(format!("belongs to user {owner}, and this check runs as user {we}"));
    }
    let mut octets = Vec::new();
    file.take(LONGEST_STATE as u64 + 1).read_to_end(&mut octets).map_err(cannot)?;
    if octets.len() > LONGEST_STATE {
        return Err(format!("is longer than {LONGEST_STATE} octets"));
    }
    Ok(Some(octets))
}

fn parse(octets: &[u8]) -> Result<Written, String> {
    // The parser's own words would repeat what stands in a file that may be
    // anybody's.
    let foreign =
        |error: serde_json::Error| format!("was not written by this check (line {})", error.line());
    let head: Head = serde_json::from_slice(octets).map_err(foreign)?;
    if head.kind != KIND {
        return Err("was not written by this check".into());
    }
    if head.version != VERSION {
        let version = head.version;
        return Err(format!("has version {version}, and this check knows version {VERSION}"));
    }
    serde_json::from_slice(octets).map_err(foreign)
}

fn millis(idle: Duration) -> u64 {
    u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)
}

/// A time before 1970 is 0.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    const TARGET: &str = "vpn.example.org:1723";
    const DAY: Duration = Duration::from_secs(86_400);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn span(idle: u64, outbound: bool, inbound: bool, control: bool) -> Span {
        let [outbound, inbound, control] = [outbound, inbound, control].map(Some);
        Span { idle: secs(idle), outbound, inbound, control }
    }

    fn unknown(idle: u64) -> Span {
        Span { idle: secs(idle), outbound: None, inbound: None, control: None }
    }

    #[test]
    fn mapping_dropped_between_two_silences_is_said_with_its_mend() {
        let spans = [
            span(300, true, false, true),
            span(60, true, true, true),
            span(120, true, false, true),
        ];
        let verdict = judge(&spans);
        let gre = Kept {
            longest_kept: Some(secs(60)),
            shortest_dropped: Some(secs(120)),
            lost: Some(Part::GreInbound),
            contradicted_by: None,
        };
        assert_eq!(verdict.gre, gre);
        assert_eq!(
            verdict.sentences(),
            [
                "GRE mapping dropped between 60 and 120 s; set lcp-echo-interval below 60",
                "control connection kept for 5 min"
            ]
        );
    }

    #[test]
    fn direction_is_that_of_the_shortest_silence() {
        for (outbound, inbound, part, text) in [
            (false, true, Part::GreOutbound, " on the way to the gateway"),
            (true, false, Part::GreInbound, ""),
            (false, false, Part::Gre, ""),
        ] {
            let verdict = judge(&[span(90, outbound, inbound, true), span(30, true, true, true)]);
            assert_eq!(verdict.gre.lost, Some(part));
            let sentence = format!(
                "GRE mapping dropped{text} between 30 and 90 s; set lcp-echo-interval below 30"
            );
            assert_eq!(verdict.sentences()[0], sentence);
        }
    }

    #[test]
    fn control_connection_is_judged_apart() {
        let spans = [span(3600, true, true, true), span(7200, true, true, false)];
        assert_eq!(
            judge(&spans).sentences(),
            [
                "GRE mapping kept for 2 h",
                "control connection dropped between 1 and 2 h; \
                 set TCP keepalive or the echo interval below 3600"
            ]
        );
    }

    #[test]
    fn nothing_kept_nothing_known_and_contradiction() {
        assert_eq!(judge(&[]).sentences(), Vec::<String>::new());
        assert_eq!(judge(&[unknown(60)]).sentences(), Vec::<String>::new());
        let half = Span { outbound: Some(true), ..unknown(60) };
        assert_eq!(judge(&[half]).gre, Kept::default());
        let half = Span { inbound: Some(false), ..unknown(60) };
        assert_eq!(
            judge(&[half]).sentences(),
            ["GRE mapping dropped within 60 s; set lcp-echo-interval below 60"]
        );
        let spans =
            [span(30, true, true, true), span(60, true, false, true), span(600, true, true, true)];
        let verdict = judge(&spans);
        assert_eq!(verdict.gre.contradicted_by, Some(secs(600)));
        assert_eq!(
            verdict.sentences()[0],
            "GRE mapping dropped after 60 s but kept for 10 min in another session; \
             set lcp-echo-interval below 30"
        );
    }

    #[test]
    fn durations_in_the_words_of_operators() {
        for (millis, text) in [
            (200, "0.2 s"),
            (90_000, "90 s"),
            (120_000, "120 s"),
            (300_000, "5 min"),
            (330_000, "330 s"),
            (330_500, "330.5 s"),
            (3_600_000, "1 h"),
            (5_400_000, "90 min"),
        ] {
            assert_eq!(words(Duration::from_millis(millis)), text);
        }
        assert_eq!(range(secs(240), secs(300)), "240 s and 5 min");
        assert_eq!(range(secs(300), secs(600)), "5 and 10 min");
    }

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("pptp-spans-{}-{number}", std::process::id());
            let directory = Self(std::env::temp_dir().join(name));
            fs::create_dir(&directory.0).unwrap();
            directory
        }

        fn file(&self) -> PathBuf {
            self.0.join("state")
        }

        /// Why a file with these octets is refused.
        fn refusal(&self, octets: impl AsRef<[u8]>) -> String {
            fs::write(self.file(), octets).unwrap();
            let text = State::load(&self.file(), TARGET).unwrap_err();
            let name = format!("state file {} ", self.file().display());
            text.strip_prefix(&name).unwrap().to_owned()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn state(spans: &[Span]) -> State {
        let mut state = State { target: TARGET.into(), results: BTreeMap::new() };
        for &span in spans {
            state.merge(span, at(1_000));
        }
        state
    }

    #[test]
    fn results_outlive_the_run() {
        let directory = Directory::new();
        let path = directory.file();
        let mut first = State::load(&path, TARGET).unwrap();
        assert_eq!(first.spans(DAY, at(1_000)), []);
        let half = Span { inbound: Some(false), ..unknown(120) };
        first.merge(half, at(1_000));
        first.merge(span(60, true, true, false), at(1_001));
        first.save(&path).unwrap();
        let second = State::load(&path, TARGET).unwrap();
        assert_eq!(second, first);
        assert_eq!(second.spans(DAY, at(1_002)), [span(60, true, true, false), half]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        second.save(&path).unwrap();
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
    }

    #[test]
    fn old_future_and_empty_results_are_measured_again() {
        let mut state = state(&[span(60, true, true, true), unknown(120)]);
        state.merge(span(300, true, true, true), at(5_000));
        let wanted = [60, 120, 300, 600].map(secs);
        let missing = |max_age, now| state.missing(&wanted, secs(max_age), at(now));
        assert_eq!(missing(4_000, 5_000), [secs(120), secs(600)]);
        assert_eq!(missing(3_999, 5_000), [secs(60), secs(120), secs(600)]);
        assert_eq!(missing(4_000, 4_999), [secs(120), secs(300), secs(600)]);
    }

    #[test]
    fn newer_results_displace_older_ones_unless_they_know_nothing() {
        let mut state = state(&[span(60, true, true, true)]);
        state.merge(span(60, false, false, true), at(2_000));
        state.merge(span(60, true, false, true), at(2_000));
        state.merge(span(60, true, true, true), at(1_500));
        state.merge(unknown(60), at(3_000));
        assert_eq!(state.spans(DAY, at(3_000)), [span(60, true, false, true)]);
    }

    #[test]
    fn a_full_state_forgets_the_oldest_and_can_still_be_read() {
        let directory = Directory::new();
        let mut state = state(&[span(1, true, true, true)]);
        for less in 0..MOST_RESULTS as u64 {
            let idle = Duration::from_millis(u64::MAX - less);
            state.merge(Span { idle, ..span(0, false, false, false) }, at(4_000_000_000));
        }
        assert_eq!(state.results.len(), MOST_RESULTS);
        assert!(!state.results.contains_key(&1_000));
        state.save(&directory.file()).unwrap();
        assert_eq!(State::load(&directory.file(), TARGET), Ok(state));
    }

    #[test]
    fn foreign_files_are_refused_and_not_repeated() {
        let directory = Directory::new();
        let not_ours = "was not written by this check";
        assert_eq!(directory.refusal(""), format!("{not_ours} (line 1)"));
        assert_eq!(directory.refusal("root:$6$salt:1:0::::\n"), format!("{not_ours} (line 1)"));
        assert_eq!(directory.refusal("[]"), format!("{not_ours} (line 1)"));
        let others = r#"{"kind": "nagios retention", "version": 1}"#;
        assert_eq!(directory.refusal(others), not_ours);
        let later = r#"{"kind": "pptp-monitor idle spans", "version": 2, "more": []}"#;
        let refusal = "has version 2, and this check knows version 1";
        assert_eq!(directory.refusal(later), refusal);
        let more = r#"{"kind": "pptp-monitor idle spans", "version": 1, "more": []}"#;
        assert_eq!(directory.refusal(more), format!("{not_ours} (line 1)"));
        assert_eq!(directory.refusal("[".repeat(60_000)), format!("{not_ours} (line 1)"));
        assert_eq!(directory.refusal(vec![b' '; 65_537]), "is longer than 65536 octets");
        assert_eq!(directory.refusal([0xFF; 64]), format!("{not_ours} (line 1)"));
    }

    #[test]
    fn another_target_is_refused() {
        let directory = Directory::new();
        state(&[]).save(&directory.file()).unwrap();
        let refusal = State::load(&directory.file(), "192.0.2.1:1723").unwrap_err();
        assert!(
            refusal.ends_with(
                " is of another target than 192.0.2.1:1723: give each a file of its own"
            )
        );
    }

    #[test]
    fn links_pipes_and_directories_are_refused_at_once() {
        let directory = Directory::new();
        state(&[]).save(&directory.file()).unwrap();
        let refusal = |name: &str| State::load(&directory.0.join(name), TARGET).unwrap_err();
        symlink(directory.file(), directory.0.join("link")).unwrap();
        assert!(refusal("link").ends_with("link is a symbolic link: name the file itself"));
        let fifo = directory.0.join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(refusal("fifo").ends_with("fifo is no regular file"));
        assert!(refusal("").ends_with(" is no regular file"));
        assert!(refusal("state/of").ends_with("cannot be read: Not a directory"));
        let unwritten = state(&[]).save(&directory.0.join("none/state")).unwrap_err();
        assert!(unwritten.starts_with("cannot write the state file /"), "{unwritten}");
        assert!(unwritten.ends_with("/none/state: No such file or directory"), "{unwritten}");
    }

    #[test]
    fn file_of_another_user_is_refused() {
        let directory = Directory::new();
        state(&[]).save(&directory.file()).unwrap();
        if std::os::unix::fs::chown(directory.file(), Some(65_534), None).is_err() {
            eprintln!("skipped: giving a file away needs root");
            return;
        }
        let refusal = State::load(&directory.file(), TARGET).unwrap_err();
        assert!(refusal.contains("belongs to user 65534, and this check runs as user "));
    }

    proptest! {
        #[test]
        fn bounds_never_cross(
            results in vec((1u64..500, any::<Option<bool>>(), any::<Option<bool>>(), any::<Option<bool>>()), 0..12),
        ) {
            let spans: Vec<_> = results.iter().map(|&(idle, outbound, inbound, control)| {
                Span { idle: secs(idle), outbound, inbound, control }
            }).collect();
            let verdict = judge(&spans);
            for kept in [verdict.gre, verdict.control] {
                prop_assert_eq!(kept.shortest_dropped.is_some(), kept.lost.is_some());
                if let Some(dropped) = kept.shortest_dropped {
                    prop_assert!(kept.longest_kept < Some(dropped));
                    prop_assert!(kept.contradicted_by.is_none_or(|idle| idle >= dropped));
                }
            }
            prop_assert!(verdict.sentences().len() <= 2);
        }

        #[test]
        fn arbitrary_files_never_panic(octets in vec(any::<u8>(), 0..200), idle_ms: u64, measured: u64) {
            let _ = parse(&octets);
            let text = format!(
                r#"{{"kind": "{KIND}", "version": 1, "target": "{TARGET}", "results": [
                {{"idle_ms": {idle_ms}, "outbound": null, "inbound": true, "control": false,
                "measured": {measured}}}]}}"#
            );
            let directory = Directory::new();
            fs::write(directory.file(), text).unwrap();
            let state = State::load(&directory.file(), TARGET).unwrap();
            let spans = state.spans(Duration::MAX, at(u64::MAX >> 1));
            prop_assert_eq!(spans.len(), usize::from(measured <= u64::MAX >> 1));
            judge(&spans).sentences();
        }
    }
}
