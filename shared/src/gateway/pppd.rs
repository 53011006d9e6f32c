//! Plain pppd: the ppp interfaces of pppds that no pptpctrl started, and what
//! a pppd says of its session, which poptop uses too.
//!
//! A row of plain pppd is one running pppd of root, whichever end called and
//! over whatever it runs: pptp-linux, L2TP, a modem. So it tells of the other
//! end what the other tables tell of a caller: `user` is the name that the
//! other end proved to this one, never the name that this end used; `assigned`
//! is the address of the other end, even where it gave the addresses; `in` is
//! what came from it. `peer` is where the other end is reached, if pppd was
//! told so in a place that is for nothing else: `remotenumber`, or the gateway
//! in `pty "pptp ADDRESS ..."`. `ipparam` is any text for scripts, and does
//! not count. `start` is that of the process, which `persist` outlives calls.
//!
//! accel-ppp has no pppd. One whose pptpctrl died is plain from then on.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::database::{Variables, owners};
use super::kernel::Kernel;
use super::options::{Files, Required, Settings, required};
use super::proc::{Process, boot_time, processes, wall_clock};
use super::session::{
    AuthMethod, Key, Kind, OperStatus, Server, Session, Snapshot, Source, SourceState, State,
};
use super::wtmp::Login;
use super::{Root, database, wtmp};

/// Reads everything below `root` once. There is no daemon: the server stands
/// for all of them, and is there when one is.
pub fn collect(root: &Root, kernel: &Kernel) -> Snapshot {
    let listed = processes(root, &[b"pptpctrl", b"pppd"]);
    let mut sources = vec![Source::needed("process table /proc", SourceState::of(&listed))];
    let listed = listed.unwrap_or_default();
    let mut pppds = Pppds::read(root, kernel);
    let is_plain = |process: &&Process| {
        // pppd has helpers of its own name.
        process.comm == b"pppd" && listed.iter().all(|parent| parent.pid != process.parent)
    };
    let plain: Vec<_> = listed.iter().filter(is_plain).collect();
    let mut sessions: Vec<_> = plain
        .iter()
        .map(|pppd| {
            let settings = pppds.settings(pppd);
            let peer = settings.as_ref().and_then(other_end);
            let key = Key::process(pppd.pid, pppd.start_ticks);
            pppds.session(key, pppd, settings, peer)
        })
        .collect();
    sessions.sort_by_key(|session| session.key);
    sources.extend(pppds.sources);
    let server = plain.first().map(|_| Server {
        memory: Some(plain.iter().filter_map(|pppd| pppd.memory).sum()),
        ..Server::new(Kind::Pppd, OperStatus::Up)
    });
    Snapshot { server, sessions, sources }
}

/// What is kept of all pppds, read once.
pub(super) struct Pppds<'a> {
    root: &'a Root,
    kernel: &'a Kernel,
    files: Files<'a>,
    boot: Option<SystemTime>,
    variables: HashMap<u32, Variables>,
    owners: HashMap<Box<[u8]>, u32>,
    logins: HashMap<u32, Login>,
    /// How reading went.
    pub(super) sources: Vec<Source>,
}

impl<'a> Pppds<'a> {
    pub(super) fn read(root: &'a Root, kernel: &'a Kernel) -> Self {
        let (variables, database) = database::read(root);
        let (logins, [wtmp, utmp]) = wtmp::read(root);
        Self {
            root,
            kernel,
            files: Files::new(root),
            boot: boot_time(root),
            variables,
            owners: owners(root),
            logins,
            sources: vec![database, wtmp, utmp],
        }
    }

    /// When a process was started.
    pub(super) fn start(&self, process: &Process) -> Option<SystemTime> {
        wall_clock(self.boot, process.start_ticks)
    }

    /// The options of a pptpd that was started with this command line.
    pub(super) fn pptpd(&mut self, daemon: &Process) -> Option<Settings> {
        let settings = self.files.pptpd(&daemon.title);
        self.still_true(daemon, settings, "pptpd's options")
    }

    /// The options of a pppd, if they are those it was started with.
    pub(super) fn settings(&mut self, pppd: &Process) -> Option<Settings> {
        if pppd.user != 0 {
            return None;
        }
        let settings = self.files.pppd(&pppd.title);
        self.still_true(pppd, settings, "pppd's options")
    }

