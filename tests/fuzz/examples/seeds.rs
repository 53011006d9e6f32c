//! Writes `seeds/`: one directory for each target, from the captures.
//!
//! `cargo +nightly run --manifest-path tests/fuzz/Cargo.toml --example seeds`
//!
//! Of messages and frames that differ in values alone the first is kept. The
//! seeds of `session` are scripts of its own language: a gateway that is left
//! alone to answer, for each goal and method. So are those of `radius_client`:
//! a server that answers as it should, and each way to get it wrong; those of
//! `agentx`: a master; and those of `inside`: what comes out of a tunnel.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pptp_fuzz::{OPTION_FILE_END, OPTION_FILES, RAW_CALL_ID, RAW_MAGIC, Step, emit_script};
use pptp_probe::wire::gre::Packet;
use pptp_probe::wire::ppp::{self, Frame};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../..");
    let seeds = here.join("seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    let mut writer = Writer { seeds, shapes: BTreeSet::new() };
    for path in files(&root.join("tests/fixtures/pcap"), "pcap")? {
        for (protocol, payload) in datagrams(&fs::read(&path)?) {
            match protocol {
                6 => writer.control(&payload)?,
                17 => writer.radius(&payload)?,
                47 => writer.gre(&payload)?,
                _ => {}
            }
        }
    }
    for path in files(&root.join("shared/src/proto/tunnel/captures"), "txt")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        writer.session(&name, &fs::read_to_string(&path)?)?;
    }
    let samples = fs::read_to_string(root.join("shared/src/wire/radius/samples.rs"))?;
    for text in samples.split('"').skip(1).step_by(2) {
        let digits: String = text.split_ascii_whitespace().collect();
        if digits.len() >= 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            writer.radius_packet(&unhex(&digits))?;
        }
    }
    // Two of Microsoft's in one attribute, as RFC 2865, section 5.26 allows.
    let two = "02090026000000000000000000000000000000001a1200000137070600000001080600000006";
    writer.write("radius", "two-of-a-vendor", &unhex(two))?;
    writer.radius_texts()?;
    writer.radius_client()?;
    writer.mppe()?;
    let captures = root.join("snmp-subagent/src/snmp/captures/net-snmp.txt");
    writer.snmp(&fs::read_to_string(captures)?)?;
    writer.agentx()?;
    writer.inside()?;
    for daemon in ["pptpd", "accel-ppp"] {
        for path in files(&root.join("tests/fixtures/log").join(daemon), "log")? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // The other levels and forms have the same sentences.
            if name.contains("level5") || name.contains("rfc3339") {
                continue;
            }
            writer.write("log_lines", &format!("{daemon}-{name}"), &fs::read(&path)?)?;
        }
    }
    for (target, extension) in [("nft", "json"), ("iptables_save", "save")] {
        for path in files(&root.join("tests/fixtures/firewall"), extension)? {
            let (octets, name) = (fs::read(&path)?, path.file_stem().unwrap_or_default());
            // The length that a fuzzer is run with.
            if octets.len() <= 2048 {
                writer.write(target, &name.to_string_lossy(), &octets)?;
            }
        }
    }
    for host in ["debian-poptop", "openwrt-poptop", "ubuntu-accel-ppp"] {
        let tree = root.join("tests/fixtures/audit").join(host);
        let files = OPTION_FILES.map(|file| fs::read(tree.join(file)).unwrap_or_default());
        writer.write("options", host, &files.join(&[OPTION_FILE_END][..]))?;
    }
    writer.structured()
}

fn files(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    Ok(paths)
}

