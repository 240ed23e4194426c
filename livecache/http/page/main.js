// The page: all markets in a table, one series as a chart, and in words whatever is amiss.

import { Around } from "./around.js";
import { Drawer } from "./drawer.js";
import { Head } from "./head.js";
import { keep, recall } from "./keep.js";
import { keyOf, nameOf, named, rowOf } from "./markets.js";
import { One } from "./one.js";
import { Pause, Refused, getAnew, hasToken, keepToken } from "./service.js";
import { Table } from "./table.js";
import { View } from "./view.js";
import { TIMEFRAMES, decimals, troubles } from "./words.js";
import { Zone } from "./zone.js";

const LOOK_MS = 2_000;
const LOOK_UNSEEN_MS = 15_000; // while nobody sees the page

const MOMENT = /@(?=\d{4}-\d\d-\d\d(?:T[\d:]+Z?)?$)/; // ends an address that leads to a day

const $ = (id) => document.getElementById(id);

let told = null; // the newest answer of /api/v1/series
let listedOf = null; // the one that the table shows
let toldAt = 0; // when that came, by performance.now()
let goneSince = null; // a Date while the service does not answer
let refused = null; // why it does not tell
let one = null; // the chosen series
let drawing = false;
const digitsOf = new Map(); // by name
const look = new Pause();
const zone = new Zone(recall("zone") === "local");
const table = new Table($("markets"), $("filter"), $("no-rows"), zone);
const head = new Head($("filter"), () => intoView($("all")));
const drawer = new Drawer(zone);
const around = new Around(() => {
  listedOf = null;
  soon();
});
const view = new View(zone, soon, goTo);

// --- what the service tells

async function watchAll() {
  for (;;) {
    try {
      const found = await getAnew("api/v1/series");
      if (found !== told) found.series = named(found.series, found.venues);
      told = found;
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

/** Follow the series that the address names, `#BTC-USD/5m` or `#coinbase:BTC-USD/5m`, with `@2024-03-01` on that day; else the last one that was looked at; else the first. */
function choose() {
  if (!told) return;
  const [key, moment] = location.hash.slice(1).split(MOMENT);
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
  const parsed = Date.parse(moment);
  const time = parsed > 0 ? parsed : null; // What is no day leads to the newest.
  if (one && one.name === name && one.timeframe === timeframe) {
    view.choose(one, time);
    return;
  }
  one?.stop();
  one = new One(name, timeframe, soon, () => {
    look.wake(); // Is the service there at all?
    soon();
  });
  table.choose(one);
  view.choose(one, time);
  one.follow();
  soon();
}

/** Look at a day, in Unix ms; null: at the newest. The address says so, too. */
function goTo(time) {
  if (!one) return;
  const moment = time === null ? "" : `@${new Date(time).toISOString().slice(0, 10)}`;
  history.replaceState(null, "", `#${keyOf(one)}${moment}`);
  view.choose(one, time);
}

/** Whether years are kept of the chosen series; null while nobody has said. */
function kept() {
  if (!around.who) return null;
  return (chosenRow()?.venue ?? around.who.venue) in (around.who.history ?? {});
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
  drawer.tell(around.who, told.series, one);
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
  learn(one.name, one.buckets.digits);
  view.show({
    row: chosenRow(),
    rows: told.series.filter((row) => nameOf(row) === one.name),
    standing: standing(),
    lost: Boolean(goneSince || refused),
    kept: kept(),
    orders: around.who?.orders !== false,
    digits: digits(one.name),
  });
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

$("zone").value = zone.local ? "local" : "";
$("zone").addEventListener("change", () => {
  zone.local = $("zone").value === "local";
  keep("zone", $("zone").value);
  view.retime();
  table.retell();
  soon();
});

$("markets").addEventListener("click", (event) => {
  if (event.target.closest("a, .dot")) intoView($("one"));
});
addEventListener("hashchange", choose);
addEventListener("online", tryAgain);
document.addEventListener("visibilitychange", tryAgain);

watchAll();
