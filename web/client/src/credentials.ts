import { SegueError } from "./errors.js";

/** A token, or a function that gets one for each connection: they expire. */
export type TokenSupply = string | (() => string | Promise<string>);

/** Characters of a subprotocol (RFC 9110, section 5.6.2). A JWT is made of fewer. */
const TOKEN = /^[A-Za-z0-9._~+!#$%&'*^`|-]+$/;

/** The subprotocols of a new connection: all that a browser can set. Throws what the function throws. */
export async function subprotocols(supply: TokenSupply | undefined): Promise<string[]> {
  const token = typeof supply === "function" ? await supply() : supply;
  if (token === undefined) return [];
  if (!TOKEN.test(token)) throw new SegueError("the token has characters that cannot be sent: it should be a JWT");
  return ["segue.v1", `bearer.${token}`];
}
