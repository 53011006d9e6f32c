//! What can be said to a lab that runs, as one line of text: on standard input
//! or through its control socket.

use std::str::FromStr;

use super::faults::Fault;

/// Longest line in octets.
pub const MAX_LINE: usize = 1024;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Switch a fault on.
    Fault(Fault),
    /// Switch the fault of this name off, or all.
    Clear(Option<String>),
    /// List the faults in force.
    Faults,
    /// List the callers.
    Sessions,
    /// End the lab.
    Quit,
}

impl FromStr for Command {
    type Err = String;

    /// # Errors
    /// A sentence that names what is wrong.
    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["fault", fault] => fault.parse().map(Self::Fault),
            ["clear"] => Ok(Self::Clear(None)),
            ["clear", name] => Ok(Self::Clear(Some(name.to_string()))),
            ["faults"] => Ok(Self::Faults),
            ["sessions"] => Ok(Self::Sessions),
            ["quit"] => Ok(Self::Quit),
            _ => {
                Err("commands are: fault NAME[=VALUE], clear [NAME], faults, sessions, quit".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read() {
        for (line, command) in [
            ("fault gre-lost-in", Command::Fault(Fault::GreLostIn)),
            (" clear  gre-lost-in\r\n", Command::Clear(Some("gre-lost-in".into()))),
            ("clear", Command::Clear(None)),
            ("faults", Command::Faults),
            ("sessions", Command::Sessions),
            ("quit", Command::Quit),
        ] {
            assert_eq!(line.parse(), Ok(command));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert!("fault x".parse::<Command>().unwrap_err().contains("'x'"));
        for line in ["", "fault", "quit now", "Fault banner"] {
            assert!(line.parse::<Command>().unwrap_err().starts_with("commands are"), "{line}");
        }
    }
}
