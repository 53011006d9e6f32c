//! The script of a peer: what it sends, and how time passes.
//!
//! One octet chooses the goal, then steps follow, each a tag octet and its
//! fields; octets are counted by two octets before them. What is cut off at
//! the end is taken as far as it goes, so that every input is a script.

/// Our Call ID in [`crate::session_raw`], as in the captures.
pub const RAW_CALL_ID: u16 = 0x96de;
/// Our magic number there.
pub const RAW_MAGIC: u32 = 0xdf5e_81db;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Octets of the control connection.
    Control(&'a [u8]),
    /// A PPP frame in the next GRE packet of the call.
    Frame(&'a [u8]),
    /// A GRE packet as it is.
    Gre(&'a [u8]),
    /// Milliseconds pass.
    Wait(u16),
    /// Time passes until the next timer.
    Due,
    /// The gateway closes (`false`) or resets the connection.
    Closed(bool),
    /// ICMP destination unreachable, with this code.
    Unreachable(u8),
    /// GRE comes under another Call ID.
    Stray(u16),
    /// Everything we sent so far is acknowledged.
    Acknowledge,
}

/// Octets that are read from their front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Two octets; what is missing is zero.
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8().unwrap_or(0), self.u8().unwrap_or(0)])
    }

    /// At most `length` octets.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(length.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn counted(&mut self) -> &'a [u8] {
        let length = self.u16();
        self.take(length.into())
    }
}

/// The steps of a script behind its first octet.
pub(crate) fn steps(octets: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let mut cursor = Cursor::new(octets);
    std::iter::from_fn(move || {
        Some(match cursor.u8()? % 9 {
            0 => Step::Control(cursor.counted()),
            1 => Step::Frame(cursor.counted()),
            2 => Step::Gre(cursor.counted()),
            3 => Step::Wait(cursor.u16()),
            4 => Step::Due,
            5 => Step::Closed(cursor.u8()? & 1 == 1),
            6 => Step::Unreachable(cursor.u8()?),
            7 => Step::Stray(cursor.u16()),
            _ => Step::Acknowledge,
        })
    })
}

/// A script in octets; octets of a step beyond 65,535 are cut.
pub fn emit(goal: u8, steps: &[Step<'_>]) -> Vec<u8> {
    let mut script = vec![goal];
    let counted = |script: &mut Vec<u8>, tag: u8, octets: &[u8]| {
        let octets = &octets[..octets.len().min(usize::from(u16::MAX))];
        script.push(tag);
        script.extend((octets.len() as u16).to_be_bytes());
        script.extend(octets);
    };
    for step in steps {
        match *step {
            Step::Control(octets) => counted(&mut script, 0, octets),
            Step::Frame(octets) => counted(&mut script, 1, octets),
            Step::Gre(octets) => counted(&mut script, 2, octets),
            Step::Wait(time) => {
                script.push(3);
                script.extend(time.to_be_bytes());
            }
            Step::Due => script.push(4),
            Step::Closed(reset) => script.extend([5, u8::from(reset)]),
            Step::Unreachable(code) => script.extend([6, code]),
            Step::Stray(call_id) => {
                script.push(7);
                script.extend(call_id.to_be_bytes());
            }
            Step::Acknowledge => script.push(8),
        }
    }
    script
}
