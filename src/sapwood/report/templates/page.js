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
    const [, property, strength] = /^(--[a-z0-9-]+)(?: (\d+)%)?$/.exec(name);
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

  // What the pointer shows, the keyboard shows too: the arrow keys go from one thing that can be read to the next.
  function points(trace, curve) {
    const told = (...at) => at.reduce((texts, place) => texts?.[place], trace.text ?? trace.hovertext);
    if (trace.z) return trace.z.flatMap((row, y) => row.map((_, x) => ({ curve, at: [y, x], text: told(y, x) })));
    return Array.from(trace.x, (x, at) => ({ curve, at, x, text: told(at) })).filter(({ x }) => x !== null);
  }

  function stops({ data, layout }) {
    const across = layout.hovermode.startsWith("x");
    const found = data.map((trace, curve) => (trace.hoverinfo === "skip" ? [] : points(trace, curve)));
    const listed = across ? found.at(-1) : found.flat();
    return listed
      .filter(({ text }, at) => text === undefined || text !== listed[at - 1]?.text)
      .map(({ curve, at, x }) => (across ? { xval: x, yval: 0 } : [{ curveNumber: curve, pointNumber: at }]));
  }

  function walk(target) {
    let place = -1;
    target.tabIndex = 0;
    target.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const places = stops(target);
      place = Math.min(Math.max(place + step, 0), places.length - 1);
      Plotly.Fx.hover(target, places[place], "xy");
    });
    target.addEventListener("blur", () => Plotly.Fx.unhover(target));
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
  for (const { target } of figures) walk(target);
})();
