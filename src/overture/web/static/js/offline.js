// Without a network: what was to be sent waits in the browser, is shown in every tab, and goes when there
// is one again.
//
//   <template id="waiting">  a row: its text comes into <bdi>; data-drop is the button that gives it up
//   <… data-outbox=URL>      has the rows of what waits for this address; the others are toasts
import { empty } from "./forms.js";
import { patch, policy } from "./live.js";
import { flush, outbox } from "./outbox.js";

const { me, frame } = document.body.dataset;
const away = document.querySelector("[data-offline]"); // the page that stands in for another

if ((me || away) && !frame && navigator.serviceWorker) {
  const channel = new BroadcastChannel("outbox");
  let waiting = [];

  const show = () => {
    for (const row of document.querySelectorAll("[data-waiting]"))
      if (!waiting.some(({ at }) => at == row.dataset.waiting)) row.remove();
    for (const { at, url, no, label } of waiting) {
      const place = away ?? document.querySelector(`[data-outbox="${url}"]`) ?? document.getElementById("toasts");
      let row = document.querySelector(`[data-waiting="${at}"]`);
      if (!row) {
        row = document.getElementById("waiting").content.firstElementChild.cloneNode(true);
        row.dataset.waiting = at;
        row.querySelector("bdi").textContent = label;
        place.append(row);
      }
      row.classList.toggle("bad", Boolean(no));
    }
  };
  const take = async (html) => {
    waiting = await outbox("getAll");
    if (html && away) location.reload();
    else if (html) patch(html);
    else show();
  };
  const tell = (html) => {
    channel.postMessage(html);
    return take(html);
  };
  const send = () => flush(tell).catch(() => {});
  const keep = async (form, url, data) => {
    const label = data.get("body") ?? form.querySelector("[data-toast]")?.content.querySelector("span").textContent;
    await outbox("put", { url, me, label, fields: [...data] });
    // What is written next is another message.
    if (form.elements.key) form.elements.key.value = crypto.randomUUID();
    empty(form);
    await tell("");
    (await navigator.serviceWorker.ready).sync?.register("outbox").catch(() => {});
  };
  channel.onmessage = ({ data }) => take(data);
  document.addEventListener("patched", show);

  document.addEventListener("unsent", (event) => {
    const { form, url, data } = event.detail;
    if (!data.has("key")) return; // sent twice, it would be two acts
    event.preventDefault();
    keep(form, url, data);
  });

  // A letter that waits its seconds while there is no network outlives its page.
  const held = new Map();
  addEventListener("held", ({ target }) => held.set(target, new FormData(target)));
  for (const type of ["undone", "answered"]) addEventListener(type, ({ target }) => held.delete(target));
  addEventListener("pagehide", () => {
    if (!navigator.onLine) for (const [form, data] of held) keep(form, form.getAttribute("action"), data);
  });

  addEventListener("click", async ({ target }) => {
    const row = target.closest("[data-drop]")?.closest("[data-waiting]");
    if (!row) return;
    await outbox("delete", Number(row.dataset.waiting));
    tell("");
  });
  // Nothing stays behind in a browser that one signs out of.
  addEventListener("submit", async (event) => {
    if (event.target.getAttribute("action") !== "/logout") return;
    event.preventDefault();
    await outbox("clear").catch(() => {});
    for (const notice of await (await navigator.serviceWorker.getRegistration())?.getNotifications() ?? []) notice.close();
    event.target.submit();
  });
  addEventListener("online", () => (away ? location.reload() : send()));

  (async () => {
    waiting = await outbox("getAll");
    // Nobody sends what another member left behind.
    if (me) for (const each of waiting) if (each.me !== me) await outbox("delete", each.at);
    await take("");
    if (me) send();
    await navigator.serviceWorker.register(policy.createScriptURL("/sw.js"));
    const { lang } = document.documentElement;
    if (!me || sessionStorage.offline === lang) return;
    await (await caches.open("pages")).add("/offline");
    sessionStorage.offline = lang;
  })().catch(() => {});
}
