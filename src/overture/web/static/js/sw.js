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
  // Those in frames go by themselves: what says that they are would be lost.
  if (request.destination === "document" && request.method === "GET") event.respondWith(page(event));
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

// A notice, as push/delivery.py writes it: of a conversation but one is shown, the last.
addEventListener("push", (event) => {
  const { title, url, ...more } = event.data.json();
  event.waitUntil(registration.showNotification(title, { ...more, data: url, icon: "/icons/icon-192.png" }));
});

addEventListener("notificationclick", (event) => {
  const { notification } = event;
  notification.close();
  event.waitUntil((async () => {
    // A page that shows something else may be written in.
    const { href } = new URL(notification.data, location);
    const open = (await clients.matchAll({ type: "window" })).find(({ url }) => url === href);
    await (open ? open.focus() : clients.openWindow(href));
  })());
});
