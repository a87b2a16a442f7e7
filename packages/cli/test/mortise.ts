import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The real command, as a person or a program starts it. */
export const BIN = fileURLToPath(new URL('../bin/mortise', import.meta.url))
export const PASSPHRASE = 'tin-whistle-above-the-harbour-4711'
const TIMEOUT_MS = 30_000

export interface Transcript {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly node?: string
  readonly nodeOptions?: readonly string[]
  readonly bin?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export function start(words: readonly string[], options: RunOptions = {}): ChildProcess {
  const { node = process.execPath, nodeOptions = [], bin = BIN, env = {}, cwd } = options
  return spawn(node, [...nodeOptions, bin, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  })
}

/** Runs a command to its end; there is no terminal. */
export async function mortise(words: readonly string[], options: RunOptions = {}): Promise<Transcript> {
  const child = start(words, options)
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  try {
    return await transcriptOf(child)
  } finally {
    clearTimeout(timer)
  }
}

export async function transcriptOf(child: ChildProcess): Promise<Transcript> {
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, ...output }
}

/** Runs a command that must succeed and gives what it says with `--json`. */
export async function json<T>(words: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await mortise([...words, '--json'])
  if (code !== 0) throw new Error(`mortise ${words.join(' ')}: exit code ${code}\n${stderr}`)
  return JSON.parse(stdout) as T
}

/** A directory of its own with a passphrase file, and `data` for an installation that is not there yet. */
export class Workplace implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'mortise-cli-'))
  readonly data = this.path('js')
  readonly passphraseFile = this.secret('passphrase', `${PASSPHRASE}\n`)

  path(name: string): string {
    return join(this.root, name)
  }

  /** A file of mode 0600, unless said otherwise. */
  secret(name: string, content: string, mode = 0o600): string {
    const path = this.path(name)
    writeFileSync(path, content, { mode })
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

export async function initialise({ data, passphraseFile }: Workplace): Promise<void> {
  await json(['init', '--data', data, '--passphrase-file', passphraseFile])
}

/** A server of this installation, on free ports. */
export class Server {
  readonly #child: ChildProcess
  readonly #ended: Promise<Transcript>
  readonly facts: { readonly bi: string; readonly api: string; readonly pid: number }

  private constructor(child: ChildProcess, ended: Promise<Transcript>, facts: Server['facts']) {
    this.#child = child
    this.#ended = ended
    this.facts = facts
  }

  static async start(data: string, ...options: string[]): Promise<Server> {
    const words = ['serve', '--data', data, '--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0', '--json']
    const child = start([...words, ...options])
    const ended = transcriptOf(child)
    const firstLine = new Promise<string>((resolve) =>
      child.stdout?.once('data', (line: Buffer) => {
        resolve(line.toString())
      }),
    )
    const line = await Promise.race([
      firstLine,
      ended.then(({ stderr }) => {
        throw new Error(stderr)
      }),
    ])
    return new Server(child, ended, JSON.parse(line) as Server['facts'])
  }

  async stop(): Promise<Transcript> {
    this.#child.kill('SIGTERM')
    return await this.#ended
  }
}
