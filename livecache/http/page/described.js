// What /openapi.json says, in the form in which it is shown. Knows nothing of the page.

const REFERENCE = "#/components/schemas/";

/** The operations by their tags, in the order of the document: `[{name, description, operations}]`. */
export function groupsOf(document) {
  const groups = document.tags.map((tag) => ({ ...tag, operations: [] }));
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const group = groups.find((one) => one.name === operation.tags[0]);
      group.operations.push({ ...operation, method, path });
    }
  }
  return groups.filter((group) => group.operations.length > 0);
}

/** The name of what a schema refers to; "" where it refers to nothing. */
export function referred(schema) {
  return schema?.$ref?.startsWith(REFERENCE) ? schema.$ref.slice(REFERENCE.length) : "";
}

/** What values a schema allows, in a few words. */
export function typeOf(schema) {
  if (referred(schema)) return referred(schema);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return schema.items ? `list of ${typeOf(schema.items)}` : "list";
  if (schema.type === "object" && schema.additionalProperties) return `by name: ${typeOf(schema.additionalProperties)}`;
  const type = schema.type ?? "anything";
  const { minimum, maximum, minLength, maxLength } = schema;
  if (type === "string") return maxLength === undefined ? "text" : `text of ${minLength ?? 0} to ${maxLength}`;
  if (minimum === undefined && maximum === undefined) return type;
  return maximum === undefined ? `${type} from ${minimum}` : `${type} ${minimum ?? "…"} to ${maximum}`;
}

/** The fields of an object: `[{name, type, needed, description, default}]`; [] where it is none. */
export function fieldsOf(schema, schemas) {
  const named = referred(schema) ? schemas[referred(schema)] : schema;
  return Object.entries(named?.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeOf(field),
    needed: (named.required ?? []).includes(name),
    description: field.description ?? "",
    default: field.default,
  }));
}

/** A value that a schema takes. */
export function exampleOf(schema, schemas) {
  if (referred(schema)) return exampleOf(schemas[referred(schema)], schemas);
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return exampleOf(schema.anyOf.find((one) => one.examples) ?? schema.anyOf[0], schemas);
  if (schema.type === "array") return schema.items ? [exampleOf(schema.items, schemas)] : [];
  if (schema.type === "object") {
    const needed = (schema.required ?? []).map((name) => [name, exampleOf(schema.properties[name], schemas)]);
    return Object.fromEntries(needed);
  }
  return { string: "text", integer: schema.minimum ?? 0, number: schema.minimum ?? 0, boolean: false }[schema.type] ?? null;
}

/** What stands in the field of each parameter at first: an example for what is needed, else nothing. */
export function startOf(operation, schemas) {
  return Object.fromEntries(
    (operation.parameters ?? []).map((one) => [one.name, one.required ? String(exampleOf(one.schema, schemas)) : ""]),
  );
}

/** The path with its parts and the query; what is empty is left out. */
export function pathOf(operation, values) {
  let path = operation.path;
  const query = [];
  for (const { name, in: where } of operation.parameters ?? []) {
    const value = values[name] ?? "";
    if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    if (where !== "query" || value === "") continue;
    query.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  return query.length > 0 ? `${path}?${query.join("&")}` : path;
}

/** A line for a shell that asks the same. */
export function curlOf(operation, values, schemas, { origin, token }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const words = ["curl", "-s"];
  const body = operation.requestBody?.content["application/json"].schema;
  if (operation.method !== "get" && !(operation.method === "post" && body)) words.push("-X", operation.method.toUpperCase());
  if (token) words.push("-H", '"Authorization: Bearer $LIVECACHE_HTTP_TOKEN"');
  if (body) words.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(exampleOf(body, schemas))));
  return [...words, quoted(origin + pathOf(operation, values))].join(" ");
}
