// Overture's HTTP API, typed by its OpenAPI document: `schema.d.ts` is made from it by `make clients`.
//
//   const overture = new Overture("https://inmail.example.org", token);
//   const ada = overture.actingAs(adaId);
//   const sent = await ada.api.POST("/conversations", { body: { to: boId, body: "May I ask you something?" } });
//   for await (const each of ada.each("/conversations", { box: "requests" })) console.log(each.subject);
//   for await (const event of ada.events()) console.log(event.kind, event.data);

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };
export type Schemas = components["schemas"];

// Again so often, no sooner than the server asks for; else doubled each time, and not all at one moment.
const TRIES = 5;
const FIRST_MS = 250;
const MOST_MS = 30_000;
const SILENCE_MS = 60_000;

/** The server said no: `code` is stable, `told` has all that it said. */
export class Problem extends Error {
  constructor(readonly status: number, readonly told: Record<string, unknown>) {
    super(`${told["code"] ?? status}: ${told["detail"] ?? told["title"] ?? ""}`);
    this.name = "Problem";
  }
  get code(): string {
    return String(this.told["code"] ?? "");
  }
}

/** What happened; `id` is where to go on from. */
export interface OvertureEvent {
  kind: string;
  data: unknown;
  id: string | undefined;
}

type Json<T> = T extends { responses: { 200: { content: { "application/json": infer Body } } } } ? Body : never;
type Listed<P extends keyof paths> = paths[P] extends { get: infer G } ? (Json<G> extends { items: (infer I)[] } ? I : never) : never;
type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? Q : never;
/** The addresses of lists without a placeholder. */
export type ListPath = { [P in keyof paths]: Listed<P> extends never ? never : P extends `${string}{${string}` ? never : P }[keyof paths];

export interface Options {
  actAs?: string;
  fetch?: typeof fetch;
}

export class Overture {
  readonly api: Client<paths>;
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(readonly url: string, readonly token: string, readonly options: Options = {}) {
    this.#base = `${url.replace(/\/$/, "")}/api/v1`;
    this.#headers = { Authorization: `Bearer ${token}`, ...(options.actAs ? { "Act-As": options.actAs } : {}) };
    this.#fetch = options.fetch ?? fetch;
    this.api = createClient<paths>({
      baseUrl: this.#base,
      headers: this.#headers,
      fetch: (request) => asked(this.#fetch, request),
    });
  }

  /** The same for a member, as an operator's token may. */
  actingAs(member: string): Overture {
    return new Overture(this.url, this.token, { ...this.options, actAs: member });
  }

  /** All of a list, page after page as they are needed. */
  async *each<P extends ListPath>(path: P, query?: Query<P>): AsyncGenerator<Listed<P>> {
    let cursor: string | null = null;
    do {
      const url = new URL(this.#base + path);
      for (const [name, value] of Object.entries({ ...(query as object | undefined), ...(cursor ? { cursor } : {}) }))
        if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
      const answer = await asked(this.#fetch, new Request(url, { headers: this.#headers }));
      const page = (await answer.json()) as { items: Listed<P>[]; next: string | null };
      yield* page.items;
      cursor = page.next;
    } while (cursor);
  }

  /** What happens to the member, until the server says `bye` or `signal` ends it; it goes on by itself after a
   *  break. What comes after one may have come before; after a `reset` read the state anew. */
  async *events({ after, signal }: { after?: string; signal?: AbortSignal } = {}): AsyncGenerator<OvertureEvent> {
    let id = after;
    for (let tries = 0; !signal?.aborted; tries = Math.min(tries + 1, 7)) {
      const silence = new AbortController();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
      };
      try {
        heard();
        const headers = { ...this.#headers, ...(id ? { "Last-Event-ID": id } : {}) };
        const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
        const answer = await asked(this.#fetch, new Request(`${this.#base}/events`, { headers, signal: either }));
        let kind = "";
        let data: string[] = [];
        for await (const line of lines(answer.body)) {
          heard();
          tries = 0;
          if (!line) {
            if (data.length) yield { kind: kind || "message", data: JSON.parse(data.join("\n")), id };
            if (data.length && kind === "bye") return;
            [kind, data] = ["", []];
            continue;
          }
          const colon = line.indexOf(":");
          const name = colon < 0 ? line : line.slice(0, colon);
          const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
          if (name === "id") id = value || undefined;
          else if (name === "event") kind = value;
          else if (name === "data") data.push(value);
        }
      } catch (problem) {
        if (problem instanceof Problem) throw problem;
      } finally {
        clearTimeout(timer);
      }
      if (!signal?.aborted) await wait(pause(tries));
    }
  }
}

async function* lines(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  if (!body) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let left = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      left += decoder.decode(value, { stream: true });
      const found = left.split(/\r\n|\n/);
      left = found.pop() ?? "";
      yield* found;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

// Makes a request, again where it may: what creates something has a key, and is carried out once.
async function asked(send: typeof fetch, request: Request): Promise<Response> {
  const first = new Request(request);
  if (first.method === "POST" && !first.headers.has("Idempotency-Key")) first.headers.set("Idempotency-Key", crypto.randomUUID());
  const again = first.method !== "PATCH" || first.headers.has("Idempotency-Key");
  for (let tries = 0; ; tries += 1) {
    const last = !again || tries === TRIES - 1;
    let answer: Response;
    try {
      answer = await send(first.clone());
    } catch (problem) {
      if (last || first.signal.aborted) throw problem;
      await wait(pause(tries));
      continue;
    }
    if (answer.status < 400) return answer;
    const told = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
    const later = [429, 503].includes(answer.status) || told["code"] === "idempotency_in_progress";
    if (last || !later) throw new Problem(answer.status, told);
    await wait(pause(tries, answer.headers.get("Retry-After")));
  }
}

function pause(tries: number, said: string | null = null): number {
  if (said && /^\d+$/.test(said)) return Math.min(Number(said) * 1000, MOST_MS);
  return Math.min(FIRST_MS * 2 ** tries, MOST_MS) * (0.5 + Math.random() / 2);
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
