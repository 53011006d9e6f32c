//! Passwords and shared secrets, and the places they are read from: a file,
//! standard input, the environment, an authfile, systemd's credentials.
//!
//! Nothing here takes a secret from the command line, where it would stand in
//! `ps`. An error names the source and the reason, never a content.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::net::interrupt;
use crate::reason::Reason;

/// open(2).
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Longest secret that is taken, in octets.
const LONGEST_SECRET: usize = 4096;

/// Longest authfile that is read, in octets: three lines and some comments.
const LONGEST_AUTHFILE: usize = 16 * 1024;

/// What some editors put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The variable that systemd sets for `LoadCredential=`.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// [`Reason::Interrupted`] where a signal ended the wait, else
    /// [`Reason::Local`].
    pub reason: Reason,
    /// What was to be read and what is wrong with it, as a sentence.
    pub text: String,
}

impl Unread {
    /// The same, said of `what`.
    pub(crate) fn of(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }
}

impl From<String> for Unread {
    fn from(text: String) -> Self {
        Self { reason: Reason::Local, text }
    }
}

/// Octets that are wiped when dropped and cannot be printed: no `Debug`, no
/// `Display`, no serialisation.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets, for the function that answers a challenge.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads a file; `-` is standard input. One line break at the end is not
    /// part of the secret. A pipe or a terminal is waited for until `deadline`.
    ///
    /// # Errors
    /// When it cannot be read, is empty, longer than 4096 octets or nothing
    /// that a person types: several lines, a NUL, a byte order mark.
    pub fn from_file(path: &Path, deadline: Instant) -> Result<Self, Unread> {
        // Two more for the line break, one to notice that it is too long.
        let mut octets = read_secret(path, LONGEST_SECRET + 2, deadline)?;
        let kept = strip_line_break(&octets).len();
        octets.truncate(kept);
        Ok(Self::checked(octets, &source_name(path))?)
    }

    /// Reads an environment variable, whole.
    ///
    /// # Errors
    /// When it is not set, and as for [`Secret::from_file`].
    pub fn from_env(variable: &OsStr) -> Result<Self, String> {
        let source = format!("environment variable {}", variable.to_string_lossy());
        match std::env::var_os(variable) {
            Some(value) => Self::checked(Zeroizing::new(value.into_vec()), &source),
            None => Err(format!("{source} is not set")),
        }
    }

    /// Reads `$CREDENTIALS_DIRECTORY/<name>`; nothing if there is no such
    /// directory or file.
    ///
    /// # Errors
    /// As for [`Secret::from_file`].
    pub fn from_credentials(name: &str, deadline: Instant) -> Result<Option<Self>, Unread> {
        match std::env::var_os(CREDENTIALS_DIRECTORY) {
            Some(directory) => Self::from_directory(Path::new(&directory), name, deadline),
            None => Ok(None),
        }
    }

    fn from_directory(
        directory: &Path,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<Self>, Unread> {
        let path = directory.join(name);
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        Self::from_file(&path, deadline).map(Some)
    }

    fn checked(octets: Zeroizing<Vec<u8>>, source: &str) -> Result<Self, String> {
        if octets.is_empty() {
            Err(format!("{source} is empty"))
        } else if octets.len() > LONGEST_SECRET {
            Err(format!("{source} is longer than {LONGEST_SECRET} octets"))
        } else if octets.starts_with(BYTE_ORDER_MARK) {
            Err(format!("{source} begins with a byte order mark; save it as UTF-8 without one"))
        } else if octets.contains(&0) {
            Err(format!("{source} contains a NUL; save it as text in UTF-8"))
        } else if octets.contains(&b'\n') {
            Err(format!("{source} has more than one line"))
        } else {
            Ok(Self(octets))
        }
    }
}

/// A file of `username=`, `password=` and `domain=` lines, as smbclient and
/// the Monitoring Plugins have it. Spaces around the key and before the value
/// do not count; empty lines and lines that begin with `#` are skipped.
pub struct AuthFile {
    /// The user name, the domain in front of it as `DOMAIN\user` if there is
    /// one.
    pub username: Option<Vec<u8>>,
    /// The password.
    pub password: Option<Secret>,
}

