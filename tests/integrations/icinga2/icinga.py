"""What the tests of Icinga 2 share: daemons in directories of their own, and
their API."""

import base64
import json
import os
import pwd
import secrets
import shutil
import ssl
import urllib.error
import urllib.request

from common import Failed, require, run

ICINGA = "/usr/sbin/icinga2"


def daemon(suite, name, *words):
    """The words of a command for the Icinga of this name, in its directories."""
    base = suite.directory / name
    defines = {"NodeName": name, "ZoneName": name, "DataDir": base / "data", "LogDir": base / "log",
               "CacheDir": base / "cache", "SpoolDir": base / "spool", "InitRunDir": base / "run",
               "ConfigDir": base / "etc", "ZonesDir": base / "etc" / "zones.d",
               "RunAsUser": "nagios", "RunAsGroup": "nagios"}
    options = [word for key, value in defines.items() for word in ["-D", f"{key}={value}"]]
    return [ICINGA, *words, *options]


def prepare(suite, name, text):
    """Directories, certificate and configuration of one Icinga."""
    base = suite.directory / name
    certificates = base / "data" / "certs"
    for part in ["data/certs", "log", "cache", "spool", "run", "etc"]:
        (base / part).mkdir(parents=True)
    (base / "etc" / "icinga2.conf").write_text(text)
    certificate(suite.directory, certificates, name)
    give(base)


def give(base):
    """All of it to the user that Icinga becomes."""
    owner = pwd.getpwnam("nagios")
    for path in [base, *base.rglob("*")]:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def certificate(directory, certificates, name):
    """One that an authority of the test's own has signed; the first one makes it."""
    authority, signer = directory / "ca.crt", directory / "ca.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    if not authority.exists():
        run(["openssl", "req", "-x509", *curve, "-subj", "/CN=test", "-keyout", signer, "-out", authority])
    request = directory / f"{name}.csr"
    run(["openssl", "req", "-new", *curve, "-subj", f"/CN={name}", "-keyout", certificates / f"{name}.key",
         "-out", request])
    run(["openssl", "x509", "-req", "-in", request, "-CA", authority, "-CAkey", signer,
         "-CAcreateserial", "-out", certificates / f"{name}.crt"])
    shutil.copy(authority, certificates / "ca.crt")


class Api:
    """The master's API."""

    def __init__(self):
        self.password = secrets.token_hex(16)
        self.context = ssl._create_unverified_context()
        self.authorization = "Basic " + base64.b64encode(f"test:{self.password}".encode()).decode()

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"https://127.0.0.1:5665/v1/{path}", data=json.dumps(body or {}).encode(),
            headers={"Authorization": self.authorization, "Accept": "application/json",
                     "X-HTTP-Method-Override": method}, method="POST")
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
                return json.load(answer)["results"]
        except urllib.error.HTTPError as error:
            raise Failed(f"{path}: {error} {error.read().decode()}") from error

    def services(self):
        """By host!service, their attributes."""
        attributes = ["name", "state", "state_type", "last_reachable", "last_check",
                      "last_check_result", "command_endpoint"]
        found = self.ask("GET", "objects/services", {"attrs": attributes})
        return {service["name"]: service["attrs"] for service in found}

    def modify(self, where, **attributes):
        for service in self.ask("POST", "objects/services", {"filter": where, "attrs": attributes}):
            require(service["code"] == 200, str(service))

    def check(self, where):
        """Now, whatever a dependency says."""
        self.ask("POST", "actions/reschedule-check", {"type": "Service", "filter": where, "force": True})


def output(service):
    return (service["last_check_result"] or {}).get("output", "")


def describe(services):
    lines = [f"{name}: {service['state']:.0f}, {'' if service['last_reachable'] else 'un'}reachable, "
             f"{output(service).partition(chr(10))[0]}" for name, service in sorted(services.items())]
    return "\n".join(lines)
