"""Gateways by SNMP, from pptp-snmp-subagent behind snmpd or standalone:
PPTP-SESSION-MIB.

6.0 asks for every object by itself; 7.0 walks a table once and everything
takes its part of that. Keys, names and UUIDs are the same.
"""

from zbx import Template

# Texts of gateways and callers become names of items: printable, short, and
# without what Zabbix would take for a macro.
CLEAN = """\
var rows = JSON.parse(value);
rows = rows.slice(0, Number('{most}'));
return JSON.stringify(rows.map(function (row) {
    Object.keys(row).forEach(function (macro) {
        row[macro] = String(row[macro]).replace(/[^ -~]|[{}$#"\\\\]/g, "_").slice(0, 64);
    });
    return row;
}));
"""


SERVERS, USERS, PROBES, RADIUS = 2, 5, 8, 10


def walk(t, key, name, tables, delay):
    """A master item of 7.0: whole tables."""
    roots = ",".join(f"{{$PPTP.OID}}.1.{number}.1" for number in tables)
    t.item(
        key,
        name,
        "SNMP_AGENT",
        delay=delay,
        value="TEXT",
        history="0",
        snmp_oid=f"walk[{roots}]",
        description="Whole tables; the other items take their parts of them.",
    )


class Table:
    """A table of the MIB and its discovery rule. `columns` are those whose
    texts name a row: macro to number. `walk` is the master item in 7.0."""

    def __init__(
        self,
        t,
        number,
        key,
        name,
        columns,
        description,
        walk="pptp.snmp.walk",
        most="{$PPTP.ROWS.MAX}",
        conditions=(),
    ):
        self.t, self.key, self.walk = t, key, walk
        self.root = f"{{$PPTP.OID}}.1.{number}.1"
        clean = t.step("JAVASCRIPT", CLEAN.replace("{most}", most).rstrip("\n"))
        rule = {"conditions": conditions, "description": description}
        if t.is_7:
            fields = [
                part for macro, column in columns.items() for part in (macro, f"{self.root}.{column}", "1")
            ]
            steps = [t.step("SNMP_WALK_TO_JSON", *fields, discard=True), clean]
            self.rule = t.rule(f"pptp.snmp.{key}", name, "DEPENDENT", master=self.walk, steps=steps, **rule)
        else:
            pairs = ",".join(f"{macro},{self.root}.{column}" for macro, column in columns.items())
            self.rule = t.rule(
                f"pptp.snmp.{key}",
                name,
                "SNMP_AGENT",
                delay="{$PPTP.DISCOVERY.INTERVAL}",
                snmp_oid=f"discovery[{pairs}]",
                steps=[clean],
                **rule,
            )

    def column(self, number, name, label, *, steps=(), **more):
        """An item for a column of each row. What nothing tells has no instance
        and then no value, which is no error."""
        key = f"pptp.snmp.{self.key}.{name}[{{#SNMPINDEX}}]"
        oid = f"{self.root}.{number}.{{#SNMPINDEX}}"
        title = f"{self.label}: {label}"
        if self.t.is_7:
            first = self.t.step(
                "SNMP_WALK_VALUE", oid, "1" if more.get("value") == "CHAR" else "0", discard=True
            )
            source = {"kind": "DEPENDENT", "master": self.walk}
        else:
            # Discards, unless told otherwise.
            first = self.t.step("CHECK_NOT_SUPPORTED")
            source = {"kind": "SNMP_AGENT", "delay": "{$PPTP.SNMP.INTERVAL}", "snmp_oid": oid}
        self.t.item(key, title, source.pop("kind"), into=self.rule, steps=[first, *steps], **source, **more)
        return key

    def rate(self, number, name, label, factor=None, **more):
        """A counter, as what it grows by in a second, or times `factor`."""
        steps = [self.t.step("CHANGE_PER_SECOND")]
        if factor:
            steps.append(self.t.step("MULTIPLIER", factor))
        return self.column(number, name, label, steps=steps, value="FLOAT", **more)

    def is_in(self, key, value, name, priority, description, *, after=(), text=None):
        """`key` has been `value` for {$PPTP.TIMES}."""
        problem = f"min(//{key},{{$PPTP.TIMES}})={value} and max(//{key},{{$PPTP.TIMES}})={value}"
        if text:
            problem = f"length(last(//{text}))>=0 and {problem}"
        return self.t.trigger(
            name,
            problem,
            priority,
            description,
            into=self.rule,
            after=after,
            recovery=f'count(//{key},{{$PPTP.TIMES}},"eq","{value}")=0',
            opdata="{ITEM.LASTVALUE1}",
        )


