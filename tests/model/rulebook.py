# SPDX-License-Identifier: PostgreSQL
"""Random rules: what walmill is told, and what the source itself says the view has to be."""

import json

from tables import COMMON, NAMES, kind_of, matches

TARGETS = ("lite", "dw")
# In walmill's language (SQLite's), then in the source's.
WHERES = [
    ("n > 50", "n > 50"),
    ("n % 3 = 0", "n % 3 = 0"),
    ("flag = 1", "flag"),
    ("n is null or n < 20", "n IS NULL OR n < 20"),
    ("v is not null and length(v) < 4", "v IS NOT NULL AND length(v) < 4"),
    ("coalesce(v, '') <> 'x'", "coalesce(v, '') <> 'x'"),
    ("length(doc) > 100", "length(doc) > 100"),
    ("doc is null or substr(doc, 1, 1) < 'c'", "doc IS NULL OR substr(doc, 1, 1) < 'c'"),
]
COMPUTED = {
    "twice": ("n * 2", "n * 2", "int4"),
    "loud": ("upper(v)", "upper(v)", "text"),
    "tag": ("coalesce(v, 'none') || '/' || coalesce(n, -1)", "coalesce(v, 'none') || '/' || coalesce(n, -1)", "text"),
    "size": ("length(doc)", "length(doc)", "int4"),
    "head": ("substr(doc, 1, 10)", "substr(doc, 1, 10)", "text"),
    "yes": ("case when flag then 'y' when not flag then 'n' end",
            "CASE WHEN flag THEN 'y' WHEN NOT flag THEN 'n' END", "text"),
}
TRANSLATED = {"x": "ex", "y": "why", "*": "other"}
TRANSLATION = "CASE v WHEN 'x' THEN 'ex' WHEN 'y' THEN 'why' ELSE CASE WHEN v IS NOT NULL THEN 'other' END END"


def draw_rule(chance, name, tables, target, number):
    """A rule as a dict that JSON holds; its oracle needs nothing else."""
    rule = {"name": name, "tables": tables, "target": target, "view": "{table}_%d" % number}
    if chance.random() < 0.4:
        rule["where"] = chance.randrange(len(WHERES))
    if chance.random() < 0.25:
        rule["exclude"] = chance.sample(sorted(COMMON), chance.randint(1, 2))
    left = sorted(set(COMMON) - set(rule.get("exclude", ())))
    if chance.random() < 0.25:
        rule["rename"] = chance.choice([n for n in left if n != "v"] or left)
    if chance.random() < 0.35:
        rule["compute"] = chance.sample(sorted(COMPUTED), chance.randint(1, 2))
    if "v" in left and rule.get("rename") != "v" and chance.random() < 0.2:
        rule["translate"] = True
    if chance.random() < 0.15:
        rule["soft"] = True
    rule["batch"] = chance.choice((1, 7, 50, 10000))
    rule["seed"] = chance.choice((1, 100, 200000))
    return rule


def draw_rules(chance, old=None):
    """A list of rules; with `old`, that list with something added, removed or changed."""
    if old is None:
        old, changes = [], [(table, 0, target) for table in NAMES for target in TARGETS if chance.random() < 0.8]
    else:
        changes = [(chance.choice(NAMES), chance.randint(0, 1), chance.choice(TARGETS))
                   for _ in range(chance.randint(1, 3))]
    rules = {r["name"]: r for r in old}
    for table, number, target in changes:
        name = f"{table}-{number}-{target}"
        if name in rules and chance.random() < 0.4:
            del rules[name]
            continue
        # Tables of one kind by a pattern, with a view each; their names are no other rule's.
        if table[0] in "tp" and chance.random() < 0.3:
            name = f"{table[0]}x-{number}-{target}"
            rules[name] = draw_rule(chance, name, [f"{table[0]}?"], target, 2 + number)
        else:
            rules[name] = draw_rule(chance, name, [table], target, number)
    return list(rules.values())


def to_yaml(rules, version):
    """One rule a line (YAML holds JSON), and one that matches nothing and shows that these rules are in force."""
    lines = ["- " + json.dumps(_written(rule)) for rule in rules]
    for table in ("bank_a", "bank_b"):
        for target in TARGETS:
            lines.append(f"- {{name: {table}-{target}, table: public.{table}, target: {target}}}")
    lines.append(f"- {{name: version-{version}, table: public.none, target: lite}}")
    return "\n".join(lines)


def _written(rule):
    columns = {}
    if "exclude" in rule:
        columns["exclude"] = rule["exclude"]
    if "rename" in rule:
        columns["rename"] = {rule["rename"]: rule["rename"] + "_renamed"}
    if "compute" in rule:
        columns["compute"] = {name: COMPUTED[name][0] for name in rule["compute"]}
    if "translate" in rule:
        columns["translate"] = {"v": TRANSLATED}
    out = {"name": rule["name"], "table": [f"public.{t}" for t in rule["tables"]], "target": rule["target"],
           "view": rule["view"], "batch": {"rows": rule["batch"]}, "seed": {"batch_rows": rule["seed"]}}
    if columns:
        out["columns"] = columns
    if "where" in rule:
        out["where"] = WHERES[rule["where"]][0]
    if "soft" in rule:
        out["on_delete"] = "soft"
    key = kind_of(rule["tables"][0]).rule_key
    if key:
        out["key"] = list(key)
    return out


def expected(rule, there, columns_of):
    """[(table, view, options of `differences`)] for the tables that are there."""
    out = []
    for table in there:
        if not matches(table, rule["tables"]):
            continue
        options = {"columns": [c for c in columns_of(table) if c not in rule.get("exclude", ())]}
        computed = {name: COMPUTED[name][1:] for name in rule.get("compute", ())}
        if "translate" in rule:
            computed["v"] = (TRANSLATION, "text")
        if computed:
            options["computed"] = computed
        if "rename" in rule:
            options["rename"] = {rule["rename"]: rule["rename"] + "_renamed"}
        if "where" in rule:
            options["where"] = WHERES[rule["where"]][1]
        if "soft" in rule:
            options["view_where"] = "NOT _walmill_deleted"
        out.append((table, rule["view"].replace("{table}", table), options))
    return out
