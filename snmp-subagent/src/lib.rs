//! How probe results are numbered in the PPTP MIBs.
//!
//! Phases and reasons have one number each, for ever; `mibs/` gives the same
//! numbers to every SNMP manager. The tests hold the two against each other.

/// Root of everything in `mibs/`, under NET-SNMP's netSnmpPlaypen
/// (1.3.6.1.4.1.8072.9999.9999), which is meant for private use.
pub const ROOT: [u32; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723];

/// The label of a word in an SMIv2 enumeration (RFC 2578, section 7.1.1):
/// letters and digits only, so `gre_inbound_silent` becomes `greInboundSilent`.
pub fn label(word: &str) -> String {
    let mut label = String::with_capacity(word.len());
    let mut upper = false;
    for letter in word.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                label.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => label.push(letter),
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use pptp_probe::reason::{Phase, Reason};

    const CONVENTIONS: &str = include_str!("../../mibs/PPTP-PROBE-TC-MIB.txt");

    /// The enumeration of a textual convention: labels and numbers in order.
    fn enumeration(name: &str) -> Vec<(String, u8)> {
        let (_, rest) = CONVENTIONS.split_once(&format!("{name} ::= TEXTUAL-CONVENTION")).unwrap();
        let (_, rest) = rest.split_once("INTEGER {").unwrap();
        let (list, _) = rest.split_once('}').unwrap();
        list.split(',')
            .map(|item| {
                let (label, number) = item.trim().trim_end_matches(')').split_once('(').unwrap();
                (label.to_owned(), number.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn phases_have_the_numbers_of_the_mib() {
        let ours: Vec<_> = Phase::ALL.iter().map(|p| (label(p.word()), p.number())).collect();
        assert_eq!(enumeration("PptpProbePhase"), ours);
    }

    #[test]
    fn reasons_have_the_numbers_of_the_mib() {
        let ours: Vec<_> = Reason::ALL.iter().map(|r| (label(r.word()), r.number())).collect();
        assert_eq!(enumeration("PptpProbeReason"), ours);
    }

    #[test]
    fn the_mib_hangs_below_the_root() {
        let arcs: Vec<String> = ROOT[6..].iter().map(u32::to_string).collect();
        assert!(CONVENTIONS.contains(&format!("{{ enterprises {} 3 }}", arcs.join(" "))));
    }
}
