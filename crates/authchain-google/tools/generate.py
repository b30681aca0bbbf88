#!/usr/bin/env python3
"""Writes src/data/*.json and tests/data/discovery.json from a folder of facts about Google's APIs.

    tools/generate.py FACTS            # FACTS holds scopes.json, services.json, apis.json
    tools/generate.py FACTS --check    # writes nothing; fails when a file here differs from the facts

The output is checked in and is all that the crate reads. One record is one line, so that a change of the facts is a
readable change of these files. Strings hold no character that JSON escapes: the crate borrows them where they lie.
Only the standard library is used.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
AUTH = "https://www.googleapis.com/auth/"

# What Google says to use instead. `use` are scopes to ask for; empty where there is no successor.
REPLACEMENTS = {
    AUTH + "photoslibrary": [AUTH + "photoslibrary.appendonly", AUTH + "photoslibrary.readonly.appcreateddata"],
    AUTH + "photoslibrary.readonly": [AUTH + "photoslibrary.readonly.appcreateddata"],
    AUTH + "photoslibrary.sharing": [],
    AUTH + "plus.login": ["openid", AUTH + "userinfo.profile"],
    AUTH + "plus.me": ["openid", AUTH + "userinfo.profile"],
    AUTH + "plus.circles.read": [AUTH + "contacts.readonly"],
    AUTH + "chat.apps": [AUTH + "chat.app.spaces"],
    AUTH + "iam": [AUTH + "cloud-platform"],
    AUTH + "cloudfunctions": [AUTH + "cloud-platform"],
    AUTH + "docs": [AUTH + "documents"],
    AUTH + "gmail": [AUTH + "gmail.modify"],
}

# The old lists of names, in their old shapes (system 3, compatibility layer).
LEGACY_DEFAULTS = {
    "drive": ["drive_file", "drive_read"],
    "gmail": ["gmail_read", "gmail_send", "gmail_compose", "gmail_modify", "gmail_labels"],
    "calendar": ["calendar_read", "calendar_events", "calendar_full"],
    "docs": ["docs_read", "docs_write"],
    "sheets": ["sheets_read", "sheets_write"],
    "chat": ["chat_read", "chat_write"],
    "forms": ["forms", "forms_read", "forms_responses_read"],
    "slides": ["slides", "slides_read"],
    "photos": ["photos_read", "photos_append"],
    "photoslibrary": ["photos_read", "photos_append"],
    "tasks": ["tasks_read", "tasks_full"],
}
LEGACY_DEFAULTS_LATER = {
    "gmail": LEGACY_DEFAULTS["gmail"] + ["gmail_settings_basic", "gmail_settings_sharing"],
}
LEGACY_VIEWS = {
    "registration": [
        "base.openid", "base.userinfo_email", "base.userinfo_profile", "drive.readonly", "drive.file", "gmail.readonly",
        "gmail.send", "gmail.compose", "gmail.modify", "gmail.labels", "gmail.settings_basic", "gmail.settings_sharing",
    ],
    # The original has chat.apps here as well, which never existed.
    "chat_app": ["chat.bot", "chat.messages", "chat.spaces", "cloud.platform"],
}


def plain(text):
    """A string as it may stand in the files."""
    text = " ".join(text.split())
    if '"' in text:
        # Google's descriptions quote with straight marks; pairs become typographic ones.
        parts = text.split('"')
        text = parts[0] + "".join(("“" if i % 2 else "”") + p for i, p in enumerate(parts[1:], 1))
    assert "\\" not in text, text
    return text


def without_nothing(record):
    return {k: plain(v) if isinstance(v, str) else v for k, v in record.items() if v not in (None, False, [], "")}


def origin(scope):
    names = scope["origin"]
    for name, word in (("original-2025-09", "original"), ("later-2026-08", "later"), ("peer", "peer")):
        if name in names:
            return word
    return "derived"


def scopes_file(facts):
    records = []
    for scope in sorted(facts["scopes"], key=lambda s: s["url"]):
        assert scope["alias"] == f'{scope["service"]}.{scope["name"]}', scope
        records.append(without_nothing({
            "alias": scope["alias"],
            "url": scope["url"],
            "description": scope.get("description"),
            "sensitivity": scope["sensitivity"],
            "confidence": scope.get("sensitivity_confidence"),
            "origin": origin(scope),
            "readonly": scope["readonly"],
            "admin_only": scope["admin_only"],
            "app_only": scope.get("app_only"),
            "token_group": scope.get("separate_token_group"),
            "device_flow": scope["device_flow"],
            "undocumented": not scope["in_discovery"],
            "note": None if scope.get("note") == "the same" else scope.get("note"),
        }))
    return lines(records)


def names_file(facts):
    gone = [{"url": r["url"], "retired": r["date"], "use": REPLACEMENTS[r["url"]]} for r in facts["retired_scopes"]]
    gone += [{"url": r["url"], "why": plain(r["why"]), "use": REPLACEMENTS[r["url"]]} for r in facts["invalid_names"]]
    later = {k: v["successor"] for k, v in facts["legacy_names_changed_later"].items()}
    sections = {
        "groups": facts["groups_original_2025_09"],
        "groups_later": facts["groups_later_2026_08"],
        "legacy": facts["legacy_names"],
        "legacy_later": later,
        "legacy_defaults": LEGACY_DEFAULTS,
        "legacy_defaults_later": LEGACY_DEFAULTS_LATER,
        "legacy_views": LEGACY_VIEWS,
        "covers": facts["covers"],
        "equivalent": facts["equivalent_names"],
        "gone": gone,
        "watch": facts["problem_patterns"],
        "token_groups": {k: {"prefixes": v["prefixes"], "why": plain(v["why"])}
                         for k, v in facts["exclusive_groups"].items()},
    }
    out = []
    for name, section in sections.items():
        if isinstance(section, dict):
            rows = [f"{text(k)}: {text(v)}" for k, v in section.items()]
            out.append(f'{text(name)}: {{\n' + ",\n".join(rows) + "\n}")
        else:
            out.append(f'{text(name)}: [\n' + ",\n".join(text(r) for r in section) + "\n]")
    return "{\n" + ",\n".join(out) + "\n}\n"


def services_file(facts, apis):
    records = []
    for service in facts["services"]:
        meta = service.get("seed_metadata", {})
        others = [{"version": v, "base_url": base_url(apis[f'{service["api"]}:{v}'])}
                  for v in service.get("other_versions", [])]
        records.append(without_nothing({
            "key": service["key"],
            "api": service["api"],
            "version": service["version"],
            "category": service["category"],
            "title": service["title"],
            "name": meta.get("name"),
            "base_url": service["base_url"],
            "aliases": service.get("seed_aliases"),
            "minimal": service["minimal_scopes"],
            "default": service["default_scopes"],
            "full": service["full_scopes"],
            "token_group": service.get("token_group"),
            "enable": service.get("enable"),
            "documentation": meta.get("documentation_url"),
            "group": meta.get("default_scope_group"),
            "features": meta.get("features"),
            "original": service["in_seed"],
            "undocumented": not service["in_discovery"],
            "note": service.get("note"),
            "other_versions": others,
        }))
    dead = [without_nothing(d) for d in facts["dead"]]
    return '{"services": ' + lines(records).rstrip() + ',\n"dead": ' + lines(dead).rstrip() + "}\n"


def base_url(api):
    return api["root_url"] + api["service_path"]


def discovery_file(services, apis):
    """The tests' own copy of what the discovery documents say of the catalogue's APIs."""
    wanted = {f'{s["api"]}:{v}' for s in services["services"] for v in [s["version"], *s.get("other_versions", [])]}
    rows = [f'{text(k)}: {text({"base_url": base_url(a), "scopes": sorted(a["scopes"])})}'
            for k, a in sorted(apis.items()) if k in wanted]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def original_file(services):
    rows = [f"{text(k)}: {text(v)}" for k, v in services["original_service_types"].items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def text(value):
    return json.dumps(value, ensure_ascii=False)


def lines(records):
    return "[\n" + ",\n".join(text(r) for r in records) + "\n]\n"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    folder = pathlib.Path(arguments[0])
    scopes, services, apis = (json.loads((folder / f"{n}.json").read_text()) for n in ("scopes", "services", "apis"))
    files = {
        "src/data/scopes.json": scopes_file(scopes),
        "src/data/names.json": names_file(scopes),
        "src/data/services.json": services_file(services, apis["apis"]),
        "tests/data/discovery.json": discovery_file(services, apis["apis"]),
        "tests/data/original_services.json": original_file(services),
    }
    stale = []
    for name, content in files.items():
        json.loads(content)
        path = HERE / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != content:
                stale.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(f"{name}: {len(content)} bytes")
    if stale:
        sys.exit("differs from the facts: " + ", ".join(stale))


if __name__ == "__main__":
    main()
