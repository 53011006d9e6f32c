//! The gateway's side of the negotiations (RFC 1661, RFC 1962, RFC 1332): what
//! it asks for and what it accepts in LCP, CCP and IPCP. The automaton that
//! carries them is shared with the client; what stands here is not.
//!
//! As pppd does: LCP asks for authentication and a magic number, takes any
//! compression of headers, and goes on without authentication where the caller
//! rejects it (the link is terminated afterwards, by its owner). CCP asks for
//! one key length. IPCP names the own address and gives the caller's by Nak.

use std::net::Ipv4Addr;
use std::rc::Rc;

use pptp_probe::method::{Method, MppePolicy};
use pptp_probe::proto::auth::AuthProtocol;
use pptp_probe::proto::automaton::{Negotiator, Verdict};
use pptp_probe::proto::mppe::{KeyLength, Mode};
use pptp_probe::wire::cp::{CcpOption, IpcpOption, LcpOption, RawOption, mppe_bits};

use super::config::Config;
use super::faults::{Fault, SharedFaults};

/// What a peer takes that names no other receive unit (RFC 1661, section 6.1).
const DEFAULT_MRU: u16 = 1500;

/// LCP's name of the protocol that carries a method.
pub fn protocol_of(method: Method) -> Option<AuthProtocol> {
    match method {
        Method::None => None,
        Method::Pap => Some(AuthProtocol::Pap),
        Method::ChapMd5 => Some(AuthProtocol::ChapMd5),
        Method::MsChapV1 => Some(AuthProtocol::MsChapV1),
        Method::MsChapV2 => Some(AuthProtocol::MsChapV2),
        Method::EapMd5 | Method::EapMsChapV2 => Some(AuthProtocol::Eap),
    }
}

/// What LCP agreed about the caller's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By this protocol.
    By(AuthProtocol),
    /// None was asked for.
    NotAsked,
    /// The caller refused every one.
    Refused,
}

/// LCP.
#[derive(Debug)]
pub struct Lcp {
    faults: SharedFaults,
    /// Protocols that may still be offered; the first one is.
    offers: Vec<AuthProtocol>,
    enabled: Vec<AuthProtocol>,
    asked: bool,
    magic: Option<u32>,
    magic_hint: u32,
    mru: Option<u16>,
    peer_mru: u16,
    peer_pfc: bool,
    peer_acfc: bool,
}

impl Lcp {
    /// With a `magic` number for the request, which is random and not 0.
    pub fn new(config: &Config, faults: SharedFaults, magic: u32) -> Self {
        let mut enabled: Vec<AuthProtocol> = Vec::new();
        for protocol in config.methods.iter().copied().filter_map(protocol_of) {
            if !enabled.contains(&protocol) {
                enabled.push(protocol);
            }
        }
        let magic = magic.max(1);
        Self {
            faults,
            offers: enabled.clone(),
            enabled,
            asked: false,
            magic: Some(magic),
            magic_hint: magic.rotate_left(13) ^ 0x5A5A_0001,
            mru: config.mru,
            peer_mru: DEFAULT_MRU,
            peer_pfc: false,
            peer_acfc: false,
        }
    }

    /// What was agreed; meaningful when LCP is opened.
    pub fn proof(&self) -> Proof {
        match (self.asked, self.offers.first()) {
            (true, Some(protocol)) => Proof::By(protocol.clone()),
            (true, None) => Proof::Refused,
            (false, _) => Proof::NotAsked,
        }
    }

    /// Own magic number, 0 where the caller rejected it.
    pub fn magic(&self) -> u32 {
        self.magic.unwrap_or(0)
    }

    /// Octets of a frame, its header left out, that the caller takes, at least
    /// 128.
    pub fn peer_mru(&self) -> u16 {
        self.peer_mru
    }

    /// Whether the caller takes protocol numbers of one octet.
    pub fn peer_pfc(&self) -> bool {
        self.peer_pfc
    }

    /// Whether the caller takes frames without FF 03.
    pub fn peer_acfc(&self) -> bool {
        self.peer_acfc
    }

    /// The caller will not prove itself by what was offered, and perhaps by
    /// `wanted`.
    fn offer_another(&mut self, wanted: Option<&AuthProtocol>) {
        if self.offers.is_empty() {
            return;
        }
        match wanted.filter(|wanted| self.enabled.contains(wanted)) {
            Some(wanted) => {
                self.offers.retain(|offer| offer != wanted);
                self.offers.insert(0, wanted.clone());
            }
            None => {
                self.offers.remove(0);
            }
        }
    }
}

