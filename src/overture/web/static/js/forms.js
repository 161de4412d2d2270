// Forms: sent live, held back for a while, saved and counted as one types.
//
//   <form data-live>            sent by script, answered with patches; data-reset empties it then
//   <form data-live data-undo="10">  waits that long first; its <template data-toast> says so and has a
//                               button[data-cancel]. Leaving the page sends it at once, and never twice.
//                               What a button[formaction] sends does not wait
//   <textarea data-count="ID" data-max="2000">  the output ID shows its code points, as the server counts
//   <form data-save=URL>        posted there a moment after the last change, and when the page goes away
//   <input data-suggest=URL>    fetched with its text as q, as one types
//   <textarea data-ping=URL>    posted there now and then while one types
import { go, offline, patch } from "./live.js";

addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-live]") || event.defaultPrevented) return;
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  const data = new FormData(form, event.submitter);
  const url = event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : form.getAttribute("action");
  if (form.method === "get") {
    const query = new URLSearchParams(data);
    go(`${url}?${query}`, { push: true, part: form.dataset.live || "1" }).catch(offline);
    return;
  }
  form.ariaBusy = "true";
  stopSaving(form);
  if (form.dataset.undo && !event.submitter?.hasAttribute("formaction")) hold(form, url, data);
  else send(form, url, data);
});

async function send(form, url, data, init = {}) {
  document.querySelector("#notices [role=alert]")?.remove(); // of the try before
  try {
    const answer = await go(url, { method: "POST", body: data, ...init });
    if (answer.ok) empty(form);
    form.dispatchEvent(new CustomEvent("answered", { bubbles: true, detail: { ok: answer.ok } }));
  } catch {
    const queue = new CustomEvent("unsent", { bubbles: true, cancelable: true, detail: { form, url, data } });
    // Whoever can send it later takes it; else it stays, and the page says so.
    if (document.dispatchEvent(queue)) offline();
  } finally {
    form.ariaBusy = "false";
    form.inert = false;
    form.classList.remove("held");
  }
}

// Empties a form with data-reset, also of the draft that its page brought along.
export function empty(form) {
  if (!("reset" in form.dataset)) return;
  for (const field of form.querySelectorAll("textarea")) field.defaultValue = "";
  form.reset();
  form.querySelectorAll("[data-count]").forEach(count);
}

// What waits for its time: a Map from the form to how it is sent now.
const held = new Map();

function hold(form, url, data) {
  const toast = form.querySelector("template[data-toast]").content.firstElementChild.cloneNode(true);
  const end = () => {
    clearTimeout(timer);
    held.delete(form);
    toast.remove();
  };
  const timer = setTimeout(() => {
    end();
    send(form, url, data);
  }, form.dataset.undo * 1000);
  toast.querySelector("[data-cancel]").addEventListener("click", () => {
    end();
    form.ariaBusy = "false";
    form.inert = false;
    form.classList.remove("held");
    form.dispatchEvent(new Event("undone", { bubbles: true }));
    (form.querySelector("textarea") ?? form.querySelector("button"))?.focus();
  });
  held.set(form, (init) => {
    end();
    return send(form, url, data, init);
  });
  form.inert = true;
  form.classList.add("held");
  document.getElementById("toasts").append(toast);
  toast.querySelector("[data-cancel]").focus();
  form.dispatchEvent(new Event("held", { bubbles: true }));
}

// A page that goes away sends what waits; the request outlives it.
addEventListener("pagehide", () => {
  for (const now of [...held.values()]) now({ keepalive: true });
  for (const form of document.querySelectorAll("form[data-changed]"))
    if (form.ariaBusy !== "true") saveNow(form, form.dataset.save, { keepalive: true });
});

const timers = new WeakMap(); // from an element to what it is about to do

function later(element, wait, work) {
  clearTimeout(timers.get(element));
  timers.set(element, setTimeout(work, wait));
}

function stopSaving(form) {
  clearTimeout(timers.get(form));
}

function save(form) {
  form.dataset.changed = "";
  later(form, 800, () => {
    if (form.ariaBusy !== "true") saveNow(form);
  });
}

// Posts what the form holds now: true where it was taken, false where not, undefined without a network.
// A form whose text is not kept has the class "unsaved".
export async function saveNow(form, url = form.dataset.save, init = {}) {
  stopSaving(form);
  delete form.dataset.changed;
  const body = new FormData(form);
  body.delete("files"); // they go with the message alone
  try {
    const { ok } = await go(url, { method: "POST", body, part: "save", ...init });
    form.classList.toggle("unsaved", !ok && url === form.dataset.save);
    return ok;
  } catch {
    form.classList.add("unsaved");
  }
}

function count(field) {
  const text = [...field.value.replace(/\r\n?/g, "\n").normalize("NFC")].length;
  const most = Number(field.dataset.max);
  const number = new Intl.NumberFormat(document.documentElement.lang, { numberingSystem: "latn" });
  const output = document.getElementById(field.dataset.count);
  output.textContent = `${number.format(text)} / ${number.format(most)}`;
  output.classList.toggle("over", text > most);
}

let suggesting;

async function suggest(field) {
  suggesting?.abort();
  suggesting = new AbortController();
  const url = new URL(field.dataset.suggest, location.href);
  url.searchParams.set("q", field.value);
  try {
    const answer = await fetch(url, { headers: { "X-Live": "suggest" }, signal: suggesting.signal });
    patch(await answer.text());
    if (url.pathname === location.pathname) history.replaceState(history.state, "", url); // to come back to
  } catch {
    // A newer one is under way, or there is no network: what is shown stays.
  }
}

let pinged = 0;

addEventListener("input", ({ target }) => {
  if (target.dataset.count) count(target);
  if (target.dataset.suggest) later(target, 150, () => suggest(target));
  if (target.dataset.ping && Date.now() - pinged > 3000) {
    pinged = Date.now();
    go(target.dataset.ping, { method: "POST" }).catch(() => {});
  }
  const saved = target.closest("form[data-save]");
  if (saved) save(saved);
});
addEventListener("change", ({ target }) => {
  const form = target.closest("form[data-submit]"); // sent as soon as something is chosen
  form?.requestSubmit();
});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") event.target.form?.requestSubmit();
});
