// In the console: an element with data-again=SECONDS has its page's patches fetched that often while
// somebody looks at it, but not while one writes in it or has it selected.
import { go } from "./live.js";

let passed = 0;
setInterval(() => {
  const at = document.querySelector("[data-again]");
  if (++passed % (at?.dataset.again ?? 1) || !at || document.hidden) return;
  if (at.querySelector("form:focus-within, [open]") || getSelection().toString()) return;
  go(location.href, { part: "anew", from: at }).catch(() => {});
}, 1000);