impl Negotiator for Lcp {
    fn request(&mut self) -> Vec<RawOption> {
        let mut options = Vec::new();
        if let Some(mru) = self.mru {
            options.push(RawOption::from(&LcpOption::MaximumReceiveUnit(mru)));
        }
        self.asked = !self.enabled.is_empty() && !self.faults.borrow().has(Fault::NoAuth);
        if let (true, Some(offer)) = (self.asked, self.offers.first()) {
            options.push(RawOption::new(3, &offer.to_option()));
        }
        if let Some(magic) = self.magic {
            options.push(RawOption::from(&LcpOption::MagicNumber(magic)));
        }
        options
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let (mut rejected, mut naked) = (Vec::new(), Vec::new());
        (self.peer_mru, self.peer_pfc, self.peer_acfc) = (DEFAULT_MRU, false, false);
        for raw in options {
            match LcpOption::from(raw) {
                LcpOption::Accm(_) => {}
                LcpOption::MaximumReceiveUnit(mru) if mru < 128 => {
                    naked.push(RawOption::from(&LcpOption::MaximumReceiveUnit(128)));
                }
                LcpOption::MaximumReceiveUnit(mru) => self.peer_mru = mru,
                // Our own number: a loop, or one chance in four thousand million.
                LcpOption::MagicNumber(magic) if Some(magic) == self.magic => {
                    self.magic_hint = self.magic_hint.wrapping_mul(0x9E37_79B1) | 1;
                    naked.push(RawOption::from(&LcpOption::MagicNumber(self.magic_hint)));
                }
                LcpOption::MagicNumber(_) => {}
                LcpOption::ProtocolFieldCompression => self.peer_pfc = true,
                LcpOption::AddressAndControlFieldCompression => self.peer_acfc = true,
                _ => rejected.push(raw.clone()),
            }
        }
        verdict(rejected, naked)
    }

    fn acked(&mut self, _options: &[RawOption]) {}

    fn naked(&mut self, options: &[RawOption]) {
        for raw in options {
            match LcpOption::from(raw) {
                LcpOption::AuthenticationProtocol { .. } => {
                    self.offer_another(Some(&AuthProtocol::from_option(&raw.data)));
                }
                LcpOption::MagicNumber(_) if self.magic.is_some() => {
                    self.magic_hint = self.magic_hint.wrapping_mul(0x9E37_79B1) | 1;
                    self.magic = Some(self.magic_hint);
                }
                LcpOption::MaximumReceiveUnit(mru) => self.mru = Some(mru),
                _ => {}
            }
        }
    }

    fn rejected(&mut self, options: &[RawOption]) {
        for raw in options {
            match LcpOption::from(raw) {
                LcpOption::AuthenticationProtocol { .. } => self.offers.clear(),
                LcpOption::MagicNumber(_) => self.magic = None,
                LcpOption::MaximumReceiveUnit(_) => self.mru = None,
                _ => {}
            }
        }
    }
}

/// CCP with MPPE and nothing else.
#[derive(Debug)]
pub struct Ccp {
    modes: MppePolicy,
    /// Whether there are keys and the wish to use them.
    wanted: bool,
    offer: Mode,
    peer_refused: bool,
    incoming: Option<Mode>,
    outgoing: Option<Mode>,
}

impl Ccp {
    /// `wanted` says whether MPPE is asked for and accepted at all.
    pub fn new(modes: MppePolicy, wanted: bool) -> Self {
        let length = strongest(u32::MAX, modes).unwrap_or(KeyLength::Bits128);
        let offer = Mode { length, stateless: modes.stateless };
        Self { modes, wanted, offer, peer_refused: false, incoming: None, outgoing: None }
    }

    /// The caller will not encrypt.
    pub fn peer_refused(&self) -> bool {
        self.peer_refused
    }

    /// How the caller encrypts, once agreed.
    pub fn incoming(&self) -> Option<Mode> {
        self.incoming
    }

    /// How the gateway encrypts, once agreed.
    pub fn outgoing(&self) -> Option<Mode> {
        self.outgoing
    }

    /// The mode to answer `bits` with: the same where it is one that may be.
    fn choose(&self, bits: u32) -> Option<Mode> {
        let length = strongest(bits, self.modes)?;
        let stateless = match bits & mppe_bits::STATELESS != 0 {
            true => self.modes.stateless,
            false => !self.modes.stateful,
        };
        Some(Mode { length, stateless })
    }
}

