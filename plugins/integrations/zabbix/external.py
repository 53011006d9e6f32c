"""Gateways and RADIUS servers by the checks: on the Zabbix server or proxy as
external checks, or by an agent with userparameter_pptp.conf.

A check prints one JSON object, the master item; every other item takes its
part of it.
"""

from zbx import Template

STATES = [(0, "OK"), (1, "WARNING"), (2, "CRITICAL"), (3, "UNKNOWN")]

# What every part of a session took, and its colour.
PHASES = [
    ("resolve", "9E9E9E"),
    ("connect", "546E7A"),
    ("control", "1E88E5"),
    ("call", "26A69A"),
    ("gre", "8E24AA"),
    ("lcp", "43A047"),
    ("auth", "FB8C00"),
    ("ccp", "E53935"),
    ("ipcp", "FDD835"),
    ("data", "6D4C41"),
]

TIMEOUT = {"6.0": "2.5", "7.0": "10", "7.0 agent": "2.5"}
TIMEOUT_WHY = {
    "6.0": "Deadline of a check in seconds. Keep it half a second below Timeout in the configuration of "
    "the server, the proxy or the agent that runs the check (3 or 4 by default): what runs longer "
    "is killed and gives no reason. 10 tells more about a gateway that is slow.",
    "7.0": "Deadline of a check in seconds. Keep it below the timeout that Zabbix gives the item, for what "
    "runs longer is killed and gives no reason.",
    "7.0 agent": "Deadline of a check in seconds. Keep it half a second below the timeout of agent items "
    "(3 s by default: Administration, General, Timeouts, or those of the proxy), and below Timeout of "
    "an agent older than 7.0: what runs longer is killed and gives no reason. 10 tells more about a "
    "gateway that is slow.",
}


def common(version, name, description, agent=False):
    """The template, and what all of them have."""
    t = Template(version, name, description)
    kind = f"{version} agent" if t.is_7 and agent else version
    t.macro("{$PPTP.TIMEOUT}", TIMEOUT[kind], TIMEOUT_WHY[kind])
    if t.is_7 and not agent:
        t.macro(
            "{$PPTP.ITEM.TIMEOUT}",
            "13s",
            "After this Zabbix kills an external check: {$PPTP.TIMEOUT} and some.",
        )
    t.macro(
        "{$PPTP.TIMES}",
        "#2",
        "How often in a row a check has to say the same before a problem begins or ends.",
    )
    t.macro("{$PPTP.NODATA}", "15m", "After so long without a result there is a problem too.")
    return t


def maps(t, words):
    t.valuemap("PPTP state", STATES)
    t.valuemap("PPTP phase", words["PptpProbePhase"])
    t.valuemap("PPTP reason", words["PptpProbeReason"])


