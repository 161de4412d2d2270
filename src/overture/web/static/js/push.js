// Notices on this device: a form[data-push=KEY] asks the browser for a place that takes them, and is sent
// with it. What needs that is shown only where browsers can do it, and what says that they cannot elsewhere.
const able = "PushManager" in window && "Notification" in window && navigator.serviceWorker;

function show() {
  if (!able) return;
  for (const each of document.querySelectorAll("[data-needs-push]")) each.hidden = false;
  for (const each of document.querySelectorAll("[data-without-push]")) each.hidden = true;
}
document.addEventListener("patched", show);
show();

addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.push) return;
  event.preventDefault();
  if (form.ariaBusy !== "true") ask(form);
});

async function ask(form) {
  const failed = form.querySelector("[data-failed]");
  form.ariaBusy = "true";
  failed.hidden = true;
  try {
    if (await Notification.requestPermission() !== "granted") throw 0;
    const { pushManager } = await navigator.serviceWorker.ready;
    // The place may be one that another member had.
    await (await pushManager.getSubscription())?.unsubscribe();
    const place = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: form.dataset.push });
    const { endpoint, keys } = place.toJSON();
    for (const [name, value] of Object.entries({ endpoint, ...keys })) form.elements[name].value = value;
    form.submit(); // without this script again
  } catch {
    failed.hidden = false;
  } finally {
    form.ariaBusy = "false";
  }
}
