import { dialectOf } from '@mortise/backend-interfaces'
import type { Administration } from '@mortise/server'
import type { Settings } from './settings.ts'

/** What keeps a network server with these settings from getting keys, as warnings. */
export async function kekWarnings(
  administration: Pick<Administration, 'listKeks'>,
  netId: string,
  { dialect, kekOnly }: Settings,
): Promise<string[]> {
  const keks = (await administration.listKeks()).filter(({ kind, recipient }) => kind === 'ns' && recipient === netId)
  const newest = keks.toSorted((one, other) => other.version - one.version)[0]
  if (newest === undefined)
    return kekOnly ? [`ns ${netId} has no KEK yet, so its joins are refused: mortise kek set --ns ${netId} …`] : []
  const { kekSizes } = dialectOf(dialect)
  if (kekSizes.includes(newest.size)) return []
  const sizes = kekSizes.join(' or ')
  return [
    `${dialect} does not unwrap under a KEK of ${newest.size} bytes: its joins are refused until one of ${sizes} is set`,
  ]
}
