// Drives the simulated Messenger with @warriorteam/messenger-sdk, and prints what it got, a line for each step.

const { Messenger, MessengerAPIError } = require("@warriorteam/messenger-sdk");

const setting = JSON.parse(process.env.SETTING);
const client = (accessToken) => new Messenger({ accessToken, baseUrl: setting.url, version: "v23.0" });
const tell = (step, result) => console.log(JSON.stringify({ [step]: result }));

async function main() {
  const messenger = client(setting.token);
  const mia = setting.person;
  const recipient = { id: mia };
  const send = async (step, sent) => tell(step, (await sent).message_id);
  const message = (message, more) =>
    messenger.send.message({ recipient, messaging_type: "RESPONSE", message, ...more });

  await send("text", message({ text: "hello", metadata: "ours-1" }));
  await send("reply", message({ text: "an answer" }, { reply_to: { mid: setting.said } }));
  await send("link", messenger.send.attachmentFromUrl({ recipient, type: "image", url: setting.link }));
  const saved = await messenger.attachments.upload({ type: "image", url: setting.link });
  const upload = { recipient, type: "image", attachment_id: saved.attachment_id };
  await send("upload", messenger.send.attachment(upload));
  const buttons = [{ type: "postback", title: "Coffee", payload: "c" }];
  await send("template", messenger.templates.button({ recipient, text: "Or?", buttons }));
  tell("reaction", (await messenger.send.addReaction(mia, { messageId: setting.said, emoji: "love" })).recipient_id);
  tell("typing", (await messenger.send.typingOn(mia)).recipient_id);
  tell("read", (await messenger.send.markSeen(mia)).recipient_id);
  tell("profile", await messenger.profile.getName(mia));

  const failing = {
    no_such_token: () => client("no-such-token").send.message({ recipient, messaging_type: "RESPONSE", message: { text: "x" } }),
    no_such_person: () => messenger.send.typingOn("6100000000009999"),
    no_such_attachment: () => messenger.send.attachment({ ...upload, attachment_id: "1234567890" }),
  };
  for (const [step, fail] of Object.entries(failing)) {
    await fail().catch((error) => {
      if (!(error instanceof MessengerAPIError)) throw error;
      tell(step, { code: error.code, subcode: error.subcode, type: error.type, status: error.statusCode });
    });
  }
}

main();
