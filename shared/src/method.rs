//! The words an operator uses for authentication methods and for MPPE, and
//! what they allow. Plain values: the negotiation itself lives in `proto`.

use std::fmt;
use std::str::FromStr;

/// A way for the caller to prove who it is, as `--auth-method` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// No authentication at all.
    None,
    /// Password in the clear (RFC 1334).
    Pap,
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// MS-CHAP, version 1 (RFC 2433).
    MsChapV1,
    /// MS-CHAP, version 2 (RFC 2759).
    MsChapV2,
    /// EAP with MD5-Challenge (RFC 3748, section 5.4).
    EapMd5,
    /// EAP with MS-CHAPv2 inside (EAP type 26).
    EapMsChapV2,
}

impl Method {
    /// Every method, weakest first.
    pub const ALL: &'static [Self] = &[
        Self::None,
        Self::Pap,
        Self::ChapMd5,
        Self::MsChapV1,
        Self::MsChapV2,
        Self::EapMd5,
        Self::EapMsChapV2,
    ];

    /// The word on the command line and in every output.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pap => "pap",
            Self::ChapMd5 => "chap",
            Self::MsChapV1 => "mschapv1",
            Self::MsChapV2 => "mschapv2",
            Self::EapMd5 => "eap-md5",
            Self::EapMsChapV2 => "eap-mschapv2",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Method {
    type Err = String;

    /// # Errors
    /// A sentence that lists the known words.
    fn from_str(text: &str) -> Result<Self, String> {
        match Self::ALL.iter().find(|method| method.word() == text) {
            Some(method) => Ok(*method),
            None => {
                let known: Vec<_> = Self::ALL.iter().map(|method| method.word()).collect();
                Err(format!("unknown method; known are {}", known.join(" ")))
            }
        }
    }
}

/// Which encryption a run accepts (RFC 3078), as `--mppe` names it. At least
/// one of `allow_none` and the three lengths is set, and with any length at
/// least one of the two modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MppePolicy {
    /// A session without encryption is fine.
    pub allow_none: bool,
    /// 40-bit keys are fine.
    pub bits40: bool,
    /// 56-bit keys are fine.
    pub bits56: bool,
    /// 128-bit keys are fine.
    pub bits128: bool,
    /// A key change for every packet is fine.
    pub stateless: bool,
    /// A key change every 256 packets, with resets on loss, is fine.
    pub stateful: bool,
}

impl MppePolicy {
    /// Everything is fine, no encryption included.
    pub const ANY: Self = Self {
        allow_none: true,
        bits40: true,
        bits56: true,
        bits128: true,
        stateless: true,
        stateful: true,
    };

    /// Whether some key length is fine.
    pub fn allows_encryption(self) -> bool {
        self.bits40 || self.bits56 || self.bits128
    }
}

impl Default for MppePolicy {
    fn default() -> Self {
        Self::ANY
    }
}

impl FromStr for MppePolicy {
    type Err = String;

    /// Reads a list such as `128`, `40,128,stateful`, `none` or `any`. Without
    /// `stateless` or `stateful` both are fine.
    ///
    /// # Errors
    /// A sentence that names the word that is wrong or missing.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut policy = Self {
            allow_none: false,
            bits40: false,
            bits56: false,
            bits128: false,
            stateless: false,
            stateful: false,
        };
        for word in text.split(',') {
            match word {
                "none" => policy.allow_none = true,
                "40" => policy.bits40 = true,
                "56" => policy.bits56 = true,
                "128" => policy.bits128 = true,
                "stateless" => policy.stateless = true,
                "stateful" => policy.stateful = true,
                "any" => {
                    policy.allow_none = true;
                    policy.bits40 = true;
                    policy.bits56 = true;
                    policy.bits128 = true;
                }
                _ => {
                    return Err(format!(
                        "'{word}' is none of none 40 56 128 any stateless stateful"
                    ));
                }
            }
        }
        let mode_given = policy.stateless || policy.stateful;
        match (policy.allows_encryption(), mode_given) {
            (true, false) => {
                policy.stateless = true;
                policy.stateful = true;
                Ok(policy)
            }
            (true, true) => Ok(policy),
            (false, true) => Err("stateless and stateful need a key length: 40, 56 or 128".into()),
            (false, false) => Ok(policy),
        }
    }
}

/// The spelling that reads back as the same policy.
impl fmt::Display for MppePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = self.stateless && self.stateful;
        let words = [
            (self.allow_none, "none"),
            (self.bits40, "40"),
            (self.bits56, "56"),
            (self.bits128, "128"),
            (self.stateless && !both, "stateless"),
            (self.stateful && !both, "stateful"),
        ];
        let chosen: Vec<_> = words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        f.write_str(&chosen.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_reads_back_its_word() {
        for method in Method::ALL {
            assert_eq!(method.word().parse(), Ok(*method));
        }
    }

    #[test]
    fn unknown_method_lists_the_known_ones() {
        let error = "chapv9".parse::<Method>().unwrap_err();
        assert_eq!(
            error,
            "unknown method; known are none pap chap mschapv1 mschapv2 eap-md5 eap-mschapv2"
        );
    }

    #[test]
    fn mppe_any_allows_everything() {
        assert_eq!("any".parse(), Ok(MppePolicy::ANY));
    }

    #[test]
    fn mppe_length_alone_allows_both_modes_and_requires_encryption() {
        let policy: MppePolicy = "128".parse().unwrap();
        assert!(policy.bits128 && policy.stateless && policy.stateful);
        assert!(!policy.allow_none && !policy.bits40 && !policy.bits56);
    }

    #[test]
    fn mppe_none_excludes_encryption() {
        let policy: MppePolicy = "none".parse().unwrap();
        assert!(policy.allow_none && !policy.allows_encryption());
        assert!(!policy.stateless && !policy.stateful);
    }

    #[test]
    fn mppe_mode_restricts() {
        let policy: MppePolicy = "40,128,stateful".parse().unwrap();
        assert!(policy.bits40 && policy.bits128 && policy.stateful);
        assert!(!policy.stateless && !policy.bits56 && !policy.allow_none);
    }

    #[test]
    fn mppe_mode_without_length_is_refused() {
        for text in ["stateless", "none,stateful", "stateless,stateful"] {
            assert!(text.parse::<MppePolicy>().unwrap_err().contains("key length"), "{text}");
        }
    }

    #[test]
    fn mppe_unknown_word_is_named() {
        for (text, word) in [("129", "'129'"), ("", "''"), ("40,", "''"), ("128 ", "'128 '")] {
            assert!(text.parse::<MppePolicy>().unwrap_err().starts_with(word), "{text}");
        }
    }

    #[test]
    fn mppe_display_reads_back() {
        for text in ["none", "128", "none,40,56,128", "40,stateful", "56,128,stateless"] {
            let policy: MppePolicy = text.parse().unwrap();
            assert_eq!(policy.to_string(), text);
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }
}