class Check:
    """The items of one check, and what its triggers have in common. `key` is
    the key of the master item, `item` what keys of the others begin with."""

    def __init__(self, t, item, label, key, kind, delay, into=None, suffix="", path="$"):
        self.t, self.stem, self.label, self.key, self.into, self.suffix = t, item, label, key, into, suffix
        self.path = path
        if kind:
            t.item(
                key,
                f"{label}: result",
                kind,
                into=into,
                delay=delay,
                value="TEXT",
                history="0",
                description="All that the check says, as JSON; the other items take their parts of it.",
            )
        part = self.part
        part(
            "state",
            "state",
            "exit_code",
            valuemap="PPTP state",
            description="OK, WARNING, CRITICAL; UNKNOWN: the "
            "check could not test, for a reason on the host that runs it.",
        )
        part("phase", "phase", "phase_number", valuemap="PPTP phase", description="How far the session came.")
        part(
            "reason",
            "reason",
            "reason_number",
            valuemap="PPTP reason",
            description="Why it came no further. README.md lists every reason with the first step to mend it.",
        )
        part("headline", "what was seen", "headline", value="TEXT", description="One sentence for a person.")
        part(
            "mend",
            "first step",
            "mend",
            value="TEXT",
            description="What to do first; empty when all is well.",
        )

    def at(self, name):
        return f"{self.stem}.{name}{self.suffix}"

    def part(self, name, label, path, *, optional=False, **more):
        """An item that takes `path` of the result; where it is `optional`, a
        run that did not measure it leaves the last value."""
        step = self.t.step(
            "JSONPATH", f"{self.path}.{path}" if not path.startswith("$") else path, discard=optional
        )
        more.setdefault("history", "7d" if more.get("value") == "TEXT" else "31d")
        self.t.item(
            self.at(name),
            f"{self.label}: {label}",
            "DEPENDENT",
            into=self.into,
            master=self.key,
            steps=[step],
            **more,
        )
        return self.at(name)

    def metric(self, name, label, **more):
        return self.part(name, label, f"metrics.{name}", optional=True, value="FLOAT", **more)

    def fails(self, name, where, priority, description, *, after=(), state=2, while_well=(), only=""):
        """The check ended in `state` {$PPTP.TIMES}, and the last run broke
        `where`; the checks that are well meanwhile have come further. `only`
        stands behind it all."""
        state_at = f"//{self.at('state')}"
        problem = f"min({state_at},{{$PPTP.TIMES}})={state} and max({state_at},{{$PPTP.TIMES}})={state}"
        well = f'count({state_at},{{$PPTP.TIMES}},"eq","{state}")=0'
        if where:
            broken = where.replace("phase", f"last(//{self.at('phase')})")
            broken = broken.replace("reason", f"last(//{self.at('reason')})")
            problem += f" and ({broken})"
            # Another fault in its place ends this one at once.
            well += f" or (last({state_at})={state} and not ({broken}))"
        problem += "".join(f" and last(//{check.at('state')})<2" for check in while_well)
        # Always true; the first item of an expression is what the problem shows.
        problem = f"length(last(//{self.at('headline')}))>=0 and {problem}{only}"
        return self.t.trigger(
            name,
            problem,
            priority,
            description,
            into=self.into,
            recovery=well,
            after=after,
            opdata="{ITEM.LASTVALUE1}",
        )

    def cannot_run(self, name, only=""):
        return self.fails(
            name,
            None,
            "WARNING",
            "The check could not test anything, for a reason on the host that "
            "runs it: options, rights, a password file or the name server. Its first step says what "
            "to do.",
            state=3,
            only=only,
        )

    def silent(self, name, after, only=""):
        return self.t.trigger(
            name,
            f"nodata(//{self.at('state')},{{$PPTP.NODATA}})=1{only}",
            "WARNING",
            "Nothing came from the check: is the "
            "program where Zabbix looks for it, and {$PPTP.TIMEOUT} below the timeout of Zabbix? The item of its "
            "result says more.",
            into=self.into,
            after=after,
        )


