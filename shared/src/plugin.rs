//! The frame in which every check runs: it alone knows how a check meets the
//! program that started it.
//!
//! Help, version and wrong arguments go to standard output with exit status 3,
//! where clap would say 0 and 2; wrong arguments in the format that was asked
//! for, and for Zabbix with 0 like everything else. A panic is UNKNOWN. The
//! deadline is added to the clock once, here, and a run that misses it is
//! ended from outside. The output is one write; if nobody takes it, the status
//! is 3. The process leaves by `exit`, so that a resolver thread that hangs
//! cannot hold it.
//!
//! Signals are not handled here but where the sockets are, because a run that
//! is interrupted still says good-bye to its gateway.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::PanicHookInfo;
use std::time::{Duration, Instant};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, Command};

use crate::cli::{Common, Timeout, expand_extra_opts, raw_option};
use crate::output::{Format, Identity, Report, State, Thresholds, render, unknown_line};
use crate::reason::{Phase, Reason};
use crate::secret::Unread;

/// How long after its deadline a run may still close what it has open. Less
/// than the 100 ms in which a deadline is kept, for the exit takes time too.
const GRACE: Duration = Duration::from_millis(80);

/// What `-V` prints behind the program's name.
const VERSION_TEXT: &str =
    concat!("v", env!("CARGO_PKG_VERSION"), " (pptp-monitor ", env!("CARGO_PKG_VERSION"), ")");

/// A check: its arguments and what the frame has to know about it.
pub trait Check: Args {
    /// The name in the first line of output: `PPTP GRE`.
    const NAME: &'static str;
    /// The program: `check_pptp_gre`.
    const PROGRAM: &'static str;
    /// The description in `--help`; it contains "Alerts when ...".
    const ABOUT: &'static str;
    /// Two complete command lines with addresses of RFC 5737, the end of
    /// `--help`.
    const EXAMPLES: &'static str;
    /// The labels of all metrics.
    const METRICS: &'static [&'static str];
    /// The label that `-w` and `-c` are for; one of [`Check::METRICS`].
    const MAIN_METRIC: &'static str;
    /// The default of `--port`, where it is not 1723.
    const DEFAULT_PORT: Option<&'static str> = None;

    /// The arguments that every check has.
    fn common(&self) -> &Common;

    /// What is probed, in the operator's words.
    fn target(&self) -> String;

    /// The option because of which a run that is well has no such metric, so
    /// that a range for it would be no guard.
    fn excludes(&self, _label: &str) -> Option<&'static str> {
        None
    }

    /// What no single argument can say about itself.
    ///
    /// # Errors
    /// A sentence that names the arguments that do not go together.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a run is given beside its arguments.
#[derive(Debug)]
pub struct Context {
    /// When the process began.
    pub started: Instant,
    /// When the run has to be over.
    pub deadline: Instant,
    /// What the operator said about the deadline.
    pub timeout: Timeout,
    /// The ranges of all metrics, `-w` and `-c` among them.
    pub thresholds: Thresholds,
    /// 0 to 3; how much an operator wants to read.
    pub verbosity: u8,
    /// Whether the output has room for facts; to word them costs every run.
    pub shows_facts: bool,
    phase: Cell<Phase>,
}

impl Context {
    /// What `common` says of a run that began at `started`.
    pub fn new(common: &Common, started: Instant, thresholds: Thresholds) -> Self {
        let timeout = common.timeout();
        let verbosity = common.verbose.min(3);
        Self {
            started,
            deadline: started + timeout.duration,
            timeout,
            thresholds,
            verbosity,
            shows_facts: verbosity == 3 || common.output() != Format::Nagios,
            phase: Cell::new(Phase::Resolve),
        }
    }

    /// Notes the phase that begins, so that a run ended from outside can say
    /// where it was.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }
}

/// Runs a check with the arguments of the process and leaves the process.
///
/// `prepare` runs before any thread or runtime exists: it reads secrets, for
/// which it may wait until the deadline it is given, opens raw sockets, drops
/// privileges. Its error is the report. `run` is the check itself.
pub fn main<A: Check, P>(
    prepare: impl FnOnce(&A, Instant) -> Result<P, Report>,
    run: impl AsyncFnOnce(&A, P, &Context) -> Report,
) -> ! {
    main_from(std::env::args_os().collect(), prepare, run)
}

