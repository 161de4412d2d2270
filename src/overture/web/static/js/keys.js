// Single keys: an element with data-key="x" is pressed or, where one writes in it, focused by x. J and K
// go through the list, C writes a letter from any page. Off in fields, with a modifier, and where the member
// has switched them off.
import { open as write } from "./compose.js";

const shown = (element) => element.checkVisibility();

function step(by) {
  const rows = [...document.querySelectorAll(".list .conv, [data-row]")].filter(shown);
  const now = rows.findIndex((row) => row === document.activeElement);
  const open = rows.findIndex((row) => row.hasAttribute("aria-current"));
  rows[Math.min(Math.max((now < 0 ? open : now) + by, 0), rows.length - 1)]?.focus();
}

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (key === "Escape" && target.matches(".thread textarea, .search input")) return target.blur();
  if (target.closest("input, textarea, select, [contenteditable]")) return;
  if (document.body.dataset.keys === "off" || document.querySelector("[popover]:popover-open, dialog[open]")) return;
  // Where a keyboard has no Latin letters, those that stand in the same places on one that has.
  const low = (key.length > 1 || key < "\x7f" ? key : event.code.replace(/^(Key|Digit)/, "").replace("Slash", event.shiftKey ? "?" : "/")).toLowerCase();
  if (low === "j" || low === "k") step(low === "j" ? 1 : -1);
  else if (low === "enter" && target.matches("tr[data-row]")) target.querySelector("a")?.click();
  else if (low === "?") document.getElementById("keys")?.showPopover();
  else {
    const found = [...document.querySelectorAll(`[data-key="${CSS.escape(low)}"]`)].find(shown);
    if (found) {
      found.focus();
      if (!found.matches("input, textarea")) found.click();
    } else if (low === "c" && document.body.dataset.me && !document.querySelector(".console-nav")) write("/compose");
    // Beside its thread the list is there already.
    else if (low === "u") document.querySelector(".conv[aria-current]")?.focus();
    else return;
  }
  event.preventDefault();
});
