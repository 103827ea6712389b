// Generator of src/generated/protocol.ts from docs/protocol.asyncapi.json: types for programs, shapes for `core/frames.ts`.
//
//     npm run types            writes the file
//     npm run types -- --check fails if the file does not match the document
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const document = fileURLToPath(new URL("../../../docs/protocol.asyncapi.json", import.meta.url));
const target = fileURLToPath(new URL("../src/generated/protocol.ts", import.meta.url));

const RENAMED = { Error: "ErrorFrame" }; // `Error` is a class of JavaScript
const nameOf = (reference) => {
  const name = reference.split("/").at(-1);
  return RENAMED[name] ?? name;
};

/** Return a schema without `null`, which is never sent. */
function withoutNull(schema) {
  if (!schema.anyOf) return schema;
  const rest = schema.anyOf.filter((one) => one.type !== "null");
  if (rest.length !== 1) throw new Error(`a union of more than one type: ${JSON.stringify(schema)}`);
  return rest[0];
}

function typeOf(given) {
  const schema = withoutNull(given);
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return `readonly ${inParentheses(typeOf(schema.items))}[]`;
    case undefined:
      return "unknown";
    default:
      throw new Error(`no type for ${JSON.stringify(schema)}`);
  }
}

const inParentheses = (type) => (type.includes(" ") ? `(${type})` : type);

/** Return the shape of a schema: text that `core/frames.ts` reads; the format is described there. */
function shapeOf(given) {
  const schema = withoutNull(given);
  if (schema.$ref) return `@${nameOf(schema.$ref)}`;
  if (schema.enum) return `one:${schema.enum.join("|")}`;
  switch (schema.type) {
    case "string":
      return schema.pattern ? `match:${schema.pattern}` : "text";
    case "integer":
      return `int:${schema.minimum ?? (schema.exclusiveMinimum === undefined ? "" : schema.exclusiveMinimum + 1)}`;
    case "number":
      return `number:${schema.minimum ?? ""}`;
    case "boolean":
      return "bool";
    case "array":
      return `[${shapeOf(schema.items)}`;
    default:
      return "any";
  }
}

const docComment = (text, indent = "") => (text ? `${indent}/** ${text.replaceAll("*/", "* /").replaceAll("``", "`")} */\n` : "");

function fieldsOf(schema, filled) {
  return Object.entries(schema.properties).map(([name, field]) => {
    const given = schema.required.includes(name) || (filled && field.default !== null && field.default !== undefined);
    return `  readonly ${name}${given ? "" : "?"}: ${typeOf(field)};\n`;
  });
}

function shapesOf(names, schemas) {
  const lines = names.map((name) => {
    const schema = schemas[name];
    const fields = Object.entries(schema.properties).map(([field, one]) => {
      const fill = one.default === null || one.default === undefined ? "" : `, ${JSON.stringify(one.default)}`;
      const mark = schema.required.includes(field) ? "" : "?";
      return `    ${JSON.stringify(field + mark)}: [${JSON.stringify(shapeOf(one))}${fill}],\n`;
    });
    return `  ${nameOf(name)}: {\n${fields.join("")}  },\n`;
  });
  return lines.join("");
}

function reachable(names, schemas) {
  const found = new Set();
  const visit = (value) => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (value && typeof value === "object") {
      if (typeof value.$ref === "string") add(value.$ref.split("/").at(-1));
      Object.values(value).forEach(visit);
    }
  };
  const add = (name) => {
    if (found.has(name)) return;
    found.add(name);
    visit(schemas[name]);
  };
  names.forEach(add);
  return [...found];
}

function render(whole) {
  const schemas = whole.components.schemas;
  const messages = (operation) =>
    whole.operations[operation].messages.map((one) => one.$ref.split("/").at(-1)).filter((name) => name !== "Batch");
  const client = messages("receive");
  const server = messages("send");
  const serverSide = new Set(reachable(server, schemas));
  const interfaces = Object.entries(schemas)
    .filter(([name]) => name !== "Batch")
    .map(
      ([name, schema]) =>
        `${docComment(schema.description)}export interface ${RENAMED[name] ?? name} {\n${fieldsOf(schema, serverSide.has(name)).join("")}}\n`,
    );
  const union = (names) => names.map((name) => `  | ${RENAMED[name] ?? name}`).join("\n");
  const tags = server.map((name) => `  ${schemas[name].properties.type.enum[0]}: ${JSON.stringify(RENAMED[name] ?? name)},\n`);
  return `// Made from docs/protocol.asyncapi.json by client/scripts/types.mjs (npm run types). Do not edit.

${interfaces.join("\n")}
/** A frame of a client. */
export type ClientFrame =
${union(client)};

/** A frame of a server. Fields with a default are filled in when a frame is read. */
export type ServerFrame =
${union(server)};

/** The type of a frame of the server, and its shape. */
export const SERVER_TYPES: Readonly<Record<string, string>> = {
${tags.join("")}};

/** The shapes of what a server says: each field with its shape and default; "?" may be left out. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, readonly [string, unknown?]>>>> = {
${shapesOf([...serverSide], schemas)}};

/** The error codes that the protocol knows. The set is open. */
export type ErrorCode =
${Object.keys(whole["x-error-codes"])
  .map((code) => `  | ${JSON.stringify(code)}`)
  .join("\n")};
`;
}

const rendered = render(JSON.parse(readFileSync(document, "utf8")));
if (process.argv.includes("--check")) {
  const current = readFileSync(target, "utf8");
  if (current !== rendered) {
    console.error("web/client/src/generated/protocol.ts is not what docs/protocol.asyncapi.json says: npm run types");
    process.exit(1);
  }
} else writeFileSync(target, rendered);
