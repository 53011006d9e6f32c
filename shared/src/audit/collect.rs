//! Gathers what an audit reads into a tree for another host: the same files at
//! the same places, the answers of programs and of the kernel, and a manifest.
//! Where nothing may be installed, a script for sh does the same.
//!
//! No secret goes in: files of secrets are looked at from outside, and options
//! are written anew, without comments and with asterisks for secrets.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::facts::{
    self, MASK, SECRET, SECRET_PLACES, daemons, dumps, is_secret, masked, modules, release,
    secrets_files,
};
use super::known::Known;
use super::manifest::Manifest;
use super::sources::{COMMANDS, Copy, DAEMONS, FILES, MANIFEST, OF_PROCESS, SECRETS_LIST};
use crate::gateway::Root;
use crate::gateway::accel_conf::{Part, parts};
use crate::gateway::conntrack::gre_flows;
use crate::gateway::options::{Files, Setting, first};
use crate::secret::in_words;

/// Octets of a file.
const LARGEST: u64 = 64 << 20;

/// Gathers what is below `root` into a directory, which is made or empty.
/// Programs are asked until `deadline`. What could not be read is in the
/// manifest.
///
/// # Errors
/// A sentence about the directory.
pub fn collect(root: &Root, directory: &Path, deadline: Instant) -> Result<Manifest, String> {
    let fault = |error: io::Error| {
        format!("cannot collect into {}: {}", directory.display(), in_words(&error))
    };
    prepare(directory).map_err(fault)?;
    let root = &root.without(Manifest::read(root).unread);
    let mut tree = Tree { root, directory, manifest: Manifest::default() };
    tree.everything(deadline).map_err(fault)?;
    Ok(tree.manifest)
}

/// The script: it writes a tar to its standard output.
pub fn collect_script() -> String {
    let list = |wanted: Copy| {
        let of_kind = FILES.iter().filter(|(_, copy)| *copy == wanted).map(|(path, _)| *path);
        of_kind.collect::<Vec<_>>().join(" ").replace("VERSION", "$RELEASE")
    };
    let mut script = include_str!("collect/head.sh").to_owned();
    for (name, value) in [
        ("WHOLE", list(Copy::Whole)),
        ("PPPD", list(Copy::Pppd)),
        ("PPTPD", list(Copy::Pptpd)),
        ("ACCEL_PPP", list(Copy::AccelPpp)),
        ("GRE", list(Copy::Gre)),
        ("DAEMONS", DAEMONS.join(" ")),
        ("OF_PROCESS", OF_PROCESS.join(" ")),
        ("SECRET_OPTIONS", SECRET.join(" ")),
        ("SECRET_FILES", SECRET_PLACES.join(" ")),
        ("SECRETS_LIST", SECRETS_LIST.to_owned()),
        ("MANIFEST", MANIFEST.to_owned()),
    ] {
        script.push_str(&format!("{name}=\"{value}\"\n"));
    }
    script.push_str(include_str!("collect/body.sh"));
    for command in &COMMANDS {
        let kind = if command.knows_nft { "nft" } else { "legacy" };
        script.push_str(&format!(
            "ask {kind} {} '{}' {}\n",
            command.file,
            command.programs.join(" "),
            command.arguments.join(" ")
        ));
    }
    script.push_str("finish\n");
    script
}

fn prepare(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_dir(directory)?.next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
        }
        made => made,
    }
}

struct Tree<'a> {
    root: &'a Root,
    directory: &'a Path,
    manifest: Manifest,
}

