export * from "./messages";
export * from "./redis";
