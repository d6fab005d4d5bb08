export * from "./host";
export * from "./lines";
export * from "./signals";
export { answerLine } from "./stdio";
export * from "./virtual-time";
