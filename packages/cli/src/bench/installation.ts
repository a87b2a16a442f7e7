import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { constants, cpSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MacVersion } from '@mortise/lorawan'
import { type DataDirectory, dataDirectory } from '@mortise/server'
import { encodeLoadFleet } from '@mortise/simulator'
import { fillFleet } from './fill-fleet.ts'
import { AS_ID, JOIN_EUI, KEK_LABEL } from './parties.ts'
import { runMortise } from './run-command.ts'
import { ServerProcess } from './server-process.ts'
import type { SoftHsm2 } from './softhsm2.ts'

export const BACKENDS = ['soft', 'softhsm2'] as const
export type Backend = (typeof BACKENDS)[number]

/** So many root keys, which the devices of a fleet share. */
const ROOT_KEY_POOL = 1000
const ROOT_KEY_BYTES = 16
const TOKEN_LABEL = 'mortise-bench'

export interface InstallationPlan {
  readonly backend: Backend
  readonly macVersion: MacVersion
  readonly devices: number
  /** NetIDs of the network servers, each a peer with a certificate of its own. */
  readonly networks: readonly string[]
}

/** A whole installation of this benchmark's own, with its fleet, its peers and their keys, in one directory. */
export class BenchInstallation {
  readonly root: string
  readonly plan: InstallationPlan
  readonly directory: DataDirectory
  readonly secretFile: string
  readonly fleetFile: string
  readonly kekFile: string
  readonly #softHsm2: SoftHsm2 | undefined

  private constructor(root: string, plan: InstallationPlan, softHsm2: SoftHsm2 | undefined) {
    this.root = root
    this.plan = plan
    this.#softHsm2 = softHsm2
    this.directory = dataDirectory(join(root, 'data'))
    this.secretFile = join(root, 'secret')
    this.fleetFile = join(root, 'fleet.json')
    this.kekFile = join(root, 'kek')
  }

  /**
   * Makes one in `root`, which must not exist, or must be what an earlier call left there.
   * @throws CliError bench_failed
   */
  static async prepare(
    root: string,
    plan: InstallationPlan,
    softHsm2: SoftHsm2 | undefined,
    onProgress: (devices: number) => void,
  ): Promise<BenchInstallation> {
    const installation = new BenchInstallation(root, plan, softHsm2)
    if (!existsSync(installation.#completed)) await installation.#make(onProgress)
    return installation
  }

  /** The environment of every process that opens this HSM. */
  get environment(): NodeJS.ProcessEnv {
    return this.#softHsm2 === undefined ? process.env : { ...process.env, SOFTHSM2_CONF: this.#tokenConfiguration }
  }

  /** The same once more, as it was before its first join. */
  copy(root: string): BenchInstallation {
    cpSync(this.root, root, { recursive: true, mode: constants.COPYFILE_FICLONE })
    const copied = new BenchInstallation(root, this.plan, this.#softHsm2)
    copied.#writeTokenConfiguration()
    return copied
  }

  /** Certificate, key and CA of a network server. */
  peerDirectory(netId: string): string {
    return join(this.root, `peer-${netId}`)
  }

  /** Bytes of the database. */
  databaseBytes(): number {
    return statSync(this.directory.database).size
  }

  /** What `mortise serve` needs to open the HSM. */
  get secretOption(): readonly string[] {
    return [this.plan.backend === 'soft' ? '--passphrase-file' : '--pin-file', this.secretFile]
  }

  get #completed(): string {
    return join(this.root, 'completed')
  }

  get #tokenConfiguration(): string {
    return join(this.root, 'softhsm2.conf')
  }

  async #make(onProgress: (devices: number) => void): Promise<void> {
    mkdirSync(this.root, { recursive: true, mode: 0o700 })
    const hsm = this.#makeSecret()
    const data = ['--data', this.directory.root]
    await runMortise(['init', ...hsm, '--yes', ...data], this.environment)
    this.#makeFleetFile()
    await fillFleet(this, onProgress)
    for (const netId of this.plan.networks)
      await runMortise(
        ['peer', 'add', 'ns', '--net-id', netId, '--issue-certificate', this.peerDirectory(netId), ...data],
        this.environment,
      )
    this.#writeSecret(this.kekFile, randomBytes(32).toString('hex'))
    const kek = ['--as', AS_ID, '--label', KEK_LABEL, '--key-file', this.kekFile]
    await runMortise(['kek', 'set', ...kek, ...data], this.environment)
    // The first start carries the orders out.
    await using server = await ServerProcess.start(this, {})
    await server.stop()
    this.#writeSecret(this.#completed, '')
  }

  /** Passphrase of a soft HSM, or a token with its PIN; returns the options of `init`. */
  #makeSecret(): string[] {
    if (this.#softHsm2 === undefined) {
      this.#writeSecret(this.secretFile, randomBytes(24).toString('base64'))
      return ['--hsm', 'soft', '--passphrase-file', this.secretFile]
    }
    const pin = String(randomBytes(4).readUInt32BE()).padStart(10, '1')
    this.#writeSecret(this.secretFile, pin)
    mkdirSync(join(this.root, 'tokens'))
    this.#writeTokenConfiguration()
    const { util, module } = this.#softHsm2
    // SoftHSM2's tool takes a PIN on its command line only; this one guards keys that live for minutes.
    const pins = ['--pin', pin, '--so-pin', pin]
    execFileSync(util, ['--init-token', '--free', '--label', TOKEN_LABEL, ...pins], {
      env: this.environment,
      stdio: 'pipe',
    })
    const token = ['--pkcs11-module', module, '--pkcs11-token', TOKEN_LABEL, '--pin-file', this.secretFile]
    return ['--hsm', 'pkcs11', ...token]
  }

  #writeTokenConfiguration(): void {
    if (this.#softHsm2 === undefined) return
    const tokens = join(this.root, 'tokens')
    writeFileSync(this.#tokenConfiguration, `directories.tokendir = ${tokens}\nobjectstore.backend = file\n`)
  }

  #makeFleetFile(): void {
    const { macVersion, devices: size } = this.plan
    const pool = () => Array.from({ length: Math.min(ROOT_KEY_POOL, size) }, () => randomBytes(ROOT_KEY_BYTES))
    const nwkKeys = macVersion === '1.1.0' ? pool() : []
    this.#writeSecret(
      this.fleetFile,
      encodeLoadFleet({ macVersion, size, joinEui: JOIN_EUI, appKeys: pool(), nwkKeys }),
    )
  }

  #writeSecret(path: string, text: string): void {
    writeFileSync(path, `${text}\n`, { mode: 0o600 })
  }
}
