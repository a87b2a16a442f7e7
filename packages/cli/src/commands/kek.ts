import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { KEK_ID_BYTES, KEK_SIZES, type KekSize, readSecretLine } from '@mortise/hsm'
import { hexToBytes, type NetId } from '@mortise/lorawan'
import type { KekView } from '@mortise/server'
import { openAdministration } from '../administration.ts'
import { missingKekRecipient } from '../devices/recipients.ts'
import { CliError, usageError } from '../errors.ts'
import { asIdOption, labelOption, netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { asPath, examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, table, warn } from '../output.ts'
import { confirmDestruction } from '../terminal.ts'

interface KekSetOptions extends ServerOptions {
  readonly ns?: NetId
  readonly as?: string
  readonly label: string
  readonly keyFile: string
}

interface KekRemoveOptions extends ServerOptions {
  readonly yes?: boolean
}

export function registerKek(program: Command): void {
  const kek = program.command('kek').description('key-encryption keys shared with network and application servers')
  examples(kek, 'mortise kek set --as door-app --label door-app-1 --key-file ./kek.hex', 'mortise kek list')
  registerSet(kek)
  registerList(kek)
  registerShow(kek)
  registerRemove(kek)
}

function registerSet(kek: Command): void {
  const command = withServer(kek.command('set'))
    .description('give a recipient a new KEK; it is used from then on, older ones for what they wrapped')
    .option('--ns <netid>', 'network server that has the KEK', netIdOption)
    .option('--as <id>', 'application server that has the KEK', asIdOption)
    .requiredOption('--label <label>', 'KEKLabel on the wire; it never names another value', labelOption)
    .requiredOption('--key-file <file>', '16, 24 or 32 bytes as hex; mode 0600 or stricter', asPath)
    .action(setKek)
  examples(
    command,
    '(umask 077 && openssl rand -hex 32 > kek.hex)',
    'mortise kek set --as door-app --label door-app-1 --key-file ./kek.hex',
    'mortise kek set --ns 000013 --label operator-a-1 --key-file ./ns-kek.hex',
  )
}

async function setKek(options: KekSetOptions): Promise<void> {
  const { ns, as, label, keyFile } = options
  if ((ns === undefined) === (as === undefined)) throw usageError('give either --ns NETID or --as ID')
  const kind = ns === undefined ? 'as' : 'ns'
  const recipient = ns ?? as ?? ''
  const key = readKek(keyFile)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const kekId = randomBytes(KEK_ID_BYTES).toString('hex')
  try {
    const desk = new OrderDesk(administration, operator)
    const missing = await missingKekRecipient(administration, kind, recipient)
    const order = await desk.submit(
      [{ action: 'kek.set', kek: kekId, kind, recipient, owner: desk.owner, label, size: key.size, key: 0 }],
      { keys: [key.bytes] },
    )
    missing.forEach(warn)
    report(options, { ...order, kekId, kind, recipient, label, size: key.size }, () => {
      return `${kind} ${recipient} has the KEK ${label} (${key.size} bytes). ${outcome(order, administration)}`
    })
  } finally {
    key.bytes.fill(0)
  }
}

/** @throws SecretFileError, CliError key_file_malformed */
export function readKek(path: string): { bytes: Uint8Array; size: KekSize } {
  const hint = `(umask 077 && openssl rand -hex 32 > ${path})`
  const line = readSecretLine(path, hint)
  const text = line.toString('latin1').trim()
  line.fill(0)
  // Its length first: the pattern alone takes more of the stack for a file of many megabytes than there is.
  const size = KEK_SIZES.find((known) => 2 * known === text.length)
  const bytes = /^[0-9a-fA-F]+$/.test(text) && size !== undefined ? hexToBytes(text) : new Uint8Array()
  if (size === undefined || bytes.length === 0)
    throw new CliError('key_file_malformed', `${path} must hold 16, 24 or 32 bytes as hexadecimal digits`, { hint })
  if (bytes.every((byte) => byte === 0))
    throw new CliError('key_file_malformed', `${path}: a key of zeros is no key`, { hint })
  return { bytes, size }
}

function registerList(kek: Command): void {
  const command = withServer(kek.command('list'))
    .description('list KEKs')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const keks = await administration.listKeks()
      report(options, keks, () => {
        if (keks.length === 0) return 'There is no KEK yet: see `mortise kek set --help`.'
        const rows = keks.map(({ kekId, kind, recipient, label, version, size }) => [
          kind,
          recipient,
          label,
          String(version),
          String(size),
          kekId,
        ])
        return table(['KIND', 'RECIPIENT', 'LABEL', 'VERSION', 'BYTES', 'KEK ID'], rows)
      })
    })
  examples(command, 'mortise kek list', 'mortise kek list --json')
}

function registerShow(kek: Command): void {
  const command = withServer(kek.command('show'))
    .description('show a KEK; never the key')
    .argument('<kek>', 'label or KEK id')
    .action(async (name: string, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const found = findKek(await administration.listKeks(), name)
      report(options, found, () =>
        [
          `KEK ${found.label} of ${found.kind} ${found.recipient}`,
          `  KEK id   ${found.kekId}`,
          `  version  ${found.version}, the highest of a recipient is used`,
          `  size     ${found.size} bytes`,
          `  set      ${found.createdAt}`,
        ].join('\n'),
      )
    })
  examples(command, 'mortise kek show door-app-1')
}

function registerRemove(kek: Command): void {
  const command = withServer(kek.command('remove'))
    .description('destroy a KEK')
    .argument('<kek>', 'label or KEK id')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: KekRemoveOptions) => {
      const operator = openOperator(options)
      await using administration = await openAdministration(options)
      const found = findKek(await administration.listKeks(), name)
      await confirmDestruction(options.yes, `Destroy the KEK ${found.label} of ${found.kind} ${found.recipient}?`)
      const desk = new OrderDesk(administration, operator)
      const { kekId, kind, recipient, label, recordVersion } = found
      const change = { action: 'kek.remove', kek: kekId, kind, recipient, label, replaces: recordVersion } as const
      const order = await desk.submit([change])
      report(
        options,
        { ...order, kekId: found.kekId },
        () => `KEK ${found.label} is removed. ${outcome(order, administration)}`,
      )
    })
  examples(command, 'mortise kek remove door-app-1')
}

/** @throws CliError kek_unknown, kek_ambiguous */
function findKek(keks: readonly KekView[], name: string): KekView {
  const [kek, other] = keks.filter(({ kekId, label }) => kekId === name.toLowerCase() || label === name)
  if (kek === undefined)
    throw new CliError('kek_unknown', `there is no KEK ${name}`, { hint: 'see `mortise kek list`' })
  if (other !== undefined)
    throw new CliError('kek_ambiguous', `${name} is the label of more than one recipient's KEK`, {
      hint: 'give the KEK id that `mortise kek list` shows',
    })
  return kek
}
