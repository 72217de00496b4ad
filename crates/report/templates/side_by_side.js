"use strict";
(() => {
  // Each file is on the page once; this puts two of them level with each other.
  const source = document.getElementById("reading-data");
  if (source === null) return;
  const data = JSON.parse(source.textContent);
  const part = (name) => document.getElementById(`reading-${name}`);
  const files = [...document.querySelectorAll("#reading-files details")];
  const [workload, left, right] = ["workload", "left", "right"].map(part);

  const distinct = (key) => [...new Set(files.map((file) => file.dataset[key]))];
  const fileOf = (model) => files.find((file) =>
    file.dataset.workload === workload.value && file.dataset.model === model);

  // No element is on two lines, and whatever was text is escaped again here.
  const linesOf = (file) => file.querySelector("pre").innerHTML.split("\n");

  const line = (kind, from) => {
    const made = document.createElement(kind === "same" || kind === "gap" ? "span" : "mark");
    if (from === undefined) made.ariaHidden = "true";
    else made.innerHTML = from;
    if (kind !== "same" && kind !== "other") made.className = kind;
    return made;
  };

  // Steps are kept for one direction; the other is its mirror.
  const stepsOf = (of, one, other) => {
    if (one === other) return [linesOf(fileOf(one)).length];
    const straight = of.steps[`${one} ${other}`];
    if (straight !== undefined) return straight;
    return of.steps[`${other} ${one}`].map((step) => Array.isArray(step) ? [step[1], step[0]] : step);
  };

  const columns = (steps, texts) => {
    const made = [[], []];
    const at = [0, 0];
    let differ = 0;
    for (const step of steps) {
      const numbers = Array.isArray(step) ? step : [step, step];
      if (Array.isArray(step)) differ += step[0] + step[1];
      for (let row = 0; row < Math.max(...numbers); row += 1) {
        for (const side of [0, 1]) {
          const there = row < numbers[side];
          const both = row < Math.min(...numbers);
          const kind = !Array.isArray(step) ? "same" : !there ? "gap" : both ? "other" : "only";
          made[side].push(line(kind, there ? texts[side][at[side]] : undefined));
          if (there) at[side] += 1;
        }
      }
    }
    return { made, differ };
  };

  const cell = (kind, text, name) => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (name !== undefined) made.className = name;
    return made;
  };

  const rows = (job, models) => models.map((model, place) => {
    const row = document.createElement("tr");
    const head = cell("th", place === 0 ? job.label : "");
    if (place === 0) head.scope = "row";
    const figures = job.figures[model] ?? ["-", "-", "-"];
    const [one, other] = models;
    const verdict = one === other ? "" : job.verdicts[`${one} ${other}`] ?? job.verdicts[`${other} ${one}`] ?? "";
    row.append(place === 0 ? head : cell("td", ""), cell("td", model, "text"), ...figures.map((text) => cell("td", text)),
      cell("td", place === 0 ? verdict : "", "text"));
    return row;
  });

  const show = () => {
    const of = data[workload.value];
    const models = [left.value, right.value];
    const [one, other] = models.map(fileOf);
    const texts = [one, other].map(linesOf);
    const { made, differ } = columns(stepsOf(of, ...models), texts);
    ["left", "right"].forEach((side, at) => {
      part(`${side}-text`).replaceChildren(...made[at]);
      part(`${side}-head`).textContent = [one, other][at].querySelector("summary").textContent;
    });
    const all = texts[0].length + texts[1].length;
    part("summary").textContent = `${differ} of ${all} lines differ. They are marked: | where something else stands in their place, + where nothing does.`;
    part("figures").replaceChildren(...of.jobs.flatMap((job) => rows(job, models)));
  };

  const choices = (select, names) => select.replaceChildren(...names.map((name) => new Option(name)));
  choices(workload, distinct("workload"));
  const models = distinct("model");
  choices(left, models);
  choices(right, models);
  // The two that the article's readers know: threads, and an event loop.
  if (models.includes("thread")) left.value = "thread";
  right.value = models.includes("tokio") ? "tokio" : models.at(-1);

  for (const select of [workload, left, right]) select.addEventListener("change", show);
  part("form").addEventListener("submit", (event) => event.preventDefault());
  show();
  part("form").hidden = false;
  document.getElementById("reading").hidden = false;
})();