/// The same as [`main`] with the arguments given, the program's name first,
/// for a binary that is several checks.
pub fn main_from<A: Check, P>(
    argv: Vec<OsString>,
    prepare: impl FnOnce(&A, Instant) -> Result<P, Report>,
    run: impl AsyncFnOnce(&A, P, &Context) -> Report,
) -> ! {
    enter(argv, None, prepare, run)
}

/// What a check does instead of its plain run once one of some options is
/// given. They are not among those of [`command`]: a plain run shall not pay
/// for their definition.
#[derive(Debug, Clone, Copy)]
pub struct Many {
    /// The long names of the options, without hyphens.
    pub options: &'static [&'static str],
    /// Adds the options to a check's command line.
    pub define: fn(Command) -> Command,
    /// Runs it with the arguments, the program's name first, from this moment
    /// on; gives what is left to print and the exit status.
    pub conduct: fn(Vec<OsString>, Instant) -> Ending,
}

impl Many {
    fn is_asked_for(&self, argv: &[OsString]) -> bool {
        let mut given = argv.iter().skip(1).take_while(|argument| *argument != "--");
        given.any(|argument| {
            let name = argument.as_bytes().strip_prefix(b"--").unwrap_or_default();
            let name = name.split(|octet| *octet == b'=').next().unwrap_or_default();
            !name.is_empty() && self.options.iter().any(|option| option.as_bytes() == name)
        })
    }
}

/// The same as [`main_from`] for a check that can also do something else.
pub fn main_or_many<A: Check, P>(
    argv: Vec<OsString>,
    many: Many,
    prepare: impl FnOnce(&A, Instant) -> Result<P, Report>,
    run: impl AsyncFnOnce(&A, P, &Context) -> Report,
) -> ! {
    enter(argv, Some(many), prepare, run)
}

fn enter<A: Check, P>(
    argv: Vec<OsString>,
    many: Option<Many>,
    prepare: impl FnOnce(&A, Instant) -> Result<P, Report>,
    run: impl AsyncFnOnce(&A, P, &Context) -> Report,
) -> ! {
    let started = Instant::now();
    forbid_core_dumps();
    std::panic::set_hook(Box::new(|panic| leave(&Ending::unknown(panic_line(A::NAME, panic)))));
    leave(&conduct(argv, started, many, prepare, run))
}

/// The definition of a check's command line.
pub fn command<A: Check>() -> Command {
    // Expanded before clap sees it; it stands here for the help text.
    let extra_opts = Arg::new(EXTRA_OPTS)
        .long(EXTRA_OPTS)
        .value_name("SECTION[@FILE]")
        .num_args(0..=1)
        .help("Read more options from a section of an ini file of the Monitoring Plugins");
    // Each group of arguments sets the description, so ours comes last.
    let command = A::augment_args(Command::new(A::PROGRAM))
        .arg(extra_opts)
        .bin_name(A::PROGRAM)
        .version(VERSION_TEXT)
        .about(A::ABOUT)
        .long_about(None)
        .after_help(A::EXAMPLES)
        // The command line has the last word over the file of --extra-opts.
        .args_override_self(true);
    match A::DEFAULT_PORT {
        Some(port) => command.mut_arg("port", |argument| argument.default_value(port)),
        None => command,
    }
}

/// Reads and validates arguments, the program's name first, for a program that
/// runs the check itself.
///
/// # Errors
/// The sentence that the check would say.
pub fn arguments<A: Check>(argv: &[OsString]) -> Result<(A, Thresholds), String> {
    let read = || validated(&mut command::<A>().try_get_matches_from(argv)?);
    read().map_err(|refusal| match refusal {
        Refusal::Said(text) | Refusal::Misuse(text) | Refusal::Interrupted(text) => text,
    })
}

/// Runs a check on this thread, in a runtime of its own.
///
/// # Errors
/// The report of a run that missed its deadline or had no runtime.
pub fn run_until<T>(context: &Context, run: impl Future<Output = T>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let headline = format!("the event loop did not start: {error}");
            return Err(Report::failed(context.phase.get(), Reason::Local, headline));
        }
    };
    let ended = runtime.block_on(within(context, run));
    // Dropping it would wait for a resolver that hangs.
    runtime.shutdown_background();
    ended
}

