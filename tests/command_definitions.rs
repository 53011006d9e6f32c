//! The command definitions for Nagios, Icinga 2 and the Icinga Director are
//! what the checks' own arguments say, no more and no less. After a change of
//! an argument, write them anew:
//!
//! ```sh
//! WRITE_DEFINITIONS=1 cargo test --package pptp-plugins --test command_definitions
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use pptp_plugins::check_pptp_auth::AuthArgs;
use pptp_plugins::check_pptp_control::ControlArgs;
use pptp_plugins::check_pptp_gre::GreArgs;
use pptp_plugins::check_pptp_host::HostArgs;
use pptp_plugins::check_pptp_log::LogArgs;
use pptp_plugins::check_pptp_tunnel::TunnelArgs;
use pptp_plugins::check_radius::RadiusArgs;
use pptp_plugins::fleet;
use pptp_probe::plugin::{Check, command};
use serde_json::{Value, json};

/// Options that make no check of it, or nothing that a scheduler can read.
const LEFT_OUT: &[&str] = &[
    "output",
    "help",
    "version",
    "follow",
    "collect",
    "collect-script",
    "explain",
    "list",
    "checklist",
    // A scheduler has a service for each gateway.
    "targets",
    "concurrency",
    "total-timeout",
    "max-series",
];

/// What a custom variable of the host may say for every check with a login.
const ACCOUNT: &[&str] = &["username", "password_file", "authfile", "password"];

/// Which addresses a check can go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    /// GRE of PPTP knows no other.
    Ipv4,
    /// It looks at the host that it runs on.
    Local,
}

/// A check as a scheduler knows it.
struct Definition {
    /// Its name in Icinga, and what its custom variables begin with.
    name: &'static str,
    family: Family,
    /// How long Icinga lets it live: its own deadline comes first.
    timeout: &'static str,
    command: Command,
}

impl Definition {
    fn new<C: Check>(name: &'static str, family: Family, timeout: &'static str) -> Self {
        let command = match family {
            Family::Local => command::<C>(),
            Family::Any | Family::Ipv4 => fleet::command::<C>(),
        };
        Self { name, family, timeout, command }
    }

    fn program(&self) -> &str {
        self.command.get_name()
    }

    /// The options with a place in the definitions.
    fn options(&self) -> Vec<Opt> {
        let listed = |argument: &&Arg| {
            let long = argument.get_long();
            long.is_some_and(|long| !LEFT_OUT.contains(&long))
        };
        self.command
            .get_arguments()
            .filter(listed)
            .map(|argument| Opt::new(self, argument))
            .collect()
    }
}

fn definitions() -> [Definition; 7] {
    [
        Definition::new::<ControlArgs>("pptp_control", Family::Any, "1m"),
        Definition::new::<GreArgs>("pptp_gre", Family::Ipv4, "1m"),
        Definition::new::<AuthArgs>("pptp_auth", Family::Ipv4, "1m"),
        Definition::new::<TunnelArgs>("pptp_tunnel", Family::Ipv4, "15m"),
        Definition::new::<RadiusArgs>("pptp_radius", Family::Any, "2m"),
        Definition::new::<LogArgs>("pptp_log", Family::Local, "1m"),
        Definition::new::<HostArgs>("pptp_host", Family::Local, "1m"),
    ]
}

/// How an option takes its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    /// `-v`, `-vv`, `-vvv`.
    Verbosity,
    One,
    Many,
    /// The name of an environment variable with a secret in it.
    Secret {
        variable: &'static str,
        name: &'static str,
    },
}

/// An option of a check.
struct Opt {
    /// `--hostname`.
    key: String,
    /// `-H, --hostname <HOST>`.
    usage: String,
    /// The custom variable.
    variable: String,
    /// The variable's name without the check's.
    short: String,
    description: String,
    kind: Kind,
    required: bool,
}

