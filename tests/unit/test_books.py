#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The books hold together: every row of docs/promises.md names tests that exist; every book and place (docs/..., behind # its place) that the tree names
is there; nothing cites a book that is not in the repository; commands in books are the program's, with options that it has."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTED = r"(?:unit|sim|live|fuzz|model|salt)/[\w./*-]+"
TEXT = {".c", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".sim", ".yml", ".sql", ".pml", ".js", ".in"}
# Books whose commands are all to be typed (elsewhere "release notes" may be words).
TOLD = {"README.md", "docs/start.md", "docs/troubleshooting.md", "docs/operating.md", "docs/coming-from.md", "docs/serve.md"}
STRANGERS = r"\b(?:PROMISES|PROTOCOLS|STYLE|PEERS|DESIGN)(?:\.md)? (?:section|row|S?[0-9]|I[0-9]|\()"


def sources():
    """Files of the tree, as git knows them or, in a tree without git, as they lie there."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 and (ROOT / ".git").exists() else [
        p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if not p.relative_to(ROOT).as_posix().startswith("build")]
    for name in names:
        path = ROOT / name
        if path.suffix in TEXT and path.is_file():
            yield name, path.read_text(errors="replace")


def slug(title):
    """As GitHub makes a heading's anchor."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def places(text):
    return set(re.findall(r'<a id="([^"]+)"', text)) | {slug(t) for t in re.findall(r"^#+ (.+)$", text, re.M)}


def wrong_test(name):
    """What is wrong with `live/test_x.py:test_y`, or nothing."""
    path, _, function = name.partition(":")
    found = list((ROOT / "tests").glob(path))
    if not found:
        return f"tests/{path} does not exist"
    if function and not any(re.search(rf"\b{function}\b", f.read_text()) for f in found):
        return f"tests/{path} has no {function}"
    return None


def wrong_rows(text):
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith('| <a id="'):
            continue
        last = line.rstrip(" |").rsplit("|", 1)[1]
        tests = re.findall(rf"`({TESTED}(?::\w+)?)`", last)
        if not tests or "`" in re.sub(rf"`{TESTED}(?::\w+)?`", "", last):
            yield f"docs/promises.md:{number}: wanted tests, each as `live/test_x.py:test_y`, got '{last.strip()}'"
        for name in tests:
            problem = wrong_test(name)
            if problem:
                yield f"docs/promises.md:{number}: {problem}"


def wrong_citations(files):
    known = {name: places(text) for name, text in files.items() if name.endswith(".md")}
    for name, text in files.items():
        folder = pathlib.PurePosixPath(name).parent
        for number, line in enumerate(text.splitlines(), 1):
            cited = re.findall(r"(?<![\w/])(docs/[\w./-]+\.md)(?:#([\w-]+))?", line)
            if name.endswith(".md"):
                links = re.findall(r"\]\(([\w./-]+\.md)?(?:#([\w-]+))?\)", line)
                cited += [((folder / book).as_posix().replace("docs/../", "") if book else name, place) for book, place in links]
            for book, place in cited:
                if book not in known:
                    yield f"{name}:{number}: there is no {book}"
                elif place and place not in known[book]:
                    yield f"{name}:{number}: {book} has no place '{place}'"
            if re.search(STRANGERS, line) and name != "tests/unit/test_books.py":
                yield f"{name}:{number}: cites a book that is not in the repository: {line.strip()}"


def known_options(cli):
    """{verb: its options}, from docs/cli.md, which the program prints."""
    common, *verbs = re.split(r"^## release ", cli, flags=re.M)
    everywhere = set(re.findall(r"^\| `(--[\w-]+)", common, re.M))
    return {text.split()[0]: everywhere | set(re.findall(r"^\| `(--[\w-]+)", text, re.M)) for text in verbs}


def wrong_commands(files):
    """What a book tells people to type is a verb, with options that it has."""
    known = known_options(files["docs/cli.md"])
    for name in sorted(n for n in files if n.endswith(".md")):
        typed = re.findall(r"^(?:    |```.*\n|(?:cd \S+ && )?)(release [a-z].*)$|`(release [a-z][^`]*)`", files[name], re.M)
        for line in (a or b for a, b in typed):
            words = line.split("#")[0].split(" -- ")[0].replace("'", " ").split()
            if len(words) < 2 or words[1] in ("help", "serve", "VERB"):
                continue
            for option in [w.split("=")[0] for w in words[2:] if w.startswith("--")]:
                if option.rstrip(".,;:)") not in known.get(words[1], {option}):
                    yield f"{name}: 'release {words[1]}' has no {option}: {line}"
            if words[1] not in known and name in TOLD:
                yield f"{name}: there is no 'release {words[1]}': {line}"


def wrong_messages(files):
    """Each message that docs/troubleshooting.md explains is one of the program's."""
    code = "".join(re.sub(r'"\s*"', "", t) for n, t in files.items() if n.endswith((".c", ".h", ".sh")) and not n.startswith("tests/"))
    told = re.findall(r"^\| `([^`]+)` \|", files["docs/troubleshooting.md"].partition("## Messages")[2], re.M)
    if len(told) < 10:
        yield "docs/troubleshooting.md: its table of messages was not found"
    for message in told:
        if message not in code:
            yield f"docs/troubleshooting.md: no message says '{message}'"


def main():
    files = dict(sources())
    problems = list(wrong_rows(files["docs/promises.md"])) + list(wrong_citations(files))
    problems += list(wrong_commands(files)) + list(wrong_messages(files))
    print("\n".join(problems + [f"{len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
