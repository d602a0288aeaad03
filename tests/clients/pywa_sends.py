"""Drives the simulated WhatsApp with pywa, as a program that sends would, and prints what it got."""

import json
import os

import httpx
from pywa import WhatsApp, errors, types

SETTING = json.loads(os.environ["SETTING"])
SANDBOX = httpx.URL(SETTING["url"])


class ToSandbox(httpx.HTTPTransport):
    """pywa fixes the API's host; here its requests go to the sandbox, otherwise as they are."""

    def handle_request(self, request):
        if request.url.host == "graph.facebook.com":
            request.url = request.url.copy_with(
                scheme=SANDBOX.scheme, host=SANDBOX.host, port=SANDBOX.port
            )
        return super().handle_request(request)


def client(token):
    session = httpx.Client(transport=ToSandbox(), timeout=60)
    return WhatsApp(phone_id=SETTING["account"], token=token, session=session)


def tell(step, result):
    print(json.dumps({step: result}), flush=True)


wa = client(SETTING["token"])
sam = SETTING["person"]
picture = bytes.fromhex(SETTING["picture"])

text = wa.send_message(to=sam, text="hello", tracker="ours-1")
tell("text", text.id)
tell("reply", wa.send_message(to=sam, text="an answer", reply_to_message_id=SETTING["said"]).id)
tell("link", wa.send_image(to=sam, image=SETTING["link"], caption="by link").id)
tell("bytes", wa.send_image(to=sam, image=picture, mime_type="image/png", caption="by bytes").id)
tell(
    "buttons",
    wa.send_message(
        to=sam,
        text="Which?",
        buttons=[types.Button("Tea", callback_data="t"), types.Button("Coffee", callback_data="c")],
    ).id,
)
tell("location", wa.send_location(to=sam, latitude=52.5, longitude=13.4, name="Here").id)
tell(
    "template",
    wa.send_template(
        to=sam, name="hello_world", language=types.templates.TemplateLanguage.ENGLISH_US, params=[]
    ).id,
)
tell("reaction", wa.send_reaction(to=sam, emoji="👍", message_id=SETTING["said"]).id)
tell("read", bool(wa.mark_message_as_read(message_id=SETTING["said"])))
tell("typing", bool(wa.indicate_typing(message_id=SETTING["said"])))

media = wa.upload_media(media=picture, mime_type="image/png", filename="picture.png")
url = wa.get_media_url(media.id)
tell("media", {"mime": url.mime_type, "size": url.file_size, "sha256": url.sha256})
tell("download", wa.get_media_bytes(url=url.url).hex())
tell("deleted", bool(wa.delete_media(media_id=media.id)))
try:
    wa.get_media_url(media.id)
except errors.WhatsAppError as error:
    tell("gone", {"code": error.code, "subcode": error.subcode, "status": error.status_code})

number = wa.get_business_phone_number()
tell("number", {"id": number.id, "shown": number.display_phone_number})

for step, send in {
    "no_such_token": lambda: client("no-such-token").send_message(to=sam, text="x"),
    "too_long": lambda: wa.send_message(to=sam, text="x" * 4097),
    "no_such_media": lambda: wa.send_image(to=sam, image="1234567890"),
}.items():
    try:
        send()
    except errors.WhatsAppError as error:
        tell(step, {"class": type(error).__name__, "code": error.code, "details": error.details,
                    "status": error.status_code, "trace": error.fbtrace_id})
