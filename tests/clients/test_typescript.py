"""The TypeScript client: type-checked as it is made, then against a running server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from clients import build
from tests.clients.conftest import heard
from tests.docs.blocks import code
from tests.running import OPERATOR_TOKEN, Running

TRIED = """
import { Overture, Problem } from "./dist/index.js";
const { URL_, TOKEN, ADA, BO } = process.env;
let lost = 2;
let open;
const opened = new Promise((done) => { open = done; });
const keys = [];
const overture = new Overture(URL_, TOKEN, {
  fetch: async (request) => {
    const answer = await fetch(request);
    if (request.url.endsWith("/events")) open();
    if (request.method !== "POST") return answer;
    keys.push(request.headers.get("Idempotency-Key"));
    if (lost-- > 0) throw new TypeError("the answer is lost");
    return answer;
  },
});
const ada = overture.actingAs(ADA);
const bo = overture.actingAs(BO);
const heard = (async () => {
  for await (const event of bo.events()) if (event.kind === "message") return event.data.body;
})();
await opened;
const sent = await ada.api.POST("/conversations", { body: { to: BO, body: "Once." } });
const listed = [];
for await (const each of ada.each("/conversations", { limit: 1 })) listed.push(each.id);
let code;
try {
  await ada.api.POST("/conversations", { body: { to: ADA, body: "To myself" } });
} catch (problem) {
  code = problem instanceof Problem && problem.code;
}
const body = await heard;
console.log(JSON.stringify({ sent: sent.data.conversation.id, listed, code, body,
  keys: new Set(keys.slice(0, 3)).size, tries: keys.length }));
process.exit(0);
"""
MISTAKES = """
import { Overture } from "./index.js";
const overture = new Overture("http://overture.example", "token");
// @ts-expect-error there is no such list
overture.each("/nothing");
// @ts-expect-error a letter has a body
overture.api.POST("/conversations", { body: { to: "somebody" } });
for await (const each of overture.each("/conversations", { box: "requests" })) {
  const id: string = each.id;
  // @ts-expect-error it is a text
  const number: number = each.id;
  void [id, number];
}
export {};
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build.build_typescript(tmp_path_factory.mktemp("typescript"))
    except build.NoRegistry as problem:
        pytest.skip(f"npm cannot be reached: {problem}")


def test_it_is_typed(package: Path):
    (package / "src" / "mistakes.ts").write_text(MISTAKES)
    tsc = package / "node_modules" / "typescript" / "bin" / "tsc"

    checked = subprocess.run(
        [build.NPM[0], tsc, "--noEmit"], cwd=package, capture_output=True, text=True, check=False
    )

    assert checked.stdout == ""
    assert checked.returncode == 0


def premium(server: Running, *handles: str) -> list[str]:
    made = [server.make_member(each).json()["id"] for each in handles]
    for each in made:
        path, plan = "/api/v1/me/subscriptions/premium", {"plan": "premium_business"}
        assert server.request("PUT", path, plan, headers={"Act-As": each}).is_success
    return made


def test_a_letter_goes_once_is_listed_and_heard_of(package: Path, server: Running):
    ada, bo = premium(server, "ts-ada", "ts-bo")
    (package / "tried.mjs").write_text(TRIED)
    known = {"URL_": server.address, "TOKEN": OPERATOR_TOKEN, "ADA": ada, "BO": bo}

    ran = subprocess.run(
        [build.NPM[0], "tried.mjs"],
        cwd=package,
        env=os.environ | known,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["listed"] == [told["sent"]]
    assert told["code"] == "no_such_member"
    assert (told["keys"], told["tries"]) == (1, 4)
    assert told["body"] == "Once."


def test_what_the_docs_show_runs(package: Path, server: Running):
    ada, bo, cy = premium(server, "shown-ada", "shown-bo", "shown-cy")
    asks = {"to": ada, "subject": "A question", "body": "May I?"}
    assert server.request("POST", "/api/v1/conversations", asks, headers={"Act-As": cy}).is_success
    (shown,) = code("docs/clients.md", "javascript")
    known = {"token": OPERATOR_TOKEN, "adaId": ada, "boId": bo}
    lines = [f"const {name} = {json.dumps(value)};" for name, value in known.items()]
    # The package calls itself by the name that it is installed under.
    shown = shown.replace("https://inmail.example.org", server.address)
    (package / "shown.mjs").write_text("\n".join([*lines, shown]))

    told = heard([build.NPM[0], "shown.mjs"], package, server, bo)

    assert told[0] == "A question"
    assert told[-1].startswith("message")
