import {
  BridgeConfigError,
  type BridgeConfig,
  BridgeError,
  createDownlinkPath,
  createSinks,
  createSource,
  readBridgeConfig,
  SILENT,
} from '@mortise/bridge'
import { isWrong, ok, wrong } from '../kit/check.ts'
import { checkApi, checkSinks, checkSource } from './check-connections.ts'
import { checkJoinServer } from './check-join-server.ts'
import { checkCertificates, checkCodecs, checkKeks, checkOwn } from './check-local.ts'
import type { BridgeCheck } from './checks.ts'

/** Everything that a bridge with this configuration needs, from its files to the other parties. Nothing is published. */
export async function checkBridge(path: string): Promise<BridgeCheck[]> {
  let config: BridgeConfig
  try {
    config = await readBridgeConfig(path)
  } catch (error) {
    if (!(error instanceof BridgeConfigError)) throw error
    return error.faults.map(({ member, problem, remedy }) =>
      wrong('configuration', `${member === '' ? path : member}: ${problem}.`, remedy),
    )
  }
  const { labels } = config.kekRing
  // No payload is opened here.
  config.kekRing[Symbol.dispose]()
  const assembly = await checkAssembly(config, path)
  // A part that cannot be made cannot be tried.
  const parties = isWrong(assembly) ? [] : await checkParties(config)
  return [assembly, ...(await checkLocal(config, labels)), ...parties]
}

/** What goes together badly is seen when everything is made, before anything begins. */
async function checkAssembly(config: BridgeConfig, path: string): Promise<BridgeCheck> {
  await using made = new AsyncDisposableStack()
  try {
    for (const sink of createSinks(config, SILENT)) made.use(sink)
    for (const source of createSource(config.source, SILENT)) made.use(source)
    made.use(createDownlinkPath(config.source))
    return ok('configuration', `${path} and every file that it names`)
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    return wrong('configuration', error.message, 'mend this member.')
  }
}

async function checkLocal(config: BridgeConfig, labels: readonly string[]): Promise<BridgeCheck[]> {
  return [
    ...checkCertificates(config, Date.now()),
    checkKeks(labels),
    ...(await checkCodecs(config)),
    ...(await checkOwn(config)),
  ]
}

async function checkParties(config: BridgeConfig): Promise<BridgeCheck[]> {
  const checks = [checkSource(config), checkApi(config), checkSinks(config), checkJoinServer(config)]
  return (await Promise.all(checks)).flat()
}