def gateway(version, words, agent=False):
    """The session of a caller, in three checks that go further one by one."""
    by = "Zabbix agent" if agent else "external check"
    name = f"PPTP gateway by {by}"
    if agent:
        how = (
            "The agent runs check_pptp_control, check_pptp_gre and check_pptp_auth by userparameter_pptp.conf, "
            "which has the account of the login."
        )
    else:
        how = (
            "check_pptp_control, check_pptp_gre and check_pptp_auth stand in ExternalScripts of the server or "
            "proxy; the last two need CAP_NET_RAW."
        )
    t = common(
        version,
        name,
        f"A PPTP gateway as a caller sees it: control connection, GRE and a whole login.\n\n"
        f"{how}\n\nWithout {{$PPTP.USER}} there is no login, and nothing complains that it cannot be tried.",
        agent,
    )
    maps(t, words)
    t.macro("{$PPTP.CONTROL.INTERVAL}", "1m", "How often the control connection is tried.")
    t.macro("{$PPTP.GRE.INTERVAL}", "1m", "How often GRE is tried.")
    t.macro(
        "{$PPTP.LOGIN.INTERVAL}",
        "5m",
        "How often a login is tried. Leave it longer than the other two, so that "
        "they are first to say what is wrong.",
    )
    t.macro("{$PPTP.RTT.WARN}", "0.3", "Seconds that an LCP echo over GRE may take.")
    t.macro("{$PPTP.LOGIN.TIME.WARN}", "5", "Seconds from the start to an address.")
    t.macro("{$PPTP.USER}", "", "Account of the login; empty: none, and no login is tried.")
    if agent:
        t.macro("{$PPTP.GATEWAY}", "127.0.0.1", "The gateway, as the host of the agent reaches it.")
        more = {"auth": ',"{$PPTP.USER}"'}
        kind = "ZABBIX_PASSIVE"

        def key(check):
            return f'pptp.{check}["{{$PPTP.GATEWAY}}","{{$PPTP.TIMEOUT}}"{more.get(check, "")}]'

    else:
        t.macro("{$PPTP.PORT}", "1723", "TCP port of the gateway.")
        t.macro(
            "{$PPTP.PASSWORD.FILE}",
            "/etc/pptp-monitor/probe",
            "File with the password of {$PPTP.USER}, of mode "
            "0640 and the group of Zabbix, on the server or proxy.",
        )
        t.macro(
            "{$PPTP.MPPE}",
            "128",
            "Encryption that the login insists on: 40, 56 or 128, and stateless or stateful; "
            "with any it takes what it gets, none too.",
        )
        more = {
            "auth": [
                "-u",
                "{$PPTP.USER}",
                "--password-file",
                "{$PPTP.PASSWORD.FILE}",
                "--mppe",
                "{$PPTP.MPPE}",
            ]
        }
        kind = "EXTERNAL"

        def key(check, host="{HOST.CONN}"):
            words = [
                "-H",
                host,
                "-p",
                "{$PPTP.PORT}",
                *more.get(check, []),
                "-t",
                "{$PPTP.TIMEOUT}",
                "-o",
                "zabbix",
            ]
            return f"check_pptp_{check}[" + ",".join(f'"{word}"' for word in words) + "]"

    control = Check(t, "pptp.control", "Control connection", key("control"), kind, "{$PPTP.CONTROL.INTERVAL}")
    gre = Check(t, "pptp.gre", "GRE", key("gre"), kind, "{$PPTP.GRE.INTERVAL}")
    login = Check(t, "pptp.login", "Login", key("auth"), kind, "{$PPTP.LOGIN.INTERVAL}")
    control.metric("time", "time", units="s")
    control.metric("connect_time", "TCP connect time", units="s")
    echo = control.metric("echo_rtt", "round trip of an echo", units="s")
    control.part(
        "vendor",
        "vendor",
        "facts.vendor",
        optional=True,
        value="CHAR",
        description="What the gateway calls itself; unprintable octets are spelled out.",
    )
    rtt = gre.metric("lcp_rtt", "round trip of an LCP echo", units="s")
    jitter = gre.metric("lcp_jitter", "jitter of LCP echoes", units="s")
    loss = gre.metric("loss", "LCP echoes lost", units="%")
    time = login.metric("time", "time to an address", units="s")
    for phase, _ in PHASES:
        login.part(
            f"phase_time[{phase}]",
            f"time of phase {phase}",
            f"phases.{phase}",
            optional=True,
            value="FLOAT",
            units="s",
        )

    reach = control.fails(
        "PPTP: gateway cannot be reached",
        "phase<=2",
        "HIGH",
        "The name has no address, or TCP does not come up.",
    )
    refused = control.fails(
        "PPTP: gateway refuses control connections",
        "phase=3",
        "HIGH",
        "TCP comes up, but what listens there does not answer as a PPTP gateway that takes " "callers.",
        after=[reach],
    )
    down = [reach, refused]
    calls = gre.fails(
        "PPTP: gateway refuses calls",
        "phase=4",
        "HIGH",
        "The control connection stands, but no call comes up: sessions, licences or pool are used " "up.",
        after=down,
    )
    blocked = gre.fails(
        "PPTP: GRE does not pass",
        "phase=5",
        "HIGH",
        "TCP 1723 works, IP protocol 47 does not: a firewall or a NAT on the way. The reason says "
        "which direction.",
        after=down,
    )
    link = gre.fails(
        "PPTP: link does not come up",
        "phase=6",
        "HIGH",
        "GRE passes, but LCP is never agreed: pppd.",
        after=down,
    )
    session = [*down, calls, blocked, link]
    gre.fails(
        "PPTP: GRE passes badly",
        None,
        "WARNING",
        "Packets are lost, doubled or out of order.",
        state=1,
        after=session,
    )
    login.fails(
        "PPTP: session breaks before the login",
        "phase<=6",
        "HIGH",
        "The first part works for the other checks, but not for a whole session.",
        after=session,
        while_well=[control, gre],
    )
    rejected = login.fails(
        "PPTP: login fails",
        "phase=7",
        "HIGH",
        "The session comes to the authentication and no further: account, RADIUS, or a method that "
        "only one side allows.",
        after=session,
    )
    mppe = login.fails(
        "PPTP: encryption fails",
        "phase=8 or phase=10",
        "HIGH",
        "The login is accepted, but MPPE is refused or both sides have different keys.",
        after=session,
    )
    pool = login.fails(
        "PPTP: caller gets no address",
        "phase=9",
        "HIGH",
        "The address pool is empty or wrong.",
        after=session,
    )
    broken = [*session, rejected, mppe, pool]
    login.fails(
        "PPTP: login works badly",
        "phase>=7",
        "WARNING",
        "The login works, but the check has an objection.",
        state=1,
        after=broken,
    )
    t.trigger(
        "PPTP: echoes are slow",
        f"min(//{rtt},#3)>{{$PPTP.RTT.WARN}}",
        "WARNING",
        "Three runs in a row: load of the gateway, or the path.",
        scope="performance",
        opdata="{ITEM.LASTVALUE1}",
        recovery=f"max(//{rtt},#3)<{{$PPTP.RTT.WARN}}",
        after=session,
    )
    t.trigger(
        "PPTP: login is slow",
        f"min(//{time},#3)>{{$PPTP.LOGIN.TIME.WARN}}",
        "WARNING",
        "Three logins in a row: the graph of the phases shows which of them takes the time.",
        scope="performance",
        opdata="{ITEM.LASTVALUE1}",
        recovery=f"max(//{time},#3)<{{$PPTP.LOGIN.TIME.WARN}}",
        after=broken,
    )
    for check, label in ((control, "control connection"), (gre, "GRE"), (login, "login")):
        only = ' and "{$PPTP.USER}"<>""' if check is login else ""
        unable = check.cannot_run(f"PPTP: check of the {label} cannot run", only)
        check.silent(f"PPTP: no results of the {label}", [unable], only)

    echoes = t.graph("PPTP: round trips", [(rtt, "1E88E5"), (jitter, "FB8C00"), (echo, "43A047")])
    phases = t.graph(
        "PPTP: time of a login by phase",
        [(login.at(f"phase_time[{phase}]"), color) for phase, color in PHASES],
        stacked=True,
    )
    lost = t.graph("PPTP: LCP echoes lost", [(loss, "E53935")])
    states = t.graph(
        "PPTP: states of the checks",
        [(control.at("state"), "43A047"), (gre.at("state"), "8E24AA"), (login.at("state"), "FB8C00")],
    )
    t.page(
        "Gateway",
        t.show_item(0, 0, 3, 2, control.at("state"), "Control"),
        t.show_item(3, 0, 3, 2, gre.at("state"), "GRE"),
        t.show_item(6, 0, 3, 2, login.at("state"), "Login"),
        t.show_item(9, 0, 5, 2, login.at("reason"), "Reason", size=18),
        t.show_item(14, 0, 10, 2, login.at("headline"), "Last login", size=16),
        t.show_graph(0, 2, 12, 7, phases),
        t.show_graph(12, 2, 12, 7, echoes),
        t.show_graph(0, 9, 12, 4, lost),
        t.show_graph(12, 9, 12, 4, states),
    )
    more_gateways(t, agent, None if agent else key)
    return t


