"use strict";
(() => {
  // Heads of tables become buttons that sort: up, down, and as it was.
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (cell === undefined) return { number: null, text: "" };
    const { key } = cell.dataset;
    return { number: key === undefined ? null : Number(key), text: cell.textContent };
  };

  // Rows without a figure come last, up or down.
  const compare = (one, other, sign) => {
    if (one.number !== null && other.number !== null) return sign * (one.number - other.number);
    if (one.number !== null) return -1;
    if (other.number !== null) return 1;
    return sign * one.text.localeCompare(other.text, "en", { numeric: true });
  };

  const sort = (body, original, column, direction) => {
    const rows = [...original];
    if (direction !== "none") {
      const sign = direction === "ascending" ? 1 : -1;
      const keys = new Map(rows.map((row) => [row, keyOf(row, column)]));
      rows.sort((one, other) => compare(keys.get(one), keys.get(other), sign));
    }
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const direction = NEXT[head.ariaSort ?? "none"];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (direction !== "none") head.setAttribute("aria-sort", direction);
        sort(body, original, column, direction);
      });
    });
  }

  // What the matrix shows is in the page's address: #glance/memory/heavy.
  const chosen = (name) => document.querySelector(`.glance input[name=${name}]:checked`)?.value;

  const choose = (name, value) => {
    for (const input of document.querySelectorAll(`.glance input[name=${name}]`)) {
      if (input.value === value) input.checked = true;
    }
  };

  const restore = () => {
    const [part, figure, preset] = location.hash.slice(1).split("/");
    if (part !== "glance" || figure === undefined) return;
    choose("figure", figure);
    if (preset !== undefined) choose("preset", preset === "both" ? "" : preset);
    document.getElementById("glance").scrollIntoView();
  };

  document.querySelector(".glance")?.addEventListener("change", () => {
    const preset = chosen("preset");
    const parts = ["#glance", chosen("figure")];
    if (preset !== undefined) parts.push(preset === "" ? "both" : preset);
    history.replaceState(null, "", parts.join("/"));
  });
  addEventListener("hashchange", restore);
  restore();

  // The navigation marks the part that is in view.
  const bar = document.querySelector("nav ul");
  const links = new Map();
  for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);

  const show = (link) => {
    for (const other of links.values()) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    const [box, own] = [bar.getBoundingClientRect(), link.getBoundingClientRect()];
    bar.scrollLeft += own.left - box.left - (box.width - own.width) / 2;
    bar.scrollTop += own.top - box.top - (box.height - own.height) / 2;
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) show(links.get(entry.target.id));
    }
  }, { rootMargin: "-15% 0px -80% 0px" });
  for (const id of links.keys()) {
    const part = document.getElementById(id);
    if (part !== null) seen.observe(part);
  }

  // On paper, everything is unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
