//! What an operator writes about traffic through the tunnel: URLs (RFC 3986),
//! hosts and ports, amounts and durations. Each is parsed strictly, and a
//! [`Mistake`] says at which octet it is and what was expected there.
//!
//! IPv6 is refused by name: the tunnel carries IPv4. So is user information in
//! a URL: a secret does not belong on a command line. A fragment is checked and
//! dropped, because it is never sent to a server.
//!
//! Real servers send redirects to what is no URL: with blanks and with octets
//! beyond ASCII in it. As browsers do, [`Url::join`] writes those as `%XX`.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use fluent_uri::{ParseError, ParseErrorKind, Uri, UriRef};

/// Longest URL, in octets; common servers take no longer one.
const LONGEST_URL: usize = 8_000;
/// Longest name of a host, in octets (RFC 1035, section 2.3.4, as text).
const LONGEST_NAME: usize = 253;
/// Longest part of a name between two dots, in octets.
const LONGEST_LABEL: usize = 63;
/// Most durations in a list; each is a session of its own.
const MOST_DURATIONS: usize = 32;

/// Where a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The octet, counted from 1; one behind the last where the text ends too
    /// early.
    pub at: usize,
    /// What was expected there, in words.
    pub expected: &'static str,
}

impl Mistake {
    fn new(index: usize, expected: &'static str) -> Self {
        Self { at: index + 1, expected }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at octet {}: expected {}", self.at, self.expected)
    }
}

impl std::error::Error for Mistake {}

/// The name of a host in lower case, or its IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// The address, where it is one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.0.parse().ok()
    }

    /// The name or address as text: letters, digits, `-`, `_` and `.` only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `text` begins at `index` of what the operator wrote.
    fn parse_at(text: &str, index: usize) -> Result<Self, Mistake> {
        if text.starts_with('[') || text.matches(':').count() > 1 {
            return Err(Mistake::new(
                index,
                "a name or an IPv4 address (the tunnel carries no IPv6)",
            ));
        }
        let is_odd = |octet: &u8| !(octet.is_ascii_alphanumeric() || b"-_.".contains(octet));
        if let Some(odd) = text.as_bytes().iter().position(is_odd) {
            return Err(Mistake::new(index + odd, "a letter, digit, '-', '_' or '.' of a host"));
        }
        if text.len() > LONGEST_NAME {
            return Err(Mistake::new(index + LONGEST_NAME, "a host of at most 253 octets"));
        }
        let mut start = index;
        for label in text.split('.') {
            if label.is_empty() {
                return Err(Mistake::new(start, "a name or an IPv4 address"));
            }
            if label.len() > LONGEST_LABEL {
                let end = start + LONGEST_LABEL;
                return Err(Mistake::new(end, "at most 63 octets between two dots"));
            }
            start += label.len() + 1;
        }
        // What ends in a number can be nothing but an address.
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_err() {
            return Err(Mistake::new(index, "four numbers of 0 to 255 in an IPv4 address"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = Mistake;

    /// # Errors
    /// The first octet that cannot be part of a host.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::parse_at(text, 0)
    }
}

/// A host and one of its ports: `www.example.net:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, 1 to 65535.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for HostPort {
    type Err = Mistake;

    /// # Errors
    /// The first octet that does not fit the form `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let Some((host, port)) = text.rsplit_once(':') else {
            Host::parse_at(text, 0)?;
            return Err(Mistake::new(text.len(), "':' and a port"));
        };
        let port_at = host.len() + 1;
        Ok(Self { host: Host::parse_at(host, 0)?, port: parse_port(port, port_at)? })
    }
}

/// An `http` or `https` URL without user information and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_secure: bool,
    host: Host,
    port: u16,
    target: String,
}

