"""A program that hears the simulated WhatsApp with pywa: a webhook endpoint, and a line for each update it parsed."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
from pywa import WhatsApp, types, utils

SETTING = json.loads(os.environ["SETTING"])
SANDBOX = httpx.URL(SETTING["url"])
PRINTING = threading.Lock()


class ToSandbox(httpx.HTTPTransport):
    """pywa fixes the API's host; here its requests go to the sandbox, otherwise as they are."""

    def handle_request(self, request):
        if request.url.host == "graph.facebook.com":
            request.url = request.url.copy_with(
                scheme=SANDBOX.scheme, host=SANDBOX.host, port=SANDBOX.port
            )
        return super().handle_request(request)


wa = WhatsApp(
    phone_id=SETTING["account"],
    token=SETTING["token"],
    app_secret=SETTING["secret"],
    verify_token=SETTING["verify"],
    session=httpx.Client(transport=ToSandbox(), timeout=60),
    server=None,
)


def tell(line):
    with PRINTING:
        print(json.dumps(line), flush=True)


@wa.on_message
def message(_, msg):
    line = {"type": msg.type, "id": msg.id, "name": msg.from_user.name, "wa_id": msg.from_user.wa_id,
            "bsuid": msg.from_user.bsuid}
    line["text"] = msg.text or msg.caption
    line["replies_to"] = msg.reply_to_message.id if msg.reply_to_message else None
    if msg.reaction:
        line["reaction"] = [msg.reaction.emoji, msg.reaction.message_id]
    if msg.location:
        line["place"] = [msg.location.latitude, msg.location.name]
    if msg.media:
        line["mime"] = msg.media.mime_type
        line["bytes"] = msg.media.get_bytes().hex()
        line["media"] = [msg.media.id, wa.get_media_url(msg.media.id).url]
    if msg.contacts:
        line["contacts"] = [contact.name.formatted_name for contact in msg.contacts]
    tell(line)


@wa.on_callback_button
def button(_, tap):
    tell({"type": "tap", "data": tap.data, "title": tap.title,
          "replies_to": tap.reply_to_message.id})


@wa.on_edited_message
def edited(_, edit):
    tell({"type": "edited", "id": edit.original_message_id, "text": edit.message.text})


@wa.on_deleted_message
def deleted(_, unsend):
    tell({"type": "deleted", "id": unsend.original_message_id})


@wa.on_message_status
def status(_, update):
    tell({"type": "status", "status": update.status, "id": update.id, "tracker": update.tracker})


class Endpoint(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, body, status):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(str(body).encode())

    def do_GET(self):
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.reply(*wa.webhook_challenge_handler(query.get(utils.HUB_VT), query.get(utils.HUB_CH)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wrong = wa.webhook_update_validator(body, self.headers.get(utils.HUB_SIG))
        if wrong:
            tell({"type": "refused", "status": wrong[1]})
        self.reply(*(wrong or wa.webhook_update_handler(body)))


endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
endpoint.daemon_threads = True
threading.Thread(target=endpoint.serve_forever, daemon=True).start()
tell({"webhook": f"http://127.0.0.1:{endpoint.server_port}/"})
buttons = [types.Button("Tea", callback_data="t"), types.Button("Coffee", callback_data="c")]
for line in sys.stdin:
    if line.startswith("fetch "):
        _, media, url = line.split()
        try:
            status = len(wa.get_media_bytes(url=url)) and 200
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
        fresh = wa.get_media_bytes(url=wa.get_media_url(media).url)
        tell({"type": "fetched", "status": status, "fresh": fresh.hex()})
        continue
    wa.send_message(to=line.strip(), text="Which?", buttons=buttons, tracker="ours-1")
