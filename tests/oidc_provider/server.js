// A certified OpenID provider that looks like Cognito's hosted pages: same addresses, same claims, PKCE required.
// Usage: node --import ./old_node.js server.js '{"port", "clientId", "clientSecret", "redirectUri", "logoutUri"}'. People are called alice, bob …;
// everybody's password is "correct-horse-battery". {"cli": {"clientId", "redirectUri"}} adds a public client, as `drsorch login` is, which also has the device flow. POST /_control {"fault": NAME} makes the token endpoint misbehave; {"disabled": [NAME]} switches people off.
import { createServer } from "node:http";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { SignJWT, decodeJwt, importJWK } from "jose";
import { Provider } from "oidc-provider";

const { port, clientId, clientSecret, redirectUri, logoutUri, cli } = JSON.parse(process.argv[2]);
const base = `http://127.0.0.1:${port}`;
const PASSWORD = "correct-horse-battery";
const GROUPS = { alice: ["drsorch-operator", "somebody-elses-group"], root: ["drsorch-admin"] };

// Through PEM: Node 20 locks a key while it exports it as JWK, and waits for itself if the key's generator is collected meanwhile.
const pem = { type: "pkcs8", format: "pem" };
const newPem = () => generateKeyPairSync("rsa", { modulusLength: 2048, privateKeyEncoding: pem, publicKeyEncoding: { type: "spki", format: "pem" } }).privateKey;
const newKey = (kid) => ({ ...createPrivateKey(newPem()).export({ format: "jwk" }), kid, use: "sig", alg: "RS256" });
const key = newKey("key-1");
const foreignKey = newKey("key-1"); // same id, but nobody publishes it
const state = { fault: "", tokenRequests: 0, logouts: 0, groups: GROUPS, disabled: [], rotate: false };

const provider = new Provider(base, {
  clients: [{
    client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri],
    response_types: ["code"], grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "client_secret_basic",
  }, ...(cli ? [{
    client_id: cli.clientId, redirect_uris: [cli.redirectUri], response_types: ["code"], token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
  }] : [])],
  jwks: { keys: [key] },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "token_use", "cognito:username", "cognito:groups"], email: ["email", "email_verified"], profile: ["name"] },
  findAccount: (_, id) => state.disabled.includes(id) ? undefined : ({
    accountId: id,
    claims: (use) => ({
      sub: id, email: `${id}@example.com`, email_verified: true, name: id, "cognito:username": id,
      "cognito:groups": state.groups[id], token_use: use === "id_token" ? "id" : undefined,
    }),
  }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false }, revocation: { enabled: true }, deviceFlow: { enabled: Boolean(cli) } },
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"), // Cognito does, without offline_access
  rotateRefreshToken: () => state.rotate,
  interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
  routes: { authorization: "/oauth2/authorize", token: "/oauth2/token", revocation: "/oauth2/revoke", userinfo: "/oauth2/userInfo", jwks: "/.well-known/jwks.json" },
  cookies: { keys: ["only-a-test"] },
  ttl: { Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 3600, RefreshToken: 3600, IdToken: 3600 },
});

const now = () => Math.floor(Date.now() / 1000);
const FORGERIES = {
  audience: (claims) => ({ ...claims, aud: "another-client" }),
  audienceList: (claims) => ({ ...claims, aud: [clientId] }),
  issuer: (claims) => ({ ...claims, iss: `${base}/other-pool` }),
  expired: (claims) => ({ ...claims, iat: now() - 7200, exp: now() - 3600 }),
  early: (claims) => ({ ...claims, iat: now() + 3600, exp: now() + 7200 }),
  use: (claims) => ({ ...claims, token_use: "access" }),
  nonce: (claims) => ({ ...claims, nonce: "another" }),
  noExpiry: ({ exp, ...claims }) => claims,
  signature: (claims) => claims,
};
const resign = async (token, fault) => {
  const signer = await importJWK(fault === "signature" ? foreignKey : key, "RS256");
  return new SignJWT(FORGERIES[fault](decodeJwt(token))).setProtectedHeader({ alg: "RS256", kid: key.kid }).sign(signer);
};
provider.use(async (ctx, next) => {
  if (ctx.path !== "/oauth2/token") return next();
  state.tokenRequests += 1;
  if (state.fault === "hang") return new Promise(() => {});
  if (state.fault === "500") return ctx.throw(500);
  if (state.fault === "drop") return ctx.req.destroy();
  if (state.fault === "nonsense") return void (ctx.body = "<html>no json</html>");
  if (state.fault === "empty") return void (ctx.body = {});
  await next();
  if (FORGERIES[state.fault] && ctx.body?.id_token) ctx.body.id_token = await resign(ctx.body.id_token, state.fault);
});

const read = async (request) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
};
const page = (response, status, content) => {
  response.writeHead(status, { "content-type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><html lang="en"><title>Test pool</title>${content}`);
};
const form = (uid, problem) => `<h1>Test pool</h1><p role="alert">${problem}</p><form method="post" action="/login/${uid}">
  <label>Username <input name="username"></label><label>Password <input name="password" type="password"></label>
  <button>Sign in</button><button name="refuse" value="1">Cancel</button></form>`;

const login = async (request, response, uid) => {
  if (request.method === "GET") return page(response, 200, form(uid, ""));
  const sent = new URLSearchParams(await read(request));
  if (sent.has("refuse")) return provider.interactionFinished(request, response, { error: "access_denied" });
  if (sent.get("password") !== PASSWORD) return page(response, 200, form(uid, "Incorrect username or password."));
  return provider.interactionFinished(request, response, { login: { accountId: sent.get("username") } });
};
// Cognito's own sign-out: exactly these parameters, or an error page.
const logout = (response, query) => {
  const names = [...query.keys()].sort().join();
  if (names !== "client_id,logout_uri" || query.get("client_id") !== clientId || query.get("logout_uri") !== logoutUri) {
    return page(response, 400, "<h1>Bad sign-out</h1>");
  }
  state.logouts += 1;
  const dead = ["_session", "_session.sig", "_session.legacy", "_session.legacy.sig"];
  response.writeHead(302, { location: logoutUri, "set-cookie": dead.map((name) => `${name}=; path=/; max-age=0`) });
  response.end();
};
const control = async (request, response) => {
  Object.assign(state, JSON.parse((await read(request)) || "{}"));
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(state));
};

const callback = provider.callback();
createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, base);
  if (pathname === "/_control") return control(request, response);
  if (pathname === "/logout") return logout(response, searchParams);
  if (pathname.startsWith("/login/")) {
    return login(request, response, pathname.split("/")[2]).catch((error) => page(response, 400, `<h1>${error.name}</h1>`));
  }
  return callback(request, response);
}).listen(port, "127.0.0.1", () => console.log("ready"));
