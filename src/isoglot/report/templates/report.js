"use strict";

// Plots: every figure holds a Vega-Lite specification, drawn in the colours of the reader's scheme. Specifications are
// read without evaluating code (`ast`), so the page's policy can forbid that.
const SMALLEST = 0.65; // of a plot's own size, below which it scrolls rather than shrinks
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function plotConfig() {
  const text = { color: "currentColor" };
  const label = { labelColor: "currentColor", titleColor: "currentColor" };
  return {
    aria: true,
    background: null,
    font: "system-ui, 'Noto Sans', sans-serif",
    view: { stroke: null },
    mark: { aria: false },
    axis: { ...label, aria: false, gridColor: "currentColor", gridOpacity: 0.13, domainColor: "currentColor",
      tickColor: "currentColor", domainOpacity: 0.4, tickOpacity: 0.4, labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", labelLimit: 160 },
    axisBand: { grid: false },
    axisQuantitative: { labelOverlap: "greedy", labelSeparation: 8 },
    legend: { ...label, aria: false, labelFontSize: 12 },
    title: { ...text, anchor: "start", fontSize: 13, aria: false },
    header: { ...label, labelFontSize: 13, labelFontWeight: 600, labelAnchor: "start", labelLimit: 300 },
    bar: { color: dark.matches ? "#5b97d8" : "#3873b3" },
    range: dark.matches
      ? {
          heatmap: ["#1c2a3c", "#20507f", "#2f7fb5", "#67b5d6", "#c8ebf4"],
          diverging: ["#ff9a5c", "#a4542a", "#262b31", "#2c6fae", "#7fc0ff"],
          category: ["#86a9d4", "#4fc98b", "#ff8f66", "#b7bec6", "#c39be8"],
        }
      : {
          heatmap: ["#f1f6fb", "#c2dbee", "#79b2d9", "#3079b5", "#0d3f74"],
          diverging: ["#a8420a", "#ee9a62", "#f5f5f5", "#74abdb", "#15549a"],
          category: ["#2f66ad", "#157347", "#b8400f", "#69727b", "#7b4ab0"],
        },
  };
}

async function drawPlots() {
  for (const figure of document.querySelectorAll("figure")) {
    const place = figure.querySelector(".plot");
    const spec = JSON.parse(figure.querySelector(".spec").textContent);
    try {
      await vegaEmbed(place, spec, {
        mode: "vega-lite",
        renderer: "svg",
        ast: true,
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        defaultStyle: false,
        downloadFileName: "isoglot-plot",
        tooltip: { disableDefaultStyle: true },
        config: plotConfig(),
      });
      const drawing = place.querySelector("svg.marks");
      drawing.style.minWidth = `${SMALLEST * drawing.getAttribute("width")}px`;
    } catch (error) {
      place.textContent = "This plot could not be drawn; its figures are in the table below.";
      console.error(error);
    }
  }
}

// Questions: search, choose, ask the same in another language. `#q=ID` in the address chooses a question.
function make(name, properties = {}, ...content) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...content);
  return node;
}

class Explorer {
  constructor(section, data) {
    this.section = section;
    this.data = data;
    this.tags = Object.keys(data.languages).sort();
    this.search = section.querySelector(".search");
    this.language = section.querySelector(".language");
    this.list = section.querySelector(".questions");
    this.search.addEventListener("input", () => this.filter());
    this.language.addEventListener("change", () => this.filter());
    this.list.addEventListener("change", () => this.show(Number(this.list.value), true));
    this.filter();
  }

  find(id) {
    return this.data.queries.findIndex((query) => query.id === id);
  }

  filter() {
    const words = this.search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const fits = (query) =>
      (!this.language.value || query.language === this.language.value) &&
      words.every((word) => `${query.text} ${query.id}`.toLocaleLowerCase().includes(word));
    const found = this.data.queries.map((query, number) => [query, number]).filter(([query]) => fits(query));
    this.list.replaceChildren(
      ...found.map(([query, number]) =>
        make("option", { value: number, lang: query.language, dir: "auto" }, `${query.text}  (${query.language})`)),
    );
    this.list.value = String(this.chosen ?? "");
    const count = this.section.querySelector(".count");
    count.textContent = found.length ? `${found.length} of ${this.data.queries.length} questions` : "No question has these words.";
  }