impl AuthFile {
    /// Reads a file; `-` is standard input. A pipe or a terminal is waited for
    /// until `deadline`.
    ///
    /// # Errors
    /// When it cannot be read, is longer than 16 KiB, or a line is none of the
    /// three, a repetition, or without a value; the line is named by number.
    pub fn read(path: &Path, deadline: Instant) -> Result<Self, Unread> {
        let source = source_name(path);
        let octets = read_secret(path, LONGEST_AUTHFILE, deadline)?;
        if octets.len() > LONGEST_AUTHFILE {
            return Err(format!("{source} is longer than {LONGEST_AUTHFILE} octets").into());
        }
        let parsed = Self::parse(&octets);
        Ok(parsed.map_err(|(line, what)| format!("{source}, line {line}: {what}"))?)
    }

    fn parse(octets: &[u8]) -> Result<Self, (usize, &'static str)> {
        let (mut username, mut password, mut domain) = (None, None, None);
        for (index, line) in octets.split(|octet| *octet == b'\n').enumerate() {
            let at = |what| (index + 1, what);
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let equals = line.iter().position(|octet| *octet == b'=');
            let (key, value) = line.split_at(equals.ok_or(at("no '=' in it"))?);
            let value = value[1..].trim_ascii_start();
            let slot = match key.trim_ascii_end() {
                b"username" => &mut username,
                b"password" => &mut password,
                b"domain" => &mut domain,
                _ => return Err(at("the key is none of username, password, domain")),
            };
            if value.is_empty() {
                return Err(at("no value behind '='"));
            }
            if value.len() > LONGEST_SECRET {
                return Err(at("the value is too long"));
            }
            if value.contains(&0) {
                return Err(at("a NUL in the value"));
            }
            if slot.replace(value).is_some() {
                return Err(at("the key stands there twice"));
            }
        }
        let username = username.map(|username: &[u8]| match domain {
            Some(domain) => [domain, b"\\".as_slice(), username].concat(),
            None => username.to_vec(),
        });
        Ok(Self { username, password: password.map(|octets| Secret::new(octets.to_vec())) })
    }
}

/// Refuses a file with a secret in it that everyone can read; its group may.
///
/// # Errors
/// A sentence that names the file and the mend.
pub fn refuse_public(path: &Path) -> Result<(), String> {
    let is_public = std::fs::metadata(path).is_ok_and(|metadata| {
        // That a directory holds no secret is for whoever reads it to say.
        !metadata.is_dir() && metadata.permissions().mode() & 0o004 != 0
    });
    if path != Path::new("-") && is_public {
        let name = source_name(path);
        return Err(format!("{name} can be read by everyone; run: chmod o= {name}"));
    }
    Ok(())
}

/// What a path on the command line is called in a sentence.
pub fn source_name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

fn read_secret(
    path: &Path,
    longest: usize,
    deadline: Instant,
) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let known = READ.with_borrow(|read| read.as_ref()?.get(&(path.into(), longest)).cloned());
    if let Some(known) = known {
        return known;
    }
    let read = read_bounded(path, longest, deadline);
    let read = read.map_err(|unread| unread.of(&format!("cannot read {}", source_name(path))));
    READ.with_borrow_mut(|known| {
        if let Some(known) = known {
            known.insert((path.into(), longest), read.clone());
        }
    });
    read
}

/// What came of reading a file, by its path and the octets that were wanted.
type Known = BTreeMap<(PathBuf, usize), Result<Zeroizing<Vec<u8>>, Unread>>;

