//! Addresses and name servers for callers.
//!
//! pptpd gives each place an address of its own and lowers `connections` to
//! what there are, with one line in its log (pptpd.c). accel-ppp refuses every
//! caller without a `[client-ip-range]` (iprange.c).

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::accel_ppp::{self, Accel};
use super::pppd::{self, Pppd};
use crate::audit::facts::{AccelOption, Facts};
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::gateway::options::{Setting, first, leading_number};
use crate::output::escape;
use crate::reason::{Phase, Reason};

/// Addresses of a pool that are looked at.
const MOST: usize = 65_536;

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "pool-too-small",
        severity: Severity::Warning,
        phase: Phase::Call,
        reason: Reason::SettingHarmful,
        should: "there are as many addresses as connections",
        harm: "fewer callers get in than connections says",
        explanation: "pptpd lowers connections to the number of addresses in remoteip (or in \
            localip, if that has more than one) and says so once in its log. Callers beyond \
            that are turned away without an answer that names the reason.",
        check: Check::Daemons(Some(pool), None),
    },
    Rule {
        id: "pool-overlap",
        severity: Severity::Critical,
        phase: Phase::Ipcp,
        reason: Reason::SettingHarmful,
        should: "no address is given to both ends of a session",
        harm: "a caller gets the gateway's own address",
        explanation: "An address that stands in localip and in remoteip becomes that of the \
            gateway and of a caller. One of them is then not reachable. localip may be one \
            address for all sessions; it must not be in remoteip.",
        check: Check::Daemons(Some(overlap), None),
    },
    Rule {
        id: "client-range-missing",
        severity: Severity::Critical,
        phase: Phase::Control,
        reason: Reason::SettingHarmful,
        should: "accel-ppp knows where callers may come from",
        harm: "every caller is refused",
        explanation: "accel-ppp closes the control connection of callers outside \
            [client-ip-range], and of all if it has no entry. It keeps GRE from being routed \
            into the tunnel that carries it; `disable` switches the check off.",
        check: Check::Daemons(None, Some(client_range)),
    },
    Rule {
        id: "dns-missing",
        severity: Severity::Info,
        phase: Phase::Ipcp,
        reason: Reason::SettingHarmful,
        should: "callers are told a name server",
        harm: "callers connect, but names of the inside do not resolve",
        explanation: "Without ms-dns (pppd) or dns1 in [dns] (accel-ppp) callers keep the name \
            servers they have. Those do not know internal names, and are out of reach for \
            callers that send everything through the tunnel. RADIUS can give accel-ppp servers.",
        check: Check::Daemons(Some(pppd_dns), Some(accel_dns)),
    },
    Rule {
        id: "dns-unreachable",
        severity: Severity::Warning,
        phase: Phase::Ipcp,
        reason: Reason::SettingHarmful,
        should: "the name server is one that callers reach",
        harm: "callers ask themselves for names",
        explanation: "127.0.0.1 is the caller's own host, 0.0.0.0 is nobody. Often it was copied \
            from resolv.conf of a gateway with a resolver of its own: give its inner address.",
        check: Check::Daemons(Some(pppd_dns_address), Some(accel_dns_address)),
    },
    Rule {
        id: "default-route",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "no caller becomes the gateway's default route",
        harm: "the gateway may send all its traffic to a caller",
        explanation: "defaultroute is for the side that dials. On a gateway that has no default \
            route at that moment, or with replacedefaultroute, the next session takes it, and \
            every other session loses its path. nodefaultroute forbids it.",
        check: Check::Daemons(Some(default_route), None),
    },
];

/// Addresses under a keyword of pptpd.conf; names stand for none.
fn addresses(pppd: &Pppd<'_>, keyword: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let text = first(&pppd.poptop().pptpd, keyword)?;
    let mut all = Vec::new();
    for part in text.split(|octet| *octet == b',') {
        expand(std::str::from_utf8(part).ok()?.trim(), &mut all);
    }
    Some(all)
}

/// One address, or a range in one of its octets.
fn expand(part: &str, all: &mut Vec<Ipv4Addr>) {
    let bounds = |octet: &str| -> Option<(u8, u8)> {
        let (low, high) = octet.split_once('-').unwrap_or((octet, octet));
        Some((low.parse().ok()?, high.parse().ok()?))
    };
    let octets: Option<Vec<(u8, u8)>> = part.split('.').map(bounds).collect();
    let Some([a, b, c, d]) = octets.as_deref() else { return };
    let each = (a.0..=a.1).flat_map(|a| (b.0..=b.1).map(move |b| (a, b)));
    let each = each.flat_map(|(a, b)| (c.0..=c.1).map(move |c| (a, b, c)));
    let each = each.flat_map(|(a, b, c)| (d.0..=d.1).map(move |d| Ipv4Addr::new(a, b, c, d)));
    let room = MOST.saturating_sub(all.len());
    all.extend(each.take(room));
}

fn keyword<'a>(pppd: &Pppd<'a>, name: &[u8]) -> Option<&'a Setting> {
    pppd.poptop().pptpd.list.iter().find(|setting| *setting.name == *name)
}

