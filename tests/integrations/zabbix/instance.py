"""A Zabbix of our own: PostgreSQL, server, front end and agents, all in one
directory and in the namespaces that `run` has made. Its programs are those of
this machine, or of another Debian in a directory.
"""

import gzip
import http.cookiejar
import json
import os
import pathlib
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
    def __init__(self, directory, version, root):
        """Zabbix `version` as installed in the Debian at `root`."""
        self.at, self.version, self.root = pathlib.Path(directory), version, pathlib.Path(root)
        users = (line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines())
        self.uid, self.gid = next((int(user[2]), int(user[3])) for user in users if user[0] == "zabbix")
        self.token = None
        os.chmod(self.at, 0o755)
        os.chown(self.at, self.uid, self.gid)

    def enter(self):
        """Lets the other Debian be read, and have our directory at its place."""
        if self.root == pathlib.Path("/"):
            return
        mount = lambda *words: subprocess.run(["mount", *words], check=True)
        mount("--bind", self.root, self.root)
        mount("-o", "remount,bind,ro", self.root)
        mount("-t", "proc", "proc", self.root / "proc")
        mount("--bind", "/dev", self.root / "dev")
        for place in ("dev/shm", "tmp"):
            mount("-t", "tmpfs", "tmpfs", self.root / place)
        there = self.inside(self.at)
        there.mkdir()
        mount("--bind", self.at, there)

    def inside(self, path):
        """Where we find what the programs call `path`."""
        return self.root / str(path).lstrip("/")

    def command(self, *command):
        return ["chroot", self.root, *command]

    def as_zabbix(self, *command):
        return self.command(
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "env",
            f"HOME={self.at}",
            *command,
        )

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
        os.chown(path, 0, self.gid)
        return path

    def database(self):
        found = sorted(self.inside("usr/lib/postgresql").glob("*/bin/initdb"))[-1]
        bin = pathlib.Path("/") / found.parent.relative_to(self.root)
        run = lambda *command: subprocess.run(
            list(map(str, self.as_zabbix(*command))), check=True, stdout=subprocess.DEVNULL
        )
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
        ready = self.command(bin / "pg_isready", "-q", "-h", self.at)
        wait(20, lambda: subprocess.run(ready).returncode == 0)
        run(bin / "createdb", "-h", self.at, "zabbix")
        fill = subprocess.Popen(
            self.as_zabbix(bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.at, "zabbix"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        # Keys are not checked: some of the data is left out.
        fill.stdin.write(b"set session_replication_role = replica;\n")
        for part in ("schema", "data"):
            with gzip.open(self.inside(f"usr/share/zabbix-server-pgsql/{part}.sql.gz")) as text:
                fill.stdin.writelines(without_templates(text))
        # Without statistics the front end's queries take seconds each.
        fill.stdin.write(b"analyze;\n")
        fill.stdin.close()
        if fill.wait() != 0:
            raise RuntimeError("the schema of Zabbix could not be loaded")

    def server(self):
        conf = self.own("server.conf", SERVER)
        self.start("zabbix_server", *self.command("zabbix_server", "-f", "-c", conf))

    def front_end(self):
        """The directory of its configuration is ours in this namespace."""
        etc = self.at / "etc"
        etc.mkdir()
        self.own("etc/zabbix.conf.php", FRONT_END)
        subprocess.run(["mount", "--bind", etc, self.inside("etc/zabbix")], check=True)
        # For others than programs it has no word without a language.
        (self.at / "locale").mkdir()
        language = self.command("localedef", "-i", "en_US", "-f", "UTF-8", self.at / "locale/en_US.UTF-8")
        subprocess.run(language, check=True)
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
            env=os.environ | {"PHP_CLI_SERVER_WORKERS": "4", "LOCPATH": str(self.at / "locale")},
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
            self.token = self.api("user.login", {"username": "Admin", "password": "zabbix"})
        except OSError:
            return False
        return True

    def browser(self):
        """What fetches a page as somebody who has logged in."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

        def fetch(page, body=None, kind="application/x-www-form-urlencoded"):
            request = urllib.request.Request(
                f"{URL}/{page}", body and body.encode(), {"Content-Type": kind} if body else {}
            )
            with opener.open(request, timeout=60) as reply:
                return reply.read()

        fetch("index.php", "name=Admin&password=zabbix&enter=Sign+in")
        return fetch

    def api(self, method, params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Content-Type": "application/json-rpc"}
        if self.version == "6.0":
            body["auth"] = self.token
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{URL}/api_jsonrpc.php", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']['message']} {answer['error']['data']}")
        return answer["result"]


TEMPLATES = re.compile(
    rb"INSERT INTO (hosts|items|triggers|functions|graphs|dashboard|widget|valuemap|hostmacro|interface|"
    rb"lld_|sysmap|trigger_|graphs_|item_|hosts_|valuemap_|dashboard_|widget_|host_|hgset|group_prototype)"
)


def without_templates(text):
    """The data that Zabbix ships, without its own templates: they are nearly
    all of it, and nobody asks for them here."""
    keep = True
    for line in text:
        # Other lines go on with a text that has line breaks.
        if line.startswith((b"INSERT INTO ", b"DELETE FROM ", b"COMMIT;")):
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