NAMES = """\
var names = {source};
// A name is part of a key: what no name or address has is left out.
names = names.filter(function (name, at) {
    return /^[A-Za-z0-9.:_-]{1,255}$/.test(name) && names.indexOf(name) === at;
});
return JSON.stringify(names.slice(0, Number({most})).map(function (name) {
    return {"{#PPTP.GATEWAY}": name};
}));
"""


def more_gateways(t, agent, key):
    """Further gateways on the same host: front ends behind one name, or a
    handful that are not worth a host each."""
    t.macro("{$PPTP.GATEWAYS.MAX}", "100", "Further gateways that are discovered at most.")
    if agent:
        source = "JSON.parse(value).map(function (row) { return row['{#PPTP.GATEWAY}']; })"
        script = NAMES.replace("{source}", source).replace("{most}", "'{$PPTP.GATEWAYS.MAX}'")
        rule = t.rule(
            "pptp.gateways",
            "Further gateways",
            "ZABBIX_PASSIVE",
            delay="1h",
            steps=[t.step("JAVASCRIPT", script.rstrip("\n"))],
            description="A gateway for each line of /etc/pptp-monitor/gateways on the host of the agent.",
        )
        kind, key_of = "ZABBIX_PASSIVE", 'pptp.gre["{#PPTP.GATEWAY}","{$PPTP.TIMEOUT}"]'
    else:
        t.macro(
            "{$PPTP.GATEWAYS}",
            "",
            "Names or addresses of further gateways, such as front ends behind one name, "
            "with spaces or commas between.",
        )
        source = "JSON.parse(value).gateways.split(/[ ,]+/)"
        script = NAMES.replace("{source}", source).replace("{most}", "JSON.parse(value).most")
        rule = t.rule(
            "pptp.gateways",
            "Further gateways",
            "SCRIPT",
            delay="1h",
            params=script,
            parameters=[
                {"name": "gateways", "value": "{$PPTP.GATEWAYS}"},
                {"name": "most", "value": "{$PPTP.GATEWAYS.MAX}"},
            ],
            description="A gateway for each name in {$PPTP.GATEWAYS}.",
        )
        kind, key_of = "EXTERNAL", key("gre", "{#PPTP.GATEWAY}")
    check = Check(
        t,
        "pptp.gateway",
        "{#PPTP.GATEWAY}",
        key_of,
        kind,
        "{$PPTP.GRE.INTERVAL}",
        into=rule,
        suffix='["{#PPTP.GATEWAY}"]',
    )
    rtt = check.metric("lcp_rtt", "round trip of an LCP echo", units="s")
    check.fails(
        "PPTP: {#PPTP.GATEWAY}: no session comes up",
        None,
        "HIGH",
        "The control connection, GRE or LCP of this gateway breaks; its phase says which.",
    )
    check.cannot_run("PPTP: {#PPTP.GATEWAY}: check cannot run")
    t.graph("PPTP: {#PPTP.GATEWAY}: round trip", [(rtt, "1E88E5")], into=rule)


