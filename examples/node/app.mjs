// An App for Herald's callbacks, with nothing but Node.js itself: node app.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { PORT = "10006", HERALD_SECRET = "" } = process.env; // whsec_…, one of Herald's callbacks.secrets
const KEY = Buffer.from(HERALD_SECRET.replace(/^whsec_/, ""), "base64");
const [ONLINE, OFFLINE, KICK_OFF, BACKGROUND] = ["Online", "Offline", "KickOff", "Background"].map((what) => `callbackUser${what}Command`);
const newest = new Map(); // user -> { seq, online }; a real App keeps this in its database

// After 401 Herald holds everything back until the secrets agree.
const rejected = (status, why) => Object.assign(new Error(why), { status });

// Standard Webhooks: over id, time and the body as it came.
function checkSignature(headers, body) {
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`] ?? "");
  if (!/^\d+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300)
    throw rejected(401, "not signed, or too long ago, or ahead of our time");
  const mac = createHmac("sha256", KEY).update(`${id}.${at}.`).update(body).digest("base64");
  const good = Buffer.from(`v1,${mac}`);
  const isGood = (one) => one.length === good.length && timingSafeEqual(one, good);
  if (!given.split(" ").some((one) => isGood(Buffer.from(one)))) throw rejected(401, "not signed with our secret");
}

function take(url, headers, body) {
  if (HERALD_SECRET) checkSignature(headers, body);
  const command = new URLSearchParams(url.split("?")[1]).getAll("command").at(-1); // Herald's stands last
  const { userID, seq, callbackCommand } = JSON.parse(body.toString()) ?? {};
  if (![ONLINE, OFFLINE, KICK_OFF, BACKGROUND].includes(command) || command !== callbackCommand)
    throw rejected(400, "not a command of this App, or URL and body differ");
  if (typeof userID !== "string" || userID === "" || !Number.isSafeInteger(seq))
    throw rejected(400, "userID or seq is not what it must be");
  // A kick-off changes nothing: an offline follows it if the user is gone.
  if (command !== KICK_OFF && seq > (newest.get(userID)?.seq ?? -1)) newest.set(userID, { seq, online: command !== OFFLINE });
}

async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) if ((length += chunk.length) <= 65536) chunks.push(chunk);
  if (length > 65536) throw rejected(413, "the body is too long");
  return Buffer.concat(chunks);
}

function page(response) {
  const online = [...newest.keys()].filter((user) => newest.get(user).online).sort();
  const escaped = online.map((user) => user.replace(/[&<]/g, (c) => `&#${c.charCodeAt(0)};`));
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
  response.end([`${online.length} online`, ...escaped].join("<p>"));
}

createServer(async (request, response) => {
  if (request.method !== "POST") return page(response);
  let [status, code, why] = [200, 0, ""];
  try { take(request.url, request.headers, await read(request)); }
  catch (error) { status = code = error.status ?? 400; why = error.message; }
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ actionCode: code && 1, errCode: code, errMsg: why, errDlt: "", nextCode: "" }));
}).listen(Number(PORT), "127.0.0.1");
