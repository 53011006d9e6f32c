//! `--extra-opts[=[SECTION][@FILE]]`: arguments from an ini file, as the
//! Monitoring Plugins read them.
//!
//! Without a section the program's own name is taken; without a file
//! `$MP_CONFIG_FILE`, then the known names in the directories of
//! `$NAGIOS_CONFIG_PATH`, then the usual places. A line `option = value`
//! becomes `--option=value`, `option =` becomes `--option`, and a key of one
//! letter gets one hyphen. All of them stand before the arguments of the
//! command line, which therefore have the last word. A section may stand in a
//! file several times and needs at least one option.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Timeout, raw_option};
use crate::secret::{Unread, read_bounded};

/// Longest ini file that is read, in octets.
const LONGEST_FILE: usize = 1024 * 1024;

/// Names that are looked for in the directories of `$NAGIOS_CONFIG_PATH`.
const NAMES: [&str; 3] = ["monitoring-plugins.ini", "plugins.ini", "nagios-plugins.ini"];

/// The usual places, in their order.
const PLACES: [&str; 11] = [
    "/usr/local/etc/monitoring-plugins/monitoring-plugins.ini",
    "/usr/local/etc/monitoring-plugins.ini",
    "/etc/monitoring-plugins/monitoring-plugins.ini",
    "/etc/monitoring-plugins.ini",
    "/etc/nagios/plugins.ini",
    "/usr/local/nagios/etc/plugins.ini",
    "/usr/local/etc/nagios/plugins.ini",
    "/etc/opt/nagios/plugins.ini",
    "/etc/nagios-plugins.ini",
    "/usr/local/etc/nagios-plugins.ini",
    "/etc/opt/nagios-plugins.ini",
];

/// Replaces every `--extra-opts` by what it stands for. A pipe is waited for
/// until the deadline of a run that began at `started`, as far as the
/// arguments say it.
///
/// # Errors
/// A sentence for a file or section that is missing or cannot be read.
pub(crate) fn expand(
    argv: &mut Vec<OsString>,
    program: &str,
    started: Instant,
) -> Result<(), Unread> {
    let is_extra = |argument: &OsString| argument.as_bytes().starts_with(b"--extra-opts");
    if !argv.iter().any(is_extra) {
        return Ok(());
    }
    let places = Places {
        file: std::env::var_os("MP_CONFIG_FILE"),
        directories: std::env::var_os("NAGIOS_CONFIG_PATH"),
    };
    let timeout: Timeout = raw_option(argv, b't', "timeout").unwrap_or_default();
    *argv = expand_with(argv.clone(), program, &places, started + timeout.duration)?;
    Ok(())
}

/// What the environment says about the default file.
#[derive(Default)]
struct Places {
    file: Option<OsString>,
    directories: Option<OsString>,
}

impl Places {
    fn default_file(&self) -> Option<PathBuf> {
        if let Some(file) = &self.file {
            return Some(PathBuf::from(file));
        }
        let directories = self.directories.as_deref().unwrap_or_default().as_bytes();
        let directories = directories.split(|octet| *octet == b':').filter(|part| !part.is_empty());
        let named = directories.flat_map(|directory| {
            NAMES.map(|name| Path::new(OsStr::from_bytes(directory)).join(name))
        });
        named.chain(PLACES.map(PathBuf::from)).find(|path| path.exists())
    }
}

fn expand_with(
    argv: Vec<OsString>,
    program: &str,
    places: &Places,
    deadline: Instant,
) -> Result<Vec<OsString>, Unread> {
    let mut given = argv.into_iter().peekable();
    let mut expanded: Vec<OsString> = given.next().into_iter().collect();
    let mut others = Vec::new();
    while let Some(argument) = given.next() {
        let locator = match argument.as_bytes().strip_prefix(b"--extra-opts") {
            Some(b"") => given.next_if(|next| !is_option(next)).unwrap_or_default(),
            Some([b'=', locator @ ..]) => OsStr::from_bytes(locator).to_owned(),
            _ => {
                others.push(argument);
                continue;
            }
        };
        expanded.extend(options_at(locator.as_bytes(), program, places, deadline)?);
    }
    expanded.append(&mut others);
    Ok(expanded)
}

/// One or two hyphens make an option; a value may begin with more.
fn is_option(argument: &OsString) -> bool {
    let hyphens = argument.as_bytes().iter().take_while(|octet| **octet == b'-').count();
    matches!(hyphens, 1 | 2)
}

