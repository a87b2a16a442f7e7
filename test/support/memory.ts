import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Secrets by name; each is looked for in every form in which bytes get about. */
export type Secrets = ReadonlyMap<string, Buffer>

const CHUNK_BYTES = 16 * 1024 * 1024

/** Raw bytes, hex in both cases (also as UTF-16, as V8 may keep strings), and base64 without its padding. */
function formsOf(secret: Buffer): Buffer[] {
  const hex = secret.toString('hex')
  const texts = [hex, hex.toUpperCase(), secret.toString('base64').replaceAll('=', ''), secret.toString('base64url')]
  return [secret, ...texts.flatMap((text) => [Buffer.from(text, 'latin1'), Buffer.from(text, 'utf16le')])]
}

/** Names of the secrets that occur in `bytes`. */
export function findSecrets(bytes: Buffer, secrets: Secrets): string[] {
  return Array.from(secrets).flatMap(([name, secret]) =>
    formsOf(secret).some((form) => bytes.includes(form)) ? [name] : [],
  )
}

/** Names of the secrets that occur in the readable and writable memory of a process. */
export function searchMemory(pid: number, secrets: Secrets): string[] {
  const overlap = 4 * Math.max(...Array.from(secrets.values(), (secret) => secret.length))
  const found = new Set<string>()
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const { start, end } of writableRegions(pid))
      for (let position = start; position < end; position += CHUNK_BYTES)
        for (const name of findSecrets(
          readMemory(memory, position, Math.min(end, position + CHUNK_BYTES + overlap)),
          secrets,
        ))
          found.add(name)
  } finally {
    closeSync(memory)
  }
  return [...found]
}

/** Names of the secrets that occur in any file below a directory, with the file. */
export function searchFiles(directory: string, secrets: Secrets): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const path = join(directory, name)
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return []
    return findSecrets(readFileSync(path), secrets).map((secret) => `${secret} in ${name}`)
  })
}

function writableRegions(pid: number): { start: number; end: number }[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (rw..)/.exec(line)
      return match === null ? [] : [{ start: parseInt(match[1] ?? '', 16), end: parseInt(match[2] ?? '', 16) }]
    })
}

function readMemory(fd: number, start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start)
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, start))
  } catch {
    // Reserved address space that holds nothing cannot be read.
    return Buffer.alloc(0)
  }
}
