export { BridgeConfigError, type ConfigFault } from './config-error.ts'
export { readBridgeConfig } from './read-config.ts'
