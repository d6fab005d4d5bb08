export * from "./host";
export * from "./lines";
export * from "./signals";
export * from "./virtual-time";
