//! Authentication and encryption, and what lays secrets open.
//!
//! On a server pppd's `require-` options say what callers must do; its
//! `refuse-` options say what pppd itself will not prove to them and protect
//! nothing. Without any `require-` every method is accepted. accel-ppp
//! accepts each method whose module is loaded.

use super::accel_ppp::{self, Accel};
use super::pppd::{self, Pppd};
use crate::audit::facts::{AccelOption, Facts, SecretsFile};
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::gateway::options::Setting;
use crate::gateway::session::AuthMethod;
use crate::output::escape;
use crate::reason::{Phase, Reason};

const DEMAND: &str = "require-mschap-v2 and require-mppe-128";

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "auth-missing",
        severity: Severity::Critical,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "callers have to prove who they are",
        harm: "anybody gets in without a password",
        explanation: "pppd that root starts, as pptpd does, asks for no authentication unless \
            auth or a require- option is set. A noauth behind them lets in whoever will not \
            authenticate. \
            accel-ppp skips it with noauth=1, and takes any name and password by PAP, CHAP and \
            MS-CHAPv1 with any-login=1.",
        check: Check::Daemons(Some(pppd_auth), Some(accel_auth)),
    },
    Rule {
        id: "pap-allowed",
        severity: Severity::Critical,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "no password crosses the network readable (PAP)",
        harm: "callers may send their passwords in the clear",
        explanation: "PAP sends name and password readable (RFC 1334), and no MPPE keys come of \
            it, so nothing later is encrypted either. A gateway in the middle only has to ask \
            for it. refuse-pap does not forbid it to callers.",
        check: Check::Daemons(Some(pppd_pap), Some(accel_pap)),
    },
    Rule {
        id: "chap-md5-allowed",
        severity: Severity::Warning,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "CHAP with MD5 is not accepted",
        harm: "callers may log in without getting MPPE keys",
        explanation: "MPPE keys come only of MS-CHAP (RFC 3079) or EAP-TLS. A session \
            authenticated by CHAP with MD5 cannot be encrypted, and where MPPE is required it \
            fails after the login. refuse-chap does not forbid it to callers.",
        check: Check::Daemons(Some(pppd_chap), Some(accel_chap)),
    },
    Rule {
        id: "mschapv1-allowed",
        severity: Severity::Warning,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "MS-CHAP version 1 is not accepted",
        harm: "callers may use MS-CHAPv1, which is easier to break",
        explanation: "MS-CHAPv1 (RFC 2433) does not let the caller check the gateway, and its \
            40 bit keys depend on the password alone (RFC 3079, section 2). MS-CHAPv2 mends these two, though one \
            DES key is enough to break it as well: PPTP protects nothing from an attacker with \
            some hours of computing. refuse-mschap does not forbid it to callers.",
        check: Check::Daemons(Some(pppd_mschapv1), Some(accel_mschapv1)),
    },
    Rule {
        id: "mschapv2-missing",
        severity: Severity::Warning,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "MS-CHAPv2 is accepted",
        harm: "callers cannot use the best method PPTP has",
        explanation: "Of what PPTP clients have, only MS-CHAPv2 proves both sides and gives keys \
            for MPPE. Current Windows clients offer nothing weaker unless told to.",
        check: Check::Daemons(Some(pppd_mschapv2), Some(accel_mschapv2)),
    },
    Rule {
        id: "mppe-missing",
        severity: Severity::Critical,
        phase: Phase::Ccp,
        reason: Reason::SettingInsecure,
        should: "sessions are encrypted (MPPE)",
        harm: "sessions may go in the clear",
        explanation: "Without a require-mppe option pppd neither asks for encryption nor allows \
            it. accel-ppp with mppe=allow, its default, encrypts if the caller asks, with \
            mppe=prefer unless the caller rejects; only mppe=require refuses others. RADIUS may \
            override accel-ppp by MS-MPPE-Encryption-Policy. A mppe in [pptp] counts before \
            that in [ppp].",
        check: Check::Daemons(Some(pppd_mppe), Some(accel_mppe)),
    },
    Rule {
        id: "mppe-40-allowed",
        severity: Severity::Warning,
        phase: Phase::Ccp,
        reason: Reason::SettingInsecure,
        should: "encryption has 128 bit",
        harm: "sessions may be encrypted with 40 bit, which is nothing",
        explanation: "require-mppe accepts 40 and 128 bit; require-mppe-128 accepts only the \
            latter. In OpenWrt's pppd it is `mppe required,no40,no56`. 40 bit are searched through \
            in hours on one machine. accel-ppp knows only \
            128 bit.",
        check: Check::Daemons(Some(pppd_mppe_40), None),
    },
    Rule {
        id: "mppe-stateful",
        severity: Severity::Warning,
        phase: Phase::Ccp,
        reason: Reason::SettingHarmful,
        should: "encryption is stateless",
        harm: "each lost packet costs many more",
        explanation: "In stateful mode the key goes on from packet to packet: after a loss \
            everything is thrown away until the two sides have synchronised (RFC 3078, \
            section 8). GRE is not sent again, so a lossy path stalls. Stateless mode, pppd's \
            default, changes the key with each packet.",
        check: Check::Daemons(Some(pppd_stateful), None),
    },
    Rule {
        id: "mppe-impossible",
        severity: Severity::Critical,
        phase: Phase::Ccp,
        reason: Reason::SettingHarmful,
        should: "the methods that are accepted give keys for MPPE",
        harm: "MPPE is required, but no session can have keys for it",
        explanation: "pppd closes the link after the login when MPPE is required and the method \
            was neither MS-CHAP nor EAP-TLS (\"MPPE required, but MS-CHAP[v2] auth not \
            performed\").",
        check: Check::Daemons(Some(pppd_keys), Some(accel_keys)),
    },
    Rule {
        id: "mppe-without-ccp",
        severity: Severity::Critical,
        phase: Phase::Ccp,
        reason: Reason::SettingHarmful,
        should: "CCP is spoken where MPPE is required",
        harm: "no session gets an address: MPPE waits for CCP",
        explanation: "MPPE is negotiated by CCP. With noccp pppd never speaks it, but still \
            waits for MPPE before it configures IP: sessions hang after the login. Old advice \
            to set noccp was against compression; nobsdcomp and nodeflate do that, and pppd \
            switches compression off by itself where MPPE is required. In accel-ppp it is ccp=0.",
        check: Check::Daemons(Some(pppd_ccp), Some(accel_ccp)),
    },
    Rule {
        id: "refuse-misunderstood",
        severity: Severity::Info,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "nobody relies on refuse- options against callers",
        harm: "a refuse- option looks like protection and is none",
        explanation: "refuse-pap and its like say by which methods pppd does not prove itself to \
            the other side (pppd(8)). A server is hardly ever asked to. What callers may use is \
            what require- options leave; the sample files of pptpd have both side by side, and \
            only the require- line does the work.",
        check: Check::Daemons(Some(refused), None),
    },
    Rule {
        id: "secrets-readable",
        severity: Severity::Critical,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "files with secrets are for their owner alone",
        harm: "every local user can read passwords or shared secrets",
        explanation: "chap-secrets, pap-secrets and the files of RADIUS clients hold passwords \
            readable. pppd warns of such a file in its log and reads it all the same. \
            accel-ppp.conf counts where it names a RADIUS server, because the secret is there; \
            files of a RADIUS client count where pppd has radius.so.",
        check: Check::Host(secrets),
    },
    Rule {
        id: "debug-log",
        severity: Severity::Info,
        phase: Phase::Auth,
        reason: Reason::SettingInsecure,
        should: "the log has nothing that gives passwords away",
        harm: "the log holds what passwords can be computed from",
        explanation: "With debug pppd logs each control packet, among them the challenges and \
            responses of CHAP, from which weak passwords are found offline. With show-password \
            the passwords of PAP themselves. Good for a search, not for ever; keep such logs \
            readable by root alone.",
        check: Check::Daemons(Some(logged), None),
    },
];

