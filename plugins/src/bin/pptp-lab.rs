//! A PPTP gateway in one process, with faults that can be switched on.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use pptp_plugins::lab::cli::{Action, Cli, Ctl, Demo, Run, Serve};
use pptp_plugins::lab::command::MAX_LINE;
use pptp_plugins::lab::config::{Config, Settings};
use pptp_plugins::lab::demo;
use pptp_plugins::lab::faults::{self, Faults};
use pptp_plugins::lab::namespace;
use pptp_plugins::lab::server::{ControlSocket, Lab, RawSockets};
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::privilege;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// Exit status for what is the lab's own failure.
const FAILURE: u8 = 3;
/// How long a command is given to end after it was asked to.
const CHILD_GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Under a check's name this is that check: the demonstration needs no other
    // binary than this one.
    let argv: Vec<OsString> = std::env::args_os().collect();
    match argv.first().and_then(|name| demo::check_name(name)) {
        Some("check_pptp_control") => pptp_plugins::check_pptp_control::main(argv),
        Some("check_pptp_gre") => pptp_plugins::check_pptp_gre::main(argv),
        Some("check_pptp_auth") => pptp_plugins::check_pptp_auth::main(argv),
        Some("check_pptp_tunnel") => pptp_plugins::check_pptp_tunnel::main(argv),
        Some("check_radius") => pptp_plugins::check_radius::main(argv),
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.action {
        Action::Serve(args) => serve(args),
        Action::Run(args) => run(args),
        Action::Ctl(args) => ctl(args),
        Action::Demo(args) => demonstrate(&args),
        Action::Faults => print(faults::table()).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "pptp-lab: {error}");
        ExitCode::from(FAILURE)
    })
}

/// Help and version are what was asked for; anything else is one line.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match print(text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(FAILURE),
        };
    }
    let said = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = said.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let line = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "say demo, serve, run, ctl or faults"
        }
        _ => &line,
    };
    let _ = writeln!(io::stderr(), "pptp-lab: {line} (see --help)");
    ExitCode::from(FAILURE)
}

fn print(text: String) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn settle(settings: Settings, file: Option<&Path>) -> Result<(Config, Faults), String> {
    let settings = match file {
        Some(path) => settings.or(Settings::from_file(path)?),
        None => settings,
    };
    let config = Config::new(&settings)?;
    Ok((config, settings.fault.into_iter().collect()))
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| format!("the event loop did not start: {error}"))
}

fn serve(args: Serve) -> Result<ExitCode, String> {
    let (config, faults) = settle(args.settings, args.config.as_deref())?;
    let place = match args.namespace {
        true => where_words(namespace::enter()?),
        false => String::new(),
    };
    let sockets = RawSockets::open(config.listen)?;
    privilege::drop_all().map_err(|error| format!("rights cannot be given up: {error}"))?;
    let runtime = runtime()?;
    let served = LocalSet::new().block_on(&runtime, async {
        let mut interrupt = Interrupt::new().map_err(|error| format!("signals: {error}"))?;
        let (lab, listener) = Lab::new(config, Rc::new(faults.into()), sockets, args.log)?;
        let control = args.control.as_deref().map(ControlSocket::bind).transpose()?;
        if let Some(control) = control {
            let lab = lab.clone();
            tokio::task::spawn_local(async move { lab.obey_socket(control).await });
        }
        if let Some(lines) = standard_input() {
            let lab = lab.clone();
            tokio::task::spawn_local(async move { lab.obey_lines(lines).await });
        }
        let (address, radius) = (lab.address(), lab.radius_address().port());
        print(format!("listening on {address}, RADIUS on port {radius}{place}\n"))?;
        lab.run(listener, interrupt.wait()).await
    });
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

/// How another shell gets into the namespace.
fn where_words(user_namespace: bool) -> String {
    let user = if user_namespace { " -U --preserve-credentials" } else { "" };
    format!(" in a namespace of its own: nsenter -t {} -n{user}", std::process::id())
}

/// Lines of standard input, where it is a terminal or a pipe.
fn standard_input() -> Option<mpsc::Receiver<String>> {
    let is_pipe =
        std::fs::metadata("/proc/self/fd/0").is_ok_and(|about| about.file_type().is_fifo());
    if !is_pipe && !io::stdin().is_terminal() {
        return None;
    }
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        // In the background of a terminal, reading fails instead of stopping us.
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTTIN);
        let _ = signals.thread_block();
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let limited = &mut (&mut input).take(MAX_LINE as u64);
            match limited.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                        return;
                    }
                }
            }
        }
    });
    Some(receiver)
}