fn pool(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    if keyword(pppd, b"delegate").is_some() {
        return Err(Objection::Inapplicable("pppd gives the addresses"));
    }
    let capacity = pppd.poptop().capacity;
    let capacity = capacity.ok_or(Objection::Inapplicable("pptpd would not start"))?;
    let connections = keyword(pppd, b"connections");
    let wanted = connections.and_then(|setting| leading_number(setting.value()));
    let Some((setting, wanted)) = connections.zip(wanted) else {
        return Ok(format!("{capacity} places, connections is not set"));
    };
    if wanted <= capacity {
        return Ok(format!("{} and as many addresses", pppd::shown(setting)));
    }
    let pools = [b"remoteip".as_slice(), b"localip"].into_iter();
    let pools: Vec<_> = pools.filter_map(|name| keyword(pppd, name)).map(pppd::shown).collect();
    let found = format!("{}, {}", pppd::shown(setting), pools.join(", "));
    let broken =
        Broken::new(found, format!("{wanted} addresses in remoteip, and some spare")).because(
            format!("{wanted} connections - {capacity} addresses = {} too few", wanted - capacity),
        );
    Err(broken.into())
}

fn overlap(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let inapplicable = Objection::Inapplicable("localip or remoteip is not set");
    let (Some(local), Some(remote)) = (addresses(pppd, b"localip"), addresses(pppd, b"remoteip"))
    else {
        return Err(inapplicable);
    };
    let local: HashSet<Ipv4Addr> = local.into_iter().collect();
    let both = || remote.iter().filter(|address| local.contains(address));
    let Some(one) = both().next() else {
        return Ok("localip and remoteip have no address in common".to_owned());
    };
    let found = [b"localip".as_slice(), b"remoteip"].into_iter();
    let found: Vec<_> = found.filter_map(|name| keyword(pppd, name)).map(pppd::shown).collect();
    let broken = Broken::new(found.join(", "), "a localip outside remoteip");
    let arithmetic = format!("{one} is in both ({} in all)", both().count());
    Err(broken.because(arithmetic).into())
}

fn client_range(accel: &Accel<'_>, _: &Facts) -> Answer {
    if accel.option("modules", "pptp").is_none() {
        return Err(Objection::Inapplicable("accel-ppp does not load pptp"));
    }
    match accel.section("client-ip-range").next() {
        Some(option) => Ok(accel_ppp::shown(option)),
        None => {
            let broken = Broken::new("[client-ip-range] is empty", "networks of the callers");
            Err(broken.into())
        }
    }
}

fn pppd_dns(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    match pppd.last(&["ms-dns"]) {
        Some(setting) => Ok(pppd::shown(setting)),
        None => Err(Broken::new("pppd has no ms-dns", "ms-dns with an address inside").into()),
    }
}

fn accel_dns(accel: &Accel<'_>, _: &Facts) -> Answer {
    match accel.option("dns", "dns1").or(accel.option("dns", "dns2")) {
        Some(option) => Ok(accel_ppp::shown(option)),
        None => Err(Broken::new("[dns] has no dns1", "dns1 with an address inside").into()),
    }
}

/// Whether a text is an address that no caller can reach.
fn is_unreachable(text: &[u8]) -> bool {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    address.is_some_and(|address| address.is_loopback() || address.is_unspecified())
}

fn pppd_dns_address(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let servers: Vec<&Setting> = pppd.all(&["ms-dns"]).collect();
    if servers.is_empty() {
        return Err(Objection::Inapplicable("no name server is given"));
    }
    match servers.iter().find(|setting| is_unreachable(setting.value())) {
        None => {
            let servers: Vec<_> = servers.iter().map(|setting| escape(setting.value())).collect();
            Ok(servers.join(", "))
        }
        Some(setting) => {
            let broken = Broken::new(pppd::shown(setting), "an address that callers reach");
            Err(broken.into())
        }
    }
}

fn accel_dns_address(accel: &Accel<'_>, _: &Facts) -> Answer {
    let options = ["dns1", "dns2"].into_iter().filter_map(|name| accel.option("dns", name));
    let servers: Vec<_> = options.collect();
    if servers.is_empty() {
        return Err(Objection::Inapplicable("no name server is given"));
    }
    let is_bad = |option: &&&AccelOption| option.value.as_deref().is_some_and(is_unreachable);
    match servers.iter().find(is_bad) {
        None => Ok(servers.into_iter().map(accel_ppp::shown).collect::<Vec<_>>().join(", ")),
        Some(option) => {
            Err(Broken::new(accel_ppp::shown(option), "an address that callers reach").into())
        }
    }
}

fn default_route(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let names = ["defaultroute", "replacedefaultroute"];
    if let Some(setting) = pppd.last(&["nodefaultroute", "-defaultroute"]) {
        return Ok(pppd::shown(setting));
    }
    match pppd.last(&names) {
        None => Ok("defaultroute is not set".to_owned()),
        Some(setting) => {
            let broken = Broken::new(pppd::shown(setting), "nodefaultroute");
            Err(broken.mended_by(pppd.remove(setting)).into())
        }
    }
}
