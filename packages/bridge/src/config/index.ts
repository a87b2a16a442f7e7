export { BridgeConfigError, type ConfigFault } from './config-error.ts'
export { isLoopback } from './addresses.ts'
export { readBridgeConfig } from './read-config.ts'
