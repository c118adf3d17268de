/** The documented shapes of JSON output (docs/cli.schema.json), as checks. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect } from "vitest";

const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/cli.schema.json"), "utf8")) as { $id: string };
const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
ajv.addSchema(schema);

export function expectShape(name: string, value: unknown): void {
  const check = ajv.getSchema(`${schema.$id}#/definitions/${name}`);
  if (check === undefined) throw new Error(`docs/cli.schema.json defines no ${name}`);
  void check(value);
  expect(check.errors ?? [], JSON.stringify(value)).toEqual([]);
}
