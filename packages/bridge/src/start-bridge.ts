import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AppSKeyClient, DeviceSessions, PayloadCodecs, SqliteSessionStore } from '@mortise/application-server'
import { type BackendInterfacesClient, createClient } from '@mortise/backend-interfaces'
import { Bridge } from './bridge.ts'
import type { BridgeConfig } from './config.ts'
import { BridgeError } from './errors.ts'
import { type ObservationAddress, ObservationServer, type Observed } from './http.ts'
import type { Log } from './log.ts'
import { createDownlinkPath, createSource } from './networks.ts'
import { CodecChoices, Downlinks } from './pipeline/index.ts'
import { DeviceAddresses, EventQueue } from './queue/index.ts'
import { Metrics } from './metrics.ts'
import type { DownlinkCommand } from './sink.ts'
import { createSinks } from './sinks/index.ts'

/** A bridge that runs. Disposing stops it: what is in flight is finished, the rest stays on disk. */
export interface RunningBridge extends AsyncDisposable {
  /** What an operator should know, in words; none while all is well. */
  problems(): readonly string[]
  /** The port of metrics and /readyz, where there is one. */
  readonly listenPort: number | undefined
}

const SESSIONS_FILE = 'sessions.db'
const JOIN_SERVER_TIMEOUT_MS = 10_000

/** By the clock, and not by what the codec itself takes: a machine that is busy for a moment must not cost a reading its object. */
const CODEC_LIMITS = { timeMs: 1000 }

/**
 * Makes everything that a configuration asks for, and begins. The KEK ring stays the caller's.
 * @throws {BridgeError} `queue_unusable`, `directory_in_use`, `config_invalid`
 */
export async function startBridge(config: BridgeConfig, log: Log): Promise<RunningBridge> {
  await using cleanup = new AsyncDisposableStack()
  const sinks = createSinks(config, log)
  for (const sink of sinks) cleanup.use(sink)
  const { directory, maxEvents, maxBytes } = config.data
  const queue = cleanup.use(new EventQueue({ directory, maxEvents, maxBytes, sinks: sinks.map(({ name }) => name) }))
  const [source, ...others] = createSource(config.source, log)
  if (source === undefined) throw new BridgeError('config_invalid', 'There is no source.')
  for (const one of [source, ...others]) cleanup.use(one)
  const downlinkPath = createDownlinkPath(config.source)
  if (downlinkPath !== undefined) cleanup.use(downlinkPath)
  const codecs = cleanup.use(new PayloadCodecs(CODEC_LIMITS))
  const bridge = new Bridge({
    ...{
      name: config.source.name,
      passClear: config.source.passClear,
      sources: [source, ...others],
      sinks,
      downlinkPath,
      queue,
      codecs,
      log,
    },
    ...{ sessions: openSessions(config, cleanup), codecChoices: config.codecs },
  })
  cleanup.defer(() => bridge.stop())
  const observed = {
    metrics: () => bridge.metrics.render(),
    problems: () => bridge.problems(),
    notes: () => bridge.notes(),
  }
  const listener = config.listen && cleanup.use(await listen(observed, config.listen))
  await bridge.start()
  const running = cleanup.move()
  return {
    problems: () => bridge.problems(),
    listenPort: listener?.port,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

async function listen(observed: Observed, address: ObservationAddress): Promise<ObservationServer> {
  try {
    return await ObservationServer.listen(observed, address)
  } catch (cause) {
    const message = `listen: one cannot listen on ${address.host}, port ${address.port}: another program may do.`
    throw new BridgeError('config_invalid', message, { cause })
  }
}

/**
 * Seals one downlink and hands it to the network, beside a bridge that may run on the same directory.
 * @throws {BridgeError} `queue_unusable`, `device_unknown`, `downlink_refused`, `downlink_unknown`
 */
export async function sendDownlink(config: BridgeConfig, command: DownlinkCommand, log: Log): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  const addresses = cleanup.use(new DeviceAddresses(config.data.directory))
  const path = createDownlinkPath(config.source)
  if (path !== undefined) cleanup.use(path)
  const downlinks = new Downlinks({
    ...{ path, log, metrics: new Metrics(), choices: new CodecChoices(config.codecs) },
    ...{ sessions: openSessions(config, cleanup), codecs: cleanup.use(new PayloadCodecs(CODEC_LIMITS)) },
    addressOf: (devEui) => addresses.addressOf(devEui),
  })
  await downlinks.send(command)
}

function openSessions({ data, kekRing, joinServer }: BridgeConfig, cleanup: AsyncDisposableStack): DeviceSessions {
  mkdirSync(data.directory, { recursive: true, mode: 0o700 })
  const store = cleanup.use(new SqliteSessionStore(join(data.directory, SESSIONS_FILE)))
  if (joinServer === undefined) return new DeviceSessions({ store, kekRing })
  const { asId, protocolVersion, service, keysFrom } = joinServer
  const client = cleanup.use(connect(service))
  const appSKeyClient = new AppSKeyClient({ joinServer: client, kekRing, asId, protocolVersion })
  return new DeviceSessions({ store, kekRing, appSKeyClient, keysFrom })
}

function connect(service: NonNullable<BridgeConfig['joinServer']>['service']): BackendInterfacesClient {
  const { url, ca, cert, key, token } = service
  return createClient({
    ...{ url, ca, cert, key, timeoutMs: JOIN_SERVER_TIMEOUT_MS },
    ...(token !== undefined && { authorization: { kind: 'bearer', token: token.toString('latin1') } }),
  })
}
