// Verifies the signed requests on stdin (examples/signed.rs) with npm's standardwebhooks, and has the
// library sign them too. Started in a folder whose node_modules holds the library.
import { createRequire } from "node:module";
import { join } from "node:path";
import { readFileSync } from "node:fs";

const { Webhook } = createRequire(join(process.cwd(), "here.js"))("standardwebhooks");

let counts = { good: 0, bad: 0 };
for (const line of readFileSync(0, "utf8").trim().split("\n")) {
  const row = JSON.parse(line);
  const body = Buffer.from(row.body, "base64").toString("utf8");
  const webhook = new Webhook(row.secret);
  let verified = true;
  try {
    webhook.verify(body, row.headers);
  } catch (error) {
    if (error.name !== "WebhookVerificationError") throw error;
    verified = false;
  }
  if (verified !== row.good) throw new Error(`${row.name}: verified is ${verified}: ${line}`);
  if (row.good) {
    const at = new Date(Number(row.headers["webhook-timestamp"]) * 1000);
    const signature = webhook.sign(row.headers["webhook-id"], at, body);
    const ours = row.headers["webhook-signature"].split(" ");
    if (!ours.includes(signature)) throw new Error(`${row.name}: npm signs ${signature}: ${line}`);
  }
  counts[row.good ? "good" : "bad"] += 1;
}
if (counts.good < 100 || counts.bad < 100) throw new Error(`too few: ${JSON.stringify(counts)}`);
console.log(`npm: ${counts.good} verified, ${counts.bad} refused`);