/// IPv4 datagrams of a little-endian pcap file with Ethernet frames: protocol
/// and payload; of TCP what is behind its header.
fn datagrams(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = file.get(24..).unwrap_or_default();
    while let Some((header, body)) = rest.split_at_checked(16) {
        let length = header[8..].first_chunk().map_or(0, |octets| u32::from_le_bytes(*octets));
        let Some((record, next)) = body.split_at_checked(length as usize) else { break };
        rest = next;
        let Some(ip) = record.get(14..).filter(|_| record[12..14] == [8, 0]) else { continue };
        let header = usize::from(ip[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let Some(mut payload) = ip.get(header..total) else { continue };
        if ip[9] == 6 {
            let offset = payload.get(12).map_or(0, |octet| usize::from(octet >> 4) * 4);
            payload = payload.get(offset..).unwrap_or_default();
        }
        if !payload.is_empty() {
            found.push((ip[9], payload.to_vec()));
        }
    }
    found
}

struct Writer {
    seeds: PathBuf,
    /// Target, first octets and length of what was written.
    shapes: BTreeSet<(String, Vec<u8>, usize)>,
}

impl Writer {
    fn write(&mut self, target: &str, name: &str, octets: &[u8]) -> io::Result<()> {
        let directory = self.seeds.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), octets)
    }

    /// Writes what has a new shape: another code or another length class.
    fn shaped(&mut self, target: &str, what: &str, head: usize, octets: &[u8]) -> io::Result<()> {
        let mut shape = octets[..octets.len().min(head)].to_vec();
        // The identifier says nothing.
        if let Some(identifier) = shape.get_mut(1) {
            *identifier = 0;
        }
        if !self.shapes.insert((target.to_owned(), shape, octets.len() / 8)) {
            return Ok(());
        }
        let number = self.shapes.iter().filter(|(known, _, _)| known == target).count();
        self.write(target, &format!("{what}-{number:02}"), octets)
    }

    fn control(&mut self, octets: &[u8]) -> io::Result<()> {
        self.shaped("control", "message", 0, &octets[..octets.len().min(400)])
    }

    fn gre(&mut self, octets: &[u8]) -> io::Result<()> {
        let Ok(packet) = Packet::parse(octets) else { return Ok(()) };
        self.shaped("gre", "packet", 2, octets)?;
        let Ok(frame) = Frame::parse(packet.payload) else { return Ok(()) };
        let information = frame.information;
        let name = ppp::protocol_name(frame.protocol).to_lowercase();
        if self.shapes.insert(("frame".into(), vec![], frame.protocol.into())) {
            self.write("ppp", &name, packet.payload)?;
        }
        match frame.protocol {
            ppp::LCP | ppp::CCP | ppp::IPCP | ppp::IPV6CP => {
                self.shaped("cp", &name, 1, information)
            }
            ppp::PAP => {
                self.shaped("mask", &name, 3, packet.payload)?;
                self.shaped("pap", &name, 1, information)?;
                self.auth(4, &name, information)
            }
            ppp::CHAP => {
                self.shaped("mask", &name, 3, packet.payload)?;
                self.shaped("chap", &name, 1, information)?;
                (0..4).try_for_each(|method| self.auth(method, &name, information))
            }
            ppp::EAP => {
                self.shaped("mask", &name, 3, packet.payload)?;
                self.shaped("eap", &name, 1, information)?;
                self.auth(1, &name, information)
            }
            ppp::IPV4 | ppp::IPV6 => self.shaped("ip", &name, 0, information),
            _ => Ok(()),
        }
    }

    /// A packet of the authenticator as a script of the target `auth`.
    fn auth(&mut self, method: u8, name: &str, packet: &[u8]) -> io::Result<()> {
        if packet.len() > 255 || !matches!(packet[0], 1 | 3 | 4) {
            return Ok(());
        }
        let mut script = vec![method, 0, 2, packet.len() as u8];
        script.extend(packet);
        self.shaped("auth", name, 5, &script)
    }

    /// A captured session as a script, with the numbers that the target has.
    fn session(&mut self, name: &str, capture: &str) -> io::Result<()> {
        let goal = match name {
            _ if name.starts_with("candidate") => 2,
            "link-echoes" => 1,
            _ => 0,
        };
        let mut magic = None;
        let mut octets = Vec::new();
        let mut heard_at = 0.0;
        for line in capture.lines() {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let Some(digits) = fields.get(3) else { continue };
            let (ours, gre) = (fields[1] == ">", fields[2] == "gre");
            let mut found = unhex(digits);
            let at: f64 = fields[0].parse().unwrap_or(0.0);
            let gap = ((at - heard_at) * 1000.0) as u16;
            heard_at = if ours { heard_at } else { at };
            if gre {
                let Ok(packet) = Packet::parse(&found) else { continue };
                let mut frame = packet.payload.to_vec();
                if ours {
                    let first = frame.last_chunk::<4>().copied().filter(|_| magic.is_none());
                    magic = magic.or(first);
                    continue;
                }
                if let Some(magic) = magic {
                    replace(&mut frame, &magic, &RAW_MAGIC.to_be_bytes());
                }
                if packet.sequence.is_some() {
                    octets.push((gap, false, frame));
                }
            } else if !ours {
                // Outgoing-Call-Reply: our Call ID.
                if found.get(8..10) == Some(&[0, 8]) {
                    found[14..16].copy_from_slice(&RAW_CALL_ID.to_be_bytes());
                }
                octets.push((gap, true, found));
            }
        }
        let mut steps: Vec<_> = octets
            .iter()
            .flat_map(|(gap, control, octets)| {
                let said = if *control { Step::Control(octets) } else { Step::Frame(octets) };
                [Step::Wait(*gap), said]
            })
            .filter(|step| *step != Step::Wait(0))
            .collect();
        steps.push(Step::Closed(false));
        self.write("session_raw", name, &emit_script(goal, &steps))?;
        steps.insert(steps.len() / 2, Step::Due);
        steps.insert(steps.len() / 3, Step::Wait(80));
        self.write("session_raw", &format!("{name}-slow"), &emit_script(goal, &steps))
    }

    /// A UDP datagram, if it is from or to a server.
    fn radius(&mut self, datagram: &[u8]) -> io::Result<()> {
        let is_server = |port: &[u8]| matches!(port, [0x07, 0x14 | 0x15]);
        match datagram.split_at_checked(8) {
            Some((header, octets)) if header[..4].chunks(2).any(is_server) => {
                self.radius_packet(octets)
            }
            _ => Ok(()),
        }
    }

    fn radius_packet(&mut self, octets: &[u8]) -> io::Result<()> {
        self.shaped("radius", "packet", 1, octets)?;
        self.shaped("radius", "stream", 1, &[octets, octets, &octets[..3]].concat())?;
        let Some(attributes) = octets.get(20..) else { return Ok(()) };
        // As a reply to a login with MS-CHAPv2, signed.
        let [high, low] = (attributes.len() as u16).to_be_bytes();
        let script = [1, 0, octets[0], 1, high, low];
        let script = [&[3, 0, 0, 0, 9, 200, 0, 0, 0], &script[..], attributes].concat();
        self.shaped("radius_client", "reply", 12, &script)
    }

    fn radius_texts(&mut self) -> io::Result<()> {
        let texts = [
            "Calling-Station-Id=192.0.2.1",
            "Delegated-IPv6-Prefix=2001:db8::/48",
            "Event-Timestamp=2001-02-03T04:05:06Z",
            "Framed-Interface-Id=0:0:0:1",
            "Framed-IP-Address=192.0.2.1",
            "NAS-IPv6-Address=2001:db8::1",
            "NAS-Port-Type=Virtual",
            "Tunnel-Client-Endpoint:1=192.0.2.1",
            "Tunnel-Type:1=PPTP",
            "Mikrotik-Rate-Limit=10M/10M",
            "26.9.1=0x6970",
            "Attr-26.311.7=0x00000001",
        ];
        texts.iter().enumerate().try_for_each(|(number, text)| {
            self.write("radius", &format!("text-{number:02}"), text.as_bytes())
        })
    }

    fn radius_client(&mut self) -> io::Result<()> {
        // The code that a task wants, as a reply to all that wait.
        let tasks = [
            ("pap", 2),
            ("chap", 2),
            ("mschapv1", 2),
            ("mschapv2", 2),
            ("accounting", 5),
            ("status", 2),
        ];
        for (kind, (name, code)) in tasks.into_iter().enumerate() {
            let kind = kind as u8;
            let all = [2, code];
            let one = |how: u8| [1, 0, code, how];
            let steps = [
                ("well", all.repeat(3)),
                // Sent again, answered; answered once more; from elsewhere.
                ("late", [&[7, 6, 0, 9], &one(3)[..], &one(11), &one(19), &all, &[8]].concat()),
                // With a bit flipped, a wrong signature, no signature, noise.
                ("wrong", [&one(7)[..], &[0, 50], &one(67), &one(2), &[0, 2, 2, 9, 8]].concat()),
                ("refused", [&all[..], &[1, 0, 52, 35], &[1, 0, 3, 1, 0, 0]].concat()),
                ("unreachable", [&[4, 7], &all[..], &[5, 7, 4]].concat()),
                // The end comes before the next request is sent.
                ("closed", [&all[..], &[0x82, code, 3]].concat()),
                ("aborted", [&all[..], &[7, 9]].concat()),
            ];
            for (what, steps) in steps {
                // Seven requests, three at once; replies must be signed.
                let script = [&[kind, 3, 2, 1, 250, 200, 0, 0, 0x10], &steps[..]].concat();
                self.write("radius_client", &format!("{name}-{what}"), &script)?;
            }
        }
        // An Access-Accept with many values that were not expected.
        let script =
            [&[0, 0, 0, 0, 9, 200, 0, 0, 0x10, 1, 0, 2, 1, 3, 232], &[11, 2].repeat(500)[..]];
        self.write("radius_client", "unexpected", &script.concat())?;
        // All identifiers more than once.
        let script = [&[0, 255, 255, 0, 9, 200, 0, 0, 0], &[2, 2].repeat(4)[..]].concat();
        self.write("radius_client", "all-at-once", &script)?;
        let script = [&[0, 255, 0, 0, 9, 200, 0, 0, 0], &[2, 2].repeat(300)[..]].concat();
        self.write("radius_client", "one-by-one", &script)
    }

    fn mppe(&mut self) -> io::Result<()> {
        for (name, chosen) in [("stateless", 0), ("stateful", 0x80)] {
            // In order; lost and reset; repeated; changed; made up.
            let script =
                [chosen, 0, 0, 0, 3 + 8 * 4, 0, 7, 0, 4, 0, 5, 7, 1, 0, 6, 3, 0x90, 0, 1, 0];
            self.write("mppe", name, &script)?;
        }
        Ok(())
    }

    /// Each message as it is; what answers an inform, to the notifier, too.
    fn snmp(&mut self, captures: &str) -> io::Result<()> {
        for line in captures.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').collect();
            let [name, direction, digits] = fields[..] else { continue };
            let octets = unhex(digits);
            self.shaped("snmp", name, 0, &[&[0], &octets[..]].concat())?;
            if name.starts_with("inform") && direction == "<" {
                let length = (octets.len() as u16).to_be_bytes();
                let chosen = if name.ends_with("v3") { 0xc0 } else { 0x80 };
                let script = [&[chosen], &length[..], &octets].concat();
                self.shaped("snmp", &format!("{name}-answer"), 0, &script)?;
            }
            // The PDU of a message of SNMPv2c, for a message of either version.
            if name.ends_with("v2c") && direction == ">" {
                for chosen in [1, 2] {
                    let script = [&[chosen], &octets[13..]].concat();
                    self.shaped("snmp", &format!("{name}-pdu"), 1, &script)?;
                }
            }
        }
        Ok(())
    }

    /// A master that takes everything and then asks, and others that do not.
    fn agentx(&mut self) -> io::Result<()> {
        let name = "08040000 00000001 00001f88 0000270f 0000270f 000006bb 00000001 00000001";
        let end = "00000000";
        let (get, bulk) = (unhex(&format!("{name}{end}").replace(' ', "")), unhex("00000020"));
        let step = |kind: u8, payload: &[u8]| {
            [&[2, kind, 0], &(payload.len() as u16).to_be_bytes()[..], payload].concat()
        };
        let served = [1; 4];
        let bulk = [&bulk[..], &get].concat();
        let scripts = [
            ("served", [&served[..], &step(5, &get), &step(6, &get), &step(7, &bulk)].concat()),
            ("set", [&served[..], &step(8, &get), &step(9, &[]), &step(10, &[])].concat()),
            ("notified", [&served[..], &[5, 5, 1, 1, 5, 6, 4, 1, 1, 1, 1]].concat()),
            ("refused", [&[1][..], &step(18, &unhex("0000000000000107"))].concat()),
            ("closed", [&served[..], &step(1, &[1, 0, 0, 0]), &[4, 1, 7]].concat()),
            ("slow", [&[1, 1, 1, 0x87][..], &step(7, &bulk).repeat(4), &[4, 4]].concat()),
            ("silent", vec![4, 4, 4, 1, 4, 4, 1, 1, 1, 4, 4, 4, 0x47]),
            (
                "noise",
                [&[0, 0, 20][..], &unhex("0105100000000007000000010000000100000004")].concat(),
            ),
        ];
        scripts.iter().try_for_each(|(name, script)| self.write("agentx", name, script))
    }

    /// A connection that comes up, carries octets and ends; other traffic; and
    /// texts.
    fn inside(&mut self) -> io::Result<()> {
        // A poll, an octet of time and all that is due, a read, a send.
        const POLL: u8 = 0x74;
        const TIME: u8 = 7;
        const READ: u8 = 0xA9;
        const SEND: u8 = 0x45;
        // SYN and Ack, then an Ack with so many octets; FIN and Ack.
        let connected = [8, POLL, 1, 0x12, 0, POLL];
        let carried = |count: u8| [1, 0x10, count, READ, POLL];
        let ended = [1, 0x11, 0, READ, POLL, 9, POLL, TIME, 200];
        // So many octets, so far from where they should be.
        let displaced = |by: u8, count: u8| [0x83, 0x10, by, 0, count];
        let scripts = [
            ("tcp", [&connected[..], &carried(200), &carried(100), &ended].concat()),
            ("tcp-up", [&connected[..], &[SEND, POLL, TIME, 1, SEND, TIME, 100], &ended].concat()),
            (
                "tcp-disorder",
                [&connected[..], &displaced(50, 50), &displaced(0x9C, 60), &[POLL, READ, TIME, 9]]
                    .concat(),
            ),
            ("tcp-reset", [&connected[..], &[1, 0x14, 0, READ, POLL, 0x63]].concat()),
            ("tcp-refused", vec![8, POLL, 5, 0, POLL, 0x0F, 200, TIME, 255, TIME, 255]),
            ("udp", vec![0x12, POLL, 3, 40, 0, 53, POLL, 13, 8, 0, 53, POLL]),
            ("echo", vec![4, 12, 0, 0, 0, 0, 0, 1, 0, 1, 112, 112, 116, 112, POLL]),
            ("echo-request", vec![4, 12, 8, 0, 0, 0, 0, 1, 0, 1, 112, 112, 116, 112, POLL]),
            ("redirect", vec![4, 12, 5, 1, 0, 0, 203, 0, 113, 80, 0x45, 0, 0, 40, POLL]),
        ];
        for (name, script) in scripts {
            self.write("inside", name, &[&[0, 0, 7], &script[..]].concat())?;
        }
        let texts = [
            "inside.lab:80",
            "192.168.77.1:19",
            "https://inside.lab:8443/a/../b?c=%20d#e",
            "http://192.168.77.1",
            "//inside.lab/x",
            "2.5s",
            "10MiB",
            "30,60s,2m,1h",
        ];
        texts.iter().enumerate().try_for_each(|(number, text)| {
            self.write("inside", &format!("text-{number}"), &[&[0x80], text.as_bytes()].concat())
        })
    }

    fn structured(&mut self) -> io::Result<()> {
        for goal in 0..5u8 {
            for auth in 0..5u8 {
                for (number, mppe) in [0u8, 1, 2, 0x80].into_iter().enumerate() {
                    if !matches!(goal, 0 | 4) && (mppe != 0 || auth > 1) {
                        continue;
                    }
                    let eap = number as u8;
                    let mut script = vec![goal, auth, eap, mppe, 1, 0];
                    // All answers as they come, and what the timers do.
                    script.extend([0xf3, 0x0a, 0xf3, 0x0a, 0xf3]);
                    if goal == 4 {
                        // A datagram, echoes, and LCP negotiated again.
                        script.extend([0x4f, 40, 0x5f, 8, 0x6f, 50, 0x7f, 0xf3]);
                        script.extend([0x0b, 0, 1, 9, 0, 0xf3, 0x0a, 0xf3, 0x8f, 0xf3]);
                    }
                    self.write("session", &format!("{goal}-{auth}-{mppe:02x}"), &script)?;
                }
            }
        }
        // LCP opened anew between a proof and its verdict, as a fuzzer found it.
        const ANEW: [u8; 29] = [
            0x04, 0x00, 0xf3, 0xa8, 0x42, 0x38, 0xbd, 0x21, 0xb9, 0x8b, 0x26, 0x87, 0xfa, 0xb4,
            0xdc, 0xb9, 0x79, 0xee, 0x5d, 0x00, 0x00, 0x00, 0x00, 0xf3, 0x0a, 0xff, 0xff, 0xff,
            0x04,
        ];
        self.write("session", "4-0-anew", &ANEW)
    }
}

fn replace(octets: &mut [u8], old: &[u8; 4], new: &[u8; 4]) {
    if let Some(at) = octets.windows(4).position(|window| window == old) {
        octets[at..at + 4].copy_from_slice(new);
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).unwrap_or(0) as u8;
    digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
