//! The gateways that are looked at, as configured.

use std::time::{Instant, SystemTime};

use pptp_probe::gateway::kernel::Kernel;
use pptp_probe::gateway::session::Snapshot;
use pptp_probe::gateway::{Root, poptop};
use pptp_probe::wire::control::PORT;

use crate::collector::Look;
use crate::config::{Collect, Source};

/// What reads each of the sources that are wanted.
pub fn looks(config: &Collect) -> Vec<Box<dyn Look>> {
    let wanted = |source| config.sources.0.as_ref().is_none_or(|only| only.contains(&source));
    let mut looks: Vec<Box<dyn Look>> = Vec::new();
    if wanted(Source::Poptop) {
        looks.push(Box::new(Poptop { root: Root::new(&config.root) }));
    }
    looks
}

struct Poptop {
    root: Root,
}

impl Look for Poptop {
    fn source(&self) -> Source {
        Source::Poptop
    }

    fn look(&mut self, _: SystemTime, _: Instant) -> Snapshot {
        // pptpd cannot be told another port.
        poptop::collect(&self.root, &Kernel::read(&self.root, &[PORT]))
    }
}