def radius(version, words):
    """A RADIUS server as the gateway sees it."""
    t = common(
        version,
        "RADIUS by external check",
        "A RADIUS server as a PPTP gateway sees it: a login with its proof and MPPE keys verified, accounting, "
        "status.\n\ncheck_radius stands in ExternalScripts of the server or proxy, whose address the RADIUS "
        "server knows as a client.",
    )
    maps(t, words)
    t.macro("{$PPTP.RADIUS.INTERVAL}", "1m", "How often the server is asked.")
    t.macro(
        "{$PPTP.RADIUS.MODE}",
        "auth",
        "What is asked: auth, acct and status, with commas between. status needs no " "account.",
    )
    t.macro("{$PPTP.RADIUS.PORT}", "1812", "UDP port; accounting is on the next one.")
    t.macro(
        "{$PPTP.RADIUS.KEYS}",
        "--require-mppe-keys",
        "What missing MPPE keys are: --require-mppe-keys critical, " "--ignore-mppe-keys nothing.",
    )
    t.macro(
        "{$PPTP.RADIUS.SECRET.FILE}",
        "/etc/pptp-monitor/radius",
        "File with the shared secret, of mode 0640 and " "the group of Zabbix.",
    )
    t.macro("{$PPTP.RADIUS.TIME.WARN}", "1", "Seconds that an answer may take.")
    t.macro("{$PPTP.USER}", "probe", "Account of the login.")
    t.macro("{$PPTP.PASSWORD.FILE}", "/etc/pptp-monitor/probe", "File with its password, likewise.")
    options = [
        "-H",
        "{HOST.CONN}",
        "-p",
        "{$PPTP.RADIUS.PORT}",
        "--mode",
        "{$PPTP.RADIUS.MODE}",
        "--secret-file",
        "{$PPTP.RADIUS.SECRET.FILE}",
        "-u",
        "{$PPTP.USER}",
        "--password-file",
        "{$PPTP.PASSWORD.FILE}",
        "{$PPTP.RADIUS.KEYS}",
        "-t",
        "{$PPTP.TIMEOUT}",
        "-o",
        "zabbix",
    ]
    key = "check_radius[" + ",".join(f'"{option}"' for option in options) + "]"
    check = Check(t, "radius", "RADIUS", key, "EXTERNAL", "{$PPTP.RADIUS.INTERVAL}")
    time = check.metric("time", "time to the answer", units="s")
    for name, label in (("retransmissions", "requests sent again"), ("discarded", "replies thrown away")):
        check.part(name, label, f"$.sub[0].metrics.{name}", optional=True)

    number = {word: value for value, word in words["PptpProbeReason"]}
    any_of = lambda *names: "(" + " or ".join(f"reason={number[name]}" for name in names) + ")"
    absent = any_of(
        "radius_silent", "name_not_found", "refused", "unreachable", "silent", "closed", "tls_failed"
    )
    forged = any_of("radius_secret_mismatch", "radius_wrong_source", "malformed", "flooded")
    silent = check.fails(
        "RADIUS: server does not answer",
        absent,
        "HIGH",
        "Server, port and firewall; a server also ignores clients that it does not know.",
    )
    secret = check.fails(
        "RADIUS: answers cannot be trusted",
        forged,
        "HIGH",
        "They are signed with another shared secret, come from elsewhere, or are malformed.",
    )
    rest = f"not {absent} and not {forged}"
    login = check.fails(
        "RADIUS: login is refused",
        f"phase=7 and {rest}",
        "HIGH",
        "The server answers and says no, or without the proof that a caller wants.",
    )
    keys = check.fails(
        "RADIUS: MPPE keys are missing or wrong",
        f"phase=8 and {rest}",
        "HIGH",
        "The login is accepted, but no encrypted session can come up.",
    )
    other = check.fails(
        "RADIUS: accounting or status fails",
        f"phase<>7 and phase<>8 and {rest}",
        "HIGH",
        "Logins are not what fails; the phase is control for the status and data for accounting.",
    )
    broken = [silent, secret, login, keys, other]
    check.fails(
        "RADIUS: server works badly",
        None,
        "WARNING",
        "Replies without Message-Authenticator, missing keys, " "or one of several parts fails.",
        state=1,
        after=broken,
    )
    t.trigger(
        "RADIUS: answers are slow",
        f"min(//{time},#3)>{{$PPTP.RADIUS.TIME.WARN}}",
        "WARNING",
        "Three runs in a row: load of the server or of what it asks.",
        scope="performance",
        opdata="{ITEM.LASTVALUE1}",
        recovery=f"max(//{time},#3)<{{$PPTP.RADIUS.TIME.WARN}}",
        after=broken,
    )
    unable = check.cannot_run("RADIUS: check cannot run")
    check.silent("RADIUS: no results", [unable])

    times = t.graph("RADIUS: time to the answer", [(time, "1E88E5")])
    again = t.graph(
        "RADIUS: requests sent again, replies thrown away",
        [(check.at("retransmissions"), "FB8C00"), (check.at("discarded"), "E53935")],
    )
    rule = t.rule(
        "radius.parts",
        "Servers and modes",
        "DEPENDENT",
        master=key,
        steps=[t.step("JAVASCRIPT", PARTS.rstrip("\n"))],
        description="A part for each server address and mode that the check asked.",
    )
    part = Check(
        t,
        "radius.part",
        "{#PPTP.PART}",
        key,
        None,
        None,
        into=rule,
        suffix='["{#PPTP.PART}"]',
        path='$.sub[?(@.name=="{#PPTP.PART}")]',
    )
    for item in rule["item_prototypes"]:
        # A filter gives a list, of which there is one.
        item["preprocessing"][0]["parameters"][0] += ".first()"
    took = part.part(
        "time",
        "time to the answer",
        '$.sub[?(@.name=="{#PPTP.PART}")].metrics.{#PPTP.MODE}_time.first()',
        optional=True,
        value="FLOAT",
        units="s",
    )
    by_part = t.graph("RADIUS: {#PPTP.PART}: time to the answer", [(took, "1E88E5")], into=rule)
    t.page(
        "RADIUS",
        t.show_item(0, 0, 4, 2, check.at("state"), "State"),
        t.show_item(4, 0, 6, 2, check.at("reason"), "Reason", size=18),
        t.show_item(10, 0, 14, 2, check.at("headline"), "Last answer", size=16),
        t.show_graph(0, 2, 12, 5, times),
        t.show_graph(12, 2, 12, 5, again),
        t.show_graph(0, 7, 24, 5, by_part, prototype=True),
    )
    return t


PARTS = """\
return JSON.stringify(JSON.parse(value).sub.filter(function (part) {
    // The name becomes part of keys and paths.
    return /^[0-9A-Za-z.:\\[\\]%_-]+ [a-z ]+$/.test(part.name);
}).slice(0, 100).map(function (part) {
    var mode = part.name.slice(part.name.indexOf(" ") + 1).replace(" ", "_");
    return {"{#PPTP.PART}": part.name, "{#PPTP.MODE}": mode};
}));
"""
