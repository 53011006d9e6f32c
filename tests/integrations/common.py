"""What the tests of Nagios and Icinga 2 share: a place of their own where
everything ends with the test, the checks as they are installed, a lab."""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug"
INTEGRATIONS = TOP / "plugins" / "integrations"
CHECKS = ["check_pptp_control", "check_pptp_gre", "check_pptp_auth", "check_pptp_tunnel",
          "check_pptp_log", "check_pptp_host", "check_radius"]
RAW = ["check_pptp_gre", "check_pptp_auth", "check_pptp_tunnel"]
GATEWAY = "192.0.2.1"
RADIUS = "192.0.2.10"
PASSWORD = "Pr0be-secret"
INSIDE = "PPTP_TEST_INSIDE"


def enclose():
    """Starts this script again in namespaces of its own: nothing that it starts
    can outlive it or meet what else runs on the machine."""
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    if os.geteuid() != 0:
        sys.exit("needs root, for namespaces and for the right to raw sockets")
    os.execvpe("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                           "--mount-proc", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


class Failed(Exception):
    """A test that did not pass, with the reason."""


class Suite:
    """Counts and prints, and owns the directory and the processes."""

    def __init__(self):
        self.passed = self.failed = 0
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pptp-monitor-"))
        self.directory.chmod(0o755)
        self.started = []

    def test(self, name, action):
        begun = time.monotonic()
        try:
            action()
        except Exception as error:  # every reason is one to show
            self.failed += 1
            print(f"FAILED  {name} ({time.monotonic() - begun:.1f} s)")
            print("\n".join(f"        {line}" for line in (str(error) or repr(error)).splitlines()))
            return False
        self.passed += 1
        print(f"ok      {name} ({time.monotonic() - begun:.1f} s)")
        return True

    def start(self, argv, log, **more):
        """A daemon, with what it says in a file."""
        with open(log, "ab") as output:
            process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output, **more)
        self.started.append(process)
        return process

    def end(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def run(argv, **more):
    """What a command says; it has to succeed."""
    result = subprocess.run([str(word) for word in argv], stdin=more.pop("stdin", subprocess.DEVNULL),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def wait_for(what, condition, seconds=20):
    """Until the condition gives something; its last Failed is the reason."""
    deadline = time.monotonic() + seconds
    reason = ""
    while time.monotonic() < deadline:
        try:
            found = condition()
            if found:
                return found
        except (Failed, OSError) as error:
            reason = f": {error}"
        time.sleep(0.1)
    raise Failed(f"{what} did not come within {seconds} s{reason}")


def require(condition, text):
    if not condition:
        raise Failed(text)


def install(directory):
    """The checks and the event handler as the README installs them."""
    directory.mkdir()
    for check in CHECKS:
        shutil.copy(TARGET / check, directory)
        if check in RAW:
            run(["setcap", "cap_net_raw+ep", directory / check])
    shutil.copy(INTEGRATIONS / "nagios" / "pptp-event-handler", directory)


def secret(path, text, user="nagios"):
    """A file that only the user reads."""
    path.write_text(text)
    path.chmod(0o600)
    owner = pwd.getpwnam(user)
    os.chown(path, owner.pw_uid, owner.pw_gid)


class Lab:
    """A gateway on the addresses of the examples, with its RADIUS server."""

    def __init__(self, suite):
        for address in GATEWAY, RADIUS:
            run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
        self.control = {}
        for address in GATEWAY, RADIUS:
            socket = suite.directory / f"lab-{address}.sock"
            suite.start([TARGET / "pptp-lab", "serve", "--listen", address, "--dns", "192.168.77.1",
                         "--control", socket], suite.directory / "lab.log")
            self.control[address] = socket
        for socket in self.control.values():
            wait_for("the lab", socket.exists)

    def fault(self, name, address=GATEWAY):
        run([TARGET / "pptp-lab", "ctl", "--control", self.control[address], "fault", name])

    def clear(self):
        for socket in self.control.values():
            run([TARGET / "pptp-lab", "ctl", "--control", socket, "clear"])