fn pppd_auth(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    if demanded.auth {
        return Ok("pppd asks for authentication".to_owned());
    }
    let noauth = pppd.last(&["noauth"]);
    let found = noauth.map_or("pppd has neither auth nor a require- option".into(), pppd::shown);
    let add = pppd.set("require-mschap-v2", "");
    let mend = match noauth.map(|setting| pppd.remove(setting)) {
        Some(remove) if !remove.is_empty() => format!("{remove} && {add}"),
        _ => add,
    };
    Err(Broken::new(found, DEMAND).mended_by(mend).into())
}

/// Whether callers of pppd may use a method, and by which setting.
fn pppd_method(pppd: &Pppd<'_>, method: AuthMethod, names: &[&str], refuse: &str) -> Answer {
    let demanded = pppd.demanded();
    if !demanded.auth {
        return Err(Objection::Inapplicable("nobody is asked to authenticate"));
    }
    let methods = &demanded.methods;
    if !methods.is_empty() && !methods.contains(&method) {
        return Ok("the require- options leave it out".to_owned());
    }
    if let Some(setting) = pppd.last(names) {
        let broken = Broken::new(pppd::shown(setting), "require-mschap-v2 alone");
        return Err(broken.mended_by(pppd.remove(setting)).into());
    }
    let also = match pppd.last(&[refuse]) {
        Some(setting) => format!("; {} is about pppd's own login", pppd::shown(setting)),
        None => String::new(),
    };
    let found = format!("auth without a require- option accepts every method{also}");
    let broken = Broken::new(found, "require-mschap-v2");
    Err(broken.mended_by(pppd.set("require-mschap-v2", "")).into())
}

