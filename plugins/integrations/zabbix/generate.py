#!/usr/bin/env python3
"""Writes the templates of this directory, 6.0/*.yaml and 7.0/*.yaml; with
--check only says whether they are what it would write.

Value maps are read from the modules in mibs/, so that a new reason gets its
word here too.
"""

import pathlib
import re
import sys

sys.dont_write_bytecode = True

import external
import snmp

HERE = pathlib.Path(__file__).resolve().parent
MIBS = HERE.parents[2] / "mibs"


def enumerations():
    """Every enumeration of the MIBs by its name, in the words of our outputs."""
    found = {}
    for module in ("PPTP-PROBE-TC-MIB", "PPTP-SESSION-MIB"):
        text = (MIBS / f"{module}.txt").read_text()
        for name, body in re.findall(
            r"^(\w+) ::= TEXTUAL-CONVENTION.*?SYNTAX\s+INTEGER \{(.*?)\}", text, re.S | re.M
        ):
            pairs = re.findall(r"(\w+)\((\d+)\)", body)
            snake = lambda word: re.sub(r"([A-Z])", lambda letter: "_" + letter[1].lower(), word)
            found[name] = [(number, snake(word)) for word, number in pairs]
    return found


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: generate.py [--check]")
    words = enumerations()
    stale = []
    for version in ("6.0", "7.0"):
        templates = {
            "pptp_gateway_external": external.gateway(version, words),
            "pptp_gateway_agent": external.gateway(version, words, agent=True),
            "pptp_gateway_snmp": snmp.gateway(version, words),
            "radius_external": external.radius(version, words),
        }
        for name, template in templates.items():
            path = HERE / version / f"{name}.yaml"
            text = template.text()
            if check:
                if not path.exists() or path.read_text() != text:
                    stale.append(str(path.relative_to(HERE)))
                continue
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        sys.exit("not what generate.py writes: " + " ".join(stale))


main()
