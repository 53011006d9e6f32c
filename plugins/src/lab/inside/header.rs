//! What a router changes in the header of an IPv4 datagram (RFC 791). All take
//! whole datagrams that [`Datagram`](pptp_probe::wire::ip::Datagram) read.

use std::net::Ipv4Addr;

use pptp_probe::wire::ip::checksum;

/// The flag that more fragments follow, in the octet of the flags.
const MORE_FRAGMENTS: u8 = 0x20;
const DONT_FRAGMENT: u8 = 0x40;

/// Octets of the header.
pub(super) fn length(datagram: &[u8]) -> usize {
    datagram.first().map_or(0, |first| usize::from(first & 0x0F) * 4).min(datagram.len())
}

/// Whether the datagram must not be taken apart.
pub(super) fn is_whole(datagram: &[u8]) -> bool {
    datagram.get(6).is_some_and(|flags| flags & DONT_FRAGMENT != 0)
}

/// Allows that the datagram is taken apart.
pub(super) fn allow_fragments(datagram: &mut [u8]) {
    if let Some(flags) = datagram.get_mut(6) {
        *flags &= !DONT_FRAGMENT;
    }
    sum(datagram);
}

/// Takes one from the time to live; false when none is left.
pub(super) fn hop(datagram: &mut [u8]) -> bool {
    let Some(ttl) = datagram.get_mut(8).filter(|ttl| **ttl > 1) else {
        return false;
    };
    *ttl -= 1;
    sum(datagram);
    true
}

/// Gives the datagram another destination.
pub(super) fn direct(datagram: &mut [u8], destination: Ipv4Addr) {
    if let Some(octets) = datagram.get_mut(16..20) {
        octets.copy_from_slice(&destination.octets());
    }
    sum(datagram);
}

/// Takes the datagram apart, so that no piece has more than `most` octets;
/// `identification` holds the pieces together.
pub(super) fn fragments(datagram: &[u8], most: usize, identification: u16) -> Vec<Vec<u8>> {
    let (head, payload) = datagram.split_at(length(datagram));
    // Offsets count units of eight octets.
    let size = (most.saturating_sub(head.len()) / 8).max(1) * 8;
    let last = payload.len().saturating_sub(1) / size;
    let piece = |(n, octets): (usize, &[u8])| {
        let mut piece = [head, octets].concat();
        let total = piece.len() as u16;
        let flags = if n == last { 0 } else { u16::from(MORE_FRAGMENTS) << 8 };
        let place = flags | (n * size / 8) as u16;
        piece[2..4].copy_from_slice(&total.to_be_bytes());
        piece[4..6].copy_from_slice(&identification.to_be_bytes());
        piece[6..8].copy_from_slice(&place.to_be_bytes());
        sum(&mut piece);
        piece
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

fn sum(datagram: &mut [u8]) {
    let length = length(datagram);
    if length >= 20 {
        datagram[10..12].fill(0);
        let sum = checksum(&datagram[..length]);
        datagram[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}