impl Url {
    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 80 or 443 where the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as a request has them (RFC 9112, section 3.2.1); the
    /// path begins with a slash.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the Host field has them (RFC 9110, section 7.2): the
    /// port only where it is not the usual one.
    pub fn authority(&self) -> String {
        match self.port == usual_port(self.is_secure) {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Where a redirect leads: the reference in a Location field, resolved
    /// against this URL (RFC 3986, section 5.2).
    ///
    /// # Errors
    /// The first octet that does not fit; of the resolved URL, where the
    /// reference alone is right.
    pub fn join(&self, reference: &[u8]) -> Result<Self, Mistake> {
        let mut written = String::with_capacity(reference.len());
        for octet in reference {
            match octet {
                b'!'..=b'~' => written.push(char::from(*octet)),
                _ => written.push_str(&format!("%{octet:02X}")),
            }
        }
        let base = self.to_string();
        let base = Uri::parse(base.as_str()).map_err(mistake)?;
        let reference = UriRef::parse(written.as_str()).map_err(mistake)?;
        let expected = "a reference that can be resolved";
        let joined = reference.resolve_against(&base).map_err(|_| Mistake::new(0, expected))?;
        joined.as_str().parse()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

impl FromStr for Url {
    type Err = Mistake;

    /// # Errors
    /// The first octet that does not fit.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let fits = |prefix: &str| {
            let pairs = text.bytes().zip(prefix.bytes());
            pairs.take_while(|(octet, wanted)| octet.eq_ignore_ascii_case(wanted)).count()
        };
        let (plain, secure) = (fits("http://"), fits("https://"));
        let is_secure = match (plain, secure) {
            (7, _) => false,
            (_, 8) => true,
            _ => return Err(Mistake::new(plain.max(secure), "http:// or https://")),
        };
        if text.len() > LONGEST_URL {
            return Err(Mistake::new(LONGEST_URL, "a URL of at most 8000 octets"));
        }
        let host_at = plain.max(secure);
        let authority = text[host_at..].split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Mistake::new(host_at, "a host without user information before it"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            // Not the port of an IPv6 address, which the host is refused for.
            Some((host, port)) if !host.contains(':') => {
                (host, parse_port(port, host_at + host.len() + 1))
            }
            _ => (authority, Ok(usual_port(is_secure))),
        };
        let host = Host::parse_at(host, host_at)?;
        let port = port?;
        let uri = Uri::parse(text).map_err(mistake)?;
        let slash = if uri.path().as_str().is_empty() { "/" } else { "" };
        let path = uri.path().as_str();
        let target = match uri.query() {
            Some(query) => format!("{slash}{path}?{query}"),
            None => format!("{slash}{path}"),
        };
        Ok(Self { is_secure, host, port, target })
    }
}

/// How much traffic is sent or fetched: a time or a number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// As much as fits into the time; 100 ms to an hour.
    Time(Duration),
    /// So many octets; 1 to 10^12.
    Octets(u64),
}

impl FromStr for Amount {
    type Err = Mistake;

    /// # Errors
    /// The first octet that does not fit; both forms are told.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        const FORMS: &str = "a time such as 5s or 2.5s, or octets such as 500kB, 10MB or 10MiB";
        let (number, end) = leading_number(text).ok_or(Mistake::new(0, FORMS))?;
        let octets = |unit: f64| {
            let octets = number * unit;
            let expected = "1B to 1000GB";
            match (1.0..=1e12).contains(&octets) {
                true => Ok(Self::Octets(octets as u64)),
                false => Err(Mistake::new(0, expected)),
            }
        };
        match &text[end..] {
            "s" if (0.1..=3_600.0).contains(&number) => {
                Ok(Self::Time(Duration::from_secs_f64(number)))
            }
            "s" => Err(Mistake::new(0, "0.1s to 3600s")),
            "B" => octets(1.0),
            "kB" => octets(1e3),
            "MB" => octets(1e6),
            "GB" => octets(1e9),
            "KiB" => octets(1024.0),
            "MiB" => octets(1024.0 * 1024.0),
            "GiB" => octets(1024.0 * 1024.0 * 1024.0),
            "" => Err(Mistake::new(end, "a unit: 5s is a time, 10MB or 10MiB are octets")),
            _ => Err(Mistake::new(end, "the unit s, B, kB, MB, GB, KiB, MiB or GiB")),
        }
    }
}

/// A list of durations, shortest first, each once; 1 s to 24 h each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations(Vec<Duration>);

impl Deref for Durations {
    type Target = [Duration];

    fn deref(&self) -> &[Duration] {
        &self.0
    }
}

impl FromStr for Durations {
    type Err = Mistake;

