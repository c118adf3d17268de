import { goodStore } from "../good-store.ts";
import { startMoto } from "../servers/start.ts";
import { versionOf } from "../servers/find.ts";

goodStore("moto", {
  version: versionOf("moto"),
  start: async () => [await startMoto()],
  answers: {},
  versioned: true,
  checksSignatures: false,
});
