"use strict";
(() => {
  // Every answer is on the page; this shows the one that was asked for.
  const form = document.getElementById("choose-form");
  const all = document.getElementById("choose-all");
  if (all === null || all.querySelector(".question") === null) return;
  const [kind, scale, by] = ["kind", "scale", "by"].map((name) => document.getElementById(`choose-${name}`));
  const result = document.getElementById("choose-result");

  const ofKind = () => all.querySelector(`[data-kind="${CSS.escape(kind.value)}"]`);

  const question = () => ofKind().querySelectorAll(".question")[scale.value];

  // A job at a rate is ranked by its latency, and others by their time: the first of a list.
  const figures = () => {
    const names = [...question().querySelectorAll("[data-by]")].map((part) => part.dataset.by);
    const kept = Math.max(names.indexOf(by.value), 0);
    by.replaceChildren(...names.map((name) => new Option(name)));
    by.selectedIndex = kept;
  };

  const scales = () => {
    const questions = ofKind().querySelectorAll(".question > summary");
    scale.replaceChildren(...[...questions].map((question, at) => new Option(question.textContent, at)));
    figures();
  };

  const show = () => {
    const ranking = question().querySelector(`[data-by="${CSS.escape(by.value)}"]`);
    const notes = [...question().children].filter((part) => part.matches("p"));
    const parts = [ranking, ...notes, ...ofKind().querySelectorAll(".curve")];
    result.replaceChildren(...parts.map((part) => part.cloneNode(true)));
  };

  kind.addEventListener("change", () => { scales(); show(); });
  scale.addEventListener("change", () => { figures(); show(); });
  by.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  scales();
  show();
  form.hidden = false;
  result.hidden = false;
})();
