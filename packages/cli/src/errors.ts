/** A failure that a person can act on: what is wrong, and the next step. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** Stable, for programs. */
  readonly code: string
  readonly hint: string | undefined
  /** 1; 2 when the command itself is wrong. */
  readonly exitCode: 1 | 2
  /** More for programs (`--json`) than fits the message. */
  readonly facts: Readonly<Record<string, unknown>>

  constructor(
    code: string,
    message: string,
    options: ErrorOptions & { hint?: string; exitCode?: 1 | 2; facts?: Record<string, unknown> } = {},
  ) {
    super(message, options)
    this.code = code
    this.hint = options.hint
    this.exitCode = options.exitCode ?? 1
    this.facts = options.facts ?? {}
  }
}

/** The command is wrong: exit code 2. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError('usage', message, { exitCode: 2, ...(hint !== undefined && { hint }) })
}

/** The `code` of an error of any package, or of the operating system. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** What is told of a failure. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly exitCode: 1 | 2
  readonly facts: Readonly<Record<string, unknown>>
}

/** Turns whatever was thrown into what a person, or a program, is told. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CliError) {
    const { code, message, hint, exitCode, facts } = error
    return { code, message, exitCode, facts, ...(hint !== undefined && { hint }) }
  }
  const code = errorCode(error) ?? 'unexpected'
  const known = EXPLANATIONS[code]
  const hint = hintOf(error) ?? known?.hint
  const message = known === undefined ? messageOf(error) : `${known.message}${detailOf(error, code)} [${code}]`
  return { code, message, exitCode: 1, facts: {}, ...(hint !== undefined && { hint }) }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unexpected failure'
}

function hintOf(error: unknown): string | undefined {
  return error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
}

/** What an error says beside its code: as a member, or after the code in its message. */
function detailOf(error: unknown, code: string): string {
  const detail = error instanceof Error && 'detail' in error ? error.detail : undefined
  if (typeof detail === 'string' && detail !== '') return `: ${detail}`
  const message = messageOf(error)
  return message.startsWith(`${code}: `) ? message.slice(code.length) : ''
}

interface Explanation {
  readonly message: string
  readonly hint?: string
}

const LOST_COMMITS =
  'put the newest mortise.db and mortise.db-wal back; nothing was changed. To go on with this one all the same, see ' +
  'docs/operations.md, "When the database is refused": nonces that were used since then will be used again'

/** Codes of the server and of the trust boundary that an operator meets, in words, with the next step. */
const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  device_exists: {
    message: 'there is a device with this DevEUI and JoinEUI already',
    hint: 'look at it with `mortise device show EUI`; remove it first if it is to be replaced',
  },
  peer_exists: {
    message: 'there is a peer with this id, certificate or token already',
    hint: 'see `mortise peer list`',
  },
  route_exists: {
    message: 'there is a route for these JoinEUIs already',
    hint: 'see `mortise route list`; remove it first if it is to be replaced',
  },
  peer_settings_invalid: {
    message: 'the settings of the peer do not go together',
    hint: 'see `mortise peer set --help`',
  },
  certificate_last: {
    message: 'the peer is known by nothing but this certificate',
    hint: 'give it another one first (mortise peer certificate add), or let nobody in: mortise peer disable',
  },
  certificate_limit: {
    message: 'the peer has as many certificates as it may have',
    hint: 'remove one that it does not show any more: mortise peer certificate remove',
  },
  token_last: {
    message: 'the peer is known by nothing but this token',
    hint: 'give it another one first (mortise peer token add), or let nobody in: mortise peer disable',
  },
  token_limit: {
    message: 'the peer has as many tokens as it may have',
    hint: 'remove one that it does not show any more: mortise peer token remove',
  },
  agreement_exists: { message: 'there is this agreement already', hint: 'see `mortise peer agreement list`' },
  agreement_unknown: { message: 'there is no such agreement', hint: 'see `mortise peer agreement list`' },
  peer_limit: {
    message: 'there are as many peers as there may be',
    hint: 'remove one that does not come any more: mortise peer remove',
  },
  agreement_limit: {
    message: 'there are as many agreements as there may be',
    hint: 'agree on a prefix of JoinEUIs in place of single devices: mortise peer agreement add --join-eui',
  },
  route_limit: {
    message: 'there are as many routes as there may be',
    hint: 'remove one that nobody needs any more: mortise route remove',
  },
  route_unknown: { message: 'there is no such route', hint: 'see `mortise route list`' },
  kek_exists: { message: 'this KEK is there already', hint: 'see `mortise kek list`' },
  label_in_use: {
    message: 'the label already names another KEK of this recipient, and a label never changes its meaning',
    hint: 'choose another label; the newest KEK of a recipient is the one that is used',
  },
  order_signature_invalid: {
    message: 'the HSM does not obey this operator key',
    hint: 'use the operator key that `mortise init` made for this HSM (--operator-key-file)',
  },
  order_for_other_hsm: {
    message: 'the order names another HSM',
    hint: 'hsm.json beside the operator key must be the one that `mortise init` made for this HSM',
  },
  order_record_mismatch: {
    message: 'the server showed one thing under the name of another',
    hint: 'nothing was changed; do not trust this server before you know why',
  },
  order_version_mismatch: {
    message: 'it was changed meanwhile',
    hint: 'look at it again and repeat the command',
  },
  envelope_damaged: {
    message: 'the HSM cannot open the sealed keys',
    hint: 'hsm.json beside the operator key must be the one that `mortise init` made for this HSM',
  },
  wrong_passphrase: { message: 'the passphrase or PIN is wrong', hint: 'try again with the right one' },
  sealed: { message: 'the HSM is sealed', hint: 'open it with `mortise unseal`' },
  store_rolled_back: {
    message: 'the sealed store of the HSM is older than what the database knows',
    hint: 'restore the newest copy of DIR/hsm, or go on with this one: mortise accept-rollback --help',
  },
  database_locked: {
    message: 'another Mortise process works on this directory',
    hint: 'wait for it to end, or stop it',
  },
  database_newer: {
    message: 'the database was written by a newer version of Mortise',
    hint: 'use that version, or restore a backup',
  },
  database_corrupt: {
    message: 'the database is damaged',
    hint: 'restore a backup: docs/operations.md, "When the database is refused"; nothing was changed',
  },
  database_log_missing: {
    message: 'the write-ahead log (mortise.db-wal) of the database is gone, and with it commits that were answered',
    hint: LOST_COMMITS,
  },
  database_rolled_back: {
    message: 'the database lacks commits that were answered: it is an older copy, or its log was damaged',
    hint: LOST_COMMITS,
  },
  database_read_only: {
    message: 'the database cannot be written',
    hint: 'the data directory and mortise.db must be writable for the user that runs `mortise serve`',
  },
  database_not_durable: {
    message: 'SQLite cannot be durable on this file system',
    hint: 'use a local one, no network share',
  },
  disk_full: { message: 'the disk is full', hint: 'make space; a running server goes on by itself' },
  disk_failed: { message: 'the disk, or the file system, failed', hint: 'see what the kernel says: dmesg' },
  EADDRINUSE: {
    message: 'another program listens on that address already',
    hint: 'stop it, or choose other addresses with --bi-listen and --api-listen',
  },
  dns_failed: {
    message: 'no name server answers',
    hint: 'does this machine reach one? --dns-server names another',
  },
  database_missing: { message: 'there is no database here', hint: 'is --data the right directory?' },
}
