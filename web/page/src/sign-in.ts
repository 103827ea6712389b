/**
 * Sign-in with OpenID Connect: the code flow with PKCE.
 *
 * Tokens are in this tab's session storage: a reload keeps them, and they end with the tab. Another tab of the page asks
 * for them over a broadcast channel, which no other origin can read. A sign-out holds for all tabs: otherwise the next
 * tab would receive the previous user's tokens.
 */
import * as oauth from "oauth4webapi";
import type { Settings } from "./settings.js";

const TOKENS_KEY = "segue.tokens";
const REQUEST_KEY = "segue.sign-in";
const CHANNEL = "segue.sign-in";

/** Message between tabs of the page. `ended`: the issuer at which the user has signed out. */
interface TabMessage {
  readonly ask?: string;
  readonly tokens?: Tokens;
  readonly ended?: string;
}

/** Milliseconds for an answer of other tabs. */
const OTHER_TABS_MS = 250;

/** Milliseconds for the issuer to revoke a refresh token, which the tabs have dropped already. */
const REVOCATION_MS = 2000;

/** Milliseconds before its end at which a token is renewed; a tenth of its time if that is less. */
const RENEWAL_MARGIN_MS = 60_000;

interface Tokens {
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  /** Wall clock's milliseconds of the token's issue and end. */
  readonly from: number;
  readonly until: number;
}

interface PendingSignIn {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  /** The address's fragment before the page was left for the issuer. */
  readonly hash: string;
}

