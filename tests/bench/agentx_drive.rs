//! A bare AgentX master (RFC 2741) that measures one subagent: it answers its
//! Open and Register, then asks for everything below an identifier in several
//! ways, and holds what comes back against a first walk.
//!
//! agentx_drive --listen SOCKET --oid ROOT --spawn COMMAND [--secs S] [--reps N]
//!     [--gets N] [--depth N] [--json FILE] [--modes MODE,...] [--discover next]
//!
//! Modes: next (a GetNext of one variable), row (a GetNext of a whole row),
//! bulk (GetBulk of one column), bulkrow (GetBulk of whole rows), get1 (a Get of
//! one variable), getrow (a Get of a whole row), get1p (get1, several under way).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

type Oid = Vec<u32>;
fn oid(s: &str) -> Oid {
    s.trim_matches('.').split('.').map(|x| x.parse().expect("oid")).collect()
}
fn show(o: &[u32]) -> String {
    o.iter().map(|x| x.to_string()).collect::<Vec<_>>().join(".")
}

trait Conn: Read + Write {
    fn timeout(&self, d: Option<Duration>);
}
impl Conn for std::os::unix::net::UnixStream {
    fn timeout(&self, d: Option<Duration>) {
        self.set_read_timeout(d).unwrap()
    }
}
impl Conn for std::net::TcpStream {
    fn timeout(&self, d: Option<Duration>) {
        self.set_read_timeout(d).unwrap()
    }
}

struct Hdr {
    ty: u8,
    flags: u8,
    sid: u32,
    tid: u32,
    pid: u32,
}
struct M {
    c: Box<dyn Conn>,
    be: bool,
    sid: u32,
    tid: u32,
    pktid: u32,
    rbuf: Vec<u8>,
    pos: usize,
    regs: Vec<Oid>,
    unexpected: u64,
    bytes_in: u64,
}

