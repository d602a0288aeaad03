// Drives the simulated WhatsApp with @kapso/whatsapp-cloud-api, and prints what it got, a line for each step.

const { GraphApiError, WhatsAppClient } = require("@kapso/whatsapp-cloud-api");

const setting = JSON.parse(process.env.SETTING);
const client = (accessToken) => new WhatsAppClient({ accessToken, baseUrl: setting.url });
const tell = (step, result) => console.log(JSON.stringify({ [step]: result }));

async function main() {
  const kapso = client(setting.token);
  const to = { phoneNumberId: setting.account, to: setting.person };
  const picture = new Blob([Buffer.from(setting.picture, "hex")], { type: "image/png" });
  const send = async (step, sent) => tell(step, (await sent).messages[0].id);

  await send("text", kapso.messages.sendText({ ...to, body: "hello", bizOpaqueCallbackData: "ours-1" }));
  await send("reply", kapso.messages.sendText({ ...to, body: "an answer", contextMessageId: setting.said }));
  await send("link", kapso.messages.sendImage({ ...to, image: { link: setting.link, caption: "by link" } }));
  const upload = { phoneNumberId: setting.account, type: "image", file: picture, fileName: "picture.png" };
  const uploaded = await kapso.media.upload(upload);
  await send("upload", kapso.messages.sendImage({ ...to, image: { id: uploaded.id, caption: "by upload" } }));
  const buttons = [{ id: "t", title: "Tea" }, { id: "c", title: "Coffee" }];
  await send("buttons", kapso.messages.sendInteractiveButtons({ ...to, bodyText: "Which?", buttons }));
  const contact = { name: { formattedName: "Ann", firstName: "Ann" }, phones: [{ phone: "+15550003333" }] };
  await send("contacts", kapso.messages.sendContacts({ ...to, contacts: [contact] }));
  await send("reaction", kapso.messages.sendReaction({ ...to, reaction: { messageId: setting.said, emoji: "👍" } }));
  const read = { phoneNumberId: setting.account, messageId: setting.said, typingIndicator: { type: "text" } };
  tell("read", (await kapso.messages.markRead(read)).success);

  const media = { mediaId: uploaded.id, phoneNumberId: setting.account };
  const found = await kapso.media.get(media);
  tell("media", { mime: found.mimeType, size: Number(found.fileSize) });
  const bytes = await kapso.media.download({ ...media, auth: "always" });
  tell("download", Buffer.from(bytes).toString("hex"));
  tell("without_token", (await kapso.media.download({ ...media, auth: "never", as: "response" })).status);
  tell("deleted", (await kapso.media.delete(media)).success);

  const failing = {
    no_such_token: () => client("no-such-token").messages.sendText({ ...to, body: "x" }),
    too_long: () => kapso.messages.sendText({ ...to, body: "x".repeat(4097) }),
    deleted_media: () => kapso.messages.sendImage({ ...to, image: { id: uploaded.id } }),
  };
  for (const [step, fail] of Object.entries(failing)) {
    await fail().catch((error) => {
      if (!(error instanceof GraphApiError)) throw error;
      const { category, code, details, httpStatus } = error;
      tell(step, { category, code, details, status: httpStatus });
    });
  }
}

main();
