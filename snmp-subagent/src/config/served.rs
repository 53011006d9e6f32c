//! How much is served beside the sessions themselves: their history, sums by
//! user and subnet, and Prometheus.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::text::{Fields, Visitor, any, between, named};
use super::{DAY, LONGEST_TEXT, MINUTE, Network, YEAR};

/// `[history]`: sessions that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// How many are kept, up to 65536.
    pub rows: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { rows: 256 }
    }
}

impl Fields for History {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("rows", &mut self.rows, between(0, 65_536));
    }
}

/// `[users]`: what is kept of each user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    /// Users that are kept, up to 1000000.
    pub rows: u32,
    /// Who was not seen for so long is forgotten; 1 min to 366 days.
    pub forget: Duration,
    /// Mebibytes in both directions that a user may use.
    pub quota: BTreeMap<String, u32>,
}

impl Default for Users {
    fn default() -> Self {
        Self { rows: 10_000, forget: DAY, quota: BTreeMap::new() }
    }
}

impl Fields for Users {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("rows", &mut self.rows, between(0, 1_000_000));
        visitor.value("forget", &mut self.forget, between(MINUTE, YEAR));
        visitor.value("quota", &mut self.quota, |quota| {
            quota.keys().try_for_each(named(LONGEST_TEXT))
        });
    }
}

/// `[subnets]`: what is kept of each network that callers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnets {
    /// The length of their prefix, 1 to 32.
    pub prefix_v4: u8,
    /// Subnets that are kept, up to 1000000.
    pub rows: u32,
    /// What was not seen for so long is forgotten; 1 min to 366 days.
    pub forget: Duration,
    /// Mebibytes in both directions that a subnet may use.
    pub quota: BTreeMap<Network, u32>,
}

impl Default for Subnets {
    fn default() -> Self {
        Self { prefix_v4: 24, rows: 10_000, forget: DAY, quota: BTreeMap::new() }
    }
}

impl Fields for Subnets {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("prefix_v4", &mut self.prefix_v4, between(1, 32));
        visitor.value("rows", &mut self.rows, between(0, 1_000_000));
        visitor.value("forget", &mut self.forget, between(MINUTE, YEAR));
        visitor.value("quota", &mut self.quota, any);
    }

    fn check(&self) -> Result<(), String> {
        let is_other =
            |network: &&Network| network.address.is_ipv6() || network.length != self.prefix_v4;
        match self.quota.keys().find(is_other) {
            Some(network) => Err(format!(
                "has a quota for {network}, but its subnets are IPv4 with a prefix of {}",
                self.prefix_v4
            )),
            None => Ok(()),
        }
    }
}

/// `[metrics]`: the page for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// TCP address that it is served on; nothing for not at all.
    pub listen: Option<SocketAddr>,
    /// Whether users are told by name.
    pub users: bool,
    /// How many of them at most, up to 100000.
    pub max_users: u32,
    /// Runs for `/probe` at one time, up to 512.
    pub max_probes: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: None, users: false, max_users: 100, max_probes: 32 }
    }
}

impl Fields for Metrics {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value_such_as("listen", &mut self.listen, "\"127.0.0.1:9723\"", any);
        visitor.value("users", &mut self.users, any);
        visitor.value("max_users", &mut self.max_users, between(1, 100_000));
        visitor.value("max_probes", &mut self.max_probes, between(1, 512));
    }
}