impl Opt {
    fn new(definition: &Definition, argument: &Arg) -> Self {
        let long = argument.get_long().expect("an option");
        let kind = match (argument.get_action(), long) {
            (_, "password-env") => Kind::Secret { variable: "PPTP_PASSWORD", name: "password" },
            (_, "secret-env") => Kind::Secret { variable: "PPTP_RADIUS_SECRET", name: "secret" },
            (ArgAction::SetTrue, _) => Kind::Flag,
            (ArgAction::Count, _) => Kind::Verbosity,
            (ArgAction::Append, _) => Kind::Many,
            (ArgAction::Set, _) => Kind::One,
            (other, _) => panic!("--{long}: an action {other:?} that is not known here"),
        };
        let short = match kind {
            Kind::Secret { name, .. } => name.to_owned(),
            _ => long.replace('-', "_"),
        };
        let values = argument.get_value_names().unwrap_or_default();
        let takes_value = !matches!(kind, Kind::Flag | Kind::Verbosity);
        let value = if takes_value { format!(" <{}>", values[0]) } else { String::new() };
        let usage = match argument.get_short() {
            Some(letter) => format!("-{letter}, --{long}{value}"),
            None => format!("--{long}{value}"),
        };
        let mut description = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
        let defaults: Vec<_> = defaults.collect();
        if takes_value && !defaults.is_empty() {
            write!(description, " [default: {}]", defaults.join(",")).expect("a string");
        }
        Self {
            key: format!("--{long}"),
            usage,
            variable: format!("{}_{short}", definition.name),
            short,
            description,
            kind,
            required: argument.is_required_set(),
        }
    }
}

