import { dirname, resolve } from 'node:path'
import { KekRing } from '@mortise/application-server'
import type { BridgeConfig, CodecChoice, SinkConfig, SourceConfig } from '../config.ts'
import { readListen } from './addresses.ts'
import { BridgeConfigError, type ConfigFault, SectionFault } from './config-error.ts'
import { missingFiles } from './missing-files.ts'
import { readCodec, rivalCodec } from './read-codecs.ts'
import { readJoinServer, readKek } from './read-keys.ts'
import { readSink } from './read-sink.ts'
import { readSource } from './read-source.ts'
import { Section } from './section.ts'
import { readYamlFile } from './yaml-file.ts'

const MEMBERS = ['source', 'sinks', 'joinServer', 'keks', 'codecs', 'data', 'listen'] as const
const MAX_SINKS = 16
const MAX_KEKS = 64
const MAX_CODECS = 1000
const MIN_BYTES = 2 ** 20
/** A week of a thousand devices that report every ten minutes, at 2 kB an event. */
const USUAL_EVENTS = 1_000_000
const USUAL_BYTES = 2 ** 31
const MAX_EVENTS = 100_000_000
const MAX_BYTES = 2 ** 40

/**
 * Reads the YAML file of a bridge and every file that it names. Names of files are relative to it; what is secret is in
 * files of mode 0600 or stricter, and never in the YAML. Nothing is sent.
 * @throws {BridgeConfigError} `config_invalid`, with one fault for each section that cannot be used, and for each file that is
 *   not there
 */
export async function readBridgeConfig(path: string): Promise<BridgeConfig> {
  const faults: ConfigFault[] = []
  const attempt = async <Value>(read: () => Value | Promise<Value>): Promise<Value | undefined> => {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof SectionFault)) throw error
      faults.push(error.fault)
      return undefined
    }
  }
  const directory = dirname(resolve(path))
  const content = await attempt(() => readYamlFile(path))
  const root = faults.length > 0 ? undefined : await attempt(() => new Section(content, '', directory, MEMBERS))
  if (root === undefined) throw new BridgeConfigError(path, faults)

  const source = await attempt(() => readSource(demand(root, 'source', 'say what network events come from'), directory))
  const sinks = await readList<SinkConfig>(root, 'sinks', MAX_SINKS, attempt, (item, at) =>
    readSink(item, at, directory),
  )
  await attempt(() => refuseSinks(root, sinks))
  await attempt(() => source && refuseLoop(root, source, sinks))
  const joinServer = root.has('joinServer')
    ? await attempt(() => readJoinServer(root.value('joinServer'), directory))
    : undefined
  await attempt(() => source && refuseUnnamedJoinEui(root, source, joinServer))
  const kekRing = new KekRing()
  const keks = await readList(root, 'keks', MAX_KEKS, attempt, async (item, at) => {
    await readKek(item, at, directory, kekRing)
    return at
  })
  await attempt(() => keks.length > 0 || faults.some(({ member }) => member.startsWith('keks')) || refuseKeks(root))
  const codecs = await readList<CodecChoice>(root, 'codecs', MAX_CODECS, attempt, (item, at) =>
    readCodec(item, at, directory),
  )
  await attempt(() => refuseRivals(root, codecs))
  const data = await attempt(() => readData(root))
  const listen = await attempt(() => readListen(root, 'listen'))

  if (faults.length > 0 || source === undefined || data === undefined) {
    kekRing[Symbol.dispose]()
    const isNew = (fault: ConfigFault): boolean => !faults.some(({ member }) => member === fault.member)
    throw new BridgeConfigError(path, [...faults, ...missingFiles(content, directory).filter(isNew)])
  }
  return { source, sinks, joinServer, kekRing, codecs, data, listen }
}

type Attempt = <Value>(read: () => Value | Promise<Value>) => Promise<Value | undefined>

/** Every entry that can be read; of the others the faults are kept. */
async function readList<Value>(
  root: Section,
  name: string,
  most: number,
  attempt: Attempt,
  read: (item: unknown, path: string) => Promise<Value>,
): Promise<Value[]> {
  const values: Value[] = []
  const items = (await attempt(() => root.list(name, most))) ?? []
  for (const [index, item] of items.entries()) {
    const value = await attempt(() => read(item, `${name}[${index}]`))
    if (value !== undefined) values.push(value)
  }
  return values
}

function demand(root: Section, name: string, remedy: string): unknown {
  return root.value(name) ?? root.fault(name, 'is missing', remedy)
}

function refuseSinks(root: Section, sinks: readonly SinkConfig[]): void {
  const entries = root.value('sinks')
  if (entries === undefined || (Array.isArray(entries) && entries.length === 0))
    root.fault('sinks', 'is missing', 'say where readings go: an entry of kind mqtt, http or stdout')
  if (sinks.filter(({ kind }) => kind === 'stdout').length > 1)
    root.fault('sinks', 'has stdout twice', 'leave one of them out')
}

/** What is published under the topics of the source would come back as its events, without end. */
function refuseLoop(root: Section, { mqtt }: SourceConfig, sinks: readonly SinkConfig[]): void {
  if (mqtt === undefined) return
  const isSame = (sink: SinkConfig): boolean =>
    sink.kind === 'mqtt' && sink.shape === 'source' && new URL(sink.mqtt.url).host === new URL(mqtt.url).host
  if (sinks.some(isSame))
    root.fault(
      'sinks',
      "has the source's own broker, in the source's own topics: readings would come back as events",
      'name a broker of your own, or write shape: reading',
    )
}

/** The join server is asked by JoinEUI, which ChirpStack does not tell. */
function refuseUnnamedJoinEui(root: Section, source: SourceConfig, joinServer: BridgeConfig['joinServer']): void {
  if (joinServer?.keysFrom !== 'join-server' || source.kind !== 'chirpstack' || source.joinEui !== undefined) return
  root.fault(
    'joinServer.keysFrom',
    'needs source.joinEui, because ChirpStack does not tell the JoinEUI',
    'write the JoinEUI of the devices there',
  )
}

function refuseKeks(root: Section): never {
  return root.fault('keks', 'is missing: without a KEK no AppSKey can be opened', 'add an entry with label and keyFile')
}

function refuseRivals(root: Section, codecs: readonly CodecChoice[]): void {
  const rival = rivalCodec(codecs)
  if (rival !== undefined) root.fault(`codecs[${rival.index}]`, rival.problem, 'leave it to one of them')
}

function readData(root: Section): BridgeConfig['data'] {
  const section = new Section(root.value('data') ?? {}, 'data', root.directory, ['directory', 'maxEvents', 'maxBytes'])
  return {
    directory: section.file('directory') ?? resolve(root.directory, 'data'),
    maxEvents: section.integer('maxEvents', 1, MAX_EVENTS, USUAL_EVENTS),
    maxBytes: section.integer('maxBytes', MIN_BYTES, MAX_BYTES, USUAL_BYTES),
  }
}
