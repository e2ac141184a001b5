"""A configuration as the gateway reads it. Needs nothing but Python, since bench/compare has nothing else."""

import json


def toml(table: dict, path: tuple[str, ...] = ()) -> str:
    """Enough TOML for a configuration: plain values first, then tables and lists of tables."""
    plain, nested = [], []
    for name, value in table.items():
        if isinstance(value, dict):
            nested.append(f"\n[{'.'.join((*path, name))}]\n" + toml(value, (*path, name)))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            nested += [f"\n[[{'.'.join((*path, name))}]]\n" + toml(row, (*path, name)) for row in value]
        else:
            # A JSON string, number, boolean or list of them is the same in TOML.
            plain.append(f"{name} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(plain + nested)
