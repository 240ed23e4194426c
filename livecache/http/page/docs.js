// The reader of the API: what /openapi.json says, and each GET to be tried.

import { curlOf, fieldsOf, groupsOf, pathOf, referred, startOf, typeOf } from "./described.js";
import { authorization, get, hasToken, keepToken } from "./service.js";

const SHOWN_MOST = 20_000; // characters of an answer

const $ = (id) => document.getElementById(id);

/** An element with what is in it: texts, or other elements. */
function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

async function show() {
  let described;
  try {
    described = await get("openapi.json");
  } catch (error) {
    const asks = error.status === 401;
    $("told").textContent = asks ? (hasToken() ? "That is not the token." : "") : error.message;
    $("login").hidden = !asks;
    if (asks) $("token").focus();
    return;
  }
  $("told").textContent = "";
  $("login").hidden = true;
  $("version").textContent = described.info.version;
  const groups = groupsOf(described);
  const { schemas } = described.components;
  const listed = element("details", {}, element("summary", {}, "Contents"), ...groups.flatMap(contents), ...schemasListed(schemas));
  listed.open = matchMedia("(min-width: 721px)").matches; // On a phone it would fill the screen.
  $("contents").replaceChildren(listed);
  $("operations").replaceChildren(
    element("p", {}, described.info.description),
    ...groups.flatMap((group) => [element("h2", {}, group.name), ...group.operations.map((one) => operation(one, schemas))]),
    element("h2", {}, "Shapes"),
    ...Object.entries(schemas).map(([name, schema]) => shape(name, schema, schemas)),
  );
  $("described").hidden = false;
  if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
}

function contents(group) {
  const links = group.operations.map((one) => element("li", {}, element("a", { href: `#op-${one.operationId}` }, method(one), ` ${one.path}`)));
  return [element("h2", {}, group.name), element("ul", {}, ...links)];
}

function schemasListed(schemas) {
  const links = Object.keys(schemas).map((name) => element("li", {}, link(name)));
  const list = element("details", {}, element("summary", {}, `all ${links.length}`), element("ul", {}, ...links));
  return [element("h2", {}, "Shapes"), list];
}

function method(one) {
  return element("span", { class: "method", "data-method": one.method }, one.method.toUpperCase());
}

/** A text in which what stands between backticks is code. */
function told(text) {
  return text.split("`").map((part, number) => (number % 2 ? element("code", {}, part) : part));
}

function link(name) {
  return element("a", { href: `#shape-${name}` }, name);
}

function operation(one, schemas) {
  const section = element("section", { id: `op-${one.operationId}`, "aria-labelledby": `op-${one.operationId}-is` });
  section.append(element("h3", { id: `op-${one.operationId}-is` }, method(one), ` ${one.path}`), element("p", {}, ...told(one.summary)));
  const parameters = (one.parameters ?? []).map((parameter) => ({
    name: parameter.name,
    where: parameter.in,
    needed: parameter.required,
    type: typeOf(parameter.schema),
    description: parameter.description ?? parameter.schema.description ?? "",
    default: parameter.schema.default,
  }));
  if (parameters.length > 0) section.append(element("h4", {}, "Parameters"), table(parameters, ["name", "where", "type", "description"]));
  const body = one.requestBody?.content["application/json"].schema;
  if (body) section.append(element("h4", {}, "Body: ", link(referred(body))), table(fieldsOf(body, schemas), ["name", "type", "description"]));
  section.append(element("h4", {}, "Answers"), answers(one));
  const values = startOf(one, schemas);
  const curl = element("pre", { tabindex: "0", "aria-label": "By curl" });
  const tell = () => (curl.textContent = curlOf(one, values, schemas, { origin: new URL(".", location.href).origin, token: hasToken() }));
  tell();
  section.append(element("h4", {}, "By curl"), curl);
  if (one.method === "get" && !("text/event-stream" in (one.responses["200"]?.content ?? {}))) section.append(trial(one, values, tell));
  return section;
}

function answers(one) {
  const rows = Object.entries(one.responses).map(([status, response]) => {
    const shapes = Object.entries(response.content ?? {}).map(([media, { schema }]) => [media, referred(schema)]);
    const what = shapes.flatMap(([media, name], number) => [...(number ? [element("br", {})] : []), media, ...(name ? [" ", link(name)] : [])]);
    return [status, element("span", {}, ...what), element("span", {}, ...told(response.description))];
  });
  return rowsOf(["status", "what", "when"], rows);
}

function table(fields, columns) {
  const rows = fields.map((field) =>
    columns.map((column) => {
      if (column === "name") return element("code", field.needed ? { class: "needed" } : {}, field.name);
      if (column !== "description") return field[column];
      const usual = field.default ?? null;
      const unless = usual === null || (Array.isArray(usual) && usual.length === 0) ? "" : `usually \`${usual}\``;
      return element("span", {}, ...told([field.description, unless].filter(Boolean).join("; ")));
    }),
  );
  return rowsOf(columns, rows);
}

function rowsOf(columns, rows) {
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("div", { class: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function shape(name, schema, schemas) {
  const section = element("section", { id: `shape-${name}` }, element("h3", {}, name), element("p", {}, ...told(schema.description ?? "")));
  const fields = fieldsOf(schema, schemas);
  section.append(fields.length > 0 ? table(fields, ["name", "type", "description"]) : element("p", {}, typeOf(schema)));
  return section;
}

function trial(one, values, tell) {
  const form = element("form", { class: "try" });
  for (const { name, in: where } of one.parameters ?? []) {
    if (where === "header") continue;
    const input = element("input", { name, value: values[name], spellcheck: "false", autocomplete: "off" });
    input.addEventListener("input", () => {
      values[name] = input.value.trim();
      tell();
    });
    form.append(element("label", { class: "field" }, name, input));
  }
  form.append(element("button", {}, "Try it"));
  const answer = element("div", { class: "answer", "aria-live": "polite" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(pathOf(one, values), answer);
  });
  return element("div", {}, form, answer);
}

async function ask(path, into) {
  const began = performance.now();
  try {
    const response = await fetch(path.slice(1), { headers: authorization() });
    const body = await response.blob();
    const took = Math.round(performance.now() - began);
    const type = response.headers.get("Content-Type") ?? "";
    const head = `${response.status} ${type}, ${body.size.toLocaleString("en")} bytes in ${took} ms`;
    const shown = type.includes("arrow") ? "(binary)" : written(await body.text(), type);
    into.replaceChildren(element("p", {}, head), element("pre", { tabindex: "0", "aria-label": "The answer" }, shown));
  } catch (error) {
    into.replaceChildren(element("p", {}, `No answer: ${error.message}`));
  }
}

function written(text, type) {
  // Of candles each is a line: their digits are not to go through numbers.
  const shown = type.includes("json") ? text.replaceAll("],[", "],\n[").replaceAll("},{", "},\n{") : text;
  return shown.length > SHOWN_MOST ? `${shown.slice(0, SHOWN_MOST)}\n…` : shown;
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  show();
});

show();