/// Runs a check in a runtime that is there already.
///
/// # Errors
/// The report of a run that missed its deadline.
pub async fn within<T>(context: &Context, run: impl Future<Output = T>) -> Result<T, Report> {
    let limit = tokio::time::Instant::from_std(context.deadline + GRACE);
    tokio::time::timeout_at(limit, run).await.map_err(|_| overdue(context))
}

/// Forbids cores of this process: one would contain the password, and so does
/// the memory that another process of the same user could read. If the kernel
/// refuses, the program is still worth running.
pub fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The first step when a raw socket is not permitted, with the path of this
/// very program.
pub fn setcap_mend() -> String {
    match std::env::current_exe() {
        Ok(path) => format!("run: setcap cap_net_raw+ep {}", path.display()),
        Err(_) => Reason::Permission.mend().to_owned(),
    }
}

const EXTRA_OPTS: &str = "extra-opts";

/// The last words of a process and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// What is printed; what was printed before is not in it.
    pub text: String,
    /// The status, if printing works.
    pub code: u8,
}

impl Ending {
    /// What a check says of arguments that are wrong, in the format that they
    /// ask for.
    pub fn misuse<A: Check>(what: String, argv: &[OsString]) -> Self {
        refuse::<A>(Refusal::Misuse(what), asked_format(argv))
    }

    /// For arguments that clap does not take, or that ask for help.
    pub fn refusal<A: Check>(error: clap::Error, argv: &[OsString]) -> Self {
        refuse::<A>(error.into(), asked_format(argv))
    }

    /// What a check says of something that it could not read.
    pub fn unread<A: Check>(unread: Unread, argv: &[OsString]) -> Self {
        refuse::<A>(unread.into(), asked_format(argv))
    }

    fn unknown(text: String) -> Self {
        Self { text, code: State::Unknown.exit_code() }
    }
}

fn asked_format(argv: &[OsString]) -> Format {
    raw_option(argv, b'o', "output").unwrap_or_default()
}

fn conduct<A: Check, P>(
    mut argv: Vec<OsString>,
    started: Instant,
    many: Option<Many>,
    prepare: impl FnOnce(&A, Instant) -> Result<P, Report>,
    run: impl AsyncFnOnce(&A, P, &Context) -> Report,
) -> Ending {
    if let Err(unread) = expand_extra_opts(&mut argv, A::PROGRAM, started) {
        return Ending::unread::<A>(unread, &argv);
    }
    let (args, thresholds) = match (parse::<A>(&argv), many) {
        // What the plain command line does not know is here.
        (Err(Refusal::Misuse(_)), Some(many)) if many.is_asked_for(&argv) => {
            return (many.conduct)(argv, started);
        }
        (Err(Refusal::Said(said)), Some(many)) => {
            let again = (many.define)(command::<A>()).try_get_matches_from(&argv);
            let refusal = again.map_or_else(Refusal::from, |_| Refusal::Said(said));
            return refuse::<A>(refusal, Format::Nagios);
        }
        (Ok(parsed), _) => parsed,
        (Err(refusal), _) => return refuse::<A>(refusal, asked_format(&argv)),
    };
    let common = args.common();
    let context = Context::new(common, started, thresholds);
    let report = match prepare(&args, context.deadline) {
        Ok(prepared) => run_until(&context, run(&args, prepared, &context)),
        Err(report) => Err(report),
    };
    let report = report.unwrap_or_else(|report| report);
    let target = args.target();
    let identity = Identity { name: A::NAME, program: A::PROGRAM, target: &target };
    let (text, code) = render(&report, &identity, common.output(), context.verbosity);
    Ending { text, code }
}

/// Why there are no arguments to run with.
enum Refusal {
    /// Help or version, as it was asked for.
    Said(String),
    /// What is wrong with the arguments.
    Misuse(String),
    /// A signal came while they were read from a file.
    Interrupted(String),
}

fn parse<A: Check>(argv: &[OsString]) -> Result<(A, Thresholds), Refusal> {
    let mut command = command::<A>();
    let matches = command.try_get_matches_from_mut(argv);
    // The process is short and its end frees everything at once; taking the
    // two apart piece by piece costs a tenth of what parsing costs.
    std::mem::forget(command);
    let mut matches = std::mem::ManuallyDrop::new(matches?);
    validated(&mut matches)
}

