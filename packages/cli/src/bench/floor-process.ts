import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TLS_OPTIONS } from '@mortise/server'
import type { BenchInstallation } from './installation.ts'

const FLOOR_MAIN = fileURLToPath(new URL('./floor-main.ts', import.meta.url))

/** The bare HTTPS server that every figure is compared with. */
export class FloorProcess implements AsyncDisposable {
  readonly port: number
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    this.pid = child.pid ?? 0
  }

  static async start({ directory, plan }: Pick<BenchInstallation, 'directory' | 'plan'>): Promise<FloorProcess> {
    const { tlsCertificate, tlsKey } = directory
    const tls = ['--cert', tlsCertificate, '--key', tlsKey, '--tls', JSON.stringify(TLS_OPTIONS)]
    const args = [FLOOR_MAIN, ...tls, '--version', plan.macVersion]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => {
        resolve(Number(chunk.toString()))
      })
      child.once('error', reject)
      child.once('close', () => {
        reject(new Error('the bare server ended'))
      })
    })
    return new FloorProcess(child, port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.stdin?.end()
    await closed
  }
}
