// Passkeys: a form[data-passkey=get|create] has the browser ask a device, with the options that it fetches
// from data-options, and is sent with what the device answers. Shown only where browsers can do it.
const able = window.PublicKeyCredential?.parseRequestOptionsFromJSON;

function show() {
  if (able) for (const each of document.querySelectorAll("[data-needs-passkeys]")) each.hidden = false;
}
document.addEventListener("patched", show);
show();

addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.passkey) return;
  event.preventDefault();
  if (form.ariaBusy !== "true") ask(form);
});

async function ask(form) {
  const failed = form.querySelector("[data-failed]");
  form.ariaBusy = "true";
  failed.hidden = true;
  try {
    const answer = await fetch(form.dataset.options, { method: "POST", headers: { "X-Live": "1" } });
    const elsewhere = answer.headers.get("X-Go");
    if (elsewhere) return location.assign(elsewhere);
    const json = await answer.json();
    const credential = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(json) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(json) });
    form.elements.credential.value = JSON.stringify(credential);
    form.submit(); // without this script again
  } catch {
    failed.hidden = false; // there is none, or its owner said no
  } finally {
    form.ariaBusy = "false";
  }
}