fn pppd_pap(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    pppd_method(pppd, AuthMethod::Pap, &["require-pap", "+pap"], "refuse-pap")
}

fn pppd_chap(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    pppd_method(pppd, AuthMethod::ChapMd5, &["require-chap", "+chap"], "refuse-chap")
}

fn pppd_mschapv1(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    pppd_method(pppd, AuthMethod::MsChapV1, &["require-mschap", "+mschap"], "refuse-mschap")
}

fn pppd_mschapv2(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    if !demanded.auth {
        return Err(Objection::Inapplicable("nobody is asked to authenticate"));
    }
    if demanded.methods.is_empty() {
        return Ok("pppd accepts every method".to_owned());
    }
    if demanded.methods.contains(&AuthMethod::MsChapV2) {
        return Ok("require-mschap-v2 is set".to_owned());
    }
    let names = ["require-pap", "+pap", "require-chap", "+chap", "require-mschap", "+mschap"];
    let set: Vec<_> = pppd.all(&names).chain(pppd.all(&["require-eap"])).map(pppd::shown).collect();
    let broken = Broken::new(set.join(", "), "require-mschap-v2");
    Err(broken.mended_by(pppd.set("require-mschap-v2", "")).into())
}

fn pppd_mppe(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    const NAMES: &[&str] =
        &["require-mppe", "+mppe", "require-mppe-40", "+mppe-40", "require-mppe-128", "+mppe-128"];
    const OFF: &[&str] = &["nomppe", "-mppe", "nomppe-128", "-mppe-128", "nomppe-40", "-mppe-40"];
    let demanded = pppd.demanded();
    if demanded.mppe_40 || demanded.mppe_128 {
        return Ok(pppd.last(NAMES).map(pppd::shown).unwrap_or_default());
    }
    let found = pppd.last(OFF).map(pppd::shown);
    let found = found.unwrap_or_else(|| "pppd has no require-mppe option".to_owned());
    let broken = Broken::new(found, "require-mppe-128");
    Err(broken.mended_by(pppd.set("require-mppe-128", "")).into())
}

fn pppd_mppe_40(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    match (demanded.mppe_40, demanded.mppe_128) {
        (false, false) => Err(Objection::Inapplicable("MPPE is not required")),
        (false, true) => Ok("only 128 bit are accepted".to_owned()),
        (true, _) => {
            let names = ["require-mppe", "+mppe", "require-mppe-40", "+mppe-40", "mppe"];
            let found = pppd.last(&names).map(pppd::shown).unwrap_or_default();
            let broken = Broken::new(found, "require-mppe-128 and nomppe-40");
            let mend =
                format!("{}; {}", pppd.set("require-mppe-128", ""), pppd.set("nomppe-40", ""));
            Err(broken.mended_by(mend).into())
        }
    }
}

fn pppd_stateful(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    match pppd.last(&["mppe-stateful", "nomppe-stateful"]) {
        Some(setting) if *setting.name == *b"mppe-stateful" => {
            let broken = Broken::new(pppd::shown(setting), "nomppe-stateful, which is the default");
            Err(broken.mended_by(pppd.remove(setting)).into())
        }
        _ => Ok("mppe-stateful is not set".to_owned()),
    }
}

fn pppd_keys(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    if !(demanded.mppe_40 || demanded.mppe_128) {
        return Err(Objection::Inapplicable("MPPE is not required"));
    }
    let gives = |method: &AuthMethod| {
        matches!(method, AuthMethod::MsChapV1 | AuthMethod::MsChapV2 | AuthMethod::Eap)
    };
    let found = match &demanded.methods[..] {
        [] if !demanded.auth => "MPPE is required, but no authentication".to_owned(),
        [] => return Ok("every method is accepted, MS-CHAPv2 among them".to_owned()),
        methods if methods.iter().any(gives) => return Ok("MS-CHAP or EAP is accepted".to_owned()),
        _ => "MPPE is required, but only PAP or CHAP with MD5 is accepted".to_owned(),
    };
    let broken = Broken::new(found, "require-mschap-v2");
    Err(broken.mended_by(pppd.set("require-mschap-v2", "")).into())
}

