-- What `wrk` posts in `cargo xtask bench ingest`: one WhatsApp text webhook, signed with the app secret `bench`.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Hub-Signature-256"] = "sha256=4fbad4d85ba94d82fc692a0f72bf8b4e786e7acdce575f134a8c985ec875fd40"
wrk.body = [[{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Sheena Nelson"},"wa_id":"15550000001"}],"messages":[{"from":"15550000001","id":"wamid.HBgLMTU1NTAwMDAwMDAVAgASGBQzQTRB0000000000000001AA==","timestamp":"1700000000","type":"text","text":{"body":"Does it come in another colour? I would rather have the blue one, or a green one if there is no blue one left in the shop today."}}]},"field":"messages"}]}]}]]
