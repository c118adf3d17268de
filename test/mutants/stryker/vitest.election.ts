import { defineConfig } from "vitest/config";
import { common, sources } from "../../../vitest.config.ts";

export default defineConfig({
  resolve: { alias: sources },
  test: { ...common, name: "stryker", include: ["test/election/{parts,observe,callbacks,stop,step-down}.test.ts"] },
});
