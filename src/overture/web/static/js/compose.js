// Compose: a pop-up over any page, the search for its recipient, and where it is while its letter waits.
//
//   <a data-live href="/compose?to=…">   opens the pop-up; on the page of a letter it navigates there
//   <form data-check=URL>                asked before the letter waits its seconds whether it can be sent
import { saveNow } from "./forms.js";
import { anew, go } from "./live.js";

const over = document.getElementById("over");
const narrow = matchMedia("(width < 860px)");
// Letters that wait or are on their way stay in the page, so that Undo finds them after a navigation.
const waiting = Object.assign(document.createElement("div"), { hidden: true });
document.body.append(waiting);

let opener; // what had the focus before the pop-up
let leaving; // a letter that is about to be shown anew, or is on its way

const inPage = () => document.querySelector("main [data-compose]");
const shown = () => over.querySelector("[data-compose]") ?? inPage();

function enter(compose) {
  const field = compose?.querySelector("[autofocus], [type=search]") ?? compose?.querySelector("textarea");
  field?.focus();
  field?.setSelectionRange?.(field.value.length, field.value.length);
}

function back() {
  ((opener && anew(opener)) ?? document.getElementById("main")).focus();
}

// On a phone the pop-up is the whole screen: what is below it is out of reach.
function settle() {
  document.querySelector(".app").inert = narrow.matches && over.childElementCount > 0;
}

// What is open is kept before something else takes its place.
async function keep() {
  const form = over.querySelector("form[data-changed]");
  if (form) await saveNow(form);
}

function reopen(compose) {
  keep();
  compose.classList.add("pop");
  compose.setAttribute("role", "dialog");
  compose.querySelector("form").elements.pop.value = "1";
  over.replaceChildren(compose);
  settle();
}

function close() {
  keep();
  over.replaceChildren();
  settle();
  back();
}

// Opens the pop-up; where it was opened from has the focus again afterwards. On a letter's own page it is
// that letter.
export function open(url, from = document.activeElement) {
  if (inPage()) return enter(inPage());
  opener = from;
  keep().then(() => go(url, { part: "over" })).then(() => enter(shown()), () => location.assign(url));
}

addEventListener("click", (event) => {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = target.closest('a[data-live][href^="/compose"]');
  if (link && !inPage()) {
    event.preventDefault();
    // Of a link in a menu, which closes: the button that opened it.
    const menu = document.querySelector(`[popovertarget="${link.closest("[popover]")?.id}"]`);
    open(link.href, over.contains(link) ? opener : menu ?? link);
  }
  if (target.closest("[data-close]")) close();
  const expand = target.closest("[data-expand]");
  if (expand) {
    event.preventDefault();
    saveNow(expand.closest("form")).then((kept) => {
      if (!kept) return;
      over.replaceChildren();
      go(expand.href, { push: true }).then(() => enter(inPage()));
    });
  }
  const option = target.closest("[data-pick] [role=option]");
  if (option) choose(option);
}, true);

addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.check) return;
  const compose = form.closest("[data-compose]");
  if (event.submitter?.hasAttribute("formaction")) {
    leaving = compose;
    return;
  }
  if (form.dataset.checked) {
    delete form.dataset.checked;
    return;
  }
  event.preventDefault();
  if (form.ariaBusy === "true" || !form.querySelector("[data-send]")) return;
  form.ariaBusy = "true";
  // Without a network it waits all the same: whoever sends it later hears of what is wrong.
  const ok = await saveNow(form, form.dataset.check) ?? true;
  form.ariaBusy = "false";
  if (ok) {
    form.dataset.checked = "1";
    form.requestSubmit();
  } else point(form);
}, true);

// To the first field that is to be mended.
function point(form) {
  let first;
  for (const [name, field] of [["to", form.elements.q], ["subject", form.elements.subject], ["body", form.elements.body]]) {
    if (!field) continue;
    const wrong = form.querySelector(`[id^="error-${name}-"]`);
    field.ariaInvalid = wrong ? "true" : null;
    if (wrong) first ??= field;
  }
  (first ?? form.elements.body).focus();
}

addEventListener("held", async ({ target }) => {
  const compose = target.closest("[data-compose]");
  if (!compose) return;
  const paged = compose === inPage();
  leaving = compose;
  waiting.append(compose);
  settle();
  if (!paged) return;
  await go("/inbox", { push: true }).catch(() => {}); // without a network it stays
  document.querySelector("#toasts [data-cancel]")?.focus();
});

addEventListener("undone", ({ target }) => {
  const compose = target.closest("[data-compose]");
  if (!compose) return;
  leaving = undefined;
  reopen(compose);
});

addEventListener("answered", ({ target, detail }) => {
  if (detail.ok || !waiting.contains(target)) return;
  reopen(target.closest("[data-compose]"));
  queueMicrotask(() => point(target)); // it is inert until then
});

document.addEventListener("unsent", (event) => {
  const { form } = event.detail;
  const compose = form.closest("[data-compose]");
  if (!compose || !waiting.contains(compose)) return;
  // Once everybody has heard of it: it is either in good hands, or here again.
  setTimeout(() => {
    if (event.defaultPrevented) {
      compose.remove();
      back();
    } else {
      reopen(compose);
      point(form);
    }
  });
});

document.addEventListener("patched", () => {
  settle();
  for (const field of document.querySelectorAll("[data-pick] [role=combobox]")) {
    field.ariaExpanded = String(field.closest("[data-pick]").querySelector("[role=listbox]").childElementCount > 0);
    if (!active(field)) field.removeAttribute("aria-activedescendant");
  }
  if (!leaving || leaving.isConnected) return;
  const sent = document.activeElement === document.body || !document.activeElement;
  leaving = undefined;
  if (shown()) enter(shown());
  else if (sent) back();
});

narrow.addEventListener("change", settle);
addEventListener("online", () => document.querySelectorAll("form.unsaved").forEach((form) => saveNow(form)));
addEventListener("change", ({ target }) => {
  if (target.name === "pool" && target.form?.dataset.save) saveNow(target.form);
});

// The search for a recipient: a combobox with a list below it.
const active = (field) => document.getElementById(field.getAttribute("aria-activedescendant"));

function mark(field, option) {
  active(field)?.setAttribute("aria-selected", "false");
  field.setAttribute("aria-activedescendant", option.id);
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
}

async function choose(option) {
  const form = option.closest("form");
  const data = new FormData(form);
  data.set("pick", option.dataset.handle);
  leaving = form.closest("[data-compose]");
  await go("/compose/to", { method: "POST", body: data }).catch(() => form.classList.add("unsaved"));
}

addEventListener("keydown", (event) => {
  const field = event.target.closest("[data-pick] [role=combobox]");
  if (field) {
    const list = field.closest("[data-pick]").querySelector("[role=listbox]");
    const here = active(field);
    if (event.key === "ArrowDown" && list.firstElementChild) {
      event.preventDefault();
      mark(field, here?.nextElementSibling ?? list.firstElementChild);
    } else if (event.key === "ArrowUp" && list.lastElementChild) {
      event.preventDefault();
      mark(field, here?.previousElementSibling ?? list.lastElementChild);
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const option = here ?? (list.childElementCount === 1 ? list.firstElementChild : null);
      if (option) choose(option);
    } else if (event.key === "Escape" && list.childElementCount) {
      event.preventDefault();
      list.replaceChildren();
      field.ariaExpanded = "false";
      field.removeAttribute("aria-activedescendant");
      return;
    }
  }
  if (event.key !== "Escape" || event.defaultPrevented || !over.contains(event.target)) return;
  if (!over.querySelector(":popover-open")) close();
});

enter(inPage());
