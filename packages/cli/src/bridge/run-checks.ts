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
import { ok, wrong } from '../kit/check.ts'
import { checkApi, checkSinks, checkSource } from './check-connections.ts'
import { checkJoinServer } from './check-join-server.ts'
import { checkCertificates, checkCodecs, checkData, checkListen } from './check-local.ts'
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
  // No payload is opened here.
  config.kekRing[Symbol.dispose]()
  const assembly = await checkAssembly(config, path)
  return [assembly, ...(await checkParts(config))]
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

async function checkParts(config: BridgeConfig): Promise<BridgeCheck[]> {
  const local = [
    ...checkCertificates(config, Date.now()),
    checkData(config),
    ...(await checkCodecs(config)),
    ...(await checkListen(config)),
  ]
  const remote = [checkSource(config), checkApi(config), checkSinks(config), checkJoinServer(config)]
  return [...local, ...(await Promise.all(remote)).flat()]
}
