import { basename } from 'node:path'
import type { CodecChoice } from '../config.ts'
import { readNamedFile } from './files.ts'
import { Section } from './section.ts'

const MAX_CODEC_BYTES = 1_048_576
const MAX_NAMES = 100_000

/** One entry of `codecs`. @throws SectionFault */
export async function readCodec(value: unknown, path: string, directory: string): Promise<CodecChoice> {
  const section = new Section(value, path, directory, ['file', 'devices', 'profiles'])
  const source = await readNamedFile(section, 'file', { isSecret: false, maxBytes: MAX_CODEC_BYTES })
  if (source === undefined) return section.fault('file', 'is missing', 'name the JavaScript file of the codec')
  const devices = section.texts('devices', MAX_NAMES).map((text) => {
    if (/^[0-9a-fA-F]{16}$/.test(text)) return text.toUpperCase()
    return section.fault('devices', 'has an entry that is no DevEUI', 'write 16 hexadecimal digits in quotation marks')
  })
  const name = basename(section.text('file', ''))
  return { codec: { name, source: source.toString('utf8') }, devices, profiles: section.texts('profiles', MAX_NAMES) }
}

/** Says which codec is another's rival for the same devices; undefined when each device has one at most. */
export function rivalCodec(codecs: readonly CodecChoice[]): { index: number; problem: string } | undefined {
  const seen = new Set<string>()
  for (const [index, { devices, profiles }] of codecs.entries()) {
    if (devices.length === 0 && profiles.length === 0) {
      if (seen.has('all')) return { index, problem: 'is for all devices, as another one is' }
      seen.add('all')
    }
    const names = [...devices.map((device) => `device ${device}`), ...profiles.map((profile) => `profile ${profile}`)]
    const twice = names.find((name) => seen.has(name))
    if (twice !== undefined) return { index, problem: `${twice} has another codec already` }
    for (const name of names) seen.add(name)
  }
  return undefined
}
