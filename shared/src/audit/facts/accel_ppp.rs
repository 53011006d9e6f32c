//! accel-ppp's configuration, with what it includes.
//!
//! The file is what the running daemon was started with (`-c`), else
//! `/etc/accel-ppp.conf`. A section goes on through included files. Options in
//! braces belong to another option and are left out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::poptop::MASK;
use crate::gateway::Root;
use crate::gateway::accel_conf::{Part, parts};
use crate::gateway::proc::Process;
use crate::secret::in_words;

/// Octets of a file.
const LARGEST: u64 = 1 << 20;
/// Files inside files.
const DEEPEST: usize = 8;
/// Files in all, and options in all.
const MOST_FILES: usize = 256;
const MOST: usize = 1 << 16;

/// One option of accel-ppp.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccelOption {
    /// Section, without brackets.
    pub section: Box<[u8]>,
    /// Name before `=`.
    pub name: Box<[u8]>,
    /// What follows `=`, asterisks in place of a secret; `None` where there is
    /// no `=`.
    pub value: Option<Box<[u8]>>,
    /// File in which it stands.
    pub file: Box<[u8]>,
    /// Line in it, from 1.
    pub line: u32,
}

/// accel-ppp's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccelPpp {
    /// Whether accel-pppd runs.
    pub runs: bool,
    /// All options, in their order.
    pub options: Vec<AccelOption>,
    /// What could not be read of it, in one sentence.
    pub trouble: Option<String>,
}

impl AccelPpp {
    /// The value of the first option of this name, which is the one that
    /// counts for most; empty where it has none.
    pub fn first(&self, section: &str, name: &str) -> Option<&[u8]> {
        let (section, name) = (section.as_bytes(), name.as_bytes());
        let mut options = self.options.iter();
        let option = options.find(|option| *option.section == *section && *option.name == *name)?;
        Some(option.value.as_deref().unwrap_or_default())
    }
}

/// With the files that were read or looked for; `None` where there is neither
/// the daemon nor a configuration.
pub(in crate::audit) fn gather(
    root: &Root,
    processes: &[Process],
) -> Option<(AccelPpp, Vec<PathBuf>)> {
    let daemon = processes.iter().find(|process| process.comm == b"accel-pppd");
    let named = daemon.and_then(|daemon| configuration(&daemon.title));
    let path = PathBuf::from(OsStr::from_bytes(named.unwrap_or(b"/etc/accel-ppp.conf")));
    if daemon.is_none() && !root.exists(inside(&path)) {
        return None;
    }
    let mut reading =
        Reading { root, section: Box::default(), files: Vec::new(), found: Vec::new() };
    let trouble = reading.file(&path, 0).err();
    let found = AccelPpp { runs: daemon.is_some(), options: reading.found, trouble };
    Some((found, reading.files))
}

struct Reading<'a> {
    root: &'a Root,
    section: Box<[u8]>,
    files: Vec<PathBuf>,
    found: Vec<AccelOption>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        if depth > DEEPEST || self.files.len() == MOST_FILES {
            return Err(format!("{} is inside too many files", path.display()));
        }
        let cannot = |why: &str| format!("cannot read {}: {why}", path.display());
        if !path.is_absolute() {
            return Err(cannot("the path does not begin with a slash"));
        }
        if !self.files.iter().any(|file| file == path) {
            self.files.push(path.to_owned());
        }
        let text = self.root.read(inside(path), LARGEST + 1);
        let text = text.map_err(|error| cannot(&in_words(&error)))?;
        if text.len() as u64 > LARGEST {
            return Err(cannot("it is too large"));
        }
        for (line, part) in parts(&text) {
            match part {
                Part::Section(name) => self.section = name.into(),
                Part::Include(name) => {
                    self.file(Path::new(OsStr::from_bytes(name)), depth + 1)?;
                }
                Part::Option(..) if self.found.len() == MOST => {
                    return Err(format!("there are more than {MOST} options"));
                }
                Part::Option(name, value) => {
                    let value =
                        value.map(|value| masked(&self.section, name, self.resolved(value)));
                    self.found.push(AccelOption {
                        section: self.section.clone(),
                        name: name.into(),
                        value: value.map(Vec::into_boxed_slice),
                        file: path.as_os_str().as_bytes().into(),
                        line,
                    });
                }
                Part::Inner(_) => {}
            }
        }
        Ok(())
    }

    /// `${name}` is the value of an option before it in the section.
    fn resolved<'v>(&'v self, value: &'v [u8]) -> &'v [u8] {
        let Some(name) = value.strip_prefix(b"${") else { return value };
        let name = name.split(|octet| *octet == b'}').next().unwrap_or(name);
        let is_it = |option: &&AccelOption| option.section == self.section && *option.name == *name;
        match self.found.iter().find(is_it) {
            Some(AccelOption { value: Some(other), .. }) => other,
            _ => value,
        }
    }
}

/// A value without the secret in it. Servers of RADIUS are written
/// `ADDRESS,SECRET,...`; of those the address stays. A file may go on with a
/// section that another began: its name is empty then, and may be any.
pub(in crate::audit) fn masked(section: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    let is_file = section == b"chap-secrets" && name == b"chap-secrets";
    if !is_file && (has(b"secret") || has(b"passw")) {
        return MASK.to_vec();
    }
    match value.iter().position(|octet| *octet == b',') {
        Some(comma) if matches!(section, b"radius" | b"") && has(b"server") => {
            [&value[..=comma], MASK].concat()
        }
        _ => value.to_vec(),
    }
}

/// The file behind `-c` or `--config`, as getopt_long(3) takes it.
fn configuration(title: &[u8]) -> Option<&[u8]> {
    let mut words = title.split(|octet| *octet == 0).skip(1);
    let mut named = None;
    while let Some(word) = words.next() {
        match word {
            b"-c" | b"--config" => named = words.next(),
            b"-p" | b"--pid" | b"--dump" => {
                words.next();
            }
            _ => {
                let value = word.strip_prefix(b"-c").or_else(|| word.strip_prefix(b"--config="));
                named = value.or(named);
            }
        }
    }
    named.filter(|named| !named.is_empty())
}

fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