fn run(args: Run) -> Result<ExitCode, String> {
    let (config, faults) = settle(args.settings, args.config.as_deref())?;
    namespace::enter()?;
    let sockets = RawSockets::open(config.listen)?;
    let path = std::env::temp_dir().join(format!("pptp-lab-{}.sock", std::process::id()));
    let runtime = runtime()?;
    let status = LocalSet::new().block_on(&runtime, async {
        let user = config.users.first().cloned();
        let inner = config.inner;
        let secret = config.radius_secret.clone();
        let (lab, listener) = Lab::new(config, Rc::new(faults.into()), sockets, args.log)?;
        let control = ControlSocket::bind(&path)?;
        let mut command = Command::new(&args.command[0]);
        command
            .args(&args.command[1..])
            .env("LAB_ADDRESS", lab.address().ip().to_string())
            .env("LAB_PORT", lab.address().port().to_string())
            .env("LAB_INNER", inner.to_string())
            .env("LAB_CONTROL", &path)
            .env("LAB_RADIUS_PORT", lab.radius_address().port().to_string())
            .env("LAB_RADIUS_SECRET", secret);
        if let Some(user) = user {
            command.env("LAB_USER", user.name).env("LAB_PASSWORD", user.password);
        }
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let name = args.command[0].to_string_lossy().into_owned();
                return Err(format!("cannot run {name}: {error}"));
            }
        };
        // After the command was started: it would inherit what is blocked here.
        let mut interrupt = Interrupt::new().map_err(|error| format!("signals: {error}"))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let (sender, mut ended) = mpsc::channel(1);
        std::thread::spawn(move || wait_for(child, &sender));
        let obeying = lab.clone();
        tokio::task::spawn_local(async move { obeying.obey_socket(control).await });
        let mut status = None;
        lab.run(listener, async {
            tokio::select! {
                ended = ended.recv() => status = ended,
                () = interrupt.wait() => {
                    let _ = kill(pid, Signal::SIGTERM);
                    status = tokio::time::timeout(CHILD_GRACE, ended.recv()).await.ok().flatten();
                    if status.is_none() {
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                }
            }
        })
        .await?;
        if status.is_none() {
            status = ended.recv().await;
        }
        status.ok_or_else(|| "the command's end was missed".to_string())
    });
    runtime.shutdown_background();
    let status = status?;
    let code =
        status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(FAILURE.into());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(FAILURE)))
}

/// The demonstration is the command of a lab that runs around it.
fn demonstrate(args: &Demo) -> Result<ExitCode, String> {
    if args.inside {
        let path = std::env::var_os("LAB_CONTROL").ok_or("--inside is for 'pptp-lab run'")?;
        return demo::play(Path::new(&path)).map(|()| ExitCode::SUCCESS);
    }
    let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let command = vec![program.into_os_string(), "demo".into(), "--inside".into()];
    run(Run { settings: Settings::default(), config: None, log: false, command })
}

fn wait_for(mut child: Child, sender: &mpsc::Sender<ExitStatus>) {
    if let Ok(status) = child.wait() {
        let _ = sender.blocking_send(status);
    }
}

fn ctl(args: Ctl) -> Result<ExitCode, String> {
    let path = args.control.or_else(|| std::env::var_os("LAB_CONTROL").map(PathBuf::from));
    let path = path.ok_or("say with --control which lab is meant")?;
    let exchange = || -> io::Result<String> {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        writeln!(stream, "{}", args.words.join(" "))?;
        let mut answer = String::new();
        stream.take(1 << 20).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| format!("{}: {error}", path.display()))?;
    match answer.split_once('\n') {
        Some(("ok", text)) => print(text.to_string()).map(|()| ExitCode::SUCCESS),
        Some(("error", text)) => Err(text.trim_end().to_string()),
        _ => Err(format!("{}: not a lab's answer", path.display())),
    }
}
