/** Addresses of the service and of the sign-in: `settings.json` beside the page. */
export interface Settings {
  /** Address of the WebSocket API. */
  readonly url: string;
  /** Issuer of tokens, as they name it. */
  readonly issuer: string;
  /** Address of the issuer's metadata, if it is not below the issuer. */
  readonly discovery?: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
}

/** The page cannot work; the message gives the user the next step. */
export class NotSetUp extends Error {}

/** Read the settings. Throws `NotSetUp`. */
export async function readSettings(get: typeof fetch = fetch): Promise<Settings> {
  let answer: Response;
  try {
    answer = await get("./settings.json", { cache: "no-store" });
  } catch {
    throw new NotSetUp("This page's server does not answer. Check the network, or start it again with “make local”.");
  }
  if (answer.status === 403 || answer.status === 404) {
    throw new NotSetUp("This page is not set up yet: the service stack writes its settings. Deploy that stack, then load this again.");
  }
  const found: unknown = answer.ok ? await answer.json().catch(() => undefined) : undefined;
  return validate(found);
}

function validate(found: unknown): Settings {
  const { url, issuer, discovery, clientId, scopes } = (found ?? {}) as Record<string, unknown>;
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
  if (!isText(url) || !isText(issuer) || !isText(clientId)) {
    throw new NotSetUp("This page's settings cannot be read. Deploy the service stack again, then load this again.");
  }
  return {
    url,
    issuer,
    clientId,
    ...(isText(discovery) ? { discovery } : {}),
    scopes: Array.isArray(scopes) ? scopes.filter(isText) : ["openid"],
  };
}
