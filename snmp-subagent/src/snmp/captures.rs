//! What Net-SNMP's tools and daemons said to each other, and the configuration
//! that they had.

use pptp_probe::secret::Secret;

use crate::config::{self, Auth, Privacy, SecretFile};

const EXCHANGES: &str = include_str!("captures/net-snmp.txt");

/// snmpEngineID of the snmpd.
pub(super) const SNMPD: &str = "80001f880501020304050607ff";

/// One message.
pub(super) struct Line {
    /// Of its exchange.
    pub(super) name: &'static str,
    /// Whether the tool said it.
    pub(super) is_question: bool,
    pub(super) octets: Vec<u8>,
}

/// All messages, in the order in which they were sent.
pub(super) fn lines() -> impl Iterator<Item = Line> {
    EXCHANGES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        let [name, direction, digits] = fields[..] else { panic!("{line}") };
        let octets = (0..digits.len()).step_by(2);
        let octets = octets.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        Line { name, is_question: direction == ">", octets: octets.collect() }
    })
}

/// The messages of one exchange.
pub(super) fn exchange(name: &str) -> Vec<Vec<u8>> {
    let found: Vec<_> = lines().filter(|line| line.name == name).map(|line| line.octets).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

/// The users of the daemons.
pub(super) fn users() -> Vec<config::User> {
    let mut users = vec![
        user("none", Auth::None, None, None),
        user("signed", Auth::Sha256, Some("authpass1"), None),
    ];
    let auth = [Auth::Sha1, Auth::Sha224, Auth::Sha256, Auth::Sha384, Auth::Sha512];
    users.extend(
        auth.map(|auth| user(&auth.to_string(), auth, Some("authpass1"), Some("privpass1"))),
    );
    users
}

pub(super) fn user(
    name: &str,
    auth: Auth,
    auth_password: Option<&str>,
    priv_password: Option<&str>,
) -> config::User {
    let file = |password: &str| SecretFile {
        path: "password".into(),
        secret: Secret::new(password.as_bytes().to_vec()),
    };
    config::User {
        name: name.into(),
        auth,
        auth_password_file: auth_password.map(file),
        privacy: if priv_password.is_some() { Privacy::Aes128 } else { Privacy::None },
        priv_password_file: priv_password.map(file),
    }
}
