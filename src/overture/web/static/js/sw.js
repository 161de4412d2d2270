// The worker: see installable.py, which writes FILES above this.
const KEPT = FILES[0].split("/")[2]; // the release

addEventListener("install", (event) => {
  skipWaiting();
  // What a page posts as it goes away must not wait for the worker, which may go with it.
  event.addRoutes?.({ condition: { requestMethod: "POST" }, source: "network" });
  event.waitUntil(Promise.all([
    caches.open(KEPT).then((cache) => cache.addAll(FILES)),
    caches.open("pages").then((cache) => cache.add("/offline")),
  ]));
});

addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name !== KEPT && name !== "pages") await caches.delete(name);
  await registration.navigationPreload?.enable();
  await clients.claim();
})()));

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate" && request.method === "GET") event.respondWith(page(event));
  else if (new URL(request.url).pathname.startsWith("/static/"))
    event.respondWith(caches.match(request).then((found) => found ?? fetch(request)));
});

async function page({ request, preloadResponse }) {
  try {
    return await preloadResponse ?? await fetch(request);
  } catch {
    return caches.match("/offline");
  }
}

addEventListener("sync", (event) => {
  const channel = new BroadcastChannel("outbox");
  event.waitUntil(flush((html) => channel.postMessage(html)).finally(() => channel.close()));
});
