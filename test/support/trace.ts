import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Installation, ServerProcess } from './installation.ts'

/** A real `mortise serve` with all its processes under strace, and what it was seen to do. */

const CALLS = 'openat,rename,pwrite64,write,writev,sendmsg,sendto,fsync,fdatasync,prctl'
/** The HSM's processes close their memory to every tracer without privileges: here they only believe it. */
const KEEP_OPEN = 'inject=prctl:retval=0'
/** A page of the database, and more than an order's answer. */
const STRING_BYTES = 4200
/** `23</path>` or `23<TCP:[here->there]>`, as the first argument. */
const DESCRIPTOR = /^\d+<(.*?)>(?=,|$)/

export class TracedServer implements AsyncDisposable {
  readonly biUrl: string
  /** Of the server; the tracer is its parent. */
  readonly #pid: number
  readonly #tracer: ServerProcess
  readonly #file: string

  private constructor(tracer: ServerProcess, file: string, { pid, bi }: { pid: number; bi: string }) {
    this.#tracer = tracer
    this.#file = file
    this.#pid = pid
    this.biUrl = `https://${bi}/`
  }

  static async start(installation: Installation): Promise<TracedServer> {
    const file = join(installation.root, 'trace')
    const strings = ['-yy', '-x', '-s', String(STRING_BYTES)]
    const calls = ['-e', `trace=${CALLS}`, '-e', KEEP_OPEN]
    const strace = ['strace', '-f', '--seccomp-bpf', ...strings, ...calls, '-o', file]
    const listeners = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    const tracer = installation.startUnder(strace, 'serve', ...installation.secretOption(), ...listeners)
    await tracer.says('listening')
    await tracer.says('HSM: ready')
    const serverFile = readFileSync(join(installation.data, 'run', 'server.json'), 'utf8')
    return new TracedServer(tracer, file, JSON.parse(serverFile) as { pid: number; bi: string })
  }

  /** Stops the server, and returns everything that it did, in the order in which it did it. */
  async stop(): Promise<SystemCall[]> {
    await this.#end('SIGTERM')
    return parseTrace(readFileSync(this.#file, 'latin1'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#tracer.ended) await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const closed = once(this.#tracer.child, 'close')
    process.kill(this.#pid, signal)
    await closed
  }
}

export interface SystemCall {
  readonly pid: number
  readonly name: string
  /** Places in the trace: a call began before another one when its `begin` is lower. */
  readonly begin: number
  readonly end: number
  /** What the descriptor that is its first argument belongs to: a path, or a socket with its two sides. */
  readonly target: string
  /** The arguments as strace writes them. */
  readonly text: string
  readonly result: number
}

/** Reads what `strace -f -yy -o` wrote. Calls that never returned are left out. */
export function parseTrace(trace: string): SystemCall[] {
  const calls: SystemCall[] = []
  const unfinished = new Map<string, { begin: number; name: string; text: string }>()
  for (const [index, line] of trace.split('\n').entries()) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    const [, name = '', text = ''] = resumed ?? /^(\w+)\((.*)$/.exec(rest) ?? []
    const start = resumed === null ? { begin: index, name, text: '' } : unfinished.get(pid)
    if (start === undefined || name === '') continue
    const whole = start.text + text
    if (whole.endsWith(' <unfinished ...>')) {
      unfinished.set(pid, { ...start, text: whole.slice(0, -' <unfinished ...>'.length) })
      continue
    }
    unfinished.delete(pid)
    const call = toCall(Number(pid), start.name, start.begin, index, whole)
    if (call !== undefined) calls.push(call)
  }
  return calls
}

function toCall(pid: number, name: string, begin: number, end: number, whole: string): SystemCall | undefined {
  const [, text, result] = /^(.*)\) += (-?\d+)[^=]*$/.exec(whole) ?? []
  if (text === undefined || result === undefined) return undefined
  const target = DESCRIPTOR.exec(text)?.[1] ?? ''
  return { pid, name, begin, end, target, text, result: Number(result) }
}

/** The bytes of the first string among the arguments. */
export function dataOf({ text }: SystemCall): Buffer {
  // A descriptor may name its file or socket in quotes too.
  const quoted = /"((?:[^"\\]|\\.)*)"/.exec(text.replace(DESCRIPTOR, ''))?.[1] ?? ''
  const bytes: number[] = []
  for (const [piece, hex, octal] of quoted.matchAll(/\\x([0-9a-f]{2})|\\([0-7]{1,3})|\\?[^]/g))
    if (hex !== undefined) bytes.push(parseInt(hex, 16))
    else if (octal !== undefined) bytes.push(parseInt(octal, 8))
    else bytes.push((ESCAPES[piece] ?? piece.slice(-1)).charCodeAt(0))
  return Buffer.from(bytes)
}

const ESCAPES: Readonly<Record<string, string>> = { '\\n': '\n', '\\t': '\t', '\\r': '\r', '\\v': '\v', '\\f': '\f' }
