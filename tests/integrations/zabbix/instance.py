"""A Zabbix of our own: PostgreSQL, server, front end and agents, all in one
directory and in the namespaces that `run` has made.
"""

import glob
import gzip
import json
import os
import pathlib
import pwd
import re
import subprocess
import time
import urllib.request

URL = "http://127.0.0.1:8080"

SERVER = """\
LogFile={at}/server.log
PidFile={at}/server.pid
SocketDir={at}
ListenIP=127.0.0.1
DBHost={at}
DBName=zabbix
DBUser=zabbix
ExternalScripts={at}/externalscripts
FpingLocation=/usr/bin/fping
# What Debian sets.
Timeout=4
CacheUpdateFrequency=2
StartPollers=40
StartPreprocessors=2
StartHTTPPollers=1
StartDiscoverers=0
StartPingers=1
StartDBSyncers=2
# A host that does not answer is unavailable at once.
UnreachablePeriod=4
UnreachableDelay=2
UnavailableDelay=2
"""

AGENT = """\
LogFile={at}/{name}.log
PidFile={at}/{name}.pid
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort={port}
Hostname={name}
Timeout=4
Include={at}/userparameter_pptp.conf
"""

FRONT_END = """\
<?php
$DB['TYPE'] = 'POSTGRESQL';
$DB['SERVER'] = '{at}';
$DB['PORT'] = '0';
$DB['DATABASE'] = 'zabbix';
$DB['USER'] = 'zabbix';
$DB['PASSWORD'] = '';
$DB['SCHEMA'] = '';
$DB['DOUBLE_IEEE754'] = true;
$ZBX_SERVER = '127.0.0.1';
$ZBX_SERVER_PORT = '10051';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
"""


class Refused(Exception):
    """What the API said no to."""


class Instance:
    def __init__(self, directory):
        self.at = pathlib.Path(directory)
        self.user = pwd.getpwnam("zabbix")
        self.token = None

    def as_zabbix(self, *command):
        return [
            "setpriv",
            f"--reuid={self.user.pw_uid}",
            f"--regid={self.user.pw_gid}",
            "--clear-groups",
            "env",
            f"HOME={self.at}",
            *map(str, command),
        ]

    def start(self, name, *command, **more):
        """A child, which ends with the namespace of processes."""
        with open(self.at / f"{name}.out", "wb") as out:
            # The lab takes the end of its input for the end of its work.
            child = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **more,
            )
        return child

    def own(self, name, text, mode=0o640):
        """A file for the user zabbix to read."""
        path = self.at / name
        path.write_text(text.replace("{at}", str(self.at)))
        path.chmod(mode)
        os.chown(path, 0, self.user.pw_gid)
        return path

    def database(self):
        bin = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1]).parent
        run = lambda *command: subprocess.run(self.as_zabbix(*command), check=True, stdout=subprocess.DEVNULL)
        run(bin / "initdb", "-D", self.at / "data", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        self.start(
            "postgres",
            *self.as_zabbix(
                bin / "postgres",
                "-D",
                self.at / "data",
                "-k",
                self.at,
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
                "-c",
                "max_connections=200",
            ),
        )
        wait(20, lambda: subprocess.run([bin / "pg_isready", "-q", "-h", self.at]).returncode == 0)
        run(bin / "createdb", "-h", self.at, "zabbix")
        fill = subprocess.Popen(
            self.as_zabbix(bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.at, "zabbix"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        # Keys are not checked: some of the data is left out.
        fill.stdin.write(b"set session_replication_role = replica;\n")
        for part in ("schema", "data"):
            with gzip.open(f"/usr/share/zabbix-server-pgsql/{part}.sql.gz") as text:
                fill.stdin.writelines(without_templates(text))
        # Without statistics the front end's queries take seconds each.
        fill.stdin.write(b"analyze;\n")
        fill.stdin.close()
        if fill.wait() != 0:
            raise RuntimeError("the schema of Zabbix could not be loaded")

    def server(self):
        self.start("zabbix_server", "zabbix_server", "-f", "-c", self.own("server.conf", SERVER))

    def front_end(self):
        """The directory of its configuration is ours in this namespace."""
        etc = self.at / "etc"
        etc.mkdir()
        self.own("etc/zabbix.conf.php", FRONT_END)
        subprocess.run(["mount", "--bind", etc, "/etc/zabbix"], check=True)
        settings = {
            "memory_limit": "512M",
            "post_max_size": "16M",
            "max_execution_time": "300",
            "date.timezone": "UTC",
            "opcache.enable_cli": "1",
        }
        self.start(
            "php",
            *self.as_zabbix(
                "php",
                *(f"-d{key}={value}" for key, value in settings.items()),
                "-S",
                "127.0.0.1:8080",
                "-t",
                "/usr/share/zabbix",
            ),
            env=os.environ | {"PHP_CLI_SERVER_WORKERS": "4"},
        )
        wait(20, self.login)

    def agent(self, program, port):
        conf = self.own(f"{program}.conf", AGENT.replace("{port}", str(port)).replace("{name}", program))
        if program == "zabbix_agent2":
            with conf.open("a") as text:
                text.write(f"ControlSocket={self.at}/agent2.sock\n")
        self.start(program, *self.as_zabbix(program, "-f", "-c", conf))

    def login(self):
        try:
            self.token = self.api("user.login", {"user": "Admin", "password": "zabbix"})
        except OSError:
            return False
        return True

    def api(self, method, params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "auth": self.token}
        request = urllib.request.Request(
            f"{URL}/api_jsonrpc.php", json.dumps(body).encode(), {"Content-Type": "application/json-rpc"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']['message']} {answer['error']['data']}")
        return answer["result"]


TEMPLATES = re.compile(
    rb"INSERT INTO (hosts|items|triggers|functions|graphs|dashboard|widget|valuemap|hostmacro|host_tag|interface|"
    rb"lld_|sysmap|trigger_|graphs_|item_|hosts_|valuemap_|dashboard_|widget_|host_discovery|group_prototype)"
)


def without_templates(text):
    """The data that Zabbix ships, without its own templates: they are nearly
    all of it, and nobody asks for them here."""
    keep = True
    for line in text:
        # Other lines go on with a text that has line breaks.
        if line.startswith((b"INSERT INTO ", b"COMMIT;")):
            keep = not TEMPLATES.match(line)
        if keep:
            yield line


def wait(seconds, ready):
    """Whether `ready` came true in time."""
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            return False
        time.sleep(0.3)
    return True
