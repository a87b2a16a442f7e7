import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AppSKeyClient,
  DeviceSessions,
  KekRing,
  PayloadCodecs,
  SqliteSessionStore,
} from '@mortise/application-server'
import { onTestFinished } from 'vitest'
import { Bridge, type BridgeOptions } from '../../src/bridge.ts'
import type { Log, LogFields } from '../../src/log.ts'
import { EventQueue } from '../../src/queue/index.ts'
import { TestPath, TestSink, TestSource } from './parties.ts'
import { KEK, KEK_LABEL } from './world.ts'

export interface SceneOptions {
  readonly directory?: string
  readonly sinks?: readonly TestSink[]
  readonly maxEvents?: number
  readonly maxBytes?: number
  readonly appSKeyClient?: Pick<AppSKeyClient, 'fetchEnvelope'>
  readonly keks?: readonly (readonly [label: string, kek: Uint8Array])[]
  readonly bridge?: Pick<BridgeOptions, 'timing' | 'codecChoices' | 'passClear'>
}

/** A directory that goes with the test. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'mortise-bridge-'))
  onTestFinished(() => {
    rmSync(path, { recursive: true })
  })
  return path
}

/** A running bridge with real queue, real session store and real codecs, between a network and receivers of the tests. */
export class Scene implements AsyncDisposable {
  readonly directory: string
  readonly source = new TestSource()
  readonly sinks: readonly TestSink[]
  readonly path = new TestPath()
  readonly queue: EventQueue
  readonly bridge: Bridge
  readonly lines: { readonly message: string; readonly fields: LogFields | undefined }[] = []
  /** Milliseconds by which the clock of the test is ahead. */
  aheadMs = 0
  readonly #cleanup = new AsyncDisposableStack()

  private constructor(options: SceneOptions) {
    const now = (): number => Date.now() + this.aheadMs
    const { maxEvents = 10_000, maxBytes = 2 ** 24 } = options
    this.directory = options.directory ?? directory()
    this.sinks = options.sinks ?? [new TestSink('one')]
    const names = this.sinks.map(({ name }) => name)
    this.queue = this.#cleanup.use(
      new EventQueue({ directory: this.directory, sinks: names, maxEvents, maxBytes, now }),
    )
    const store = this.#cleanup.use(new SqliteSessionStore(join(this.directory, 'sessions.db')))
    const kekRing = this.#cleanup.use(new KekRing())
    for (const [label, kek] of options.keks ?? [[KEK_LABEL, KEK]]) kekRing.add(label, kek)
    const codecs = this.#cleanup.use(new PayloadCodecs())
    const sessions = new DeviceSessions({ store, kekRing, appSKeyClient: options.appSKeyClient, now })
    const write = (message: string, fields?: LogFields): void => void this.lines.push({ message, fields })
    const log: Log = { info: write, warn: write }
    const { source, sinks, path: downlinkPath, queue } = this
    this.bridge = new Bridge({
      name: 'test',
      sources: [source],
      sinks,
      downlinkPath,
      sessions,
      queue,
      codecs,
      log,
      now,
      ...options.bridge,
    })
  }

  static async start(options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(options)
    await scene.bridge.start()
    return scene
  }

  get sink(): TestSink {
    const [sink] = this.sinks
    if (sink === undefined) throw new Error('no sink')
    return sink
  }

  /** A value of /metrics. */
  metric(name: string): number {
    const line = this.bridge.metrics
      .render()
      .split('\n')
      .find((one) => one.startsWith(`mortise_bridge_${name} `))
    return Number(line?.split(' ').at(-1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bridge.stop()
    await this.#cleanup.disposeAsync()
  }
}
