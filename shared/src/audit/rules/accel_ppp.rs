//! The options of accel-ppp as it takes them: the first one of a name in its
//! section, numbers as atoi(3) has them (accel-ppp.conf(5)).

use super::pppd::{edit, quoted};
use crate::audit::facts::{AccelOption, AccelPpp};
use crate::audit::finding::Objection;
use crate::audit::known::Unread;
use crate::gateway::options::leading_number;
use crate::output::escape;

/// accel-ppp, all of whose options are known.
pub(in crate::audit) struct Accel<'a> {
    options: &'a [AccelOption],
}

impl<'a> Accel<'a> {
    /// # Errors
    /// Options that could not all be read: another one may stand there.
    pub(in crate::audit) fn new(accel: &'a AccelPpp) -> Result<Self, Objection> {
        match &accel.trouble {
            Some(trouble) => Err(Objection::Unread(Unread {
                what: "options of accel-ppp".to_owned(),
                why: trouble.clone(),
                mend: "run as root, or mend what it names".to_owned(),
            })),
            None => Ok(Self { options: &accel.options }),
        }
    }

    /// Every option of a section.
    pub(super) fn section(&self, section: &str) -> impl Iterator<Item = &'a AccelOption> {
        self.options.iter().filter(move |option| *option.section == *section.as_bytes())
    }

    /// The option that counts.
    pub(super) fn option(&self, section: &str, name: &str) -> Option<&'a AccelOption> {
        self.section(section).find(|option| *option.name == *name.as_bytes())
    }

    /// Its value; empty where there is none.
    pub(super) fn value(&self, section: &str, name: &str) -> &'a [u8] {
        self.option(section, name).and_then(|option| option.value.as_deref()).unwrap_or_default()
    }

    /// Its number, where it is above 0.
    pub(super) fn number(&self, section: &str, name: &str) -> Option<u32> {
        leading_number(self.value(section, name)).filter(|number| *number > 0)
    }

    /// The command that sets an option and lets accel-ppp read it.
    pub(super) fn set(&self, section: &str, name: &str, value: &str) -> String {
        let option = format!("{name}={value}");
        let anywhere = self.options.first();
        let file = anywhere.map_or(&b"/etc/accel-ppp.conf"[..], |option| &option.file);
        let command = match (self.option(section, name), self.section(section).next()) {
            (Some(old), _) => edit(old.line, ".*", &option, &old.file),
            (None, Some(other)) => {
                format!("sed -i '/^\\[{section}\\]/a {option}' {}", quoted(&other.file))
            }
            (None, None) => format!("printf '[{section}]\\n{option}\\n' >> {}", quoted(file)),
        };
        format!("{command} && accel-cmd reload")
    }

    /// The command that comments an option out. A module needs a restart.
    pub(super) fn remove(&self, option: &AccelOption) -> String {
        edit(option.line, "^", "#", &option.file)
    }
}

/// An option and where it stands: `mppe=allow (/etc/accel-ppp.conf:12)`.
pub(super) fn shown(option: &AccelOption) -> String {
    let value = option.value.as_deref().map(|value| format!("={}", escape(value)));
    let (name, value) = (escape(&option.name), value.unwrap_or_default());
    format!("{name}{value} ({}:{})", escape(&option.file), option.line)
}
