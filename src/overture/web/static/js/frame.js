// In a frame of the host's: tells its page, and the origin alone that may show us, what it may want to know.
//
//   { source: "overture", type: "unread", count }        how many conversations have something new in them
//   { source: "overture", type: "sent", conversation }   a letter is on its way
//   { source: "overture", type: "height", height }       in pixels, of what there is to show
//   { source: "overture", type: "close" }                the member closed the letter, and its draft is kept
//   { source: "overture", type: "ended" }                nobody is signed in any more
import { saveNow } from "./forms.js";

const { frame, me } = document.body.dataset;
const main = document.getElementById("main");

function tell(type, more) {
  for (const origin of frame.split(" ")) parent.postMessage({ source: "overture", type, ...more }, origin);
}

let unread, sent, height;

function look() {
  const count = document.getElementById("badge-inbox")?.dataset.unread;
  if (count && count !== unread) tell("unread", { count: Number(unread = count) });
  const conversation = document.querySelector("#notices [data-sent]")?.dataset.sent;
  if (conversation && conversation !== sent) tell("sent", { conversation });
  sent = conversation;
  measure();
}

function measure() {
  const tall = Math.ceil(main.firstElementChild?.getBoundingClientRect().height ?? 0);
  if (tall !== height) tell("height", { height: height = tall });
}

// Whoever is told takes the frame away, and may open it again at once.
async function close() {
  const form = main.querySelector("form[data-changed]");
  if (form) await saveNow(form);
  tell("close");
}

if (parent !== window) {
  if (!me) tell("ended");
  document.addEventListener("patched", look);
  new ResizeObserver(measure).observe(main);
  addEventListener("click", ({ target }) => {
    if (target.closest("main [data-close]")) close();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && event.target.closest("main [data-compose]")) close();
  });
  look();
}
