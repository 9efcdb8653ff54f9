"""An App for Herald's callbacks, with nothing but the standard library: python3 app.py"""
import base64, hashlib, hmac, html, json, os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT = int(os.environ.get("PORT", "10006"))
SECRET = os.environ.get("HERALD_SECRET", "")  # whsec_…, one of Herald's callbacks.secrets; "" takes all
KEY = base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)
COMMANDS = ["callbackUserOnlineCommand", "callbackUserOfflineCommand", "callbackUserKickOffCommand",
            "callbackUserBackgroundCommand"]
newest, lock = {}, threading.Lock()  # user -> (seq, online); a real App keeps this in its database

class Rejected(Exception):
    """An HTTP status and why. After 401 Herald holds everything back until the secrets agree."""

def check_signature(headers, body):  # Standard Webhooks: over id, time and the body as it came
    id, at, given = (headers.get("webhook-" + name, "") for name in ("id", "timestamp", "signature"))
    if not at.isdecimal() or abs(time.time() - int(at)) > 300:
        raise Rejected(401, "not signed, or too long ago, or ahead of our time")
    mac = hmac.new(KEY, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    good = b"v1," + base64.b64encode(mac)
    if not any(hmac.compare_digest(good, one.encode()) for one in given.split(" ")):
        raise Rejected(401, "not signed with our secret")

def take(query, headers, body):
    if SECRET:
        check_signature(headers, body)
    command = parse_qs(query).get("command", [""])[-1]  # Herald's stands last
    try:
        told = json.loads(body)
        user, seq, said = told["userID"], told["seq"], told["callbackCommand"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Rejected(400, "the body is not a callback") from None
    if command not in COMMANDS or command != said:
        raise Rejected(400, "not a command of this App, or URL and body differ")
    if type(user) is not str or not user or type(seq) is not int:
        raise Rejected(400, "userID or seq is not what it must be")
    with lock:  # a kick-off changes nothing: an offline follows it if the user is gone
        if command != "callbackUserKickOffCommand" and seq > newest.get(user, (-1,))[0]:
            newest[user] = (seq, command != "callbackUserOfflineCommand")

class App(BaseHTTPRequestHandler):
    def do_POST(self):
        status, code, why, length = 200, 0, "", self.headers.get("Content-Length", "0")
        try:
            if not length.isdecimal() or int(length) > 65536:
                raise Rejected(413, "the body is too long")
            take(urlsplit(self.path).query, self.headers, self.rfile.read(int(length)))
        except Rejected as rejected:
            (status, why), code = rejected.args, rejected.args[0]
        answer = dict(actionCode=int(code != 0), errCode=code, errMsg=why, errDlt="", nextCode="")
        self.answer(status, "application/json", json.dumps(answer))
    def do_GET(self):
        users = [html.escape(user) for user, (_, online) in sorted(newest.copy().items()) if online]
        self.answer(200, "text/html; charset=utf-8", "<p>".join([f"{len(users)} online"] + users))
    def answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode("utf-8", "replace"))
ThreadingHTTPServer(("127.0.0.1", PORT), App).serve_forever()
