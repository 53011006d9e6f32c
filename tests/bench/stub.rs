//! The control connection of a gateway that always agrees (RFC 2637,
//! section 2): the other end of the measured checks. Answers
//! Start-Control-Connection-, Echo- and Stop-Control-Connection-Request at
//! once, and closes after the caller, so that no connection is left waiting
//! here. Prints `ready` once it listens.
//!
//! usage: stub ADDRESS:PORT
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const COOKIE: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or_default())?;
    println!("ready");
    for stream in listener.incoming() {
        let stream = stream?;
        // A caller that goes away in the middle is his own affair.
        std::thread::Builder::new().stack_size(64 * 1024).spawn(move || serve(stream).ok())?;
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; 12];
        stream.read_exact(&mut header)?;
        let length = u16::from_be_bytes([header[0], header[1]]);
        let mut body = [0; 144];
        let Some(body) = usize::from(length).checked_sub(12).and_then(|rest| body.get_mut(..rest))
        else {
            return Ok(());
        };
        stream.read_exact(body)?;
        let Some(reply) = reply(header[9], body) else { return Ok(()) };
        stream.write_all(&reply)?;
    }
}

/// The answer to a request, none to what a control check does not send.
fn reply(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let length = match kind {
        1 => 156,
        3 => 16,
        5 => 20,
        _ => return None,
    };
    let mut reply = vec![0; length];
    reply[1] = u8::try_from(length).ok()?;
    reply[3] = 1;
    reply[4..8].copy_from_slice(&COOKIE);
    reply[9] = kind + 1;
    match kind {
        // Version 1.0, result 1, firmware 1, names as pptpd gives them.
        1 => {
            reply[12] = 1;
            reply[14] = 1;
            reply[27] = 1;
            reply[28..33].copy_from_slice(b"local");
            reply[92..97].copy_from_slice(b"linux");
        }
        3 => reply[12] = 1,
        // The identifier, result 1.
        _ => {
            reply[12..16].copy_from_slice(body.get(..4)?);
            reply[16] = 1;
        }
    }
    Some(reply)
}
