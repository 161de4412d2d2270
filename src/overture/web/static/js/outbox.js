// What waits for the network: forms as they were to be posted, kept by the browser. Each carries the key
// that makes it one act, however often it is sent. Pages and the worker both work with it.
const opened = () => new Promise((resolve, reject) => {
  const asked = indexedDB.open("outbox", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("waiting", { keyPath: "at", autoIncrement: true });
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

// Calls one method of the store; what it gives is there once it is safely written.
export async function outbox(method, value) {
  const db = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const work = db.transaction("waiting", "readwrite");
      const asked = work.objectStore("waiting")[method](value);
      work.oncomplete = () => resolve(asked.result);
      work.onabort = () => reject(work.error);
    });
  } finally {
    db.close();
  }
}

// Sends what waits, in its order; `told` hears of each answer. Fails without a network.
export const flush = (told) => navigator.locks.request("outbox", async () => {
  for (const each of await outbox("getAll")) {
    if (each.no) continue;
    const body = new FormData();
    for (const field of each.fields) body.append(...field);
    const answer = await fetch(each.url, { method: "POST", body, headers: { "X-Live": "1" } });
    if (answer.status === 429 || answer.status >= 500) throw new Error(answer.status);
    if (answer.headers.get("X-Go")?.startsWith("/login")) return;
    // What was refused stays, for its writer to read.
    await (answer.ok ? outbox("delete", each.at) : outbox("put", { ...each, no: true }));
    told(await answer.text());
  }
});