fn options_at(
    locator: &[u8],
    program: &str,
    places: &Places,
    deadline: Instant,
) -> Result<Vec<OsString>, Unread> {
    let (section, file) = match locator.iter().position(|octet| *octet == b'@') {
        Some(at) => {
            let file = OsStr::from_bytes(&locator[at + 1..]);
            (&locator[..at], Some(PathBuf::from(file)))
        }
        None => (locator, places.default_file()),
    };
    let section = if section.is_empty() { program.as_bytes() } else { section };
    let file = file.filter(|file| !file.as_os_str().is_empty());
    let none = || "cannot find config file in any standard location".to_owned();
    let file = file.ok_or_else(none)?;
    let shown = file.display();
    let text = read_bounded(&file, LONGEST_FILE, deadline);
    let text = text.map_err(|unread| unread.of(&format!("can't read config file '{shown}'")))?;
    if text.len() > LONGEST_FILE {
        return Err(format!("config file '{shown}' is longer than 1 MiB").into());
    }
    let options = parse(&text, section)
        .map_err(|line| format!("config file error in '{shown}', line {line}"))?;
    if options.is_empty() {
        let section = String::from_utf8_lossy(section);
        return Err(format!("invalid section '{section}' in config file '{shown}'").into());
    }
    Ok(options)
}

/// The options of a section; the error is the number of the line that is
/// none.
fn parse(text: &[u8], section: &[u8]) -> Result<Vec<OsString>, usize> {
    let mut options = Vec::new();
    // Nothing may stand before the first section.
    let mut inside: Option<bool> = None;
    for (index, line) in text.split(|octet| *octet == b'\n').enumerate() {
        let mut line = trim(line);
        if let Some(header) = line.strip_prefix(b"[") {
            let rest = rest_of_header(header, section);
            inside = Some(rest.is_some());
            // An option may stand on the line of its section.
            line = rest.unwrap_or_default();
        }
        if line.is_empty() || line.starts_with(b";") || line.starts_with(b"#") {
            continue;
        }
        match inside {
            None => return Err(index + 1),
            Some(false) => {}
            Some(true) => options.push(option(line).ok_or(index + 1)?),
        }
    }
    Ok(options)
}

/// What stands behind `section ]` if the header is that of the section.
fn rest_of_header<'a>(header: &'a [u8], section: &[u8]) -> Option<&'a [u8]> {
    let rest = trim(header).strip_prefix(section)?;
    trim(rest).strip_prefix(b"]").map(trim)
}

fn option(line: &[u8]) -> Option<OsString> {
    let equals = line.iter().position(|octet| *octet == b'=')?;
    let (key, value) = (trim(&line[..equals]), trim(&line[equals + 1..]));
    if key.is_empty() {
        return None;
    }
    let mut option = if key.len() == 1 { b"-".to_vec() } else { b"--".to_vec() };
    option.extend_from_slice(key);
    if !value.is_empty() {
        option.push(b'=');
        option.extend_from_slice(value);
    }
    Some(OsString::from_vec(option))
}

