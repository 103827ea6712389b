/** Bytes converted at once: more arguments than this do not fit on a call's stack. */
const CHUNK_BYTES = 0x8000;

/** Return bytes as base64, the form of binary fields in frames. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(text);
}

/** Return the bytes of a base64 field. Throws `DOMException` (`InvalidCharacterError`) if it is not base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/**
 * Return the PCM16 samples of a frame's `audio`. Throws `DOMException` if it is not base64, `RangeError` if a sample is
 * cut.
 */
export function samplesOf(audio: string): Int16Array<ArrayBuffer> {
  const bytes = fromBase64(audio);
  if (bytes.length % 2) throw new RangeError("audio is not whole 16-bit samples");
  return new Int16Array(bytes.buffer);
}

/** Return the bytes of samples, or of a buffer that holds PCM16 already. */
export function bytesOf(pcm: Int16Array | Uint8Array | ArrayBuffer): Uint8Array {
  return pcm instanceof ArrayBuffer ? new Uint8Array(pcm) : new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
}
