//! Who is probed and how: arguments and secrets, once for all targets that
//! have the same options.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pptp_probe::output::{Report, Thresholds};
use pptp_probe::plugin;
use pptp_probe::reason::{Phase, Reason};

use super::FleetArgs;
use super::list::{self, Entry, Mistake, Word};
use crate::run::Run;

/// In the place of a host where the options are read before there is one.
const NOBODY: &str = "host.invalid";

/// The options of one or many targets.
pub(super) struct Setting<C: Run> {
    pub(super) args: C,
    pub(super) thresholds: Thresholds,
    pub(super) secrets: Result<C::Secrets, Report>,
}

/// One target, or what is wrong with it.
pub(super) struct Target<C: Run> {
    /// What results are about: its name, else host and port.
    pub(super) label: String,
    /// As the list has it.
    pub(super) shown: String,
    /// The monitored host of Zabbix: its name, else its host.
    pub(super) monitored: String,
    pub(super) aim: Result<Aim<C>, String>,
}

/// Where a target is and how it is probed.
pub(super) struct Aim<C: Run> {
    host: String,
    port: Option<u16>,
    pub(super) setting: Arc<Setting<C>>,
}

impl<C: Run> Aim<C> {
    /// The check's arguments for it.
    pub(super) fn args(&self) -> C {
        let mut args = self.setting.args.clone();
        args.aim(&self.host, self.port);
        args
    }
}

/// Everything that one process does.
pub(super) struct Plan<C: Run> {
    /// The options of the command line.
    pub(super) base: Arc<Setting<C>>,
    pub(super) targets: Vec<Target<C>>,
    /// They come from a list, not from `--hostname`.
    pub(super) is_list: bool,
}

impl<C: Run> Plan<C> {
    /// The targets of a list; `base` are the arguments of all.
    ///
    /// # Errors
    /// A sentence for what is wrong with the command line. What is wrong with a
    /// target is its result.
    pub(super) fn of_list(
        text: &[u8],
        base: &[OsString],
        options: &FleetArgs,
        started: Instant,
    ) -> Result<Self, String> {
        let mut planner = Planner::<C> { base, options, started, settings: HashMap::new() };
        let list = list::read(text, &plugin::command::<C>());
        let defaults: Vec<Word> = list.defaults;
        let base = planner.setting(&[])?;
        if list.entries.is_empty() {
            return Err("the list has no target".into());
        }
        let mut seen = HashSet::new();
        let (mut targets, mut mistakes) = (Vec::with_capacity(list.entries.len()), Vec::new());
        for entry in list.entries {
            let Entry { at, shown, host, port, name, words } = match entry {
                Ok(entry) => entry,
                Err(mistake) => {
                    targets.push(wrong(mistake));
                    continue;
                }
            };
            let words: Vec<Word> = defaults.iter().cloned().chain(words).collect();
            let (setting, mistake) = match planner.setting(&words) {
                Ok(setting) => (setting, None),
                Err(what) => {
                    let at = blamed(&words, &what).unwrap_or(at);
                    (base.clone(), Some(Mistake { at, what }))
                }
            };
            let aim = Aim { host, port, setting };
            let args = aim.args();
            let label = name.clone().unwrap_or_else(|| args.target());
            let monitored = name.clone().unwrap_or_else(|| aim.host.clone());
            let mistake =
                mistake.or_else(|| args.validate().err().map(|what| Mistake { at, what }));
            if let Some(mistake) = mistake {
                mistakes.push((targets.len(), label, monitored));
                targets.push(Target { shown: name.unwrap_or(shown), ..wrong(mistake) });
            } else if seen.insert(label.clone()) {
                let shown = name.unwrap_or(shown);
                targets.push(Target { label, shown, monitored, aim: Ok(aim) });
            } else {
                let what = match &name {
                    Some(name) => format!("the name {name} stands there twice"),
                    None => format!("{shown} stands there twice; tell them apart by a name"),
                };
                targets.push(Target { shown, ..wrong(Mistake { at, what }) });
            }
        }
        // These keep their names too, so that their items and series say so, but
        // take none from a target that is probed.
        for (index, label, monitored) in mistakes {
            if seen.insert(label.clone()) {
                let target: &mut Target<C> = &mut targets[index];
                (target.label, target.monitored) = (label, monitored);
            }
        }
        Ok(Self { base, targets, is_list: true })
    }

