// One patch protocol for links, forms and the event stream: pieces of HTML, and where they go.
//
//   <template data-at="SELECTOR" data-how="inner|replace|append|prepend|after|remove">…</template>
//   <template data-at="LIST" data-how="order" data-order="NUMBER">…</template>  to its place among those of
//                               LIST with a data-order; not where more of it is still to be fetched
//
// A link is followed live with <a data-live>; data-live="PART" asks for that part of the page alone.

export const policy = window.trustedTypes?.createPolicy("live", {
  createHTML: (html) => html, // of our own server, which escapes what people wrote
  createScriptURL: (url) => url,
}) ?? { createHTML: (html) => html, createScriptURL: (url) => url };

const HOW = {
  inner: (at, piece) => at.replaceChildren(piece),
  replace: (at, piece) => at.replaceWith(piece),
  append: (at, piece) => at.append(piece),
  prepend: (at, piece) => at.prepend(piece),
  after: (at, piece) => at.after(piece),
  order: (at, piece, { order }) => {
    const there = [...at.children].filter((each) => each.dataset.order);
    const next = there.find((each) => +each.dataset.order >= +order);
    const { firstElementChild, lastElementChild } = at.parentElement;
    if (next ? next === there[0] && firstElementChild.matches(".more") : lastElementChild.matches(".more")) return;
    if (next) next.before(piece);
    else at.append(piece);
  },
  remove: (at) => at.remove(),
};

// The element itself, or what took its place where a piece of the page came anew.
export function anew(element) {
  if (element.isConnected) return element;
  return document.getElementById(element.id) ?? [...document.querySelectorAll(element.localName)].find((each) => each.isEqualNode(element));
}

// Puts the pieces in their places. Who is at the end of a thread stays there: the style sheet sees to it
// but for a letter alone, which is read from its top. An event "patched" tells who wants to know.
export function patch(html) {
  const focused = document.activeElement;
  const box = document.createElement("template");
  box.innerHTML = policy.createHTML(html);
  for (const piece of box.content.querySelectorAll("template[data-at]")) {
    const how = piece.dataset.how ?? "inner";
    for (const at of document.querySelectorAll(piece.dataset.at)) {
      const scroller = how === "append" || how === "order" ? at.closest(".scroll.alone") : null;
      const below = scroller && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
      HOW[how](at, piece.content.cloneNode(true), piece.dataset);
      if (scroller && below < 80) scroller.scrollTop = scroller.scrollHeight;
    }
  }
  // What had the focus and came back, anew or elsewhere, has it again.
  if (focused && document.activeElement === document.body) anew(focused)?.focus({ preventScroll: true });
  for (const gone of document.querySelectorAll("[data-clear]:not([data-clearing])")) {
    gone.dataset.clearing = "";
    setTimeout(() => gone.remove(), gone.dataset.clear);
  }
  document.dispatchEvent(new Event("patched"));
}

// Which of two sessions is meant, where a page of ours is in a frame of the host's.
const framed = document.body.dataset.frame && { "X-Framed": "1" };

let navigation; // the newest one wins
const main = document.getElementById("main");
const scrollers = () => [main, main.querySelector(".convs")];
const address = () => location.pathname + location.search;
let shown = address();

// Fetches patches and puts them in. With `push` it is a navigation: it aborts the one before, and the
// address changes. What comes for an element that has gone meanwhile, `from`, is dropped. Throws what fetch
// throws: without a network a TypeError.
export async function go(url, { push = false, part = "1", from, ...init } = {}) {
  if (push) {
    navigation?.abort();
    navigation = new AbortController();
    init.signal = navigation.signal;
  }
  const answer = await fetch(url, { ...init, headers: { "X-Live": part, ...framed } });
  const html = await answer.text();
  if (init.signal?.aborted || from?.isConnected === false) return answer;
  const next = answer.headers.get("X-Go");
  if (next?.startsWith("/login")) location.assign(next);
  const arrives = push && answer.ok && !next;
  const moves = arrives && new URL(url, location.href).href !== location.href;
  if (moves) {
    history.replaceState({ ...history.state, tops: scrollers().map((each) => each?.scrollTop) }, "");
    history.pushState({ from: address() }, "", url);
    document.querySelector("#notices [role=alert]")?.remove(); // of the page before
  }
  if (arrives) shown = address();
  if (html) patch(html);
  if (arrives && part === "1") main.focus({ preventScroll: true });
  if (moves && part === "1") main.scrollTop = 0;
  if (next && !next.startsWith("/login")) await go(next, { push: true });
  return answer;
}

// Without a network: says so, in the words that the page brought along.
export function offline() {
  patch(document.getElementById("offline-alert").innerHTML);
}

// Back to where one was, and as far down; not for another place in the same page.
addEventListener("popstate", ({ state }) => {
  if (address() !== shown) go(location.href, { push: true }).then(
    () => scrollers().forEach((each, i) => each?.scrollTo(0, state?.tops?.[i] ?? 0)),
    (problem) => problem.name !== "AbortError" && location.reload(),
  );
});

addEventListener("click", (event) => {
  const link = event.target.closest("a[data-live]");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (link.matches(".back") && history.state?.from === link.getAttribute("href")) return history.back();
  go(link.href, { push: true, part: link.dataset.live || "1" }).catch((problem) => {
    if (problem.name !== "AbortError") location.assign(link.href);
  });
});

// An element with data-more=URL fetches what comes next when one scrolls to it; its answer replaces it.
const seen = new IntersectionObserver((entries) => {
  // Where the page was busy, one element may have come, gone and come again by now: that is one fetch.
  for (const target of new Set(entries.filter((each) => each.isIntersecting).map((each) => each.target))) {
    seen.unobserve(target);
    go(target.dataset.more, { part: "more", from: target }).catch(() => setTimeout(() => seen.observe(target), 3000));
  }
}, { rootMargin: "400px", scrollMargin: "400px" }); // of the window, and of what scrolls within it
function watch() {
  for (const more of document.querySelectorAll("[data-more]:not([data-watched])")) {
    more.dataset.watched = "";
    seen.observe(more);
  }
}
document.addEventListener("patched", watch);
watch();