fn pppd_ccp(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    if !(demanded.mppe_40 || demanded.mppe_128) {
        return Err(Objection::Inapplicable("MPPE is not required"));
    }
    let Some(setting) = pppd.last(&["noccp", "-ccp"]) else {
        return Ok("noccp is not set".to_owned());
    };
    let broken = Broken::new(pppd::shown(setting), "nobsdcomp and nodeflate instead of noccp");
    Err(broken.mended_by(pppd.remove(setting)).into())
}

fn refused(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let demanded = pppd.demanded();
    let accepted = |method: AuthMethod| {
        demanded.auth && (demanded.methods.is_empty() || demanded.methods.contains(&method))
    };
    let pairs = [
        ("refuse-pap", AuthMethod::Pap),
        ("refuse-chap", AuthMethod::ChapMd5),
        ("refuse-mschap", AuthMethod::MsChapV1),
        ("refuse-eap", AuthMethod::Eap),
    ];
    let empty: Vec<&Setting> = pairs
        .into_iter()
        .filter(|(_, method)| accepted(*method))
        .filter_map(|(name, _)| pppd.last(&[name]))
        .collect();
    if empty.is_empty() {
        return Ok("no method is refused that callers may use".to_owned());
    }
    let shown: Vec<_> = empty.into_iter().map(pppd::shown).collect();
    let found = format!("{}, but callers may use it", shown.join(", "));
    let broken = Broken::new(found, "require-mschap-v2, which leaves nothing else");
    Err(broken.mended_by(pppd.set("require-mschap-v2", "")).into())
}

fn secrets(facts: &Facts) -> Answer {
    if facts.secrets_files.is_empty() {
        return Err(Objection::Inapplicable("there is no such file"));
    }
    let options = facts.accel_ppp.get().map_or(&[][..], |accel| &accel.options);
    let has_server =
        |option: &AccelOption| *option.section == *b"radius" && option.name.ends_with(b"server");
    let poptop = facts.poptop.get();
    let has_client = poptop.is_some_and(|poptop| {
        let mut plugins = poptop.pppd.list.iter().filter(|setting| *setting.name == *b"plugin");
        plugins.any(|setting| setting.value().ends_with(b"radius.so"))
    });
    // A file of accel-ppp's options has a secret only with a RADIUS server in
    // it. Debian installs that of the client for everybody to read, and empty.
    let counts = |file: &&SecretsFile| {
        let is_in = |option: &&AccelOption| *option.file == *file.path.as_bytes();
        let mut inside = options.iter().filter(is_in).peekable();
        let is_of_client =
            file.path.starts_with("/etc/radcli/") || file.path.starts_with("/etc/radiusclient");
        match inside.peek() {
            Some(_) => inside.any(has_server),
            None => has_client || !is_of_client,
        }
    };
    let all = facts.secrets_files.iter().filter(counts);
    let open: Vec<_> = all.filter(|file| file.mode & 0o004 != 0).collect();
    if open.is_empty() {
        return Ok(format!("{} files, none for everybody", facts.secrets_files.len()));
    }
    let shown =
        open.iter().map(|file| format!("{} {:04o}", escape(file.path.as_bytes()), file.mode));
    let broken = Broken::new(shown.collect::<Vec<_>>().join(", "), "mode 0600");
    let paths: Vec<_> = open.iter().map(|file| pppd::quoted(file.path.as_bytes())).collect();
    Err(broken.mended_by(format!("chmod 600 {}", paths.join(" "))).into())
}

fn logged(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let password = pppd.last(&["show-password", "hide-password"]);
    let password = password.filter(|setting| *setting.name == *b"show-password");
    if let Some(setting) = password {
        let broken = Broken::new(pppd::shown(setting), "hide-password, which is the default")
            .with_severity(Severity::Warning);
        return Err(broken.mended_by(pppd.remove(setting)).into());
    }
    match pppd.last(&["debug", "-d"]) {
        Some(setting) => {
            let broken = Broken::new(pppd::shown(setting), "no debug, once the search is over");
            Err(broken.mended_by(pppd.remove(setting)).into())
        }
        None => Ok("neither debug nor show-password is set".to_owned()),
    }
}