    /// The host of the command line.
    ///
    /// # Errors
    /// A sentence for what is wrong with it.
    pub(super) fn of_host(
        base: &[OsString],
        options: &FleetArgs,
        started: Instant,
    ) -> Result<Self, String> {
        let (args, thresholds) = plugin::arguments::<C>(base)?;
        args.validate_addresses()?;
        let deadline = started + args.common().timeout().duration;
        let secrets = args.secrets(deadline);
        let host = args.gateway().host;
        let label = args.target();
        let base = Arc::new(Setting { args, thresholds, secrets });
        let aim = Aim { host: host.clone(), port: None, setting: base.clone() };
        let target = Target { label, shown: host.clone(), monitored: host, aim: Ok(aim) };
        debug_assert!(options.all_addresses);
        Ok(Self { base, targets: vec![target], is_list: false })
    }

    /// The most raw sockets that one session set needs.
    pub(super) fn raw_sockets(&self) -> usize {
        let aims = self.targets.iter().filter_map(|target| target.aim.as_ref().ok());
        aims.map(|aim| aim.setting.args.raw_sockets()).max().unwrap_or(0)
    }
}

struct Planner<'a, C: Run> {
    base: &'a [OsString],
    options: &'a FleetArgs,
    started: Instant,
    settings: HashMap<Vec<String>, Result<Arc<Setting<C>>, String>>,
}

impl<C: Run> Planner<'_, C> {
    /// The setting for these options behind those of the command line.
    fn setting(&mut self, words: &[Word]) -> Result<Arc<Setting<C>>, String> {
        let key: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
        if let Some(known) = self.settings.get(&key) {
            return known.clone();
        }
        let made = self.read(&key).map(Arc::new);
        self.settings.insert(key, made.clone());
        made
    }

    fn read(&self, words: &[String]) -> Result<Setting<C>, String> {
        let (program, base) = self.base.split_first().unzip();
        let host = ["--hostname", NOBODY].map(OsString::from);
        let words = words.iter().map(OsString::from);
        let argv: Vec<OsString> = program
            .into_iter()
            .cloned()
            .chain(host)
            .chain(base.unwrap_or_default().iter().cloned())
            .chain(words)
            .collect();
        let (args, thresholds) = plugin::arguments::<C>(&argv)?;
        if self.options.all_addresses {
            args.validate_addresses()?;
        }
        let takes_list_apart = self.options.targets.as_deref() == Some(Path::new("-"));
        let from_input = |word: &OsString| {
            let word = word.to_string_lossy();
            word == "-" || word.ends_with("-file=-") || word.ends_with("authfile=-")
        };
        if takes_list_apart && argv.iter().any(from_input) {
            return Err("standard input holds the targets, so it holds no secret".into());
        }
        let deadline = self.started + args.common().timeout().duration;
        let secrets = args.secrets(deadline);
        Ok(Setting { args, thresholds, secrets })
    }
}

/// The first word that a sentence about wrong arguments names.
fn blamed(words: &[Word], what: &str) -> Option<list::Place> {
    let named = |word: &&Word| {
        let (option, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
        let is_said = |part: &str, ends: &[char]| {
            part.len() > 1
                && what.match_indices(part).any(|(at, _)| {
                    let next = what[at + part.len()..].chars().next();
                    next.is_none_or(|next| ends.contains(&next))
                })
        };
        is_said(&format!("'{value}"), &['\'']) || is_said(option, &['\'', ' ', '=', '<'])
    };
    // The value first: a sentence about it names its option, too.
    let value = words
        .iter()
        .find(|word| !word.text.starts_with('-') && what.contains(&format!("'{}'", word.text)));
    // This sentence keeps the value and the letter to itself.
    let is_port = |word: &&Word| what.starts_with("--port ") && word.text.starts_with("-p");
    let found = value.or_else(|| words.iter().find(named));
    found.or_else(|| words.iter().find(is_port)).map(|word| word.at)
}

fn wrong<C: Run>(mistake: Mistake) -> Target<C> {
    let Mistake { at, what } = mistake;
    let label = format!("line {}, column {}", at.line, at.column);
    Target {
        shown: label.clone(),
        monitored: label.clone(),
        aim: Err(format!("line {}, column {}: {what}", at.line, at.column)),
        label,
    }
}

/// The result of a target with a mistake in it.
pub(super) fn mistaken(what: String) -> Report {
    Report::failed(Phase::Resolve, Reason::Local, what).mend("correct the list of targets")
}
