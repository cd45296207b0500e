// What oidc-provider needs and Debian 12's Node 18 lacks; loaded with --import, before everything else.
import crypto from "node:crypto";
import { register } from "node:module";

globalThis.crypto ??= crypto.webcrypto;
URL.parse ??= (...address) => {
  try {
    return new URL(...address);
  } catch {
    return null;
  }
};
if (!crypto.hash) register("./old_node_hooks.js", import.meta.url);
