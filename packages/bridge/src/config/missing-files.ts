import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ConfigFault } from './config-error.ts'
import { TLS_MEMBERS } from './files.ts'

const FILE_MEMBERS: ReadonlySet<string> = new Set(['file', 'passwordFile', 'tokenFile', ...TLS_MEMBERS])
/** `sinks`, its entry, and a member of that; or `source`, `mqtt`, and a member of that. */
const MAX_DEPTH = 3

/**
 * Every file that a configuration names and that is not there. The reading of a section ends at the first, and whoever has
 * files still to come wants to know of all.
 */
export function missingFiles(value: unknown, directory: string, path = '', depth = 0): ConfigFault[] {
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return []
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) => {
    const place = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`
    if (typeof member !== 'string') return missingFiles(member, directory, place, depth + 1)
    const file = FILE_MEMBERS.has(name) ? resolve(directory, member) : undefined
    return file === undefined || member.trim() === '' || existsSync(file) ? [] : [missing(place, file)]
  })
}

function missing(member: string, path: string): ConfigFault {
  return {
    member,
    problem: `${path} does not exist`,
    remedy: 'make it, or mend its name; it is relative to the configuration',
  }
}
