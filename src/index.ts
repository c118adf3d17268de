/** placeholder */
export { ConsensusError } from "./errors.ts";