fn validated<A: Check>(matches: &mut ArgMatches) -> Result<(A, Thresholds), Refusal> {
    if matches.contains_id(EXTRA_OPTS) {
        return Err("--extra-opts cannot stand in the file it names".to_owned().into());
    }
    let args = A::from_arg_matches_mut(matches)?;
    args.validate()?;
    let thresholds = args.common().thresholds(A::METRICS, A::MAIN_METRIC)?;
    for label in thresholds.labels() {
        if let Some(option) = args.excludes(label) {
            return Err(format!("{label} has a range, but with {option} it is not measured").into());
        }
    }
    Ok((args, thresholds))
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let is_about_port = matches!(
            error.get(ContextKind::InvalidArg),
            Some(ContextValue::String(argument)) if argument.starts_with("--port ")
        );
        match error.kind() {
            // Other plugins take a password by -p: the value is not repeated.
            ErrorKind::ValueValidation if is_about_port => Self::Misuse(
                "--port takes a number from 1 to 65535, and no option a password itself".into(),
            ),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Said(text),
            _ => {
                // The first paragraph says what is wrong; usage and tips follow.
                let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
                let what = lines.collect::<Vec<_>>().join(" ");
                Self::Misuse(what.strip_prefix("error: ").unwrap_or(&what).to_owned())
            }
        }
    }
}

impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Self::Misuse(what)
    }
}

impl From<Unread> for Refusal {
    fn from(Unread { reason, text }: Unread) -> Self {
        match reason {
            Reason::Interrupted => Self::Interrupted(text),
            _ => Self::Misuse(text),
        }
    }
}

fn refuse<A: Check>(refusal: Refusal, format: Format) -> Ending {
    let report = match refusal {
        Refusal::Said(text) => {
            // Named here: help of its own for each check would cost every run.
            let main = format!("the metric {}", A::MAIN_METRIC);
            return Ending::unknown(text.replace("the main metric", &main));
        }
        Refusal::Misuse(what) if format == Format::Nagios => {
            return Ending::unknown(unknown_line(A::NAME, &what, "(see --help)"));
        }
        Refusal::Misuse(what) => {
            Report::failed(Phase::Resolve, Reason::Local, what).mend("see --help")
        }
        Refusal::Interrupted(text) => Report::failed(Phase::Resolve, Reason::Interrupted, text),
    };
    // What the arguments name as the target is not known to be one.
    let identity = Identity { name: A::NAME, program: A::PROGRAM, target: "" };
    let (text, code) = render(&report, &identity, format, 0);
    Ending { text, code }
}

fn panic_line(name: &str, panic: &PanicHookInfo<'_>) -> String {
    // Not the message: it could contain a value that is secret.
    let place = match panic.location() {
        Some(location) => format!("internal error at {}:{}", location.file(), location.line()),
        None => "internal error".to_owned(),
    };
    unknown_line(name, &place, "(please report)")
}

fn overdue(context: &Context) -> Report {
    let phase = context.phase.get();
    let seconds = context.timeout.duration.as_secs_f64();
    let headline = format!("no result within {seconds} s, phase {phase} did not end");
    Report::failed(phase, Reason::Silent, headline).timeout_state(context.timeout.state)
}

/// Prints what a check says before its last words.
///
/// # Errors
/// The system's: nobody reads it.
pub fn say(text: &str) -> io::Result<()> {
    write_once(io::stdout().as_fd(), text.as_bytes())
}

fn leave(ending: &Ending) -> ! {
    let written = write_once(io::stdout().as_fd(), ending.text.as_bytes());
    let code = if written.is_ok() { ending.code } else { State::Unknown.exit_code() };
    std::process::exit(i32::from(code))
}