/// Text as a string of Icinga's language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Text in lines of at most 78 characters that begin with `indent`.
fn wrapped(indent: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 78 && line.len() > indent.len() {
            writeln!(lines, "{line}").expect("a string");
            line = indent.to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

const ICINGA_HEAD: &str = "\
/* Check commands for PPTP gateways, one for each check, with every option.
 *
 * An option --some-thing of pptp_auth is the custom variable
 * pptp_auth_some_thing of service or host. An account or a password file that
 * is the same for all checks of a host may stand there once: pptp_username,
 * pptp_password_file, pptp_authfile. Prefer a file for secrets: what stands in
 * a custom variable (..._password, ..._secret) reaches the check through its
 * environment, and nobody in ps, but everyone who may read Icinga's objects.
 *
 * Not here: --output, for Icinga reads the default, and what is no check or
 * never ends (--follow of the log; --collect, --list, --explain, --checklist
 * of the host). pptp_log and pptp_host look at the host they run on: give
 * their services a command_endpoint.
 */
";

fn icinga(definitions: &[Definition]) -> String {
    let mut text = ICINGA_HEAD.to_owned();
    for definition in definitions {
        writeln!(text, "\nobject CheckCommand \"{}\" {{", definition.name).expect("a string");
        if definition.family != Family::Local {
            text += "\timport \"ipv4-or-ipv6\"\n\n";
        }
        let program = definition.program();
        writeln!(text, "\tcommand = [ PluginDir + \"/{program}\" ]").expect("a string");
        writeln!(text, "\ttimeout = {}\n\n\targuments = {{", definition.timeout).expect("a string");
        let options = definition.options();
        for option in &options {
            text += &icinga_argument(option);
        }
        text += "\t}\n";
        for option in &options {
            if let Kind::Secret { variable, .. } = option.kind {
                let value = quoted(&format!("${}$", option.variable));
                writeln!(text, "\n\tenv.{variable} = {value}").expect("a string");
            }
        }
        let mut variables = Vec::new();
        if definition.family == Family::Ipv4 {
            variables.push(("check_ipv4".to_owned(), "true".to_owned()));
        }
        for (name, value) in defaults(definition, &options) {
            variables.push((name, quoted(&value)));
        }
        if !variables.is_empty() {
            text += "\n";
        }
        for (name, value) in variables {
            writeln!(text, "\tvars.{name} = {value}").expect("a string");
        }
        text += "}\n";
    }
    text
}

/// What a custom variable of the check is unless it is said.
fn defaults(definition: &Definition, options: &[Opt]) -> Vec<(String, String)> {
    let mut defaults = Vec::new();
    for option in options {
        if option.short == "hostname" {
            defaults.push((option.variable.clone(), "$check_address$".to_owned()));
        } else if ACCOUNT.contains(&option.short.as_str()) {
            defaults.push((option.variable.clone(), format!("$pptp_{}$", option.short)));
        }
    }
    assert_eq!(
        definition.family == Family::Local,
        !options.iter().any(|option| option.short == "hostname")
    );
    defaults
}

fn icinga_argument(option: &Opt) -> String {
    let variable = quoted(&format!("${}$", option.variable));
    let mut lines = Vec::new();
    match option.kind {
        Kind::Flag => lines.push(format!("set_if = {variable}")),
        Kind::Verbosity => {
            lines.push(format!("set_if = {variable}"));
            lines.push("skip_key = true".to_owned());
            lines.push(format!("value = {{{{ {} }}}}", verbosity(option)));
        }
        Kind::One => lines.extend([format!("value = {variable}"), "separator = \"=\"".to_owned()]),
        Kind::Many => lines.extend([
            format!("value = {variable}"),
            "repeat_key = true".to_owned(),
            "separator = \"=\"".to_owned(),
        ]),
        Kind::Secret { variable: name, .. } => {
            lines.push(format!("value = {}", quoted(name)));
            lines.push("separator = \"=\"".to_owned());
            lines.push(format!("set_if = {{{{ return !!macro({variable}) }}}}"));
        }
    }
    if option.required {
        lines.push("required = true".to_owned());
    }
    let lead = match option.kind {
        Kind::Secret { .. } => format!("{}; the secret is {}", option.description, option.variable),
        Kind::Verbosity => format!("{}; 1 to 3", option.description),
        _ => option.description.clone(),
    };
    lines.push(format!("description = {}", quoted(&lead)));
    let mut text = format!("\t\t{} = {{\n", quoted(&option.key));
    for line in lines {
        writeln!(text, "\t\t\t{line}").expect("a string");
    }
    text + "\t\t}\n"
}

/// `-v` so often as the variable says.
fn verbosity(option: &Opt) -> String {
    let variable = &option.variable;
    format!("return \"-\" + \"vvv\".substr(0, number(macro(\"${variable}$\")))")
}

/// The basket: the same commands for those who click, their variables as
/// fields, and a service template for each.
fn director(definitions: &[Definition]) -> String {
    let mut commands = BTreeMap::new();
    let mut fields = BTreeMap::new();
    let mut templates = BTreeMap::new();
    for definition in definitions {
        let options = definition.options();
        let mut arguments = BTreeMap::new();
        let mut own = Vec::new();
        for option in &options {
            arguments.insert(option.key.clone(), director_argument(option));
            let id = fields.len() + 1;
            own.push(json!({ "datafield_id": id, "is_required": "n", "var_filter": null }));
            fields.insert(id.to_string(), director_field(option, id));
        }
        let name = definition.name;
        let vars = defaults(definition, &options).into_iter();
        // The address is in the argument, and a password has no environment here.
        let vars =
            vars.filter(|(_, value)| value != "$check_address$" && value != "$pptp_password$");
        let vars: BTreeMap<_, _> = vars.collect();
        commands.insert(
            name,
            json!({
                "object_name": name,
                "object_type": "object",
                "methods_execute": "PluginCheck",
                "command": definition.program(),
                "timeout": definition.timeout,
                "arguments": arguments,
                "vars": vars,
                "fields": own,
            }),
        );
        let template = name.replace('_', "-");
        templates.insert(
            template.clone(),
            json!({
                "object_name": template,
                "object_type": "template",
                "check_command": name,
                "fields": [],
            }),
        );
    }
    let basket = json!({ "Command": commands, "ServiceTemplate": templates, "Datafield": fields });
    lines(&basket, "\n") + "\n"
}

/// JSON with a line for each object that holds no other.
fn lines(value: &Value, margin: &str) -> String {
    let inner = format!("{margin}  ");
    let is_flat = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(members) if !members.values().all(is_flat) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{inner}{}: {}", Value::from(name.as_str()), lines(value, &inner))
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{}{margin}}}", members.join(","))
        }
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<_> =
                items.iter().map(|item| inner.clone() + &lines(item, &inner)).collect();
            format!("[{}{margin}]", items.join(","))
        }
        flat => flat.to_string(),
    }
}

