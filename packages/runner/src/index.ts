export * from "./host";
export * from "./virtual-time";
