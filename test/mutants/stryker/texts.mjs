/**
 * A plugin of Stryker: texts for people are not mutated. What an error says is worth a test where a user acts on it, and those tests exist; that
 * every word of every message is compared would make messages that nobody dares to improve. A text for people has a blank in it; a word that
 * decides something ("held", "released") has none.
 */
const ignorer = {
  shouldIgnore(path) {
    const { node } = path;
    const texts =
      node.type === "StringLiteral" ? [node.value] : node.type === "TemplateLiteral" ? node.quasis.map((part) => part.value.raw) : [];
    return texts.some((text) => /\s/.test(text)) ? "a text for people" : undefined;
  },
};

export const strykerPlugins = [{ kind: "Ignore", name: "texts", value: ignorer }];
