// The page: all markets in a table, one series as a chart, and in words whatever is amiss.

import { Around } from "./around.js";
import { Chart } from "./chart.js";
import { Head } from "./head.js";
import { keep, recall } from "./keep.js";
import { keyOf, nameOf, named, rowOf } from "./markets.js";
import { Newest } from "./newest.js";
import { One } from "./one.js";
import { Overlays } from "./overlays.js";
import { Pause, Refused, get, hasToken, keepToken } from "./service.js";
import { Table } from "./table.js";
import { TIMEFRAMES, decimals, duration, price, reasonOf, sentence, troubles } from "./words.js";
import { Zone } from "./zone.js";

const LOOK_MS = 2_000;
const LOOK_UNSEEN_MS = 15_000; // while nobody sees the page
const TICK_MS = 1_000; // the age of the last price

const $ = (id) => document.getElementById(id);

let told = null; // the newest answer of /api/v1/series
let listedOf = null; // the one that the table shows
let toldAt = 0; // when that came, by performance.now()
let goneSince = null; // a Date while the service does not answer
let refused = null; // why it does not tell
let one = null; // the chosen series
let drawn = null; // the one that the chart shows
let pointed = null; // the open time that is read out; null: the newest
let keyed = false; // that one was chosen by key: the pointer, which may be anywhere, has no say then
let drawing = false;
const digitsOf = new Map(); // by name
const look = new Pause();
const zone = new Zone(recall("zone") === "local");
const table = new Table($("markets"), $("filter"), $("hidden-rows"), zone);
const head = new Head($("filter"), () => intoView($("all")));
const around = new Around(() => {
  listedOf = null;
  soon();
});
const newest = new Newest($("newest"), $("opened"), soon);
const overlays = new Overlays({ averages: $("averages"), macd: $("macd") }, $("overlays-note"), $("legend"), overlay);
const chart = makeChart();

function makeChart() {
  if (window.LightweightCharts) return new Chart($("chart"), $("legend"), zone, (time) => keyed || point(time));
  instead(
    "There is no chart: the package litecharts, which brings the drawing library, is not installed where livecache runs. " +
      "It comes with pip install 'livecache[service]'. The candles are in the table below.",
  );
  $("newest").open = true;
  $("legend").hidden = $("attribution").hidden = true;
  return null;
}

/** A text in the place of the chart. */
function instead(text) {
  const note = document.createElement("p");
  note.className = "instead";
  note.textContent = text;
  $("chart").replaceChildren(note);
  for (const name of ["role", "tabindex", "aria-describedby"]) $("chart").removeAttribute(name);
}

// --- what the service tells

async function watchAll() {
  for (;;) {
    try {
      told = await get("api/v1/series");
      told.series = named(told.series, told.venues);
      toldAt = performance.now();
      if (goneSince || refused) one?.wake();
      goneSince = refused = null;
      look.succeeded();
      if (!one && told.series.length) choose();
      if (!document.hidden) around.look(told.series);
      soon();
      await look.for(document.hidden ? LOOK_UNSEEN_MS : LOOK_MS);
    } catch (error) {
      refused = error instanceof Refused ? error : null;
      goneSince = refused ? null : (goneSince ?? new Date());
      soon();
      await look.afterFailure();
    }
  }
}

/** Follow the series that the address names, `#BTC-USD/5m` or `#coinbase:BTC-USD/5m`; else the last one that was looked at; else the first. */
function choose() {
  if (!told) return;
  const key = location.hash.slice(1);
  const slash = key.lastIndexOf("/"); // a symbol may hold some
  let row = rowOf(told.series, key);
  if (row) {
    keep("series", keyOf(row));
  } else if (!(key.slice(slash + 1) in TIMEFRAMES)) {
    if (!told.series.length) return;
    row = rowOf(told.series, recall("series")) ?? told.series[0];
    history.replaceState(null, "", `#${keyOf(row)}`);
  }
  const [name, timeframe] = row ? [nameOf(row), row.timeframe] : [key.slice(0, slash), key.slice(slash + 1)];
  if (one && one.name === name && one.timeframe === timeframe) return;
  one?.stop();
  one = new One(name, timeframe, soon, () => {
    look.wake(); // Is the service there at all?
    soon();
  });
  pointed = null;
  keyed = false;
  table.choose(one);
  one.follow();
  soon();
}

