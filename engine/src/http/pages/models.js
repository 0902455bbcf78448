// Draws the models of /v1/status. Everything is text in elements with classes: the page allows no style in its markup.
"use strict";

const EVERY_MS = 2000;

const at = (id) => document.getElementById(id);

function add(parent, name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

const count = (value) => value.toLocaleString("en");
const percent = (share) => (100 * share).toFixed(2) + " %";

function number(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function bytes(value) {
  if (!value) return "–";
  return value < 1 << 20 ? (value / 1024).toFixed(1) + " KiB" : (value / (1 << 20)).toFixed(1) + " MiB";
}

// `classes` has a class for each name that has one.
function head(table, names, classes = {}) {
  const row = add(add(table, "thead"), "tr");
  for (const name of names) add(row, "th", name, classes[name]).scope = "col";
  return add(table, "tbody");
}

function versions(card, model) {
  const body = head(add(add(card, "div", undefined, "scroll"), "table"), ["version", "state", "is", "memory", "SHA-256"], { memory: "number", "SHA-256": "sha" });
  for (const version of [...model.versions].reverse()) {
    const row = add(body, "tr");
    add(row, "td", version.version);
    add(row, "td", version.state, version.state);
    const marks = add(row, "td");
    for (const [alias, of] of Object.entries(model.aliases)) {
      if (of === version.version) add(marks, "span", alias, alias === "champion" ? "mark champion" : "mark");
    }
    if (model.shadow && model.shadow.version === version.version) add(marks, "span", "shadow", "mark");
    add(row, "td", bytes(version.bytes), "number");
    add(row, "td", version.sha256 ? version.sha256.slice(0, 12) : "–", "sha");
    if (version.reason) add(add(body, "tr"), "td", version.reason, "reason").colSpan = 5;
  }
}

function decisions(card, model) {
  const shares = Object.entries(model.split || {});
  if (shares.length) {
    const rest = 100 - shares.reduce((sum, [, share]) => sum + share, 0);
    const parts = [...shares, ["champion", rest]].map(([alias, share]) => `${alias} ${number(share)} %`);
    add(card, "p", `Leads are split: ${parts.join(", ")}`, "note");
  }
  if (model.shadow) {
    add(card, "p", `Version ${model.shadow.version} scores ${percent(model.shadow.share)} of the champion's leads beside it`, "note");
  }
  const back = model.rolled_back;
  if (back) {
    const when = new Date(back.at_unix_s * 1000).toLocaleString("en");
    add(card, "p", `Version ${back.from} was taken back by itself on ${when}: after ${count(back.rows)} rows its predictions were `
      + `too far from those of version ${back.to} (PSI ${number(back.prediction_psi)})`, "alert");
  }
}

// How dark a cell is: by its share of the row that it is in.
function heat(value, all) {
  const share = all ? value / all : 0;
  return share <= 0 ? "" : share < 0.05 ? "h1" : share < 0.25 ? "h2" : share < 0.6 ? "h3" : "h4";
}

function bands(card, report) {
  if (report.band_agreement === null) return;
  add(card, "h3", "Scores: the champion's down, the shadow's across");
  const table = add(add(card, "div", undefined, "scroll"), "table", undefined, "bands");
  const body = head(table, ["", "1", "2", "3", "4", "5"]);
  report.bands.forEach((row, champion) => {
    const all = row.reduce((sum, more) => sum + more, 0);
    const line = add(body, "tr");
    add(line, "th", String(champion + 1)).scope = "row";
    row.forEach((rows, shadow) => {
      const crosses = (champion >= 3) !== (shadow >= 3) && rows > 0;
      const cell = add(line, "td", count(rows), [heat(rows, all), champion === shadow ? "same" : crosses ? "crosses" : ""].join(" ").trim());
      cell.title = `${count(rows)} of ${count(all)} rows that the champion scores ${champion + 1} get ${shadow + 1}`;
    });
  });
  add(card, "p", `${percent(report.band_agreement)} agree. ${count(report.moved_down)} rows move from 4-5 to 1-3, ${count(report.moved_up)} from 1-3 to 4-5 (dashed).`, "note");
}

function shadow(card, report) {
  add(card, "h3", `Version ${report.version} beside the champion`);
  const box = add(card, "div", undefined, "verdict " + report.verdict);
  add(box, "b", "May it be promoted? " + { yes: "Yes", look_first: "Look first", no: "No" }[report.verdict]);
  const reasons = add(box, "ul");
  for (const { reason } of report.reasons) add(reasons, "li", reason);
  const list = add(card, "dl");
  for (const [name, value] of [
    ["rows", count(report.rows)], ["not scored in time", count(report.dropped)], ["errors", count(report.errors)],
    ["mean difference", number(report.mean_abs_difference)], ["largest", number(report.max_abs_difference)],
    ["PSI", number(report.prediction_psi)],
  ]) {
    const fact = add(list, "div");
    add(fact, "dt", name);
    add(fact, "dd", value);
  }
  bands(card, report);
  add(card, "p", "With outcomes: quintile replay --scores … --model … --outcomes … also compares how well both rank leads.", "note");
}

function draw(status) {
  const main = at("models");
  const served = status.models;
  main.replaceChildren();
  if (!served) {
    add(main, "p", `One model is served, ${status.model.name} ${status.model.version}. With models.store there are several, and this page lists them.`);
    return;
  }
  add(main, "p", `${bytes(served.memory.bytes)} of ${bytes(served.memory.bytes_max)} are in use by loaded models.`, "note");
  for (const model of served.models) {
    const card = add(main, "section", undefined, "model");
    add(card, "h2", model.name === served.default ? `${model.name} (POST /score)` : model.name);
    versions(card, model);
    decisions(card, model);
    if (served.shadows[model.name]) shadow(card, served.shadows[model.name]);
  }
}

async function look() {
  try {
    const answer = await fetch("v1/status", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    draw(await answer.json());
    at("live").className = "up";
    at("live").textContent = "live";
  } catch {
    at("live").className = "down";
    at("live").textContent = "does not answer";
  }
}

async function run() {
  if (!document.hidden) await look();
  setTimeout(run, EVERY_MS);
}

run();
