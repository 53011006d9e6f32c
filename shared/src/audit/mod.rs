//! Settings of a gateway's host that make sessions drop "at random" or weaken
//! them: facts under a root directory to findings. Nothing is changed, nothing
//! is guessed: what could not be read is [`known::Known::Unread`] and becomes
//! no finding but a remark on how to let it be read.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`known`] | a fact, that it is not there, or why it could not be read |
//! | [`facts`] | all facts about a host |
//! | [`collect`] | a tree of what the facts are read from, for another host |
//! | [`manifest`] | what such a tree says of itself |
//! | [`firewall`] | what a ruleset of nft or iptables does with PPTP |
//! | [`finding`] | a finding, and what every rule has |
//! | [`rules`] | the catalogue of rules, and the audit that asks each |

pub mod collect;
mod command;
pub mod facts;
pub mod finding;
pub mod firewall;
pub mod known;
pub mod manifest;
pub mod rules;
mod sources;
