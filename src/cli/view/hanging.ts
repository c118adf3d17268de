/** What hangs on a session: every lock, election and task that its member holds. */
import { ConsensusError, messageOf } from "../../errors.ts";
import type { SessionRef } from "../../record/record.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { printable } from "../frame/output.ts";
import { Catalogue } from "./catalogue.ts";

const MAX_SHOWN = 20;

/**
 * By one LIST, and a GET for each record; never writes. Where it can't be told, the text says why: nobody is kept from acting by that.
 * @param except the key that is asked about itself.
 */
export async function hangingOn(store: ObjectStore, prefix: string, session: SessionRef, except?: string): Promise<string> {
  try {
    const names = (await new Catalogue(store, prefix).scan({})).flatMap(({ kind, name, key, record }) => {
      const own = record?.session;
      return own?.member === session.member && own.token === session.token && key !== except ? [`${kind} "${printable(name)}"`] : [];
    });
    const more = names.length > MAX_SHOWN ? `, and ${names.length - MAX_SHOWN} more` : "";
    return names.length === 0 ? "nothing else" : `${names.slice(0, MAX_SHOWN).join(", ")}${more}`;
  } catch (e) {
    if (!ConsensusError.is(e)) throw e;
    return `it can't be told what else (${printable(messageOf(e))})`;
  }
}