    /// The session of a pppd. `peer` is where its caller comes from, if that
    /// is known: a login from elsewhere is not its.
    pub(super) fn session(
        &self,
        key: Key,
        pppd: &Process,
        settings: Option<Settings>,
        peer: Option<Ipv4Addr>,
    ) -> Session {
        let start = self.start(pppd);
        let variables = self.variables.get(&pppd.pid).filter(|variables| {
            // Else they were left behind by a pppd of the same number.
            let owner = variables.if_name.as_ref().and_then(|name| self.owners.get(name));
            owner.is_none_or(|owner| *owner == pppd.pid)
        });
        let owned = || self.owners.iter().find(|(_, owner)| **owner == pppd.pid);
        let if_name = match variables {
            Some(variables) => variables.if_name.clone(),
            None => owned().map(|(name, _)| name.clone()),
        };
        let login = self.logins.get(&pppd.pid).filter(|login| {
            // A login has its second, a start the hundredth.
            start.is_some_and(|start| start < login.time + Duration::from_secs(1))
                && if_name.as_ref().is_none_or(|name| *name == login.if_name)
                && (peer.is_none() || login.peer.is_none() || peer == login.peer)
        });
        let state = match (variables, login) {
            (Some(Variables { ended: true, .. }), _) => State::Closing,
            (Some(Variables { assigned: Some(_), .. }), _) => State::Open,
            (Some(Variables { user: Some(_), .. }), _) => State::Ipcp,
            (Some(_), _) => State::Lcp,
            (None, Some(Login { peer: Some(_), .. })) => State::Open,
            (None, Some(_)) => State::Closing,
            (None, None) => State::Unknown,
        };
        // What the database tells is whole; a login may lack the domain.
        let (user, assigned) = match (variables, login) {
            (Some(variables), _) => (variables.user.clone(), variables.assigned),
            (None, Some(login)) => (login.user.clone(), login.assigned),
            (None, None) => (None, None),
        };
        let if_name = if_name.or_else(|| Some(login?.if_name.clone()));
        let link = if_name.as_deref().and_then(|name| self.kernel.links.get(name));
        let mut required = match (state, variables, settings) {
            (State::Open, Some(variables), Some(settings)) if !self.has_options(variables) => {
                required(&settings)
            }
            _ => Required::default(),
        };
        // Only who has to prove a name has one.
        let proved = required.auth_method.map(|method| method != AuthMethod::None);
        if proved.is_some_and(|proved| proved != user.is_some()) {
            required = Required::default();
        }
        Session {
            state,
            start,
            user,
            peer: peer.or_else(|| login?.peer),
            assigned,
            if_name,
            if_index: link.map(|link| link.index),
            mtu: link.map(|link| link.mtu),
            traffic: link.map(|link| link.traffic),
            auth_method: required.auth_method,
            encryption: required.encryption,
            stateless: required.stateless,
            local_mru: required.mru,
            remote_mru: required.mru,
            ..Session::new(key)
        }
    }

    fn still_true(
        &mut self,
        process: &Process,
        settings: Settings,
        name: &str,
    ) -> Option<Settings> {
        let state = match &settings.trouble {
            None => SourceState::Ok,
            Some(trouble) => SourceState::Unreadable(trouble.clone()),
        };
        match self.sources.iter_mut().find(|source| source.name == name) {
            Some(source) if state != SourceState::Ok => source.state = state,
            Some(_) => {}
            None => self.sources.push(Source::extra(name, state)),
        }
        let start = self.start(process)?;
        settings.written.is_none_or(|written| written <= start).then_some(settings)
    }

    /// Whether there is a file of options for the terminal of a pppd.
    fn has_options(&self, variables: &Variables) -> bool {
        let device = variables.device.as_deref().and_then(|device| device.strip_prefix(b"/dev/"));
        let device = device.map(|device| String::from_utf8_lossy(device).replace('/', "."));
        device.is_some_and(|device| self.root.path(format!("etc/ppp/options.{device}")).exists())
    }
}

