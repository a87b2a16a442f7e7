import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { createClient, dialectOf } from '@mortise/backend-interfaces'
import { parseNsId } from '@mortise/lorawan'
import { NetworkServer } from '@mortise/simulator'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { DeviceFile } from './support/device-file.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import { addPeer, AS_ID, joinDevice, NET_ID, setKek, tlsOf } from './support/parties.ts'

/** The Things Stack opens a connection for every request, with a full handshake, and leaves it open for 90 seconds. */

const TIMEOUT_MS = 240_000
const NS_ID = parseNsId('70b3d57ed0000013')
const DEVICES = 50
const JOINS_OF_EACH = 10
const AT_ONCE = 10

let installation: Installation
let server: ServerProcess
let directory: string
const devices = new DeviceFile()
const names = Array.from({ length: DEVICES }, (_, index) => `door ${index}`)

beforeAll(async () => {
  installation = await Installation.create()
  const options = ['--dialect', 'the-things-stack', '--ns-id', NS_ID, '--protocol', '1.1']
  directory = await addPeer(installation, 'ns', NET_ID, options)
  await addPeer(installation, 'as', AS_ID)
  await setKek(installation, 'as', AS_ID, 'doors', 32)
  for (const [index, name] of names.entries()) devices.add(name, index % 2 === 0 ? '1.0.3' : '1.1.0', [NET_ID], AS_ID)
  await devices.enrol(installation)
  server = await installation.serve()
}, TIMEOUT_MS)
afterAll(() => installation[Symbol.asyncDispose]())

test(
  '500 joins over a connection each leave nothing behind',
  async () => {
    const sockets = socketsOf(server.pid)
    using handshakes = new Handshakes()
    await using network = connect()
    let joins = 0
    const left = names.flatMap((name) => Array.from({ length: JOINS_OF_EACH }, () => name))
    async function work(mine: readonly string[]): Promise<void> {
      for (const name of mine) {
        const { appSKey, joinNonce } = await joinDevice(network, devices.get(name))
        expect([appSKey?.kekLabel, joinNonce > 0]).toEqual(['doors', true])
        joins++
      }
    }
    // No device in two hands: it has one join-request under way.
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, hand) => work(left.filter((name) => names.indexOf(name) % AT_ONCE === hand))),
    )
    expect([joins, handshakes.full]).toEqual([500, 500])
    // The client leaves all of them open; the server does not.
    await vi.waitFor(() => expect(socketsOf(server.pid)).toBeLessThanOrEqual(sockets), {
      timeout: 30_000,
      interval: 250,
    })
  },
  TIMEOUT_MS,
)

function connect(): NetworkServer {
  const style = dialectOf('the-things-stack').asks
  return new NetworkServer({
    ...({ netId: NET_ID, protocolVersion: '1.1', nsId: NS_ID } as const),
    connect: (onExchange) =>
      createClient({ url: server.biUrl, ...tlsOf(directory), timeoutMs: 10_000, style, onExchange }),
  })
}

/** Counts the handshakes of this process that resumed no session. */
class Handshakes implements Disposable {
  full = 0
  readonly #count = (message: unknown): void => {
    const { socket } = message as { readonly socket: TLSSocket }
    if (!socket.isSessionReused()) this.full++
  }

  constructor() {
    subscribe('undici:client:connected', this.#count)
  }

  [Symbol.dispose](): void {
    unsubscribe('undici:client:connected', this.#count)
  }
}

function socketsOf(pid: number): number {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).filter((name) => linkOf(join(directory, name)).startsWith('socket:')).length
}

/** Empty for one that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
