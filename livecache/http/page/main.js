// The page: all series in a table, one of them as a chart, and in words whatever is amiss.

import { Chart } from "./chart.js";
import { One } from "./one.js";
import { Pause, Refused, get, hasToken, keepToken } from "./service.js";
import { Table, keyOf } from "./table.js";
import { KINDS, TIMEFRAMES, decimals, duration, price, reasonOf, sentence, troubles, utc, volume } from "./words.js";

const LOOK_MS = 2_000;
const LOOK_UNSEEN_MS = 15_000; // while nobody sees the page
const NEWEST = 12;
const TICK_MS = 1_000; // the age of the last price

const $ = (id) => document.getElementById(id);

let told = null; // the newest answer of /api/v1/series
let toldAt = 0; // when that came, by performance.now()
let goneSince = null; // a Date while the service does not answer
let refused = null; // why it does not tell
let one = null; // the chosen series
let drawn = null; // the one that the chart shows
let pointed = null; // the open time that is read out; null: the newest
let keyed = false; // that one was chosen by key: the pointer, which may be anywhere, has no say then
let listed = ""; // what the list of the newest buckets holds
let drawing = false;
const digitsOf = new Map(); // by symbol
const look = new Pause();
const table = new Table($("series"), $("filter"), $("hidden-rows"));
const chart = makeChart();

function makeChart() {
  if (window.LightweightCharts) return new Chart($("chart"), $("legend"), (time) => keyed || point(time));
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
      toldAt = performance.now();
      if (goneSince || refused) one?.wake();
      goneSince = refused = null;
      look.succeeded();
      if (!one && told.series.length) choose();
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

/** Follow the series that the address names: `#BTC-USD/5m`; else the first. */
function choose() {
  if (!told) return;
  let [symbol, timeframe] = location.hash.slice(1).split("/");
  if (!(timeframe in TIMEFRAMES)) {
    if (!told.series.length) return;
    ({ symbol, timeframe } = told.series[0]);
    history.replaceState(null, "", `#${keyOf({ symbol, timeframe })}`);
  }
  if (one && one.symbol === symbol && one.timeframe === timeframe) return;
  one?.stop();
  one = new One(symbol, timeframe, soon, () => {
    look.wake(); // Is the service there at all?
    soon();
  });
  pointed = null;
  keyed = false;
  table.choose(keyOf(one));
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
  const amiss = troubles({ goneSince, refused: asks ? null : refused, unstreamed: one?.refused ?? null, told });
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
  if (row?.state === "stale") return ["gone", "stale"];
  if (row?.state === "unknown" || row?.state === "halted") return ["waiting", row.state];
  if (row?.feed === "up") return ["live", "live"];
  return ["waiting", row?.state === "warming" ? "warming up" : "feed down"];
}

function drawAll() {
  for (const row of told.series) if (row.last !== null) learn(row.symbol, decimals(row.last));
  const rows = told.series.map((row) => (one && keyOf(row) === keyOf(one) ? rowOfOne(row) : row));
  table.show(rows, digits);
  const counts = new Map();
  for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  const states = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
  set($("summary"), `${rows.length} series${states ? `: ${states}` : ""}`);

  const done = ["ready", "short", "unknown", "halted"].reduce((sum, state) => sum + (counts.get(state) ?? 0), 0);
  const label = `warming up: ${done} of ${rows.length} series can be read`;
  $("warming").hidden = !counts.get("warming");
  $("progress").max = Math.max(1, rows.length);
  $("progress").value = done;
  set($("progress").labels[0], label);
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
  const { buckets, symbol, timeframe } = one;
  const row = chosenRow();
  learn(symbol, buckets.digits);
  set($("chosen"), `${symbol} ${timeframe}`);
  set($("state"), row?.state ?? "");
  $("state").dataset.state = row?.state ?? "";
  const reason = (row && reasonOf(row)) || (one.failed?.message ?? "");
  $("reason").hidden = !reason;
  set($("reason"), reason);
  const last = row?.last === null || row === null ? "" : price(row.last, digits(symbol));
  set($("last"), last);
  drawAge();
  const [standsAs, words] = standing();
  const title = `${last} ${symbol} ${timeframe} · livecache`.trim();
  set(document.querySelector("title"), standsAs === "live" ? title : `(${words}) ${title}`);
  drawTimeframes();

  const anew = drawn !== one && buckets.loaded;
  const list = buckets.list();
  chart?.show(list, { digits: digits(symbol), step: buckets.step, anew });
  if (anew) {
    drawn = one;
    tell(`${symbol} ${timeframe}: ${row?.state ?? ""}, last price ${last}`);
  }
  const failed = row?.state === "warming" ? null : one.failed; // else there is nothing amiss yet
  const past = goneSince || refused || failed || row?.state === "stale";
  $("chart").classList.toggle("past", Boolean(past));
  $("last").classList.toggle("past", Boolean(past));
  if (chart) {
    drawNote(list, past, failed || one.refused);
    const span = list.length ? `${list.length} buckets, ${utc(list[0].time)} to ${utc(list.at(-1).time)} UTC` : "empty";
    $("chart").ariaLabel = `${symbol} ${timeframe}, candlestick chart: ${span}`;
  }
  drawReadout(list);
  drawNewest(list);
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
  set($("age"), known ? `${duration(performance.now() - heard.at)} ago` : `in the bucket of ${utc(row.last_time)} UTC`);
}

/** In the chart: why there is nothing, or that it is of the past. */
function drawNote(list, past, refusal) {
  const nothing = refusal ? "No candles can be shown" : "No candles yet";
  const text = list.length ? (past ? "not current" : "") : nothing;
  $("note").hidden = !text;
  set($("note"), text);
}

function drawTimeframes() {
  const there = told.series.filter((row) => row.symbol === one.symbol);
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
  set($("readout"), bucket ? sentence(bucket, digits(one.symbol)) : "");
}

function drawNewest(list) {
  if (!$("newest").open) return;
  const number = digits(one.symbol);
  const newest = list.slice(-NEWEST).reverse();
  const text = JSON.stringify([newest, number]);
  if (text === listed) return;
  listed = text;
  const lines = newest.map(({ time, kind, candle }) => {
    const prices = candle ? [...candle.slice(1, 5).map((each) => price(each, number)), volume(candle[5])] : Array(5).fill("–");
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = utc(time);
    line.append(head, cell(KINDS[kind], kind), ...prices.map((text) => cell(text, "number")));
    return line;
  });
  $("newest").querySelector("tbody").replaceChildren(...lines);
}

function cell(text, name) {
  const made = document.createElement("td");
  made.className = name;
  made.textContent = text;
  return made;
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
function learn(symbol, count) {
  digitsOf.set(symbol, Math.max(count, digits(symbol)));
}

function digits(symbol) {
  return digitsOf.get(symbol) ?? 0;
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

$("newest").addEventListener("toggle", soon);
$("series").addEventListener("click", (event) => {
  // On a phone the chart is above what was tapped.
  if (event.target.closest("a") && $("one").getBoundingClientRect().bottom < innerHeight / 2) $("one").scrollIntoView();
});
addEventListener("hashchange", choose);
addEventListener("online", tryAgain);
document.addEventListener("visibilitychange", tryAgain);

const recolour = () => chart?.recolour();
new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

setInterval(drawAge, TICK_MS);
watchAll();
