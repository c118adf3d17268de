import type { Json } from "../record/record.ts";

/**
 * Reads the metadata that other nodes published, through the user's `parseMetadata`. What it can't read is `undefined`, and told once: a
 * leader's record is looked at once a poll, and says the same each time.
 */
export function metadataReader<M>(
  parse: ((value: unknown) => M) | undefined,
  failed: (error: unknown) => void,
): (value: Json | undefined) => M | undefined {
  if (parse === undefined) return (value) => value as M | undefined;
  let lastFailed: string | undefined;
  return (value) => {
    if (value === undefined) return undefined;
    try {
      return parse(value);
    } catch (error) {
      const text = JSON.stringify(value);
      if (text !== lastFailed) failed(error);
      lastFailed = text;
      return undefined;
    }
  };
}