impl Negotiator for Ccp {
    fn request(&mut self) -> Vec<RawOption> {
        if !self.wanted || self.peer_refused {
            return Vec::new();
        }
        vec![RawOption::from(&CcpOption::Mppe(bits_of(self.offer)))]
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let (mut rejected, mut naked) = (Vec::new(), Vec::new());
        let mut agreed = None;
        for raw in options {
            let CcpOption::Mppe(bits) = CcpOption::from(raw) else {
                rejected.push(raw.clone());
                continue;
            };
            match self.choose(bits) {
                Some(mode) if self.wanted => {
                    agreed = Some(mode);
                    if bits != bits_of(mode) {
                        naked.push(RawOption::from(&CcpOption::Mppe(bits_of(mode))));
                    }
                }
                _ => rejected.push(raw.clone()),
            }
        }
        let verdict = verdict(rejected, naked);
        self.outgoing = agreed.filter(|_| verdict == Verdict::Ack);
        verdict
    }

    fn acked(&mut self, options: &[RawOption]) {
        self.incoming = (!options.is_empty()).then_some(self.offer);
    }

    fn naked(&mut self, options: &[RawOption]) {
        for raw in options {
            if let CcpOption::Mppe(bits) = CcpOption::from(raw) {
                match self.choose(bits) {
                    Some(mode) => self.offer = mode,
                    None => self.peer_refused = true,
                }
            }
        }
    }

    fn rejected(&mut self, _options: &[RawOption]) {
        self.peer_refused = true;
    }
}

/// IPCP: the own address, the caller's, and name servers.
#[derive(Debug)]
pub struct Ipcp {
    config: Rc<Config>,
    faults: SharedFaults,
    assigned: Ipv4Addr,
    name_own: bool,
    /// Naks that mention an address the caller did not ask for.
    reminders: u8,
    peer: Option<Ipv4Addr>,
}

impl Ipcp {
    /// For a caller who gets the address `assigned`.
    pub fn new(config: Rc<Config>, faults: SharedFaults, assigned: Ipv4Addr) -> Self {
        Self { config, faults, assigned, name_own: true, reminders: 0, peer: None }
    }

    /// The caller's address, once agreed.
    pub fn peer(&self) -> Option<Ipv4Addr> {
        self.peer
    }
}

impl Negotiator for Ipcp {
    fn request(&mut self) -> Vec<RawOption> {
        let own = IpcpOption::Address(self.config.inner);
        if self.name_own { vec![RawOption::from(&own)] } else { Vec::new() }
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let no_address = self.faults.borrow().has(Fault::NoAddress);
        let (mut rejected, mut naked) = (Vec::new(), Vec::new());
        let mut addressed = false;
        for raw in options {
            let option = IpcpOption::from(raw);
            let right = match option {
                IpcpOption::Address(_) if no_address => None,
                IpcpOption::Address(_) => {
                    addressed = true;
                    Some(IpcpOption::Address(self.assigned))
                }
                IpcpOption::PrimaryDns(_) => {
                    self.config.dns.first().copied().map(IpcpOption::PrimaryDns)
                }
                IpcpOption::SecondaryDns(_) => {
                    self.config.dns.last().copied().map(IpcpOption::SecondaryDns)
                }
                IpcpOption::PrimaryNbns(_) => {
                    self.config.wins.first().copied().map(IpcpOption::PrimaryNbns)
                }
                IpcpOption::SecondaryNbns(_) => {
                    self.config.wins.last().copied().map(IpcpOption::SecondaryNbns)
                }
                _ => None,
            };
            match right {
                None => rejected.push(raw.clone()),
                Some(right) if right != option => naked.push(RawOption::from(&right)),
                Some(_) => {}
            }
        }
        if rejected.is_empty() && !addressed && !no_address && self.reminders < 2 {
            self.reminders += 1;
            naked.push(RawOption::from(&IpcpOption::Address(self.assigned)));
        }
        let verdict = verdict(rejected, naked);
        self.peer = (addressed && verdict == Verdict::Ack).then_some(self.assigned);
        verdict
    }

    fn acked(&mut self, _options: &[RawOption]) {}

    /// The gateway's address is not the caller's to choose.
    fn naked(&mut self, _options: &[RawOption]) {}

    fn rejected(&mut self, _options: &[RawOption]) {
        self.name_own = false;
    }
}

