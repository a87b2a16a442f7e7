import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { bytesToHex, type MacVersion, parseDevEui } from '@mortise/lorawan'
import { Device } from '@mortise/simulator'
import { parseDocument } from 'yaml'
import { enrolmentLine, JOIN_EUI } from '../fleet.ts'
import { DemoError, type Narrator } from '../narrator.ts'
import type { Stage } from '../stage.ts'
import { DOOR_CODEC } from './door.ts'
import { type BrokerAccount, freePort, Mosquitto } from './mosquitto.ts'
import { NetworkOperator } from './network-operator.ts'
import { DoorCounter } from './owner.ts'

const NETWORK = '000013'
const OWNER = 'doors.example'
const KEK_LABEL = 'doors-1'
/** In turns. */
const VERSIONS: readonly MacVersion[] = ['1.0.4', '1.1.0']
const READY_TIMEOUT_MS = 20_000

/** Everybody in the play. */
export interface Scene {
  readonly doors: readonly Device[]
  readonly network: NetworkOperator
  readonly counter: DoorCounter
  readonly config: string
}

/** Everybody is made, and let in; the bridge runs. What must be ended is given to `cleanup`. */
export async function setScene(
  stage: Stage,
  narrator: Narrator,
  cleanup: AsyncDisposableStack,
  count: number,
): Promise<Scene> {
  narrator.act('The owner of the doors makes an installation. Root keys will live in its HSM process.')
  const passphraseFile = stage.write('passphrase', `${randomBytes(24).toString('base64')}\n`)
  await stage.mortise('init', '--passphrase-file', passphraseFile, '--yes')
  await stage.startServers(passphraseFile)

  narrator.act('A public network with a broker of its own, and the owner with one. Each lets its own people in.')
  const bridge = account('bridge', ['topic read application/#'])
  const publisher = account('chirpstack', ['topic write application/#'])
  const auditor = account('auditor', ['topic read #'])
  const networkBroker = cleanup.use(
    await Mosquitto.start(join(stage.root, 'network-broker'), [bridge, publisher, auditor]),
  )
  const bridgeAtOwner = account('bridge', ['topic write application/#', 'topic read application/+/device/+/command/+'])
  const counterAccount = account('door-counter', ['topic readwrite application/#'])
  const ownerBroker = cleanup.use(
    await Mosquitto.start(join(stage.root, 'owner-broker'), [bridgeAtOwner, counterAccount]),
  )
  narrator.say(`two Mosquitto: the network's on port ${networkBroker.port}, the owner's on port ${ownerBroker.port}`)
  const apiPort = await freePort()
  const apiKey = randomBytes(24).toString('base64url')

  const directory = join(stage.root, 'bridge')
  await initBridge(stage, directory, { networkBroker, ownerBroker, apiPort })
  stage.write(join('bridge', 'source-password'), `${bridge.password}\n`)
  stage.write(join('bridge', 'sink-password'), `${bridgeAtOwner.password}\n`)
  stage.write(join('bridge', 'api-token'), `${apiKey}\n`)
  const listenPort = await freePort()
  const config = completeConfig(directory, listenPort)

  const doors = await enrol(stage, narrator, count)
  const networkServer = stage.networkServer('network', NETWORK)
  const network = cleanup.use(
    await NetworkOperator.start({ networkServer, broker: networkBroker, publisher, auditor, apiPort, apiKey }),
  )
  const counter = cleanup.use(await DoorCounter.start(ownerBroker, counterAccount))

  narrator.act("The owner tries the bridge, and starts it: a process of its own, on the owner's side.")
  await stage.elsewhere('bridge', 'check', '--config', config)
  stage.start('bridge', 'run', '--config', config)
  await ready(listenPort)
  narrator.show(true, 'the bridge has everything that it needs, and is ready')
  return { doors, network, counter, config }
}

function account(user: string, access: readonly string[]): BrokerAccount {
  return { user, password: randomBytes(18).toString('base64url'), access }
}

interface Places {
  readonly networkBroker: Mosquitto
  readonly ownerBroker: Mosquitto
  readonly apiPort: number
}

/** As an owner does it: the bridge's key stays where it is made, the join server certifies its request. */
async function initBridge(
  stage: Stage,
  directory: string,
  { networkBroker, ownerBroker, apiPort }: Places,
): Promise<void> {
  const certificate = join(stage.root, 'network')
  await stage.mortise(
    'peer',
    'add',
    'ns',
    '--net-id',
    NETWORK,
    '--dialect',
    'chirpstack-4',
    '--issue-certificate',
    certificate,
  )
  await stage.elsewhere(
    ...['bridge', 'init', '--out', directory, '--source', 'chirpstack', '--source-url', networkBroker.url],
    ...['--source-user', 'bridge', '--api-url', `http://127.0.0.1:${apiPort}`, '--sink', ownerBroker.url],
    ...['--sink-user', 'bridge'],
    ...['--join-server', stage.biUrl, '--as-id', OWNER, '--kek-label', KEK_LABEL],
  )
  await stage.mortise('peer', 'add', 'as', '--as-id', OWNER, '--csr', join(directory, 'as.csr'))
  await stage.mortise('kek', 'set', '--as', OWNER, '--label', KEK_LABEL, '--key-file', join(directory, 'kek.hex'))
}

/** What `mortise bridge init` cannot know: the owner's codec. */
function completeConfig(directory: string, listenPort: number): string {
  const path = join(directory, 'config.yaml')
  const document = parseDocument(readFileSync(path, 'utf8'))
  document.setIn(['codecs'], [{ file: 'door.js' }])
  document.setIn(['listen'], `127.0.0.1:${listenPort}`)
  writeFileSync(path, document.toString())
  writeFileSync(join(directory, 'door.js'), DOOR_CODEC)
  return path
}

async function enrol(stage: Stage, narrator: Narrator, count: number): Promise<Device[]> {
  narrator.act(`${count} door sensors are enrolled. Each secure element makes its keys; the CLI seals them to the HSM.`)
  const doors: Device[] = []
  const lines: string[] = []
  for (let index = 0; index < count; index++) {
    const macVersion = VERSIONS[index % VERSIONS.length] ?? '1.0.4'
    const identity = { devEui: parseDevEui(bytesToHex(randomBytes(8))), joinEui: JOIN_EUI, macVersion }
    await stage.secureElement.createDevice(identity)
    const door = new Device(stage.secureElement, identity)
    doors.push(door)
    lines.push(await enrolmentLine(stage.secureElement, door, OWNER, NETWORK))
  }
  const file = stage.write('devices.jsonl', `${lines.join('\n')}\n`)
  await stage.mortise('device', 'add', '--file', file)
  rmSync(file)
  narrator.say(`LoRaWAN versions: ${VERSIONS.join(', ')}; the file with their keys is deleted`)
  return doors
}

/** @throws DemoError */
async function ready(port: number): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  while ((await statusOf(port)) !== 200) {
    if (Date.now() > deadline) throw new DemoError('the bridge did not become ready')
    await delay(100)
  }
}

function statusOf(port: number): Promise<number> {
  return new Promise((resolve) => {
    get(`http://127.0.0.1:${port}/readyz`, { agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', () => {
      resolve(0)
    })
  })
}
