/** A CommonJS project, whose compiler makes `require` of it. Without `await using`, which Node 20 does not know in plain JavaScript. */
import consensus = require("s3-consensus");
import memory = require("s3-consensus/memory");

const locks = new consensus.Locks({ store: memory.memoryStore() });

async function cycle(): Promise<consensus.ReleaseOutcome> {
  const lock: consensus.Lock = await locks.acquire("k");
  let outcome: consensus.ReleaseOutcome = "unknown";
  try {
    lock.assertHeld();
  } catch (e) {
    if (consensus.ConsensusError.is(e) && e.code === "LEASE_LOST") console.log(e.reason);
  } finally {
    outcome = await lock.release();
  }
  return outcome;
}

export = { cycle };
