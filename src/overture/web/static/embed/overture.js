// <overture-button member="HANDLE" handover="/where/the/host/signs">InMail me</overture-button>
//
// A button on the host's pages that opens a letter to a member, in a dialog. What it says, and whether it can
// be pressed, the server says; until then, and where it cannot be asked, the host's own words stand there.
//
//   handover   an address of the host's that signs who is there and sends the browser on to /handover, with the
//              `to` that comes along as a query; without it the letter opens at Overture itself
//   mode       "window": always in a window of its own
//   lang       the language, else that of the nearest element with one
//
// Parts to style: button, label, price, note, dialog, bar, window, close, frame. Custom properties:
// --overture-color, --overture-on-color, --overture-radius, --overture-font, --overture-width, --overture-height.
// Events, which bubble: overture-open (can be prevented), overture-sent (detail.conversation), overture-unread
// (detail.count), overture-close.

const HOME = new URL(import.meta.url).origin;

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host { display: inline-block; }
  :host([hidden]) { display: none; }
  button, a { font: inherit; color: inherit; cursor: pointer; }
  [part=button] { display: inline-flex; gap: .5em; align-items: baseline; min-block-size: 44px; padding: .5em 1em; border: 0; align-items: center;
    border-radius: var(--overture-radius, 10px); background: var(--overture-color, #4338ca); color: var(--overture-on-color, #fff);
    font: var(--overture-font, 600 1em/1.3 system-ui, sans-serif); }
  [part=button][aria-disabled=true] { opacity: .65; cursor: default; }
  [part=price] { font-weight: 400; } [part=price]:empty { display: none; }
  [part=note] { display: block; font-size: .85em; margin-block-start: .35em; } [part=note]:empty { display: none; }
  :focus-visible { outline: 3px solid var(--overture-color, #4338ca); outline-offset: 2px; }
  dialog { padding: 0; border: 0; border-radius: 14px; overflow: hidden; color: CanvasText; background: Canvas;
    inline-size: min(var(--overture-width, 560px), 100vw - 24px); block-size: min(var(--overture-height, 680px), 100dvh - 24px);
    max-inline-size: none; max-block-size: none; }
  dialog[open] { display: flex; flex-direction: column; } dialog::backdrop { background: rgb(0 0 0 / .5); }
  [part=bar] { display: flex; justify-content: space-between; align-items: center; padding-inline: 12px; font: .85em system-ui, sans-serif; }
  [part=close], [part=window] { min-block-size: 44px; display: inline-flex; align-items: center; border: 0; background: none; }
  iframe { flex: 1; border: 0; inline-size: 100%; }
`);

function make(name, part, ...inner) {
  const made = document.createElement(name);
  made.setAttribute("part", part);
  made.append(...inner);
  return made;
}

class OvertureButton extends HTMLElement {
  static observedAttributes = ["member", "lang"];

  #button; #label; #price; #note; #words; #dialog; #frame; #asked;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    this.#label = make("span", "label", document.createElement("slot"));
    this.#price = make("span", "price");
    this.#note = make("span", "note");
    this.#note.id = "note";
    this.#button = make("button", "button", this.#label, this.#price);
    this.#button.type = "button";
    this.#button.setAttribute("aria-describedby", "note");
    this.#button.addEventListener("click", () => this.open());
    root.append(this.#button, this.#note);
  }

  connectedCallback() {
    this.#ask();
    addEventListener("message", this);
  }

  disconnectedCallback() {
    removeEventListener("message", this);
    this.#dialog?.close();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#ask();
  }

  // What it says, and whether it can be pressed.
  async #ask() {
    const query = new URLSearchParams({ member: this.getAttribute("member") ?? "", lang: this.closest("[lang]")?.lang ?? "" });
    const asked = (this.#asked = fetch(`${HOME}/embed/button?${query}`, { credentials: "include" }));
    try {
      const words = await (await asked).json();
      if (asked !== this.#asked) return; // for another member by now
      this.#words = words;
      this.#label.textContent = words.label;
      this.#price.textContent = words.price;
      this.#note.textContent = words.note;
      this.#button.setAttribute("aria-disabled", String(words.state === "unavailable"));
      this.#button.lang = this.#note.lang = words.lang;
      this.#button.dir = this.#note.dir = words.dir;
    } catch {
      // The host's own words stay, and pressing opens a window.
    }
  }

  // Where the letter is; by way of the host, where it signs.
  #url() {
    const member = this.getAttribute("member") ?? "";
    const url = new URL(this.getAttribute("handover") ?? `${HOME}/compose`, location.href);
    url.searchParams.set("to", this.hasAttribute("handover") ? `compose/${member}` : member);
    return url.href;
  }

  open() {
    if (this.#button.getAttribute("aria-disabled") === "true") return;
    if (!this.#tell("open", {}, true)) return;
    // A frame shows nobody who was not handed over.
    const framed = this.#words && this.hasAttribute("handover") && this.getAttribute("mode") !== "window";
    if (framed) this.#show();
    else window.open(this.#url(), "_blank", "noopener");
  }

  close() {
    this.#dialog?.close();
  }

  #show() {
    if (this.#dialog) return;
    const { title, close, apart, dir, lang } = this.#words;
    const shut = make("button", "close", close);
    shut.type = "button";
    shut.addEventListener("click", () => this.close());
    const away = make("a", "window", apart);
    Object.assign(away, { href: this.#url(), target: "_blank", rel: "noopener" });
    this.#frame = make("iframe", "frame");
    Object.assign(this.#frame, { title, src: this.#url() });
    this.#dialog = make("dialog", "dialog", make("div", "bar", away, shut), this.#frame);
    Object.assign(this.#dialog, { dir, lang, ariaLabel: title });
    this.#dialog.addEventListener("close", () => {
      this.#dialog.remove();
      this.#dialog = this.#frame = undefined;
      this.#ask(); // the price may be another one
      this.#tell("close");
    });
    this.shadowRoot.append(this.#dialog);
    this.#dialog.showModal();
  }

  handleEvent({ origin, source, data }) {
    if (origin !== HOME || !this.#frame || source !== this.#frame.contentWindow || data?.source !== "overture") return;
    if (data.type === "sent") this.#tell("sent", { conversation: data.conversation });
    if (data.type === "unread") this.#tell("unread", { count: data.count });
    if (data.type === "sent" || data.type === "close") this.close();
  }

  #tell(what, detail = {}, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(`overture-${what}`, { bubbles: true, composed: true, cancelable, detail }));
  }
}

if (!customElements.get("overture-button")) customElements.define("overture-button", OvertureButton);
