import { createHash } from "node:crypto";

export * from "node:crypto";
export const hash = (name, data, encoding = "hex") => {
  const digest = createHash(name).update(data);
  return encoding === "buffer" ? digest.digest() : digest.digest(encoding);
};
