import { toBase64 } from "../base64.js";
import { FrameError } from "../errors.js";
import type { AnswerInput, Approval, ImageInput } from "../generated/protocol.js";
import type { MediaType } from "./frames.js";
import { IMAGE_PART_BYTES, MAX_IMAGE_PARTS, MAX_RESPONSE_DEPTH } from "./frames.js";

/** Return the frames of an image. Throws `FrameError` if it is empty or too large. */
export function imageFrames(image: Uint8Array, mediaType: MediaType): ImageInput[] {
  const parts = Math.ceil(image.length / IMAGE_PART_BYTES);
  if (parts < 1 || parts > MAX_IMAGE_PARTS) {
    const maxBytes = MAX_IMAGE_PARTS * IMAGE_PART_BYTES;
    throw new FrameError("bad_frame", `an image has 1 to ${maxBytes} bytes, this one ${image.length}`);
  }
  return Array.from({ length: parts }, (_, index) => ({
    type: "image",
    image: toBase64(image.subarray(index * IMAGE_PART_BYTES, (index + 1) * IMAGE_PART_BYTES)),
    media_type: mediaType,
    part: index + 1,
    parts,
  }));
}

/** Return the frame that answers an approval. Throws `FrameError` if a response is missing or not JSON. */
export function answerFrame(approval: Approval, responses: Readonly<Record<string, unknown>>): AnswerInput {
  const requestIds = approval.requests.map((request) => request.id);
  const responseIds = Object.keys(responses);
  if (approval.record === undefined || !requestIds.length || responseIds.length !== requestIds.length || requestIds.some((id) => !(id in responses))) {
    throw new FrameError("bad_frame", `answer each request of an approval that asks: ${requestIds.join()}, not ${responseIds.join()}`);
  }
  for (const response of Object.values(responses)) checkResponse(response);
  return { type: "answer", approval: approval.record, responses: requestIds.map((id) => ({ id, response: responses[id] })) };
}

function checkResponse(response: unknown): void {
  let level: unknown[] = [response];
  for (let depth = 0; level.length; depth += 1) {
    if (depth > MAX_RESPONSE_DEPTH) throw new FrameError("bad_frame", `a response has at most ${MAX_RESPONSE_DEPTH} levels`);
    for (const value of level) {
      const notJson = value === undefined || (depth === 0 && value === null) || ["function", "symbol", "bigint"].includes(typeof value);
      if (notJson || (typeof value === "number" && !Number.isFinite(value))) {
        throw new FrameError("bad_frame", "a response is JSON, and not null");
      }
    }
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []));
  }
}
