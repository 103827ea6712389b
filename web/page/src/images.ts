/** Images in the form that the service takes: one of four media types, and at most `MAX_BYTES`. */
import type { MediaType } from "../../client/src/index.js";

const MEDIA_TYPES: readonly string[] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/** Bytes of an image at most; the protocol allows 4,320,000. */
const MAX_BYTES = 4_000_000;

/** Pixels of a reduced image's longer side: models look at no more. */
const MAX_SIDE_PIXELS = 2048;

/** The image cannot be sent; the message gives the reason to the user. */
export class ImageProblem extends Error {
  override name = "ImageProblem";
}

/** Read an image, and reduce it if it is too large. Throws `ImageProblem`. */
export async function readImage(file: Blob): Promise<{ bytes: Uint8Array; type: MediaType }> {
  if (MEDIA_TYPES.includes(file.type) && file.size <= MAX_BYTES) {
    return { bytes: new Uint8Array(await file.arrayBuffer()), type: file.type as MediaType };
  }
  if (!file.type.startsWith("image/")) throw new ImageProblem("Only images can be sent: JPEG, PNG, WebP or GIF.");
  const smaller = await shrink(file);
  if (smaller.size > MAX_BYTES) throw new ImageProblem("This image is too large, also when it is made smaller.");
  return { bytes: new Uint8Array(await smaller.arrayBuffer()), type: "image/jpeg" };
}

async function shrink(file: Blob): Promise<Blob> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new ImageProblem("This image cannot be read. Try a JPEG or PNG.");
  }
  const scale = Math.min(1, MAX_SIDE_PIXELS / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
}
