//! Machines whose inputs are worth a target of their own.

use std::time::{Duration, Instant};

use pptp_probe::crypto::mppe::{KeyLength, MasterKeys};
use pptp_probe::method::Method;
use pptp_probe::proto::auth::{AuthEvent, AuthProtocol, Authenticatee, Credentials};
use pptp_probe::proto::mppe::{DecryptError, Decryptor, Encryptor, Mode};
use pptp_probe::proto::tunnel::Transmit;
use pptp_probe::secret::Secret;
use pptp_probe::wire::gre;
use pptp_probe::wire::ppp::{self, Frame};

use crate::gateway::{ACCOUNT, Watch};
use crate::script::Cursor;

/// The MPPE decryptor, fed by an encryptor whose packets are lost, repeated,
/// changed and made up. As long as none was made up, what arrives in order is
/// what was sent.
pub fn mppe(data: &[u8]) {
    let mut input = Cursor::new(data);
    let chosen = input.u8().unwrap_or(0);
    let length = [KeyLength::Bits128, KeyLength::Bits56, KeyLength::Bits40];
    let mode = Mode { length: length[usize::from(chosen % 3)], stateless: chosen & 0x80 == 0 };
    let keys = MasterKeys::from_mschap_v2(ACCOUNT.1, &[chosen; 24]);
    let mut encryptor = Encryptor::for_server(&keys, mode);
    let mut decryptor = Decryptor::new(&keys, mode);
    let mut honest = true;
    // Counts that the encryptor is ahead of the decryptor, at most.
    let mut ahead = 0u32;
    let mut lost = false;
    let mut last = Vec::new();
    while let Some(op) = input.u8() {
        match op % 8 {
            0..3 => {
                let plain = [0x45, op];
                last = encryptor.encrypt(ppp::IPV4, &plain);
                let got = decryptor.decrypt(&last);
                if !honest || ahead >= 1_500 {
                    continue;
                }
                if got == Err(DecryptError::NeedReset) {
                    assert!(lost && !mode.stateless && decryptor.needs_reset());
                    ahead += 1;
                } else {
                    // In stateful mode each 256th packet is a flushed one.
                    assert_eq!(got, Ok((ppp::IPV4, plain.to_vec())));
                    (ahead, lost) = (0, false);
                }
            }
            3 => {
                for _ in 0..=op >> 3 {
                    last = encryptor.encrypt(ppp::IPV4, b"lost");
                    ahead += 1;
                }
                lost = true;
            }
            4 => {
                // What was handed over before is old, what was lost is late.
                if decryptor.decrypt(&last).is_ok() {
                    honest = false;
                }
            }
            5 => {
                let at = usize::from(input.u8().unwrap_or(0));
                last = encryptor.encrypt(ppp::IPV4, &[0x45; 20]);
                let length = last.len();
                last[at % length] ^= input.u8().unwrap_or(1);
                let _ = decryptor.decrypt(&last);
                honest = false;
            }
            6 => {
                let length = usize::from(input.u8().unwrap_or(0)) % 48;
                let _ = decryptor.decrypt(input.take(length));
                honest = false;
            }
            _ => {
                // A whole datagram, so that the flushed packet can be known.
                encryptor.reset();
                let datagram = b"\x45\x00\x00\x14\x00\x00\x40\x00\x40\x01\x2f\x4e\xc0\xa8\x4d\x01\xc0\xa8\x4d\x0a";
                last = encryptor.encrypt(ppp::IPV4, datagram);
                let got = decryptor.decrypt(&last);
                ahead += 256;
                if honest && ahead < 1_500 {
                    assert_eq!(got, Ok((ppp::IPV4, datagram.to_vec())), "a flushed packet");
                    ahead = 0;
                    lost = false;
                }
            }
        }
    }
    let counters = decryptor.counters();
    assert!(counters.decrypted <= data.len() as u64);
}

/// The side that proves itself, against an authenticator that says anything.
pub fn auth(data: &[u8]) {
    let mut input = Cursor::new(data);
    let (chosen, allowed) = (input.u8().unwrap_or(0), input.u8().unwrap_or(0));
    let (protocol, number) = match chosen % 5 {
        0 => (AuthProtocol::MsChapV2, ppp::CHAP),
        1 => (AuthProtocol::Eap, ppp::EAP),
        2 => (AuthProtocol::MsChapV1, ppp::CHAP),
        3 => (AuthProtocol::ChapMd5, ppp::CHAP),
        _ => (AuthProtocol::Pap, ppp::PAP),
    };
    let methods = Method::ALL.iter().copied().enumerate();
    let allowed = methods.filter(|(bit, _)| allowed >> bit & 1 == 0).map(|(_, method)| method);
    let credentials =
        Credentials { username: ACCOUNT.0.to_vec(), password: Secret::new(ACCOUNT.1.to_vec()) };
    let mut now = Instant::now();
    let mut machine = Authenticatee::new(protocol, allowed.collect(), credentials, [7; 16], now);
    let mut watch = Watch::default();
    let (mut sequence, mut accepted, mut failed) = (0, false, false);
    // LCP was opened anew behind a proof.
    let mut anew = false;
    loop {
        let mut sent = 0;
        while let Some((protocol, packet)) = machine.poll_transmit() {
            assert_eq!(protocol, number);
            watch.sent(&Transmit::Gre(wrap(&mut sequence, protocol, &packet)));
            sent += 1;
        }
        assert!(sent <= 1, "{sent} packets for one");
        assert!(!failed || sent == 0, "something is sent after the end");
        while let Some(event) = machine.poll_event() {
            match event {
                AuthEvent::Succeeded { .. } => accepted = true,
                AuthEvent::Failed(failure) => {
                    assert!(!failed && failure.detail.is_ascii() && failure.detail.len() <= 600);
                    failed = true;
                }
                AuthEvent::Challenged
                | AuthEvent::Responded
                | AuthEvent::Reauthenticated { .. } => {}
            }
        }
        assert!(watch.attempts() <= 1 + usize::from(anew) || accepted, "one attempt too many");
        let Some(op) = input.u8() else { return };
        match op % 4 {
            0 => {
                now += Duration::from_millis(u64::from(op) * 20);
                machine.handle_timeout(now);
                assert!(machine.poll_timeout().is_none_or(|at| at > now));
            }
            1 if op & 4 == 0 => machine.delivered(),
            1 => {
                anew |= watch.attempts() > 0;
                machine.link_up_again(now);
            }
            2 => {
                let length = usize::from(input.u8().unwrap_or(0));
                receive(&mut machine, &mut watch, number, input.take(length), now);
            }
            // With a right length.
            _ => {
                let (code, identifier) = (input.u8().unwrap_or(1), input.u8().unwrap_or(1));
                let length = usize::from(input.u8().unwrap_or(0)) % 80;
                let body = input.take(length);
                let mut packet = vec![code % 8, identifier, 0, (4 + body.len()) as u8];
                packet.extend(body);
                receive(&mut machine, &mut watch, number, &packet, now);
            }
        }
    }
}

fn receive(
    machine: &mut Authenticatee,
    watch: &mut Watch,
    protocol: u16,
    packet: &[u8],
    now: Instant,
) {
    watch.received(&wrap(&mut 0, protocol, packet));
    machine.handle_packet(protocol, packet, now);
}

fn wrap(sequence: &mut u32, protocol: u16, packet: &[u8]) -> Vec<u8> {
    let payload = &Frame { protocol, information: packet }.emit();
    let number = Some(*sequence);
    *sequence += 1;
    gre::Packet { call_id: 1, sequence: number, acknowledgment: None, payload }.emit()
}
