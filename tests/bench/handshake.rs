//! The least that a control check can be: connect, Start-Control-Connection,
//! one Echo, Stop; RFC 2637, section 2. A floor to measure against, without
//! arguments, deadline or judgement.
//!
//! usage: handshake ADDRESS:PORT
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;

const COOKIE: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// Sends a message of `length` octets, and waits for an answer of `answer`.
fn ask(
    stream: &mut TcpStream,
    kind: u8,
    body: &[u8],
    length: u8,
    answer: usize,
) -> std::io::Result<()> {
    let mut message = vec![0; usize::from(length)];
    message[1] = length;
    message[3] = 1;
    message[4..8].copy_from_slice(&COOKIE);
    message[9] = kind;
    message[12..12 + body.len()].copy_from_slice(body);
    stream.write_all(&message)?;
    let mut reply = vec![0; answer];
    stream.read_exact(&mut reply)?;
    if reply[9] == kind + 1 { Ok(()) } else { Err(std::io::Error::other("not the reply")) }
}

fn main() -> std::io::Result<()> {
    let target = std::env::args().nth(1).unwrap_or_default();
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    ask(&mut stream, 1, &[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], 156, 156)?;
    ask(&mut stream, 5, &[1, 2, 3, 4], 16, 20)?;
    ask(&mut stream, 3, &[1], 16, 16)?;
    println!("OK");
    Ok(())
}
