import { json } from 'node:stream/consumers'
import { HsmError } from '../errors.ts'
import { sayLastWords, tellable } from '../process/last-words.ts'
import { protectProcess } from '../process/protect.ts'
import { readSecretLine, SecretFileError } from '../secret-file.ts'
import { type BackendChoice, createHsm } from './create-hsm.ts'

/**
 * The ceremony as a process of its own, so that no other ever holds a storage key. Takes one JSON request on standard
 * input and prints one JSON answer; the secret comes from a file, or on the same pipe when a person typed it.
 */
export interface CeremonyRequest {
  readonly directory: string
  readonly backend: BackendChoice
  readonly secretFile?: string
  readonly secret?: string
  /** SPKI, DER, base64. */
  readonly operatorPublicKey: string
  readonly recoveryFile: string
  readonly recoveryKeyFile: string
}

export type CeremonyAnswer =
  | { readonly ok: true; readonly hsmId: string; readonly importPublicKey: string; readonly receiptPublicKey: string }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint?: string }

function run(request: CeremonyRequest): CeremonyAnswer {
  const secret =
    request.secretFile === undefined ? Buffer.from(request.secret ?? '') : readSecretLine(request.secretFile)
  if (secret.length === 0) throw new HsmError('wrong_passphrase', 'empty')
  const created = createHsm({ ...request, secret, operatorPublicKey: Buffer.from(request.operatorPublicKey, 'base64') })
  return {
    ok: true,
    hsmId: created.hsmId,
    importPublicKey: created.importPublicKey.toString('base64'),
    receiptPublicKey: created.receiptPublicKey.toString('base64'),
  }
}

function failure(error: unknown): CeremonyAnswer {
  if (error instanceof SecretFileError) return { ok: false, code: error.code, message: error.message, hint: error.hint }
  if (error instanceof HsmError) return { ok: false, code: error.code, message: error.message }
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
  return { ok: false, code, message: tellable(error).message }
}

async function main(): Promise<void> {
  sayLastWords()
  protectProcess((line) => process.stderr.write(`mortise hsm: ${line}\n`))
  const request = (await json(process.stdin)) as CeremonyRequest
  let answer: CeremonyAnswer
  try {
    answer = run(request)
  } catch (error) {
    answer = failure(error)
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

await main()
