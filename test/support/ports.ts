import { createServer } from "node:net";

/** A port on loopback that nobody listens on at this moment. For servers that can't be told "any port" or must come back on the same one. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("the system gave no port number"));
        else resolve(address.port);
      });
    });
  });
}