/// White space as C's `isspace` has it, which includes the vertical tab.
fn trim(text: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|octet| !is_space(octet)).unwrap_or(text.len());
    let end = text.iter().rposition(|octet| !is_space(octet)).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INI: &[u8] = b"# comment\n; comment\n\n[section]\none=two\n  Foo = Bar  \n\
        this=Your Mother!\nblank=\n\n[Section Two]\nsomething else=blah\r\n remove = white space \t\n\
        [ padded ]\nu=admin\na=\n[section]\nlast=1\n[inline] x = y=z\n[empty]\n";

    fn options(section: &str) -> Vec<String> {
        let options = parse(INI, section.as_bytes()).unwrap();
        options.into_iter().map(|option| option.into_string().unwrap()).collect()
    }

    struct Ini(PathBuf);

    impl Ini {
        fn new(name: &str) -> Self {
            let name = format!("pptp-probe-ini-{}-{name}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join("plugins.ini"), INI).unwrap();
            Self(directory)
        }

        fn file(&self) -> String {
            self.0.join("plugins.ini").display().to_string()
        }
    }

    impl Drop for Ini {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn expanded(argv: &[&str], places: &Places) -> Result<Vec<String>, String> {
        let argv = argv.iter().map(OsString::from).collect();
        let expanded = expand_with(argv, "padded", places, Instant::now());
        let expanded = expanded.map_err(|unread| unread.text)?;
        Ok(expanded.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn options_of_a_section_become_arguments() {
        let section = ["--one=two", "--Foo=Bar", "--this=Your Mother!", "--blank", "--last=1"];
        assert_eq!(options("section"), section);
        assert_eq!(options("Section Two"), ["--something else=blah", "--remove=white space"]);
        assert_eq!(options("padded"), ["-u=admin", "-a"]);
        assert_eq!(options("inline"), ["-x=y=z"]);
    }

    #[test]
    fn a_section_is_not_a_prefix_of_another() {
        assert!(options("sect").is_empty());
        assert!(options("section2").is_empty());
        assert!(options("empty").is_empty());
    }

    #[test]
    fn lines_that_are_no_options_are_named_by_number() {
        for (text, line) in
            [(&b"root=1\n[a]\nb=c"[..], 1), (b"[a]\nflag\n", 2), (b"[a]\n\n = value\n", 3)]
        {
            assert_eq!(parse(text, b"a"), Err(line));
        }
        assert_eq!(parse(b"[other]\nflag\n[a]\nb=c", b"a"), Ok(vec!["-b=c".into()]));
    }

    #[test]
    fn arguments_from_the_file_stand_before_the_others() {
        let ini = Ini::new("order");
        let (own, two) =
            (format!("--extra-opts=@{}", ini.file()), format!("Section Two@{}", ini.file()));
        let argv = ["check", "-v", &own, "--extra-opts", &two, "-p", "1"];
        assert_eq!(
            expanded(&argv, &Places::default()).unwrap(),
            [
                "check",
                "-u=admin",
                "-a",
                "--something else=blah",
                "--remove=white space",
                "-v",
                "-p",
                "1"
            ]
        );
    }

    #[test]
    fn without_a_value_the_environment_names_the_file() {
        let ini = Ini::new("places");
        let by_file = Places { file: Some(ini.file().into()), directories: None };
        let path = format!("/nonexistent::{}", ini.0.display());
        let by_path = Places { file: None, directories: Some(path.into()) };
        for places in [by_file, by_path] {
            let expected = ["check", "-u=admin", "-a", "-v"];
            assert_eq!(expanded(&["check", "--extra-opts", "-v"], &places).unwrap(), expected);
            assert_eq!(expanded(&["check", "-v", "--extra-opts"], &places).unwrap(), expected);
            assert_eq!(
                expanded(&["check", "--extra-opts=inline"], &places).unwrap(),
                ["check", "-x=y=z"]
            );
        }
    }

    #[test]
    fn missing_file_and_section_are_named() {
        let ini = Ini::new("missing");
        let error =
            |locator: &str| expanded(&["check", "--extra-opts", locator], &Places::default());
        assert_eq!(
            error(&format!("none@{}", ini.file())).unwrap_err(),
            format!("invalid section 'none' in config file '{}'", ini.file())
        );
        assert_eq!(
            error("a@/nonexistent.ini").unwrap_err(),
            "can't read config file '/nonexistent.ini': No such file or directory"
        );
        assert_eq!(error("a@").unwrap_err(), "cannot find config file in any standard location");
    }

    #[test]
    fn a_set_but_empty_file_variable_finds_nothing() {
        let places = Places { file: Some(OsString::new()), directories: None };
        let error = expanded(&["check", "--extra-opts"], &places).unwrap_err();
        assert_eq!(error, "cannot find config file in any standard location");
    }

    #[test]
    fn other_arguments_stay_as_they_are() {
        let argv = ["check", "--extra-optsy", "--", "-x", "---y"];
        assert_eq!(expanded(&argv, &Places::default()).unwrap(), argv);
        assert_eq!(expanded(&[], &Places::default()).unwrap(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_file_is_parsed_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(options) = parse(&text, b"a") {
                prop_assert!(options.iter().all(|option| option.as_bytes().starts_with(b"-")));
            }
        }

        #[test]
        fn any_section_is_parsed_or_refused(text in "[\\[\\]a =;#x\n\t]{0,60}") {
            if let Ok(options) = parse(text.as_bytes(), b"a") {
                prop_assert!(options.iter().all(|option| option.as_bytes().starts_with(b"-")));
            }
        }
    }
}
