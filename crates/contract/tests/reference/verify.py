"""Verifies the signed requests on stdin (examples/signed.rs) with PyPI's standardwebhooks, and has
the library sign them too."""

import base64
import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

counts = {True: 0, False: 0}
for line in sys.stdin:
    row = json.loads(line)
    body = base64.b64decode(row["body"]).decode()
    webhook = Webhook(row["secret"])
    try:
        webhook.verify(body, row["headers"])
        verified = True
    except WebhookVerificationError:
        verified = False
    assert verified == row["good"], (row["name"], verified, line)
    if row["good"]:
        at = datetime.fromtimestamp(int(row["headers"]["webhook-timestamp"]), tz=timezone.utc)
        signature = webhook.sign(row["headers"]["webhook-id"], at, body)
        assert signature in row["headers"]["webhook-signature"].split(" "), (row["name"], line)
    counts[row["good"]] += 1
assert min(counts.values()) >= 100, counts
print(f"PyPI: {counts[True]} verified, {counts[False]} refused")
