export * from "./messages";
export * from "./redis";
export * as channels from "./channels";
