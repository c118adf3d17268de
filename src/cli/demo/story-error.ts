/** The story can't go on. */
export class StoryError extends Error {
  override readonly name = "StoryError";
}
