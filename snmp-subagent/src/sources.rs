//! The gateways that are looked at, as configured, and what the kernel says
//! meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::accel_ppp::{self, Access};
use pptp_probe::gateway::kernel::Kernel;
use pptp_probe::gateway::link::{Link, LinkEvent, LinkEvents};
use pptp_probe::gateway::session::Snapshot;
use pptp_probe::gateway::tracker::LinkChange;
use pptp_probe::gateway::{Root, poptop, pppd};

use crate::collector::Told;
use crate::config::{AccelPpp, Collect, Source};
use crate::log::{Level, Log};

/// Ports on which gateways listen.
const PORTS: &[u16] = &[1723];

/// Times that the kernel's word is asked for again in one run.
const MOST_ERRORS: u32 = 10;

/// Reads gateways.
pub struct Looks {
    root: Root,
    sources: Vec<Source>,
    accel_ppp: AccelPpp,
    conntrack: bool,
}

impl Looks {
    /// What reads the sources that are wanted.
    pub fn new(config: &Collect) -> Self {
        let all = [Source::Poptop, Source::AccelPpp, Source::Pppd];
        Self {
            root: Root::new(&config.root),
            sources: config.sources.0.clone().unwrap_or(all.to_vec()),
            accel_ppp: config.accel_ppp.clone(),
            conntrack: config.conntrack,
        }
    }

    /// Which there are.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Looks at each once; over at `deadline`.
    pub fn look(&self, wall: SystemTime, deadline: Instant) -> Vec<(Source, Snapshot)> {
        let kernel = Kernel::read(&self.root, PORTS, self.conntrack);
        let look = |source: &Source| {
            let snapshot = match source {
                Source::Poptop => poptop::collect(&self.root, &kernel),
                Source::AccelPpp => accel_ppp::collect(&self.access()?, wall, deadline),
                Source::Pppd => pppd::collect(&self.root, &kernel),
            };
            Some((*source, snapshot))
        };
        self.sources.iter().filter_map(look).collect()
    }

    /// How to reach accel-ppp: as we are configured, and where we are not, as
    /// it is itself.
    fn access(&self) -> Option<Access> {
        let found = accel_ppp::access(&self.root);
        let AccelPpp { address, password_file } = &self.accel_ppp;
        let address = address.or(found.as_ref().map(|found| found.address))?;
        let own = password_file.as_ref().map(|file| file.secret.clone());
        Some(match found {
            Some(found) => Access { address, password: own.or(found.password), ..found },
            None => Access { address, password: own, listen: None, maximum: None },
        })
    }
}

/// Tells what the kernel says of ppp interfaces, from a thread that ends when
/// nobody listens. Without the kernel's word short sessions may be missed.
///
/// # Errors
/// When no thread can be made.
pub fn watch_links(told: Sender<Told>, log: Arc<Log>) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("links".to_owned());
    builder.spawn(move || {
        let mut events = match LinkEvents::open() {
            Ok(events) => events,
            Err(error) => {
                let text = format!("the kernel does not tell of interfaces: {error}");
                return log.say(Level::Warning, "links", &text);
            }
        };
        let mut errors = 0;
        loop {
            let waited = events.wait(Duration::from_secs(3600));
            let batch = match waited {
                Ok(batch) => batch,
                Err(error) if errors < MOST_ERRORS => {
                    errors += 1;
                    log.say(Level::Warning, "links", &format!("lost the kernel's word: {error}"));
                    match LinkEvents::open() {
                        Ok(again) => events = again,
                        Err(error) => return log.say(Level::Error, "links", &over(&error)),
                    }
                    vec![LinkEvent::Overrun]
                }
                Err(error) => return log.say(Level::Error, "links", &over(&error)),
            };
            for event in batch {
                let told_now = match event {
                    LinkEvent::Up(link) => Told::Link(change(link, true, true)),
                    LinkEvent::Changed(link) => Told::Link(change(link, true, false)),
                    LinkEvent::Gone(link) => Told::Link(change(link, false, false)),
                    LinkEvent::Overrun => Told::Lost,
                };
                if told.send(told_now).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(())
}

fn over(error: &io::Error) -> String {
    format!(
        "the kernel tells no more of interfaces: {error}; restart, or short sessions are missed"
    )
}

fn change(link: Link, there: bool, begins: bool) -> LinkChange {
    LinkChange {
        if_index: link.index,
        if_name: link.name,
        there,
        begins,
        assigned: link.addresses.and_then(|addresses| addresses.peer),
        traffic: Some(link.traffic),
    }
}
