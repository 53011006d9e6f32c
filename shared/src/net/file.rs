//! Files: what an operator names and what a run leaves for the next.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::entropy::random;

/// Writes a file as a whole or not at all, for its owner alone. It is written
/// beside the old one under a name that cannot be guessed, so nobody can put
/// a link in its way.
///
/// # Errors
/// The system's; the old file is as it was.
pub fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let number = u64::from_ne_bytes(random().map_err(io::Error::other)?);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{number:016x}"));
    let new = path.with_file_name(name);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(octets).and_then(|()| file.sync_all());
    let replaced = written.and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced
}

/// The first `limit` octets of the file at `path`. What only looks like a
/// file, such as a pipe, would hold the reader or never end; it is refused.
///
/// # Errors
/// Those of open(2) and read(2), and `InvalidInput` for what is no regular
/// file.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    open(path)?.take(limit).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Opens for reading, without waiting for anybody; errors as of [`read`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = PATIENT.bits().cast_signed();
    only_file(File::options().read(true).custom_flags(flags).open(path)?)
}

/// The same below a directory that stands for `/` to every link on the way:
/// none leads out of it (openat2(2), RESOLVE_IN_ROOT). Where the kernel cannot
/// do that, before 5.6, links are refused.
pub(crate) fn open_below(root: &Path, path: &Path) -> io::Result<File> {
    let flags = PATIENT | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let opened = match openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Err(Errno::NOSYS) => {
            let mut place = root;
            for part in path.components() {
                let Component::Normal(name) = part else {
                    return Err(io::ErrorKind::InvalidFilename.into());
                };
                place = openat(&place, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
            }
            place
        }
        other => other?,
    };
    only_file(opened.into())
}

const PATIENT: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

fn only_file(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    // A directory says so itself when it is read.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = std::env::temp_dir().join(format!("pptp-replace-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("state");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::create_dir(directory.join("taken")).unwrap();
        assert!(replace(&directory.join("taken"), b"three").is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        fs::remove_dir_all(directory).unwrap();
        assert!(replace(Path::new("/"), b"").is_err());
    }

    #[test]
    fn no_link_leads_out_of_a_root() {
        let directory = std::env::temp_dir().join(format!("pptp-below-{}", std::process::id()));
        fs::create_dir_all(directory.join("root/etc")).unwrap();
        fs::write(directory.join("outside"), "out").unwrap();
        fs::write(directory.join("root/inside"), "in").unwrap();
        for (name, target) in [
            ("absolute", "/inside"),
            ("up", "../../../../inside"),
            ("out", "../../outside"),
            ("host", "/etc/hostname"),
            ("loop", "loop"),
        ] {
            std::os::unix::fs::symlink(target, directory.join("root/etc").join(name)).unwrap();
        }
        let read = |name: &str| {
            let mut text = String::new();
            open_below(&directory.join("root"), Path::new(name))?.read_to_string(&mut text)?;
            io::Result::Ok(text)
        };
        for inside in ["inside", "/inside", "../inside", "etc/absolute", "etc/up"] {
            assert_eq!(read(inside).unwrap(), "in", "{inside}");
        }
        for outside in ["etc/out", "etc/host", "../outside"] {
            assert_eq!(read(outside).unwrap_err().kind(), io::ErrorKind::NotFound, "{outside}");
        }
        assert!(read("etc/loop").is_err());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = std::env::temp_dir().join(format!("pptp-file-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let [socket, file] = ["socket", "file"].map(|name| directory.join(name));
        let (reader, _) = io::pipe().unwrap();
        let pipe = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::write(&file, "longer than that").unwrap();
        let error = |path: &Path| read(path, 6).unwrap_err().to_string();
        assert_eq!(error(Path::new(&pipe)), "this is no regular file");
        assert_eq!(error(Path::new("/dev/zero")), "this is no regular file");
        assert!(error(&socket).starts_with("No such device"));
        assert!(error(&directory).starts_with("Is a directory"));
        assert_eq!(read(&file, 6).unwrap(), b"longer");
        fs::remove_dir_all(&directory).unwrap();
    }
}