  show(number, keep) {
    this.chosen = number;
    const query = this.data.queries[number];
    this.list.value = String(number);
    const asked = this.section.querySelector(".asked");
    asked.replaceChildren(this.chip(query.language), " ", make("bdi", { lang: query.language, dir: "auto" }, query.text));
    this.section.querySelector(".translations").replaceChildren(
      ...this.data.queries
        .map((other, place) => [other, place])
        .filter(([other]) => other.example === query.example)
        .map(([other, place]) => this.button(other, place, place === number)),
    );
    this.section.querySelector(".answers").replaceChildren(
      ...this.data.systems.map((name, system) => this.answers(name, this.data.top[system][number], query)),
    );
    if (keep) history.replaceState(null, "", `#q=${encodeURIComponent(query.id)}`);
  }

  button(query, number, pressed) {
    const button = make("button", { type: "button", title: this.data.languages[query.language] }, query.language);
    button.setAttribute("aria-pressed", String(pressed));
    button.addEventListener("click", () => {
      this.show(number, true);
      this.section.querySelector('.translations [aria-pressed="true"]').focus();
    });
    return button;
  }

  answers(name, top, query) {
    const own = top.filter(([passage]) => this.data.passages[passage][0] === query.language).length;
    const right = top.filter(([, , relevant]) => relevant).length;
    const tally = top.length
      ? `${right} right ${right === 1 ? "answer" : "answers"}, ${own} of ${top.length} in ${this.data.languages[query.language]}`
      : "This system was not asked.";
    return make(
      "section", {},
      make("h4", { dir: "auto" }, name),
      make("p", { className: "tally" }, tally),
      make("ol", {}, ...top.map((entry, place) => this.answer(entry, place + 1))),
    );
  }

  answer([passage, score, relevant], rank) {
    const [language, text] = this.data.passages[passage];
    const about = make("div", { className: "about" }, make("span", { className: "rank" }, `${rank}.`), this.chip(language));
    if (relevant) about.append(make("span", { className: "verdict" }, "✓ right answer"));
    about.append(make("span", { className: "score", title: "score" }, score.toFixed(3)));
    const item = make("li", { className: relevant ? "right" : "" }, about,
      make("p", { className: "text", lang: language, dir: "auto" }, text));
    item.style.setProperty("--hue", this.hue(language));
    return item;
  }

  chip(language) {
    const chip = make("span", { className: "chip", title: this.data.languages[language] }, language);
    chip.style.setProperty("--hue", this.hue(language));
    return chip;
  }

  hue(language) {
    return String(Math.round((this.tags.indexOf(language) * 137.5) % 360));
  }
}

function startExplorers() {
  const explorers = [...document.querySelectorAll(".questions-data")].map(
    (script) => new Explorer(script.parentElement, JSON.parse(script.textContent)),
  );
  const asked = () => {
    try {
      return location.hash.startsWith("#q=") ? decodeURIComponent(location.hash.slice(3)) : null;
    } catch {
      return null; // an address that somebody cut
    }
  };
  const follow = () => {
    const id = asked();
    const explorer = id === null ? undefined : explorers.find((one) => one.find(id) >= 0);
    if (explorer) {
      explorer.show(explorer.find(id), false);
      explorer.section.scrollIntoView();
    }
  };
  for (const explorer of explorers) explorer.show(0, false);
  window.addEventListener("hashchange", follow);
  return follow;
}

const follow = startExplorers();
follow();
drawPlots().then(() => {
  document.documentElement.dataset.plots = "drawn";
  follow(); // what stands above has grown
});
dark.addEventListener("change", drawPlots);