impl Tree<'_> {
    /// Errors are of the new tree alone.
    fn everything(&mut self, deadline: Instant) -> io::Result<()> {
        let release = release(self.root).unwrap_or_default();
        self.manifest.about = [
            ("collected", jiff::Timestamp::now().to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("kernel", release.clone()),
            ("uid", rustix::process::geteuid().as_raw().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        for (pattern, copy) in FILES {
            match copy {
                Copy::Whole => {
                    for path in self.expand(&pattern.replace("VERSION", &release)) {
                        let text = self.root.read(&path, LARGEST);
                        self.keep(&path, text, None)?;
                    }
                }
                Copy::Gre => {
                    let flows = gre_flows(self.root);
                    let lines = flows.map(|flows| {
                        flows.iter().map(|flow| format!("{flow}\n")).collect::<String>().into()
                    });
                    self.keep(Path::new(pattern), lines, None)?;
                }
                // Wherever the daemons have them.
                Copy::Pppd | Copy::Pptpd | Copy::AccelPpp => {}
            }
        }
        self.daemons()?;
        let modules = modules(self.root);
        for (command, dump) in COMMANDS.iter().zip(dumps(self.root, &modules, deadline)) {
            match dump {
                Known::Is(text) => self.keep(Path::new(command.file), Ok(text), None)?,
                Known::Absent => {}
                Known::Unread(unread) => {
                    self.manifest.unread.insert(command.file.into(), unread.why);
                }
            }
        }
        self.manifest.files += 1;
        let text = self.manifest.text();
        self.write(Path::new(MANIFEST), text.as_bytes(), None)?;
        Ok(())
    }

    fn daemons(&mut self) -> io::Result<()> {
        let list = match daemons(self.root) {
            Ok(list) => list,
            Err(unread) => {
                self.manifest.unread.insert("proc".into(), unread.why);
                Vec::new()
            }
        };
        for process in &list {
            for name in OF_PROCESS {
                let path = PathBuf::from(format!("proc/{}/{name}", process.pid));
                let text = match *name {
                    "cmdline" => Ok(hidden(&process.title)),
                    _ => self.root.read(&path, LARGEST),
                };
                self.keep(&path, text, None)?;
            }
        }
        let mut files = Files::new(self.root);
        let poptop = facts::poptop(self.root, &mut files, &list);
        let named = poptop.as_ref().and_then(|poptop| first(&poptop.pptpd, b"conf"));
        for (path, read) in files.read_so_far() {
            let is_pptpd = path == Path::new("/etc/pptpd.conf")
                || named.is_some_and(|named| named == path.as_os_str().as_bytes());
            let (text, written) = match read {
                Ok((list, written)) if is_pptpd => (Ok(plain(list, pptpd_line)), written),
                Ok((list, written)) => (Ok(plain(list, pppd_words)), written),
                Err(trouble) => {
                    let why = trouble.strip_prefix(&format!("cannot read {}: ", path.display()));
                    (Err(io::Error::other(why.unwrap_or(trouble).to_owned())), None)
                }
            };
            self.keep(inside(path), text, written)?;
        }
        let accel_ppp = facts::accel_ppp(self.root, &list);
        let (accel_ppp, files) = accel_ppp.map_or((None, Vec::new()), |(a, b)| (Some(a), b));
        for path in files {
            let text = self.root.read(inside(&path), LARGEST).map(|text| configuration(&text));
            self.keep(inside(&path), text, None)?;
        }
        let lines: String = secrets_files(self.root, accel_ppp.as_ref())
            .iter()
            .map(facts::SecretsFile::line)
            .collect();
        self.keep(Path::new(SECRETS_LIST), Ok(lines.into()), None)
    }

    /// The files that a path with `*` for a name stands for.
    fn expand(&self, pattern: &str) -> Vec<PathBuf> {
        let mut paths = vec![PathBuf::new()];
        for part in pattern.split('/') {
            paths = match part {
                "*" => {
                    let list = |path: &PathBuf| self.root.list(path).unwrap_or_default();
                    let below = |path: &PathBuf| {
                        list(path).into_iter().map(|name| path.join(name)).collect::<Vec<_>>()
                    };
                    paths.iter().flat_map(below).collect()
                }
                part => paths.iter().map(|path| path.join(part)).collect(),
            };
        }
        paths
    }

    /// Writes what was read, or down why it was not. What is not there, or not
    /// a file of such a directory, is passed over.
    fn keep(
        &mut self,
        path: &Path,
        text: io::Result<Vec<u8>>,
        written: Option<SystemTime>,
    ) -> io::Result<()> {
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        match text {
            Ok(text) if is_plain => {
                self.manifest.files += usize::from(self.write(path, &text, written)?);
                Ok(())
            }
            Ok(_) => {
                self.manifest.unread.insert(path.into(), "its path is not plain".to_owned());
                Ok(())
            }
            Err(error) => {
                let is_absent =
                    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                if !is_absent && self.root.exists(path) {
                    self.manifest.unread.insert(path.into(), in_words(&error));
                }
                Ok(())
            }
        }
    }

    /// False where it is there already.
    fn write(&self, path: &Path, text: &[u8], written: Option<SystemTime>) -> io::Result<bool> {
        let place = self.directory.join(path);
        if let Some(parent) = place.parent() {
            DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
        }
        let mut file = match File::options().write(true).create_new(true).mode(0o600).open(&place) {
            // Named twice.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            file => file?,
        };
        file.write_all(text)?;
        if let Some(written) = written {
            file.set_modified(written)?;
        }
        Ok(true)
    }
}

fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// A command line without what stands behind an option for a secret.
fn hidden(title: &[u8]) -> Vec<u8> {
    let mut secret = false;
    let words = title.split(|octet| *octet == 0).map(|word| {
        let shown = if secret && !word.is_empty() { MASK } else { word };
        secret = is_secret(word);
        shown
    });
    words.collect::<Vec<_>>().join(&0)
}

/// Settings, each on its line.
fn plain(list: &[Setting], words: fn(&Setting) -> Vec<u8>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut line = 1;
    for setting in list {
        while line < setting.line {
            text.push(b'\n');
            line += 1;
        }
        text.extend(words(setting));
    }
    text.push(b'\n');
    text
}

fn pptpd_line(setting: &Setting) -> Vec<u8> {
    let parts: Vec<&[u8]> =
        [&*setting.name].into_iter().chain(setting.arguments.iter().map(|a| &**a)).collect();
    parts.join(&b' ')
}

fn pppd_words(setting: &Setting) -> Vec<u8> {
    let mut text = quoted(&setting.name);
    for argument in &setting.arguments {
        text.extend(quoted(if is_secret(&setting.name) { MASK } else { argument }));
    }
    text
}

/// A word as pppd reads it, with a blank behind.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for octet in word {
        match octet {
            b'"' | b'\\' => text.extend([b'\\', *octet]),
            b' '..=b'~' => text.push(*octet),
            _ => text.extend(format!("\\{octet:03o}").as_bytes()),
        }
    }
    text.extend(b"\" ");
    text
}

/// accel-ppp.conf without comments and secrets, line for line.
fn configuration(text: &[u8]) -> Vec<u8> {
    let mut clean = Vec::new();
    let mut section = &b""[..];
    let mut line = 1;
    for (number, part) in parts(text) {
        while line < number {
            clean.push(b'\n');
            line += 1;
        }
        match part {
            Part::Section(name) => {
                section = name;
                clean.extend([b"[", name, b"]"].concat());
            }
            Part::Include(name) => clean.extend([b"$include ", name].concat()),
            Part::Option(name, None) => clean.extend(name),
            Part::Option(name, Some(value)) => {
                let value = masked(section, name, value);
                clean.extend([name, b"=", &value].concat());
            }
            Part::Inner(line) if line[0] == b'}' => clean.push(b'}'),
            Part::Inner(line) if line.ends_with(b"{") => clean.extend(b"option={"),
            Part::Inner(_) => {}
        }
    }
    clean.push(b'\n');
    clean
}

#[cfg(test)]
mod tests;
