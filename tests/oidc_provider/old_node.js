// What oidc-provider needs and Debian 12's Node 18 lacks. Imported first.
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
URL.parse ??= (...address) => {
  try {
    return new URL(...address);
  } catch {
    return null;
  }
};