/// The custom variable of an option in the Director, which writes no
/// environment: of a secret it is the name of a variable of Icinga's own.
fn director_variable(option: &Opt) -> String {
    match option.kind {
        Kind::Secret { .. } => format!("{}_env", option.variable),
        _ => option.variable.clone(),
    }
}

fn director_argument(option: &Opt) -> Value {
    let variable = format!("${}$", director_variable(option));
    let mut argument = json!({ "description": option.description });
    match option.kind {
        Kind::Flag => argument["set_if"] = variable.into(),
        Kind::Verbosity => {
            argument["set_if"] = variable.into();
            argument["skip_key"] = true.into();
            argument["value"] = json!({ "type": "Function", "body": verbosity(option) });
        }
        Kind::One | Kind::Many if option.short == "hostname" => {
            let own = format!("macro(\"{variable}\")");
            let body = format!("return {own} || macro(\"$address$\") || macro(\"$address6$\")");
            argument["value"] = json!({ "type": "Function", "body": body });
        }
        Kind::One | Kind::Many | Kind::Secret { .. } => argument["value"] = variable.into(),
    }
    if option.kind == Kind::Many {
        argument["repeat_key"] = true.into();
    }
    if option.required {
        argument["required"] = true.into();
    }
    argument
}

fn director_field(option: &Opt, id: usize) -> Value {
    let kind = match option.kind {
        Kind::Flag => "Boolean",
        Kind::Many => "Array",
        _ => "String",
    };
    json!({
        "originalId": id.to_string(),
        "varname": director_variable(option),
        "caption": option.key,
        "description": option.description,
        "datatype": format!("Icinga\\Module\\Director\\DataType\\DataType{kind}"),
        "format": null,
        "category": null,
        "settings": {},
    })
}

const NAGIOS_HEAD: &str = "\
# Commands for PPTP gateways, one for each check: the host's address, and in
# $ARG1$ the options that are listed above it. In a service:
#
#   check_command  check_pptp_auth!--authfile=/etc/pptp-monitor/probe.auth --mppe=128
#
# Secrets come from a file that only the nagios user reads, or from the
# environment of the daemon, never from $ARG1$: ps would show them.
#
# Not listed: --output, for Nagios reads the default, and what is no check or
# never ends (--follow of the log; --collect, --list, --explain, --checklist of
# the host). check_pptp_log and check_pptp_host look at the host they run on:
# start them there, by NRPE or check_by_ssh.
";

fn nagios(definitions: &[Definition]) -> String {
    let mut text = NAGIOS_HEAD.to_owned();
    for definition in definitions {
        let program = definition.program();
        // The Monitoring Plugins have a command check_radius of their own.
        let name = match program {
            "check_radius" => "check_pptp_radius",
            program => program,
        };
        let about = definition.command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(text, "\n# {name}").expect("a string");
        text += &wrapped("#", &about);
        text += "#\n";
        for option in definition.options() {
            writeln!(text, "#   {}", option.usage).expect("a string");
            text += &wrapped("#      ", &option.description);
        }
        let host = match definition.family {
            Family::Local => "",
            _ => " --hostname='$HOSTADDRESS$'",
        };
        writeln!(
            text,
            "define command {{\n    command_name  {name}\n    \
             command_line  $USER1$/{program}{host} $ARG1$\n}}"
        )
        .expect("a string");
    }
    text
}

fn path(name: &str) -> PathBuf {
    let integrations = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("integrations");
    integrations.join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("a definition")
}