#[derive(Clone, Copy)]
struct Rd<'a> {
    b: &'a [u8],
    p: usize,
    be: bool,
}
impl<'a> Rd<'a> {
    fn need(&self, n: usize) {
        if self.p + n > self.b.len() {
            panic!(
                "malformed PDU from subagent: short by {} at {}",
                self.p + n - self.b.len(),
                self.p
            )
        }
    }
    fn u8(&mut self) -> u8 {
        self.need(1);
        self.p += 1;
        self.b[self.p - 1]
    }
    fn u16(&mut self) -> u16 {
        self.need(2);
        let x = [self.b[self.p], self.b[self.p + 1]];
        self.p += 2;
        if self.be { u16::from_be_bytes(x) } else { u16::from_le_bytes(x) }
    }
    fn u32(&mut self) -> u32 {
        self.need(4);
        let x: [u8; 4] = self.b[self.p..self.p + 4].try_into().unwrap();
        self.p += 4;
        if self.be { u32::from_be_bytes(x) } else { u32::from_le_bytes(x) }
    }
    fn oid(&mut self, o: &mut Oid) {
        o.clear();
        let n = self.u8();
        let pre = self.u8();
        self.u8();
        self.u8();
        if pre != 0 {
            o.extend([1, 3, 6, 1, pre as u32])
        }
        for _ in 0..n {
            o.push(self.u32())
        }
    }
    fn ostr(&mut self) -> &'a [u8] {
        let n = self.u32() as usize;
        let pad = (4 - n % 4) % 4;
        self.need(n + pad);
        let s = &self.b[self.p..self.p + n];
        self.p += n + pad;
        s
    }
    fn end(&self) -> bool {
        self.p >= self.b.len()
    }
    fn value(&mut self, ty: u16, tmp: &mut Oid) -> &'a [u8] {
        let s = self.p;
        match ty {
            2 | 65 | 66 | 67 => {
                self.u32();
            }
            70 => {
                self.u32();
                self.u32();
            }
            4 | 64 | 68 => {
                self.ostr();
            }
            6 => self.oid(tmp),
            5 | 128 | 129 | 130 => {}
            t => panic!("bad varbind type {t}"),
        }
        &self.b[s..self.p]
    }
}
fn p16(v: &mut Vec<u8>, x: u16, be: bool) {
    v.extend(if be { x.to_be_bytes() } else { x.to_le_bytes() })
}
fn p32(v: &mut Vec<u8>, x: u32, be: bool) {
    v.extend(if be { x.to_be_bytes() } else { x.to_le_bytes() })
}
fn poid(v: &mut Vec<u8>, o: &[u32], include: bool, be: bool) {
    let (pre, rest) = if o.len() >= 5 && o[..4] == [1, 3, 6, 1] && o[4] > 0 && o[4] < 256 {
        (o[4] as u8, &o[5..])
    } else {
        (0, o)
    };
    v.extend([rest.len() as u8, pre, include as u8, 0]);
    for &x in rest {
        p32(v, x, be)
    }
}
impl M {
    fn fill(&mut self) -> bool {
        // read more into rbuf; false on timeout
        let mut t = [0u8; 65536];
        match self.c.read(&mut t) {
            Ok(0) => {
                eprintln!("subagent closed the connection");
                std::process::exit(1)
            }
            Ok(n) => {
                self.bytes_in += n as u64;
                self.rbuf.extend_from_slice(&t[..n]);
                true
            }
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                false
            }
            Err(e) => {
                eprintln!("read: {e}");
                std::process::exit(1)
            }
        }
    }
    fn recv(&mut self) -> Option<(Hdr, (usize, usize))> {
        // one PDU; payload as a range of rbuf; None on timeout
        loop {
            let b = &self.rbuf[self.pos..];
            if b.len() >= 20 {
                if b[0] != 1 {
                    panic!("bad version {}", b[0])
                }
                let be = b[2] & 0x10 != 0;
                let mut r = Rd { b, p: 4, be };
                let (sid, tid, pid, len) = (r.u32(), r.u32(), r.u32(), r.u32() as usize);
                if len % 4 != 0 || len > 1 << 24 {
                    panic!("bad payload length {len}")
                }
                if b.len() >= 20 + len {
                    let h = Hdr { ty: b[1], flags: b[2], sid, tid, pid };
                    let s = self.pos + 20;
                    self.pos = s + len;
                    return Some((h, (s, s + len)));
                }
            }
            if self.pos > 0 {
                self.rbuf.drain(..self.pos);
                self.pos = 0;
            }
            if !self.fill() {
                return None;
            }
        }
    }
    fn send(&mut self, ty: u8, tid: u32, pid: u32, payload: &[u8]) {
        let be = self.be;
        let mut v = Vec::with_capacity(20 + payload.len());
        v.extend([1, ty, if be { 0x10 } else { 0 }, 0]);
        p32(&mut v, self.sid, be);
        p32(&mut v, tid, be);
        p32(&mut v, pid, be);
        p32(&mut v, payload.len() as u32, be);
        v.extend_from_slice(payload);
        self.c.write_all(&v).expect("write");
    }
    fn admin(&mut self, h: &Hdr, r: (usize, usize)) {
        // a PDU that the subagent started
        self.be = h.flags & 0x10 != 0;
        let be = self.be;
        let mut res = vec![];
        p32(&mut res, 1, be);
        p16(&mut res, 0, be);
        p16(&mut res, 0, be);
        let body = self.rbuf[r.0..r.1].to_vec();
        let mut rd = Rd { b: &body, p: 0, be };
        let mut o = vec![];
        match h.ty {
            1 => {
                self.sid = 1;
                let to = rd.u8();
                rd.p += 3;
                rd.oid(&mut o);
                let d = rd.ostr();
                println!(
                    "open: timeout {to} id {} descr {:?} byte-order {}",
                    show(&o),
                    String::from_utf8_lossy(d),
                    if be { "network" } else { "little" }
                )
            }
            3 => {
                if h.flags & 8 != 0 {
                    rd.ostr();
                }
                let to = rd.u8();
                let prio = rd.u8();
                let rs = rd.u8();
                rd.u8();
                rd.oid(&mut o);
                if self.regs.len() < 8 {
                    println!(
                        "register: {} priority {prio} timeout {to} range_subid {rs} flags {:#x}",
                        show(&o),
                        h.flags
                    )
                }
                self.regs.push(o.clone())
            }
            2 => {
                println!("close from subagent");
            }
            14 => res.extend_from_slice(&body), // IndexAllocate: echo the varbinds
            4 | 12 | 13 | 15 | 16 | 17 => {}
            t => {
                self.unexpected += 1;
                eprintln!("unexpected PDU type {t}");
                return;
            }
        }
        self.send(18, h.tid, h.pid, &res);
    }
    fn request(&mut self, ty: u8, body: &[u8]) -> u32 {
        self.tid += 1;
        self.pktid += 1;
        let (t, p) = (self.tid, self.pktid);
        self.send(ty, t, p, body);
        p
    }
    fn response(&mut self) -> (u32, (usize, usize)) {
        // next Response; answers others meanwhile
        loop {
            match self.recv() {
                None => {
                    eprintln!("timeout: no response from subagent");
                    std::process::exit(1)
                }
                Some((h, r)) if h.ty == 18 => {
                    if h.sid != self.sid || h.tid == 0 {
                        panic!("response for wrong session {} / transaction {}", h.sid, h.tid)
                    }
                    let mut rd = Rd { b: &self.rbuf[r.0..r.1], p: 0, be: h.flags & 0x10 != 0 };
                    rd.u32();
                    let e = rd.u16();
                    let i = rd.u16();
                    if e != 0 {
                        eprintln!("error {e} index {i} in response");
                        std::process::exit(1)
                    }
                    return (h.pid, (r.0 + 8, r.1));
                }
                Some((h, r)) => self.admin(&h, r),
            }
        }
    }
}
struct Stat {
    mode: String,
    pdus: u64,
    vbs: u64,
    secs: f64,
    lat: Vec<u32>,
    cpu_ns: u64,
}
fn cpu_ns(pid: i32) -> u64 {
    let mut t = 0;
    if let Ok(d) = std::fs::read_dir(format!("/proc/{pid}/task")) {
        for e in d.flatten() {
            if let Ok(s) = std::fs::read_to_string(e.path().join("schedstat")) {
                t += s.split(' ').next().unwrap().parse::<u64>().unwrap_or(0)
            }
        }
    }
    t
}
fn status(pid: i32, k: &str) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|s| {
            s.lines()
                .find(|l| l.starts_with(k))
                .and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        })
        .unwrap_or(0)
}
fn ranges(be: bool, starts: &[(Oid, bool)], end: &[u32]) -> Vec<u8> {
    let mut v = vec![];
    for (s, inc) in starts {
        poid(&mut v, s, *inc, be);
        poid(&mut v, end, false, be)
    }
    v
}
fn hash(h: u64, b: &[u8]) -> u64 {
    b.iter().fold(h, |h, &x| (h ^ x as u64).wrapping_mul(0x100000001b3))
}

