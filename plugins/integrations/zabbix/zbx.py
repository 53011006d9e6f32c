"""The parts of a Zabbix template, and how they are written as YAML.

One description serves both versions; what differs between Zabbix 6.0 and 7.0
stands here and nowhere else. The module knows nothing of PPTP.
"""

import hashlib

GROUP = "Templates/PPTP"


def uuid(*path):
    """A UUID of version 4 that stays: of a name instead of at random, so that
    both versions have the same and an import replaces what it put there."""
    octets = bytearray(hashlib.sha256("\0".join(("pptp-monitor", *path)).encode()).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    return octets.hex()


def tags(**pairs):
    return [{"tag": tag, "value": value} for tag, value in pairs.items()]


class Template:
    """A template under construction, for one version."""

    def __init__(self, version, name, description):
        self.version = version
        self.name = name
        self.description = description
        self.items, self.rules, self.triggers, self.graphs = [], [], [], []
        self.pages, self.macros, self.valuemaps = [], {}, []

    @property
    def is_7(self):
        return self.version == "7.0"

    def macro(self, name, value, description):
        self.macros[name] = (value, description)

    def valuemap(self, name, pairs):
        mappings = [{"value": str(value), "newvalue": word} for value, word in pairs]
        self.valuemaps.append({"uuid": uuid(self.name, "valuemap", name), "name": name, "mappings": mappings})

    def item(
        self,
        key,
        name,
        kind,
        *,
        into=None,
        master=None,
        delay=None,
        value="UNSIGNED",
        units=None,
        valuemap=None,
        steps=(),
        history="31d",
        description=None,
        component="pptp",
        **more,
    ):
        """An item, or a prototype of the rule `into`."""
        item = {"uuid": uuid(self.name, "item", key), "name": name} | self._type(kind) | {"key": key}
        item |= {field: more.pop(field) for field in ("snmp_oid",) if field in more}
        item |= self._delay(kind, delay)
        item |= self._unless_7("history", history, "31d")
        if value in ("TEXT", "CHAR"):
            item["trends"] = "0"
        if value != "UNSIGNED":
            item["value_type"] = value
        if units:
            item["units"] = units
        item |= more
        if description:
            item["description"] = description
        if valuemap:
            item["valuemap"] = {"name": valuemap}
        if steps:
            item["preprocessing"] = list(steps)
        if kind == "EXTERNAL" and self.is_7:
            item["timeout"] = "{$PPTP.ITEM.TIMEOUT}"
        if master:
            item["master_item"] = {"key": master}
        item["tags"] = tags(component=component)
        (into["item_prototypes"] if into else self.items).append(item)
        return item

    def rule(self, key, name, kind, *, master=None, delay=None, steps=(), conditions=(), description, **more):
        """A discovery rule; what it finds goes when it is gone for a week. 7.0
        disables it at once."""
        rule = {"uuid": uuid(self.name, "rule", key), "name": name} | self._type(kind) | {"key": key}
        rule |= {field: more.pop(field) for field in ("snmp_oid",) if field in more}
        rule |= self._delay(kind, delay)
        if conditions:
            rule["filter"] = {
                "evaltype": "AND",
                "conditions": [
                    {"macro": macro, "value": value} | operator | {"formulaid": letter}
                    for letter, (macro, operator, value) in zip("ABCDEF", conditions)
                ],
            }
        rule |= self._unless_7("lifetime", "7d", "7d") | {"description": description} | more
        rule |= {"item_prototypes": [], "trigger_prototypes": [], "graph_prototypes": []}
        if master:
            rule["master_item"] = {"key": master}
        if steps:
            rule["preprocessing"] = list(steps)
        self.rules.append(rule)
        return rule

    # An export leaves out what is taken for granted, and so do we.

    def _type(self, kind):
        return {} if kind == "ZABBIX_PASSIVE" else {"type": kind}

    def _unless_7(self, field, value, default):
        """A field with a default that only 7.0 has."""
        return {} if self.is_7 and value == default else {field: value}

    def _delay(self, kind, delay):
        if kind == "DEPENDENT":
            return {} if self.is_7 else {"delay": "0"}
        return {} if delay == "1m" else {"delay": delay}

    def step(self, kind, *parameters, discard=False):
        """A step of preprocessing; with `discard`, no value is no error."""
        step = {"type": kind}
        if parameters or not self.is_7:
            step["parameters"] = list(parameters) or [""]
        if discard:
            step["error_handler"] = "DISCARD_VALUE"
        return step

    def trigger(
        self,
        name,
        expression,
        priority,
        description,
        *,
        into=None,
        recovery=None,
        after=(),
        scope="availability",
        opdata=None,
    ):
        """A trigger, silent while one of those that it comes `after` has a problem."""
        host = lambda text: text.replace("(//", f"(/{self.name}/")
        trigger = {"uuid": uuid(self.name, "trigger", name), "expression": host(expression)}
        if recovery:
            trigger |= {"recovery_mode": "RECOVERY_EXPRESSION", "recovery_expression": host(recovery)}
        trigger["name"] = name
        if opdata:
            trigger["opdata"] = opdata
        trigger |= {"priority": priority, "description": description}
        if after:
            fields = ("name", "expression", "recovery_expression")
            trigger["dependencies"] = [
                {field: other[field] for field in fields if field in other} for other in after
            ]
        trigger["tags"] = tags(scope=scope)
        # Zabbix writes a trigger of one item to that item, others apart.
        field = "trigger_prototypes" if into else "triggers"
        items = [
            item
            for item in (into["item_prototypes"] if into else self.items)
            if any(f"/{self.name}/{item['key']}{end}" in trigger["expression"] for end in ",)")
        ]
        if len(items) == 1:
            items[0].setdefault(field, []).append(trigger)
        else:
            (into or self.__dict__)[field].append(trigger)
        return trigger

    def graph(self, name, items, *, into=None, stacked=False):
        graph = {"uuid": uuid(self.name, "graph", name), "name": name}
        if stacked:
            graph["type"] = "STACKED"
        graph["graph_items"] = [
            {"drawtype": "FILLED_REGION" if stacked else "BOLD_LINE"}
            | ({"sortorder": str(order)} if order else {})
            | {"color": color, "item": {"host": self.name, "key": key}}
            for order, (key, color) in enumerate(items)
        ]
        (into["graph_prototypes"] if into else self.graphs).append(graph)
        return name

    # Widgets, on the grid of 6.0: 24 columns, which are 72 in 7.0.

    def show_item(self, x, y, width, height, key, title, size=30):
        """The value alone, `size` percent of the widget high."""

        def field(kind, name, value):
            return {"type": kind, "name": name, "value": value}

        fields = [
            field("ITEM", "itemid.0" if self.is_7 else "itemid", {"host": self.name, "key": key}),
            field("INTEGER", "show.0" if self.is_7 else "show", "2"),
            field("INTEGER", "value_size", str(size)),
        ]
        if self.is_7:
            # Otherwise a whole number gets two.
            fields.insert(0, field("INTEGER", "decimal_places", "0"))
        else:
            fields.insert(0, field("INTEGER", "adv_conf", "1"))
        return self._widget("item" if self.is_7 else "ITEM", x, y, width, height, fields, title)

    def show_graph(self, x, y, width, height, name, *, prototype=False):
        target = "GRAPH_PROTOTYPE" if prototype else "GRAPH"
        field = "graphid.0" if self.is_7 else "graphid"
        fields = [{"type": target, "name": field, "value": {"host": self.name, "name": name}}]
        if self.is_7:
            letters = uuid(self.name, "widget", name)
            fields.append(
                {
                    "type": "STRING",
                    "name": "reference",
                    "value": "".join(chr(65 + int(letter, 16)) for letter in letters[:5]),
                }
            )
        if prototype:
            fields.append({"type": "INTEGER", "name": "columns", "value": "1"})
        kind = (
            ("graphprototype" if self.is_7 else "GRAPH_PROTOTYPE")
            if prototype
            else ("graph" if self.is_7 else "GRAPH_CLASSIC")
        )
        return self._widget(kind, x, y, width, height, sorted(fields, key=lambda field: field["name"]))

    def _widget(self, kind, x, y, width, height, fields, title=None):
        scale = 3 if self.is_7 else 1
        place = {"x": x * scale, "y": y, "width": width * scale, "height": height}
        widget = {"type": kind} | ({"name": title} if title else {})
        taken = {"x": 0, "y": 0, "height": 2}
        return (
            widget
            | {side: str(at) for side, at in place.items() if at != taken.get(side)}
            | {"fields": fields}
        )

    def page(self, name, *widgets):
        self.pages.append({"name": name, "widgets": list(widgets)})

    def text(self):
        """The file."""
        template = {
            "uuid": uuid(self.name, "template"),
            "template": self.name,
            "name": self.name,
            "description": self.description,
        }
        if self.is_7:
            template["vendor"] = {"name": "pptp-monitor", "version": "7.0-1"}
        template |= {
            "groups": [{"name": GROUP}],
            "items": self.items,
            "discovery_rules": self.rules,
            "tags": tags(**{"class": "network", "target": "pptp"}),
            "macros": [
                {"macro": macro} | ({"value": value} if value else {}) | {"description": description}
                for macro, (value, description) in sorted(
                    self.macros.items(), key=lambda pair: pair[0].strip("{$}")
                )
            ],
        }
        if self.pages:
            template["dashboards"] = [
                {"uuid": uuid(self.name, "dashboard"), "name": self.name, "pages": self.pages}
            ]
        template["valuemaps"] = self.valuemaps
        export = {"version": self.version}
        # An export of 6.0 has a date, and its import does not look at it.
        export["template_groups" if self.is_7 else "groups"] = [{"uuid": uuid("group"), "name": GROUP}]
        export |= {"templates": [template], "triggers": self.triggers, "graphs": self.graphs}
        lines = []
        _write(lines, "", {"zabbix_export": export})
        return "\n".join(lines) + "\n"


def _write(lines, indent, value):
    if isinstance(value, dict):
        for key, part in value.items():
            if part in ([], {}, None):
                continue
            key = "'y'" if key == "y" else key
            if isinstance(part, (dict, list)):
                lines.append(f"{indent}{key}:")
                _write(lines, indent + "  ", part)
            else:
                lines.append(f"{indent}{key}: {_scalar(part, indent + '  ')}")
    else:
        for part in value:
            if isinstance(part, dict):
                inner = []
                _write(inner, indent + "  ", part)
                lines.append(indent + "- " + inner[0][len(indent) + 2 :])
                lines += inner[1:]
            else:
                lines.append(f"{indent}- {_scalar(part, indent + '  ')}")


def _scalar(text, indent):
    if "\n" in text:
        body = [indent + line if line else "" for line in text.rstrip("\n").split("\n")]
        return "\n".join(["|-", *body])
    return "'" + text.replace("'", "''") + "'"