/// One write, continued only where the reader takes less. Past the buffer of
/// `Stdout`, which takes a closed descriptor for success.
fn write_once(output: BorrowedFd<'_>, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match rustix::io::write(output, text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::cli::{Login, Target};
    use crate::output::Metric;

    #[derive(Debug, Args)]
    struct Fake {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        login: Login,
    }

    impl Check for Fake {
        const NAME: &'static str = "PPTP FAKE";
        const PROGRAM: &'static str = "check_pptp_fake";
        const ABOUT: &'static str = "Probes nothing. Alerts when told to.";
        const EXAMPLES: &'static str = "Examples:\n  check_pptp_fake -H 192.0.2.1";
        const METRICS: &'static [&'static str] = &["connect_time", "echo_rtt"];
        const MAIN_METRIC: &'static str = "echo_rtt";
        const DEFAULT_PORT: Option<&'static str> = Some("1812");

        fn common(&self) -> &Common {
            &self.common
        }

        fn target(&self) -> String {
            self.target.to_string()
        }

        fn validate(&self) -> Result<(), String> {
            match self.target.hostname.as_str() {
                "nowhere" => Err("--hostname nowhere leads nowhere".into()),
                _ => Ok(()),
            }
        }
    }

    fn with(arguments: &str, run: impl AsyncFnOnce(&Fake, (), &Context) -> Report) -> Ending {
        let argv = ["/opt/check"].into_iter().chain(arguments.split_whitespace());
        let argv = argv.map(OsString::from).collect();
        conduct(argv, Instant::now(), None, |_: &Fake, _| Ok(()), run)
    }

    async fn rtt(_: &Fake, (): (), context: &Context) -> Report {
        let metric = Metric::seconds("echo_rtt", Duration::from_millis(231));
        Report::ok("fine").metric(metric.judged_by(&context.thresholds))
    }

    fn ending(text: &str, code: u8) -> Ending {
        Ending { text: text.into(), code }
    }

    #[test]
    fn definition_is_consistent() {
        command::<Fake>().debug_assert();
    }

    #[test]
    fn ok_without_thresholds() {
        let expected = ending("PPTP FAKE OK - fine | 'echo_rtt'=0.231000s\n", 0);
        assert_eq!(with("-H 192.0.2.1", rtt), expected);
    }

    #[test]
    fn warning_range_is_for_the_main_metric() {
        let expected = "PPTP FAKE WARNING - echo_rtt is 0.231 s, above 0.2 s [done/threshold]: \
                        look at the metric's graph and at the path | 'echo_rtt'=0.231000s;0.2\n";
        assert_eq!(with("-H 192.0.2.1 -w 0.2", rtt), ending(expected, 1));
    }

    #[test]
    fn misuse_is_one_line_with_status_3() {
        for (arguments, what) in [
            ("", "the following required arguments were not provided: --hostname <HOST>"),
            ("-H a --bad", "unexpected argument '--bad' found"),
            ("-H a -p", "a value is required for '--port <PORT>' but none was supplied"),
            ("-H a -w 5:1", "invalid value '5:1' for '--warning <RANGE>': start 5 is above end 1"),
            (
                "-H a -t 0",
                "invalid value '0' for '--timeout <SECS[:STATE]>': a run needs at least 1 ms",
            ),
            (
                "-H a --threshold rtt=1/2",
                "--threshold knows no metric 'rtt'; known are connect_time echo_rtt",
            ),
            ("-H a --password=hunter2", "unexpected argument '--password' found"),
            (
                "-H a -p hunter2",
                "--port takes a number from 1 to 65535, and no option a password itself",
            ),
            ("-H nowhere", "--hostname nowhere leads nowhere"),
            (
                "-H a --extra-opts=a@/nonexistent",
                "can't read config file '/nonexistent': No such file or directory",
            ),
        ] {
            let line = format!("PPTP FAKE UNKNOWN - {what} (see --help)\n");
            assert_eq!(with(arguments, rtt), ending(&line, 3), "{arguments}");
        }
    }

    #[test]
    fn misuse_has_the_output_that_was_asked_for() {
        let misused = |arguments: &str| with(&format!("-H a --bad {arguments}"), rtt);
        let Ending { text, code } = misused("-o zabbix");
        assert_eq!(code, 0);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["state"], "UNKNOWN");
        assert_eq!(json["headline"], "unexpected argument '--bad' found");
        let Ending { text, code } = misused("-vo json");
        assert_eq!(code, 3);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["phase"], &json["reason"]), (&"resolve".into(), &"local".into()));
        let Ending { text, code } = misused("--output=prometheus");
        assert_eq!(code, 3);
        let labels = r#"check="check_pptp_fake",target="""#;
        for line in [
            format!("pptp_probe_success{{{labels}}} 0\n"),
            format!("pptp_probe_failure{{{labels},phase=\"resolve\",reason=\"local\"}} 1\n"),
        ] {
            assert!(text.contains(&line), "{text}");
        }
        for arguments in ["-o xml", "-o zabbix -o", "-o"] {
            assert_eq!(misused(arguments).text.lines().count(), 1, "{arguments}");
        }
        assert_eq!(misused("-o xml").code, 3);
    }

    #[test]
    fn misuse_cannot_break_the_line() {
        let argv = ["check", "-H", "a", "-w", "1|2\n3"].map(OsString::from).to_vec();
        let Ending { text, code } = conduct(argv, Instant::now(), None, |_: &Fake, _| Ok(()), rtt);
        assert_eq!((text.lines().count(), text.contains('|'), code), (1, false, 3));
    }

    #[test]
    fn help_and_version_have_status_3() {
        let expected =
            format!("check_pptp_fake v{0} (pptp-monitor {0})\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(with("-V", rtt), ending(&expected, 3));
        let help = with("--help", rtt);
        assert_eq!(help.code, 3);
        for part in [
            "Alerts when",
            "check_pptp_fake -H 192.0.2.1",
            "--extra-opts",
            "[default: 1812]",
            "Warning range of the metric echo_rtt;",
            "Critical range of the metric echo_rtt;",
        ] {
            assert!(help.text.contains(part), "{part}: {}", help.text);
        }
    }

    #[test]
    fn preparation_that_fails_is_the_report() {
        let argv = ["check", "-H", "a"].map(OsString::from).to_vec();
        let prepare = |_: &Fake, _| -> Result<(), Report> {
            Err(Report::failed(Phase::Gre, Reason::Permission, "no raw socket").mend("run: x"))
        };
        assert_eq!(
            conduct(argv, Instant::now(), None, prepare, rtt),
            ending("PPTP FAKE UNKNOWN - no raw socket [gre/permission]: run: x\n", 3)
        );
    }

    #[test]
    fn a_run_that_does_not_end_is_ended_and_names_its_phase() {
        async fn never(_: &Fake, (): (), context: &Context) -> Report {
            context.enter(Phase::Lcp);
            std::future::pending().await
        }
        let expected = "PPTP FAKE WARNING - no result within 0.005 s, phase lcp did not end \
                        [lcp/silent]: check firewall, daemon and its free slots on the gateway\n";
        assert_eq!(with("-H a -t 5ms:warning", never), ending(expected, 1));
    }

    #[test]
    fn the_deadline_counts_from_the_start() {
        async fn deadline(_: &Fake, (): (), context: &Context) -> Report {
            assert_eq!(context.deadline, context.started + Duration::from_millis(2500));
            assert_eq!(context.verbosity, 3);
            Report::ok("yes")
        }
        assert_eq!(with("-H a -t 2.5 -vvvvv", deadline).code, 0);
    }

    #[test]
    fn zabbix_gets_status_0_for_a_failure() {
        async fn refused(_: &Fake, (): (), _: &Context) -> Report {
            Report::failed(Phase::Connect, Reason::Refused, "port closed")
        }
        let Ending { text, code } = with("-H a -o zabbix", refused);
        assert_eq!(code, 0);
        assert!(text.contains(r#""target":"a:1812","state":"CRITICAL""#), "{text}");
        assert_eq!(with("-H a -o json", refused).code, 2);
    }

    #[test]
    fn extra_options_give_way_to_the_command_line() {
        let name = format!("pptp-probe-plugin-{}.ini", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(
            &path,
            "[check_pptp_fake]\nhostname = a\nport = 1\nw = 0.3\n[n]\nextra-opts = x\n",
        )
        .unwrap();
        async fn target(args: &Fake, (): (), _: &Context) -> Report {
            Report::ok(format!("{} {}", args.target, args.common.warning.is_some()))
        }
        let ended = with(&format!("-p 2 --extra-opts=@{}", path.display()), target);
        let nested = with(&format!("-H a --extra-opts=n@{}", path.display()), target);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ended, ending("PPTP FAKE OK - a:2 true\n", 0));
        let line =
            "PPTP FAKE UNKNOWN - --extra-opts cannot stand in the file it names (see --help)\n";
        assert_eq!(nested, ending(line, 3));
    }

    #[test]
    fn nobody_reads_and_the_write_fails() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(write_once(writer.as_fd(), b"line\n").is_ok());
        drop(reader);
        assert!(write_once(writer.as_fd(), b"line\n").is_err());
        let full: OwnedFd =
            std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into();
        assert!(write_once(full.as_fd(), b"line\n").is_err());
    }
}