function tryAgain() {
  if (document.hidden) return;
  look.wake();
  if (!one?.live) one?.wake();
}

// --- what is seen

/** Draw before the next frame, once, however much there is to tell. */
function soon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  drawTroubles();
  document.querySelector("main").hidden = !told;
  if (told) drawAll();
  if (told && one) drawOne();
}

function drawTroubles() {
  const asks = needsToken();
  const amiss = troubles({ goneSince, refused: asks ? null : refused, unstreamed: one?.refused ?? null, told, zone });
  if (asks && $("login").hidden === false && hasToken()) amiss.push({ kind: "bad", text: "That is not the token." });
  const asked = asks && $("login").hidden;
  $("login").hidden = !asks;
  if (asked) $("token").focus();
  const shown = [...$("troubles").children].map((line) => line.textContent).join("\n");
  if (shown !== amiss.map(({ text }) => text).join("\n")) {
    $("troubles").replaceChildren(
      ...amiss.map(({ kind, text }) => {
        const line = document.createElement("p");
        line.className = "trouble";
        line.dataset.kind = kind;
        line.textContent = text;
        return line;
      }),
    );
  }
  const [kind, words] = standing();
  $("connection").dataset.kind = kind;
  set($("connection"), words);
}

function needsToken() {
  return refused?.status === 401;
}

/** Whether what is shown is live, and in two words why not. */
function standing() {
  if (goneSince) return ["gone", "no answer"];
  if (needsToken()) return ["waiting", "needs the token"];
  if (!one?.live) return ["waiting", told && one?.refused ? "not live" : "connecting"];
  const row = chosenRow();
  if (row?.state === "stale" || row?.state === "unknown") return ["gone", row.state];
  if (row?.state === "halted") return ["waiting", "halted"];
  if (row?.feed === "up") return ["live", "live"];
  if (row?.feed === "none" && row.state === "ready") return ["live", "without a feed"];
  return ["waiting", row?.state === "warming" ? "warming up" : "feed down"];
}

function drawAll() {
  drawHeard();
  head.tell(around.who, around.age);
  if (told === listedOf) return;
  listedOf = told;
  for (const row of told.series) if (row.last !== null) learn(nameOf(row), decimals(row.last));
  const rows = told.series.map((row) => (one && keyOf(row) === keyOf(one) ? rowOfOne(row) : row));
  table.show(rows, told.venues ?? [], around.courses, digits);
  head.show(rows);
  drawHeard();
}

/** What the chosen symbol trades at may have been heard since all of them were looked at. */
function drawHeard() {
  if (one?.heard && one.heard.at > toldAt) table.trade(one.name, one.heard.price);
}

/** The chosen series' row: from the stream or from the table, whichever is newer; its price from the stream. */
function rowOfOne(row) {
  if (!one.row) return row;
  const { last, last_time } = one.row;
  return row && toldAt > one.toldAt ? { ...row, last, last_time } : one.row;
}

function chosenRow() {
  return rowOfOne(told?.series.find((row) => keyOf(row) === keyOf(one)) ?? null);
}

function drawOne() {
  const { buckets, name, timeframe } = one;
  const row = chosenRow();
  learn(name, buckets.digits);
  set($("chosen"), `${name} ${timeframe}`);
  set($("state"), row?.state ?? "");
  $("state").dataset.state = row?.state ?? "";
  const reason = (row && reasonOf(row, zone)) || (one.failed?.message ?? "");
  $("reason").hidden = !reason;
  set($("reason"), reason);
  const last = row?.last === null || row === null ? "" : price(row.last, digits(name));
  set($("last"), last);
  drawAge();
  const [standsAs, words] = standing();
  const title = `${last} ${name} ${timeframe} · livecache`.trim();
  set(document.querySelector("title"), standsAs === "live" ? title : `(${words}) ${title}`);
  drawTimeframes();

  const anew = drawn !== one && buckets.loaded;
  const list = buckets.list();
  chart?.show(list, { digits: digits(name), step: buckets.step, anew });
  if (anew) {
    drawn = one;
    tell(`${name} ${timeframe}: ${row?.state ?? ""}, last price ${last}`);
  }
  const failed = row?.state === "warming" ? null : one.failed; // else there is nothing amiss yet
  const past = goneSince || refused || failed || row?.state === "stale" || row?.state === "unknown";
  $("chart").classList.toggle("past", Boolean(past));
  $("last").classList.toggle("past", Boolean(past));
  if (chart) {
    drawNote(list, past, failed || one.refused || row?.state === "unknown");
    const span = list.length ? `${list.length} buckets, ${zone.time(list[0].time)} to ${zone.text(list.at(-1).time)}` : "empty";
    $("chart").ariaLabel = `${name} ${timeframe}, candlestick chart: ${span}`;
  }
  overlays.show(list, buckets.loaded);
  drawReadout(list);
  newest.show(list, digits(name), zone);
}

