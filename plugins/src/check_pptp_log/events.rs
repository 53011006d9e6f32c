//! Events as they leave: JSON lines to a file or to standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

/// Octets that are gathered for one write.
const BLOCK: usize = 64 << 10;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Sink {
    to: To,
    lines: Vec<u8>,
    trouble: Option<String>,
}

#[derive(Debug)]
enum To {
    Output,
    File(PathBuf, File),
}

impl Sink {
    /// `-` is standard output; a file is appended to. What is no regular file,
    /// and a symbolic link, is refused.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let to = match path {
            path if path == Path::new("-") => To::Output,
            path => To::File(path.to_owned(), append(path)?),
        };
        Ok(Self { to, lines: Vec::new(), trouble: None })
    }

    /// Takes a line that `push` appends.
    pub(super) fn take(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        push(&mut self.lines);
        if self.lines.len() >= BLOCK {
            self.flush();
        }
    }

    /// Writes what was taken, whole lines in one write. After a write that
    /// failed nothing more is written.
    pub(super) fn flush(&mut self) {
        if self.trouble.is_none() && !self.lines.is_empty() {
            let (name, written) = match &mut self.to {
                To::Output => ("standard output".into(), write(io::stdout(), &self.lines)),
                To::File(path, file) => (path.to_string_lossy(), write(file, &self.lines)),
            };
            self.trouble =
                written.err().map(|error| format!("cannot write events to {name}: {error}"));
        }
        self.lines.clear();
    }

    /// Opens a file anew, after logrotate took it away.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn reopen(&mut self) -> Result<(), String> {
        self.flush();
        if let To::File(path, file) = &mut self.to {
            *file = append(path)?;
        }
        Ok(())
    }

    /// Why lines were not written.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

fn write(mut to: impl Write, lines: &[u8]) -> io::Result<()> {
    to.write_all(lines)?;
    to.flush()
}

fn append(path: &Path) -> Result<File, String> {
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot write events to {}: {error}", path.display())
    };
    let flags = O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    let opened =
        File::options().append(true).create(true).mode(0o640).custom_flags(flags).open(path);
    let file = opened.map_err(|error| cannot(&error))?;
    if !file.metadata().map_err(|error| cannot(&error))?.is_file() {
        return Err(cannot(&"this is no regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn lines_are_appended_and_a_rotated_file_is_left() {
        let directory = std::env::temp_dir().join(format!("pptp-events-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let [path, old, link] = ["events", "events.1", "link"].map(|name| directory.join(name));
        fs::write(&path, "before\n").unwrap();
        let mut sink = Sink::open(&path).unwrap();
        sink.take(|lines| lines.extend_from_slice(b"one\n"));
        assert_eq!(fs::read(&path).unwrap(), b"before\n", "gathered");
        fs::rename(&path, &old).unwrap();
        sink.reopen().unwrap();
        sink.take(|lines| lines.extend_from_slice(b"two\n"));
        sink.flush();
        assert_eq!(fs::read(&old).unwrap(), b"before\none\n");
        assert_eq!(fs::read(&path).unwrap(), b"two\n");
        assert_eq!(sink.trouble(), None);
        symlink(&path, &link).unwrap();
        for refused in [link.as_path(), Path::new("/dev/null"), &directory] {
            assert!(Sink::open(refused).unwrap_err().starts_with("cannot write events to"));
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
