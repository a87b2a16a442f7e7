import type { X509Certificate } from 'node:crypto'
import { type BigIntStats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { SecretFileError } from '@mortise/hsm'
import { subjectText } from '../certificate-subject.ts'
import type { TlsFiles } from '../config/index.ts'
import { messageOf } from '../message-of.ts'
import { isNamed } from './certificates-names.ts'
import { CertificateError, type CertificatePair, readCertificatePair } from './certificates.ts'

export interface WatchedCertificateOptions {
  readonly log: (line: string) => void
  /** What clients ask for the server by: a name that the certificate lacks is worth a warning. */
  readonly names: readonly string[]
  /** How long a pair that was refused, for a reason that may pass, is left alone. */
  readonly retryMs?: number
}

/**
 * Twice this, and a little, is the longest until a changed file is in use. Looked at, and not waited for: what tells of
 * changes (inotify) knows nothing of network file systems, and loses a link that is turned to another file.
 */
const LOOK_MS = 200

/** The one before still serves meanwhile. */
const RETRY_MS = 30_000

/** Reasons to refuse a pair that may pass although its files stay as they are. */
const PASSING: ReadonlySet<string> = new Set([
  ...['certificate_not_yet_valid', 'certificate_expired', 'certificate_missing', 'certificate_unreadable'],
  ...['secret_file_missing', 'secret_file_unreadable'],
])

/** The certificate of a listener. Follows its files while the server runs. */
export class WatchedCertificate implements Disposable {
  readonly #files: TlsFiles
  readonly #options: WatchedCertificateOptions
  readonly #apply: ((tls: CertificatePair['tls']) => void)[] = []
  readonly #timer: NodeJS.Timeout
  #pair: CertificatePair
  /** What the files looked like when their content was last taken, or refused. */
  #decided: string
  /** What they looked like a moment ago: files that still change are not read. */
  #seen: string
  #looking = false
  /** Why the pair was refused, and when it is looked at again. */
  #refused: { readonly reason: string; readonly retryAt: number } | undefined

  /** @throws CertificateError, SecretFileError */
  constructor(files: TlsFiles, options: WatchedCertificateOptions) {
    this.#files = files
    this.#options = options
    // Before they are read, so that no change goes unseen.
    this.#decided = this.#seen = appearanceNow(files)
    this.#pair = readCertificatePair(files, Date.now())
    this.#warn()
    this.#timer = setInterval(() => void this.#look(), LOOK_MS).unref()
  }

  get tls(): CertificatePair['tls'] {
    return this.#pair.tls
  }

  get certificate(): X509Certificate {
    return this.#pair.leaf
  }

  /** Calls `apply` with every pair that takes the place of the one before. */
  onChange(apply: (tls: CertificatePair['tls']) => void): void {
    this.#apply.push(apply)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** Never rejects: not being there is one of the ways that a file can look. */
  async #look(): Promise<void> {
    // A network file system may take longer to answer.
    if (this.#looking) return
    this.#looking = true
    const seen = await appearanceOf(this.#files)
    this.#looking = false
    const isSettled = seen === this.#seen
    this.#seen = seen
    if (!isSettled) return
    if (seen !== this.#decided) this.#refused = undefined
    else if (this.#refused === undefined || performance.now() < this.#refused.retryAt) return
    this.#decided = seen
    this.#exchange()
  }

  #exchange(): void {
    try {
      const pair = readCertificatePair(this.#files, Date.now())
      this.#refused = undefined
      if (isSame(pair, this.#pair)) return
      for (const apply of this.#apply) apply(pair.tls)
      this.#pair = pair
    } catch (error) {
      this.#refuse(error)
      return
    }
    const { leaf } = this.#pair
    this.#options.log(
      `${this.#files.certificate} is in use now: ${subjectText(leaf)}, until ${leaf.validToDate.toISOString()}`,
    )
    this.#warn()
  }

  /** Each reason is told once. */
  #refuse(error: unknown): void {
    const { certificate, key } = this.#files
    const { log, retryMs = RETRY_MS } = this.#options
    const reason = messageOf(error)
    if (reason !== this.#refused?.reason)
      log(`${certificate} or ${key} has changed and is refused, the one before is kept: ${reason}`)
    this.#refused = { reason, retryAt: mayPass(error) ? performance.now() + retryMs : Infinity }
  }

  #warn(): void {
    const { leaf } = this.#pair
    const { certificate } = this.#files
    const missing = this.#options.names.filter((name) => !isNamed(leaf, name))
    if (leaf.subjectAltName === undefined)
      this.#options.log(`warning: ${certificate} has no subjectAltName, so that most network servers refuse it`)
    else if (missing.length > 0)
      this.#options.log(
        `warning: ${certificate} does not name ${missing.join(', ')}: whoever asks for the server by that name refuses it`,
      )
  }
}

/** A read that breaks off is none of the refusals that have a code here. */
function mayPass(error: unknown): boolean {
  const isCoded = error instanceof CertificateError || error instanceof SecretFileError
  return !isCoded || PASSING.has(error.code)
}

function isSame(a: CertificatePair, b: CertificatePair): boolean {
  return a.tls.cert === b.tls.cert && a.tls.key === b.tls.key
}

function appearanceNow({ certificate, key }: TlsFiles): string {
  const stats = [certificate, key].map((path) => {
    try {
      return statSync(path, { bigint: true })
    } catch {
      // What is wrong with it is told when it is read.
      return undefined
    }
  })
  return stats.map(appearance).join(' ')
}

async function appearanceOf({ certificate, key }: TlsFiles): Promise<string> {
  const stats = await Promise.all([certificate, key].map((path) => stat(path, { bigint: true }).catch(() => undefined)))
  return stats.map(appearance).join(' ')
}

/** Differs after every change of the content, of the mode, and of what a link leads to. */
function appearance(stats: BigIntStats | undefined): string {
  return stats === undefined
    ? 'out of reach'
    : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join('.')
}
