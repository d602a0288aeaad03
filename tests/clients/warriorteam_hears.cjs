// A program that hears the simulated Messenger with @warriorteam/messenger-sdk, and prints the events it told apart.

const sdk = require("@warriorteam/messenger-sdk");
const { listen, tell } = require("./endpoint.cjs");

const setting = JSON.parse(process.env.SETTING);

async function hear(body, signature) {
  const { isValid } = await sdk.verifyWebhookSignature(body, signature, setting.secret);
  if (!isValid) {
    tell({ refused: true });
    return 403;
  }
  await sdk.processWebhookEvents(JSON.parse(body), {
    onMessage: (event) => {
      const { text, messageId, senderId, repliedToMessageId, quickReplyPayload } = sdk.extractMessageContext(event);
      const urls = sdk.hasAttachments(event.message) ? sdk.getAttachmentUrls(event.message) : [];
      const types = (event.message.attachments ?? []).map((attachment) => attachment.type);
      tell({ event: "message", text, id: messageId, from: senderId, replies_to: repliedToMessageId, payload: quickReplyPayload, urls, types });
    },
    onMessageEdit: (event) => {
      const { messageId, updatedText } = sdk.extractMessageEditContext(event);
      tell({ event: "edit", id: messageId, text: updatedText });
    },
    onMessageReaction: ({ reaction }) =>
      tell({ event: "reaction", action: reaction.action, emoji: reaction.emoji, id: reaction.mid }),
    onUnknown: (event) => tell({ event: "unknown", keys: Object.keys(event) }),
  });
  return 200;
}

listen((query) => sdk.verifyWebhookSubscription(query, setting.verify), hear);
