# SPDX-License-Identifier: MIT
"""What Salt's own code makes of pillar trees: run by the Python of an environment that has Salt in it.

Reads lines of JSON, {"root": DIR, "env": NAME, "roots": [DIR, ..], "grains": {NODE: {..}}, "nodegroups": {..}}, and answers
each with one: {"NODE": PILLAR or {"error": [TEXT, ..]}}. A pillar is written so that nothing gets lost that JSON has no word for:
a map is {"m": [[key, value], ..]} with keys typed and in order, everything else is itself.
"""
import copy
import json
import logging
import os
import sys
import tempfile

sys.argv = ["salt-master"]
logging.disable(logging.CRITICAL)

import salt.config  # noqa: E402
import salt.loader  # noqa: E402
import salt.pillar  # noqa: E402
import salt.version  # noqa: E402
from salt.loader.lazy import LazyLoader  # noqa: E402


def typed(value):
    if isinstance(value, dict):
        return {"m": [[k if k is None or isinstance(k, (bool, int, float, str)) else repr(k), typed(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [typed(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"other": repr(value)}


def quicken():
    """Salt looks for its modules again for every node: most of the time, and always with the same result. What decides about a
    pillar - the pillar's code, matchers, renderers - is made anew each time, as Salt does it."""
    found = {}
    look = LazyLoader._refresh_file_mapping

    def look_once(self):
        key = (tuple(self.module_dirs), self.tag, tuple(sorted(self.suffix_map)) if hasattr(self, "suffix_map") else ())
        if key not in found:
            look(self)
            found[key] = {k: copy.copy(getattr(self, k)) for k in ("suffix_map", "suffix_order", "file_mapping", "disabled") if hasattr(self, k)}
        for k, v in found[key].items():
            setattr(self, k, copy.copy(v))

    LazyLoader._refresh_file_mapping = look_once
    utils, made = salt.loader.utils, []

    def utils_once(*args, **kwargs):
        if not made:
            made.append(utils(*args, **kwargs))
        return made[0]

    salt.loader.utils = utils_once
    salt.loader.pillars = lambda *args, **kwargs: {}


class Oracle:
    def __init__(self, folder):
        quicken()
        self.opts = salt.config.master_config(None)
        self.opts.update(cachedir=folder, conf_file=f"{folder}/master", pki_dir=f"{folder}/pki", file_client="local", log_level="quiet",
                         extension_modules=f"{folder}/extmods", fileserver_backend=["roots"], id="master", root_dir=folder, sock_dir=folder,
                         minion_data_cache=False, fileserver_list_cache_time=0, pillar_cache=False, gpg_keydir=f"{folder}/gpg", __role="master", file_roots={"base": []})
        # The modules that templates may call are the same for all: loaded once.
        opts = copy.deepcopy(self.opts)
        opts["grains"] = {}
        self.functions = salt.loader.minion_mods(opts)

    def node(self, ask, node):
        opts = copy.deepcopy(self.opts)
        env = ask["env"]
        opts["pillar_roots"] = {env: ask["roots"]}
        opts["pillarenv"] = env
        opts["nodegroups"] = ask["nodegroups"]
        grains = dict(ask["grains"][node])
        grains.setdefault("id", node)
        try:
            made = salt.pillar.Pillar(opts, grains, node, env, functions=self.functions, pillarenv=env).compile_pillar(ext=False)
        except (Exception, SystemExit) as e:  # noqa: B902  whatever it dies of, it gives this node nothing
            return {"error": [f"{type(e).__name__}: {e}"]}
        errors = made.pop("_errors", None)
        return {"error": [str(e) for e in errors]} if errors else typed(made)

    def answer(self, ask):
        return {node: self.node(ask, node) for node in ask["grains"]}


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Salt prints is no answer
    with tempfile.TemporaryDirectory(prefix="salt-oracle-") as folder:
        oracle = Oracle(folder)
        print(json.dumps({"salt": salt.version.__version__}), file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(oracle.answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
