/**
 * Variables by which Node itself writes out memory or traffic, opens its inspector or loads other code (NODE_OPTIONS,
 * NODE_V8_COVERAGE, NODE_DEBUG and more), and the one by which TLS libraries write out session keys.
 */
const OF_NODE = /^(NODE_|SSLKEYLOGFILE$)/

/**
 * The environment for a process of the trust boundary. All else is inherited: a PKCS#11 module is configured by it
 * (SOFTHSM2_CONF).
 */
export function boundaryEnvironment(inherited: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(inherited).filter(([name]) => !OF_NODE.test(name)))
}
