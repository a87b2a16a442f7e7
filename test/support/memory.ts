import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SecretSearch, type Secrets } from './secret-search.ts'

export type { Secrets } from './secret-search.ts'

const CHUNK_BYTES = 16 * 1024 * 1024

/** Names of the secrets that occur in `bytes` in any form. For many searches after the same secrets: SecretSearch. */
export function findSecrets(bytes: Buffer, secrets: Secrets): string[] {
  const found = new SecretSearch(secrets).find(bytes)
  return Array.from(secrets.keys()).filter((name) => found.some((hit) => hit.startsWith(`${name} `)))
}

/** Names and forms of the secrets in the memory of a process: all that is written to, or belongs to no file. */
export function searchMemory(pid: number, search: SecretSearch): string[] {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    return searchParts(memory, ownRegions(pid), search)
  } finally {
    closeSync(memory)
  }
}

/** Names and forms of the secrets in a file of any size. A small one is searched as a text, too. */
export function searchFile(path: string, search: SecretSearch): string[] {
  if (statSync(path).size <= CHUNK_BYTES) return search.findInText(readFileSync(path))
  const file = openSync(path, 'r')
  try {
    return searchParts(file, [{ start: 0, end: statSync(path).size }], search)
  } finally {
    closeSync(file)
  }
}

/** Names and forms of the secrets in any file below a directory, each with the file. */
export function searchFiles(directory: string, search: SecretSearch): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const path = join(directory, name)
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return []
    return searchFile(path, search).map((secret) => `${secret} in ${name}`)
  })
}

interface Part {
  readonly start: number
  readonly end: number
}

function searchParts(file: number, parts: readonly Part[], search: SecretSearch): string[] {
  const found = new Set<string>()
  const buffer = Buffer.alloc(CHUNK_BYTES + search.longest)
  for (const { start, end } of parts)
    for (let position = start; position < end; position += CHUNK_BYTES) {
      const length = Math.min(end - position, buffer.length)
      for (const name of search.find(readAt(file, buffer.subarray(0, length), position))) found.add(name)
    }
  return [...found].sort()
}

/** What a core dump holds: the program's own files, unchanged, are left out. */
function ownRegions(pid: number): Part[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) r(w|.).. \S+ \S+ (\d+)/.exec(line)
      return match === null || (match[3] !== 'w' && match[4] !== '0')
        ? []
        : [{ start: parseInt(match[1] ?? '', 16), end: parseInt(match[2] ?? '', 16) }]
    })
}

/** What can be read at a position: nothing of address space that is reserved only. */
function readAt(file: number, buffer: Buffer, position: number): Buffer {
  try {
    return buffer.subarray(0, readSync(file, buffer, 0, buffer.length, position))
  } catch {
    return Buffer.alloc(0)
  }
}