    /// # Errors
    /// The first octet that does not fit, or where a duration begins that is
    /// there already, too long or too short.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mut durations = Vec::new();
        let mut start = 0;
        for item in text.split(',') {
            if durations.len() == MOST_DURATIONS {
                return Err(Mistake::new(start, "at most 32 durations"));
            }
            let form = Mistake::new(start, "a duration such as 30, 60s, 2m or 1h");
            let (number, end) = leading_number(item).ok_or(form)?;
            let unit = match &item[end..] {
                "" | "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                _ => return Err(Mistake::new(start + end, "',' or the unit s, m or h")),
            };
            if !(1.0..=86_400.0).contains(&(number * unit)) {
                return Err(Mistake::new(start, "1s to 24h"));
            }
            let duration = Duration::from_secs_f64(number * unit);
            if durations.contains(&duration) {
                return Err(Mistake::new(start, "a duration that is not in the list yet"));
            }
            durations.push(duration);
            start += item.len() + 1;
        }
        durations.sort_unstable();
        Ok(Self(durations))
    }
}

fn usual_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

fn parse_port(text: &str, index: usize) -> Result<u16, Mistake> {
    const EXPECTED: &str = "a port of 1 to 65535";
    let odd = text.bytes().position(|octet| !octet.is_ascii_digit());
    if let Some(odd) = odd {
        return Err(Mistake::new(index + odd, EXPECTED));
    }
    text.parse().ok().filter(|port| *port > 0).ok_or(Mistake::new(index, EXPECTED))
}

/// A decimal number without sign and exponent, and the index of what follows.
fn leading_number(text: &str) -> Option<(f64, usize)> {
    let is_odd = |octet: u8| !(octet.is_ascii_digit() || octet == b'.');
    let end = text.bytes().position(is_odd).unwrap_or(text.len());
    text[..end].parse().ok().map(|number| (number, end))
}

