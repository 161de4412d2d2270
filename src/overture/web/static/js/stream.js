// The event stream: one connection a browser, not one a tab, of which HTTP/1.1 has six at most. The tab
// that holds the lock reads; the others hear of it on a channel.
import { go, patch } from "./live.js";

const { stream, me } = document.body.dataset;

if (stream) {
  const channel = new BroadcastChannel(`live-${me}`);
  let last = document.body.dataset.after;
  let recent = []; // of the tab that reads: for those that open while it tells

  const take = ({ type, data, id }) => {
    last = id || last;
    if (type === "reset") go(location.href).catch(() => {});
    else if (type === "bye") setTimeout(() => location.reload(), 500); // signed out, maybe by this very page
    else patch(data);
  };
  channel.onmessage = ({ data }) => {
    if (data.type !== "new") return take(data);
    for (const each of recent) if (+each.id > +data.id) channel.postMessage(each);
  };
  // What happened between the making of this page and now.
  channel.postMessage({ type: "new", id: last });

  // Over plain http from another machine there are no locks: each tab reads for itself.
  const locks = navigator.locks ?? { request: (_, read) => read() };
  locks.request(`live-${me}`, () => new Promise(() => {
    let wait = 500;
    (function connect() {
      const source = new EventSource(`${stream}?after=${last}`);
      const pass = ({ type, data, lastEventId: id }) => {
        wait = 500;
        const told = { type, data, id };
        recent = [...recent.slice(-50), told];
        channel.postMessage(told);
        take(told);
      };
      for (const type of ["message", "reset", "bye"]) source.addEventListener(type, pass);
      // The browser tries again by itself after a break, but not after an error's answer.
      source.onerror = () => {
        if (source.readyState !== EventSource.CLOSED) return;
        setTimeout(connect, wait = Math.min(wait * 2, 30000));
      };
    })();
  }));
}
