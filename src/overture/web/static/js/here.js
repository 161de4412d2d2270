// Who of those shown is here now: asked for once for each face, and then told by the event stream.
import { go } from "./live.js";

let timer;

function ask() {
  if (document.hidden) return;
  const ids = new Set();
  for (const face of document.querySelectorAll("[data-here]:not([data-asked])")) {
    face.dataset.asked = "";
    ids.add(face.dataset.here);
  }
  if (ids.size) go(`/here?ids=${[...ids]}`).catch(() => {});
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(ask, 500);
}

if (document.body.dataset.stream) {
  document.addEventListener("patched", soon);
  document.addEventListener("visibilitychange", soon);
  soon();
}