fn main() {
    let mut a: BTreeMap<String, String> = BTreeMap::new();
    let mut it = std::env::args().skip(1);
    while let Some(k) = it.next() {
        let k = k.trim_start_matches("--").to_string();
        let v = it.next().expect("value");
        a.insert(k, v);
    }
    let get = |k: &str, d: &str| a.get(k).cloned().unwrap_or(d.to_string());
    let root = oid(&get("oid", "1.3.6.1.4.1.8072.9999.9999"));
    let secs: f64 = get("secs", "3").parse().unwrap();
    let reps: u16 = get("reps", "50").parse().unwrap();
    let gets: usize = get("gets", "20000").parse().unwrap();
    let depth: usize = get("depth", "8").parse().unwrap();
    let quiet = Duration::from_millis(get("quiet-ms", "400").parse().unwrap());
    let modes = get("modes", "next,row,bulk,bulkrow,get1,getrow,get1p");
    let path = get("listen", "/tmp/agentx-drive.sock");
    let start = Instant::now();
    let (ul, tl) = if let Some(t) = a.get("listen-tcp") {
        (None, Some(TcpListener::bind(t).expect("bind")))
    } else {
        let _ = std::fs::remove_file(&path);
        (Some(UnixListener::bind(&path).expect("bind")), None)
    };
    let mut child = a.get("spawn").map(|c| {
        std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {c}"))
            .spawn()
            .expect("spawn")
    });
    let c: Box<dyn Conn> = if let Some(l) = ul {
        Box::new(l.accept().unwrap().0)
    } else {
        let s = tl.unwrap().accept().unwrap().0;
        s.set_nodelay(true).unwrap();
        Box::new(s)
    };
    let pid = child.as_ref().map_or(0, |c| c.id() as i32);
    c.timeout(Some(quiet));
    let mut m = M {
        c,
        be: false,
        sid: 0,
        tid: 0,
        pktid: 0,
        rbuf: vec![],
        pos: 0,
        regs: vec![],
        unexpected: 0,
        bytes_in: 0,
    };
    loop {
        match m.recv() {
            Some((h, r)) => m.admin(&h, r),
            None => {
                if !m.regs.is_empty() || start.elapsed() > Duration::from_secs(60) {
                    break;
                }
            }
        }
    }
    println!(
        "registered {} region(s) {:.2} s after start; subagent pid {pid} cpu so far {:.1} ms, RSS {} kB",
        m.regs.len(),
        start.elapsed().as_secs_f64(),
        cpu_ns(pid) as f64 / 1e6,
        status(pid, "VmRSS")
    );
    m.c.timeout(Some(Duration::from_secs(30)));
    let end: Oid = {
        let mut e = root.clone();
        *e.last_mut().unwrap() += 1;
        e
    };
    let be = m.be;
    let mut out: Vec<Stat> = vec![];
    let mut tmp = vec![];
    let mut name = vec![];
    let nobulk = get("discover", "bulk") == "next";
    // discovery walk (also the truth the other modes are checked against)
    let mut all: Vec<Oid> = vec![];
    let mut truth = 0xcbf29ce484222325u64;
    {
        let t = Instant::now();
        let c0 = cpu_ns(pid);
        let mut cur = root.clone();
        let mut inc = true;
        let mut n = 0u64;
        'w: loop {
            let mut b = vec![];
            if !nobulk {
                p16(&mut b, 0, be);
                p16(&mut b, 200, be)
            }
            b.extend(ranges(be, &[(cur.clone(), inc)], &end));
            inc = false;
            m.request(if nobulk { 6 } else { 7 }, &b);
            let (_, r) = m.response();
            n += 1;
            let mut rd = Rd { b: &m.rbuf[r.0..r.1], p: 0, be };
            let before = all.len();
            while !rd.end() {
                let ty = rd.u16();
                rd.u16();
                rd.oid(&mut name);
                let v = rd.value(ty, &mut tmp);
                if ty == 130 {
                    break 'w;
                }
                if let Some(l) = all.last() {
                    assert!(name > *l, "not increasing: {} after {}", show(&name), show(l))
                }
                truth = hash(truth, v);
                all.push(name.clone());
            }
            assert!(all.len() > before, "empty bulk response");
            cur = all.last().unwrap().clone();
        }
        println!(
            "discovery: {} varbinds in {:.3} s ({} PDUs, GetBulk of 200 unless --discover next), cpu {:.1} ms",
            all.len(),
            t.elapsed().as_secs_f64(),
            n,
            (cpu_ns(pid) - c0) as f64 / 1e6
        );
    }
    // the table: the entry prefix with the most cells
    let mut by: BTreeMap<Oid, BTreeMap<u32, Vec<Oid>>> = BTreeMap::new();
    let entry: Oid = if let Some(o) = a.get("only") {
        oid(o)
    } else {
        let mut cnt: BTreeMap<Oid, (usize, std::collections::BTreeSet<u32>)> = BTreeMap::new();
        for o in &all {
            for k in root.len()..o.len().saturating_sub(1) {
                let e = cnt.entry(o[..k].to_vec()).or_default();
                e.0 += 1;
                e.1.insert(o[k]);
            }
        }
        // deepest prefix still holding the largest share, with 2..64 distinct next arcs that look like columns
        cnt.into_iter()
            .filter(|(_, (n, s))| s.len() <= 64 && *n * 2 > all.len())
            .max_by_key(|(p, _)| p.len())
            .map(|(p, _)| p)
            .unwrap_or(root.clone())
    };
    for o in &all {
        if o.starts_with(&entry) && o.len() > entry.len() + 1 {
            by.entry(entry.clone())
                .or_default()
                .entry(o[entry.len()])
                .or_default()
                .push(o[entry.len() + 1..].to_vec());
        }
    }
    let cols: Vec<u32> = by.get(&entry).map(|x| x.keys().copied().collect()).unwrap_or_default();
    let rows: Vec<Oid> = by
        .get(&entry)
        .and_then(|x| x.values().max_by_key(|v| v.len()).cloned())
        .unwrap_or_default();
    println!("entry {} : {} columns, {} rows", show(&entry), cols.len(), rows.len());
    if let Some(n) = a.get("expect-rows") {
        assert_eq!(rows.len(), n.parse::<usize>().unwrap(), "row count")
    }
    let mut rng = 0x9e3779b97f4a7c15u64;
    let mut rnd = move |n: usize| {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        (rng % n as u64) as usize
    };
    for mode in modes.split(',').filter(|_| !rows.is_empty()) {
        let mut st = Stat { mode: mode.into(), pdus: 0, vbs: 0, secs: 0., lat: vec![], cpu_ns: 0 };
        let c0 = cpu_ns(pid);
        let t0 = Instant::now();
        let limit = Duration::from_secs_f64(secs);
        let mut done = 0usize;
        let mut hsh = 0xcbf29ce484222325u64;
        let mut complete = 0;
        match mode {
            "next" | "bulk" => {
                // one search range, chained, over everything
                let mut cur = root.clone();
                let mut seen = 0usize;
                while t0.elapsed() < limit {
                    let mut b = vec![];
                    if mode == "bulk" {
                        p16(&mut b, 0, be);
                        p16(&mut b, reps, be)
                    }
                    b.extend(ranges(be, &[(cur.clone(), false)], &end));
                    let t = Instant::now();
                    m.request(if mode == "bulk" { 7 } else { 6 }, &b);
                    let (_, r) = m.response();
                    st.lat.push(t.elapsed().as_nanos() as u32);
                    st.pdus += 1;
                    let mut rd = Rd { b: &m.rbuf[r.0..r.1], p: 0, be };
                    let mut eom = false;
                    while !rd.end() {
                        let ty = rd.u16();
                        rd.u16();
                        rd.oid(&mut name);
                        let v = rd.value(ty, &mut tmp);
                        if ty == 130 {
                            eom = true;
                            break;
                        }
                        hsh = hash(hsh, v);
                        st.vbs += 1;
                        if complete == 0 {
                            assert_eq!(name, all[seen], "differs from discovery walk")
                        }
                        seen += 1;
                        std::mem::swap(&mut cur, &mut name);
                    }
                    if eom {
                        assert_eq!(seen, all.len(), "walk length");
                        if complete == 0 {
                            assert!(
                                hsh == truth || a.contains_key("live"),
                                "values differ between walks"
                            )
                        }
                        complete += 1;
                        cur = root.clone();
                        seen = 0;
                        hsh = 0xcbf29ce484222325;
                    }
                }
            }
            "row" | "bulkrow" => {
                // one search range per column
                let mut cur: Vec<(Oid, bool)> = cols
                    .iter()
                    .map(|c| {
                        let mut o = entry.clone();
                        o.push(*c);
                        (o, false)
                    })
                    .collect();
                let nc = cols.len();
                while t0.elapsed() < limit {
                    let mut b = vec![];
                    if mode == "bulkrow" {
                        p16(&mut b, 0, be);
                        p16(&mut b, reps, be)
                    }
                    b.extend(ranges(be, &cur, &end));
                    let t = Instant::now();
                    m.request(if mode == "bulkrow" { 7 } else { 6 }, &b);
                    let (_, r) = m.response();
                    st.lat.push(t.elapsed().as_nanos() as u32);
                    st.pdus += 1;
                    let mut rd = Rd { b: &m.rbuf[r.0..r.1], p: 0, be };
                    let mut i = 0;
                    let mut off = false;
                    while !rd.end() {
                        let ty = rd.u16();
                        rd.u16();
                        rd.oid(&mut name);
                        rd.value(ty, &mut tmp);
                        if ty == 130 {
                            off = true;
                            i += 1;
                            continue;
                        }
                        let k = i % nc;
                        if !(name.starts_with(&entry) && name[entry.len()] == cols[k]) {
                            off = true
                        } else {
                            st.vbs += 1
                        }
                        std::mem::swap(&mut cur[k].0, &mut name);
                        i += 1;
                    }
                    assert!(i >= nc && i % nc == 0, "{i} varbinds for {nc} columns");
                    if off {
                        cur = cols
                            .iter()
                            .map(|c| {
                                let mut o = entry.clone();
                                o.push(*c);
                                (o, false)
                            })
                            .collect();
                    }
                }
            }
            "get1" | "getrow" | "get1p" => {
                let dp = if mode == "get1p" { depth } else { 1 };
                let mut inflight: BTreeMap<u32, Instant> = BTreeMap::new();
                let mut sent = 0;
                while done < gets && t0.elapsed() < limit * 2 {
                    while inflight.len() < dp && sent < gets {
                        let row = &rows[rnd(rows.len())];
                        let pick: Vec<(Oid, bool)> = if mode == "getrow" {
                            cols.iter()
                                .map(|c| {
                                    let mut o = entry.clone();
                                    o.push(*c);
                                    o.extend(row);
                                    (o, false)
                                })
                                .collect()
                        } else {
                            let mut o = entry.clone();
                            o.push(cols[rnd(cols.len())]);
                            o.extend(row);
                            vec![(o, false)]
                        };
                        let b = {
                            let mut v = vec![];
                            for (s, _) in &pick {
                                poid(&mut v, s, false, be);
                                v.extend([0, 0, 0, 0])
                            }
                            v
                        };
                        let t = Instant::now();
                        let p = m.request(5, &b);
                        inflight.insert(p, t);
                        sent += 1;
                    }
                    let (p, r) = m.response();
                    let t = inflight.remove(&p).expect("response to an unknown packet");
                    st.lat.push(t.elapsed().as_nanos() as u32);
                    st.pdus += 1;
                    done += 1;
                    let mut rd = Rd { b: &m.rbuf[r.0..r.1], p: 0, be };
                    while !rd.end() {
                        let ty = rd.u16();
                        rd.u16();
                        rd.oid(&mut name);
                        rd.value(ty, &mut tmp);
                        assert!(
                            ty < 128 || a.contains_key("live"),
                            "exception {ty} for {}",
                            show(&name)
                        );
                        st.vbs += 1
                    }
                }
            }
            x => panic!("mode {x}"),
        }
        st.secs = t0.elapsed().as_secs_f64();
        st.cpu_ns = cpu_ns(pid) - c0;
        st.lat.sort_unstable();
        out.push(st);
    }
    println!(
        "{:<8} {:>9} {:>10} {:>10} {:>11} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "mode",
        "PDUs",
        "varbinds",
        "PDU/s",
        "varbinds/s",
        "p50 us",
        "p99 us",
        "max us",
        "cpu us/PDU",
        "cpu us/vb"
    );
    let mut j = String::new();
    for s in &out {
        let q = |p: f64| s.lat[((s.lat.len() - 1) as f64 * p) as usize] as f64 / 1e3;
        let (cp, cv) =
            (s.cpu_ns as f64 / 1e3 / s.pdus as f64, s.cpu_ns as f64 / 1e3 / s.vbs.max(1) as f64);
        println!(
            "{:<8} {:>9} {:>10} {:>10.0} {:>11.0} {:>9.1} {:>9.1} {:>9.0} {:>12.2} {:>12.3}",
            s.mode,
            s.pdus,
            s.vbs,
            s.pdus as f64 / s.secs,
            s.vbs as f64 / s.secs,
            q(0.5),
            q(0.99),
            q(1.0),
            cp,
            cv
        );
        j += &format!(
            "{{\"mode\":\"{}\",\"pdu_s\":{:.0},\"vb_s\":{:.0},\"p50_us\":{:.2},\"p99_us\":{:.2},\"cpu_us_pdu\":{:.3},\"cpu_us_vb\":{:.4},\"rows\":{},\"rss_kb\":{},\"hwm_kb\":{}}}\n",
            s.mode,
            s.pdus as f64 / s.secs,
            s.vbs as f64 / s.secs,
            q(0.5),
            q(0.99),
            cp,
            cv,
            rows.len(),
            status(pid, "VmRSS"),
            status(pid, "VmHWM")
        );
    }
    println!(
        "subagent RSS {} kB, peak {} kB, cpu total {:.1} ms, bytes from subagent {}",
        status(pid, "VmRSS"),
        status(pid, "VmHWM"),
        cpu_ns(pid) as f64 / 1e6,
        m.bytes_in
    );
    if let Some(f) = a.get("json") {
        std::fs::write(f, j).unwrap()
    }
    if let Some(c) = child.as_mut() {
        let _ = c.kill();
        let _ = c.wait();
    }
}
