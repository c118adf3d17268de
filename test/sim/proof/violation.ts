/** A promise that was broken. */
export class Violation extends Error {
  /** I1 to I13 of the design, or H8. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.name = "Violation";
    this.invariant = invariant;
  }
}
