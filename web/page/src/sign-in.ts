/**
 * Signing in: OpenID Connect's code flow with PKCE.
 *
 * Tokens live in this tab's session storage, so that a reload keeps them and the end of the tab ends them. Another tab
 * of the same page asks this one over a broadcast channel, which no other origin can hear. A sign-out is one of all tabs:
 * else the next tab would be given the tokens of the user before.
 */
import * as oauth from "oauth4webapi";
import type { Settings } from "./settings.js";

const TOKENS_KEY = "segue.tokens";
const REQUEST_KEY = "segue.sign-in";
const CHANNEL = "segue.sign-in";

/** What tabs of the page say to each other. `ended`: of which issuer someone has signed out. */
interface TabMessage {
  readonly ask?: string;
  readonly tokens?: Tokens;
  readonly ended?: string;
}

/** Milliseconds that other tabs have to answer. */
const OTHER_TABS_MS = 250;

/** Milliseconds that the issuer has to forget a refresh token; the tabs have forgotten it already. */
const REVOCATION_MS = 2000;

/** A token is renewed when it has less than this left (milliseconds), or a tenth of its time. */
const RENEWAL_MARGIN_MS = 60_000;

interface Tokens {
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  /** On the wall clock, milliseconds: made, and over. */
  readonly from: number;
  readonly until: number;
}

interface PendingSignIn {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  /** What stood behind the `#` before the way to the issuer. */
  readonly hash: string;
}

/** No one is signed in, and the text says how to change that. */
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
  /** Sign-outs so far: what was under way at one is no sign-in any more. */
  private signOuts = 0;
  private readonly client: oauth.Client;
  private readonly channel = new BroadcastChannel(CHANNEL);

  /** `onEnd`: told that another tab has signed out, and so this one. */
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
   * Find out who is signed in: by what the issuer sent back, this tab's tokens, another tab's, or a one-time code in
   * the address. Returns false if a person has to sign in. Throws `SignedOut` if that was tried and failed.
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

  /** Leave for the issuer. */
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

  /** A token that is good now; renewed when its time is nearly over. Throws `SignedOut`. */
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

  /** A short name of who is signed in, if the token has one. */
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

  /** Forget the tokens in all tabs, and end the issuer's own session where it has one. */
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
      logout_uri: pageAddress(), // Cognito's name for it
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
    const { signOuts: ends } = this;
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
      if (ends === this.signOuts) return this.storeTokens(found, tokens);
    } catch (error) {
      if (ends !== this.signOuts) throw signedOut();
      if (error instanceof oauth.ResponseBodyError) throw this.expired();
      if (tokens.until > Date.now()) return tokens; // the network is away for a moment
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
    // On loopback there is no one between: browsers count it as secure, too.
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

/** The one address that is registered: the page's own, without query. */
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
