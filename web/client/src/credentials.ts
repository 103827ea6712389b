import { SegueError } from "./errors.js";

/** A token, or a function that returns a fresh one for each connection, because tokens expire. */
export type TokenSupply = string | (() => string | Promise<string>);

/** Characters of a subprotocol (RFC 9110, section 5.6.2); a JWT uses fewer. */
const TOKEN = /^[A-Za-z0-9._~+!#$%&'*^`|-]+$/;

/**
 * Return the subprotocols of a new connection, the only credentials that a browser can send. Throws `SegueError` for a
 * token with other characters, and errors of the function.
 */
export async function subprotocols(supply: TokenSupply | undefined): Promise<string[]> {
  const token = typeof supply === "function" ? await supply() : supply;
  if (token === undefined) return [];
  if (!TOKEN.test(token)) throw new SegueError("the token has characters that cannot be sent: it should be a JWT");
  return ["segue.v1", `bearer.${token}`];
}
