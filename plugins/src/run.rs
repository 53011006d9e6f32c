//! How a check is run: as the process that its name says, against one gateway
//! or many, or as part of a program that runs it again and again.

use std::ffi::OsString;
use std::io;
use std::time::Instant;

use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::Report;
use pptp_probe::plugin::{self, Check, Context};
use pptp_probe::probe::Gateway;

use crate::{fleet, session};

/// A check that can be run.
pub trait Run: Check + Clone + Send + Sync + 'static {
    /// What it knows that nobody else shall.
    type Secrets: Clone + Send + Sync + 'static;
    /// The sockets that need a right to be opened.
    type Socket: 'static;
    /// What it saw.
    type Seen;

    /// Reads the secrets, for which it may wait until `deadline`.
    ///
    /// # Errors
    /// The report of a run without them.
    fn secrets(&self, deadline: Instant) -> Result<Self::Secrets, Report>;

    /// How many raw sockets it needs.
    fn raw_sockets(&self) -> usize {
        0
    }

    /// Takes that many from `open`.
    ///
    /// # Errors
    /// That of `open`.
    fn sockets(&self, open: impl FnMut() -> Result<RawGre, Report>)
    -> Result<Self::Socket, Report>;

    /// Opens the sockets.
    ///
    /// # Errors
    /// The report of a run without them.
    fn socket(&self) -> Result<Self::Socket, Report> {
        self.sockets(session::raw_socket)
    }

    /// Points the arguments at another host, and another port if there is one.
    fn aim(&mut self, host: &str, port: Option<u16>);

    /// The host, or the first of several.
    fn gateway(&self) -> Gateway;

    /// Whether every address of the host can be probed by itself.
    ///
    /// # Errors
    /// A sentence that names what is in the way.
    fn validate_addresses(&self) -> Result<(), String> {
        Ok(())
    }

    /// One run: what was seen, and the verdict.
    fn run(
        &self,
        secrets: Self::Secrets,
        socket: Self::Socket,
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> impl Future<Output = (Self::Seen, Report)>;
}

/// Runs a check with these arguments, the program's name first, and leaves the
/// process.
pub(crate) fn main<C: Run>(argv: Vec<OsString>) -> ! {
    plugin::main_or_many(
        argv,
        fleet::many::<C>(),
        |args: &C, deadline| {
            // Read while the rights that may be needed for the files are there.
            let secrets = args.secrets(deadline)?;
            let capture = session::capture(args.common())?;
            let socket = args.socket()?;
            session::give_up_rights()?;
            Ok((secrets, capture, socket))
        },
        async |args: &C, (secrets, capture, socket), context: &Context| {
            let mut tap = Tap::new(context.started, context.verbosity, capture);
            let (_, report) = args.run(secrets, socket, Interrupt::new(), &mut tap, context).await;
            let lines = tap.into_lines().into_iter();
            lines.fold(report, |report, (level, line)| report.detail(level, line))
        },
    )
}
