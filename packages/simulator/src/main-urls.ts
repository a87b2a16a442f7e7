/** The programs to start as child processes; TypeScript here, JavaScript in what is published. */
export const SECURE_ELEMENT_MAIN = mainUrl('secure-element-main')
export const NETWORK_SERVER_MAIN = mainUrl('network-server-main')
export const APPLICATION_SERVER_MAIN = mainUrl('application-server-main')
export const LOAD_GENERATOR_MAIN = mainUrl('load/load-generator-main')
export const STORM_MAIN = mainUrl('load/storm-main')

function mainUrl(name: string): URL {
  return new URL(import.meta.url.replace(/main-urls(?=\.[jt]s$)/, name))
}