thread_local! {
    static READ: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Calls `read` so that each file is read once, however often it is asked for:
/// a pipe, for one, says it only once. What was kept is wiped at the end.
pub fn reading_once<T>(read: impl FnOnce() -> T) -> T {
    READ.set(Some(Known::new()));
    let read = read();
    READ.set(None);
    read
}

/// At most `longest` octets of a file and one more, which tells that there are
/// more; `-` is standard input. What does not come by itself is waited for
/// until `deadline`. An error does not name the file.
pub(crate) fn read_bounded(
    path: &Path,
    longest: usize,
    deadline: Instant,
) -> Result<Zeroizing<Vec<u8>>, Unread> {
    // All at once: a vector that grows leaves copies behind that nobody wipes.
    let mut octets = Zeroizing::new(Vec::with_capacity(longest + 64));
    read_into(&mut octets, path, longest, deadline)?;
    Ok(octets)
}

/// The same of what is no secret.
///
/// # Errors
/// As for [`Secret::from_file`], without the name of the file.
pub fn read_public(path: &Path, longest: usize, deadline: Instant) -> Result<Vec<u8>, Unread> {
    let mut octets = Vec::new();
    read_into(&mut octets, path, longest, deadline)?;
    Ok(octets)
}

fn read_into(
    octets: &mut Vec<u8>,
    path: &Path,
    longest: usize,
    deadline: Instant,
) -> Result<(), Unread> {
    let limit = longest as u64 + 1;
    let opened = if path == Path::new("-") {
        // Past the buffer of `Stdin`, which would keep the secret.
        standard_input()
    } else {
        // A pipe without a writer must not block the opening.
        File::options().read(true).custom_flags(O_NONBLOCK).open(path)
    };
    let file = opened.map_err(|error| in_words(&error))?;
    let mut patient = Patient { file, deadline, interrupted: false };
    match patient.by_ref().take(limit).read_to_end(octets) {
        Ok(_) => Ok(()),
        Err(_) if patient.interrupted => {
            Err(Unread { reason: Reason::Interrupted, text: "interrupted".into() })
        }
        Err(error) => Err(in_words(&error).into()),
    }
}

/// Reads what comes until the deadline, unless a signal comes first.
struct Patient {
    file: File,
    deadline: Instant,
    interrupted: bool,
}

impl Patient {
    fn wait(&mut self) -> io::Result<()> {
        // A file has always something to say, and needs nothing else.
        if poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&Timespec::default()))? > 0 {
            return Ok(());
        }
        let signals = interrupt::block()?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut wait =
            [PollFd::new(&self.file, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        poll(&mut wait, Some(&left))?;
        let [file, signals] = wait.map(|waited| !waited.revents().is_empty());
        self.interrupted = signals;
        if signals || !file {
            let text = "nothing more came before the deadline";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        self.file.read(buffer)
    }
}

fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// The error in words, without the number that `io::Error` appends.
pub(crate) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn strip_line_break(octets: &[u8]) -> &[u8] {
    match octets.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => octets,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::*;

    /// A directory of files that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("pptp-probe-secret-{}-{name}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, octets).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn from_file(octets: &[u8]) -> Result<Vec<u8>, String> {
        let name = format!("octets-{:?}", std::thread::current().id());
        let scratch = Scratch::new(&name);
        let path = scratch.file("secret", octets);
        let result = Secret::from_file(&path, soon()).map(|secret| secret.expose().to_vec());
        result.map_err(|error| error.text.replace(&path.display().to_string(), "FILE"))
    }

    fn error_of<T>(result: Result<T, Unread>) -> String {
        let unread = result.err().unwrap();
        assert_eq!(unread.reason, Reason::Local);
        unread.text
    }

    /// Files need no wait at all.
    fn soon() -> Instant {
        Instant::now()
    }

    #[test]
    fn one_line_break_is_not_part_of_the_secret() {
        for (octets, secret) in [
            (&b"word"[..], &b"word"[..]),
            (b"word\n", b"word"),
            (b"word\r\n", b"word"),
            (b" word \r", b" word \r"),
            (b"\xff\xfe\n", b"\xff\xfe"),
        ] {
            assert_eq!(from_file(octets).unwrap(), secret);
        }
    }

    #[test]
    fn empty_and_too_long_files_are_refused() {
        assert_eq!(from_file(b"").unwrap_err(), "FILE is empty");
        assert_eq!(from_file(b"\n").unwrap_err(), "FILE is empty");
        let mut longest = vec![b'a'; 4096];
        assert_eq!(from_file(&longest).unwrap(), longest);
        longest.push(b'\n');
        assert_eq!(from_file(&longest).unwrap().len(), 4096);
        longest.push(b'\n');
        assert_eq!(from_file(&longest).unwrap_err(), "FILE is longer than 4096 octets");
        assert_eq!(from_file(&[b'a'; 9000]).unwrap_err(), "FILE is longer than 4096 octets");
    }

    #[test]
    fn files_that_hold_more_than_a_secret_are_refused() {
        for (octets, error) in [
            (&b"word\n\n"[..], "FILE has more than one line"),
            (b"probe\nword\n", "FILE has more than one line"),
            (b"wo\0rd\n", "FILE contains a NUL; save it as text in UTF-8"),
            (b"\xff\xfew\0o\0\n\0", "FILE contains a NUL; save it as text in UTF-8"),
            (
                b"\xef\xbb\xbfword\n",
                "FILE begins with a byte order mark; save it as UTF-8 without one",
            ),
        ] {
            assert_eq!(from_file(octets).unwrap_err(), error);
        }
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let scratch = Scratch::new("missing");
        let path = scratch.0.join("none");
        let error = error_of(Secret::from_file(&path, soon()));
        assert_eq!(error, format!("cannot read {}: No such file or directory", path.display()));
        let error = error_of(Secret::from_file(&scratch.0, soon()));
        assert_eq!(error, format!("cannot read {}: Is a directory", scratch.0.display()));
    }

    #[test]
    fn each_file_is_read_once_where_that_is_asked_for() {
        let scratch = Scratch::new("once");
        let path = scratch.file("secret", b"one");
        let read = || Secret::from_file(&path, soon()).ok().unwrap().expose().to_vec();
        let twice = reading_once(|| {
            let first = read();
            scratch.file("secret", b"two");
            (first, read())
        });
        assert_eq!(twice, (b"one".to_vec(), b"one".to_vec()));
        assert_eq!(read(), b"two");
    }

    #[test]
    fn a_pipe_is_waited_for_until_the_deadline() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
        writer.write_all(b"half a").unwrap();
        let expected = "nothing more came before the deadline";
        assert!(error_of(Secret::from_file(&path, soon())).ends_with(expected));
        writer.write_all(b"wo").unwrap();
        let late = Instant::now() + Duration::from_secs(60);
        let read = std::thread::spawn(move || Secret::from_file(&path, late).ok().unwrap());
        writer.write_all(b"rd\n").unwrap();
        drop(writer);
        assert_eq!(read.join().unwrap().expose(), b"word");
    }

    #[test]
    fn environment_variable_is_taken_whole() {
        // Set wherever a test runs.
        let secret = Secret::from_env(OsStr::new("PATH")).ok().unwrap();
        assert_eq!(secret.expose(), std::env::var_os("PATH").unwrap().as_encoded_bytes());
        let error = Secret::from_env(OsStr::new("PPTP_PROBE_NOT_SET")).err().unwrap();
        assert_eq!(error, "environment variable PPTP_PROBE_NOT_SET is not set");
    }

    #[test]
    fn credentials_directory_may_lack_a_file_but_not_its_content() {
        let scratch = Scratch::new("credentials");
        scratch.file("pptp-password", b"word\n");
        scratch.file("pptp-username", b"");
        let read = |name| Secret::from_directory(&scratch.0, name, soon());
        assert_eq!(read("pptp-password").ok().unwrap().unwrap().expose(), b"word");
        assert!(read("other").ok().unwrap().is_none());
        assert!(error_of(read("pptp-username")).ends_with("is empty"));
    }

    #[test]
    fn authfile_has_user_password_and_domain_in_any_order() {
        let file = AuthFile::parse(
            b"# probe\n\n  password = p=w #1 \r\nusername=probe\ndomain = EXAMPLE\n",
        );
        let file = file.ok().unwrap();
        assert_eq!(file.username.unwrap(), b"EXAMPLE\\probe");
        assert_eq!(file.password.unwrap().expose(), b"p=w #1 ");
        let file = AuthFile::parse(b"username=probe").ok().unwrap();
        assert_eq!(file.username.unwrap(), b"probe");
        assert!(file.password.is_none());
    }

    #[test]
    fn authfile_errors_name_the_line_and_no_content() {
        for (octets, line, what) in [
            (&b"username=a\nhunter2"[..], 2, "no '=' in it"),
            (b"hunter2=a", 1, "the key is none of username, password, domain"),
            (b"\npassword=", 2, "no value behind '='"),
            (b"password=hunter2\npassword=b", 2, "the key stands there twice"),
            (b"username=a\npassword=hunter\x002", 2, "a NUL in the value"),
        ] {
            assert_eq!(AuthFile::parse(octets).err(), Some((line, what)));
        }
        let scratch = Scratch::new("authfile");
        let path = scratch.file("auth", b"hunter2");
        let error = error_of(AuthFile::read(&path, soon()));
        assert_eq!(error, format!("{}, line 1: no '=' in it", path.display()));
    }

    #[test]
    fn a_directory_is_called_one() {
        let scratch = Scratch::new("directory");
        std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(refuse_public(&scratch.0), Ok(()));
        assert!(error_of(Secret::from_file(&scratch.0, soon())).ends_with("Is a directory"));
        let path = scratch.file("secret", b"word");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refuse_public(&path).is_err());
    }
}
