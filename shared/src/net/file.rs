//! Files that hold what a run leaves for the next.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
}