/** How old the last price is: since it was heard; else no more is known than its bucket. */
function drawAge() {
  const row = one && chosenRow();
  if (!row || row.last === null) {
    set($("age"), "");
    return;
  }
  const { heard } = one;
  const known = heard && heard.price === row.last && heard.time === row.last_time;
  set($("age"), known ? `${duration(performance.now() - heard.at)} ago` : `in the bucket of ${zone.text(row.last_time)}`);
}

/** In the chart: why there is nothing, or that it is of the past. */
function drawNote(list, past, refusal) {
  const nothing = refusal ? "No candles can be shown" : "No candles yet";
  const text = list.length ? (past ? "not current" : "") : nothing;
  $("note").hidden = !text;
  set($("note"), text);
}

function drawTimeframes() {
  const there = told.series.filter((row) => nameOf(row) === one.name);
  const nav = $("timeframes");
  if ([...nav.children].map((link) => link.hash).join() !== there.map((row) => `#${keyOf(row)}`).join()) {
    nav.replaceChildren(
      ...there.map((row) => {
        const link = document.createElement("a");
        link.href = `#${keyOf(row)}`;
        link.textContent = row.timeframe;
        return link;
      }),
    );
  }
  for (const link of nav.children) {
    if (link.textContent === one.timeframe) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function drawReadout(list) {
  const bucket = list.find(({ time }) => time === pointed) ?? list.at(-1);
  set($("readout"), bucket ? sentence(bucket, digits(one.name), zone) + overlays.words(list, bucket, digits(one.name)) : "");
}

function point(time) {
  pointed = time;
  if (one) drawReadout(one.buckets.list());
}

/** Have a screen reader say it: for what somebody asked for, never for what happens by itself. */
function tell(text) {
  $("told").textContent = text;
}

/** Each price of a symbol is shown with as many digits as the longest one needed. */
function learn(name, count) {
  digitsOf.set(name, Math.max(count, digits(name)));
}

function digits(name) {
  return digitsOf.get(name) ?? 0;
}

/** On a phone the chart is above the table. */
function intoView(section) {
  const { top } = section.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) section.scrollIntoView();
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// --- what people do

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  tryAgain();
});

$("chart").addEventListener("keydown", (event) => {
  if (!chart || !one) return;
  const list = one.buckets.list();
  if (!list.length) return;
  const found = list.findIndex(({ time }) => time === pointed);
  const at = found < 0 ? list.length : found;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: list.length - 1, Escape: null }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const index = to === null ? null : Math.min(Math.max(to, 0), list.length - 1);
  keyed = index !== null;
  chart.point(index);
  point(keyed ? list[index].time : null);
  tell(index === null ? "" : $("readout").textContent);
});

$("chart").addEventListener("blur", () => {
  if (!keyed) return;
  keyed = false;
  chart.point(null);
  point(null);
});

function overlay() {
  const { averages, macd } = overlays.wanted;
  $("chart").classList.toggle("taller", macd);
  $("readout").classList.toggle("longer", averages || macd);
  chart?.overlay(overlays.wanted);
  soon();
}

$("zone").value = zone.local ? "local" : "";
$("zone").addEventListener("change", () => {
  zone.local = $("zone").value === "local";
  keep("zone", $("zone").value);
  chart?.retime(zone);
  table.retell();
  soon();
});

$("markets").addEventListener("click", (event) => {
  if (event.target.closest("a, .dot")) intoView($("one"));
});
addEventListener("hashchange", choose);
addEventListener("online", tryAgain);
document.addEventListener("visibilitychange", tryAgain);

const recolour = () => chart?.recolour();
new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

overlay();
setInterval(drawAge, TICK_MS);
watchAll();
