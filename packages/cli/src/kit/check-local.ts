import { formatJoinEuiPrefix, hasPrefix, type JoinEui } from '@mortise/lorawan'
import { type Check, ok, wrong } from './check.ts'
import type { KitManifest } from './manifest.ts'
import { KEK_PLACEHOLDER, type NetworkServerSetup } from './setup.ts'

/** Whether the network server can unwrap what the join server wraps for it. Shows no key, however wrong. */
export function checkKek({ kek }: KitManifest, { keks, dialect }: NetworkServerSetup): Check {
  if (kek === undefined)
    return ok(
      'kek',
      'none in this kit: network session keys come in clear inside TLS (not compared with the join server)',
    )
  const found = keks.find(({ label }) => label === kek.label)
  if (found === undefined)
    return wrong(
      'kek',
      `the configuration has no KEK with the label "${kek.label}", under which the join server wraps${others(keks)}.`,
      'write the KEK under exactly this label.',
    )
  if (found.hex === KEK_PLACEHOLDER)
    return wrong('kek', `"${kek.label}" still has the placeholder.`, `write the KEK in place of ${KEK_PLACEHOLDER}.`)
  if (!/^[0-9a-fA-F]+$/.test(found.hex) || found.hex.length % 2 !== 0)
    return wrong('kek', `"${kek.label}" is not hexadecimal.`, `write ${2 * kek.bytes} hexadecimal digits.`)
  const bytes = found.hex.length / 2
  if (!dialect.kekSizes.includes(bytes))
    return wrong(
      'kek',
      `"${kek.label}" has ${8 * bytes} bits; this network server unwraps under ${sizes(dialect.kekSizes)} only.`,
      `agree on a KEK of ${sizes(dialect.kekSizes)} with the operator of the join server (\`mortise kek set --ns\`).`,
    )
  if (bytes !== kek.bytes)
    return wrong(
      'kek',
      `"${kek.label}" has ${8 * bytes} bits, that of the join server ${8 * kek.bytes}.`,
      'write the same KEK that the join server has.',
    )
  return ok('kek', `"${kek.label}", ${8 * bytes} bits (its value is not tried)`)
}

function others(keks: NetworkServerSetup['keks']): string {
  return keks.length === 0 ? '' : ` (it has ${keks.map(({ label }) => `"${label}"`).join(', ')})`
}

function sizes(bytes: readonly number[]): string {
  return bytes.map((size) => `${8 * size} bits`).join(' or ')
}

/** Whether the network server asks this join server for the JoinEUI in question, or for any. */
export function checkJoinEui({ joinEuis }: NetworkServerSetup, joinEui: JoinEui | undefined): Check {
  const list = joinEuis.map(formatJoinEuiPrefix).join(', ')
  if (joinEuis.length === 0)
    return wrong('join-eui', 'no JoinEUI goes to this join server.', 'write a prefix of its JoinEUIs.')
  if (joinEui !== undefined && !joinEuis.some((prefix) => hasPrefix(joinEui, prefix)))
    return wrong(
      'join-eui',
      `${joinEui} does not go to this join server; only ${list}.`,
      'add a prefix for it to the configuration, or have a new kit written with `--join-eui`.',
    )
  return ok('join-eui', list)
}
