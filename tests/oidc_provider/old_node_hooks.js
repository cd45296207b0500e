// Gives installed packages a node:crypto that can hash().
const OURS = new URL("./old_node_crypto.js", import.meta.url).href;

export const resolve = (specifier, context, next) =>
  specifier === "node:crypto" && context.parentURL?.includes("/node_modules/")
    ? { url: OURS, shortCircuit: true }
    : next(specifier, context);
