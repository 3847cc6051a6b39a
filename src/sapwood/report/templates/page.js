"use strict";

// Draws the figures whose JSON the page holds, in the colours of its style sheet: `--accent 60%` in a figure is that
// much of the custom property over the paper. Light, dark and printed pages differ in nothing else.
(() => {
  const figures = Array.from(document.querySelectorAll("script[data-plot]"), (script) => ({
    target: document.getElementById(script.dataset.plot),
    figure: JSON.parse(script.textContent),
  }));
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false, showTips: false };

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function color(name, style) {
    const [, property, strength] = /^(--[a-z-]+)(?: (\d+)%)?$/.exec(name);
    const ink = channels(style.getPropertyValue(property).trim());
    const paper = channels(style.getPropertyValue("--paper").trim());
    const share = strength === undefined ? 1 : strength / 100;
    return `rgb(${ink.map((value, at) => Math.round(value * share + paper[at] * (1 - share))).join(", ")})`;
  }

  function resolve(value, key, style) {
    if (typeof value === "string") return /color$/.test(key) && value.startsWith("--") ? color(value, style) : value;
    if (Array.isArray(value)) return value.map((item) => resolve(item, key, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolve(item, name, style)]));
  }

  function draw(width) {
    const style = getComputedStyle(document.documentElement);
    const family = getComputedStyle(document.body).fontFamily;
    for (const { target, figure } of figures) {
      const { data, layout } = resolve(figure, "", style);
      layout.font.family = layout.hoverlabel.font.family = family;
      Plotly.react(target, data, { ...layout, width }, config);
    }
  }

  const closed = [];

  addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "";
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      closed.push(details);
    }
    draw(660); // the width of A4 between its margins
  });

  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    for (const details of closed.splice(0)) details.open = false;
    draw();
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  draw();
})();