fn verdict(rejected: Vec<RawOption>, naked: Vec<RawOption>) -> Verdict {
    match (rejected.is_empty(), naked.is_empty()) {
        (false, _) => Verdict::Reject(rejected),
        (true, false) => Verdict::Nak(naked),
        (true, true) => Verdict::Ack,
    }
}

/// The option's bits for one mode (RFC 3078, section 2.1).
fn bits_of(mode: Mode) -> u32 {
    let length = match mode.length {
        KeyLength::Bits40 => mppe_bits::BITS_40,
        KeyLength::Bits56 => mppe_bits::BITS_56,
        KeyLength::Bits128 => mppe_bits::BITS_128,
    };
    if mode.stateless { length | mppe_bits::STATELESS } else { length }
}

/// The greatest length that both allow.
fn strongest(bits: u32, modes: MppePolicy) -> Option<KeyLength> {
    [
        (mppe_bits::BITS_128, modes.bits128, KeyLength::Bits128),
        (mppe_bits::BITS_56, modes.bits56, KeyLength::Bits56),
        (mppe_bits::BITS_40, modes.bits40, KeyLength::Bits40),
    ]
    .into_iter()
    .find(|(bit, allowed, _)| bits & bit != 0 && *allowed)
    .map(|(_, _, length)| length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::config::Settings;

    fn faults(text: &[&str]) -> SharedFaults {
        let set: crate::lab::faults::Faults = text.iter().map(|one| one.parse().unwrap()).collect();
        Rc::new(set.into())
    }

    fn config(toml: &str) -> Config {
        Config::new(&Settings::from_toml(toml).unwrap()).unwrap()
    }

    /// Options of pptp-linux with pppd 2.4.9: asyncmap, magic, pcomp, accomp.
    const PPPD: &[u8] = &[2, 6, 0, 0, 0, 0, 5, 6, 0xe2, 0xa4, 0x83, 0x0e, 7, 2, 8, 2];

    fn list(octets: &[u8]) -> Vec<RawOption> {
        RawOption::parse_list(octets).unwrap()
    }

    #[test]
    fn lcp_asks_for_the_first_method_and_a_magic_number() {
        let mut lcp = Lcp::new(&config("mru = 1400"), faults(&[]), 0x0102_0304);
        let request = RawOption::emit_list(&lcp.request());
        assert_eq!(request, [1, 4, 5, 0x78, 3, 5, 0xc2, 0x23, 0x81, 5, 6, 1, 2, 3, 4]);
        assert_eq!(lcp.proof(), Proof::By(AuthProtocol::MsChapV2));
    }

    #[test]
    fn lcp_takes_what_pppd_asks_for_and_rejects_multilink() {
        let mut lcp = Lcp::new(&Config::default(), faults(&[]), 7);
        assert_eq!(lcp.judge(&list(PPPD)), Verdict::Ack);
        assert!(lcp.peer_pfc() && lcp.peer_acfc());
        assert_eq!(lcp.peer_mru(), 1500);
        assert_eq!(lcp.judge(&list(&[1, 4, 5, 0x14])), Verdict::Ack);
        assert_eq!(lcp.peer_mru(), 1300);
        let multilink = [17, 4, 5, 0xdc];
        let asked = list(&[PPPD, &multilink].concat());
        assert_eq!(lcp.judge(&asked), Verdict::Reject(list(&multilink)));
    }

    #[test]
    fn lcp_naks_its_own_magic_number() {
        let mut lcp = Lcp::new(&Config::default(), faults(&[]), 7);
        let Verdict::Nak(naked) = lcp.judge(&list(&[5, 6, 0, 0, 0, 7])) else {
            panic!("a loop was acknowledged")
        };
        assert_ne!(naked[0].data, [0, 0, 0, 7]);
    }

    #[test]
    fn lcp_follows_a_nak_to_an_enabled_method_and_else_offers_the_next() {
        let toml = "auth = \"mschapv2,chap,pap\"\nmppe = \"none\"";
        let mut lcp = Lcp::new(&config(toml), faults(&[]), 7);
        lcp.request();
        lcp.naked(&list(&[3, 4, 0xc0, 0x23]));
        assert_eq!(lcp.proof(), Proof::By(AuthProtocol::Pap));
        lcp.naked(&list(&[3, 5, 0xc2, 0x23, 0x80]));
        assert_eq!(lcp.proof(), Proof::By(AuthProtocol::MsChapV2));
        lcp.naked(&list(&[3, 4, 0xc2, 0x27]));
        lcp.naked(&list(&[3, 4, 0xc2, 0x27]));
        assert_eq!(lcp.proof(), Proof::Refused);
        assert!(!lcp.request().iter().any(|option| option.kind == 3));
    }

    #[test]
    fn lcp_without_authentication_asks_for_none() {
        let mut by_fault = Lcp::new(&Config::default(), faults(&["no-auth"]), 7);
        assert!(!by_fault.request().iter().any(|option| option.kind == 3));
        assert_eq!(by_fault.proof(), Proof::NotAsked);
        let mut by_config = Lcp::new(&config("auth = \"none\""), faults(&[]), 7);
        by_config.request();
        assert_eq!(by_config.proof(), Proof::NotAsked);
    }

    #[test]
    fn ccp_offers_the_strongest_and_naks_to_one_mode() {
        let mut ccp = Ccp::new(MppePolicy::ANY, true);
        assert_eq!(ccp.request(), list(&[18, 6, 1, 0, 0, 0x40]));
        assert_eq!(ccp.judge(&list(&[18, 6, 1, 0, 0, 0xe1])), Verdict::Nak(ccp.request()));
        assert_eq!(ccp.outgoing(), None);
        assert_eq!(ccp.judge(&list(&[18, 6, 0, 0, 0, 0x20])), Verdict::Ack);
        assert_eq!(ccp.outgoing(), Some(Mode { length: KeyLength::Bits40, stateless: false }));
    }

    #[test]
    fn ccp_rejects_what_is_not_allowed() {
        let mut ccp = Ccp::new("128,stateful".parse().unwrap(), true);
        let forty = list(&[18, 6, 1, 0, 0, 0x20]);
        assert_eq!(ccp.judge(&forty), Verdict::Reject(forty));
        assert_eq!(
            ccp.judge(&list(&[18, 6, 1, 0, 0, 0x40])),
            Verdict::Nak(list(&[18, 6, 0, 0, 0, 0x40]))
        );
        let mut off = Ccp::new(MppePolicy::ANY, false);
        let asked = list(&[18, 6, 1, 0, 0, 0x40]);
        assert_eq!(off.judge(&asked), Verdict::Reject(asked));
        assert!(off.request().is_empty());
    }

    #[test]
    fn ccp_follows_a_nak_within_what_is_allowed() {
        let mut ccp = Ccp::new(MppePolicy::ANY, true);
        ccp.naked(&list(&[18, 6, 0, 0, 0, 0x20]));
        assert_eq!(ccp.request(), list(&[18, 6, 0, 0, 0, 0x20]));
        ccp.acked(&list(&[18, 6, 0, 0, 0, 0x20]));
        assert_eq!(ccp.incoming(), Some(Mode { length: KeyLength::Bits40, stateless: false }));
    }

    #[test]
    fn ipcp_gives_address_and_name_servers_and_rejects_the_rest() {
        let config = Rc::new(config("dns = [\"192.0.2.53\"]"));
        let assigned = Ipv4Addr::new(192, 168, 77, 10);
        let mut ipcp = Ipcp::new(config, faults(&[]), assigned);
        assert_eq!(ipcp.request(), list(&[3, 6, 192, 168, 77, 1]));
        let vj = [2, 6, 0, 0x2d, 15, 1];
        let zero = [3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0];
        let wins = [130, 6, 0, 0, 0, 0];
        assert_eq!(
            ipcp.judge(&list(&[&vj[..], &zero, &wins].concat())),
            Verdict::Reject(list(&[vj, wins].concat()))
        );
        let right = [3, 6, 192, 168, 77, 10, 129, 6, 192, 0, 2, 53, 131, 6, 192, 0, 2, 53];
        assert_eq!(ipcp.judge(&list(&zero)), Verdict::Nak(list(&right)));
        assert_eq!(ipcp.peer(), None);
        assert_eq!(ipcp.judge(&list(&right)), Verdict::Ack);
        assert_eq!(ipcp.peer(), Some(assigned));
    }

    #[test]
    fn ipcp_without_an_address_rejects_the_option() {
        let faults = faults(&["no-address"]);
        let mut ipcp = Ipcp::new(Rc::new(Config::default()), faults, Ipv4Addr::LOCALHOST);
        let asked = list(&[3, 6, 0, 0, 0, 0]);
        assert_eq!(ipcp.judge(&asked), Verdict::Reject(asked));
        assert_eq!(ipcp.judge(&[]), Verdict::Ack);
        assert_eq!(ipcp.peer(), None);
    }
}
