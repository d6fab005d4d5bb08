export * from "./bot";
export * from "./main-bot";
export * from "./positions";
