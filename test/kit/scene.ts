import { join } from 'node:path'
import { testKit, type TestOptions } from '@mortise/cli'
import { expect } from 'vitest'
import { Installation } from '../support/installation.ts'
import { enrolDevice, JOIN_EUI, NET_ID, setKek, type TestDevice } from '../support/parties.ts'
import { Copy, type Impostor } from './planted.ts'
import { portOf, wrongChecks } from './run-kit-test.ts'

const STACK_NET_ID = '600002'
export const THIRD_NET_ID = '600003'
const NS_ID = '70b3d57ed0000013'

/** The configuration in a kit for ChirpStack, and in one for The Things Stack. */
export const TOML = 'localhost.toml'
export const YAML = 'interop/localhost/localhost.yml'

/** Making it takes a dozen commands, each a process. */
export const SCENE_TIMEOUT_MS = 180_000

/** A real join server, and good kits for it, of which copies can be broken. */
export class KitScene implements AsyncDisposable {
  readonly installation: Installation
  readonly url: string
  readonly known: TestDevice
  /** For ChirpStack, for The Things Stack, and for ChirpStack with a KEK that is not filled in. */
  readonly chirpstack: string
  readonly stack: string
  readonly wrapped: string
  #copies = 0

  private constructor(installation: Installation, url: string, known: TestDevice) {
    this.installation = installation
    this.url = url
    this.known = known
    this.chirpstack = join(installation.root, `kit-${NET_ID}`)
    this.stack = join(installation.root, `kit-${STACK_NET_ID}`)
    this.wrapped = join(installation.root, `kit-${THIRD_NET_ID}`)
  }

  static async create(): Promise<KitScene> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create())
    const server = await installation.serve()
    const known = await enrolDevice(installation, '1.0.4', { as: '', networks: [NET_ID, STACK_NET_ID] })
    const scene = new KitScene(installation, `https://localhost:${portOf(server)}/`, known)
    await scene.addPeer(NET_ID, '--dialect', 'chirpstack-4')
    await scene.addPeer(STACK_NET_ID, '--dialect', 'the-things-stack', '--protocol', '1.1', '--ns-id', NS_ID)
    await scene.addPeer(THIRD_NET_ID, '--dialect', 'chirpstack-4')
    await setKek(installation, 'ns', THIRD_NET_ID, 'third-1', 16)
    await scene.write('chirpstack', NET_ID)
    await scene.write('the-things-stack', STACK_NET_ID)
    await scene.write('chirpstack', THIRD_NET_ID, '--join-eui', `${JOIN_EUI}/64`)
    cleanup.move()
    return scene
  }

  /** Its certificate goes to {@link credentials}. */
  async addPeer(netId: string, ...options: string[]): Promise<void> {
    const issue = ['--issue-certificate', this.credentials(netId)]
    await this.installation.mortise('peer', 'add', 'ns', '--net-id', netId, ...options, ...issue)
  }

  credentials(netId: string): string {
    return join(this.installation.root, `ns-${netId}`)
  }

  async write(kind: 'chirpstack' | 'the-things-stack', netId: string, ...options: string[]): Promise<string> {
    const out = join(this.installation.root, `kit-${netId}`)
    const where = ['--out', out, '--url', this.url, '--certificate', this.credentials(netId)]
    await this.installation.mortise('kit', kind, '--ns', netId, ...where, ...options)
    return out
  }

  copyOf(kit: string): Copy {
    this.#copies += 1
    return new Copy(kit, `copy-${this.#copies}`)
  }

  /** A copy whose configuration leads to an impostor. */
  leadingTo(impostor: Impostor): Copy {
    return this.copyOf(this.chirpstack).edit(TOML, this.url, impostor.url)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.installation[Symbol.asyncDispose]()
  }
}

/** In this process; a clock of its own would need another. */
export async function testKitHere(kit: string, asked: Partial<TestOptions> = {}) {
  return { checks: await testKit({ kit, now: Date.now, ...asked }) }
}

/** The one thing that is wrong; its remedy must say something. */
export async function onlyFault(kit: string, asked: Partial<TestOptions> = {}) {
  const [found, ...others] = wrongChecks(await testKitHere(kit, asked))
  expect(others).toEqual([])
  expect(found?.remedy).toMatch(/.{15}/)
  return { name: found?.name, detail: found?.detail }
}

export function fault(name: string, detail: RegExp): { name: string; detail: string } {
  return { name, detail: expect.stringMatching(detail) as string }
}
