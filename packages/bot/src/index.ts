export * from "./main-bot";
export * from "./positions";