#[test]
fn definitions_are_those_of_the_arguments() {
    let definitions = definitions();
    for (name, text) in [
        ("icinga2/pptp-commands.conf", icinga(&definitions)),
        ("icinga2/director-basket.json", director(&definitions)),
        ("nagios/pptp-commands.cfg", nagios(&definitions)),
    ] {
        if std::env::var_os("WRITE_DEFINITIONS").is_some() {
            std::fs::write(path(name), &text).expect("a file to write");
        }
        let first = read(name)
            .lines()
            .zip(text.lines())
            .find(|(is, wanted)| is != wanted)
            .map(|(is, wanted)| format!("{name} has\n{is}\nand the arguments say\n{wanted}\n"));
        assert!(read(name) == text, "{} not up to date: {}", name, first.unwrap_or_default());
    }
}

/// The long options that a check itself tells of.
fn told(program: &str) -> BTreeSet<String> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_check_radius")).with_file_name(program);
    let output = std::process::Command::new(path).arg("--help").output().expect("it starts");
    let help = String::from_utf8(output.stdout).expect("text");
    // Its lines begin with two spaces and the letter, or six spaces.
    let options = help.lines().filter_map(|line| {
        let line = line.strip_prefix("      --").or_else(|| {
            line.strip_prefix("  -").and_then(|line| line.split_once(", --")).map(|(_, line)| line)
        })?;
        let end = line.find(|letter: char| {
            !letter.is_ascii_lowercase() && !letter.is_ascii_digit() && letter != '-'
        });
        Some(line[..end.unwrap_or(line.len())].to_owned())
    });
    options.collect()
}

#[test]
fn each_option_of_the_help_stands_in_each_file_and_no_other() {
    let icinga = read("icinga2/pptp-commands.conf");
    let nagios = read("nagios/pptp-commands.cfg");
    let basket: Value = serde_json::from_str(&read("icinga2/director-basket.json")).expect("JSON");
    for definition in definitions() {
        let program = definition.program();
        let mut expected = told(program);
        assert!(expected.contains("threshold"), "{program}: {expected:?}");
        expected.retain(|option| !LEFT_OUT.contains(&option.as_str()));

        let object = format!("object CheckCommand \"{}\" {{", definition.name);
        let (_, body) = icinga.split_once(&object).expect("a command");
        let body = body.split("\n}").next().expect("an end");
        let keys = body.lines().filter_map(|line| line.strip_prefix("\t\t\"--")?.split('"').next());
        let found: BTreeSet<String> = keys.map(str::to_owned).collect();
        assert_eq!(found, expected, "{program} in Icinga 2");
        let described = body.matches("\t\t\tdescription = \"").count();
        assert_eq!(described, expected.len(), "{program}: a description for each");

        let arguments = &basket["Command"][definition.name]["arguments"];
        let keys = arguments.as_object().expect("arguments").keys();
        let found: BTreeSet<String> = keys.map(|key| key[2..].to_owned()).collect();
        assert_eq!(found, expected, "{program} in the Director");

        let end = format!("command_line  $USER1$/{program} ");
        let (head, _) = nagios.split_once(&end).expect("a command");
        let head = head.rsplit("define command").nth(1).expect("a head");
        let keys = head.lines().filter_map(|line| {
            let usage = line.strip_prefix("#   -")?;
            let option = usage.split_once("--").map_or(&usage[1..], |(_, option)| option);
            option.split([' ', ',']).next()
        });
        let found: BTreeSet<String> = keys.map(str::to_owned).collect();
        assert_eq!(found, expected, "{program} in Nagios");
    }
}

#[test]
fn no_secret_stands_on_a_command_line() {
    let icinga = read("icinga2/pptp-commands.conf");
    let values: Vec<_> = icinga.lines().filter(|line| line.contains("value =")).collect();
    for name in ["password", "secret"] {
        assert!(icinga.contains(&format!("_{name}$\"")), "{name} is in the environment");
        let shown = values.iter().find(|line| line.contains(&format!("_{name}$")));
        assert_eq!(shown, None);
    }
}
