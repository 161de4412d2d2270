// A thread beside its list: which row is open, what is read once one looks at it, where one came from.
import { go } from "./live.js";

let at; // the place in the address that was last scrolled to

function look() {
  const inbox = document.querySelector(".inbox");
  if (!inbox) return;
  const thread = document.getElementById("thread");
  const open = thread?.dataset.id;
  inbox.classList.toggle("open", Boolean(open));
  for (const row of inbox.querySelectorAll(".conv")) {
    if (open && row.id === `r-${open}`) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  const place = location.hash.startsWith("#m-") && document.getElementById(location.hash.slice(1));
  if (place && at !== location.href) place.scrollIntoView({ block: "center" });
  at = location.href;
  thread?.querySelector("[autofocus]:not([data-focused])")?.focus();
  for (const field of thread?.querySelectorAll("[autofocus]") ?? []) field.dataset.focused = "";
  // Only what is in front of somebody is read.
  const read = thread?.querySelector("form[data-read]");
  if (!read || document.visibilityState !== "visible") return;
  const body = new FormData(read);
  read.remove();
  go(read.getAttribute("action"), { method: "POST", body }).catch(() => {});
}

document.addEventListener("patched", look);
document.addEventListener("visibilitychange", look);
look();