def gateway(version, words):
    t = Template(
        version,
        "PPTP gateway by SNMP",
        "A PPTP gateway from inside, by pptp-snmp-subagent behind snmpd or standalone: servers, sessions, "
        "logins, traffic, scheduled probes, RADIUS servers and users.\n\nMIB: PPTP-SESSION-MIB. Interfaces "
        "(pppN) are not discovered, for they belong to somebody else after every call.",
    )
    for name in ("PptpOperStatus", "PptpResult", "PptpProbePhase", "PptpProbeReason", "PptpKind"):
        t.valuemap(name, words[name])
    t.valuemap("SNMP availability", [(0, "not available"), (1, "available"), (2, "unknown")])
    t.macro(
        "{$PPTP.OID}",
        "1.3.6.1.4.1.8072.9999.9999.1723",
        "Root of the MIB: oid_base of the agent's configuration.",
    )
    t.macro("{$PPTP.SNMP.INTERVAL}", "1m", "How often everything is read.")
    if not t.is_7:
        t.macro("{$PPTP.DISCOVERY.INTERVAL}", "10m", "How often servers, probes and users are looked for.")
    else:
        t.macro("{$PPTP.USERS.INTERVAL}", "5m", "How often the table of users is read.")
    t.macro("{$PPTP.SNMP.TIMEOUT}", "5m", "After so long without an answer there is a problem.")
    t.macro(
        "{$PPTP.TIMES}", "#2", "How often in a row a status has to be read before a problem begins or ends."
    )
    t.macro("{$PPTP.WINDOW}", "5m", "How long a rate or a level has to last before it is a problem.")
    t.macro("{$PPTP.ROWS.MAX}", "100", "Rows of a table that are discovered at most.")
    t.macro("{$PPTP.SESSIONS.WARN}", "90", "Percent of the sessions that a server takes.")
    t.macro("{$PPTP.AUTH.FAILURES.WARN}", "10", "Rejected logins a minute.")
    t.macro("{$PPTP.USERS.MAX}", "100", "Users that are discovered at most, those that the agent saw first.")
    t.macro(
        "{$PPTP.USER.MATCHES}",
        "CHANGE_IF_NEEDED",
        "Users that are discovered, as a regular expression; as it is, "
        "nobody. Who was connected when is personal data.",
    )
    t.macro("{$PPTP.USER.NOT_MATCHES}", "CHANGE_IF_NEEDED", "Users that are left out all the same.")

    available = "zabbix[host,snmp,available]"
    t.item(
        available,
        "SNMP: availability",
        "INTERNAL",
        delay="{$PPTP.SNMP.INTERVAL}",
        valuemap="SNMP availability",
    )
    gone = t.trigger(
        "PPTP: no answer by SNMP",
        f"max(//{available},{{$PPTP.SNMP.TIMEOUT}})=0",
        "AVERAGE",
        "The agent does not run, or does not answer this host: its address, community or user, and its "
        "allow list.",
    )
    agent = "{$PPTP.OID}.1.1"
    for number, name, label, value, units in (
        (1, "version", "version", "CHAR", None),
        (2, "description", "what is served", "CHAR", None),
        (4, "data_age", "age of the data", "FLOAT", "s"),
    ):
        oid = f"{agent}.{number}.0"
        steps = [t.step("MULTIPLIER", "0.001")] if units else [t.step("DISCARD_UNCHANGED_HEARTBEAT", "1d")]
        t.item(
            f"pptp.snmp.agent.{name}",
            f"Agent: {label}",
            "SNMP_AGENT",
            delay="{$PPTP.SNMP.INTERVAL}",
            value=value,
            units=units,
            steps=steps,
            snmp_oid=f"get[{oid}]" if t.is_7 else oid,
        )

    if t.is_7:
        # One of tables that are never all empty; users are many, and mostly nobody asks for them.
        walk(t, "pptp.snmp.walk", "Walk", (SERVERS, PROBES, RADIUS), "{$PPTP.SNMP.INTERVAL}")
        walk(t, "pptp.snmp.walk[user]", "Users: walk", (USERS,), "{$PPTP.USERS.INTERVAL}")
    servers(t, gone)
    probes(t, gone)
    radius(t, gone)
    users(t)
    return t


