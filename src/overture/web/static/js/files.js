// Files to go with a message, also dropped on or pasted into its form: listed, to be taken off again.
//
//   <input type="file" data-files=ID data-most=BYTES data-many=COUNT>  ID: a list with a <template>
const chosen = new WeakMap(); // choosing anew adds to them
const chooser = ({ target }) => target.closest?.("form")?.querySelector("[data-files]");

function show(input, files) {
  const list = document.getElementById(input.dataset.files);
  const box = new DataTransfer();
  const large = (file) => file.size > input.dataset.most;
  for (const row of list.querySelectorAll("li")) row.remove();
  for (const file of files) {
    box.items.add(file);
    const row = list.firstElementChild.content.firstElementChild.cloneNode(true);
    row.querySelector("bdi").textContent = file.name;
    row.classList.toggle("bad", large(file));
    row.addEventListener("click", () => {
      show(input, files.filter((each) => each !== file));
      input.focus();
    });
    list.append(row);
  }
  input.files = box.files;
  chosen.set(input, files);
  input.setCustomValidity(files.some(large) || files[input.dataset.many] ? list.dataset.limits : "");
  input.reportValidity();
}

function add(event, { files }) {
  const input = chooser(event);
  if (!input || !files.length) return;
  event.preventDefault();
  show(input, [...(chosen.get(input) ?? []), ...files]);
}

addEventListener("change", (event) => event.target.dataset.files && add(event, event.target));
addEventListener("drop", (event) => add(event, event.dataTransfer));
addEventListener("paste", (event) => add(event, event.clipboardData));
addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files") && chooser(event)) event.preventDefault();
});
addEventListener("reset", (event) => chooser(event) && show(chooser(event), []));
