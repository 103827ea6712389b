// Frames as messages: JSON text, one frame in a client's message, one or several in a server's. A shape describes a
// field's values (client/scripts/types.mjs makes them):
//
//     int:0  number:0  (with the least value)   text  bool  any   one:a|b   match:PATTERN   @Name   [shape-of-each
import { fromBase64, toBase64 } from "../base64.js";
import { FrameError } from "../errors.js";
import type { AnswerInput, AudioInput, ClientFrame, ImageInput, ServerFrame, TextInput } from "../generated/protocol.js";
import { SERVER_TYPES, SHAPES } from "../generated/protocol.js";

/** A frame of input: numbered, and sent until it is durable. */
export type InputFrame = TextInput | AudioInput | ImageInput | AnswerInput;
/** Media type of an image. */
export type MediaType = ImageInput["media_type"];
/** Kind of input: speech, or turns of text. */
export type Modality = "voice" | "text";

/** Bytes of the largest message in either direction; a longer one is refused. */
export const MAX_FRAME_BYTES = 32 * 1024;
/** Bytes of an image in one frame: 30,000 characters of base64. Divisible by 3, so that no base64 group is cut. */
export const IMAGE_PART_BYTES = 22_500;
/** Frames of one image at most, together 4.3 MB. */
export const MAX_IMAGE_PARTS = 192;
/** Levels of lists and objects in a response at most. */
export const MAX_RESPONSE_DEPTH = 32;

/** Bytes of the header's length in a binary message. */
const LENGTH_BYTES = 2;

const ENCODER = new TextEncoder();

/** Return the message for a frame. Throws `FrameError` (`oversize`). */
export function encodeFrame(frame: ClientFrame): string {
  const message = JSON.stringify(frame);
  if (byteLength(message) > MAX_FRAME_BYTES) {
    throw new FrameError("oversize", `a message may have ${MAX_FRAME_BYTES} bytes: send less at a time`);
  }
  return message;
}

/** Return the binary message for a piece of audio: length of the header, the frame without `audio`, raw samples. */
export function encodeBinary({ audio, ...rest }: AudioInput): Uint8Array<ArrayBuffer> {
  const header = ENCODER.encode(JSON.stringify(rest));
  const samples = fromBase64(audio);
  const message = new Uint8Array(LENGTH_BYTES + header.length + samples.length);
  new DataView(message.buffer).setUint16(0, header.length);
  message.set(header, LENGTH_BYTES);
  message.set(samples, LENGTH_BYTES + header.length);
  return message;
}

/** Return the frames of a server's message. Whatever does not fit the protocol is left out, also within an array. */
export function decodeMessage(message: unknown): ServerFrame[] {
  if (message instanceof ArrayBuffer) return decodeBinary(new Uint8Array(message));
  if (typeof message !== "string" || byteLength(message) > MAX_FRAME_BYTES) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(message);
  } catch {
    return [];
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map(readFrame).filter((frame) => frame !== undefined);
}

function decodeBinary(message: Uint8Array<ArrayBuffer>): ServerFrame[] {
  if (message.length < LENGTH_BYTES || message.length > MAX_FRAME_BYTES) return [];
  const end = LENGTH_BYTES + new DataView(message.buffer).getUint16(0);
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message.subarray(LENGTH_BYTES, end)));
    const samples = message.subarray(end);
    if (end > message.length || samples.length % 2 || !isObject(header) || header["type"] !== "audio") return [];
    return [readFrame({ ...header, audio: toBase64(samples) })].filter((frame) => frame !== undefined);
  } catch {
    return [];
  }
}

/** Estimate the bytes of a kept frame: two a character, and a constant for the object. */
export function keptBytes(frame: object): number {
  let bytes = 200;
  for (const value of Object.values(frame)) {
    if (typeof value === "string") bytes += 2 * value.length;
    else if (value !== null && typeof value === "object") bytes += 2 * JSON.stringify(value).length;
  }
  return bytes;
}

/** Return the bytes of a text in UTF-8; exact only near the limit. */
function byteLength(text: string): number {
  return text.length * 3 <= MAX_FRAME_BYTES || text.length > MAX_FRAME_BYTES ? text.length : ENCODER.encode(text).length;
}

function readFrame(object: unknown): ServerFrame | undefined {
  const type = isObject(object) ? object["type"] : undefined;
  const name = typeof type === "string" && Object.hasOwn(SERVER_TYPES, type) ? SERVER_TYPES[type] : undefined;
  return name === undefined ? undefined : (readObject(object, name) as ServerFrame | undefined);
}

function readObject(object: unknown, name: string): object | undefined {
  const shape = SHAPES[name];
  if (!isObject(object) || shape === undefined) return undefined;
  const read: Record<string, unknown> = {};
  for (const [field, [kind, fill]] of Object.entries(shape)) {
    const optional = field.endsWith("?");
    const key = optional ? field.slice(0, -1) : field;
    const value = Object.hasOwn(object, key) ? object[key] : undefined;
    if (value === undefined || (value === null && optional && fill === undefined)) {
      if (!optional) return undefined;
      if (fill !== undefined) read[key] = fill;
      continue;
    }
    const found = readValue(value, kind);
    if (found === undefined) return undefined;
    read[key] = found;
  }
  return read;
}

function readValue(value: unknown, shape: string): unknown {
  if (shape.startsWith("@")) return readObject(value, shape.slice(1));
  if (shape.startsWith("[")) {
    if (!Array.isArray(value)) return undefined;
    const read = value.map((one) => readValue(one, shape.slice(1)));
    return read.includes(undefined) ? undefined : read;
  }
  return fits(value, shape) ? value : undefined;
}

function fits(value: unknown, shape: string): boolean {
  const colon = shape.indexOf(":");
  const rule = colon < 0 ? "" : shape.slice(colon + 1);
  const least = rule === "" ? -Infinity : Number(rule);
  switch (colon < 0 ? shape : shape.slice(0, colon)) {
    case "int":
      return Number.isSafeInteger(value) && (value as number) >= least;
    case "number":
      return typeof value === "number" && Number.isFinite(value) && value >= least;
    case "text":
      return typeof value === "string";
    case "bool":
      return typeof value === "boolean";
    case "one":
      return typeof value === "string" && rule.split("|").includes(value);
    case "match":
      return typeof value === "string" && new RegExp(rule, "u").test(value);
    default:
      return true;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
