import { goodStore } from "../good-store.ts";
import { startMoto } from "../servers/start.ts";
import { versionOf } from "../servers/find.ts";

goodStore("moto", {
  version: versionOf("moto"),
  start: async () => [await startMoto()],
  answers: { replaceMissing: 404, replaceStale: 412, replaceEmpty: 200, notModified: 304, deleteStale: 412 },
  versioned: true,
  checksSignatures: false,
});
