"use strict";

// Whatever comes from the corpus or from a person is put in as text, never as markup.
const byId = (id) => document.getElementById(id);
const NO_LANGUAGE = "und";
const NEAR = 0.02; // scores this close are equal, where one's own language may come first
const LONG = 400; // characters, after which a text is folded
const names = new Intl.DisplayNames(["en"], { type: "language" });
let hues = {};
let running = null;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function nameOf(language) {
  if (language === NO_LANGUAGE) return "no language";
  try {
    return names.of(language);
  } catch {
    return language;
  }
}

function coloured(element, language) {
  element.classList.toggle("none", language === NO_LANGUAGE);
  element.style.setProperty("--hue", hues[language] ?? 0);
  return element;
}

function label(language) {
  const chip = make("span", { className: "language", textContent: language, title: nameOf(language) });
  return coloured(chip, language);
}

async function ask(path, body, signal) {
  const headers = byId("key").value ? { Authorization: `Bearer ${byId("key").value}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const options = { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) };
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (answer.status === 401) {
    if (byId("key-row").hidden) {
      byId("key-row").hidden = false;
      byId("key").focus();
    }
  }
  if (!answer.ok) throw new Error(content.error.message);
  return content;
}

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
}

// --- hits

// Always in the order of the corpus, so that bars compare.
function bar(shares) {
  const whole = make("div", { className: "bar", role: "img" });
  const parts = Object.keys(hues).filter((language) => shares[language]).map((language) => [language, shares[language]]);
  for (const [language, share] of parts) {
    const part = make("span", { className: "language", textContent: share > 0.07 ? language : "" });
    part.title = `${nameOf(language)} ${(100 * share).toFixed(1)} %`;
    part.style.width = `${100 * share}%`;
    whole.append(coloured(part, language));
  }
  whole.ariaLabel = parts.map(([language, share]) => `${nameOf(language)} ${Math.round(100 * share)} %`).join(", ");
  return whole;
}

function sharesOf(hits) {
  const shares = {};
  for (const hit of hits) shares[hit.language ?? NO_LANGUAGE] = (shares[hit.language ?? NO_LANGUAGE] ?? 0) + 1 / hits.length;
  return shares;
}

function text(hit) {
  const paragraph = make("p", { className: "text", dir: "auto", textContent: hit.text ?? "(no text was kept)" });
  paragraph.lang = hit.language ?? "";
  return paragraph;
}

function folded(hit) {
  const paragraph = text(hit);
  if ((hit.text ?? "").length <= LONG) return [paragraph];
  paragraph.classList.add("long");
  const more = make("button", { type: "button", textContent: "All of it" });
  more.onclick = () => {
    paragraph.classList.remove("long");
    more.remove();
  };
  return [paragraph, more];
}

function details(hit) {
  const list = make("dl");
  const known = { id: hit.id, ...(hit.group === null ? {} : { group: hit.group }), ...hit.fields };
  for (const [name, value] of Object.entries(known)) {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    list.append(make("dt", { textContent: name, className: "quiet" }), make("dd", { textContent: shown, dir: "auto" }));
  }
  return make("details", {}, make("summary", { textContent: "About" }), list);
}

function translations(hit) {
  if (!hit.translations.length) return [];
  const rows = hit.translations.map((each) => make("li", {}, label(each.language ?? NO_LANGUAGE), text(each)));
  const summary = make("summary", { textContent: `${rows.length} more in other languages, or nearly the same` });
  return [make("details", {}, summary, make("ol", {}, ...rows))];
}

function shown(hit, place) {
  const language = hit.language ?? NO_LANGUAGE;
  const about = make("div", { className: "about" }, `${place}`, label(language), hit.score.toFixed(3));
  const item = make("li", { className: "hit", tabIndex: -1 }, about, ...folded(hit), ...translations(hit), details(hit));
  return coloured(item, language);
}

function column(name, found) {
  const section = make("section", { ariaLabel: name }, make("h2", { textContent: name }));
  if (found.hits.length) section.append(bar(sharesOf(found.hits)));
  if (found.note) section.append(make("p", { className: "quiet note", textContent: found.note, dir: "auto" }));
  section.append(make("ol", {}, ...found.hits.map((hit, at) => shown(hit, at + 1))));
  return section;
}

// --- asking

const checked = (id) => [...byId(id).querySelectorAll("input:checked")];

function wish(mix) {
  const languages = checked("languages").map((box) => box.value);
  const reader = byId("reader").value || null;
  return {
    query: byId("query").value,
    limit: Number(byId("limit").value),
    languages: languages.length ? languages : null,
    language: reader,
    mix,
    prefer_own_language: reader && byId("prefer").checked ? NEAR : null,
    collapse: byId("collapse").checked,
  };
}

async function search() {
  if (!byId("query").value.trim()) return;
  running?.abort(); // frees its place on the server
  running = new AbortController();
  const { signal } = running;
  const mixes = checked("mixes");
  if (!mixes.length) return say("Choose how languages share a list, at least one way.", true);
  history.replaceState(null, "", `#${new URLSearchParams({ q: byId("query").value, mix: mixes.map((box) => box.value) })}`);
  say("Searching …");
  const began = performance.now();
  try {
    const found = await Promise.all(mixes.map((box) => ask("search", wish(box.value), signal)));
    const columns = mixes.map((box, at) => column(box.parentElement.textContent.trim(), found[at]));
    byId("results").replaceChildren(...columns);
    const cut = found[0].query_truncated ? " The model did not read the question to its end." : "";
    say(`${found[0].hits.length} hits in ${((performance.now() - began) / 1000).toFixed(2)} s.${cut}`);
    await refresh();
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  }
}

// --- the languages of the corpus, and of what was shown

async function refresh() {
  const { rows, corpus, mixes } = await ask("languages");
  if (!Object.keys(hues).length) prepare(rows, corpus);
  const row = (title, shares) => make("div", {}, make("p", { className: "figure", textContent: title }), bar(shares));
  const panel = [row("The corpus", corpus)];
  const title = (mix) => byId("mixes").querySelector(`[value="${CSS.escape(mix)}"]`)?.parentElement.textContent.trim() ?? mix;
  for (const [mix, { questions, shown, bias }] of Object.entries(mixes)) {
    const figure = bias === null ? "" : `, bias ${bias.toFixed(2)}`;
    panel.push(row(`${title(mix)}: ${questions} ${questions === 1 ? "question" : "questions"}${figure}`, shown));
  }
  byId("panel").replaceChildren(...panel);
}

function prepare(rows, corpus) {
  const languages = Object.keys(corpus).filter((language) => language !== NO_LANGUAGE);
  hues = Object.fromEntries(languages.map((language, n) => [language, Math.round((n * 137.5 + 210) % 360)]));
  if (NO_LANGUAGE in corpus) hues[NO_LANGUAGE] = 0;
  byId("corpus").textContent = `${rows.toLocaleString("en")} texts in ${languages.length} languages`;
  for (const language of languages) {
    const box = make("input", { type: "checkbox", value: language, ariaLabel: nameOf(language) });
    byId("languages").append(coloured(make("label", { className: "chip language", title: nameOf(language) }, box, language), language));
    byId("reader").append(make("option", { value: language, textContent: nameOf(language) }));
  }
}

function moveAmongHits(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const hit = document.activeElement.closest?.(".hit") ?? null;
  const typing = document.activeElement.matches?.("input:not([type=checkbox]), select");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("query").focus();
  } else if (step && (hit || document.activeElement === byId("query"))) {
    const hits = [...document.querySelectorAll(".hit")];
    const next = hit ? hits[hits.indexOf(hit) + step] : hits[0];
    if (!next && step > 0) return;
    event.preventDefault();
    (next ?? byId("query")).focus();
  }
}

async function start() {
  const given = new URLSearchParams(location.hash.slice(1));
  byId("query").value = given.get("q") ?? "";
  const mixes = given.get("mix")?.split(",");
  for (const box of byId("mixes").querySelectorAll("input")) if (mixes) box.checked = mixes.includes(box.value);
  try {
    await refresh();
    await search();
  } catch (error) {
    say(error.message, true);
  }
}

byId("form").onsubmit = (event) => {
  event.preventDefault();
  search();
};
byId("form").onchange = (event) => {
  if (event.target === byId("key")) start();
  else if (event.target !== byId("query")) search();
};
document.addEventListener("keydown", moveAmongHits);
setInterval(() => document.hidden || refresh().catch(() => {}), 10_000);
byId("query").focus();
start();
