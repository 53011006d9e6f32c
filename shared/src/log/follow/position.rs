//! Where reading of a log goes on: the file, how much of it was read, and by
//! what its contents are known again when logrotate moved, copied or packed
//! it.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use crate::wire::{Error, Reader, Writer};

/// Octets that a print covers at most.
pub(super) const PRINTED: usize = 1024;

/// A digest over a few octets: known again, not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Print {
    /// Octets it covers, at most [`PRINTED`].
    pub(super) length: u16,
    digest: [u8; 8],
}

impl Print {
    /// Over all of `octets`, of which there are at most [`PRINTED`].
    pub(super) fn of(octets: &[u8]) -> Self {
        let mut digest = [0; 8];
        if octets.is_empty() {
            return Self::default();
        }
        digest.copy_from_slice(&Sha1::digest(octets)[..8]);
        Self { length: octets.len() as u16, digest }
    }
}

/// A file as stat(2) shows it; another value tells that it was written to, or
/// is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Octets.
    pub(super) size: u64,
    /// Last change of its contents: seconds since 1970 and nanoseconds.
    pub(super) modified: (i64, u32),
}

impl Look {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec() as u32),
        }
    }

    pub(super) fn is_file_of(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Where reading of one log goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub(super) path: PathBuf,
    /// The file that is being read, which need no longer be at the path, as it
    /// was when it had been read.
    pub(super) look: Look,
    /// Octets of it that are done with.
    pub(super) offset: u64,
    /// Inside a line of which the rest is not wanted.
    pub(super) inside: bool,
    /// Its first octets, none beyond the offset.
    pub(super) head: Print,
    /// The octets before the offset.
    pub(super) tail: Print,
}

impl Position {
    /// At the beginning of a file.
    pub(super) fn new(path: &Path, look: Look) -> Self {
        Self {
            path: path.to_owned(),
            look,
            offset: 0,
            inside: false,
            head: Print::default(),
            tail: Print::default(),
        }
    }

    /// The log, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets of its file that were read; in what is packed, of its contents.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub(in super::super) fn emit(&self, writer: &mut Writer) {
        let path = self.path.as_os_str().as_bytes();
        // The kernel opens none beyond 4096 octets (PATH_MAX).
        let path = &path[..path.len().min(u16::MAX.into())];
        writer.u16(path.len() as u16);
        writer.slice(path);
        for value in [self.look.device, self.look.inode, self.look.size, self.offset] {
            writer.slice(&value.to_be_bytes());
        }
        writer.slice(&self.look.modified.0.to_be_bytes());
        writer.u32(self.look.modified.1);
        writer.u8(self.inside.into());
        for print in [self.head, self.tail] {
            writer.u16(print.length);
            writer.slice(&print.digest);
        }
    }

    pub(in super::super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let length = reader.u16()?;
        let path = OsString::from_vec(reader.take(length.into())?.to_vec());
        let mut long = || reader.array().map(u64::from_be_bytes);
        let (device, inode, size, offset) = (long()?, long()?, long()?, long()?);
        let modified = (i64::from_be_bytes(reader.array()?), reader.u32()?);
        let inside = match reader.u8()? {
            value @ ..=1 => value == 1,
            value => return Err(Error::BadValue { what: "flag", value: value.into() }),
        };
        let mut print = || {
            let (length, digest) = (reader.u16()?, reader.array()?);
            if usize::from(length) > PRINTED || u64::from(length) > offset {
                return Err(Error::BadLength { what: "fingerprint", length: length.into() });
            }
            Ok(Print { length, digest })
        };
        let (head, tail) = (print()?, print()?);
        let look = Look { device, inode, size, modified };
        Ok(Self { path: path.into(), look, offset, inside, head, tail })
    }
}