/** The user is signed out; the message gives the next step. */
export class SignedOut extends Error {
  constructor(
    readonly reason: "needed" | "link" | "refused" | "expired" | "unreachable",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The sign-in of this tab. */
export class SignIn {
  private server: oauth.AuthorizationServer | undefined;
  private renewing: Promise<Tokens> | undefined;
  /** Sign-outs so far: a renewal that began before one is dropped. */
  private signOuts = 0;
  private readonly client: oauth.Client;
  private readonly channel = new BroadcastChannel(CHANNEL);

  /** `onEnd`: called when another tab has signed out, and so this one. */
  constructor(
    private readonly settings: Settings,
    private readonly onEnd: (reason: SignedOut) => void = () => undefined,
    private readonly storage: Storage = sessionStorage,
  ) {
    this.client = { client_id: settings.clientId };
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      const tokens = this.tokens;
      if (data.ask === settings.issuer && tokens) this.channel.postMessage({ tokens } satisfies TabMessage);
      if (data.ended !== settings.issuer || !tokens) return;
      this.dropTokens();
      this.onEnd(new SignedOut("needed", "You have signed out in another tab."));
    };
  }

  /**
   * Find the user's tokens: from the issuer's answer, this tab, another tab, or a one-time code in the address.
   *
   * Returns false if the user has to sign in. Throws `SignedOut` if the sign-in was tried and failed.
   */
  async resume(): Promise<boolean> {
    const address = new URL(location.href);
    if (address.searchParams.has("state")) return this.complete(address);
    const code = new URLSearchParams(address.hash.slice(1)).get("code");
    if (code !== null) {
      history.replaceState(null, "", address.pathname);
      await this.goToIssuer(code);
      return new Promise(() => undefined); // the browser leaves the page
    }
    if (this.tokens) return true;
    const other = await this.askOtherTabs();
    if (other) this.tokens = other;
    return Boolean(other);
  }

  /** Leave the page for the issuer's sign-in. Throws `SignedOut` if the issuer does not answer. */
  async goToIssuer(oneTimeCode?: string): Promise<void> {
    const server = await this.discover();
    if (!server.authorization_endpoint) throw new SignedOut("unreachable", "The sign-in service has no address to sign in at.");
    const request: PendingSignIn = {
      verifier: oauth.generateRandomCodeVerifier(),
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      hash: location.hash,
    };
    this.storage.setItem(REQUEST_KEY, JSON.stringify(request));
    const target = new URL(server.authorization_endpoint);
    target.search = new URLSearchParams({
      response_type: "code",
      client_id: this.settings.clientId,
      redirect_uri: pageAddress(),
      scope: this.settings.scopes.join(" "),
      state: request.state,
      nonce: request.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(request.verifier),
      code_challenge_method: "S256",
      ...(oneTimeCode === undefined ? {} : { login_hint: oneTimeCode }),
    }).toString();
    location.assign(target);
  }

  /** Return a valid token, renewed shortly before its end. Throws `SignedOut`. */
  token = async (): Promise<string> => {
    const tokens = this.tokens;
    if (!tokens) throw signedOut();
    const left = tokens.until - Date.now();
    if (left > Math.min(RENEWAL_MARGIN_MS, (tokens.until - tokens.from) / 10)) return tokens.idToken;
    this.renewing ??= this.renew(tokens).finally(() => {
      this.renewing = undefined;
    });
    return (await this.renewing).idToken;
  };

  /** The name of the user in the token, if it has one. */
  get userName(): string | undefined {
    const tokens = this.tokens;
    if (!tokens) return undefined;
    try {
      const claims = JSON.parse(atob((tokens.idToken.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"))) as Record<string, unknown>;
      const name = claims["email"] ?? claims["name"] ?? claims["sub"];
      return typeof name === "string" ? name : undefined;
    } catch {
      return undefined;
    }
  }

  /** Drop the tokens in all tabs, and end the issuer's own session where it has one. */
  async signOut(): Promise<void> {
    const refreshToken = this.tokens?.refreshToken;
    this.dropTokens();
    this.channel.postMessage({ ended: this.settings.issuer } satisfies TabMessage);
    const server = await this.discover().catch(() => undefined);
    if (server?.revocation_endpoint && refreshToken) {
      await oauth.revocationRequest(server, this.client, oauth.None(), refreshToken, {
        ...this.options,
        signal: AbortSignal.timeout(REVOCATION_MS),
      }).catch(() => undefined);
    }
    if (!server?.end_session_endpoint) {
      location.assign(pageAddress());
      return;
    }
    const target = new URL(server.end_session_endpoint);
    target.search = new URLSearchParams({
      client_id: this.settings.clientId,
      logout_uri: pageAddress(), // Cognito's name of the parameter
      post_logout_redirect_uri: pageAddress(),
    }).toString();
    location.assign(target);
  }

  private async complete(address: URL): Promise<boolean> {
    const request = JSON.parse(this.storage.getItem(REQUEST_KEY) ?? "null") as PendingSignIn | null;
    this.storage.removeItem(REQUEST_KEY);
    history.replaceState(null, "", address.pathname + (request?.hash ?? ""));
    if (!request) return Boolean(this.tokens); // an old address, loaded again
    try {
      const server = await this.discover();
      const answer = oauth.validateAuthResponse(server, this.client, address, request.state);
      const response = await oauth.authorizationCodeGrantRequest(
        server, this.client, oauth.None(), answer, pageAddress(), request.verifier, this.options,
      );
      const found = await oauth.processAuthorizationCodeResponse(server, this.client, response, {
        expectedNonce: request.nonce,
        requireIdToken: true,
      });
      this.storeTokens(found, undefined);
      return true;
    } catch (error) {
      throw asSignedOut(error);
    }
  }

  private dropTokens(): void {
    this.signOuts += 1;
    this.storage.removeItem(TOKENS_KEY);
  }

  private async renew(tokens: Tokens): Promise<Tokens> {
    const { signOuts: signOutsBefore } = this;
    if (!tokens.refreshToken) {
      if (tokens.until > Date.now()) return tokens;
      throw this.expired();
    }
    try {
      const server = await this.discover();
      const response = await oauth.refreshTokenGrantRequest(
        server, this.client, oauth.None(), tokens.refreshToken, this.options,
      );
      const found = await oauth.processRefreshTokenResponse(server, this.client, response);
      if (signOutsBefore === this.signOuts) return this.storeTokens(found, tokens);
    } catch (error) {
      if (signOutsBefore !== this.signOuts) throw signedOut();
      if (error instanceof oauth.ResponseBodyError) throw this.expired();
      if (tokens.until > Date.now()) return tokens; // the network may be away for a moment
      throw error;
    }
    throw signedOut();
  }

  private expired(): SignedOut {
    this.storage.removeItem(TOKENS_KEY);
    return new SignedOut("expired", "Your sign-in has ended. Sign in again, and the conversation goes on where it was.");
  }

  private storeTokens(found: oauth.TokenEndpointResponse, before: Tokens | undefined): Tokens {
    const idToken = found.id_token ?? before?.idToken ?? "";
    const now = Date.now();
    const seconds = found.expires_in ?? 3600;
    const tokens: Tokens = {
      idToken,
      refreshToken: found.refresh_token ?? before?.refreshToken,
      from: now,
      until: now + seconds * 1000,
    };
    this.tokens = tokens;
    return tokens;
  }

  private async discover(): Promise<oauth.AuthorizationServer> {
    if (this.server) return this.server;
    const { issuer, discovery } = this.settings;
    const address = discovery ?? `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    try {
      const response = await fetch(address, { headers: { accept: "application/json" } });
      this.server = await oauth.processDiscoveryResponse(new URL(issuer), response);
      return this.server;
    } catch (error) {
      throw new SignedOut("unreachable", "The sign-in service does not answer. Check the network, then try again.", { cause: error });
    }
  }

  private get options(): oauth.TokenEndpointRequestOptions {
    // Loopback has no network in between: browsers count it as secure, too.
    const loopback = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
    return loopback ? { [oauth.allowInsecureRequests]: true } : {};
  }

  private get tokens(): Tokens | undefined {
    return (JSON.parse(this.storage.getItem(TOKENS_KEY) ?? "null") as Tokens | null) ?? undefined;
  }

  private set tokens(tokens: Tokens) {
    this.storage.setItem(TOKENS_KEY, JSON.stringify(tokens));
  }

  private askOtherTabs(): Promise<Tokens | undefined> {
    const channel = new BroadcastChannel(CHANNEL);
    return new Promise((resolve) => {
      const done = (tokens?: Tokens): void => {
        channel.close();
        resolve(tokens);
      };
      channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
        if (data.tokens) done(data.tokens);
      };
      channel.postMessage({ ask: this.settings.issuer } satisfies TabMessage);
      setTimeout(done, OTHER_TABS_MS);
    });
  }
}

/** Return the registered redirect address: the page's own, without query. */
function pageAddress(): string {
  return location.origin + location.pathname;
}

function signedOut(): SignedOut {
  return new SignedOut("needed", "You are signed out.");
}

function asSignedOut(error: unknown): SignedOut {
  if (error instanceof oauth.AuthorizationResponseError) {
    return error.error === "login_required"
      ? new SignedOut("link", "This link has been used already, or belongs to a stack that has stopped.")
      : new SignedOut("refused", "The sign-in was broken off. Try again.");
  }
  if (error instanceof SignedOut) return error;
  return new SignedOut("refused", "The sign-in did not succeed. Try again.");
}
