import { demand } from '../failure.ts'
import type { Random } from '../random.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import type { FileKind } from './kinds.ts'

/** What became of a file: `read`, or the name of the refusal. */
export interface FileOutcome {
  readonly kind: string
  readonly outcome: string
}

/** Longer than anything here takes on a busy machine. */
const MAX_MS = 5000
/** More than a message has to say; device files name up to twenty faults. */
const MAX_MESSAGE = 4096

/**
 * Reads one damaged file. Either a value comes of it, which then has to be in order, or one of the errors that are
 * documented, which has to keep the secrets of the file to itself.
 * @param keep gets the bytes before they are read
 */
export async function runFileCase(
  random: Random,
  kinds: readonly FileKind[],
  scanner: SecretScanner,
  keep: (bytes: Buffer) => void,
): Promise<FileOutcome> {
  const kind = random.pick(kinds)
  const seed = random.pick(kind.seeds)
  const bytes = random.chance(0.02) ? seed : kind.mutate(random, seed, kind.seeds)
  keep(bytes)
  const startedAt = performance.now()
  const outcome = await readOne(kind, bytes, seed, scanner)
  demand(performance.now() - startedAt < MAX_MS, 'slow', `${kind.name}: ${performance.now() - startedAt} ms`)
  demand(outcome === 'read' || !bytes.equals(seed), 'false_refusal', `${kind.name}: ${outcome}`)
  return { kind: kind.name, outcome }
}

async function readOne(kind: FileKind, bytes: Buffer, seed: Buffer, scanner: SecretScanner): Promise<string> {
  let value: unknown
  try {
    // A copy: what is read may be wiped.
    value = await kind.read(Buffer.from(bytes))
  } catch (error) {
    return refusalOf(kind, error, scanner)
  }
  const complaint = kind.complaint(value, bytes, seed)
  demand(complaint === undefined, 'wrong_value', `${kind.name}: ${complaint ?? ''}`)
  return 'read'
}

function refusalOf(kind: FileKind, error: unknown, scanner: SecretScanner): string {
  const name = nameOf(error)
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  demand(kind.refusals.includes(name), 'undocumented_error', `${kind.name}: ${name}: ${stack}`)
  const told = Buffer.from(JSON.stringify([error instanceof Error ? error.message : '', factsOf(error)]))
  const secrets = scanner.find(told)
  demand(secrets.length === 0, 'secret_in_error', `${kind.name}: ${secrets.join(', ')}`)
  demand(told.length <= MAX_MESSAGE, 'long_error', `${kind.name}: ${told.length} bytes`)
  return name
}

/** The class of an error and its code, as the documentation names them. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? `${error.name}: ${code}` : error.name
}

function factsOf(error: unknown): unknown {
  return error instanceof Error && 'facts' in error ? error.facts : undefined
}