fn mistake(error: ParseError) -> Mistake {
    let expected = match error.kind() {
        ParseErrorKind::InvalidPctEncodedOctet => "two hexadecimal digits behind '%'",
        _ => "a character that a URL may have; others are written as %XX",
    };
    Mistake::new(error.index(), expected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn mistake_in<T: FromStr<Err = Mistake>>(text: &str) -> (usize, &'static str) {
        let mistake = text.parse::<T>().err().unwrap_or_else(|| panic!("{text} was taken"));
        (mistake.at, mistake.expected)
    }

    #[test]
    fn a_url_has_its_parts() {
        let secure = url("HTTPS://WWW.Example.net:8443/a/b?c=d#e");
        assert!(secure.is_secure());
        assert_eq!(secure.host().as_str(), "www.example.net");
        assert_eq!(secure.port(), 8443);
        assert_eq!(secure.target(), "/a/b?c=d");
        assert_eq!(secure.to_string(), "https://www.example.net:8443/a/b?c=d");
        for (text, authority, target) in [
            ("http://10.0.0.1", "10.0.0.1", "/"),
            ("http://intranet:80?q", "intranet", "/?q"),
            ("https://a_b.example:443/", "a_b.example", "/"),
            ("https://a.example:80/%7e/?", "a.example:80", "/%7e/?"),
        ] {
            let url = url(text);
            assert_eq!((url.authority().as_str(), url.target()), (authority, target));
        }
        assert_eq!(url("http://10.0.0.1").host().address(), Some([10, 0, 0, 1].into()));
        assert_eq!(url("http://a10").host().address(), None);
    }

    #[test]
    fn a_url_with_a_mistake_is_refused_at_its_octet() {
        const SCHEME: &str = "http:// or https://";
        const HOST: &str = "a name or an IPv4 address";
        const LETTER: &str = "a letter, digit, '-', '_' or '.' of a host";
        const IPV6: &str = "a name or an IPv4 address (the tunnel carries no IPv6)";
        const IPV4: &str = "four numbers of 0 to 255 in an IPv4 address";
        const PORT: &str = "a port of 1 to 65535";
        const USER: &str = "a host without user information before it";
        const CHARACTER: &str = "a character that a URL may have; others are written as %XX";
        for (text, at, expected) in [
            ("", 1, SCHEME),
            ("www.example.net", 1, SCHEME),
            ("ftp://example.net/", 1, SCHEME),
            ("httpx://example.net/", 5, SCHEME),
            ("http:/example.net/", 7, SCHEME),
            ("https:", 7, SCHEME),
            ("http://", 8, HOST),
            ("http:///path", 8, HOST),
            ("http://:80/", 8, HOST),
            ("http://a..b/", 10, HOST),
            ("http://example.net./", 20, HOST),
            ("http://exa mple.net/", 11, LETTER),
            ("http://ex%61mple.net/", 10, LETTER),
            ("http://bücher.example/", 9, LETTER),
            ("http://[2001:db8::1]/", 8, IPV6),
            ("http://2001:db8::1/", 8, IPV6),
            ("http://10.0.0.256/", 8, IPV4),
            ("http://10.0.1/", 8, IPV4),
            ("http://010.0.0.1/", 8, IPV4),
            ("http://1/", 8, IPV4),
            ("http://a:/", 10, PORT),
            ("http://a:0/", 10, PORT),
            ("http://a:65536/", 10, PORT),
            ("http://a:8o/", 11, PORT),
            ("http://user:secret@a/", 8, USER),
            ("http://a/b c", 11, CHARACTER),
            ("http://a/b?\u{fc}", 12, CHARACTER),
            ("http://a/#b#", 12, CHARACTER),
            ("http://a/%4", 10, "two hexadecimal digits behind '%'"),
        ] {
            assert_eq!(mistake_in::<Url>(text), (at, expected), "{text}");
        }
        let long = |length: usize| format!("http://a/{}", "b".repeat(length - 9));
        assert!(long(8_000).parse::<Url>().is_ok());
        assert_eq!(mistake_in::<Url>(&long(8_001)), (8_001, "a URL of at most 8000 octets"));
        let label = format!("http://{}.example/", "a".repeat(64));
        assert_eq!(mistake_in::<Url>(&label), (71, "at most 63 octets between two dots"));
        let name = "a.".repeat(127);
        assert_eq!(mistake_in::<Host>(&name), (254, "a host of at most 253 octets"));
        let text = mistake(UriRef::parse("a b").unwrap_err()).to_string();
        assert_eq!(text, format!("at octet 2: expected {CHARACTER}"));
    }

    /// The examples of RFC 3986, sections 5.4.1 and 5.4.2, whose result is a URL.
    #[test]
    fn references_resolve_as_in_the_rfc() {
        let base = url("http://a/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            let joined = base.join(reference.as_bytes()).unwrap();
            assert_eq!(joined.to_string(), expected, "{reference}");
        }
    }

    #[test]
    fn a_sloppy_redirect_is_followed_and_a_foreign_one_is_not() {
        let base = url("https://a.example:8443/x");
        let joined = |reference: &[u8]| base.join(reference);
        let sloppy = joined("/b c/\u{fc}?\u{fc}".as_bytes()).unwrap();
        assert_eq!(sloppy.to_string(), "https://a.example:8443/b%20c/%C3%BC?%C3%BC");
        assert_eq!(joined(b"\xff").unwrap().target(), "/%FF");
        assert_eq!(joined(b"http://b").unwrap().to_string(), "http://b/");
        assert_eq!(joined(b"mailto:a@example.net").unwrap_err().expected, "http:// or https://");
        assert_eq!(joined(b"//u:p@b/").unwrap_err().at, 9);
        assert_eq!(joined(b"/%").unwrap_err().at, 2);
        assert_eq!(joined(b"1:2").unwrap_err().at, 1);
    }

    #[test]
    fn host_and_port() {
        let pair: HostPort = "Mail.Example.net:25".parse().unwrap();
        assert_eq!(pair.to_string(), "mail.example.net:25");
        for (text, at, expected) in [
            ("", 1, "a name or an IPv4 address"),
            ("mail", 5, "':' and a port"),
            ("mail:", 6, "a port of 1 to 65535"),
            ("mail:smtp", 6, "a port of 1 to 65535"),
            ("mail:25 ", 8, "a port of 1 to 65535"),
            (":25", 1, "a name or an IPv4 address"),
            ("ma/il:25", 3, "a letter, digit, '-', '_' or '.' of a host"),
            ("::1:25", 1, "a name or an IPv4 address (the tunnel carries no IPv6)"),
            ("[::1]:25", 1, "a name or an IPv4 address (the tunnel carries no IPv6)"),
        ] {
            assert_eq!(mistake_in::<HostPort>(text), (at, expected), "{text}");
        }
    }

    #[test]
    fn amounts_are_times_or_octets() {
        for (text, millis) in [("5s", 5_000), ("2.5s", 2_500), (".1s", 100), ("3600s", 3_600_000)] {
            assert_eq!(text.parse(), Ok(Amount::Time(Duration::from_millis(millis))), "{text}");
        }
        for (text, octets) in [
            ("1B", 1),
            ("500kB", 500_000),
            ("10MB", 10_000_000),
            ("1.5MB", 1_500_000),
            ("10MiB", 10_485_760),
            ("1KiB", 1_024),
            ("1GiB", 1_073_741_824),
            ("1000GB", 1_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Amount::Octets(octets)), "{text}");
        }
    }

    #[test]
    fn an_amount_with_a_mistake_is_refused_at_its_octet() {
        const FORMS: &str = "a time such as 5s or 2.5s, or octets such as 500kB, 10MB or 10MiB";
        const UNIT: &str = "the unit s, B, kB, MB, GB, KiB, MiB or GiB";
        for (text, at, expected) in [
            ("", 1, FORMS),
            ("s", 1, FORMS),
            ("-5s", 1, FORMS),
            ("1.2.3s", 1, FORMS),
            ("inf", 1, FORMS),
            ("10", 3, "a unit: 5s is a time, 10MB or 10MiB are octets"),
            ("10mb", 3, UNIT),
            ("5 s", 2, UNIT),
            ("5e3s", 2, UNIT),
            ("10MBit", 3, UNIT),
            ("0s", 1, "0.1s to 3600s"),
            ("3601s", 1, "0.1s to 3600s"),
            ("0.5B", 1, "1B to 1000GB"),
            ("1001GB", 1, "1B to 1000GB"),
        ] {
            assert_eq!(mistake_in::<Amount>(text), (at, expected), "{text}");
        }
    }

    #[test]
    fn durations_are_sorted() {
        let durations: Durations = "30,1h,60s,1.5m,2".parse().unwrap();
        assert_eq!(durations.to_vec(), [2, 30, 60, 90, 3_600].map(Duration::from_secs));
        let longest: Durations = "24h".parse().unwrap();
        assert_eq!(longest.to_vec(), [Duration::from_secs(86_400)]);
    }

    #[test]
    fn durations_with_a_mistake_are_refused_at_its_octet() {
        const FORM: &str = "a duration such as 30, 60s, 2m or 1h";
        for (text, at, expected) in [
            ("", 1, FORM),
            ("30,", 4, FORM),
            ("30,,60", 4, FORM),
            ("30, 60", 4, FORM),
            ("30,60x", 6, "',' or the unit s, m or h"),
            ("30;60", 3, "',' or the unit s, m or h"),
            ("30,60,1m", 7, "a duration that is not in the list yet"),
            ("30,0.5", 4, "1s to 24h"),
            ("30,24.1h", 4, "1s to 24h"),
        ] {
            assert_eq!(mistake_in::<Durations>(text), (at, expected), "{text}");
        }
        let list = |count: usize| {
            (1..=count).map(|second| second.to_string()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(list(32).parse::<Durations>().map(|durations| durations.len()), Ok(32));
        assert_eq!(mistake_in::<Durations>(&list(33)), (88, "at most 32 durations"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_within_it(text in "(https?://)?\\PC{0,40}") {
            let within = |at: usize| (1..=text.len() + 1).contains(&at);
            if let Err(mistake) = text.parse::<HostPort>() { prop_assert!(within(mistake.at)); }
            if let Err(mistake) = text.parse::<Amount>() { prop_assert!(within(mistake.at)); }
            if let Err(mistake) = text.parse::<Durations>() { prop_assert!(within(mistake.at)); }
            match text.parse::<Url>() {
                Err(mistake) => prop_assert!(within(mistake.at)),
                Ok(url) => prop_assert_eq!(url.to_string().parse::<Url>(), Ok(url)),
            }
        }

        #[test]
        fn any_reference_is_resolved_or_refused(reference in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(joined) = url("http://a/b").join(&reference) {
                prop_assert_eq!(joined.to_string().parse::<Url>(), Ok(joined));
            }
        }
    }
}
