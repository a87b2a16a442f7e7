import { CliError } from '../errors.ts'
import { openSecretStream } from '../files.ts'
import { counted } from '../output.ts'
import { type DeviceEntry, DeviceLineError, parseDeviceLine } from './device-line.ts'
import { readLines } from './read-lines.ts'

/** A device of a file and where it stands. */
export interface NumberedEntry {
  readonly line: number
  readonly entry: DeviceEntry
}

export interface FileSummary {
  readonly devices: number
  readonly withoutApplicationServer: number
  readonly withoutNetwork: number
}

interface LineFault {
  readonly line: number
  readonly message: string
}

const MAX_LINE_BYTES = 16 * 1024
/** Enough to see what is wrong with a file. */
const MAX_REPORTED_FAULTS = 20

/**
 * Reads the whole file once and refuses it, with line numbers, unless every line can be used: a file is taken whole.
 * @throws SecretFileError, CliError device_file_invalid
 */
export async function checkDeviceFile(path: string): Promise<FileSummary> {
  const faults: LineFault[] = []
  const seen = new Map<string, number>()
  const summary = { devices: 0, withoutApplicationServer: 0, withoutNetwork: 0 }
  for await (const { line, entry, fault } of readEntries(path)) {
    if (faults.length === MAX_REPORTED_FAULTS) break
    if (entry === undefined) {
      faults.push({ line, message: fault })
      continue
    }
    const first = seen.get(entry.devEui)
    if (first === undefined) seen.set(entry.devEui, line)
    else faults.push({ line, message: `DevEUI ${entry.devEui} stands in line ${first} already` })
    summary.devices++
    if (entry.applicationServers.length === 0 && !entry.networkIsApplicationServer) summary.withoutApplicationServer++
    if (entry.networks.length === 0) summary.withoutNetwork++
  }
  if (faults.length > 0) throw invalidFile(path, faults)
  if (summary.devices === 0) throw new CliError('device_file_invalid', `${path} has no device in it`)
  return summary
}

/** The devices of a file that {@link checkDeviceFile} has seen, `size` at a time. */
export async function* readBatches(path: string, size: number): AsyncGenerator<NumberedEntry[]> {
  let batch: NumberedEntry[] = []
  for await (const { line, entry, fault } of readEntries(path)) {
    if (entry === undefined)
      throw new CliError('device_file_changed', `${path}:${line}: the file was changed while it was read: ${fault}`)
    batch.push({ line, entry })
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

type ReadEntry =
  | { readonly line: number; readonly entry: DeviceEntry; readonly fault?: never }
  | { readonly line: number; readonly entry?: never; readonly fault: string }

async function* readEntries(path: string): AsyncGenerator<ReadEntry> {
  await using file = await openSecretStream(path)
  const stream: AsyncIterable<Buffer> = file.createReadStream({ autoClose: false })
  for await (const { number: line, text } of readLines(stream, MAX_LINE_BYTES)) {
    if (text === undefined) yield { line, fault: `longer than ${MAX_LINE_BYTES} bytes` }
    else if (text.trim() !== '') yield readEntry(line, text)
  }
}

function readEntry(line: number, text: string): ReadEntry {
  try {
    return { line, entry: parseDeviceLine(text) }
  } catch (error) {
    if (!(error instanceof DeviceLineError)) throw error
    return { line, fault: error.message }
  }
}

function invalidFile(path: string, faults: readonly LineFault[]): CliError {
  const many =
    faults.length === MAX_REPORTED_FAULTS ? `the first ${MAX_REPORTED_FAULTS} faults` : counted(faults.length, 'fault')
  const lines = faults.map(({ line, message }) => `\n  ${path}:${line}: ${message}`).join('')
  return new CliError('device_file_invalid', `no device was added; ${many}:${lines}`, {
    hint: 'mend these lines and run the command again',
    facts: { lines: faults },
  })
}