def servers(t, gone):
    s = Table(t, SERVERS, "server", "Servers", {"{#NAME}": 2}, "Every PPTP server that the agent watches.")
    s.label = "Server {#NAME}"
    status = s.column(7, "status", "status", valuemap="PptpOperStatus")
    text = s.column(8, "status_text", "why it is not up", value="CHAR")
    s.column(3, "kind", "software", valuemap="PptpKind")
    s.column(9, "uptime", "uptime", units="uptime")
    active = s.column(12, "sessions_active", "sessions open")
    starting = s.column(13, "sessions_starting", "sessions starting")
    most = s.column(15, "sessions_maximum", "sessions at most")
    s.column(16, "users", "users")
    accepted = s.rate(22, "auth_successes", "logins accepted a minute", "60")
    rejected = s.rate(23, "auth_failures", "logins rejected a minute", "60")
    lcp = s.rate(24, "lcp_timeouts", "ends by LCP timeout a minute", "60")
    mppe = s.rate(25, "mppe_failures", "ends by MPPE a minute", "60")
    echo = s.rate(26, "echo_timeouts", "ends by echo timeout a minute", "60")
    inward = s.rate(27, "in", "from callers", "8", units="bps")
    outward = s.rate(28, "out", "to callers", "8", units="bps")
    s.column(
        31, "data_age", "age of the data", value="FLOAT", units="s", steps=[t.step("MULTIPLIER", "0.001")]
    )
    s.rate(32, "collect_errors", "sources that could not be read, a minute", "60")

    down = s.is_in(
        status,
        3,
        "PPTP: server {#NAME} is down",
        "HIGH",
        "Its process does not run, or does not listen.",
        after=[gone],
        text=text,
    )
    stale = s.is_in(
        status,
        4,
        "PPTP: server {#NAME}: nobody can tell",
        "AVERAGE",
        "The data is stale or was never "
        "there: the status text and the agent's log say which source cannot be read.",
        after=[gone],
        text=text,
    )
    s.is_in(
        status,
        2,
        "PPTP: server {#NAME} works in part",
        "WARNING",
        "The status text says what is missing.",
        after=[down, stale],
        text=text,
    )
    share = f"last(//{most})*{{$PPTP.SESSIONS.WARN}}/100"
    t.trigger(
        "PPTP: server {#NAME} is nearly full",
        f"min(//{active},{{$PPTP.WINDOW}})>={share}",
        "WARNING",
        "Soon callers are refused. Not for a server whose maximum is not known.",
        into=s.rule,
        after=[down],
        recovery=f"max(//{active},{{$PPTP.WINDOW}})<{share}",
        scope="capacity",
        opdata="{ITEM.LASTVALUE1}",
    )
    limit = "{$PPTP.AUTH.FAILURES.WARN}"
    t.trigger(
        "PPTP: server {#NAME} rejects many logins",
        f"min(//{rejected},{{$PPTP.WINDOW}})>{limit}",
        "WARNING",
        "A wrong setting, RADIUS, or somebody guesses passwords.",
        into=s.rule,
        after=[down],
        scope="security",
        recovery=f"max(//{rejected},{{$PPTP.WINDOW}})<{limit}",
        opdata="{ITEM.LASTVALUE1}",
    )
    sessions = t.graph(
        "PPTP: {#NAME}: sessions", [(active, "43A047"), (starting, "FB8C00"), (most, "E53935")], into=s.rule
    )
    traffic = t.graph("PPTP: {#NAME}: traffic", [(inward, "1E88E5"), (outward, "43A047")], into=s.rule)
    logins = t.graph("PPTP: {#NAME}: logins", [(accepted, "43A047"), (rejected, "E53935")], into=s.rule)
    ends = t.graph(
        "PPTP: {#NAME}: broken sessions", [(lcp, "8E24AA"), (mppe, "FB8C00"), (echo, "E53935")], into=s.rule
    )
    t.page(
        "Servers",
        *(
            t.show_graph(12 * (at % 2), 5 * (at // 2), 12, 5, name, prototype=True)
            for at, name in enumerate((sessions, traffic, logins, ends))
        ),
    )


def probes(t, gone):
    p = Table(
        t,
        PROBES,
        "probe",
        "Probed gateways",
        {"{#NAME}": 2, "{#TARGET}": 3},
        "Every probe that the agent makes on a schedule ([[probe]] in its configuration).",
    )
    p.label = "Probe {#NAME}"
    result = p.column(8, "result", "result", valuemap="PptpResult")
    p.column(9, "phase", "phase", valuemap="PptpProbePhase")
    p.column(10, "reason", "reason", valuemap="PptpProbeReason")
    text = p.column(11, "text", "what was seen", value="CHAR")
    seconds = {"value": "FLOAT", "units": "s", "steps": [t.step("MULTIPLIER", "0.000001")]}
    time = p.column(12, "time", "time", **seconds)
    rtt = p.column(16, "lcp_rtt", "round trip of an LCP echo", **seconds)
    p.column(18, "loss", "LCP echoes lost", units="%")
    failed = p.is_in(
        result,
        3,
        "PPTP: probe {#NAME} of {#TARGET} fails",
        "HIGH",
        "Its phase and reason say where and why.",
        after=[gone],
        text=text,
    )
    p.is_in(
        result,
        2,
        "PPTP: probe {#NAME} of {#TARGET} has objections",
        "WARNING",
        "It works, but not well.",
        after=[failed],
        text=text,
    )
    p.is_in(
        result,
        4,
        "PPTP: probe {#NAME} of {#TARGET} cannot run",
        "WARNING",
        "It has not run, or could not for a " "reason on the agent's host.",
        after=[failed],
        text=text,
    )
    times = t.graph("PPTP: probe {#NAME}: times", [(time, "1E88E5"), (rtt, "FB8C00")], into=p.rule)
    t.page("Probes", t.show_graph(0, 0, 24, 5, times, prototype=True))


def radius(t, gone):
    r = Table(
        t, RADIUS, "radius", "RADIUS servers", {"{#NAME}": 2}, "Every RADIUS server that the agent asks."
    )
    r.label = "RADIUS {#NAME}"
    status = r.column(7, "status", "status", valuemap="PptpOperStatus")
    reason = r.column(8, "reason", "reason", valuemap="PptpProbeReason")
    r.column(
        9, "rtt", "time to the answer", value="FLOAT", units="s", steps=[t.step("MULTIPLIER", "0.000001")]
    )
    for number, name, label in (
        (11, "retransmissions", "requests sent again"),
        (12, "accepts", "accepts"),
        (13, "rejects", "rejects"),
        (19, "timeouts", "timeouts"),
    ):
        r.rate(number, name, f"{label} a minute", "60")
    down = r.is_in(
        status,
        3,
        "PPTP: RADIUS {#NAME} is down",
        "HIGH",
        "It does not answer, or not rightly.",
        after=[gone],
        text=reason,
    )
    r.is_in(
        status,
        2,
        "PPTP: RADIUS {#NAME} works in part",
        "WARNING",
        "It answers, but the agent has objections.",
        after=[down],
        text=reason,
    )


def users(t):
    u = Table(
        t,
        USERS,
        "user",
        "Users",
        {"{#USER}": 2},
        "Users by name, of those that {$PPTP.USER.MATCHES} lets pass.",
        walk="pptp.snmp.walk[user]",
        most="{$PPTP.USERS.MAX}",
        conditions=[
            ("{#USER}", {}, "{$PPTP.USER.MATCHES}"),
            ("{#USER}", {"operator": "NOT_MATCHES_REGEX"}, "{$PPTP.USER.NOT_MATCHES}"),
        ],
    )
    u.label = "User {#USER}"
    u.column(3, "sessions_active", "sessions open")
    u.rate(5, "auth_failures", "logins rejected a minute", "60")
    inward = u.rate(6, "in", "from the user", "8", units="bps")
    outward = u.rate(7, "out", "to the user", "8", units="bps")
    quota = u.column(10, "quota_used", "quota used", units="%")
    t.trigger(
        "PPTP: quota of {#USER} is used up",
        f"last(//{quota})>=100",
        "INFO",
        "The quota of the agent's " "configuration, both directions.",
        into=u.rule,
        scope="capacity",
        opdata="{ITEM.LASTVALUE1}",
    )
    t.graph("PPTP: user {#USER}: traffic", [(inward, "1E88E5"), (outward, "43A047")], into=u.rule)
