//! The options of pptpd and of the pppd that it starts for a call, as both
//! take them: pptpd the first line of a keyword, pppd the last word of an
//! option (pptpd.conf(5), pppd(8)).

use crate::audit::facts::Poptop;
use crate::audit::finding::Objection;
use crate::audit::known::Unread;
use crate::gateway::options::{Demanded, Setting, demanded, first};
use crate::output::escape;

/// pptpd and its pppd, all of whose options are known.
pub(in crate::audit) struct Pppd<'a> {
    poptop: &'a Poptop,
}

impl<'a> Pppd<'a> {
    /// # Errors
    /// Options that could not all be read: another one may stand there.
    pub(in crate::audit) fn new(poptop: &'a Poptop) -> Result<Self, Objection> {
        for (program, settings) in [("pptpd", &poptop.pptpd), ("pppd", &poptop.pppd)] {
            if let Some(trouble) = &settings.trouble {
                return Err(Objection::Unread(Unread {
                    what: format!("options of {program}"),
                    why: trouble.clone(),
                    mend: "run as root, or mend what it names".to_owned(),
                }));
            }
        }
        Ok(Self { poptop })
    }

    /// What pptpd and its callers' address pool are.
    pub(super) fn poptop(&self) -> &'a Poptop {
        self.poptop
    }

    /// What is demanded of callers.
    pub(super) fn demanded(&self) -> Demanded {
        demanded(&self.poptop.pppd)
    }

    /// Every setting of pppd under one of these names.
    pub(super) fn all(&self, names: &[&str]) -> impl DoubleEndedIterator<Item = &'a Setting> {
        let list = self.poptop.pppd.list.iter();
        list.filter(move |setting| names.iter().any(|name| *setting.name == *name.as_bytes()))
    }

    /// The setting of pppd that counts among those under these names.
    pub(super) fn last(&self, names: &[&str]) -> Option<&'a Setting> {
        self.all(names).next_back()
    }

    /// The number that an option has, where it has one above 0, and where it
    /// stands; pppd takes 0 for "not set".
    pub(super) fn number(&self, name: &str) -> Option<(u32, &'a Setting)> {
        let setting = self.last(&[name])?;
        let number = std::str::from_utf8(setting.value()).ok()?.parse().ok()?;
        (number > 0).then_some((number, setting))
    }

    /// The command that sets an option: in its place where it stands already,
    /// else at the end of the file that pptpd gives to pppd.
    pub(super) fn set(&self, name: &str, value: &str) -> String {
        let option = if value.is_empty() { name.to_owned() } else { format!("{name} {value}") };
        let old = self.last(&[name]).filter(|_| !value.is_empty());
        match old.and_then(|setting| Some((setting.line, setting.file.as_deref()?))) {
            Some((line, file)) => edit(
                line,
                &format!("\\b{name}[[:space:]]+[^[:space:]]+"),
                &option,
                file.as_os_str().as_encoded_bytes(),
            ),
            None => format!("echo '{option}' >> {}", quoted(self.file())),
        }
    }

    /// The command that removes an option; none where it stands on a command
    /// line.
    pub(super) fn remove(&self, setting: &Setting) -> String {
        let Some(file) = setting.file.as_deref() else { return String::new() };
        let argument = if setting.arguments.is_empty() { "" } else { "[[:space:]]+[^[:space:]]+" };
        let name = escape(&setting.name).replace('+', "[+]");
        // A word boundary cannot stand before a sign.
        let from = if name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            format!("\\b{name}{argument}")
        } else {
            format!("{name}{argument}")
        };
        edit(setting.line, &from, "", file.as_os_str().as_encoded_bytes())
    }

    /// The file that pptpd gives to pppd, or the one that every pppd reads.
    fn file(&self) -> &'a [u8] {
        first(&self.poptop.pptpd, b"option").unwrap_or(b"/etc/ppp/options")
    }
}

/// A setting and where it stands: `mtu 1500 (/etc/ppp/options.pptpd:12)`.
pub(super) fn shown(setting: &Setting) -> String {
    let mut text = escape(&setting.name);
    for argument in &setting.arguments {
        text.push(' ');
        text.push_str(&escape(argument));
    }
    match &setting.file {
        Some(file) => {
            let file = escape(file.as_os_str().as_encoded_bytes());
            format!("{text} ({file}:{})", setting.line)
        }
        None => format!("{text} (command line)"),
    }
}

/// The command that replaces text in one line of a file.
pub(super) fn edit(line: u32, from: &str, to: &str, file: &[u8]) -> String {
    format!("sed -i -E '{line}s/{from}/{to}/' {}", quoted(file))
}

/// A path as a word of a shell; what is not harmless in one is not repeated.
pub(super) fn quoted(path: &[u8]) -> String {
    let harmless = |octet: &u8| octet.is_ascii_alphanumeric() || b"/._-+".contains(octet);
    match std::str::from_utf8(path) {
        Ok(text) if path.iter().all(harmless) => text.to_owned(),
        _ => "FILE".to_owned(),
    }
}
