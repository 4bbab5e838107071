import { localStorageColorSchemeManager } from "@mantine/core";

/** Light, dark or as the system has it; scheme.js reads the same name before the first paint. */
export const schemeManager = localStorageColorSchemeManager({ key: "redrive.scheme" });
