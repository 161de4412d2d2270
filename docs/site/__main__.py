"""`python docs/site`: makes the site of the documentation, into build/site.

It is made of docs/ and of what the code says of itself. The pages lie in a folder of their own
meanwhile, with the reference beside them. A link that leads nowhere fails it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build/site-source"
SITE = ROOT / "build/site"
# A file of the code is no page of the site: its name stays, the link goes.
_TO_CODE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)*((?:src|tests|policies|bench|supply|deploy|examples|clients|LICENSE|docs/decisions(?=\)))[^)\s]*)\)"
)
_PICTURE = re.compile(r"\]\((docs/)?pictures/")


def main() -> int:
    shutil.rmtree(SOURCE, ignore_errors=True)
    (SOURCE / "docs/reference").mkdir(parents=True)
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/decisions/*.md")):
        there = SOURCE / page.relative_to(ROOT)
        there.parent.mkdir(exist_ok=True)
        there.write_text(_TO_CODE.sub(r"\1", page.read_text()))
    shutil.copytree(ROOT / "docs/pictures", SOURCE / "docs/pictures")
    for name, text in reference.pages().items():
        (SOURCE / f"docs/reference/{name}.md").write_text(text)
    places = ("-c", ROOT / "docs/site", "-d", ROOT / "build/site-doctrees", SOURCE, SITE)
    made = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "dirhtml"),
            *map(str, places),
        ],
        check=False,
    )
    if made.returncode == 0:
        sys.stdout.write(f"The site is in {SITE.relative_to(ROOT)}.\n")
    return made.returncode


if __name__ == "__main__":
    sys.exit(main())
