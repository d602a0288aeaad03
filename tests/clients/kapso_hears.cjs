// A program that hears the simulated WhatsApp with @kapso/whatsapp-cloud-api, and prints what it normalised.

const { normalizeWebhook, verifySignature } = require("@kapso/whatsapp-cloud-api/server");
const { listen, tell } = require("./endpoint.cjs");

const setting = JSON.parse(process.env.SETTING);

function challenge(query) {
  return query["hub.verify_token"] === setting.verify ? query["hub.challenge"] : null;
}

function hear(rawBody, signatureHeader) {
  if (!verifySignature({ appSecret: setting.secret, rawBody, signatureHeader })) {
    tell({ refused: true });
    return 403;
  }
  const { messages, statuses, contacts, phoneNumberId } = normalizeWebhook(JSON.parse(rawBody));
  for (const message of messages) tell({ account: phoneNumberId, name: contacts[0].profile.name, ...message });
  for (const status of statuses) tell(status);
  return 200;
}

listen(challenge, hear);