/// Where a pppd reaches the other end.
fn other_end(settings: &Settings) -> Option<Ipv4Addr> {
    if settings.trouble.is_some() {
        return None;
    }
    let last = |name: &[u8]| settings.list.iter().rfind(|setting| *setting.name == *name);
    let text = |name| std::str::from_utf8(last(name)?.arguments.first()?).ok();
    let number = text(b"remotenumber").and_then(|number| number.parse().ok());
    number.or_else(|| {
        let mut words = text(b"pty")?.split_ascii_whitespace();
        let program = words.next()?;
        if program.rsplit('/').next() != Some("pptp") {
            return None;
        }
        words.next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::super::session::{Encryption, Traffic};
    use super::*;

    fn look(root: &Root) -> Snapshot {
        collect(root, &Kernel::read(root, &[], true))
    }

    #[test]
    fn dialled_interfaces_tell_of_the_other_end() {
        let scratch = Scratch::of("plain-pppd");
        let seen = look(&scratch.root());
        assert_eq!(
            seen.server.map(|server| (server.kind, server.status)),
            Some((Kind::Pppd, OperStatus::Up))
        );
        assert_eq!(seen.sessions.len(), 2);
        for session in &seen.sessions {
            assert_eq!(session.state, State::Open);
            assert_eq!(session.user, None);
            assert_eq!(session.peer, Some(Ipv4Addr::new(10, 77, 0, 2)));
            assert_eq!(session.assigned, Some(Ipv4Addr::new(192, 168, 77, 1)));
            assert_eq!(session.auth_method, Some(AuthMethod::None));
            assert_eq!(session.encryption, Some(Encryption::Mppe128));
            assert_eq!(session.stateless, Some(true));
            assert!(session.traffic.is_some_and(|traffic| traffic != Traffic::default()));
        }
        assert_eq!(seen.sessions[0].if_name.as_deref(), Some(&b"ppp0"[..]));
        assert_eq!(seen.sessions[1].if_name.as_deref(), Some(&b"ppp1"[..]));
    }

    #[test]
    fn callers_of_poptop_are_not_plain() {
        for situation in ["poptop-two-sessions", "poptop-starting", "poptop-idle"] {
            let seen = look(&Scratch::of(situation).root());
            assert!(seen.sessions.is_empty() && seen.server.is_none(), "{situation}");
        }
    }

    #[test]
    fn without_a_database_pid_file_and_login_tell() {
        let scratch = Scratch::of("poptop-two-sessions");
        scratch.remove("run/pppd2.tdb");
        let root = scratch.root();
        let listed = processes(&root, &[b"pppd"]).unwrap();
        let kernel = Kernel::read(&root, &[], true);
        let pppds = Pppds::read(&root, &kernel);
        let session =
            |peer| pppds.session(Key::counted(1), &listed[0], None, Some(Ipv4Addr::from(peer)));
        let whole = session([10, 77, 0, 3]);
        assert_eq!(whole.state, State::Open);
        assert_eq!(whole.user.as_deref(), Some(&b"probe"[..]));
        assert_eq!(whole.assigned, Some(Ipv4Addr::new(192, 168, 77, 10)));
        assert_eq!(whole.if_name.as_deref(), Some(&b"ppp0"[..]));
        let elsewhere = session([10, 77, 0, 9]);
        assert_eq!((elsewhere.state, elsewhere.user), (State::Unknown, None));
    }

    #[test]
    fn login_before_the_process_is_of_another() {
        let scratch = Scratch::of("poptop-two-sessions");
        scratch.remove("run/pppd2.tdb");
        scratch.remove("run/utmp");
        scratch.change("var/log/wtmp", |file| {
            file[340..344].copy_from_slice(&86_400_u32.to_ne_bytes());
        });
        let root = scratch.root();
        let listed = processes(&root, &[b"pppd"]).unwrap();
        let kernel = Kernel::read(&root, &[], true);
        let pppds = Pppds::read(&root, &kernel);
        let seen = pppds.session(Key::counted(1), &listed[0], None, None);
        assert_eq!((seen.state, seen.user, seen.peer), (State::Unknown, None, None));
    }

    #[test]
    fn interface_of_another_pppd_is_not_joined() {
        let scratch = Scratch::of("plain-pppd");
        scratch.change("run/ppp0.pid", |file| *file = b"1\n".to_vec());
        let seen = look(&scratch.root());
        assert_eq!(seen.sessions[0].state, State::Unknown);
        assert_eq!(seen.sessions[0].if_name, None);
        assert_eq!(seen.sessions[0].traffic, None);
        assert_eq!(seen.sessions[1].state, State::Open);
    }

    #[test]
    fn options_younger_than_the_process_tell_nothing() {
        let scratch = Scratch::of("plain-pppd");
        scratch.date("etc/ppp/options", SystemTime::now() + Duration::from_secs(3600 * 24 * 3650));
        let seen = look(&scratch.root());
        assert_eq!(seen.sessions[0].encryption, None);
        assert_eq!(seen.sessions[0].peer, None);
        assert_eq!(seen.sessions[0].state, State::Open);
    }

    #[test]
    fn options_that_the_session_contradicts_tell_nothing() {
        let scratch = Scratch::of("plain-pppd");
        let pid = processes(&scratch.root(), &[b"pppd"]).unwrap()[0].pid;
        let title = format!("proc/{pid}/cmdline");
        scratch.change(&title, |title| title.extend(b"require-mschap-v2\0"));
        let seen = look(&scratch.root());
        assert_eq!(seen.sessions[0].auth_method, None);
        assert_eq!(seen.sessions[0].encryption, None);
        assert_eq!(seen.sessions[1].auth_method, Some(AuthMethod::None));
    }

    #[test]
    fn only_an_address_given_for_it_is_the_other_end() {
        for (line, peer) in [
            ("remotenumber 10.0.0.9", Some([10, 0, 0, 9])),
            ("remotenumber 10.0.0.9 remotenumber 10.0.0.8", Some([10, 0, 0, 8])),
            ("remotenumber +49301234", None),
            ("ipparam 10.0.0.9", None),
            ("pty \"/usr/sbin/pptp 10.0.0.7 --nolaunchpppd\"", Some([10, 0, 0, 7])),
            ("pty 'pptp gateway.example --nolaunchpppd'", None),
            ("pty 'ssh 10.0.0.7 pppd'", None),
            ("connect 'remotenumber 10.0.0.9'", None),
        ] {
            let scratch = Scratch::of("plain-pppd");
            scratch.change("etc/ppp/options", |file| *file = line.as_bytes().to_vec());
            let root = scratch.root();
            let settings = Files::new(&root).pppd(b"pppd\0");
            assert_eq!(other_end(&settings), peer.map(Ipv4Addr::from), "{line}");
        }
    }
}
