import { refusedStore } from "../refused-store.ts";
import { versionOf } from "../servers/find.ts";
import { startFauxqs } from "../servers/start.ts";

refusedStore("fauxqs", { version: versionOf("fauxqs"), start: startFauxqs, step: /^(?:path-proof|create-existing)$/ });
