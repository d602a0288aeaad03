// Drives the simulated Messenger with messaging-api-messenger, and prints what it got, a line for each step.

const { MessengerClient } = require("messaging-api-messenger");

const setting = JSON.parse(process.env.SETTING);
const tell = (step, result) => console.log(JSON.stringify({ [step]: result }));

function client(accessToken, appSecret) {
  return new MessengerClient({ accessToken, appSecret, origin: setting.url });
}

async function main() {
  // With an app secret every request carries its proof.
  const messenger = client(setting.token, setting.secret);
  const mia = setting.person;
  const picture = Buffer.from(setting.picture, "hex");
  const send = async (step, sent) => tell(step, (await sent).messageId);

  await send("text", messenger.sendText(mia, "hello"));
  await send("reply", messenger.sendRawBody({
    messagingType: "RESPONSE",
    recipient: { id: mia },
    message: { text: "an answer" },
    replyTo: { mid: setting.said },
  }));
  await send("link", messenger.sendImage(mia, setting.link));
  await send("bytes", messenger.sendImage(mia, picture, { filename: "picture.png", contentType: "image/png" }));
  const file = { isReusable: true, filename: "picture.png", contentType: "image/png" };
  const uploaded = await messenger.uploadImage(picture, file);
  await send("upload", messenger.sendImage(mia, { attachmentId: uploaded.attachmentId }));
  const linked = await messenger.uploadImage(setting.link, { isReusable: true });
  await send("upload_of_link", messenger.sendImage(mia, { attachmentId: linked.attachmentId }));
  const quickReplies = [{ contentType: "text", title: "Tea", payload: "t" }];
  await send("choices", messenger.sendText(mia, "Which?", { quickReplies }));
  const buttons = [{ type: "postback", title: "Coffee", payload: "c" }];
  await send("template", messenger.sendButtonTemplate(mia, "Or?", buttons));
  tell("typing", (await messenger.typingOn(mia)).recipientId);
  tell("read", (await messenger.markSeen(mia)).recipientId);
  tell("profile", await messenger.getUserProfile(mia));
  tell("page", await messenger.getPageInfo());

  const failing = {
    no_such_token: () => client("no-such-token").sendText(mia, "x"),
    wrong_proof: () => client(setting.token, "no-such-secret").sendText(mia, "x"),
    too_long: () => messenger.sendText(mia, "x".repeat(2001)),
    no_such_person: () => messenger.sendText("6100000000009999", "x"),
  };
  for (const [step, fail] of Object.entries(failing)) {
    await fail().catch((error) => {
      if (!error.response) throw error;
      tell(step, { message: error.message, status: error.response.status, body: error.response.data });
    });
  }
}

main();