/// The option that loads a module of accel-ppp.
fn module<'a>(accel: &Accel<'a>, name: &str) -> Option<&'a AccelOption> {
    accel.option("modules", name)
}

fn no_module(accel: &Accel<'_>, name: &str, instead: &str) -> Answer {
    match module(accel, name) {
        None => Ok(format!("{name} is not loaded")),
        Some(option) => {
            let mend = format!("{} && systemctl restart accel-ppp", accel.remove(option));
            Err(Broken::new(accel_ppp::shown(option), instead).mended_by(mend).into())
        }
    }
}

fn accel_auth(accel: &Accel<'_>, _: &Facts) -> Answer {
    for name in ["noauth", "any-login"] {
        if let (Some(option), Some(_)) = (accel.option("auth", name), accel.number("auth", name)) {
            let broken = Broken::new(accel_ppp::shown(option), format!("{name}=0"));
            return Err(broken.mended_by(accel.set("auth", name, "0")).into());
        }
    }
    const MODULES: [&str; 4] = ["auth_pap", "auth_chap_md5", "auth_mschap_v1", "auth_mschap_v2"];
    if MODULES.iter().any(|name| module(accel, name).is_some()) {
        return Ok("accel-ppp asks for authentication".to_owned());
    }
    let broken = Broken::new("accel-ppp loads no auth_ module in [modules]", "auth_mschap_v2");
    Err(broken.into())
}

fn accel_pap(accel: &Accel<'_>, _: &Facts) -> Answer {
    no_module(accel, "auth_pap", "auth_mschap_v2 alone")
}

fn accel_chap(accel: &Accel<'_>, _: &Facts) -> Answer {
    no_module(accel, "auth_chap_md5", "auth_mschap_v2 alone")
}

fn accel_mschapv1(accel: &Accel<'_>, _: &Facts) -> Answer {
    no_module(accel, "auth_mschap_v1", "auth_mschap_v2 alone")
}

fn accel_mschapv2(accel: &Accel<'_>, _: &Facts) -> Answer {
    if module(accel, "auth_mschap_v2").is_some() {
        return Ok("auth_mschap_v2 is loaded".to_owned());
    }
    Err(Broken::new("accel-ppp does not load auth_mschap_v2", "auth_mschap_v2 in [modules]").into())
}

/// Section and value of accel-ppp's mppe that counts for PPTP.
fn accel_mppe_set<'a>(accel: &Accel<'a>) -> (&'static str, &'a [u8]) {
    match accel.value("pptp", "mppe") {
        value @ (b"deny" | b"allow" | b"prefer" | b"require") => ("pptp", value),
        _ => ("ppp", accel.value("ppp", "mppe")),
    }
}

fn accel_mppe(accel: &Accel<'_>, _: &Facts) -> Answer {
    let (section, value) = accel_mppe_set(accel);
    let option = accel.option(section, "mppe").map(accel_ppp::shown);
    if value == b"require" {
        return Ok(option.unwrap_or_default());
    }
    let found = option.unwrap_or_else(|| "mppe is not set in [ppp]: allow".to_owned());
    Err(Broken::new(found, "mppe=require").mended_by(accel.set(section, "mppe", "require")).into())
}

fn accel_keys(accel: &Accel<'_>, _: &Facts) -> Answer {
    if accel_mppe_set(accel).1 != b"require" {
        return Err(Objection::Inapplicable("MPPE is not required"));
    }
    if ["auth_mschap_v1", "auth_mschap_v2"].iter().any(|name| module(accel, name).is_some()) {
        return Ok("MS-CHAP is accepted".to_owned());
    }
    let found = "mppe=require, but neither auth_mschap_v1 nor auth_mschap_v2 is loaded";
    Err(Broken::new(found, "auth_mschap_v2 in [modules]").into())
}

fn accel_ccp(accel: &Accel<'_>, _: &Facts) -> Answer {
    if accel_mppe_set(accel).1 != b"require" {
        return Err(Objection::Inapplicable("MPPE is not required"));
    }
    match accel.option("ppp", "ccp") {
        Some(option) if accel.number("ppp", "ccp").is_none() => {
            let broken = Broken::new(accel_ppp::shown(option), "ccp=1, which is the default");
            Err(broken.mended_by(accel.set("ppp", "ccp", "1")).into())
        }
        _ => Ok("ccp is not switched off".to_owned()),
    }
}
