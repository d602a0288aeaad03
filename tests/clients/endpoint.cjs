// A webhook endpoint for the scripts that hear: it prints where it listens, and ends when its input does.

const { createServer } = require("node:http");

exports.tell = (line) => console.log(JSON.stringify(line));

// `challenge(query)` gives the text to answer or null; `hear(body, signature)` gives the status to answer.
exports.listen = (challenge, hear) => {
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === "GET") {
      const text = challenge(Object.fromEntries(new URL(request.url, "http://localhost").searchParams));
      response.writeHead(text === null ? 403 : 200).end(text ?? "");
    } else {
      response.writeHead(await hear(Buffer.concat(chunks), request.headers["x-hub-signature-256"])).end();
    }
  });
  server.listen(0, "127.0.0.1", () => exports.tell({ webhook: `http://127.0.0.1:${server.address().port}/` }));
  process.stdin.resume().on("end", () => process.exit(0));
};
